#!/usr/bin/env bash
# advertools 0.18.0, logs_to_df: an access log that spans a clock change keeps its times as text.
#
# Guess: the column `datetime` is a timestamp, whatever offsets the lines carry.
# Seen: with one offset in the file the column is a timestamp with that offset. With two offsets (the night of a clock
# change) it stays text ("29/Mar/2026:01:59:58 +0100"), without a warning: sorting sorts by day of the month, and
# `.dt` fails only later.
# For us: each line's own offset is applied, and lines are ordered by instant.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
python_packages advertools==0.18.0
run_python <<'PYTHON' | seen "winter only: datetime64[us, UTC+01:00]
over the change: str
smallest of the text: 01/Apr/2026:08:00:00 +0200"
import contextlib, io
import advertools, pandas
line = '203.0.113.5 - - [{time}] "GET /a HTTP/1.1" 200 512 "-" "Mozilla/5.0"\n'
def read(name, times):
    with open(name, "w") as log:
        log.writelines(line.format(time=time) for time in times)
    with contextlib.redirect_stdout(io.StringIO()):
        advertools.logs_to_df(name, name + ".parquet", name + ".errors", "combined")
    return pandas.read_parquet(name + ".parquet")
winter = ["29/Mar/2026:01:58:00 +0100", "29/Mar/2026:01:59:58 +0100"]
summer = ["29/Mar/2026:03:00:02 +0200", "01/Apr/2026:08:00:00 +0200"]
print("winter only:", read("winter", winter)["datetime"].dtype)
both = read("both", winter + summer)["datetime"]
print("over the change:", both.dtype)
print("smallest of the text:", both.min())
PYTHON
