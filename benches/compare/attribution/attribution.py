#!/usr/bin/env python3
"""Attribution and lifetime value of mkt-ml beside ChannelAttribution and lifetimes: whole processes, which read a file,
compute and print, one after the other; processor seconds and peak memory as the system counts them.

    cargo build --release -p mkt-benches --features ml --bin attribution_models
    python3 -m venv venv && venv/bin/pip install ChannelAttribution lifetimes
    venv/bin/python benches/compare/attribution/attribution.py [--repetitions 3] [--paths 1000000] [--customers 1000000]

`--program FILE` names the Rust program elsewhere. `--large` also runs mkt-ml alone over 10 million paths of 30 channels
at order 3. Ratios are the peer's median over ours: above 1, mkt-ml is ahead. `beyond input` is peak memory less the size
of the file.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

import numpy as np

CHANNELS = ["search", "email", "direct", "social", "display", "affiliate", "video", "referral", "push", "sms"]
MARKOV = """
import pandas, json, sys
import ChannelAttribution as ca
d = pandas.read_csv(sys.argv[1])
r = ca.markov_model(d, "path", "conversions", var_value="value", var_null="nulls", order=int(sys.argv[2]), seed=0,
                    ncore=1, verbose=False)
print(r.to_json())
"""
RULES = """
import pandas, json, sys
import ChannelAttribution as ca
d = pandas.read_csv(sys.argv[1])
print(ca.heuristic_models(d, "path", "conversions", var_value="value").to_json())
"""
BOTH = MARKOV + """
print(ca.heuristic_models(d, "path", "conversions", var_value="value").to_json())
"""
FIT = """
import pandas, sys, warnings
warnings.filterwarnings("ignore")
from lifetimes import BetaGeoFitter
d = pandas.read_csv(sys.argv[1])
f = BetaGeoFitter(penalizer_coef=0.0)
f.fit(d["frequency"], d["recency"], d["T"])
print(f.params_.to_json())
"""


def write_paths(file, rows, channels, seed):
    """Paths of 1 to 20 touches, 3.85 in the mean; one in twelve converts."""
    rng = np.random.default_rng(seed)
    names = CHANNELS if channels == len(CHANNELS) else [f"channel{at}" for at in range(channels)]
    names = np.array(names)
    weights = 1.0 / np.arange(1, channels + 1) ** 0.8
    with open(file, "w", encoding="utf-8") as out:
        out.write("path,conversions,value,nulls\n")
        for start in range(0, rows, 100_000):
            count = min(100_000, rows - start)
            lengths = np.minimum(rng.geometric(1 / 3.9, count), 20)
            touches = names[rng.choice(channels, lengths.sum(), p=weights / weights.sum())]
            sales = rng.random(count) < 0.05 + 0.01 * lengths
            values = np.round(rng.gamma(2, 30, count), 2)
            at = 0
            lines = []
            for length, sale, value in zip(lengths, sales, values):
                path = " > ".join(touches[at : at + length])
                at += length
                lines.append(f"{path},1,{value},0\n" if sale else f"{path},0,0,1\n")
            out.writelines(lines)


def write_customers(file, count, seed):
    """BG/NBD with the parameters of CDNOW, in weeks, days as fractions; observed 40 to 80 weeks."""
    rng = np.random.default_rng(seed)
    r, alpha, a, b = 0.242593, 4.413532, 0.792886, 2.425752
    rate, p = rng.gamma(r, 1 / alpha, count), rng.beta(a, b, count)
    observed = rng.integers(280, 560, count) / 7
    with open(file, "w", encoding="utf-8") as out:
        out.write("frequency,recency,T\n")
        for lam, q, end in zip(rate, p, observed):
            time, last, repeats = 0.0, 0.0, 0
            while True:
                time += rng.exponential(1 / lam) if lam > 0 else 1e9
                day = np.ceil(time * 7) / 7
                if day > end:
                    break
                # Two purchases on one day are one.
                if day > last:
                    last, repeats = day, repeats + 1
                if rng.random() < q:
                    break
            out.write(f"{repeats},{last:.6f},{end:.6f}\n")


def run(command):
    """Standard output, processor seconds and peak memory in MB of one process."""
    read, write = os.pipe()
    child = subprocess.Popen(command, stdout=write, stderr=subprocess.DEVNULL)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        output = pipe.read()
    _, status, usage = os.wait4(child.pid, 0)
    if status != 0:
        raise SystemExit(f"failed: {' '.join(command)[:200]}")
    return output, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6


def compare(name, ours, theirs, file, repetitions):
    """Runs both in turns and prints their medians."""
    taken = {"mkt-ml": [], "peer": []}
    output = {}
    for _ in range(repetitions):
        for who, command in (("mkt-ml", ours), ("peer", theirs)):
            if command:
                output[who], seconds, memory = run(command)
                taken[who].append((seconds, memory))
    size = os.path.getsize(file) / 1e6
    line = {"what": name, "file_mb": round(size, 1), "repetitions": repetitions}
    for who, runs in taken.items():
        if runs:
            seconds = [run[0] for run in runs]
            line[who] = {
                "cpu_s": round(statistics.median(seconds), 3),
                "cpu_s_all": [round(one, 3) for one in seconds],
                "peak_mb": round(max(run[1] for run in runs), 1),
                "beyond_input_mb": round(max(run[1] for run in runs) - size, 1),
            }
    if taken["peer"]:
        line["ratio"] = round(line["peer"]["cpu_s"] / line["mkt-ml"]["cpu_s"], 1)
    print(json.dumps(line), flush=True)
    return output


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", default="target/release/attribution_models")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--paths", type=int, default=1_000_000)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    ours, python, repetitions = arguments.program, sys.executable, arguments.repetitions
    with tempfile.TemporaryDirectory() as folder:
        paths, customers = os.path.join(folder, "paths.csv"), os.path.join(folder, "customers.csv")
        if arguments.only in ("", "paths"):
            write_paths(paths, arguments.paths, 10, 1)
            rows = f"{arguments.paths} paths, 10 channels"
            for order in (1, 2, 3):
                mine = [ours, "credits", paths, "--models", "markov", "--order", str(order)]
                compare(f"{rows}: Markov order {order}", mine, [python, "-c", MARKOV, paths, str(order)], paths, repetitions)
            mine = [ours, "credits", paths, "--models", "rules"]
            compare(f"{rows}: first, last, linear", mine, [python, "-c", RULES, paths], paths, repetitions)
            mine = [ours, "credits", paths, "--models", "markov,rules"]
            output = compare(f"{rows}: Markov order 1 and rules", mine, [python, "-c", BOTH, paths, "1"], paths, repetitions)
            credits = dict(json.loads(output["mkt-ml"])["answers"][0]["credits"])
            # The package prints notices first.
            peer = json.loads(next(line for line in output["peer"].splitlines() if line.startswith(b"{")))
            named = {peer["channel_name"][key]: peer["total_conversions"][key] for key in peer["channel_name"]}
            off = max(abs(named[name] / credits[name] - 1) for name in credits)
            print(json.dumps({"what": "largest relative difference of Markov credits", "value": round(off, 5)}))
        if arguments.only in ("", "fit"):
            write_customers(customers, arguments.customers, 2)
            output = compare(
                f"{arguments.customers} customers: BG/NBD", [ours, "fit", customers], [python, "-c", FIT, customers],
                customers, repetitions,
            )
            found = json.loads(output["mkt-ml"])["parameters"]
            peer = json.loads(output["peer"])
            off = max(abs(peer[name] / value - 1) for name, value in zip(["r", "alpha", "a", "b"], found))
            print(json.dumps({"what": "largest relative difference of parameters", "value": round(off, 7)}))
        if arguments.large:
            write_paths(paths, 10_000_000, 30, 3)
            mine = [ours, "credits", paths, "--models", "markov", "--order", "3"]
            compare("10 million paths, 30 channels: Markov order 3", mine, None, paths, 1)


if __name__ == "__main__":
    main()
