#!/usr/bin/env bash
# ibis-framework 12.0.0 with sqlglot 30.30.0, which its own requirements allow: drop_table and create_table from a frame
# fail on DuckDB and SQLite, because the name is missing from the DROP statement.
#
# Guess: two current releases of one field work together (the requirement is sqlglot>=23.4).
# Seen: sqlglot writes DROP VIEW IF EXISTS without its name from the tree that ibis builds; DuckDB 2.0.1 refuses it as a
# syntax error, SQLite as incomplete input. On SQLite the new table is there all the same, with its rows.
# For us: reports are texts that each engine runs in a test; no translator stands between.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
python_packages 'ibis-framework[duckdb,sqlite]==12.0.0' sqlglot==30.30.0 duckdb==2.0.1
run_python <<'PYTHON' | seen "duckdb: create from a frame: ParserException
duckdb: drop: ParserException
sqlite: create from a frame: OperationalError
sqlite: drop: OperationalError
sqlite: the table is there: True"
import ibis, pandas
frame = pandas.DataFrame({"visitor": [1, 2], "revenue": [2.5, 1.0]})
for name in ("duckdb", "sqlite"):
    connection = getattr(ibis, name).connect()
    connection.create_table("empty", schema=ibis.schema({"visitor": "int64"}))
    def attempt(what, call):
        try:
            call()
            print(f"{name}: {what}: works")
        except Exception as error:
            print(f"{name}: {what}: {type(error).__name__}")
    attempt("create from a frame", lambda: connection.create_table("orders", frame))
    attempt("drop", lambda: connection.drop_table("empty"))
    if name == "sqlite":
        print("sqlite: the table is there:", "orders" in connection.list_tables())
PYTHON
