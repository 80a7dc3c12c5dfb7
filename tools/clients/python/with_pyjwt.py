import jwt
from lines import as_on_page, audience, issuer, jwks_uri, serve

keys = jwt.PyJWKClient(jwks_uri, lifespan=5) if as_on_page else jwt.PyJWKClient(jwks_uri)


def verify(token):
    key = keys.get_signing_key_from_jwt(token).key
    return jwt.decode(token, key, algorithms=["RS256"], issuer=issuer, audience=audience, leeway=10)


serve(verify)
