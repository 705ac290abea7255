#!/usr/bin/env python3
"""Writes the notebooks beside this file and runs every cell, so that what they show is what the examples answer.

    pip install nbformat nbclient ipykernel
    python3 examples/notebooks/build.py [--check]

The kernel is Python's; the work is done by the examples, which the cells run (`cargo run --release --example …`). `--check`
runs every cell of the notebooks as they are and writes nothing: it fails where a cell fails.
"""
import argparse
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]

HELPERS = '''\
import json, pathlib, subprocess, tempfile
from IPython.display import SVG, display

root = pathlib.Path.cwd()
while not (root / "Cargo.lock").exists():
    root = root.parent
folder = pathlib.Path(tempfile.mkdtemp())

def example(name, *options):
    """Runs an example of the workspace and gives what it printed."""
    command = ["cargo", "run", "--quiet", "--release", "--example", name, "--", *map(str, options)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    return done.stdout

def charts(*names):
    for name in names:
        display(SVG(filename=folder / f"{name}.svg"))
'''

SOCIAL = [
    ("markdown", """\
# Social posts: how they were received

`social_posts.csv` holds the posts of a shop on Facebook and Instagram over half a year. The questions: how engaging are
they, how many people do they reach, does the hour of publication matter, and what else does?

The example `social_report` answers them; this notebook shows its answers and how to read them."""),
    ("code", HELPERS),
    ("code", """\
posts = "examples/data/social_posts.csv"
print(example("social_report", "--posts", posts, "--read-at", "2026-11-26T00:00:00Z", "--out", folder))"""),
    ("markdown", """\
## Engagement rates name their denominator

A rate by reach counts interactions per person who saw the post, one by impressions per time that it was shown, one by
followers per follower. They are not comparable, and neither are the two ways to average: the mean of ratios counts every
post alike, the ratio of sums every viewer alike. A post whose reach is not known is left out and counted as missing, never
as 0."""),
    ("code", """\
told = json.loads(example("social_report", "--posts", posts, "--read-at", "2026-11-26T00:00:00Z", "--json"))
print(f"{'':16} {'mean of ratios':>15} {'ratio of sums':>14} {'n':>5} {'missing':>8}")
for name, rate in told["engagement_rate"].items():
    print(f"{name:16} {rate['mean_of_ratios']:15.4f} {rate['ratio_of_sums']:14.4f} {rate['n']:5} {rate['n_missing']:8}")"""),
    ("markdown", "## Over time"),
    ("code", 'charts("trend")'),
    ("markdown", """\
## Is there a best hour?

Ranking the means of 24 small groups finds a "best hour" in pure noise. So the hours are estimated together and drawn
towards their mean the more, the fewer posts stand behind them; posts are compared with posts of their own network, type
and promotion; and one permutation test asks whether the hour matters at all. The verdict needs both: a p-value below 0.01
and an interval above the mean."""),
    ("code", 'charts("hours", "week")'),
    ("code", """\
best = told["best_hours"]
print(f"verdict: {best['verdict']}, p = {best['p_value']}")
for hour in best["hours"][:5]:
    print(f"{hour['hour']:2} h  {hour['estimate']:.4f}  [{hour['low']:.4f}, {hour['high']:.4f}]  n = {hour['n']}")"""),
    ("markdown", "## What else matters\n\nThe type of a post often matters more than its hour."),
    ("code", 'charts("types", "networks", "promotion", "length")'),
    ("markdown", """\
## Two questions of the course

**Why first-party rather than third-party cookies?** A cookie of another site is blocked by Safari and Firefox, and by
whoever asks for it in Chrome; it also needs the visitor's consent for a purpose that is not the shop's. A first-party cookie
is set by the shop's own domain, lives as long as the shop's pages use it, and joins with what the shop knows anyway: orders,
the CRM. It measures one site; across sites it knows nobody.

**Synchronous or asynchronous pixel?** A synchronous tag holds the page until its server has answered: when that server is
slow, the page is. An asynchronous one loads beside the page, at the price that a visitor who leaves at once may not be
counted. Measurement is best asynchronous; what must not be lost (an order) is told by the server itself, after the fact."""),
]

MODEL = [
    ("markdown", """\
# Who converts?

`user_behavior.csv` holds sessions: time on site, pages viewed, source, device, and whether the visitor converted. The
example `conversion_model` splits them 80/20 with seed 42, one-hot encodes the categories, learns, and says how well."""),
    ("code", HELPERS),
    ("markdown", "## Logistic regression"),
    ("code", """\
data = "examples/data/user_behavior.csv"
print(example("conversion_model", "--data", data, "--target", "converted", "--model", "logistic"))"""),
    ("markdown", "## A random forest of 100 trees, with its charts"),
    ("code", """\
print(example("conversion_model", "--data", data, "--target", "converted", "--model", "forest", "--charts", folder))
names = sorted(path.stem for path in folder.glob("*.svg"))
print(names)"""),
    ("code", "charts(*names)"),
    ("markdown", """\
## Reading it

- **Accuracy** says little where few convert: a model that says no to everybody is often right. Look at precision, recall
  and the AUC with its interval.
- **AUC**: the chance that a converted visitor has a higher score than one who did not; 0.5 is a coin.
- **Importances** say what the model used, not what causes a conversion.
- Columns that are only known after the fact (`revenue`, a thank-you page) make any model look perfect; the example points
  at columns that know too much."""),
    ("markdown", "## Boosted trees, for comparison"),
    ("code", 'print(example("conversion_model", "--data", data, "--target", "converted", "--model", "boosting"))'),
]


def notebook(cells):
    import nbformat.v4 as v4

    made = v4.new_notebook(metadata={
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    })
    for number, (kind, text) in enumerate(cells):
        cell = v4.new_markdown_cell(text) if kind == "markdown" else v4.new_code_cell(text)
        # Stable, so that building again changes only what the examples answer differently.
        cell["id"] = f"cell-{number}"
        made.cells.append(cell)
    return made


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--check", action="store_true", help="run the notebooks as they are, write nothing")
    check = arguments.parse_args().check
    try:
        import nbformat
        from nbclient import NotebookClient
    except ImportError as missing:
        sys.exit(f"skipped: {missing.name} is not installed (pip install nbformat nbclient ipykernel)")
    for name, cells in (("social_analysis", SOCIAL), ("conversion_model", MODEL)):
        path = HERE / f"{name}.ipynb"
        made = nbformat.read(path, as_version=4) if check else notebook(cells)
        NotebookClient(made, timeout=1800, kernel_name="python3", resources={"metadata": {"path": str(HERE)}}).execute()
        for cell in made.cells:
            # When a cell ran is no part of what it says.
            cell.get("metadata", {}).pop("execution", None)
        if not check:
            nbformat.validate(made)
            nbformat.write(made, path)
        print(f"{path.relative_to(ROOT)}: {sum(cell.cell_type == 'code' for cell in made.cells)} cells ran")


if __name__ == "__main__":
    main()
