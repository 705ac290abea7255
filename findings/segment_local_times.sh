#!/usr/bin/env bash
# segment-analytics-python 2.4.0, rudder-sdk-python 2.1.9, posthog 7.91.1, on a machine in Europe/Paris: a time without
# a zone is local if it is now, and UTC if it is older.
#
# Guess: a naive datetime is always the machine's local time, or always UTC.
# Seen: Segment and RudderStack label a time within five seconds of now +01:00 and one of a minute ago +00:00, so the
# earlier event lies 59 minutes (in summer 119) after the later one: steps of a funnel change places. PostHog converts
# the first to UTC and labels the second +00:00 as it stands: the same.
# For us: a time without a zone needs a declared zone; nothing is guessed from the clock.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
python_packages segment-analytics-python==2.4.0 rudder-sdk-python==2.1.9 posthog==7.91.1
TZ=Europe/Paris run_python <<'PYTHON' | seen "segment: the event of a minute ago is placed after the live one: True
rudder: the event of a minute ago is placed after the live one: True
posthog: the event of a minute ago is placed after the live one: True"
import gzip, json, threading
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
bodies = []
class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        bodies.append(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body)
        self.send_response(200); self.end_headers(); self.wfile.write(b"{}")
    def log_message(self, *_): pass
server = HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"
def placed(name):
    times = {event["event"]: datetime.fromisoformat(event["timestamp"])
             for body in bodies for event in json.loads(body)["batch"]}
    later = times["ago"] - times["live"]
    print(f"{name}: the event of a minute ago is placed after the live one:", later > timedelta(minutes=50))
    bodies.clear()
import segment.analytics as segment
segment.write_key, segment.host = "key", url
segment.track("visitor-1", "ago", timestamp=datetime.now() - timedelta(minutes=1))
segment.track("visitor-1", "live", timestamp=datetime.now())
segment.flush(); segment.shutdown(); placed("segment")
import rudderstack.analytics as rudder
rudder.write_key, rudder.dataPlaneUrl = "key", url
rudder.track("visitor-1", "ago", timestamp=datetime.now() - timedelta(minutes=1))
rudder.track("visitor-1", "live", timestamp=datetime.now())
rudder.flush(); rudder.shutdown(); placed("rudder")
from posthog import Posthog
posthog = Posthog("key", host=url)
posthog.capture("ago", distinct_id="visitor-1", timestamp=datetime.now() - timedelta(minutes=1))
posthog.capture("live", distinct_id="visitor-1", timestamp=datetime.now())
posthog.shutdown(); placed("posthog")
PYTHON
