"""The protocol of the client matrix: a token is a line in, the verdict a line out."""

import os
import sys

issuer, jwks_uri, audience = os.environ["ISSUER"], os.environ["JWKS_URI"], os.environ["AUDIENCE"]
as_on_page = os.environ["SETTING"] == "page"


def serve(verify):
    for line in sys.stdin:
        try:
            verify(line.strip())
            print("accepted", flush=True)
        except Exception as error:
            print("refused", type(error).__name__, flush=True)
