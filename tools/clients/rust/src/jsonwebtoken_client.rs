use std::time::{Duration, Instant};

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, jwk::JwkSet};

use crate::{Settings, Verdict, answer};

/// The set, loaded once, or every 5 s as on the page.
struct Keys<'a> {
    settings: &'a Settings,
    set: Option<(JwkSet, Instant)>,
}

impl Keys<'_> {
    fn current(&mut self) -> Result<&JwkSet, String> {
        let max_age = Duration::from_secs(5);
        let old = |from: &Instant| self.settings.as_on_page && from.elapsed() > max_age;
        if self.set.as_ref().is_none_or(|(_, from)| old(from)) {
            self.set = Some((fetch(&self.settings.jwks_uri)?, Instant::now()));
        }
        Ok(&self.set.as_ref().unwrap().0)
    }
}

fn fetch(uri: &str) -> Result<JwkSet, String> {
    let mut answer = ureq::get(uri).call().map_err(|e| e.to_string())?;
    let text = answer.body_mut().with_config().limit(64 << 20).read_to_string().map_err(|e| e.to_string())?;
    serde_json::from_str(&text).map_err(|e| e.to_string())
}

fn verify(token: &str, keys: &JwkSet, settings: &Settings) -> Verdict {
    let kid = decode_header(token).map_err(|e| e.to_string())?.kid.ok_or("no kid")?;
    let jwk = keys.find(&kid).ok_or("unknown kid")?;
    let key = DecodingKey::from_jwk(jwk).map_err(|e| e.to_string())?;
    let mut rules = Validation::new(Algorithm::RS256);
    rules.set_issuer(&[&settings.issuer]);
    rules.set_audience(&[&settings.audience]);
    rules.leeway = 10;
    decode::<serde_json::Value>(token, &key, &rules).map_err(|e| e.to_string())?;
    Ok(())
}

pub fn serve(settings: &Settings) {
    let mut keys = Keys { settings, set: None };
    for token in std::io::stdin().lines().map_while(Result::ok) {
        answer(keys.current().and_then(|set| verify(&token, set, settings)));
    }
}
