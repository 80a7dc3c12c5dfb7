import os

from oauthlib.oauth2 import BackendApplicationClient
from requests_oauthlib import OAuth2Session

session = OAuth2Session(client=BackendApplicationClient(os.environ["CLIENT_ID"], scope=os.environ["SCOPE"]))
print(session.fetch_token(os.environ["TOKEN_URI"], client_id=os.environ["CLIENT_ID"], client_secret=os.environ["KEY"])["access_token"])
