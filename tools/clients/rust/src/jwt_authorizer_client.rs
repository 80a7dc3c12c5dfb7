use std::time::Duration;

use jwt_authorizer::{Authorizer, JwtAuthorizer, Refresh, RefreshStrategy, RegisteredClaims, Validation};

use crate::{Settings, answer};

async fn build(settings: &Settings) -> Result<Authorizer<RegisteredClaims>, String> {
    let rules = Validation::new().iss(&[&settings.issuer]).aud(&[&settings.audience]).leeway(10);
    let mut builder: JwtAuthorizer = JwtAuthorizer::from_jwks_url(&settings.jwks_uri).validation(rules);
    if settings.as_on_page {
        builder = builder.refresh(Refresh {
            strategy: RefreshStrategy::Interval,
            refresh_interval: Duration::from_secs(5),
            retry_interval: Duration::from_secs(1),
        });
    }
    builder.build().await.map_err(|e| e.to_string())
}

pub async fn serve(settings: &Settings) {
    let mut authorizer = None;
    for token in std::io::stdin().lines().map_while(Result::ok) {
        if authorizer.is_none() {
            match build(settings).await {
                Ok(built) => authorizer = Some(built),
                Err(reason) => {
                    answer(Err(reason));
                    continue;
                }
            }
        }
        let verdict = authorizer.as_ref().unwrap().check_auth(&token).await;
        answer(verdict.map(|_| ()).map_err(|e| e.to_string()));
    }
}
