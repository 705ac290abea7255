#!/usr/bin/env python3
"""Trees of mkt-ml beside LightGBM, XGBoost, CatBoost and scikit-learn: the same rows, trees, leaves, bins and learning
rate, each in a process of its own, one after the other.

    cargo build --release -p mkt-benches --features ml --bin ml_model
    python3 -m venv venv && venv/bin/pip install numpy scikit-learn lightgbm xgboost catboost
    venv/bin/python benches/compare/ml/models.py [--rows 1000000] [--seeds 3] [--threads 1] [--models boosting,forest]

Rows are drawn from a planted model: 12 numbers, 8 categories written as codes, about 5 % positive. Times are of the fit
alone (wall and processor seconds); predictions are rows per second of the test rows on one thread, the fastest of
three. AUC is on test rows that no model saw; its difference to the first line of each table comes with a 95 % paired
bootstrap interval. A peer that is not installed is left out and said so.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time

import numpy as np

FEATURES = 20
PEERS = {
    "boosting": ["mkt-ml", "lightgbm", "xgboost", "catboost", "sklearn-hist"],
    "forest": ["mkt-ml", "sklearn-forest"],
    "extra-trees": ["mkt-ml", "sklearn-extra"],
}
MODULES = {"lightgbm": "lightgbm", "xgboost": "xgboost", "catboost": "catboost"}


def generate(folder, rows, seed):
    """Rows of the planted model, three quarters to four fifths of them for training."""
    rng = np.random.default_rng(seed)
    test = min(rows // 4, 250_000)
    count = rows + test
    x = np.empty((count, FEATURES))
    x[:, :12] = rng.normal(size=(count, 12))
    x[:, 0] = np.exp(x[:, 0])
    x[:, 1] = np.round(np.abs(x[:, 1]) * 5)
    x[:, 2] = rng.gamma(2, 3, count)
    levels = [3, 4, 5, 8, 10, 12, 20, 30]
    for at, most in enumerate(levels):
        x[:, 12 + at] = rng.integers(0, most, count)
    z = -4.6 + 0.5 * np.log(x[:, 0]) + 0.15 * x[:, 1] + 0.4 * x[:, 3] * x[:, 4]
    z += -0.5 * np.abs(x[:, 5]) + 0.3 * np.sin(2 * x[:, 6]) + 0.05 * x[:, 2]
    for at in range(8):
        z += rng.normal(0, 0.5, 30)[x[:, 12 + at].astype(int)]
    y = (rng.random(count) < 1 / (1 + np.exp(-z))).astype(np.uint8)
    for name, part in (("train", slice(0, rows)), ("test", slice(rows, None))):
        x[part].tofile(os.path.join(folder, name + ".x"))
        y[part].tofile(os.path.join(folder, name + ".y"))


def load(folder, name):
    x = np.fromfile(os.path.join(folder, name + ".x")).reshape(-1, FEATURES)
    return x, np.fromfile(os.path.join(folder, name + ".y"), dtype=np.uint8)


def peer(arguments):
    """Fits one peer in this process and prints its figures."""
    trees, leaves, threads, seed = arguments.trees, arguments.leaves, arguments.threads, arguments.seed
    x, y = load(arguments.folder, "train")
    ask = None
    if arguments.peer == "lightgbm":
        import lightgbm

        model = lightgbm.LGBMClassifier(
            n_estimators=trees, num_leaves=leaves, learning_rate=0.1, max_bin=255, min_child_samples=20,
            n_jobs=threads, random_state=seed, verbose=-1,
        )
        ask = lambda rows: model.predict_proba(rows, num_threads=1)
    elif arguments.peer == "xgboost":
        import xgboost

        model = xgboost.XGBClassifier(
            n_estimators=trees, max_leaves=leaves, max_depth=0, grow_policy="lossguide", tree_method="hist",
            learning_rate=0.1, max_bin=256, reg_lambda=0, min_child_weight=1e-3, n_jobs=threads, random_state=seed,
        )

        def ask(rows):
            model.set_params(n_jobs=1)
            return model.predict_proba(rows)
    elif arguments.peer == "catboost":
        import catboost

        # Its trees are symmetric: 32 leaves at depth 5.
        model = catboost.CatBoostClassifier(
            iterations=trees, depth=max(1, round(np.log2(leaves + 1))), learning_rate=0.1, border_count=254,
            thread_count=threads, random_seed=seed, verbose=0, allow_writing_files=False,
        )
        ask = lambda rows: model.predict_proba(rows, thread_count=1)
    elif arguments.peer == "sklearn-hist":
        from sklearn.ensemble import HistGradientBoostingClassifier

        model = HistGradientBoostingClassifier(
            max_iter=trees, max_leaf_nodes=leaves, learning_rate=0.1, early_stopping=False, random_state=seed
        )
    else:
        from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

        kind = RandomForestClassifier if arguments.peer == "sklearn-forest" else ExtraTreesClassifier
        model = kind(trees, min_samples_leaf=arguments.min_leaf, n_jobs=threads, random_state=seed)
    begun, cpu = time.time(), time.process_time()
    model.fit(x, y)
    wall, cpu = time.time() - begun, time.process_time() - cpu
    del x, y
    x, y = load(arguments.folder, "test")
    if arguments.peer.startswith("sklearn") and hasattr(model, "n_jobs"):
        model.n_jobs = 1
    ask = ask or model.predict_proba
    fastest = float("inf")
    for _ in range(3):
        begun = time.time()
        scores = ask(x)[:, 1]
        fastest = min(fastest, time.time() - begun)
    np.asarray(scores, dtype=np.float64).tofile(arguments.out)
    with open("/proc/self/status") as status:
        peak = next(line for line in status if line.startswith("VmHWM:")).split()[1]
    print(json.dumps({
        "train_wall": wall, "train_cpu": cpu, "predict_rows_per_second": len(y) / fastest,
        "peak_mb": int(peak) * 1024 / 1e6,
    }))


def auc(y, scores):
    """The share of pairs in the right order, by ranks; ties count half."""
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]
    positive = y == 1
    n = positive.sum()
    return (rank[positive].sum() - n * (n + 1) / 2) / (n * (len(y) - n))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--trees", type=int, help="default 100, forests 20")
    parser.add_argument("--leaves", type=int, default=31)
    parser.add_argument("--min-leaf", type=int, default=1, help="of forests")
    parser.add_argument("--models", default="boosting,forest")
    parser.add_argument("--binary", default="target/release/ml_model")
    parser.add_argument("--resamples", type=int, default=200)
    for hidden in ("peer", "folder", "out"):
        parser.add_argument("--" + hidden, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=1, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peer:
        return peer(arguments)
    environment = dict(os.environ, OMP_NUM_THREADS=str(arguments.threads))
    for model in arguments.models.split(","):
        trees = arguments.trees or (100 if model == "boosting" else 20)
        print(f"\n{model}: {arguments.rows} rows x {FEATURES}, {trees} trees, {arguments.threads} thread(s)")
        print(f"{'':14} seed  wall s   CPU s  ratio  predict/s  ratio  peak MB     AUC  minus mkt-ml [95 %]")
        for seed in range(1, arguments.seeds + 1):
            with tempfile.TemporaryDirectory() as folder:
                generate(folder, arguments.rows, seed)
                _, labels = load(folder, "test")
                first = None
                for name in PEERS[model]:
                    if name in MODULES and not importlib.util.find_spec(MODULES[name]):
                        print(f"{name:14} not installed: left out")
                        continue
                    out = os.path.join(folder, name)
                    least = 20 if model == "boosting" else arguments.min_leaf
                    common = ["--trees", str(trees), "--seed", str(seed), "--threads", str(arguments.threads)]
                    common += ["--leaves", str(arguments.leaves), "--min-leaf", str(least), "--out", out]
                    if name == "mkt-ml":
                        command = [arguments.binary, folder, "--model", model, "--features", str(FEATURES)]
                    else:
                        command = [sys.executable, __file__, "--peer", name, "--folder", folder]
                    told = subprocess.run(command + common, env=environment, capture_output=True, text=True)
                    if told.returncode:
                        print(f"{name:14} failed: {told.stderr.strip().splitlines()[-1]}")
                        continue
                    found = json.loads(told.stdout.strip().splitlines()[-1])
                    scores = np.fromfile(out)
                    area = auc(labels, scores)
                    first = first or (found, scores)
                    rng = np.random.default_rng(seed)
                    gaps = []
                    for _ in range(arguments.resamples if name != "mkt-ml" else 0):
                        drawn = rng.integers(0, len(labels), len(labels))
                        gaps.append(auc(labels[drawn], scores[drawn]) - auc(labels[drawn], first[1][drawn]))
                    low, high = np.percentile(gaps, [2.5, 97.5]) if gaps else (0, 0)
                    interval = f"[{low:+.5f} {high:+.5f}]" if gaps else ""
                    print(
                        f"{name:14} {seed:4} {found['train_wall']:7.2f} {found['train_cpu']:7.2f} "
                        f"{found['train_cpu'] / first[0]['train_cpu']:6.2f} {found['predict_rows_per_second']:10.0f} "
                        f"{first[0]['predict_rows_per_second'] / found['predict_rows_per_second']:6.2f} "
                        f"{found['peak_mb']:8.0f} {area:.5f} {interval}",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
