"""Sends a body of 2 MB in the ways of Python's own clients: URL, the key on standard input."""

import http.client
import json
import sys
import urllib.error
import urllib.request
from urllib.parse import urlsplit


def show(client, status, content_type, body):
    print(json.dumps({"client": client, "status": status, "type": content_type, "body": body.decode()}))


def main(url):
    body = b'{"owner":"' + b"x" * (2 << 20) + b'"}'
    headers = {"Authorization": "Bearer " + sys.stdin.read().strip(), "Content-Type": "application/json"}
    try:
        urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=30)
    except urllib.error.HTTPError as error:
        show("urllib", error.code, error.headers["Content-Type"], error.read())

    at = urlsplit(url)
    pieces = (body[i : i + 65536] for i in range(0, len(body), 65536))
    for client, content in (("http.client", body), ("http.client, chunked", pieces)):
        connection = http.client.HTTPConnection(at.netloc, timeout=30)
        connection.request("POST", at.path, content, headers, encode_chunked=client.endswith("chunked"))
        answer = connection.getresponse()
        show(client, answer.status, answer.headers["Content-Type"], answer.read())
        connection.close()


main(*sys.argv[1:])
