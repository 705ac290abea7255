#!/usr/bin/env bash
# bingads 13.0.30.1 (Microsoft Advertising's own client): its reader of downloaded reports.
#
# Guess: every row of a report is returned, the footer apart; a cell that is no number raises.
# Seen: a campaign whose name begins with "Total" is taken for the footer and left out, in silence, although the report's
# own line says how many rows there are; the share "12.50%" and the amount "1,204.50" are 0 from `float_value`, as is "--".
# For us: a total row is known by more than its first cell (its other labels are empty, its sums fit), rows left out are
# counted in the answer, and what is no number is missing with its line, never 0.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
python_packages bingads==13.0.30.1
run_python <<'PYTHON' | seen 'the report announces 3 rows
Brand: 120 clicks, share 0, cost 0
Shoes: 45 clicks, share 0, cost 12.0
rows returned: 2'
from bingads.v13.reporting import ReportFileReader
open("report.csv", "w", encoding="utf-8").write('''"Report Name: Campaigns"
"Report Time: 11/1/2026,11/30/2026"
"Time Zone: (GMT+01:00) Brussels, Copenhagen, Madrid, Paris"
"Rows: 3"

"CampaignName","Clicks","ImpressionSharePercent","Spend"
"Brand","120","12.50%","1,204.50"
"Total Care","77","8.00%","310.20"
"Shoes","45","--","12.00"

"Total","242","","1526.70"
"©2026 Microsoft Corporation. All rights reserved. "
''')
report = ReportFileReader("report.csv", "Csv").get_report()
print(f"the report announces {report.record_count} rows")
rows = list(report.report_records)
for row in rows:
    print(f"{row.value('CampaignName')}: {row.int_value('Clicks')} clicks, "
          f"share {row.float_value('ImpressionSharePercent')}, cost {row.float_value('Spend')}")
print(f"rows returned: {len(rows)}")
PYTHON
