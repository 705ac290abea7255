#!/usr/bin/env bash
# frictionless 5.21.0: prices with a decimal comma are read as geographical points.
#
# Guess: `12,50` in a file with semicolons is inferred as text, or as a number with a comma.
# Seen: where every price lies below 180 and its cents below 90, the column is a geopoint and 12,50 is the place
# [12.0, 50.0]; one price above 180 makes the same column text. The separator is found, and nothing warns.
# For us: the decimal mark is declared or proven by the column, else refused with the option that decides it; a type is
# never inferred from the range of the values.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
python_packages frictionless==5.21.0
run_python <<'PYTHON' | seen "cheap.csv: geopoint [12.0, 50.0]
dear.csv: string '12,50'"
from frictionless import describe, extract
def show(name, *prices):
    lines = [f"2026-03-0{day};{price}" for day, price in enumerate(prices, 1)]
    open(name, "w").write("\n".join(["jour;montant", *lines, ""]))
    kind = next(field.type for field in describe(name).schema.fields if field.name == "montant")
    (rows,) = extract(name).values()
    print(f"{name}: {kind} {rows[0]['montant']!r}")
show("cheap.csv", "12,50", "7,90", "19,00")
show("dear.csv", "12,50", "7,90", "249,00")
PYTHON
