#!/usr/bin/env bash
# gbstats 0.8.0 (the statistics of GrowthBook): a control group in which nobody bought gives a lift of 0 with p = 1, for the
# absolute difference too.
#
# Guess: 0 of 100 against 12 of 100 is an infinite relative lift: refused, or a p-value near .0004 as for the difference.
# Seen: expected 0.0, interval [0.0, 0.0], p-value 1.0 for the relative lift, and the same for the absolute difference,
# which is defined: .12, p .0003 by Fisher's exact test. Only a code in a separate field `error_message` tells; a caller
# who looks at the numbers reads "no effect". With one buyer in the control group the difference is .11, p .0016.
# For us: a ratio with an empty denominator is null, never 0; the difference is given beside it.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
python_packages gbstats==0.8.0
run_python <<'PYTHON' | seen "relative: 0.0 [0.0, 0.0] p=1.0 ZERO_NEGATIVE_BASELINE_VARIATION
absolute: 0.0 [0.0, 0.0] p=1.0 ZERO_NEGATIVE_BASELINE_VARIATION
one buyer, absolute: 0.11 p=0.0016"
from gbstats.models.statistics import ProportionStatistic
from gbstats.frequentist.tests import TwoSidedTTest, FrequentistConfig
def compare(kind, buyers):
    control, treated = ProportionStatistic(n=100, sum=buyers), ProportionStatistic(n=100, sum=12)
    return TwoSidedTTest(control, treated, FrequentistConfig(difference_type=kind)).compute_result()
for kind in ("relative", "absolute"):
    result = compare(kind, 0)
    print(f"{kind}:", result.expected, result.ci, f"p={result.p_value}", result.error_message)
result = compare("absolute", 1)
print(f"one buyer, absolute: {result.expected} p={result.p_value:.4f}")
PYTHON
