#!/usr/bin/env bash
# rfm 1.0.9 with pandas 2.3.3 (the package of that name on PyPI; it does not run on pandas 3): what a customer has spent.
#
# Guess: monetary value is the sum of the amounts, frequency the number of orders.
# Seen: an amount with a nought after the point loses its last two characters (12.05 counts as 12, 9.07 as 9, while 12.50
# stays); two equal orders of one day are one order; customers with equal figures get different scores, by the order of
# the rows.
# For us: amounts are decimals of hundredths; an order is one by its id, and rows taken for repetitions are counted in the
# answer; equal figures get equal scores.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
python_packages rfm==1.0.9 pandas==2.3.3 matplotlib==3.10.8
run_python <<'PYTHON' | seen "c0: 2 orders, spent 24.5, expected 2 orders, 24.55
c1: 2 orders, spent 21.0, expected 2 orders, 21.12
c2: 1 orders, spent 30.0, expected 2 orders, 60.00
scores of three customers with one order of 15.00 on one day: ['211', '221', '311']"
import contextlib, io, warnings
import pandas as pd
warnings.filterwarnings("ignore")
from rfm import RFM
orders = [("c0", "2026-11-01", 12.50), ("c0", "2026-11-02", 12.05), ("c1", "2026-11-03", 12.05),
          ("c1", "2026-11-04", 9.07), ("c2", "2026-11-05", 30.00), ("c2", "2026-11-05", 30.00)]
orders += [(f"equal{n}", "2026-11-06", 15.00) for n in range(3)] + [(f"x{n}", f"2026-11-{10 + n}", 20.0 + n) for n in range(6)]
frame = pd.DataFrame(orders, columns=["customer", "order_date", "amount"])
truth = frame.groupby("customer").amount.agg(["count", "sum"])
with contextlib.redirect_stdout(io.StringIO()):
    table = RFM(frame, "customer", "order_date", "amount").rfm_table.set_index("customer")
for customer in ("c0", "c1", "c2"):
    row, right = table.loc[customer], truth.loc[customer]
    print(f"{customer}: {row.frequency} orders, spent {row.monetary_value}, "
          f"expected {right['count']:.0f} orders, {right['sum']:.2f}")
print("scores of three customers with one order of 15.00 on one day:",
      sorted(table.loc[[f"equal{n}" for n in range(3)]].rfm_score))
PYTHON
