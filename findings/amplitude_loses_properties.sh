#!/usr/bin/env bash
# amplitude-analytics 1.3.0 (Python), against a server on loopback: one Decimal, date or tuple among an event's
# properties takes all its properties away; the event arrives without them.
#
# Guess: the amount is sent as a number or text, or the call raises, or at least that one property is left out.
# Seen: {"revenue": Decimal("12.50"), "sku": "a"} arrives as an event "order" with no event_properties at all, and
# nothing is raised or logged. revenue=Decimal(...) and price=12 (an int) given as fields are left out with a line in the log.
# For us: what exports to such tools writes amounts as JSON numbers, and counts the properties it sent.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
python_packages amplitude-analytics==1.3.0
run_python <<'PYTHON' | seen "float {'revenue': 12.5, 'sku': 'a'}
decimal None
date None
tuple None
none {'sku': 'a'}
fields: price None revenue None
logged about properties: 0"
import json, logging, threading, datetime, time
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
bodies, lines = [], []
class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        bodies.append(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(200); self.end_headers(); self.wfile.write(b"{}")
    def log_message(self, *_): pass
server = HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
class Lines(logging.Handler):
    def emit(self, record): lines.append(record.getMessage())
logging.getLogger().addHandler(Lines()); logging.getLogger("amplitude").addHandler(Lines())
from amplitude import Amplitude, BaseEvent
client = Amplitude("key")
client.configuration.server_url = f"http://127.0.0.1:{server.server_port}"
for name, properties in {
    "float": {"revenue": 12.5, "sku": "a"}, "decimal": {"revenue": Decimal("12.50"), "sku": "a"},
    "date": {"revenue": 12.5, "on": datetime.date(2026, 5, 1)}, "tuple": {"revenue": 12.5, "skus": ("a", "b")},
    "none": {"revenue": None, "sku": "a"},
}.items():
    client.track(BaseEvent(name, user_id="visitor-1", event_properties=properties))
about_properties = len(lines)
client.track(BaseEvent("fields", user_id="visitor-1", price=12, revenue=Decimal("12.50")))
client.flush(); client.shutdown()
for _ in range(100):
    if sum(len(json.loads(body)["events"]) for body in bodies) >= 6: break
    time.sleep(0.1)
for event in (event for body in bodies for event in json.loads(body)["events"]):
    if event["event_type"] == "fields":
        print("fields: price", event.get("price"), "revenue", event.get("revenue"))
    else:
        print(event["event_type"], event.get("event_properties"))
print("logged about properties:", about_properties)
PYTHON
