#!/usr/bin/env bash
# mixpanel 5.4.1 (Python): a time with a zone loses its zone and is not converted.
#
# Guess: an aware datetime in a property leaves as UTC or with its offset.
# Seen: it leaves as the local wall clock with neither. The same instant written in Paris and in UTC becomes two texts an
# hour apart, and the two orders at 02:30 of the night when the clocks go back become one text. Only properties and
# profiles are concerned: the event's own `time` is a number.
# For us: a time in an export of Mixpanel's properties has no known zone; it needs a declared one (`--time-format`, `--zone`).
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
python_packages mixpanel==5.4.1
run_python <<'PYTHON' | seen "one instant, written in Paris: 2026-03-01T10:00:00, in UTC: 2026-03-01T09:00:00
an hour apart when the clocks go back: 2026-10-25T02:30:00 and 2026-10-25T02:30:00"
import json
from datetime import datetime, timezone
from zoneinfo import ZoneInfo
from mixpanel import Mixpanel
paris = ZoneInfo("Europe/Paris")
sent = []
class Consumer:
    def send(self, _endpoint, message, *_):
        sent.append(json.loads(message)["properties"]["ordered_at"])
client = Mixpanel("token", consumer=Consumer())
def order(at):
    client.track("visitor-1", "order", {"ordered_at": at})
    return sent[-1]
at = datetime(2026, 3, 1, 10, 0, tzinfo=paris)
print(f"one instant, written in Paris: {order(at)}, in UTC: {order(at.astimezone(timezone.utc))}")
first, second = (datetime(2026, 10, 25, 2, 30, tzinfo=paris, fold=fold) for fold in (0, 1))
assert (second.astimezone(timezone.utc) - first.astimezone(timezone.utc)).total_seconds() == 3600
print(f"an hour apart when the clocks go back: {order(first)} and {order(second)}")
PYTHON
