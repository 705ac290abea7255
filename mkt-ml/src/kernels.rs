//! The inner loops of fitting, one by one, for this workspace's benches. Not part of the public API: no stability
//! promise, hidden from the documentation.

use std::num::NonZeroUsize;

use ndarray::{Array2, ArrayView2};

use crate::{
    boosting::{
        gradients::{Gradients, Units},
        histogram::{self, Cells, Item, Sums},
        split::{Bounds, Rules},
    },
    classifier::ModelError,
    logistic::{design::Design, objective::Objective},
    simd::Level,
    tree::{
        partition::partition,
        table::{MOST_BINS, Table},
    },
    workers::{Crew, Workers},
};

/// Rows ready for any of the loops; everything runs on one thread.
#[derive(Debug)]
pub struct Kernels {
    records: Array2<f64>,
    labels: Vec<bool>,
    names: Vec<String>,
    table: Table,
    margins: Vec<f64>,
    gradients: Gradients,
    items: Vec<Item>,
    aside: Vec<u64>,
    cells: Vec<Cells>,
    units: Units,
    features: Vec<usize>,
}

impl Kernels {
    /// Bins the rows, takes derivatives and sums them once.
    ///
    /// # Errors
    /// What binning says.
    pub fn new(records: Array2<f64>, labels: Vec<bool>) -> Result<Self, ModelError> {
        let names: Vec<String> = (0..records.ncols()).map(|at| at.to_string()).collect();
        let table = cut(records.view(), &names)?;
        let (rows, features) = records.dim();
        let mut kernels = Self {
            records,
            labels,
            names,
            table,
            margins: vec![-2.0; rows],
            gradients: Gradients::new(rows),
            items: vec![0; rows],
            aside: Vec::new(),
            cells: vec![[0; 256]; features],
            units: Units { gradient: 1.0, hessian: 1.0 },
            features: (0..features).collect(),
        };
        kernels.derive();
        kernels.fill();
        Ok(kernels)
    }

    /// Values to bins, edges first.
    ///
    /// # Errors
    /// As [`Kernels::new`].
    pub fn cut(&self) -> Result<usize, ModelError> {
        Ok(cut(self.records.view(), &self.names)?.bins.len())
    }

    /// Margins to rounded derivatives.
    pub fn derive(&mut self) {
        let (margins, labels) = (&self.margins, &self.labels);
        self.units = self.gradients.write(margins, labels, None, 7, &mut self.items, Crew::ALONE);
    }

    /// Items to a histogram of all features.
    pub fn fill(&mut self) {
        histogram::fill(&self.table, &self.items, &mut self.cells, Crew::ALONE);
    }

    /// A histogram less another.
    pub fn subtract(&mut self) {
        let other = self.cells.clone();
        histogram::subtract(&mut self.cells, &other);
    }

    /// The gain of the best division of a histogram.
    pub fn best(&self) -> Option<f64> {
        let rules = Rules {
            l2: 0.0,
            category_l2: 10.0,
            category_smoothing: 10.0,
            min_hessian: 1,
            min_leaf: 20,
            monotone: Vec::new(),
            units: self.units,
            level: Level::of_machine(),
        };
        let first = self.cells.first()?;
        let total = first.iter().fold(Sums::default(), |sum, cell| sum.plus(Sums::of_cell(*cell)));
        let found = rules.best(&self.table, &self.features, &self.cells, total, Bounds::WIDEST, &[])?;
        Some(found.gain)
    }

    /// Items to both sides of the middle of the first feature.
    pub fn divide(&mut self) -> usize {
        let left = std::array::from_fn(|bin| bin < 128);
        partition(&mut self.items, &mut self.aside, &self.table, 0, &left)
    }

    /// The loss of a linear model with its gradient and curvature.
    pub fn curvature(&self) -> f64 {
        let design = Design::dense(self.records.view());
        let objective =
            Objective { design: &design, labels: &self.labels, weights: None, l2: 1.0, crew: Crew::ALONE };
        objective.point(&vec![0.01; objective.unknowns()], true).loss
    }
}

fn cut(records: ArrayView2<'_, f64>, names: &[String]) -> Result<Table, ModelError> {
    Workers::new(NonZeroUsize::new(1), 1)?.enter(|crew| Table::new(records, names, &[], MOST_BINS, 1, crew))
}
