#!/usr/bin/env python3
"""Every report's text under mkt-warehouse/sql, run in every engine at hand over one generated world: whole results equal.

    pip install apsw datafusion duckdb sqlglot pyarrow psycopg[binary] tzdata
    python3 benches/compare/warehouse/dialects.py [--seed 1] [--worlds 3] [--postgres URL]

SQLite (apsw) gives the answers that the others must give. Run as they stand: SQLite, PostgreSQL (with --postgres), and
DataFusion. The BigQuery and Snowflake texts are parsed by sqlglot as what they claim to be, written again for DuckDB,
and run there: this shows that they parse and mean the same, and does not prove that the vendors take them.

The parameters are those that the headings of the files set, so that the headings are tried as well; further rounds
change zone, site and source. Ends with status 1 when anything differs.
"""

import argparse
import datetime as dt
import decimal
import json
import pathlib
import random
import re
import sys
import zoneinfo

CRATE = pathlib.Path(__file__).resolve().parents[3] / "mkt-warehouse"
UTC = dt.timezone.utc
EPOCH = dt.datetime(1970, 1, 1, tzinfo=UTC)
ROUNDS = [
    {},
    {"zone": "America/New_York", "site": "shop"},
    {"zone": "Asia/Kolkata", "site": "blog"},
    {"zone": "Pacific/Apia", "site": "shop", "source": "log"},
    # Filters count sessions one by one: no quarter of an hour is taken from the sums.
    {"channels": "email,paid", "devices": "mobile", "campaigns": "spring,autumn", "collapse": 1, "quantiles": 4,
     "whole_from": dt.datetime(2026, 9, 30, 22, tzinfo=UTC), "whole_until": dt.datetime(2026, 9, 30, 22, tzinfo=UTC)},
    # Four months, the last of them not complete.
    {"from": dt.datetime(2026, 8, 9, 22, tzinfo=UTC), "until": dt.datetime(2026, 11, 10, 23, tzinfo=UTC),
     "whole_from": dt.datetime(2026, 8, 9, 22, tzinfo=UTC), "whole_until": dt.datetime(2026, 11, 10, 23, tzinfo=UTC),
     "first_day": dt.date(2026, 8, 10), "last_day": dt.date(2026, 11, 10), "last_month": dt.date(2026, 11, 1),
     "open_month": dt.date(2026, 11, 1), "now": dt.datetime(2026, 11, 12, 23, tzinfo=UTC),
     "idle_since": dt.datetime(2026, 11, 9, 22, tzinfo=UTC), "look_from": dt.datetime(2026, 7, 10, 22, tzinfo=UTC),
     "window_until": dt.datetime(2026, 11, 17, 23, tzinfo=UTC), "hours": 24, "minimum": 3, "most": 30},
]


# --- the world ------------------------------------------------------------------------------------------------------

def tables():
    """Tables and column types, as PostgreSQL's migrations state them."""
    found = {}
    for path in sorted((CRATE / "migrations/postgres").glob("*.sql")):
        text = re.sub(r"--.*", "", path.read_text())
        for name, body in re.findall(r"create table (\w+) \((.*?)\n\);", text, re.S):
            columns = re.findall(r"^\s+(\w+)\s+(bigint|varchar\(\d+\)|text|timestamptz|decimal\(10,2\)|numeric\(18,6\)"
                                 r"|jsonb|date|boolean)", body, re.M)
            found[name] = dict(columns)
        for name, column, kind in re.findall(r"alter table (\w+) add column (\w+)\s+(\w+)", text):
            found[name][column] = kind
    return {name: columns for name, columns in found.items() if not name.endswith("_2")}


def offsets(zone, first=2025, last=2027):
    """The offsets of a zone as rows, found hour by hour."""
    tz, rows = zoneinfo.ZoneInfo(zone), []
    at, end = dt.datetime(first, 1, 1, tzinfo=UTC), dt.datetime(last + 1, 1, 1, tzinfo=UTC)
    since, held = at, at.astimezone(tz).utcoffset()
    while at < end:
        at += dt.timedelta(minutes=15)
        now = at.astimezone(tz).utcoffset()
        if now != held or at >= end:
            rows.append({"zone": zone, "from_utc": since, "until_utc": at, "offset_s": int(held.total_seconds())})
            since, held = at, now
    return rows


def world(seed):
    """Sessions, events and the rest of August to November 2026, many of them at a clock change."""
    rng = random.Random(seed)

    def instant():
        if rng.random() < 0.15:
            change = rng.choice([dt.datetime(2026, 10, 25, 0, tzinfo=UTC), dt.datetime(2026, 11, 1, 5, tzinfo=UTC)])
            return change + dt.timedelta(seconds=rng.randrange(7200), microseconds=rng.randrange(10**6))
        start = dt.datetime(2026, 8, 1, tzinfo=UTC)
        return start + dt.timedelta(seconds=rng.randrange(111 * 86400), microseconds=rng.randrange(10**6))

    def place():
        return {"source": "log" if rng.random() < 0.1 else "csv", "site": "blog" if rng.random() < 0.2 else "shop",
                "load_id": 1}

    channels = ["organic", "paid", "email", "social", "direct", "referral"]
    campaigns = [None, None, "spring", "autumn", "brand"]
    currencies = ["EUR", "EUR", "USD", "GBP", None]
    people = [f"u{n}" for n in range(220)]
    rows = {name: [] for name in tables()}
    for person in people:
        if rng.random() < 0.4:
            since = instant()
            rows["users"].append({"user_id": person, "signed_up_at": since if rng.random() < 0.8 else None,
                                  "language": rng.choice(["fr", "en", None]), "attributes": "{}",
                                  "day": since.date(), **place()})
        if rng.random() < 0.25:
            rows["identities"].append({"user_id": person, "person_id": f"p{rng.randrange(25)}", "key_kind": "crm_id",
                                       "since": instant(), "reason": "one contact", "day": dt.date(2026, 8, 1),
                                       **place()})
    for n in range(2500):
        start, where = instant(), place()
        rows["sessions"].append({
            "session_id": f"s{n}", "user_id": rng.choice(people), "start_time": start,
            "end_time": start + dt.timedelta(milliseconds=rng.randrange(3_000_000)),
            "pages_viewed": rng.randrange(1, 20), "converted": rng.random() < 0.3, "channel": rng.choice(channels),
            "campaign_id": rng.choice(campaigns), "device": rng.choice(["mobile", "desktop", None]),
            "time_on_site": rng.choice([None, rng.randrange(2000)]),
            "bot": "crawler" if rng.random() < 0.08 else None, "day": start.date(), **where})
    sums = {}
    for session in rows["sessions"]:
        if session["bot"] is None:
            start = session["start_time"]
            quarter = start - dt.timedelta(minutes=start.minute % 15, seconds=start.second, microseconds=start.microsecond)
            count = sums.setdefault((quarter, session["source"], session["site"], session["day"]), [0, 0])
            count[0] += 1
            count[1] += session["converted"]
    rows["session_quarters"] = [
        {"quarter": quarter, "sessions": count[0], "converted_sessions": count[1], "source": source, "site": site,
         "day": day, "load_id": 1}
        for (quarter, source, site, day), count in sums.items()]
    kinds = ["page_view", "product_view", "add_to_cart", "cart_abandoned", "signup", "purchase", "purchase", "refund"]
    for n in range(6000):
        session = rng.choice(rows["sessions"]) if rng.random() < 0.6 else None
        at = instant()
        where = {k: session[k] for k in ("source", "site", "load_id")} if session else place()
        if session:
            at = session["start_time"] + dt.timedelta(microseconds=rng.randrange(2_000_000_000))
        kind = rng.choice(kinds)
        cents = {"purchase": rng.randrange(100, 40_000), "refund": -rng.randrange(100, 9_000)}.get(kind, 0)
        items = [{"sku": f"P{rng.randrange(30)}", "price": "9.50", "quantity": 1}]
        rows["events"].append({
            "event_id": n * 7919 - 20_000_000, "user_id": session["user_id"] if session else rng.choice(people),
            "event_type": kind, "timestamp": at, "channel": session["channel"] if session else rng.choice(channels),
            "revenue": decimal.Decimal(cents).scaleb(-2), "properties": json.dumps({"items": items}),
            "session_id": session["session_id"] if session else None,
            "campaign_id": session["campaign_id"] if session else None,
            "currency": rng.choice(currencies), "day": at.date(), **where})
    for campaign in ("spring", "autumn", "brand"):
        rows["campaigns"].append({"campaign_id": campaign, "tag_source": "google", "tag_medium": "cpc",
                                  "name": campaign.title(), "channel": "paid", "declared_by": "manual",
                                  "first_seen": instant(), "source": "csv", "site": "shop",
                                  "day": dt.date(2026, 8, 1), "load_id": 1})
        for n in range(100):
            for site in ("shop", "blog"):
                if rng.random() < 0.7:
                    rows["costs"].append({
                        "campaign_id": campaign, "channel": "paid", "impressions": rng.randrange(5000),
                        "clicks": rng.randrange(200), "cost": decimal.Decimal(rng.randrange(20_000)).scaleb(-2),
                        "currency": rng.choice(["EUR", "USD"]), "source": "ads", "site": site,
                        "day": dt.date(2026, 8, 1) + dt.timedelta(days=n), "load_id": 1})
    told = ["accepted", "delivered", "bounced", "opened", "clicked", "unsubscribed", "complained", "rejected"]
    for n in range(3000):
        at = instant()
        rows["email_events"].append({
            "event_id": n, "message_id": f"m{rng.randrange(700)}", "event_type": rng.choice(told), "timestamp": at,
            "campaign_id": rng.choice(campaigns), "source": rng.choice(["brevo", "mailgun"]),
            "site": rng.choice(["shop", "blog"]), "day": at.date(), "load_id": 1})
    states = ["planned", "provisional", "settled", "suspect_empty", "truncated", "sampled", "failed"]
    for n in range(150):
        first = dt.date(2026, 9, 20) + dt.timedelta(days=rng.randrange(50))
        whole = rng.random() < 0.05
        rows["loads"].append({
            "load_id": n, "source": rng.choice(["csv", "log", "matomo"]), "stream": rng.choice(["visits", "costs"]),
            "site": rng.choice(["shop", "blog"]), "window_from": dt.date(1970, 1, 1) if whole else first,
            "window_until": dt.date(9999, 12, 31) if whole else first + dt.timedelta(days=rng.randrange(1, 4)),
            "content_hash": "x", "row_count": rng.randrange(500), "revision": rng.randrange(1, 4),
            "loaded_at": instant(), "state": rng.choice(states)})
    rows["sites"].append({"site": "shop", "zone": "Europe/Paris", "currency": "EUR", "record_source": "csv",
                          "conversion_set": '["purchase"]'})
    for zone in ("Europe/Paris", "America/New_York", "Asia/Kolkata", "Pacific/Apia"):
        rows["zone_offsets"] += offsets(zone)
    return rows


# --- engines --------------------------------------------------------------------------------------------------------

def parameters(sql):
    """What the heading of a SQLite text sets: typed values by name."""
    values = {}
    for name, text in re.findall(r'^\.parameter set :(\w+) "(.*)"$', sql, re.M):
        if instant := re.fullmatch(r"unixepoch\('(.*)'\) \* 1000000", text):
            values[name] = dt.datetime.fromisoformat(instant[1] + "+00:00")
        elif re.fullmatch(r"'\d{4}-\d\d-\d\d'", text):
            values[name] = dt.date.fromisoformat(text.strip("'"))
        elif text.startswith("'"):
            values[name] = text.strip("'")
        else:
            values[name] = None if text == "null" else int(text)
    return values


def body(sql):
    """The query without heading and settings."""
    lines = sql.split("\n")
    return "\n".join(line for line in lines if not re.match(r"--|\.parameter|\\set|set ", line)).strip().rstrip(";")


class Sqlite:
    name = "sqlite"

    def __init__(self, rows):
        import apsw
        self.version = apsw.sqlite_lib_version()
        self.db = apsw.Connection(":memory:")
        for path in sorted((CRATE / "migrations/sqlite").glob("*.sql")):
            self.db.execute(path.read_text())
        for table, columns in tables().items():
            names = ", ".join(columns)
            marks = ", ".join("?" * len(columns))
            self.db.executemany(f"insert into {table} ({names}) values ({marks})",
                                ([self.cell(row.get(c, DEFAULTS.get(c)), kind) for c, kind in columns.items()]
                                 for row in rows[table]))

    @staticmethod
    def cell(value, kind=None):
        if isinstance(value, bool):
            return int(value)
        if isinstance(value, dt.datetime):
            return (value - EPOCH) // dt.timedelta(microseconds=1)
        if isinstance(value, dt.date):
            return value.isoformat()
        if isinstance(value, decimal.Decimal):
            return int(value.scaleb(6 if kind == "numeric(18,6)" else 2))
        return value

    def run(self, sql, values):
        bound = {name: self.cell(value) for name, value in values.items()}
        return list(self.db.execute(body(sql), bound))


class Postgres:
    name = "postgres"

    def __init__(self, rows, url):
        import psycopg
        self.db = psycopg.connect(url, autocommit=True)
        self.version = self.db.execute("show server_version").fetchone()[0]
        self.db.execute("set time zone 'UTC'")
        self.db.execute("create temporary table probe (x int)")
        self.schema = self.db.execute("select 'dialects_' || pg_backend_pid()").fetchone()[0]
        self.db.execute(f"drop schema if exists {self.schema} cascade; create schema {self.schema}")
        self.db.execute(f"set search_path to {self.schema}")
        for path in sorted((CRATE / "migrations/postgres").glob("*.sql")):
            self.db.execute(path.read_text())
        for table, columns in tables().items():
            with self.db.cursor().copy(f"copy {table} ({', '.join(columns)}) from stdin") as copy:
                for row in rows[table]:
                    copy.write_row([row.get(c, DEFAULTS.get(c)) for c in columns])
        self.db.execute("analyze")

    @staticmethod
    def literal(value):
        if value is None:
            return "cast(null as text)"
        if isinstance(value, dt.datetime):
            return f"timestamptz '{value.isoformat()}'"
        if isinstance(value, dt.date):
            return f"date '{value}'"
        return f"text '{value}'" if isinstance(value, str) else str(value)

    def run(self, sql, values):
        # As psql does it; the heading's own words where nothing else is asked for.
        said = {name: text.replace("''", "'") for name, text in re.findall(r"^\\set (\w+) '(.*)'$", sql, re.M)}
        changed = {name: self.literal(value) for name, value in values.items()
                   if self.db.execute(f"select ({said[name]}) is distinct from {self.literal(value)}").fetchone()[0]}
        text = re.sub(r"(?<!:):(\w+)", lambda m: {**said, **changed}[m[1]], body(sql))
        return self.db.execute(text).fetchall()

    def close(self):
        self.db.execute(f"drop schema {self.schema} cascade")


def arrow(rows, table, columns, zoned=True):
    import pyarrow as pa
    types = {"bigint": pa.int64(), "timestamptz": pa.timestamp("us", "UTC" if zoned else None), "date": pa.date32(),
             "boolean": pa.bool_(), "decimal(10,2)": pa.decimal128(10, 2), "numeric(18,6)": pa.decimal128(18, 6)}
    data = {}
    for name, kind in columns.items():
        values = [row.get(name, DEFAULTS.get(name)) for row in rows[table]]
        if not zoned:
            values = [v.replace(tzinfo=None) if isinstance(v, dt.datetime) else v for v in values]
        data[name] = pa.array(values, types.get(kind, pa.string()))
    return pa.table(data)


class DataFusion:
    name = "datafusion"

    def __init__(self, rows):
        import datafusion
        self.version = datafusion.__version__
        self.context = datafusion.SessionContext()
        for table, columns in tables().items():
            self.context.from_arrow(arrow(rows, table, columns), name=table)

    def run(self, sql, values):
        said = "{" + "\n".join(re.findall(r"^--   ('\w+': .*)$", sql, re.M)) + "\n}"
        said = eval(said, {"datetime": dt.datetime, "date": dt.date})  # the heading is ours, and is Python
        assert set(said) == set(values), (said, values)
        frame = self.context.sql(body(sql), param_values={**said, **values})
        found = frame.to_arrow_table()
        return list(zip(*(column.to_pylist() for column in found.columns)))


class Duck:
    """A text of BigQuery or Snowflake, read by sqlglot and run by DuckDB."""

    def __init__(self, rows, dialect):
        import duckdb
        import sqlglot
        self.name, self.glot = dialect, sqlglot
        self.version = f"sqlglot {sqlglot.__version__}, DuckDB {duckdb.__version__}"
        self.db = duckdb.connect()
        self.db.execute("set TimeZone = 'UTC'")
        self.zoned = dialect == "bigquery"
        for table, columns in tables().items():
            self.db.register("rows_of", arrow(rows, table, columns, self.zoned))
            self.db.execute(f"create table {table} as select * from rows_of")

    def said(self, sql):
        values = {}
        if self.name == "bigquery":
            for name, kind, text in re.findall(r"^--   --parameter='(\w+):(\w+):(.*)'$", sql, re.M):
                read = {"INT64": int, "DATE": dt.date.fromisoformat, "STRING": str,
                        "TIMESTAMP": lambda text: dt.datetime.fromisoformat(text + "+00:00")}[kind]
                values[name] = None if text == "NULL" else read(text)
        else:
            for name, text in re.findall(r"^set (\w+) = (.*);$", sql, re.M):
                value = self.glot.transpile(f"select {text}", read="snowflake", write="duckdb")[0]
                values[name] = self.db.execute(value).fetchone()[0]
        return values

    def mended(self, node):
        """What sqlglot loses on the way to DuckDB: the parentheses of div(a, b), and the nine digits of NUMERIC."""
        e = self.glot.exp
        if isinstance(node, e.IntDiv) and not isinstance(node.parent, e.Paren):
            return e.Paren(this=e.IntDiv(this=e.Paren(this=node.this), expression=e.Paren(this=node.expression)))
        if isinstance(node, e.DataType) and node.this == e.DataType.Type.DECIMAL and not node.expressions:
            return e.DataType.build("decimal(38, 9)", dialect="duckdb")
        return node

    def run(self, sql, values):
        said = self.said(sql)
        values = {("since" if name == "from" else name): value for name, value in values.items()}
        if not self.zoned:
            values = {k: v.replace(tzinfo=None) if isinstance(v, dt.datetime) else v for k, v in values.items()}
        assert set(said) == set(values), (said, values)
        text = body(sql)
        parsed = self.glot.parse_one(text, read=self.name, error_level=self.glot.ErrorLevel.RAISE)
        written = parsed.transform(self.mended).sql(dialect="duckdb")
        # Typed, because DuckDB infers nothing from a null.
        types = {dt.datetime: "timestamptz" if self.zoned else "timestamp", dt.date: "date", int: "bigint"}
        for name, value in sorted(values.items(), key=lambda item: -len(item[0])):
            literal = "null" if value is None else f"'{value}'"
            typed = f"cast({literal} as {types.get(type(value), 'varchar')})"
            written = re.sub(rf"[$@]{name}\b", lambda _: typed, written)
        # sqlglot leaves Snowflake's table(flatten(...)) of a range as it is.
        while (at := written.find("TABLE(UNNEST(input => ")) >= 0:
            depth, end = 1, at + len("TABLE(")
            while depth:
                depth += {"(": 1, ")": -1}.get(written[end], 0)
                end += 1
            inside = written[at + len("TABLE("):end - 1].replace("input => ", "", 1)
            written = f"{written[:at]}{inside} AS t(value){written[end:]}"
        try:
            return self.db.execute(written).fetchall()
        except Exception as error:
            raise RuntimeError(f"{error}\n{written}") from None


# --- comparison -----------------------------------------------------------------------------------------------------

DEFAULTS = {"attributes": "{}", "properties": "{}", "revenue": decimal.Decimal(0), "pages_viewed": 0}


def same(expected, found):
    """The first difference of two results, or nothing. SQLite's integers stand for instants, money and truth."""
    if len(expected) != len(found):
        return f"{len(expected)} rows in sqlite, {len(found)} here"
    for column in range(len(expected[0]) if expected else 0):
        scales = [1, 100, 1_000_000]
        for row, (left, right) in enumerate(zip((r[column] for r in expected), (r[column] for r in found))):
            shown = f"row {row}, column {column}: {left!r} in sqlite, {right!r} here"
            if left is None or right is None:
                if left is not right:
                    return shown
                continue
            if isinstance(right, dt.datetime) and isinstance(left, str):
                # DuckDB makes an instant of a truncated day.
                if right.time() != dt.time() or right.date().isoformat() != left:
                    return shown
                continue
            if isinstance(right, dt.datetime):
                right = right if right.tzinfo else right.replace(tzinfo=UTC)
                right = (right - EPOCH) // dt.timedelta(microseconds=1)
            elif isinstance(right, dt.date):
                right = right.isoformat()
            elif isinstance(right, float) and isinstance(left, int):
                right = decimal.Decimal(repr(right))  # DuckDB divides decimals as floats
            if isinstance(right, decimal.Decimal):
                scales = [scale for scale in scales if right * scale == left]
                if not scales:
                    return shown + " (no scale fits the column)"
                continue
            elif isinstance(left, str) and left[:1] in "{[":
                left, right = json.loads(left), right if isinstance(right, (dict, list)) else json.loads(right)
            if left != right and not (isinstance(left, float) and float(right) == left):
                return shown
    return None


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--worlds", type=int, default=3)
    options.add_argument("--postgres", metavar="URL")
    options.add_argument("--report", help="only this one")
    options = options.parse_args()
    reports = sorted(path.stem for path in (CRATE / "sql/sqlite").glob("*.sql"))
    failed, runs, lengths = 0, 0, {}
    for seed in range(options.seed, options.seed + options.worlds):
        rows = world(seed)
        oracle = Sqlite(rows)
        engines = [DataFusion(rows), Duck(rows, "bigquery"), Duck(rows, "snowflake")]
        if options.postgres:
            engines.insert(0, Postgres(rows, options.postgres))
        if seed == options.seed:
            print("; ".join(f"{engine.name}: {engine.version}" for engine in [oracle, *engines]))
        for report in reports:
            if options.report not in (None, report):
                continue
            text = {name: (CRATE / f"sql/{name}/{report}.sql").read_text()
                    for name in ("sqlite", *(engine.name for engine in engines))}
            for turn, change in enumerate(ROUNDS):
                values = parameters(text["sqlite"])
                values.update({name: value for name, value in change.items() if name in values})
                expected = oracle.run(text["sqlite"], values)
                for engine in engines:
                    runs += 1
                    try:
                        wrong = same(expected, engine.run(text[engine.name], values))
                    except Exception as error:
                        wrong = str(error)
                    if wrong:
                        failed += 1
                        print(f"seed {seed} {report} {engine.name}, round {turn}: {wrong}")
                lengths.setdefault(report, []).append(len(expected))
        for engine in engines:
            if isinstance(engine, Postgres):
                engine.close()
    for report, rows in lengths.items():
        print(f"{report}: rows per result {rows}")
    print(f"{runs} results compared with SQLite's, {failed} differ")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
