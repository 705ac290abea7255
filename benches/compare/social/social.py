#!/usr/bin/env python3
"""Metrics and hours of many posts: `social_report` beside pandas and Polars; README.md says how to read it.

    cargo build --release -p mkt-examples --example social_report
    pip install pandas polars
    benches/compare/social/social.py [--posts 1000000] [--repeat 3]
"""
import argparse
import datetime
import importlib.util
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
ZONE = "Europe/Paris"
HEADER = "post_id,platform,published_at,type,text,likes,comments,shares,saves,reach,impressions,followers,paid\n"


def make(path, posts):
    """Two years of posts on two networks; 18 h in UTC does a tenth better."""
    random.seed(7)
    first = datetime.datetime(2024, 1, 1)
    with open(path, "w") as file:
        file.write(HEADER)
        for number in range(posts):
            at = first + datetime.timedelta(seconds=random.randrange(2 * 365 * 86_400))
            reach = int(random.lognormvariate(7.5, 0.9)) + 1
            likes = int(reach * random.lognormvariate(-3, 0.35) * (1.1 if at.hour == 18 else 1) * 0.8)
            told = "" if random.random() < 0.02 else reach
            file.write(
                f"p{number:08d},{random.choice(('facebook', 'instagram'))},{at.isoformat()}Z,"
                f"{random.choice(('photo', 'reel', 'video', 'link'))},Texte de la publication numero {number},"
                f"{likes},{likes // 10},{likes // 12},{likes // 15},{told},{int(reach * 1.3)},{8000 + number // 100},"
                f"{'true' if random.random() < 0.1 else 'false'}\n"
            )


def by_pandas(path):
    import pandas as pd

    posts = pd.read_csv(path)
    reached = posts[posts.reach > 0]
    rate = reached[["likes", "comments", "shares", "saves"]].sum(axis=1) / reached.reach
    hour = pd.to_datetime(reached.published_at, utc=True).dt.tz_convert(ZONE).dt.hour
    sums = (rate * reached.reach).sum()
    return answer(posts.reach.mean(), rate.mean(), sums / reached.reach.sum(), rate.groupby(hour).mean().to_dict())


def by_polars(path):
    import polars as pl

    count = pl.sum_horizontal("likes", "comments", "shares", "saves")
    rate = count / pl.col("reach")
    posts = pl.scan_csv(path, try_parse_dates=True)
    reached = posts.filter(pl.col("reach") > 0)
    hour = pl.col("published_at").dt.convert_time_zone(ZONE).dt.hour().alias("hour")
    mean, rates, sums, hours = pl.collect_all([
        posts.select(pl.col("reach").mean()),
        reached.select(rate.mean()),
        reached.select(count.sum() / pl.col("reach").sum()),
        reached.group_by(hour).agg(rate.mean().alias("rate")),
    ])
    return answer(mean.item(), rates.item(), sums.item(), dict(hours.iter_rows()))


def answer(reach, mean, ratio, hours):
    return {"reach": reach, "mean": mean, "ratio": ratio, "hours": {str(hour): rate for hour, rate in hours.items()}}


def ours(told):
    rate = told["engagement_rate"]["by_reach"]
    hours = {hour["hour"]: hour["mean"] for hour in told["best_hours"]["raw_ranking"]}
    return answer(told["average_reach"], rate["mean_of_ratios"], rate["ratio_of_sums"], hours)


def same(a, b):
    flat = lambda told: [told["reach"], told["mean"], told["ratio"], *(told["hours"][hour] for hour in sorted(told["hours"]))]
    return a["hours"].keys() == b["hours"].keys() and all(abs(x - y) <= 1e-9 * abs(y) for x, y in zip(flat(a), flat(b)))


def timed(command):
    """What a program printed; wall and CPU seconds; the most memory it had, in MB."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    printed = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{command[0]} failed")
    return printed, time.perf_counter() - begun, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--program", default=str(TARGET / "release" / "examples" / "social_report"))
    parser.add_argument("--peer", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peer:
        name, path = arguments.peer
        print(json.dumps({"pandas": by_pandas, "polars": by_polars}[name](path)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "posts.csv")
        make(path, arguments.posts)
        report = [arguments.program, "--posts", path, "--zone", ZONE, "--read-at", "2026-11-01T00:00:00Z", "--json"]
        sides = {"mkt-social": (report, lambda printed: ours(json.loads(printed)))}
        for peer in ("pandas", "polars"):
            if importlib.util.find_spec(peer) is None:
                print(f"left out: the Python package {peer} is missing", file=sys.stderr)
            else:
                sides[peer] = ([sys.executable, __file__, "--peer", peer, path], json.loads)
        runs, answers = {name: [] for name in sides}, {}
        for turn in range(arguments.repeat):
            names = list(sides)
            for name in names[turn % len(names):] + names[:turn % len(names)]:
                command, read = sides[name]
                printed, *used = timed(command)
                answers[name] = read(printed)
                runs[name].append(used)
        for name, told in answers.items():
            if not same(told, answers["mkt-social"]):
                sys.exit(f"{name} answers {told}, mkt-social {answers['mkt-social']}")
        size = os.path.getsize(path) / 1e6
    print(f"{arguments.posts} posts, {size:.0f} MB; {len(answers)} equal answers; {os.cpu_count()} processors")
    print(f"{'':12} {'wall s: median (least – most)':>32} {'CPU s':>8} {'MB':>7}   wall, CPU, memory / mkt-social's")
    base = [statistics.median(run[part] for run in runs["mkt-social"]) for part in range(3)]
    for name, told in runs.items():
        walls, cpus, peaks = zip(*told)
        middle = [statistics.median(part) for part in (walls, cpus, peaks)]
        ratios = "  ".join(f"{mine / ours:5.2f}{'*' if mine < ours else ' '}" for mine, ours in zip(middle, base))
        spread = f"{middle[0]:.2f} ({min(walls):.2f} – {max(walls):.2f})"
        print(f"{name:12} {spread:>32} {middle[1]:8.2f} {middle[2]:7.0f}   {ratios if name != 'mkt-social' else ''}")
    print("* lost by mkt-social")


if __name__ == "__main__":
    main()
