#!/usr/bin/env bash
# polars 2.1.0: half a cent is rounded by three rules in one library, and DuckDB 2.0.1 has another.
#
# Guess: casting to Decimal(10,2), from text or from a float, and SQL's ROUND agree on 10.005, 10.015, 10.025.
# Seen: text to Decimal rounds half to even (10.00, 10.02, 10.02); float to Decimal goes by another way (10.01, 10.02,
# 10.02, although the float 10.005 is below and 10.025 above the half); ROUND of a Decimal in polars' SQL rounds half up
# and keeps three decimals; ROUND of a double rounds half to even, where DuckDB rounds half away from zero.
# For us: amounts are decimals to the hundredth when they are read; more decimals are quarantined or rounded half away
# from zero as PostgreSQL's numeric does, the same on every engine.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
python_packages polars==2.1.0 duckdb==2.0.1
run_python <<'PYTHON' | seen "10.005: text 10.00, float 10.01, duckdb 10.01
10.015: text 10.02, float 10.02, duckdb 10.02
10.025: text 10.02, float 10.02, duckdb 10.03
ROUND of a decimal: 0.130 0.140
ROUND of a double: polars [0.0, 2.0, 2.0], duckdb [1.0, 2.0, 3.0]"
import duckdb, polars
cents = polars.Decimal(10, 2)
for text in ["10.005", "10.015", "10.025"]:
    as_text = polars.Series([text]).cast(cents)[0]
    as_float = polars.Series([float(text)]).cast(cents)[0]
    print(f"{text}: text {as_text}, float {as_float}, duckdb {duckdb.sql(f'select {text!r}::decimal(10,2)').fetchall()[0][0]}")
def sql(query, frame):
    return polars.SQLContext(t=frame).execute(query, eager=True).to_series().to_list()
decimals = polars.DataFrame({"a": polars.Series(["0.125", "0.135"]).cast(polars.Decimal(10, 3))})
print("ROUND of a decimal:", *sql("select round(a, 2) from t", decimals))
halves = [0.5, 1.5, 2.5]
there = duckdb.sql("select round(a) from (values (0.5::double), (1.5), (2.5)) t(a)").fetchall()
print(f"ROUND of a double: polars {sql('select round(a) from t', polars.DataFrame({'a': halves}))}, "
      f"duckdb {[row[0] for row in there]}")
PYTHON
