#!/usr/bin/env bash
# price-parser 0.5.1: a refund becomes a sale, and a price below one with three decimals is multiplied by 1000.
#
# Guess: "-12,50 €" is -12.50, and "0.125 €" (the price of one piece) is 0.125, since no thousands group begins with 0.
# Seen: the minus is dropped; "0.125 €" is 125. The first number wins over the one beside the currency ("3 x 19,99 €"
# is 3 €). None of it is told.
# For us: a leading zero proves the decimal mark, and a minus stays (refunds are taken off).
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
python_packages price-parser==0.5.1
run_python <<'PYTHON' | seen "-12,50 € = 12.50 €
0.125 € = 125 €
0.12 € = 0.12 €
1.234 = 1234 None
3 x 19,99 € = 3 €
100 % coton, 12 € = 100 €"
from price_parser import Price
for text in ["-12,50 €", "0.125 €", "0.12 €", "1.234", "3 x 19,99 €", "100 % coton, 12 €"]:
    price = Price.fromstring(text)
    print(text, "=", price.amount, price.currency)
PYTHON
