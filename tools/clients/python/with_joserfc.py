from fetched import current
from joserfc import jwt
from joserfc.jwk import KeySet
from lines import audience, issuer, serve

rules = jwt.JWTClaimsRegistry(
    iss={"essential": True, "value": issuer}, aud={"essential": True, "value": audience}, leeway=10)


def verify(token):
    decoded = jwt.decode(token, current(KeySet.import_key_set), algorithms=["RS256"])
    rules.validate(decoded.claims)


serve(verify)
