import os

from authlib.integrations.requests_client import OAuth2Session

session = OAuth2Session(os.environ["CLIENT_ID"], os.environ["KEY"], scope=os.environ["SCOPE"])
print(session.fetch_token(os.environ["TOKEN_URI"], grant_type="client_credentials")["access_token"])
