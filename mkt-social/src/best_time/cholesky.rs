//! The inverse of a 24 × 24 matrix by its Cholesky factor.
//!
//! Written here because mkt-ml's factor is for a few hundred unknowns on the heap, this one for a fixed size on the stack,
//! and neither crate depends on the other; statrs brings a factor only with nalgebra.

/// Hours of a day.
pub(super) const HOURS: usize = 24;
pub(super) type Matrix = [[f64; HOURS]; HOURS];
pub(super) type Vector = [f64; HOURS];

/// The inverse of a symmetric positive definite matrix and the logarithm of its determinant; `None` if it is not
/// positive definite.
pub(super) fn inverse(matrix: &Matrix) -> Option<(Matrix, f64)> {
    let mut lower = [[0.0; HOURS]; HOURS];
    let mut log_determinant = 0.0;
    for i in 0..HOURS {
        for j in 0..=i {
            let dot: f64 = (0..j).map(|k| lower[i][k] * lower[j][k]).sum();
            let rest = matrix[i][j] - dot;
            if i != j {
                lower[i][j] = rest / lower[j][j];
            } else if rest > 0.0 {
                lower[i][i] = rest.sqrt();
                log_determinant += rest.ln();
            } else {
                return None;
            }
        }
    }
    let mut inverse = [[0.0; HOURS]; HOURS];
    for column in 0..HOURS {
        let mut x = [0.0; HOURS];
        for i in 0..HOURS {
            let dot: f64 = (0..i).map(|k| lower[i][k] * x[k]).sum();
            x[i] = (f64::from(u8::from(i == column)) - dot) / lower[i][i];
        }
        for i in (0..HOURS).rev() {
            let dot: f64 = (i + 1..HOURS).map(|k| lower[k][i] * x[k]).sum();
            x[i] = (x[i] - dot) / lower[i][i];
        }
        for (row, value) in inverse.iter_mut().zip(x) {
            row[column] = value;
        }
    }
    Some((inverse, log_determinant))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matrix_times_inverse_is_identity() {
        // The second-difference matrix plus one: determinant by the recurrence d(n) = 3 d(n-1) - d(n-2).
        let entry = |i: usize, j: usize| match i.abs_diff(j) {
            0 => 3.0,
            1 => -1.0,
            _ => 0.0,
        };
        let matrix: Matrix = std::array::from_fn(|i| std::array::from_fn(|j| entry(i, j)));
        let (inverse, log_determinant) = inverse(&matrix).unwrap();
        for (i, row) in matrix.iter().enumerate() {
            for j in 0..HOURS {
                let product: f64 = row.iter().zip(&inverse).map(|(cell, other)| cell * other[j]).sum();
                assert!((product - f64::from(u8::from(i == j))).abs() < 1e-12);
            }
        }
        let (mut before, mut determinant) = (1.0_f64, 3.0_f64);
        for _ in 1..HOURS {
            (before, determinant) = (determinant, 3.0 * determinant - before);
        }
        assert!((log_determinant - determinant.ln()).abs() < 1e-9);
    }

    #[test]
    fn matrix_that_is_not_positive_definite_has_no_inverse() {
        assert!(inverse(&[[0.0; HOURS]; HOURS]).is_none());
    }
}
