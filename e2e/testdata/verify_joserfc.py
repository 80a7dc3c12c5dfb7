"""Verifies the tokens on standard input with joserfc: ISSUER AUDIENCE."""

import json
import sys

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from urllib.parse import urlsplit
from urllib.request import urlopen


def fetch(url):
    with urlopen(url, timeout=30) as answer:
        return json.load(answer)


def jwks_uri(issuer):
    """RFC 8414 alone: the place before the issuer's path."""
    at = urlsplit(issuer)
    metadata = fetch(f"{at.scheme}://{at.netloc}/.well-known/oauth-authorization-server{at.path}")
    assert metadata["issuer"] == issuer, metadata
    return metadata["jwks_uri"]


def main(issuer, audience):
    uri = jwks_uri(issuer)
    registry = jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": issuer}, aud={"essential": True, "value": audience}
    )
    for line in sys.stdin:
        token = line.strip()
        if token == "metadata":
            answer = {"jwks_uri": uri}
        else:
            try:
                decoded = jwt.decode(token, KeySet.import_key_set(fetch(uri)), algorithms=["RS256"])
                registry.validate(decoded.claims)
                answer = {"ok": True, "sub": decoded.claims["sub"], "jti": decoded.claims["jti"]}
            except JoseError as error:
                answer = {"ok": False, "error": type(error).__name__}
        print(json.dumps(answer), flush=True)


main(*sys.argv[1:])
