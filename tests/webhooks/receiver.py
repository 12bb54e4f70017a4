"""Takes webhooks as a program that is not ours: signatures are checked by the reference library of Standard Webhooks.

    receiver.py SECRET_FILE OUT_FILE REFUSED

Listens on a free port, which is the first line of OUT_FILE. Each request becomes a line of JSON there. The first REFUSED
requests are answered 500; what is not signed with the secret that stands in SECRET_FILE then is answered 401.
"""

import http.server
import json
import pathlib
import sys

from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

SECRET, OUT, REFUSED = pathlib.Path(sys.argv[1]), open(sys.argv[2], "w", buffering=1), int(sys.argv[3])
seen = 0


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        global seen
        seen += 1
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        try:
            message = Webhook(SECRET.read_text().strip()).verify(body, dict(self.headers))
            status = 500 if seen <= REFUSED else 204
        except WebhookVerificationError as error:
            message, status = {"error": str(error)}, 401
        line = {"id": self.headers["webhook-id"], "status": status, "message": message, "type": self.headers["content-type"]}
        OUT.write(json.dumps(line) + "\n")
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_):
        pass


server = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
OUT.write(f"{server.server_port}\n")
server.serve_forever()
