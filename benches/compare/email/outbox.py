#!/usr/bin/env python3
"""The durable outbox end to end, enqueue -> accepted: mkt-email on SQLite and PostgreSQL, and the loop most write.

    cargo build --release -p mkt-benches --features outbox --bin email_outbox
    MKT_TEST_POSTGRES=postgres://… python3 benches/compare/email/outbox.py [--recipients 50000] [--runs 3]

The provider keeps mails in memory, so that what is measured is the outbox: every commit is durable (SQLite: WAL,
synchronous = FULL; PostgreSQL: as the server is set). Groups of 1000 as Brevo and Mailgun take them, and one mail to a
call over 16 calls side by side as SMTP does; with each the CPU seconds of our program per 1000 mails and its peak memory
after the last call of enqueue (later the provider holds every message). The peer is Python's sqlite3 with the same settings and the same promise
(unique key, `sending` committed before a call, the outcome after it), one mail to a call and one after the other: a loop
without group commits. Prints medians [least - most] as one JSON object.
"""

import argparse
import json
import os
import sqlite3
import statistics
import subprocess
import tempfile
import time

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")


def peer(path, count):
    mails = [(f"welcome/reader{n}", f"reader{n}@example.org", "Bienvenue !" + "x" * 1200) for n in range(count)]
    delivered = []
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("CREATE TABLE outbox (id TEXT PRIMARY KEY, recipient TEXT, payload TEXT, state TEXT)")
    db.execute("CREATE INDEX due ON outbox (id) WHERE state = 'pending'")
    begun = time.perf_counter()
    db.execute("BEGIN IMMEDIATE")
    db.executemany("INSERT INTO outbox VALUES (?, ?, ?, 'pending') ON CONFLICT DO NOTHING", mails)
    db.execute("COMMIT")
    while row := db.execute(
        "UPDATE outbox SET state = 'sending' WHERE id = (SELECT id FROM outbox WHERE state = 'pending' LIMIT 1) "
        "RETURNING id, recipient, payload"
    ).fetchone():
        delivered.append(row)
        db.execute("UPDATE outbox SET state = 'accepted' WHERE id = ?", (row[0],))
    seconds = time.perf_counter() - begun
    assert len(delivered) == count
    return count / seconds


def ours(program, url, count, group, in_flight, told, name):
    process = subprocess.Popen([program, url, str(count), str(group), str(in_flight)], stdout=subprocess.PIPE)
    answer = json.loads(process.stdout.read())
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, status
    told.setdefault(f"{name}", []).append(answer["recipients_per_second"])
    told.setdefault(f"{name}_cpu_seconds_per_1000", []).append((usage.ru_utime + usage.ru_stime) / count * 1000)
    told.setdefault(f"{name}_enqueue_seconds", []).append(answer["enqueue_seconds"])
    told.setdefault(f"{name}_enqueue_megabytes", []).append(answer["enqueue_megabytes"] or 0)


def schema(url, number):
    name = f"outbox_bench_{os.getpid()}_{number}"
    subprocess.run(["psql", url, "-qc", f"create schema {name}"], check=True, env={**os.environ, "PGOPTIONS": "-c client_min_messages=warning"})
    return f"{url}{'&' if '?' in url else '?'}options[search_path]={name}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--recipients", type=int, default=50_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--peer-recipients", type=int, default=5_000)
    parser.add_argument("--program", default=None, help="path of email_outbox")
    arguments = parser.parse_args()
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
    program = arguments.program or os.path.join(target, "release", "email_outbox")
    server = os.environ.get("MKT_TEST_POSTGRES")
    told = {}
    with tempfile.TemporaryDirectory() as folder:
        for run in range(arguments.runs):
            for name, group, in_flight in [("groups_of_1000", 1000, 1), ("one_to_a_call_16_calls", 1, 16)]:
                url = f"sqlite:{folder}/{name}{run}.db"
                ours(program, url, arguments.recipients, group, in_flight, told, f"sqlite_{name}")
                if server:
                    url = schema(server, f"{run}_{in_flight}")
                    ours(program, url, arguments.recipients, group, in_flight, told, f"postgres_{name}")
                    subprocess.run(["psql", server, "-qc", f"drop schema {url.rsplit('=', 1)[1]} cascade"], check=True)
            rate = peer(f"{folder}/peer{run}.db", arguments.peer_recipients)
            told.setdefault("python_sqlite3_one_by_one", []).append(rate)
    shown = {}
    for name, values in told.items():
        digits = 3 if "seconds" in name else 0
        low, middle, high = (round(value, digits) for value in (min(values), statistics.median(values), max(values)))
        shown[name] = f"{middle} [{low} - {high}]"
    print(json.dumps(shown, indent=2))


if __name__ == "__main__":
    main()
