#!/usr/bin/env bash
# daft 0.7.26: cutting instants to days in a zone splits the day on which the clocks change.
#
# Guess: `date_trunc("1 day")` of a timestamp in Europe/Paris is midnight in Paris, so that every order of a day falls
# into one group, as with `date()`.
# Seen: the offset of the order itself is used for midnight. After the change in October midnight is 01:00 of the old
# offset, in March it is 23:00 of the day before: two orders of one day stand in two groups, and one of them is a Saturday.
# For us: days are cut by a table of offsets, and a day is the local date; a group that another engine cut by
# `date_trunc` cannot be joined with ours on these two days.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
python_packages daft==0.7.26
run_python <<'PYTHON' | seen "Sunday in October: ['2026-10-25T00:00:00+02:00', '2026-10-25T01:00:00+02:00'] by date_trunc, ['2026-10-25'] by date
Sunday in March: ['2026-03-28T23:00:00+01:00', '2026-03-29T00:00:00+01:00'] by date_trunc, ['2026-03-29'] by date
an ordinary Sunday: ['2026-06-14T00:00:00+02:00'] by date_trunc, ['2026-06-14'] by date"
from datetime import datetime, timezone
import daft
from daft import DataType, col
def cut(name, day):
    orders = [datetime(2026, *day, hour, 30, tzinfo=timezone.utc) for hour in (0, 12)]
    table = daft.from_pydict({"at": orders}).with_column("at", col("at").cast(DataType.timestamp("us", "Europe/Paris")))
    days = table.select(col("at").date_trunc("1 day").alias("cut"), col("at").date().alias("date")).to_pydict()
    groups = sorted({value.isoformat() for value in days["cut"]})
    dates = sorted({value.isoformat() for value in days["date"]})
    print(f"{name}: {groups} by date_trunc, {dates} by date")
cut("Sunday in October", (10, 25))
cut("Sunday in March", (3, 29))
cut("an ordinary Sunday", (6, 14))
PYTHON
