#!/usr/bin/env python3
"""Reads and validates subscribers from CSV: mkt-email against Python's csv + email-validator, on one file.

    cargo build --release -p mkt-benches --features email --bin email_subscribers
    pip install email-validator
    python3 benches/compare/email/subscribers.py [--rows 1000000] [--runs 5]

Makes a file of the course's columns (1 % duplicates, 1 % bad rows), reads it with both sides in turn, checks that they
agree on every count, and prints medians, rows per second and peak memory as one JSON object. The peer looks at the
address with email-validator (no DNS), at the date with date.fromisoformat, and keeps a set of lower-case addresses.
"""

import argparse
import csv
import datetime
import importlib.util
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..", "..")


def make(path, rows):
    random.seed(42)
    names = ["Jean", "Zoé", "Anne-Marie", "François", "Li", "Mohamed", "Agnès", "Bob"]
    with open(path, "w", encoding="utf-8", newline="") as file:
        write = csv.writer(file, lineterminator="\n").writerow
        write(["email", "prenom", "date_inscription"])
        for n in range(rows):
            name = random.choice(names)
            day = datetime.date(2025, 1, 1) + datetime.timedelta(days=random.randrange(365))
            mail = f"{random.choice('abcdefgh')}.reader{n}@mail{n % 1000}.example.org"
            what = random.random()
            if what < 0.01 and n > 10:
                mail = "first.reader@example.org"
            elif what < 0.015:
                mail = mail.replace("@", " ")
            elif what < 0.02:
                day = day.strftime("%d/%m/%Y")
            write([mail, name, day])


def peer(path):
    from email_validator import EmailNotValidError, validate_email

    seen = set()
    told = {"rows": 0, "subscribers": 0, "quarantined": 0, "duplicates": 0, "letters": 0, "dates": 0}
    begun = time.perf_counter()
    with open(path, encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            told["rows"] += 1
            try:
                mail = validate_email(row["email"], check_deliverability=False, test_environment=True).normalized
                day = datetime.date.fromisoformat(row["date_inscription"])
            except (EmailNotValidError, ValueError):
                told["quarantined"] += 1
                continue
            if mail.lower() in seen:
                told["duplicates"] += 1
                continue
            seen.add(mail.lower())
            told["subscribers"] += 1
            told["letters"] += len(mail) + len(row["prenom"].encode())
            told["dates"] += day is not None
    told["seconds"] = time.perf_counter() - begun
    told["rows_per_second"] = told["rows"] / told["seconds"]
    told["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(json.dumps(told))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--ours-only", action="store_true")
    parser.add_argument("--binary", default=None)
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peer:
        return peer(arguments.peer)
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
    binary = arguments.binary or os.path.join(target, "release", "email_subscribers")
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "inscrits.csv")
        make(path, arguments.rows)
        sides = {"mkt-email": [binary, path]}
        if importlib.util.find_spec("email_validator") is None:
            print("left out: the Python package email-validator is missing", file=sys.stderr)
        elif not arguments.ours_only:
            sides["csv + email-validator"] = [sys.executable, __file__, "--peer", path]
        runs = {name: [] for name in sides}
        for run in range(arguments.runs):
            for name, command in sides.items():
                if run > 0 and name != "mkt-email" and run >= 3:
                    continue
                runs[name].append(json.loads(subprocess.check_output(command)))
        answer = {"rows": arguments.rows, "bytes": os.path.getsize(path)}
    counts = {}
    for name, told in runs.items():
        seconds = statistics.median(run["seconds"] for run in told)
        counts[name] = {key: told[0][key] for key in ("rows", "subscribers", "quarantined", "duplicates", "letters", "dates")}
        answer[name] = {
            "runs": len(told),
            "seconds": round(seconds, 3),
            "rows_per_second": round(arguments.rows / seconds),
            "peak_mb": round(max(run["peak_mb"] for run in told), 1),
        }
    answer["counts"] = counts["mkt-email"]
    if len(set(map(str, counts.values()))) != 1:
        sys.exit(f"the sides disagree: {counts}")
    if len(runs) == 2:
        ours, theirs = answer["mkt-email"], answer["csv + email-validator"]
        answer["ratio"] = round(theirs["seconds"] / ours["seconds"], 1)
    print(json.dumps(answer, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
