#!/usr/bin/env bash
# sqlframe 4.10.0 on DuckDB 2.0.1 (PySpark's API without Spark): `collect_list` and `collect_set` keep missing values.
#
# Guess: as in PySpark, whose documentation says that both leave NULL out ("null values are excluded", Spark 4.0).
# Seen: the NULL of a visit without a channel is an element of the list and of the set. The number of channels of a
# visitor, written as `size(collect_set(channel))`, is one too high for whoever has such a visit, and disagrees with
# `countDistinct` of the same column in the same query.
# For us: paths and sets of channels say what a missing channel is (its own name, counted apart); a pipeline written for
# Spark and tested on sqlframe is no oracle for them.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
python_packages sqlframe==4.10.0 duckdb==2.0.1
run_python <<'PYTHON' | seen "anna: path ['email', None, 'paid'], size of the set 3, countDistinct 2
bruno: path ['email'], size of the set 1, countDistinct 1"
from sqlframe.duckdb import DuckDBSession, functions as F
visits = DuckDBSession().createDataFrame(
    [("anna", "email"), ("anna", None), ("anna", "paid"), ("bruno", "email")], ["visitor", "channel"])
rows = visits.groupBy("visitor").agg(
    F.collect_list("channel").alias("path"), F.size(F.collect_set("channel")).alias("size"),
    F.countDistinct("channel").alias("distinct")).orderBy("visitor").collect()
for row in rows:
    print(f"{row.visitor}: path {row.path}, size of the set {row.size}, countDistinct {row.distinct}")
PYTHON
