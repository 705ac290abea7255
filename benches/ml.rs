//! Fitting and asking mkt-ml's models on generated behaviour, and the loops inside: `cargo bench --bench ml`.
//!
//! Twelve features, about 10 % positives, one seed, one thread: what is compared is the code, not the machine.

use std::{hint::black_box, num::NonZeroUsize, time::Duration};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use linfa::{Dataset, traits::Fit};
use mkt_ml::{
    Boosting, Classifier, DecisionTree, Forest, Logistic, kernels::Kernels, metrics::auc_roc,
    significance::delong,
};
use ndarray::{Array1, Array2, Ix1};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

const SIZES: [usize; 2] = [1_000, 10_000];
const FEATURES: usize = 12;

/// Rows drawn from a logistic model of four features, one interaction and eight features of noise.
fn generated(rows: usize) -> Dataset<f64, bool, Ix1> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(42);
    let records = Array2::from_shape_fn((rows, FEATURES), |_| rng.random_range(-2.0..2.0));
    let labels: Array1<bool> = records
        .outer_iter()
        .map(|x| {
            let z: f64 = -3.2 + 0.9 * x[0] - 0.7 * x[1] + 0.5 * x[2] + 0.6 * x[0] * x[3];
            rng.random::<f64>() < 1.0 / (1.0 + (-z).exp())
        })
        .collect();
    Dataset::new(records, labels)
}

fn fit(c: &mut Criterion) {
    let mut group = c.benchmark_group("fit");
    group.sample_size(10).measurement_time(Duration::from_secs(3));
    for rows in SIZES {
        let data = generated(rows);
        group.throughput(Throughput::Elements(rows as u64));
        group.bench_with_input(BenchmarkId::new("logistic", rows), &data, |b, data| {
            b.iter(|| Logistic::params().fit(black_box(data)));
        });
        group.bench_with_input(BenchmarkId::new("tree", rows), &data, |b, data| {
            b.iter(|| DecisionTree::params().fit(black_box(data)));
        });
        group.bench_with_input(BenchmarkId::new("forest of 100 trees", rows), &data, |b, data| {
            b.iter(|| Forest::params().threads(NonZeroUsize::MIN).fit(black_box(data)));
        });
        group.bench_with_input(BenchmarkId::new("extra trees, 100", rows), &data, |b, data| {
            b.iter(|| Forest::extra_trees().threads(NonZeroUsize::MIN).fit(black_box(data)));
        });
        group.bench_with_input(BenchmarkId::new("boosting of 100 trees", rows), &data, |b, data| {
            b.iter(|| Boosting::params().threads(NonZeroUsize::MIN).fit(black_box(data)));
        });
    }
    group.finish();
}

fn predict(c: &mut Criterion) {
    let mut group = c.benchmark_group("predict");
    group.sample_size(10).measurement_time(Duration::from_secs(3));
    for rows in SIZES {
        let data = generated(rows);
        let fitted =
            (Logistic::params().fit(&data), Forest::params().fit(&data), Boosting::params().fit(&data));
        let (Ok(logistic), Ok(forest), Ok(boosting)) = fitted else { continue };
        group.throughput(Throughput::Elements(rows as u64));
        group.bench_with_input(BenchmarkId::new("logistic", rows), &data, |b, data| {
            b.iter(|| logistic.probabilities(black_box(data.records().view())));
        });
        group.bench_with_input(BenchmarkId::new("forest of 100 trees", rows), &data, |b, data| {
            b.iter(|| forest.probabilities(black_box(data.records().view())));
        });
        group.bench_with_input(BenchmarkId::new("boosting of 100 trees", rows), &data, |b, data| {
            b.iter(|| boosting.probabilities(black_box(data.records().view())));
        });
        let some = data.records().slice(ndarray::s![..100, ..]);
        group.bench_function(BenchmarkId::new("TreeSHAP of 100 rows, boosting", rows), |b| {
            b.iter(|| boosting.contributions(black_box(some)));
        });
        let scores =
            forest.probabilities(data.records().view()).map(|scores| scores.to_vec()).unwrap_or_default();
        let labels = data.targets().to_vec();
        group.bench_function(BenchmarkId::new("auc", rows), |b| {
            b.iter(|| auc_roc(black_box(&labels), black_box(&scores)));
        });
        let others: Vec<f64> = scores.iter().map(|score| score * score).collect();
        group.bench_function(BenchmarkId::new("DeLong", rows), |b| {
            b.iter(|| delong(black_box(&labels), black_box(&scores), black_box(&others)));
        });
    }
    group.finish();
}

/// The loops that fits are made of, each over all rows and features.
fn kernels(c: &mut Criterion) {
    let mut group = c.benchmark_group("kernel");
    group.sample_size(20).measurement_time(Duration::from_secs(2));
    for rows in [10_000, 100_000] {
        let data = generated(rows);
        let labels = data.targets().to_vec();
        let Ok(mut kernels) = Kernels::new(data.records().clone(), labels) else { continue };
        group.throughput(Throughput::Elements((rows * FEATURES) as u64));
        group.bench_function(BenchmarkId::new("bins", rows), |b| b.iter(|| kernels.cut()));
        group.bench_function(BenchmarkId::new("histogram", rows), |b| b.iter(|| kernels.fill()));
        group.bench_function(BenchmarkId::new("curvature of the log-loss", rows), |b| {
            b.iter(|| kernels.curvature());
        });
        group.throughput(Throughput::Elements(rows as u64));
        group.bench_function(BenchmarkId::new("derivatives", rows), |b| b.iter(|| kernels.derive()));
        group.bench_function(BenchmarkId::new("partition", rows), |b| b.iter(|| kernels.divide()));
        group.throughput(Throughput::Elements((FEATURES * 256) as u64));
        group.bench_function(BenchmarkId::new("best division", rows), |b| b.iter(|| kernels.best()));
        group.bench_function(BenchmarkId::new("subtraction", rows), |b| b.iter(|| kernels.subtract()));
    }
    group.finish();
}

criterion_group!(benches, fit, predict, kernels);
criterion_main!(benches);
