#!/usr/bin/env bash
# csvkit 2.2.0 (agate 1.14.2): amounts with a decimal comma are multiplied by 10 or 100, in the same column as others.
#
# Guess: in a file with `;` as delimiter, "12,50" is refused, kept as text, or read as twelve and a half.
# Seen: the comma is taken for a thousands separator wherever it stands: "12,50" is 1250 and "0,5" is 5, beside
# "1.234", which stays 1.234. csvjson and csvstat say nothing; the sum is 1256.234 for 14.234 (or 1247).
# For us: groups of other than three digits prove the comma to be the decimal mark; what contradicts it is quarantined.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
python_packages csvkit==2.2.0 agate==1.14.2
printf 'channel;revenue\nemail;1.234\npaid;12,50\npaid;0,5\n' >"$work/a.csv"
{
    "$work/venv/bin/csvjson" -d ';' "$work/a.csv"
    echo
    "$work/venv/bin/csvstat" -d ';' -c revenue --sum "$work/a.csv"
} 2>&1 | seen '[{"channel": "email", "revenue": 1.234}, {"channel": "paid", "revenue": 1250.0}, {"channel": "paid", "revenue": 5.0}]
1256.234'
