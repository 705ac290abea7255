#!/usr/bin/env python3
"""The four readers of CSV, an old build against a new one: CPU seconds and peak memory, in pairs.

    git worktree add /tmp/old 5df1044
    python3 benches/compare/readers/readers.py --old /tmp/old [--new .] [--rows 1000000] [--pairs 5] [--only etl]

Both checkouts are built (release) in projects of their own under --work. Files come from a seed. A run is a process of
its own; old and new take turns. What the two see must be the same, else the script says so and ends with 1.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.normpath(os.path.join(HERE, "..", "..", ".."))
READERS = ["email", "etl", "social", "ml"]

CARGO = """[package]
name = "readers"
version = "0.0.0"
edition = "2024"

[workspace]

[dependencies]
chrono = {{ version = "0.4", default-features = false, features = ["std", "clock"] }}
chrono-tz = {{ version = "0.10", default-features = false, features = ["std"] }}
futures-util = {{ version = "0.3", default-features = false, features = ["std"] }}
mkt-email = {{ path = "{tree}/mkt-email", default-features = false }}
mkt-etl = {{ path = "{tree}/mkt-etl", default-features = false }}
mkt-ml = {{ path = "{tree}/mkt-ml", default-features = false }}
mkt-social = {{ path = "{tree}/mkt-social", default-features = false }}
rust_decimal = {{ version = "1", default-features = false }}
tokio = {{ version = "1", default-features = false, features = ["rt", "time"] }}
"""


def build(tree, api, project, target):
    """Builds main.rs against the crates of a checkout; returns the program."""
    os.makedirs(os.path.join(project, "src"), exist_ok=True)
    with open(os.path.join(project, "Cargo.toml"), "w") as file:
        file.write(CARGO.format(tree=os.path.abspath(tree)))
    shutil.copy(os.path.join(tree, "Cargo.lock"), os.path.join(project, "Cargo.lock"))
    shutil.copy(os.path.join(HERE, "main.rs"), os.path.join(project, "src", "main.rs"))
    shutil.copy(os.path.join(HERE, api), os.path.join(project, "src", "api.rs"))
    # Dependencies are the same for both and compiled once; the crates differ by their paths.
    environment = dict(os.environ, CARGO_TARGET_DIR=target)
    subprocess.check_call(["cargo", "build", "--release", "--quiet"], cwd=project, env=environment)
    program = os.path.join(project, "readers")
    shutil.copy(os.path.join(target, "release", "readers"), program)
    return program


def stamp(second):
    minutes, s = divmod(second, 60)
    hours, m = divmod(minutes, 60)
    days, h = divmod(hours, 24)
    return f"2026-{1 + days // 28:02}-{1 + days % 28:02} {h:02}:{m:02}:{s:02}"


def make(reader, path, rows, seed):
    chance = random.Random(f"{seed} {reader}")
    first = ["Zoé", "Jean-Luc", "Anna", "Léa", "Max", "Chloé", "Noé", "Inès"]
    with open(path, "w", encoding="utf-8", newline="") as out:
        if reader == "email":
            out.write("email,prenom,date_inscription\n")
            for row in range(rows):
                number = chance.randrange(rows) if chance.random() < 0.02 else row
                name = chance.choice(first)
                quoted = f'"{name}"' if chance.random() < 0.2 else name
                day = f"2026-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}"
                out.write(f"person{number}@{'shop' if row % 3 else 'mail'}.example,{quoted},{day}\n")
        elif reader == "etl":
            out.write("event_id,user_id,event_type,timestamp,channel,revenue,properties\n")
            kinds = ["page_view"] * 6 + ["product_view", "add_to_cart", "purchase"]
            channels = ["organic", "paid", "email", "social", "direct"]
            for row in range(rows):
                kind = chance.choice(kinds)
                amount = f"{chance.randrange(100, 20000) / 100:.2f}" if kind == "purchase" else "0"
                url = f"https://shop.example/p/{chance.randrange(5000)}"
                properties = f'"{{""url"": ""{url}"", ""session_id"": ""s{row // 8}""}}"'
                when = stamp(row * 28 * 86400 // rows)
                out.write(f"e{row},u{chance.randrange(rows // 5 + 1)},{kind},{when},{chance.choice(channels)},{amount},{properties}\n")
        elif reader == "social":
            out.write("post_id,platform,published_at,type,message,likes,comments,shares,saves,reach,impressions\n")
            for row in range(rows):
                when = stamp(chance.randrange(300 * 86400)).replace(" ", "T") + "Z"
                reach = chance.randrange(50, 100000)
                text = f'"Post {row}, about tea"' if row % 4 else f"Thé n° {row}"
                counts = ",".join(str(chance.randrange(reach // 5 + 1)) for _ in range(4))
                kind = chance.choice(["photo", "video", "link"])
                out.write(f"{row},{chance.choice(['facebook', 'instagram'])},{when},{kind},{text},{counts},{reach},{reach * 2}\n")
        else:
            numbers, words = 12, 4
            names = [f"x{n}" for n in range(numbers)] + [f"c{n}" for n in range(words)] + ["converted"]
            out.write(",".join(names) + "\n")
            for _ in range(rows):
                cells = [f"{chance.gauss(0, 100):.4f}" for _ in range(numbers - 4)]
                cells += [str(chance.randrange(1000)) for _ in range(4)]
                cells += [chance.choice(["mobile", "desktop", "tablet", ""]) for _ in range(words)]
                out.write(",".join(cells) + f",{int(chance.random() < 0.1)}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--old", required=True, help="a checkout of the old build")
    parser.add_argument("--new", default=ROOT, help="a checkout of the new build (default: this one)")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", action="append", choices=READERS)
    parser.add_argument("--work", default="/tmp/mkt-readers", help="folder for the projects and the files")
    arguments = parser.parse_args()
    os.makedirs(arguments.work, exist_ok=True)
    target = os.path.join(arguments.work, "target")
    sides = {}
    for side, tree in (("old", arguments.old), ("new", arguments.new)):
        project = os.path.join(arguments.work, side)
        sides[side] = build(tree, f"api_{side}.rs", project, target)
    answer, agree = {"rows": arguments.rows, "pairs": arguments.pairs}, True
    for reader in arguments.only or READERS:
        path = os.path.join(arguments.work, f"{reader}-{arguments.rows}-{arguments.seed}.csv")
        if not os.path.exists(path):
            make(reader, path + ".part", arguments.rows, arguments.seed)
            os.rename(path + ".part", path)
        runs = {side: [] for side in sides}
        for _ in range(arguments.pairs):
            for side, program in sides.items():
                runs[side].append(json.loads(subprocess.check_output([program, reader, path])))
        ratios = [old["cpu"] / new["cpu"] for old, new in zip(runs["old"], runs["new"])]
        told = {side: {key: round(statistics.median(run[key] for run in told), 3) for key in ("cpu", "wall", "peak_mb")}
                for side, told in runs.items()}
        seen = {side: runs[side][0]["seen"] for side in sides}
        agree &= seen["old"] == seen["new"]
        answer[reader] = told | {
            "cpu_ratio": round(statistics.median(ratios), 2),
            "cpu_ratios": [round(ratio, 2) for ratio in ratios],
            "seen": seen["new"] if seen["old"] == seen["new"] else seen,
        }
        print(reader, json.dumps(answer[reader]), file=sys.stderr)
    print(json.dumps(answer, indent=2))
    sys.exit(0 if agree else 1)


if __name__ == "__main__":
    main()
