from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from fetched import current
from joserfc.jwk import KeySet
from lines import audience, issuer, serve


class Validator(JWTBearerTokenValidator):
    def get_jwks(self):
        return current(KeySet.import_key_set)


validator = Validator(issuer=issuer, resource_server=audience)


def verify(token):
    validator.validate_token(validator.authenticate_token(token), scopes=[], request=None)


serve(verify)
