"""The set for libraries that fetch none: loaded once, or every 5 s as on their pages."""

import json
import time
import urllib.request

from lines import as_on_page, jwks_uri

keys, fetched = None, 0.0


def current(read):
    global keys, fetched
    if keys is None or (as_on_page and time.monotonic() - fetched > 5):
        with urllib.request.urlopen(jwks_uri, timeout=5) as answer:
            keys, fetched = read(json.load(answer)), time.monotonic()
    return keys
