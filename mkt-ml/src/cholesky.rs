//! The Cholesky factor of a symmetric positive definite matrix, for the few hundred unknowns of a
//! regression. Neither ndarray nor linfa offers one without a C or Fortran library.

use ndarray::Array2;

/// L with L Lᵀ = A.
#[derive(Debug)]
pub(crate) struct Cholesky {
    lower: Array2<f64>,
}

impl Cholesky {
    /// Factors `matrix`, of which the lower triangle is read.
    ///
    /// # Errors
    /// The first row that the rows before determine up to the fraction `slack` of its diagonal.
    pub(crate) fn of(matrix: &Array2<f64>, slack: f64) -> Result<Self, usize> {
        let size = matrix.nrows();
        let mut lower = Array2::<f64>::zeros((size, size));
        for row in 0..size {
            for column in 0..=row {
                let known: f64 = (0..column).map(|at| lower[(row, at)] * lower[(column, at)]).sum();
                let left = matrix[(row, column)] - known;
                if column < row {
                    lower[(row, column)] = left / lower[(column, column)];
                } else if left.is_finite() && left > slack * matrix[(row, row)] && left > 0.0 {
                    lower[(row, row)] = left.sqrt();
                } else {
                    return Err(row);
                }
            }
        }
        Ok(Self { lower })
    }

    /// x with A x = b.
    pub(crate) fn solve(&self, right: &[f64]) -> Vec<f64> {
        let size = self.lower.nrows();
        let mut x = right.to_vec();
        for row in 0..size {
            let known: f64 = (0..row).map(|at| self.lower[(row, at)] * x[at]).sum();
            x[row] = (x[row] - known) / self.lower[(row, row)];
        }
        for row in (0..size).rev() {
            let known: f64 = (row + 1..size).map(|at| self.lower[(at, row)] * x[at]).sum();
            x[row] = (x[row] - known) / self.lower[(row, row)];
        }
        x
    }

    /// The diagonal of A⁻¹.
    pub(crate) fn inverse_diagonal(&self) -> Vec<f64> {
        let size = self.lower.nrows();
        let column = |at: usize| {
            // The column of L⁻¹; its squared length is the wanted entry of L⁻ᵀL⁻¹.
            let mut x = vec![0.0; size];
            x[at] = 1.0 / self.lower[(at, at)];
            for row in at + 1..size {
                let known: f64 = (at..row).map(|k| self.lower[(row, k)] * x[k]).sum();
                x[row] = -known / self.lower[(row, row)];
            }
            x.iter().map(|value| value * value).sum()
        };
        (0..size).map(column).collect()
    }
}
