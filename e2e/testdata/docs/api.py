"""An API for the documentation's examples: it answers every request with the request's headers, as JSON."""

import http.server
import json
import sys


class Echo(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = (json.dumps({k.lower(): v for k, v in self.headers.items()}, indent=2) + "\n").encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *args):
        pass


host, port = sys.argv[1].split(":")
http.server.ThreadingHTTPServer((host, int(port)), Echo).serve_forever()
