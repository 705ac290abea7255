#!/usr/bin/env python3
"""Models of mkt-ml beside their peers: the same rows, trees, leaves, bins and learning rate, each in a process of its
own, one after the other.

    cargo build --release -p mkt-benches --features ml --bin ml_model
    python3 -m venv venv && venv/bin/pip install numpy scipy scikit-learn lightgbm xgboost catboost forust
    venv/bin/python benches/compare/ml/models.py [--models boosting,forest,extra-trees,logistic,tree] [--threads 2]

Data: `--data generated` draws rows from a planted model, 12 numbers and 8 categories written as codes, about 5 %
positive; `--data shoppers` reads online_shoppers_intention.csv (UCI) from the folder that MKT_DATA names and divides
it anew for each seed. Times are of the fit alone (wall and processor seconds, the latter of mkt-ml in steps of 0.01; of logistic regressions and single trees
with their encoding); predictions are rows per second of the test rows on one thread, the fastest of three. AUC is on
test rows that no model saw; its difference to the first line of each table comes with a 95 % paired bootstrap interval.
`--floor` says how far boosting is from the least that its histograms cost. `--scaling` compares two threads with two
processes that each do the same work at the same time.

scikit-learn-intelex and ranger are asked by programs of their own: `--intelex PYTHON` (a Python with scikit-learn-intelex
and the scikit-learn that it takes), `--ranger RSCRIPT` (Debian: r-cran-ranger). A peer that is not there is left out and
said so.
"""

import argparse
import csv
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

import numpy as np

LEVELS = [3, 4, 5, 8, 10, 12, 20, 30]
PEERS = {
    "boosting": ["mkt-ml", "lightgbm", "xgboost", "catboost", "sklearn-hist", "forust"],
    "forest": ["mkt-ml", "sklearn-forest", "intelex-forest", "ranger"],
    "extra-trees": ["mkt-ml", "sklearn-extra", "intelex-extra"],
    "logistic": ["mkt-ml", "sklearn-lbfgs", "sklearn-newton", "linfa-logistic"],
    "tree": ["mkt-ml", "sklearn-tree", "linfa-tree"],
}
MODULES = {"lightgbm": "lightgbm", "xgboost": "xgboost", "catboost": "catboost", "forust": "forust"}
RANGER = """
library(ranger)
a <- commandArgs(TRUE)
folder <- a[1]; features <- as.integer(a[2]); trees <- as.integer(a[3]); leaf <- as.integer(a[4])
threads <- as.integer(a[5]); seed <- as.integer(a[6]); out <- a[7]
read <- function(name) {
  rows <- file.info(file.path(folder, paste0(name, ".y")))$size
  x <- matrix(readBin(file.path(folder, paste0(name, ".x")), "double", rows * features), ncol = features, byrow = TRUE)
  y <- as.integer(readBin(file.path(folder, paste0(name, ".y")), "raw", rows))
  colnames(x) <- paste0("f", seq_len(features))
  list(x = x, y = y)
}
train <- read("train")
begun <- proc.time()
model <- ranger(x = train$x, y = factor(train$y), num.trees = trees, min.node.size = leaf, probability = TRUE,
                num.threads = threads, seed = seed, oob.error = FALSE)
took <- proc.time() - begun
rm(train)
test <- read("test")
fastest <- Inf
for (i in 1:3) {
  begun <- proc.time()
  p <- predict(model, test$x, num.threads = 1)$predictions[, "1"]
  fastest <- min(fastest, (proc.time() - begun)[3])
}
writeBin(as.double(p), out)
peak <- as.numeric(strsplit(trimws(sub("VmHWM:", "", grep("VmHWM", readLines("/proc/self/status"), value = TRUE))), " ")[[1]][1])
cat(sprintf('{"train_wall": %f, "train_cpu": %f, "predict_rows_per_second": %f, "peak_mb": %f}\\n',
            took[3], took[1] + took[2], length(p) / fastest, peak * 1024 / 1e6))
"""


def generate(folder, rows, seed):
    """Rows of the planted model, three quarters to four fifths of them for training."""
    rng = np.random.default_rng(seed)
    test = min(rows // 4, 250_000)
    count = rows + test
    x = np.empty((count, 12 + len(LEVELS)))
    x[:, :12] = rng.normal(size=(count, 12))
    x[:, 0] = np.exp(x[:, 0])
    x[:, 1] = np.round(np.abs(x[:, 1]) * 5)
    x[:, 2] = rng.gamma(2, 3, count)
    for at, most in enumerate(LEVELS):
        x[:, 12 + at] = rng.integers(0, most, count)
    z = -4.6 + 0.5 * np.log(x[:, 0]) + 0.15 * x[:, 1] + 0.4 * x[:, 3] * x[:, 4]
    z += -0.5 * np.abs(x[:, 5]) + 0.3 * np.sin(2 * x[:, 6]) + 0.05 * x[:, 2]
    for at in range(len(LEVELS)):
        z += rng.normal(0, 0.5, 30)[x[:, 12 + at].astype(int)]
    y = (rng.random(count) < 1 / (1 + np.exp(-z))).astype(np.uint8)
    write(folder, x, y, rows)
    return x.shape[1], list(range(12, 12 + len(LEVELS)))


def shoppers(folder, seed):
    """The shoppers, four fifths of them for training; categories as codes in the order of their names."""
    with open(os.path.join(os.environ["MKT_DATA"], "online_shoppers_intention.csv"), encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    y = np.array([line.pop("Revenue").upper() == "TRUE" for line in lines], dtype=np.uint8)
    texts = {"Month", "VisitorType", "Weekend", "OperatingSystems", "Browser", "Region", "TrafficType"}
    names = list(lines[0])
    columns = []
    for name in names:
        cells = [line[name] for line in lines]
        columns.append(np.unique(cells, return_inverse=True)[1] if name in texts else np.array(cells, dtype=float))
    order = np.random.default_rng(seed).permutation(len(y))
    write(folder, np.column_stack(columns).astype(float)[order], y[order], len(y) * 4 // 5)
    return len(names), [at for at, name in enumerate(names) if name in texts]


def write(folder, x, y, rows):
    for name, part in (("train", slice(0, rows)), ("test", slice(rows, None))):
        x[part].tofile(os.path.join(folder, name + ".x"))
        y[part].tofile(os.path.join(folder, name + ".y"))


def load(folder, name, features):
    x = np.fromfile(os.path.join(folder, name + ".x")).reshape(-1, features)
    return x, np.fromfile(os.path.join(folder, name + ".y"), dtype=np.uint8)


def references(x, categorical):
    """The most frequent level of each category, which one-hot encoding leaves out: mkt-ml's choice."""
    found = []
    for at in categorical:
        levels, counts = np.unique(x[:, at].astype(int), return_counts=True)
        # Of equally frequent levels the first by name; names are the codes as text.
        found.append(min(levels[counts == counts.max()], key=str))
    return found


def encoded(categorical, features, drop):
    """scikit-learn's encoding that gives mkt-ml's features: standardised numbers, one-hot codes without the reference."""
    from sklearn.compose import ColumnTransformer
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numeric = [at for at in range(features) if at not in categorical]
    one_hot = OneHotEncoder(drop=drop, handle_unknown="ignore")
    return ColumnTransformer([("numbers", StandardScaler(), numeric), ("codes", one_hot, categorical)])


def peer(arguments):
    """Fits one peer in this process and prints its figures."""
    name, trees, leaves = arguments.peer, arguments.trees, arguments.leaves
    threads, seed, features = arguments.threads, arguments.seed, arguments.features
    x, y = load(arguments.folder, "train", features)
    ask, extra = None, {}
    if name.startswith("intelex"):
        from sklearnex import patch_sklearn

        patch_sklearn(verbose=False)
    if name == "lightgbm":
        import lightgbm

        model = lightgbm.LGBMClassifier(
            n_estimators=trees, num_leaves=leaves, learning_rate=0.1, max_bin=255, min_child_samples=20,
            n_jobs=threads, random_state=seed, verbose=-1,
        )
        ask = lambda rows: model.predict_proba(rows, num_threads=1)
    elif name == "xgboost":
        import xgboost

        model = xgboost.XGBClassifier(
            n_estimators=trees, max_leaves=leaves, max_depth=0, grow_policy="lossguide", tree_method="hist",
            learning_rate=0.1, max_bin=256, reg_lambda=0, min_child_weight=1e-3, n_jobs=threads, random_state=seed,
        )

        def ask(rows):
            model.set_params(n_jobs=1)
            return model.predict_proba(rows)
    elif name == "catboost":
        import catboost

        # Its trees are symmetric: 32 leaves at depth 5.
        model = catboost.CatBoostClassifier(
            iterations=trees, depth=max(1, round(np.log2(leaves + 1))), learning_rate=0.1, border_count=254,
            thread_count=threads, random_seed=seed, verbose=0, allow_writing_files=False,
        )
        ask = lambda rows: model.predict_proba(rows, thread_count=1)
    elif name == "forust":
        import forust

        model = forust.GradientBooster(
            objective_type="LogLoss", iterations=trees, learning_rate=0.1, max_depth=30, max_leaves=leaves,
            l2=0.0, nbins=256, grow_policy="LossGuide", num_threads=threads, parallel=threads > 1, seed=seed,
        )

        def ask(rows):
            margins = model.predict(rows, parallel=False)
            return np.column_stack([margins, 1 / (1 + np.exp(-margins))])
        y = y.astype(float)
    elif name == "sklearn-hist":
        from sklearn.ensemble import HistGradientBoostingClassifier

        model = HistGradientBoostingClassifier(
            max_iter=trees, max_leaf_nodes=leaves, learning_rate=0.1, early_stopping=False, random_state=seed
        )
    elif name in ("sklearn-lbfgs", "sklearn-newton"):
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline

        drop = references(x, arguments.categorical)
        solver = "lbfgs" if name == "sklearn-lbfgs" else "newton-cholesky"
        linear = LogisticRegression(C=1.0, solver=solver, tol=arguments.tolerance, max_iter=10_000)
        model = make_pipeline(encoded(arguments.categorical, features, drop), linear)
        if solver == "newton-cholesky":
            model[0].set_params(sparse_threshold=0)
    elif name == "sklearn-tree":
        from sklearn.tree import DecisionTreeClassifier

        model = DecisionTreeClassifier(max_depth=20, min_samples_leaf=arguments.min_leaf, random_state=seed)
    else:
        from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

        kind = RandomForestClassifier if name.endswith("forest") else ExtraTreesClassifier
        model = kind(trees, min_samples_leaf=arguments.min_leaf, n_jobs=threads, random_state=seed)
    begun, cpu = time.time(), time.process_time()
    model.fit(x, y)
    wall, cpu = time.time() - begun, time.process_time() - cpu
    with open("/proc/self/status") as status:
        peak = next(line for line in status if line.startswith("VmHWM:")).split()[1]
    if name in ("sklearn-lbfgs", "sklearn-newton"):
        extra = {"coefficients": model[-1].coef_[0].tolist(), "intercept": float(model[-1].intercept_[0])}
    del x, y
    x, y = load(arguments.folder, "test", features)
    if hasattr(model, "n_jobs") and not ask:
        model.n_jobs = 1
    ask = ask or model.predict_proba
    fastest = float("inf")
    for _ in range(3):
        begun = time.time()
        scores = ask(x)[:, 1]
        fastest = min(fastest, time.time() - begun)
    np.asarray(scores, dtype=np.float64).tofile(arguments.out)
    print(json.dumps({
        "train_wall": wall, "train_cpu": cpu, "predict_rows_per_second": len(y) / fastest,
        "peak_mb": int(peak) * 1024 / 1e6, **extra,
    }))


class Ranking:
    """AUC of one model on resamples of the test rows, sorted once."""

    def __init__(self, y, scores):
        self.order = np.argsort(scores, kind="stable")
        ranked = scores[self.order]
        self.first = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
        self.y = y[self.order] == 1

    def auc(self, times):
        """The share of pairs in the right order where row i counts times[i] times; ties count half."""
        times = times[self.order]
        positive = np.add.reduceat(np.where(self.y, times, 0), self.first)
        negative = np.add.reduceat(np.where(self.y, 0, times), self.first)
        below = np.cumsum(negative) - negative
        return (positive * (below + negative / 2)).sum() / (positive.sum() * negative.sum())


def penalised_loss(folder, features, categorical, found, name):
    """The loss that logistic regressions minimise, computed here for everyone: Σ log-loss + ½ ‖w‖²."""
    x, y = load(folder, "train", features)
    drop = references(x, categorical)
    encoder = encoded(categorical, features, drop).fit(x)
    matrix = encoder.transform(x)
    if name == "mkt-ml":
        names = [str(at) for at in range(features) if at not in categorical]
        for at, kept, left_out in zip(categorical, encoder.named_transformers_["codes"].categories_, drop):
            names += [f"{at}={int(level)}" for level in kept if int(level) != left_out]
        weights = np.array([found["weights"][one] for one in names])
    else:
        weights = np.array(found["coefficients"])
    z = matrix @ weights + found["intercept"]
    return float(np.logaddexp(0, np.where(y == 1, -z, z)).sum() + (weights**2).sum() / 2)


def commands(arguments, folder, name, model, seed, features, categorical, out):
    trees = str(arguments.trees or (100 if model == "boosting" else 20))
    least = arguments.min_leaf if model in ("forest", "extra-trees") else 20
    common = ["--trees", trees, "--seed", str(seed), "--threads", str(arguments.threads), "--leaves",
              str(arguments.leaves), "--min-leaf", str(least), "--features", str(features), "--out", out]
    common += ["--categorical", ",".join(map(str, categorical))]
    if name == "mkt-ml" or name.startswith("linfa"):
        told = [arguments.binary, folder, "--model", model if name == "mkt-ml" else name] + common
        return told + (["--floor"] if arguments.floor and model == "boosting" else [])
    if name == "ranger":
        script = os.path.join(folder, "ranger.R")
        with open(script, "w", encoding="utf-8") as file:
            file.write(RANGER)
        rest = [str(features), trees, str(least), str(arguments.threads), str(seed), out]
        return [arguments.ranger, script, folder] + rest
    python = arguments.intelex if name.startswith("intelex") else sys.executable
    tolerance = ["--tolerance", str(arguments.tolerance)]
    return [python, __file__, "--peer", name, "--folder", folder] + common + tolerance


def missing(arguments, name):
    if name in MODULES and not importlib.util.find_spec(MODULES[name]):
        return "not installed"
    if name.startswith("intelex") and not arguments.intelex:
        return "no --intelex PYTHON"
    if name == "ranger" and not arguments.ranger:
        return "no Rscript with ranger"
    return None


def compare(arguments, model, environment):
    threads = arguments.threads
    print(f"\n{model} on {arguments.data} rows, {threads} thread(s)")
    print(f"{'':15} seed  wall s   CPU s  ratio  predict/s  ratio  peak MB     AUC  minus mkt-ml [95 %]")
    for seed in range(1, arguments.seeds + 1):
        with tempfile.TemporaryDirectory() as folder:
            if arguments.data == "shoppers":
                features, categorical = shoppers(folder, seed)
            else:
                features, categorical = generate(folder, arguments.rows, seed)
            _, labels = load(folder, "test", features)
            first, losses = None, {}
            for name in PEERS[model]:
                if arguments.peers and name not in arguments.peers.split(",") + ["mkt-ml"]:
                    continue
                why = missing(arguments, name)
                if why:
                    print(f"{name:15} left out: {why}")
                    continue
                out = os.path.join(folder, name)
                command = commands(arguments, folder, name, model, seed, features, categorical, out)
                told = subprocess.run(command, env=environment, capture_output=True, text=True)
                if told.returncode:
                    lines = told.stderr.strip().splitlines() or [f"exit {told.returncode}"]
                    print(f"{name:15} failed: {lines[-1]}")
                    continue
                found = json.loads(told.stdout.strip().splitlines()[-1])
                ranking = Ranking(labels, np.fromfile(out))
                area = ranking.auc(np.ones(len(labels)))
                first = first or (found, ranking)
                rng = np.random.default_rng(seed)
                gaps = []
                for _ in range(arguments.resamples if name != "mkt-ml" else 0):
                    times = rng.multinomial(len(labels), np.full(len(labels), 1 / len(labels)))
                    gaps.append(ranking.auc(times) - first[1].auc(times))
                low, high = np.percentile(gaps, [2.5, 97.5]) if gaps else (0, 0)
                interval = f"[{low:+.5f} {high:+.5f}]" if gaps else ""
                speed = found["predict_rows_per_second"]
                print(
                    f"{name:15} {seed:4} {found['train_wall']:7.2f} {found['train_cpu']:7.2f} "
                    f"{found['train_cpu'] / max(first[0]['train_cpu'], 0.01):6.2f} {speed:10.0f} "
                    f"{first[0]['predict_rows_per_second'] / speed:6.2f} "
                    f"{found['peak_mb']:8.0f} {area:.5f} {interval}",
                    flush=True,
                )
                if "times_floor" in found:
                    print(
                        f"{'':15} {found['adds'] / 1e9:.2f} G adds of histograms, a byte read for each: "
                        f"{found['floor_seconds']:.2f} s at the least; the fit took {found['times_floor']:.1f} times that"
                    )
                if model == "logistic" and "intercept" in found:
                    losses[name] = penalised_loss(folder, features, categorical, found, name)
            if losses:
                best = min(losses.values())
                parts = [f"{name} {loss / best - 1:.1e}" for name, loss in losses.items()]
                print(f"{'':15} penalised loss above the least, relative: " + ", ".join(parts))


def scaling(arguments, model, environment):
    """Two threads against two processes: how much of the machine a fit on two threads uses."""
    print(f"\n{model} on {arguments.rows} generated rows: two threads beside two processes")
    with tempfile.TemporaryDirectory() as folder:
        features, categorical = generate(folder, arguments.rows, 1)

        def start(threads, name):
            arguments.threads = threads
            out = os.path.join(folder, name)
            command = commands(arguments, folder, "mkt-ml", model, 1, features, categorical, out)
            return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)

        def wall(process):
            return json.loads(process.communicate()[0].strip().splitlines()[-1])["train_wall"]

        shares = []
        for _ in range(arguments.seeds):
            pair = [start(1, "a"), start(1, "b")]
            apart = max(wall(process) for process in pair)
            together = wall(start(2, "c"))
            # Two processes fit two models in `apart` seconds.
            shares.append(apart / 2 / together)
            print(f"two processes {apart:.2f} s for two fits, two threads {together:.2f} s for one: {shares[-1]:.0%}")
        same = np.array_equal(np.fromfile(os.path.join(folder, "a")), np.fromfile(os.path.join(folder, "c")))
        print(f"median {np.median(shares):.0%}; the models predict {'the same bits' if same else 'DIFFERENTLY'}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=["generated", "shoppers"], default="generated")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--trees", type=int, help="default 100, forests 20")
    parser.add_argument("--leaves", type=int, default=31)
    parser.add_argument("--min-leaf", type=int, default=1, help="of forests")
    parser.add_argument("--models", default="boosting,forest,extra-trees,logistic,tree")
    parser.add_argument("--peers", help="only these")
    parser.add_argument("--binary", default="target/release/ml_model")
    parser.add_argument("--resamples", type=int, default=200)
    parser.add_argument("--tolerance", type=float, default=1e-4, help="of scikit-learn's logistic regression")
    parser.add_argument("--floor", action="store_true")
    parser.add_argument("--scaling", action="store_true")
    parser.add_argument("--intelex", help="a Python with scikit-learn-intelex")
    parser.add_argument("--ranger", default=shutil.which("Rscript"), help="an Rscript with ranger")
    for hidden in ("peer", "folder", "out"):
        parser.add_argument("--" + hidden, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--features", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--categorical", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peer:
        arguments.categorical = [int(at) for at in arguments.categorical.split(",") if at]
        return peer(arguments)
    if arguments.data == "shoppers" and not os.environ.get("MKT_DATA"):
        return print("skipped: MKT_DATA names no folder with online_shoppers_intention.csv")
    threads = str(arguments.threads)
    environment = dict(os.environ, OMP_NUM_THREADS=threads, OPENBLAS_NUM_THREADS=threads)
    for model in arguments.models.split(","):
        (scaling if arguments.scaling else compare)(arguments, model, environment)


if __name__ == "__main__":
    main()
