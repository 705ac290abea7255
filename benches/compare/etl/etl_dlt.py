#!/usr/bin/env python3
"""The same pages through dlt; a process of its own, so that its CPU seconds are its own. Used by etl.py."""
import argparse
import datetime
import json
import os
import time
import urllib.parse

# What mkt-etl keeps of a visit and of an action.
VISIT = ["idVisit", "visitorId", "userId", "firstActionTimestamp", "lastActionTimestamp", "visitDuration",
         "visitConverted", "actions", "referrerType", "referrerName", "referrerUrl", "deviceType", "siteCurrency"]
ACTION = ["type", "timestamp", "timeSpent", "url", "pageTitle", "pageId", "goalId", "goalName", "goalPageId", "orderId",
          "revenue", "revenueSubTotal", "revenueTax", "revenueShipping", "revenueDiscount"]


def picked(visit):
    row = {name: visit.get(name) for name in VISIT}
    row["actionDetails"] = [{name: action[name] for name in ACTION if name in action} for action in visit["actionDetails"]]
    return row


def with_password(url):
    """dlt insists on a password, also where the server asks for none."""
    parts = urllib.parse.urlsplit(url)
    if parts.password is not None or not parts.hostname:
        return url
    host = f"{parts.username or 'postgres'}:none@{parts.hostname}:{parts.port or 5432}"
    return urllib.parse.urlunsplit(("postgresql", host, *parts[2:]))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", required=True)
    parser.add_argument("--days", type=int, required=True)
    parser.add_argument("--page", type=int, required=True)
    parser.add_argument("--destination", choices=["postgres", "sqlalchemy"], required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--columns", choices=["all", "picked"], required=True)
    parser.add_argument("--write", choices=["append", "merge"], required=True)
    parser.add_argument("--tuned", action="store_true")
    options = parser.parse_args()
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    if options.tuned:
        os.environ["NORMALIZE__WORKERS"] = "2"
    if options.destination == "sqlalchemy":
        # SQLite has one writer; two of dlt's jobs at once end in "database is locked".
        os.environ["LOAD__WORKERS"] = "1"
    import dlt
    import requests

    def visits():
        session = requests.Session()
        for day in range(options.days):
            date = datetime.date(2026, 1, 1) + datetime.timedelta(days=day)
            offset = 0
            while True:
                answer = session.post(f"http://{options.server}/index.php", data={
                    "module": "API", "format": "JSON", "method": "Live.getLastVisitsDetails", "idSite": "1",
                    "period": "day", "date": str(date), "filter_sort_order": "asc", "filter_limit": options.page,
                    "filter_offset": offset, "token_auth": "0123456789abcdef0123456789abcdef"}, timeout=60)
                answer.raise_for_status()
                page = answer.json()
                if options.columns == "picked":
                    page = [picked(visit) for visit in page]
                if page:
                    yield page
                if len(page) < options.page:
                    break
                offset += options.page

    began, cpu = time.perf_counter(), os.times()
    resource = dlt.resource(visits, name="visits", write_disposition=options.write, primary_key="idVisit")
    url = with_password(options.url) if options.destination == "postgres" else options.url
    destination = getattr(dlt.destinations, options.destination)(url)
    pipeline = dlt.pipeline(pipeline_name="bench", destination=destination, dataset_name=options.dataset,
                            pipelines_dir=options.folder)
    more = {"loader_file_format": "csv"} if options.tuned and options.destination == "postgres" else {}
    pipeline.run(resource(), **more)
    wall = time.perf_counter() - began
    with pipeline.sql_client() as client:
        table = client.make_qualified_table_name
        rows = sum(client.execute_sql(f"select count(*) from {table(name)}")[0][0]
                   for name in ("visits", "visits__action_details"))
    after = os.times()
    used = sum(after[:4]) - sum(cpu[:4])
    print(json.dumps({"rows": rows, "wall_s": wall, "cpu_s": used, "version": dlt.__version__}))


if __name__ == "__main__":
    main()
