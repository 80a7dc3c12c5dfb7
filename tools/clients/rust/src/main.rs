//! The Rust clients of the matrix: a token is a line in, the verdict a line out.
mod jsonwebtoken_client;
mod jwt_authorizer_client;

use std::env;

pub struct Settings {
    pub issuer: String,
    pub jwks_uri: String,
    pub audience: String,
    pub as_on_page: bool,
}

pub type Verdict = Result<(), String>;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let of = |name| env::var(name).unwrap_or_default();
    let settings = Settings {
        issuer: of("ISSUER"),
        jwks_uri: of("JWKS_URI"),
        audience: of("AUDIENCE"),
        as_on_page: of("SETTING") == "page",
    };
    match env::args().nth(1).as_deref() {
        Some("jsonwebtoken") => jsonwebtoken_client::serve(&settings),
        Some("jwt-authorizer") => jwt_authorizer_client::serve(&settings).await,
        other => panic!("no client {other:?}"),
    }
}

pub fn answer(verdict: Verdict) {
    match verdict {
        Ok(()) => println!("accepted"),
        Err(reason) => println!("refused {}", reason.replace('\n', " ")),
    }
}
