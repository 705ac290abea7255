#!/usr/bin/env python3
"""Times loads through the library beside each engine's own loader, on the same rows; README.md says how to read it.

    cargo build --release -p mkt-benches --bin warehouse_load
    benches/compare/warehouse/batch.py [--rows 1000000] [--repeat 5] [--shape narrow|events]
        [--folder DIR] [--postgres URL]

The URL may also stand in MKT_BENCH_POSTGRES; the script creates, empties and drops the schema mkt_bench_load there.
Peers that are missing (psql, sqlite3, the Python package duckdb) are left out and named.
"""
import argparse
import csv
import json
import os
import pathlib
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
SCHEMA = "mkt_bench_load"
COLUMNS = {
    "narrow": 'id bigint, user_id text, "at" timestamptz, kind text, amount decimal(10,2), load_id bigint',
    "events": "event_id bigint, user_id text, event_type text, timestamp timestamptz, channel text, "
    "revenue decimal(10,2), properties json, session_id text, campaign_id text, currency text, channel_detail text, "
    "seq bigint, source text, site text, day date, load_id bigint",
}


def run(arguments, **options):
    """Runs a program; gives its output and user + system seconds."""
    before = os.times()
    done = subprocess.run(arguments, check=True, capture_output=True, text=True, **options)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return done.stdout, cpu


class Server:
    """PostgreSQL's processes on this machine: what a load costs there is most of what it costs."""

    def __init__(self, url):
        self.url = url
        self.head = self.postmaster()

    @staticmethod
    def stat(path):
        try:
            head, tail = path.read_text().rsplit(")", 1)
        except OSError:
            return None
        return [head.split("(", 1)[1], *tail.split()]

    def postmaster(self):
        """Its process, if it runs here and its folder can be read."""
        try:
            folder = pathlib.Path(self.sql("show data_directory").strip())
            return (folder / "postmaster.pid").read_text().split("\n")[0]
        except OSError:
            return None

    def sql(self, text):
        return run(["psql", "-qAtX", "-v", "ON_ERROR_STOP=1", self.url, "-c", text])[0]

    def cpu(self):
        """Seconds of the server and all its processes so far; nothing where they cannot be seen."""
        if self.head is None:
            return None
        ticks = 0
        for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
            fields = self.stat(path)
            if fields is None:
                continue
            if path.parent.name == self.head:
                ticks += sum(int(x) for x in fields[12:16])
            elif fields[2] == self.head:
                ticks += sum(int(x) for x in fields[12:14])
        return ticks / os.sysconf("SC_CLK_TCK")


def fresh(folder):
    for name in folder.glob("load.*"):
        if name.suffix != ".csv":
            name.unlink()
    return folder / "load.db"


def ours_sqlite(bench, indexed):
    file = fresh(bench.folder)
    more = ["--indexed"] if indexed else []
    out, _ = run([bench.program, "load", "--warehouse", f"sqlite:{file}", *bench.what, *more])
    out = json.loads(out)
    return out["wall_s"], out["cpu_s"]


def prepared(bench, indexed):
    """A file with the library's own tables; without indexes, and the texts that make them again, unless they are kept."""
    file = fresh(bench.folder)
    run([bench.program, "migrate", "--warehouse", f"sqlite:{file}", "--shape", bench.shape])
    base = sqlite3.connect(file, isolation_level=None)
    base.execute("pragma journal_mode = wal")
    base.execute("pragma synchronous = normal")
    base.execute("pragma cache_size = -65536")
    base.execute("pragma temp_store = memory")
    aside = []
    if not indexed:
        found = base.execute(
            "select name, sql from sqlite_master where type = 'index' and tbl_name = ? and sql is not null",
            [bench.shape],
        ).fetchall()
        for name, text in found:
            base.execute(f'drop index "{name}"')
            aside.append(text)
    return file, base, aside


def names(shape):
    """The columns in the order of the rows; a table has those that a migration added last."""
    return ", ".join(column.split()[0] for column in COLUMNS[shape].split(", "))


def in_order_of_the_rows(file, shape):
    """The same table with its columns in the order of the CSV file: `.import` takes no other."""
    base = sqlite3.connect(file, isolation_level=None)
    kinds = {row[1]: (row[2], " not null" * row[3]) for row in base.execute(f"pragma table_info({shape})")}
    indexes = base.execute(
        "select sql from sqlite_master where type = 'index' and tbl_name = ? and sql is not null", [shape]
    ).fetchall()
    ordered = [name.strip('"') for name in names(shape).split(", ")]
    base.execute(f"drop table {shape}")
    columns = ", ".join(f'"{name}" {kinds[name][0]}{kinds[name][1]}' for name in ordered)
    base.execute(f"create table {shape} ({columns}) strict")
    for (text,) in indexes:
        base.execute(text)
    base.close()


def python_sqlite(bench, indexed):
    rows = bench.tuples()
    _, base, aside = prepared(bench, indexed)
    marks = ",".join("?" * len(rows[0]))
    wall, cpu = time.perf_counter(), time.process_time()
    base.execute("begin immediate")
    base.executemany(f"insert into {bench.shape} ({names(bench.shape)}) values ({marks})", rows)
    for text in aside:
        base.execute(text)
    base.execute("commit")
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    base.close()
    return wall, cpu


def sqlite_import(bench, indexed):
    file, base, aside = prepared(bench, indexed)
    base.close()
    if bench.shape == "events":
        in_order_of_the_rows(file, bench.shape)
    script = ["pragma synchronous = normal;", "pragma cache_size = -65536;", "pragma temp_store = memory;"]
    script += ["begin immediate;", f".import --csv {bench.csv('sqlite')} {bench.shape}"]
    script += [text + ";" for text in aside] + ["commit;"]
    wall = time.perf_counter()
    _, cpu = run(["sqlite3", "-bail", str(file)], input="\n".join(script))
    return time.perf_counter() - wall, cpu


def duckdb_csv(bench, _):
    import duckdb

    file = fresh(bench.folder).with_suffix(".duckdb")
    base = duckdb.connect(str(file))
    base.execute("set threads = 1")
    base.execute(f"create table {bench.shape} ({COLUMNS[bench.shape]})")
    wall, cpu = time.perf_counter(), time.process_time()
    base.execute(f"copy {bench.shape} from '{bench.csv('postgres')}' (header false)")
    base.execute("checkpoint")
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    base.close()
    return wall, cpu


def emptied(bench):
    bench.server.sql(f"truncate {SCHEMA}.{bench.shape}, {SCHEMA}.loads")
    bench.server.sql("checkpoint")


def ours_postgres(bench, _):
    emptied(bench)
    before = bench.server.cpu()
    out, _ = run([bench.program, "load", "--warehouse", bench.in_schema, *bench.what])
    out, after = json.loads(out), bench.server.cpu()
    return out["wall_s"], None if before is None else out["cpu_s"] + after - before


def psql_copy(bench, _):
    emptied(bench)
    before = bench.server.cpu()
    wall = time.perf_counter()
    table = f"{SCHEMA}.{bench.shape}"
    _, cpu = run(["psql", "-qX", bench.server.url, "-c", f"\\copy {table} ({names(bench.shape)}) from '{bench.csv('postgres')}' csv"])
    wall, after = time.perf_counter() - wall, bench.server.cpu()
    return wall, None if before is None else cpu + after - before


class Bench:
    def __init__(self, shape, rows, folder, server):
        self.program = str(TARGET / "release" / "warehouse_load")
        self.shape, self.rows, self.folder, self.server = shape, rows, folder, server
        self.what = ["--shape", shape, "--rows", str(rows)]
        self.made, self.held = {}, None
        if server:
            mark = "&" if "?" in server.url else "?"
            self.in_schema = f"{server.url}{mark}options[search_path]={SCHEMA}"

    def csv(self, kind):
        if kind not in self.made:
            path = self.folder / f"load.{self.shape}.{kind}.csv"
            more = ["--sqlite"] if kind == "sqlite" else []
            run([self.program, "csv", *self.what, "--out", str(path), *more])
            self.made[kind] = path
        return self.made[kind]

    def tuples(self):
        """The rows as Python's values, read once, outside of what is timed."""
        if self.held is None:
            whole = [("bigint" in c or "timestamptz" in c or "decimal" in c) for c in COLUMNS[self.shape].split(", ")]
            with open(self.csv("sqlite"), newline="") as file:
                self.held = [
                    tuple(None if x == "" else int(x) if w else x for x, w in zip(row, whole))
                    for row in csv.reader(file)
                ]
        return self.held


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--shape", choices=list(COLUMNS), action="append")
    parser.add_argument("--folder", help="where files are made; a temporary folder unless told")
    parser.add_argument("--postgres", default=os.environ.get("MKT_BENCH_POSTGRES"))
    options = parser.parse_args()
    missing = [name for name in ("psql", "sqlite3") if not shutil.which(name)]
    try:
        import duckdb  # noqa: F401
    except ImportError:
        missing.append("duckdb")
    if not options.postgres:
        missing.append("a PostgreSQL server (--postgres)")
    if missing:
        print("left out, because it is missing:", ", ".join(missing))
    server = Server(options.postgres) if options.postgres and "psql" not in missing else None
    lost = 0
    for shape in options.shape or list(COLUMNS):
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            lost += compare(Bench(shape, options.rows, pathlib.Path(folder), server), options.repeat, missing)
    print(f"\ncells lost by the library: {lost} (marked *)")


def compare(bench, repeat, missing):
    cells = [
        ("sqlite, indexes after the rows", [("mkt-warehouse", ours_sqlite, False),
                                            ("Python sqlite3 executemany", python_sqlite, False),
                                            ("sqlite3 .import", sqlite_import, False)]),
        ("sqlite, indexes kept up row by row", [("mkt-warehouse", ours_sqlite, True),
                                                ("Python sqlite3 executemany", python_sqlite, True),
                                                ("sqlite3 .import", sqlite_import, True)]),
        ("duckdb, no index, one thread (another kind of engine)", [("mkt-warehouse into sqlite", ours_sqlite, False),
                                                        ("DuckDB copy from CSV", duckdb_csv, False)]),
    ]
    if bench.server:
        bench.server.sql(f"drop schema if exists {SCHEMA} cascade; create schema {SCHEMA}")
        run([bench.program, "migrate", "--warehouse", bench.in_schema, "--shape", bench.shape])
        cells.append(("postgres, the same indexed table", [("mkt-warehouse", ours_postgres, None),
                                                           ("psql \\copy", psql_copy, None)]))
    lost = 0
    for title, ways in cells:
        ways = [way for way in ways if not (way[1] is sqlite_import and "sqlite3" in missing)
                and not (way[1] is duckdb_csv and "duckdb" in missing)]
        if len(ways) < 2:
            continue
        times = {name: [] for name, _, _ in ways}
        for turn in range(repeat):
            for name, way, indexed in ways if turn % 2 == 0 else reversed(ways):
                times[name].append(way(bench, indexed))
        lost += show(bench, title, times)
    if bench.server:
        bench.server.sql(f"drop schema {SCHEMA} cascade")
    return lost


def show(bench, title, times):
    names = list(times)
    median = {name: statistics.median(wall for wall, _ in times[name]) for name in names}
    print(f"\n{bench.shape}, {bench.rows:,} rows: {title}")
    print(f"{'':32}{'rows/s':>10}{'wall s: median (min-max)':>28}{'cpu s':>8}{'wall / ours':>13}{'cpu / ours':>12}")
    ours_cpu = None
    lost = 0
    for name in names:
        walls = [wall for wall, _ in times[name]]
        cpus = [cpu for _, cpu in times[name] if cpu is not None]
        cpu = statistics.median(cpus) if cpus else None
        ours_cpu = cpu if name is names[0] else ours_cpu
        # Turn by turn: the machine's speed drifts.
        ratio = statistics.median(a / b for (a, _), (b, _) in zip(times[name], times[names[0]]))
        behind = name is not names[0] and ratio < 1
        lost += behind
        spread = f"{median[name]:.2f} ({min(walls):.2f}-{max(walls):.2f})"
        cpu_text = "-" if cpu is None else f"{cpu:.2f}"
        cpu_ratio = "-" if cpu is None or not ours_cpu else f"{cpu / ours_cpu:.2f}"
        mark = "*" if behind else " "
        print(f"{name:32}{bench.rows / median[name]:>10,.0f}{spread:>28}{cpu_text:>8}{ratio:>12.2f}{mark}{cpu_ratio:>11}")
    sys.stdout.flush()
    return lost


if __name__ == "__main__":
    main()
