#!/usr/bin/env bash
# mailgun 1.10.0 (the vendor's Python client), against a server on loopback: a send that is answered with 500 is sent
# again by the client itself, without anything by which the server could know it for the same.
#
# Guess: a POST that creates messages is not repeated by default (mailgun.js 14 repeats nothing).
# Seen: after 500 (and 502, 503, 504, 429) the same POST /v3/DOMAIN/messages goes out again; the caller sees only the
# last answer, 200. Mailgun knows no idempotency key, so that a server that had queued the first sends two emails.
# For us: a 5xx is a lost answer. It is looked up by our own message id before anything is sent again.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
python_packages mailgun==1.10.0
run_python <<'PYTHON' | seen "500: 2 requests, same body: True, idempotency header: False, the caller sees 200
503: 2 requests, same body: True, idempotency header: False, the caller sees 200"
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
requests, answers = [], []
class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        requests.append((self.path, body, any("idempot" in name.lower() for name in self.headers)))
        self.send_response(answers.pop(0)); self.send_header("content-length", "2"); self.end_headers()
        self.wfile.write(b"{}")
    def log_message(self, *_): pass
server = HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
from mailgun.client import Client
client = Client(auth=("api", "key"), api_url=f"http://127.0.0.1:{server.server_port}/")
for first in (500, 503):
    requests.clear(); answers[:] = [first, 200, 200, 200]
    seen = client.messages.create(domain="mg.example.org", data={
        "from": "shop@example.org", "to": ["anna@example.org"], "subject": "Your order", "text": "Thank you."})
    print(f"{first}: {len(requests)} requests, same body: {len({body for _, body, _ in requests}) == 1}, "
          f"idempotency header: {any(key for *_, key in requests)}, the caller sees {seen.status_code}")
PYTHON
