from authlib.jose import JsonWebKey, JsonWebToken
from fetched import current
from lines import audience, issuer, serve

tokens = JsonWebToken(["RS256"])
rules = {"iss": {"essential": True, "value": issuer}, "aud": {"essential": True, "value": audience}}


def verify(token):
    tokens.decode(token, current(JsonWebKey.import_key_set), claims_options=rules).validate(leeway=10)


serve(verify)
