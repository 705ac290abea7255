#!/usr/bin/env python3
"""The course's questions, asked of the same rows by our reports and by what a user would pick instead.

    python3 benches/compare/warehouse/reports.py                      # a million events, some minutes
    python3 benches/compare/warehouse/reports.py --events 10000000    # ten million, half an hour

Answers are compared first; then everybody answers in turn, round after round. CPU seconds are those of all processes that
work for the answer (client and server), wall seconds are the client's. See README.md beside this file.
"""

import argparse
import json
import os
import pathlib
import pwd
import re
import shutil
import sqlite3
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
ZONE = "Europe/Paris"
TICK = os.sysconf("SC_CLK_TCK")
INDEXED = ("events", "sessions")

# The course's SQL, over the columns that the course names. Only the cohort needs a table that the course has not: users.
NAIVE = {
    "conversion_by_channel": """
        select channel, count(distinct case when converted then user_id end) * 100.0 / count(distinct user_id)
        from sessions group by channel""",
    "arpu": "select sum(revenue) / count(distinct user_id) from events",
    "top_hours": """
        select extract(hour from start_time at time zone 'Europe/Paris') as hour,
            sum(case when converted then 1 else 0 end) * 100.0 / count(*) as rate
        from sessions group by 1 order by rate desc limit 5""",
    "cohort_retention": """
        with cohorts as (
            select user_id, date_trunc('month', signed_up_at at time zone 'Europe/Paris') as cohort from users
        )
        select c.cohort, date_trunc('month', s.start_time at time zone 'Europe/Paris') as month,
            count(distinct s.user_id) as active
        from cohorts c join sessions s on s.user_id = c.user_id
        group by 1, 2""",
}
# SQLite has neither zones nor date_trunc: the process runs in the zone, and months are texts.
NAIVE_SQLITE = NAIVE | {
    "top_hours": """
        select cast(strftime('%H', start_time / 1000000, 'unixepoch', 'localtime') as integer) as hour,
            sum(converted) * 100.0 / count(*) as rate
        from sessions group by 1 order by rate desc limit 5""",
    "cohort_retention": """
        with cohorts as (
            select user_id, strftime('%Y-%m', signed_up_at / 1000000, 'unixepoch', 'localtime') as cohort from users
        )
        select c.cohort, strftime('%Y-%m', s.start_time / 1000000, 'unixepoch', 'localtime') as month,
            count(distinct s.user_id) as active
        from cohorts c join sessions s on s.user_id = c.user_id
        group by 1, 2""",
    "arpu": "select sum(revenue) / 100.0 / count(distinct user_id) from events",
}


def cpu_of(pid):
    """User and system seconds of a process."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


class Ours:
    """Our reports, in a process of their own that stays connected."""

    def __init__(self, program, url, server=None):
        self.server = server
        self.process = subprocess.Popen(
            [program, "ask", "--warehouse", url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def cpu(self):
        return cpu_of(self.process.pid) + (self.server.cpu() if self.server else 0)

    def ask(self, question):
        self.process.stdin.write(question + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"our report {question} failed")
        return json.loads(line)

    def answer(self, question):
        rows = self.ask(question)["rows"]
        if question == "conversion_by_channel":
            return {row[0]: row[3] for row in rows}
        if question == "arpu":
            return {"arpu": rows[0][3]}
        if question == "top_hours":
            return {row[0]: row[3] for row in rows}
        cell = lambda cohort, k: (cohort[:7], month_after(cohort[:7], k))
        return {cell(row[0], row[1]): row[3] for row in rows if row[3]}

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def month_after(month, k):
    count = int(month[:4]) * 12 + int(month[5:]) - 1 + k
    return f"{count // 12:04}-{count % 12 + 1:02}"


def shaped(question, rows):
    """Rows of plain SQL in the form of Ours.answer."""
    if question == "arpu":
        return {"arpu": float(rows[0][0])}
    if question == "cohort_retention":
        return {(str(row[0])[:7], str(row[1])[:7]): int(row[2]) for row in rows}
    if question == "top_hours":
        return {int(row[0]): float(row[1]) for row in rows}
    return {row[0]: float(row[1]) for row in rows}


class Server:
    """A throw-away PostgreSQL."""

    def __init__(self, folder, binaries, locale):
        self.binaries, self.data, self.port = pathlib.Path(binaries), folder / "postgres", 25987
        self.as_user = []
        if os.geteuid() == 0:
            # The server refuses to run as root.
            account = pwd.getpwnam("postgres")
            self.data.mkdir()
            os.chown(self.data, account.pw_uid, account.pw_gid)
            os.chmod(folder, 0o755)
            self.as_user = ["runuser", "-u", "postgres", "--"]
        self.run("initdb", "-D", self.data, "-U", "mkt", "-A", "trust", "-E", "UTF8", f"--locale={locale}")
        options = (
            f"-c listen_addresses=127.0.0.1 -c unix_socket_directories='' -p {self.port} -c shared_buffers=1GB "
            "-c max_wal_size=8GB -c autovacuum=off"
        )
        self.run("pg_ctl", "-D", self.data, "-w", "-l", self.data / "log", "-o", options, "start")
        self.pid = int((self.data / "postmaster.pid").read_text().split()[0])
        self.url = f"postgres://mkt@127.0.0.1:{self.port}/postgres"

    def run(self, program, *arguments):
        command = [*self.as_user, str(self.binaries / program), *map(str, arguments)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")

    def psql(self, *commands):
        arguments = [part for command in commands for part in ("-c", command)]
        program = [str(self.binaries / "psql"), self.url, "-qAt", "-v", "ON_ERROR_STOP=1", *arguments]
        return subprocess.run(program, check=True, capture_output=True, text=True).stdout

    def cpu(self):
        """Of all its processes: those that live, and those that ended, which the first one has waited for."""
        total = 0
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(stat.parent.name) == self.pid:
                total += int(fields[13]) + int(fields[14])
            elif int(fields[1]) == self.pid:
                total += int(fields[11]) + int(fields[12])
        return total / TICK

    def fill(self, program, csv):
        """The tables and indexes of the library, filled by COPY; indexes are built after the rows."""
        subprocess.run([program, "migrate", "--warehouse", self.url], check=True)
        tables = ", ".join(f"'{table}'" for table in INDEXED)
        where = f"schemaname = 'public' and tablename in ({tables})"
        indexes = self.psql(f"select indexdef from pg_indexes where {where} and indexname not like '%_pkey'").splitlines()
        names = self.psql(f"select indexname from pg_indexes where {where} and indexname not like '%_pkey'").splitlines()
        keys = {"events": "event_id", "sessions": "session_id"}
        self.psql(*(f"drop index {name}" for name in names))
        self.psql(*(f"alter table {table} drop constraint {table}_pkey" for table in INDEXED))
        for table in ("sites", "users", "identities", "campaigns", "costs", "sessions", "events"):
            # Named: columns that a migration added stand last in the table.
            with open(csv / f"{table}.csv", encoding="utf-8") as file:
                columns = file.readline().strip()
            self.psql(f"\\copy {table} ({columns}) from '{csv}/{table}.csv' csv header")
        # As the library does it with every load; the rows did not come through it.
        self.psql(
            "insert into session_quarters (quarter, sessions, converted_sessions, source, site, day, load_id) "
            "select date_bin(interval '15 minutes', start_time, to_timestamp(0)), count(*), sum(converted::int), source, "
            "site, day, load_id from sessions where bot is null group by 1, source, site, day, load_id"
        )
        self.psql(
            "set maintenance_work_mem = '512MB'",
            *indexes,
            *(f"alter table {table} add primary key ({key})" for table, key in keys.items()),
        )
        self.psql("vacuum analyze")
        self.psql("checkpoint")

    def stop(self):
        self.run("pg_ctl", "-D", self.data, "-m", "immediate", "stop")


class Sql:
    """Plain SQL over an open connection of this process."""

    def __init__(self, cursor, texts, server=None):
        self.cursor, self.texts, self.server = cursor, texts, server

    def cpu(self):
        return time.process_time() + (self.server.cpu() if self.server else 0)

    def answer(self, question):
        self.cursor.execute(self.texts[question])
        return shaped(question, self.cursor.fetchall())

    def close(self):
        pass


class Polars:
    """The same questions as lazy frames over Parquet."""

    def __init__(self, polars, folder):
        self.pl, self.folder = polars, folder

    def cpu(self):
        return time.process_time()

    def answer(self, question):
        pl = self.pl
        scan = lambda table: pl.scan_parquet(self.folder / f"{table}.parquet")
        local = lambda column: pl.col(column).dt.convert_time_zone(ZONE)
        if question == "conversion_by_channel":
            won = pl.col("user_id").filter(pl.col("converted")).n_unique()
            rate = won * 100.0 / pl.col("user_id").n_unique()
            rows = scan("sessions").group_by("channel").agg(rate.alias("rate"))
        elif question == "arpu":
            rows = scan("events").select(pl.col("revenue").sum().cast(pl.Float64) / pl.col("user_id").n_unique())
        elif question == "top_hours":
            hours = scan("sessions").group_by(local("start_time").dt.hour().alias("hour"))
            rows = hours.agg((pl.col("converted").sum() * 100.0 / pl.len()).alias("rate")).top_k(5, by="rate")
        else:
            month = lambda column: local(column).dt.strftime("%Y-%m")
            cohorts = scan("users").select("user_id", month("signed_up_at").alias("cohort"))
            visits = scan("sessions").select("user_id", local("start_time").dt.truncate("1mo").alias("month"))
            joined = visits.join(cohorts, on="user_id")
            rows = joined.group_by("cohort", "month").agg(pl.col("user_id").n_unique())
        return shaped(question, rows.collect().rows())

    def close(self):
        pass


def same(a, b):
    """Whether two answers agree; rates to nine digits, since engines divide in different types."""
    return a.keys() == b.keys() and all(abs(a[key] - b[key]) <= 1e-6 * max(1, abs(b[key])) for key in a)


def measured(contender, question):
    cpu, wall = contender.cpu(), time.perf_counter()
    contender.answer(question)
    return time.perf_counter() - wall, contender.cpu() - cpu


def shown(values):
    return f"{statistics.median(values):8.3f} [{min(values):.3f} – {max(values):.3f}]"


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--events", type=int, default=1_000_000)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--postgres", default="/usr/lib/postgresql/15/bin", help="folder of initdb and psql")
    arguments.add_argument("--locale", default="C", help="of the throw-away cluster; the tables sort by bytes anyway")
    arguments.add_argument("--program", help="a warehouse_reports that is built already")
    arguments.add_argument("--tmp", help="where the data go; twice their size is needed")
    options = arguments.parse_args()

    import duckdb
    import polars
    import psycopg2

    os.environ["TZ"] = ZONE
    time.tzset()
    program = options.program
    if not program:
        build = ["cargo", "build", "--release", "-p", "mkt-benches", "--bin", "warehouse_reports"]
        subprocess.run(build, check=True, cwd=ROOT)
        program = ROOT / "target/release/warehouse_reports"
    program = str(program)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="warehouse-reports-", dir=options.tmp))
    server, contenders = None, {}
    try:
        world = ["--events", str(options.events)]
        csv = folder / "csv"
        subprocess.run([program, "csv", *world, "--out", csv], check=True)
        server = Server(folder, options.postgres, options.locale)
        server.fill(program, csv)
        sqlite = f"sqlite:{folder}/warehouse.db"
        subprocess.run([program, "fill", "--warehouse", sqlite, *world], check=True)
        duck = duckdb.connect(str(folder / "warehouse.duckdb"))
        duck.execute("set TimeZone = 'UTC'")
        types = "{'revenue': 'DECIMAL(10,2)'}"
        for table in ("users", "sessions", "events"):
            held = f", types = {types}" if table == "events" else ""
            duck.execute(f"create table {table} as from read_csv('{csv}/{table}.csv'{held})")
            duck.execute(f"copy {table} to '{folder}/{table}.parquet' (compression zstd)")
        shutil.rmtree(csv)
        postgres = psycopg2.connect(server.url)
        postgres.autocommit = True
        contenders = {
            "ours, PostgreSQL": Ours(program, server.url, server),
            "course's SQL, PostgreSQL": Sql(postgres.cursor(), NAIVE, server),
            "ours, SQLite": Ours(program, sqlite),
            "course's SQL, SQLite": Sql(sqlite3.connect(folder / "warehouse.db").cursor(), NAIVE_SQLITE),
            "course's SQL, DuckDB": Sql(duck, NAIVE),
            "Polars, Parquet": Polars(polars, folder),
        }
        print(f"{options.events} events; PostgreSQL {server.psql('show server_version').strip()}, "
              f"DuckDB {duckdb.__version__}, Polars {polars.__version__}, {os.cpu_count()} processors")
        compare(contenders, options.rounds)
        every_report(program, contenders, options.rounds)
    finally:
        for contender in contenders.values():
            contender.close()
        if server:
            server.stop()
        shutil.rmtree(folder)


def compare(contenders, rounds):
    yardstick = "course's SQL, PostgreSQL"
    for question in NAIVE:
        answers = {name: contender.answer(question) for name, contender in contenders.items()}
        for name, answer in answers.items():
            if not same(answer, answers[yardstick]):
                raise SystemExit(f"{question}: {name} answers {answer}, and {yardstick} {answers[yardstick]}")
        print(f"\n{question}: {len(answers)} equal answers of {len(answers[yardstick])} rows")
        runs = {name: [] for name in contenders}
        names = list(contenders)
        for turn in range(rounds):
            for name in names[turn % len(names):] + names[:turn % len(names)]:
                runs[name].append(measured(contenders[name], question))
        print(f"  {'':26} {'wall s':>26} {'CPU s':>26}   wall, CPU as shares of {yardstick}")
        for name in names:
            walls, cpus = zip(*runs[name])
            pairs = list(zip(runs[name], runs[yardstick]))
            wall = statistics.median(a[0] / b[0] for a, b in pairs)
            cpu = statistics.median(a[1] / max(b[1], 1 / TICK) for a, b in pairs)
            verdict = ""
            if name == "ours, PostgreSQL":
                verdict = "" if max(wall, cpu) <= 0.5 else "  <- more than half"
            print(f"  {name:26} {shown(walls):>26} {shown(cpus):>26}   {wall:6.2f} {cpu:6.2f}{verdict}")


def every_report(program, contenders, rounds):
    names = subprocess.run([program, "names"], check=True, capture_output=True, text=True).stdout.split()
    print("\nevery report with its default options: seconds as the library takes them, and CPU")
    for engine in ("ours, SQLite", "ours, PostgreSQL"):
        ours = contenders[engine]
        for name in names:
            walls, cpus = [], []
            for _ in range(max(2, rounds // 2)):
                cpu = ours.cpu()
                found = ours.ask(name)
                walls.append(found["seconds"])
                cpus.append(ours.cpu() - cpu)
            print(f"  {engine:18} {name:24} {shown(walls):>26} {shown(cpus):>26}   {found['count']} rows", flush=True)


if __name__ == "__main__":
    main()
