#!/usr/bin/env python3
"""Loads files of sessions and events beside `sqlite3 .import` and DuckDB's `read_csv`; README.md says how to read it.

    cargo build --release -p mkt-benches --bin warehouse_load
    pip install duckdb                       # a peer; left out where it is missing, as is sqlite3
    benches/compare/warehouse/load.py [--rows 200000 1000000] [--pairs 3] [--folder DIR] [--program PATH] [--before PATH]

Whole processes in pairs, peers in one run: user and system seconds, peak memory, bytes that the process caused to be written
(`getrusage`: blocks of 512 bytes). Ours is `warehouse_load files`, which does what the example load_events does. `.import`
goes into plain tables with the CSV's columns and five indexes, made after the rows; so does DuckDB's, which has no index. The
start of Python with its import of duckdb is measured apart and taken off DuckDB's side. Shares are medians over the pairs; cells
that ours loses against the target are marked `*`. `--before` names an older build of the same program.
"""
import argparse
import datetime
import json
import os
import pathlib
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[3]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))

EVENTS = "user_id,event_type,timestamp,channel,revenue,properties,session_id,event_id"
SESSIONS = "session_id,user_id,start_time,end_time,pages_viewed,converted,channel,device,landing_url"
INDEXES = """
create index events_key on events (event_id); create index events_user on events (user_id);
create index events_type on events (event_type); create index events_time on events (timestamp);
create index sessions_user on sessions (user_id);
"""
DUCKDB = """
import sys, duckdb
if len(sys.argv) > 1:
    base = duckdb.connect(sys.argv[1])
    base.execute("set threads = 2")
    for name in ("events", "sessions"):
        base.execute(f"create table {name} as from read_csv('{sys.argv[2]}/{name}.csv', header = true)")
"""


def write_files(folder, rows, days):
    """A year of traffic of one shop in the order of time, the same for the same size: a fifth of the rows are sessions."""
    folder.mkdir()
    chance = random.Random(7)
    sessions = rows // 5
    left, users, number = rows - sessions, max(rows // 25, 1), 0
    channels = ("organic", "paid", "email", "social", "direct")
    begin = datetime.datetime(2025, 1, 1)
    with open(folder / "events.csv", "w") as events, open(folder / "sessions.csv", "w") as visits:
        print(EVENTS, file=events)
        print(SESSIONS, file=visits)
        for session in range(sessions):
            user, channel = f"u{chance.randrange(users):07}", chance.choice(channels)
            at = begin + datetime.timedelta(seconds=session * days * 86_400 // sessions)
            count = max(1, left // (sessions - session))
            left -= count
            converted = chance.random() < 0.05
            for act in range(count):
                kind = ("page_view", "product_view", "add_to_cart", "page_view")[act % 4]
                if converted and act == count - 1:
                    kind = "purchase"
                revenue = chance.randrange(500, 20_000) / 100 if kind == "purchase" else 0
                sku = chance.randrange(500)
                item = {"sku": f"sku-{sku}", "name": f"Product number {sku}", "category": f"category {sku % 20}",
                        "price": 19.9, "quantity": 1}
                page = {"url": f"https://shop.example/products/{sku}?ref=list&page={act}", "items": [item]}
                if kind == "page_view":
                    page = {"url": f"https://shop.example/pages/{sku}", "referrer": "https://www.example.org/search"}
                text = json.dumps(page).replace('"', '""')
                when = at + datetime.timedelta(seconds=act * 30)
                print(f'{user},{kind},{when},{channel},{revenue:.2f},"{text}",s{session:08},e{number:09}', file=events)
                number += 1
            until = at + datetime.timedelta(seconds=count * 30)
            device = "mobile" if session % 3 else "desktop"
            print(f"s{session:08},{user},{at},{until},{count},{int(converted)},{channel},{device},"
                  f"https://shop.example/landing/{session % 40}", file=visits)


def shuffle_files(source, folder):
    """The same records in no order, for files that fit in memory."""
    folder.mkdir()
    for name in ("events.csv", "sessions.csv"):
        head, *body = (source / name).read_text().splitlines(True)
        random.Random(3).shuffle(body)
        (folder / name).write_text(head + "".join(body))


def run(arguments, text=None):
    """User and system seconds of a process, its peak memory in MiB, and the MB that it caused to be written."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        # A process of its own that waits for one child: the only way to its peak memory.
        os.close(read)
        try:
            done = subprocess.run(arguments, input=text, capture_output=True, text=True)
            used = resource.getrusage(resource.RUSAGE_CHILDREN)
            answer = {"cpu": used.ru_utime + used.ru_stime, "mib": used.ru_maxrss / 1024, "code": done.returncode,
                      "mb": used.ru_oublock * 512 / 1e6, "err": done.stderr[-2000:]}
        except OSError as cause:
            answer = {"code": 1, "err": str(cause)}
        with os.fdopen(write, "w") as pipe:
            json.dump(answer, pipe)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        answer = json.load(pipe)
    os.waitpid(child, 0)
    if answer["code"]:
        raise SystemExit(f"{arguments[0]} failed: {answer['err']}")
    return answer


def ours(program):
    def load(files, base):
        return run([program, "files", "--warehouse", f"sqlite:{base}", "--events", str(files / "events.csv"),
                    "--sessions", str(files / "sessions.csv")])
    return load


def imported(files, base):
    events, sessions = EVENTS.replace(",", " text, "), SESSIONS.replace(",", " text, ")
    return run(["sqlite3", str(base)], f"""
create table events ({events} text); create table sessions ({sessions} text);
.mode csv
.import --skip 1 {files}/events.csv events
.import --skip 1 {files}/sessions.csv sessions
{INDEXES}""")


def duckdb(files, base):
    spent = run([sys.executable, "-c", DUCKDB, str(base), str(files)])
    start = statistics.median(run([sys.executable, "-c", DUCKDB])["cpu"] for _ in range(3))
    return spent | {"cpu": max(spent["cpu"] - start, 0.001)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[222_000, 1_000_000])
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--shuffled", type=int, default=300_000, help="rows for the files in no order; 0: none")
    parser.add_argument("--folder", help="where files and databases go")
    parser.add_argument("--program", default=str(TARGET / "release/warehouse_load"))
    parser.add_argument("--before", help="an older build of the same program")
    arguments = parser.parse_args()
    ways = {"ours": ours(arguments.program)} | ({"before": ours(arguments.before)} if arguments.before else {})
    if shutil.which("sqlite3"):
        ways[".import"] = imported
    try:
        __import__("duckdb")
        ways["DuckDB"] = duckdb
    except ImportError:
        print("duckdb is missing and left out")
    targets = {".import": 1.5, "DuckDB": 3}
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        folder = pathlib.Path(folder)
        heads = ["rows", "way", "CPU s", "µs a row", "ours ÷ it", "peak MiB", "MB written", "ours ÷ it (written)"]
        print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
        for rows in arguments.rows:
            files = folder / f"files-{rows}"
            write_files(files, rows, arguments.days)
            seen = measured(ways, files, folder, arguments.pairs)
            for way, spent in seen.items():
                cpu, mb = (statistics.median(one[of] for one in spent) for of in ("cpu", "mb"))
                shares = ["", ""]
                if way != "ours":
                    share = statistics.median(a["cpu"] / b["cpu"] for a, b in zip(seen["ours"], spent))
                    written = statistics.median(a["mb"] / max(b["mb"], 0.001) for a, b in zip(seen["ours"], spent))
                    shares = [f"{share:.2f}{' *' if share > targets.get(way, 1) else ''}",
                              f"{written:.2f}{' *' if way == '.import' and written > 1.2 else ''}"]
                peak = statistics.median(one["mib"] for one in spent)
                print(f"| {rows} | {way} | {cpu:.2f} | {cpu / rows * 1e6:.1f} | {shares[0]} | {peak:.0f} | {mb:.0f} | "
                      f"{shares[1]} |", flush=True)
            shutil.rmtree(files)
        if arguments.shuffled:
            ordered, scattered = folder / "ordered", folder / "scattered"
            write_files(ordered, arguments.shuffled, arguments.days)
            shuffle_files(ordered, scattered)
            shares = []
            for _ in range(arguments.pairs):
                pair = [measured({"ours": ways["ours"]}, files, folder, 1)["ours"][0]["cpu"] for files in (ordered, scattered)]
                shares.append(pair[1] / pair[0])
            share = statistics.median(shares)
            print(f"\n{arguments.shuffled} rows in no order ÷ the same in the order of time: {share:.2f}"
                  f"{' *' if share > 1.3 else ''}")


def measured(ways, files, folder, pairs):
    """What each way spent, turn by turn, every second turn backwards."""
    seen = {way: [] for way in ways}
    for turn in range(pairs):
        for way in list(ways) if turn % 2 == 0 else list(ways)[::-1]:
            with tempfile.TemporaryDirectory(dir=folder) as place:
                seen[way].append(ways[way](files, pathlib.Path(place) / "base.db"))
    return seen


main()
