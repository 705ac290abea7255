#!/usr/bin/env python3
"""Reports on SQLite beside DuckDB's own table: whole processes, CPU seconds and peak memory, in pairs.

    cargo build --release -p mkt-benches --bin warehouse_reports
    pip install duckdb
    benches/compare/warehouse/embedded.py [--events 1000000] [--rounds 3] [--program PATH] [--before PATH]

Both sides ask over the same generated traffic (benches/lib.rs): ours from the SQLite file through the library, DuckDB
with two threads from a file of its own. The start of Python with its import of duckdb is measured apart and taken off
DuckDB's side, which favours DuckDB. `--before` names an older build of the same program, which fills a file of its own.
Shares are medians over the pairs; cells that DuckDB wins are marked `*`.
"""
import argparse
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[3]
STEPS = "('product_view', 'add_to_cart', 'purchase')"

QUESTIONS = {
    "conversion_by_channel": """
        select channel, count(distinct user_id) filter (where converted) * 100.0 / count(distinct user_id)
        from sessions group by channel""",
    "arpu": """
        select (select sum(revenue) from events where event_type in ('purchase', 'refund'))
             / (select count(distinct user_id) from sessions)""",
    "top_hours": """
        select extract(hour from start_time at time zone 'Europe/Paris') as hour,
            sum(converted::int) * 100.0 / count(*) as rate
        from sessions group by 1 order by rate desc, hour limit 5""",
    "cohort_retention": """
        with cohorts as (
            select user_id, date_trunc('month', signed_up_at at time zone 'Europe/Paris') as cohort from users
        )
        select c.cohort, date_trunc('month', s.start_time at time zone 'Europe/Paris') as month,
            count(distinct s.user_id) as active
        from cohorts c join sessions s on s.user_id = c.user_id group by 1, 2""",
    "funnel": f"""
        with acts as (select user_id, event_type, timestamp as happened from events where event_type in {STEPS}),
        one as (
            select *, max(case when event_type = 'product_view' then happened end) over before as entered from acts
            window before as (partition by user_id order by happened rows between unbounded preceding and 1 preceding)
        ),
        two as (
            select *, case when event_type = 'add_to_cart' and entered + interval 7 days >= happened then entered end as two
            from one
        ),
        three as (
            select *, max(two) over before as reached from two
            window before as (partition by user_id order by happened rows between unbounded preceding and 1 preceding)
        )
        select count(distinct user_id) filter (where event_type = 'product_view'),
            count(distinct user_id) filter (where two is not null),
            count(distinct user_id) filter (where event_type = 'purchase' and reached + interval 7 days >= happened)
        from three""",
    "paths": """
        with numbered as (
            select user_id, session_id, start_time, channel, converted,
                coalesce(sum(converted::int) over (
                    partition by user_id order by start_time, session_id
                    rows between unbounded preceding and 1 preceding), 0) as goal
            from sessions
        ),
        journeys as (
            select user_id, goal, string_agg(channel, ' > ' order by start_time, session_id) as path,
                max(converted::int) as led
            from numbered group by user_id, goal
        )
        select path, sum(led), sum(1 - led) from journeys group by path""",
    "abandoned_carts": """
        with bought as (select user_id, max(timestamp) as last_bought from events where event_type = 'purchase' group by 1)
        select e.user_id, count(*), max(e.timestamp), max_by(e.properties, e.timestamp)
        from events e left join bought b using (user_id)
        where e.event_type = 'add_to_cart' and (b.last_bought is null or e.timestamp > b.last_bought)
        group by e.user_id""",
}

PEER = """
import sys, duckdb
base = duckdb.connect(sys.argv[1], read_only=True)
base.execute("set threads = 2")
if sys.argv[2]:
    print(len(base.execute(sys.argv[2]).fetchall()))
"""


def run(arguments, text=None):
    """User and system seconds of a process, its peak memory in MiB, and what it printed."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        # A process of its own that waits for one child: the only way to its peak memory.
        os.close(read)
        try:
            done = subprocess.run(arguments, input=text, capture_output=True, text=True)
            used = resource.getrusage(resource.RUSAGE_CHILDREN)
            answer = {"cpu": used.ru_utime + used.ru_stime, "mib": used.ru_maxrss / 1024, "code": done.returncode,
                      "err": done.stderr[-2000:]}
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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--program", default=str(ROOT / "target/release/warehouse_reports"))
    parser.add_argument("--before", help="an older build of the same program")
    parser.add_argument("--tmp")
    parser.add_argument("--only", nargs="*")
    arguments = parser.parse_args()
    import duckdb

    with tempfile.TemporaryDirectory(dir=arguments.tmp) as folder:
        folder = pathlib.Path(folder)
        programs = {"ours": arguments.program} | ({"before": arguments.before} if arguments.before else {})
        for name, program in programs.items():
            spent = run([program, "fill", "--warehouse", f"sqlite:{folder / name}.db", "--events", str(arguments.events)])
            size = (folder / f"{name}.db").stat().st_size / 2**20
            print(f"{name}: filled in {spent['cpu']:.1f} s CPU, {size:.0f} MiB")
        run([arguments.program, "csv", "--out", str(folder / "csv"), "--events", str(arguments.events)])
        base = duckdb.connect(str(folder / "peer.duckdb"))
        for table in ("sessions", "events", "users"):
            base.execute(f"create table {table} as from read_csv('{folder}/csv/{table}.csv', header = true)")
        base.close()
        peer = [sys.executable, "-c", PEER, str(folder / "peer.duckdb")]
        start = statistics.median(run([*peer, ""])["cpu"] for _ in range(5))
        print(f"Python and the import of duckdb: {start:.2f} s CPU, taken off\n")
        heads = ["report", *programs, "DuckDB", *(f"{name} ÷ DuckDB" for name in programs), *programs, "DuckDB"]
        print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
        for question, sql in QUESTIONS.items():
            if arguments.only and question not in arguments.only:
                continue
            seen = {name: [] for name in [*programs, "DuckDB"]}
            for turn in range(arguments.rounds):
                for name in list(seen) if turn % 2 == 0 else list(seen)[::-1]:
                    if name == "DuckDB":
                        spent = run([*peer, sql])
                        spent["cpu"] = max(spent["cpu"] - start, 0.001)
                    else:
                        ask = [programs[name], "ask", "--warehouse", f"sqlite:{folder / name}.db"]
                        spent = run(ask, question + "\n")
                    seen[name].append(spent)
            cpu = {name: statistics.median(one["cpu"] for one in all_) for name, all_ in seen.items()}
            mib = {name: statistics.median(one["mib"] for one in all_) for name, all_ in seen.items()}
            shares = []
            for name in programs:
                share = statistics.median(a["cpu"] / b["cpu"] for a, b in zip(seen[name], seen["DuckDB"]))
                shares.append(f"{share:.2f}{' *' if share > 1 else ''}")
            cells = [f"{cpu[name]:.2f} s" for name in seen] + shares + [f"{mib[name]:.0f} MiB" for name in seen]
            print(f"| {question} | " + " | ".join(cells) + " |", flush=True)


main()
