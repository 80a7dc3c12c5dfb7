"""Verifies the tokens on standard input with PyJWT: ISSUER AUDIENCE CACHE_SECONDS."""

import json
import sys

import jwt

from urllib.parse import urlsplit
from urllib.request import urlopen


def fetch(url):
    with urlopen(url, timeout=30) as answer:
        return json.load(answer)


def jwks_uri(issuer):
    """Asks OpenID Connect Discovery's place and RFC 8414's, which must agree."""
    at = urlsplit(issuer)
    places = (
        f"{issuer}/.well-known/openid-configuration",
        f"{at.scheme}://{at.netloc}/.well-known/oauth-authorization-server{at.path}",
    )
    found = [fetch(place) for place in places]
    for metadata in found:
        assert metadata["issuer"] == issuer, metadata
        assert metadata["jwks_uri"] == found[0]["jwks_uri"], metadata
    return found[0]["jwks_uri"]


def main(issuer, audience, cache):
    uri = jwks_uri(issuer)
    seconds = int(cache)
    keys = jwt.PyJWKClient(uri, cache_keys=False, cache_jwk_set=seconds > 0, lifespan=seconds or 300)
    for line in sys.stdin:
        token = line.strip()
        if token == "metadata":
            answer = {"jwks_uri": uri}
        else:
            try:
                key = keys.get_signing_key_from_jwt(token)
                claims = jwt.decode(token, key, algorithms=["RS256"], issuer=issuer, audience=audience)
                answer = {"ok": True, "sub": claims["sub"], "jti": claims["jti"]}
            except jwt.PyJWTError as error:
                answer = {"ok": False, "error": type(error).__name__}
        print(json.dumps(answer), flush=True)


main(*sys.argv[1:])
