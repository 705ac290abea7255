#!/usr/bin/env bash
# singer-python 6.8.0 (under the taps of Stitch and Meltano): a fraction in an integer column is cut off.
#
# Guess: a record that does not fit its schema raises, whether the value comes as a number or as text.
# Seen: as text, "12.7" raises; as a number, 12.7 becomes 12 and -0.9 becomes 0 without a word, and `true` becomes 1. An
# exact Decimal becomes a float. So a price that a source writes 12 on one day and 12.7 on the next is cut from then on.
# For us: a column's type never cuts a value: the row is quarantined with its line and the value.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
python_packages singer-python==6.8.0
run_python <<'PYTHON' | seen "12.7 -> 12
-0.9 -> 0
True -> 1
'12.7' -> SchemaMismatch
Decimal('12.345678901234567890') as number -> 12.345678901234567"
from decimal import Decimal
from singer import Transformer
def cast(value, kind="integer"):
    try:
        return Transformer().transform({"v": value}, {"type": "object", "properties": {"v": {"type": ["null", kind]}}})["v"]
    except Exception as error:
        return type(error).__name__
for value in (12.7, -0.9, True, "12.7"):
    print(f"{value!r} -> {cast(value)}")
exact = Decimal("12.345678901234567890")
print(f"{exact!r} as number -> {cast(exact, 'number')!r}")
PYTHON
