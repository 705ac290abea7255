//! Motor Trend's 32 cars of 1974 (`mtcars` in R): weight, horsepower, manual gearbox. Public data with
//! published fits.

use linfa::Dataset;
use ndarray::{Array1, Array2, Ix1};

const WEIGHT: [f64; 32] = [
    2.620, 2.875, 2.320, 3.215, 3.440, 3.460, 3.570, 3.190, 3.150, 3.440, 3.440, 4.070, 3.730, 3.780, 5.250,
    5.424, 5.345, 2.200, 1.615, 1.835, 2.465, 3.520, 3.435, 3.840, 3.845, 1.935, 2.140, 1.513, 3.170, 2.770,
    3.570, 2.780,
];
const POWER: [f64; 32] = [
    110., 110., 93., 110., 175., 105., 245., 62., 95., 123., 123., 180., 180., 180., 205., 215., 230., 66.,
    52., 65., 97., 150., 150., 245., 175., 66., 91., 113., 264., 175., 335., 109.,
];
const MANUAL: [u8; 32] =
    [1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1];

/// Weight alone, or weight and power, against the gearbox.
pub(crate) fn cars(features: usize) -> Dataset<f64, bool, Ix1> {
    let value = |(row, column)| if column == 0 { WEIGHT[row] } else { POWER[row] };
    Dataset::new(
        Array2::from_shape_fn((32, features), value),
        Array1::from_iter(MANUAL.iter().map(|manual| *manual == 1)),
    )
    .with_feature_names(["weight", "power"][..features].to_vec())
}
