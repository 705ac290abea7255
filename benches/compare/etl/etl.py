#!/usr/bin/env python3
"""Pages of a Matomo into SQLite and PostgreSQL through mkt-etl and through dlt; README.md says how to read it.

    cargo build --release -p mkt-benches --bin etl_flow
    pip install "dlt[postgres,sqlalchemy]"
    benches/compare/etl/etl.py [--days 10] [--visits 2000] [--repeat 5] [--folder DIR] [--postgres URL] [--python PYTHON]

The URL may also stand in MKT_BENCH_POSTGRES; the script creates and drops the schemas mkt_bench_etl and
mkt_bench_etl_dlt there. `--python` names the interpreter that has dlt.
"""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "warehouse"))
from load import ROOT, Server, run  # noqa: E402

TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
PROGRAM = str(TARGET / "release" / "etl_flow")
OURS, THEIRS = "mkt_bench_etl", "mkt_bench_etl_dlt"


class Bench:
    def __init__(self, options, folder, host):
        self.options, self.folder, self.host = options, folder, host
        self.server = Server(options.postgres) if options.postgres else None

    def cpu(self, postgres):
        return self.server.cpu() if postgres else 0.0

    def timed(self, arguments, postgres):
        """Rows, wall seconds as the program tells them, CPU seconds of it and of PostgreSQL."""
        before = self.cpu(postgres)
        try:
            # dlt looks for settings where it is run.
            told = json.loads(run(arguments, cwd=self.folder)[0].strip().split("\n")[-1])
        except subprocess.CalledProcessError as error:
            sys.exit(f"{arguments[:2]} failed:\n{error.stderr[-2_000:]}")
        after = self.cpu(postgres)
        cpu = None if before is None or after is None else told["cpu_s"] + after - before
        return told["rows"], told["wall_s"], cpu

    def ours(self, postgres):
        if postgres:
            self.server.sql(f"drop schema if exists {OURS} cascade; create schema {OURS}")
            self.server.sql("checkpoint")
            mark = "&" if "?" in self.server.url else "?"
            url = f"{self.server.url}{mark}options[search_path]={OURS}"
        else:
            for file in self.folder.glob("ours.db*"):
                file.unlink()
            url = f"sqlite:{self.folder / 'ours.db'}"
        return self.timed([PROGRAM, "run", "--days", str(self.options.days), "--visits", str(self.options.visits),
                           "--page", str(self.options.page), "--server", self.host, "--warehouse", url], postgres)

    def dlt(self, postgres, columns, write, tuned):
        place = self.folder / "dlt"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        if postgres:
            self.server.sql(f"drop schema if exists {THEIRS} cascade")
            self.server.sql(f"drop schema if exists {THEIRS}_staging cascade")
            self.server.sql("checkpoint")
            where = ["--destination", "postgres", "--url", self.server.url, "--dataset", THEIRS]
        else:
            where = ["--destination", "sqlalchemy", "--url", f"sqlite:///{place / 'theirs.db'}", "--dataset", "main"]
        more = ["--tuned"] if tuned else []
        return self.timed([self.options.python, str(HERE / "etl_dlt.py"), "--server", self.host, "--days",
                           str(self.options.days), "--page", str(self.options.page), "--folder", str(place / "state"),
                           "--columns", columns, "--write", write, *where, *more], postgres)


def show(title, times):
    ours = next(iter(times.values()))
    print(f"\n{title}")
    print(f"{'':36}{'rows':>9}{'rows/s':>10}{'wall s: median (min-max)':>28}{'cpu s':>8}{'wall / ours':>13}{'cpu / ours':>12}")
    lost = 0
    for name, turns in times.items():
        walls = [wall for _, wall, _ in turns]
        rows, median = turns[0][0], statistics.median(walls)
        # Turn by turn: the machine's speed drifts.
        ratio = statistics.median(a[1] / b[1] for a, b in zip(turns, ours))
        known = all(cpu is not None for _, _, cpu in turns + ours)
        cpu = f"{statistics.median(cpu for _, _, cpu in turns):.2f}" if known else "-"
        cpus = f"{statistics.median(a[2] / b[2] for a, b in zip(turns, ours)):.2f}" if known else "-"
        behind = turns is not ours and ratio < 1
        lost += behind
        spread = f"{median:.2f} ({min(walls):.2f}-{max(walls):.2f})"
        print(f"{name:36}{rows:>9,}{rows / median:>10,.0f}{spread:>28}{cpu:>8}{ratio:>12.2f}{'*' if behind else ' '}{cpus:>12}")
    sys.stdout.flush()
    return lost


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--days", type=int, default=10)
    parser.add_argument("--visits", type=int, default=2_000, help="of a day")
    parser.add_argument("--page", type=int, default=500, help="visits in one request")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--folder", help="where files are made; a temporary folder unless told")
    parser.add_argument("--postgres", default=os.environ.get("MKT_BENCH_POSTGRES"))
    parser.add_argument("--python", default=sys.executable)
    options = parser.parse_args()
    has_dlt = subprocess.run([options.python, "-c", "import dlt"], capture_output=True).returncode == 0
    if not has_dlt:
        print(f"left out, because it is missing: dlt in {options.python}")
    if not options.postgres or not shutil.which("psql"):
        options.postgres = None
        print("left out, because it is missing: a PostgreSQL server (--postgres), or psql")
    pages = subprocess.Popen([PROGRAM, "serve", "--days", str(options.days), "--visits", str(options.visits)],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    lost = 0
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        bench = Bench(options, pathlib.Path(folder), f"127.0.0.1:{pages.stdout.readline().strip()}")
        for postgres in [False, True] if options.postgres else [False]:
            ways = {"mkt-etl": lambda: bench.ours(postgres)}
            if has_dlt:
                ways["dlt, all columns, append"] = lambda: bench.dlt(postgres, "all", "append", False)
                ways["dlt, our columns, append"] = lambda: bench.dlt(postgres, "picked", "append", False)
                ways["dlt, our columns, append, tuned"] = lambda: bench.dlt(postgres, "picked", "append", True)
                ways["dlt, our columns, merge, tuned"] = lambda: bench.dlt(postgres, "picked", "merge", True)
            times = {name: [] for name in ways}
            for turn in range(options.repeat):
                for name in list(ways) if turn % 2 == 0 else reversed(ways):
                    times[name].append(ways[name]())
            lost += show(f"{'PostgreSQL' if postgres else 'SQLite'}: {options.days} days of {options.visits:,} visits", times)
        if bench.server:
            for schema in (OURS, THEIRS, f"{THEIRS}_staging"):
                bench.server.sql(f"drop schema if exists {schema} cascade")
    told = json.loads(pages.communicate()[0].strip().split("\n")[-1])
    print(f"\npages served: {told['sent'] / 1e6:,.0f} MB, {told['cpu_s']:.1f} CPU seconds of their server, in no cell")
    print(f"cells lost by the library: {lost} (marked *)")


if __name__ == "__main__":
    main()
