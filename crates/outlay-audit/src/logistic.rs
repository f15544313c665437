//! Multinomial logistic regression.

use rayon::prelude::*;

use crate::features::{Dense, Features, Sparse};
use crate::optimise::{Stop, minimise};

/// Inverse strengths of the penalty that are tried, from strong to weak: powers of ten, as `LogisticRegressionCV` of
/// scikit-learn tries them, of which the range that is of use for columns of a deviation of one and for rows of a length of one.
const STRENGTHS: [f64; 7] = [1e-4, 1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2];

/// The one of these that is tried first: scikit-learn's default.
const FIRST: usize = 4;

/// When a fit is good: the gradient is a thousandth of what it was, or five steps gain less than a thousandth of the loss, which
/// is far less than the loss of some thousand examples is known to.
const STOP: Stop = Stop {
    n_steps: 100,
    gradient: 1e-3,
    value: 1e-3,
};

/// What was learnt.
pub(crate) struct Learnt {
    /// A probability for every class, of every example, from the model that did not see the example.
    pub(crate) values: Vec<f32>,
    /// The inverse strength of the penalty, as scikit-learn's `C`.
    pub(crate) strength: f64,
    /// Whether every fit got to its end.
    pub(crate) is_converged: bool,
}

/// What one fit says.
struct Fit {
    strength: f64,
    /// The mean loss of the examples that were not learnt from.
    loss: f64,
    logits: Vec<Lanes>,
    is_converged: bool,
}

/// Four numbers that are worked on at once.
type Lanes = [f32; 4];

/// Features in the order in which they are used.
enum Matrix<'a> {
    Dense(Dense),
    Sparse(&'a Sparse, &'a Sparse),
}

/// What is learnt from: the examples of all folds but one.
struct Task<'a> {
    matrix: Matrix<'a>,
    labels: &'a [u32],
    is_learnt: Vec<bool>,
    n_learnt: usize,
    /// Classes, padded to whole lanes; whether some example that is learnt from has each.
    is_class: Vec<bool>,
}

/// Learns from all folds but one, for each of these, and says what that one's examples are.
///
/// The strength of the penalty is the one with the least logarithmic loss on the first fold's labels, as they are.
pub(crate) fn learn(
    features: &Features,
    labels: &[u32],
    n_classes: usize,
    folds: &[u32],
    n_folds: u32,
) -> Learnt {
    let by_column = match features {
        Features::Sparse(sparse) => Some(sparse.transposed()),
        Features::Dense(_) => None,
    };
    let mut learnt = Learnt {
        values: vec![0.0; labels.len() * n_classes],
        strength: STRENGTHS[0],
        is_converged: true,
    };
    for fold in 0..n_folds {
        let task = Task::new(features, by_column.as_ref(), labels, n_classes, folds, fold);
        let length = task.length_at_zero();
        let logits = if fold == 0 {
            let chosen = task.choose(length);
            learnt.strength = chosen.strength;
            learnt.is_converged = chosen.is_converged;
            chosen.logits
        } else {
            let (fit, _) = task.fit(vec![0.0; task.n_weights()], learnt.strength, length);
            learnt.is_converged &= fit.is_converged;
            fit.logits
        };
        let n_lanes = task.n_lanes();
        for (example, row) in logits.chunks_exact(n_lanes).enumerate() {
            if !task.is_learnt[example] {
                let mut row = row.to_vec();
                soften(&mut row, &task.is_class);
                learnt.values[example * n_classes..][..n_classes]
                    .copy_from_slice(&row.as_flattened()[..n_classes]);
            }
        }
    }
    learnt
}

/// Turns logits into probabilities, and returns the logarithm of what the chances added up to.
fn soften(row: &mut [Lanes], is_class: &[bool]) -> f64 {
    let values = row.as_flattened_mut();
    let mut most = f32::NEG_INFINITY;
    for (value, is_class) in values.iter().zip(is_class) {
        if *is_class {
            most = most.max(*value);
        }
    }
    let mut sum = 0.0_f64;
    for (value, is_class) in values.iter_mut().zip(is_class) {
        *value = if *is_class {
            (*value - most).exp()
        } else {
            0.0
        };
        sum += f64::from(*value);
    }
    let scale = (1.0 / sum) as f32;
    for value in values {
        *value *= scale;
    }
    sum.ln() + f64::from(most)
}

/// Adds some times values, lane by lane.
#[inline]
fn add(to: &mut [Lanes], times: f32, values: &[Lanes]) {
    for (to, values) in to.iter_mut().zip(values) {
        for (to, value) in to.iter_mut().zip(values) {
            *to += times * value;
        }
    }
}

/// Examples whose losses are added up at once, in their order, on however many threads.
const ROWS: usize = 128;

/// Columns of which one thread adds up the gradient, in a row of features that are dense: a line of cache.
const COLUMNS: usize = 16;

impl<'a> Task<'a> {
    fn new(
        features: &'a Features,
        by_column: Option<&'a Sparse>,
        labels: &'a [u32],
        n_classes: usize,
        folds: &[u32],
        fold: u32,
    ) -> Self {
        let is_learnt: Vec<bool> = folds.iter().map(|of| *of != fold).collect();
        let mut is_class = vec![false; n_classes.next_multiple_of(4)];
        for (label, is_learnt) in labels.iter().zip(&is_learnt) {
            is_class[*label as usize] |= *is_learnt;
        }
        let matrix = match (features, by_column) {
            (Features::Sparse(sparse), Some(by_column)) => Matrix::Sparse(sparse, by_column),
            (Features::Sparse(sparse), None) => Matrix::Sparse(sparse, sparse),
            (Features::Dense(dense), _) => Matrix::Dense(dense.standardised(|row| is_learnt[row])),
        };
        let n_learnt = is_learnt.iter().filter(|is_learnt| **is_learnt).count();
        Self {
            matrix,
            labels,
            is_learnt,
            n_learnt,
            is_class,
        }
    }

    fn n_lanes(&self) -> usize {
        self.is_class.len() / 4
    }

    fn n_columns(&self) -> usize {
        match &self.matrix {
            Matrix::Dense(dense) => dense.n_columns(),
            Matrix::Sparse(sparse, _) => sparse.n_columns(),
        }
    }

    /// A weight for every class and column, and one for every class by itself.
    fn n_weights(&self) -> usize {
        (self.n_columns() + 1) * self.is_class.len()
    }

    fn logits_of(&self, row: usize, weights: &[Lanes], out: &mut [Lanes]) {
        let n_lanes = self.n_lanes();
        out.copy_from_slice(&weights[self.n_columns() * n_lanes..]);
        match &self.matrix {
            Matrix::Dense(dense) => {
                for (value, weights) in dense.row(row).iter().zip(weights.chunks_exact(n_lanes)) {
                    add(out, *value, weights);
                }
            }
            // The usual case of few classes is worth its own loop: what is added up stays in registers.
            Matrix::Sparse(sparse, _) if n_lanes == 1 => {
                let mut sums = out[0];
                for (column, value) in sparse.row(row) {
                    for (sum, weight) in sums.iter_mut().zip(&weights[*column as usize]) {
                        *sum += value * weight;
                    }
                }
                out[0] = sums;
            }
            Matrix::Sparse(sparse, _) => {
                for (column, value) in sparse.row(row) {
                    add(
                        out,
                        *value,
                        &weights[*column as usize * n_lanes..][..n_lanes],
                    );
                }
            }
        }
    }

    fn logits(&self, weights: &[f32]) -> Vec<Lanes> {
        let n_lanes = self.n_lanes();
        let mut logits = vec![Lanes::default(); self.labels.len() * n_lanes];
        let (weights, _) = weights.as_chunks();
        logits
            .par_chunks_exact_mut(n_lanes)
            .with_min_len(ROWS)
            .enumerate()
            .for_each(|(row, out)| self.logits_of(row, weights, out));
        logits
    }

    /// The mean logarithmic loss of the examples that are not learnt from, as far as their classes are.
    fn loss_of_others(&self, logits: &[Lanes]) -> f64 {
        let (mut loss, mut n) = (0.0, 0_u32);
        for (example, row) in logits.chunks_exact(self.n_lanes()).enumerate() {
            let label = self.labels[example] as usize;
            if !self.is_learnt[example] && self.is_class[label] {
                let own = f64::from(row.as_flattened()[label]);
                loss += soften(&mut row.to_vec(), &self.is_class) - own;
                n += 1;
            }
        }
        loss / f64::from(n.max(1))
    }

    /// The gradient's length where all weights are zero.
    fn length_at_zero(&self) -> f64 {
        let weights = vec![0.0; self.n_weights()];
        let mut gradient = vec![0.0; self.n_weights()];
        let mut residuals = vec![Lanes::default(); self.labels.len() * self.n_lanes()];
        self.evaluate(&weights, &mut gradient, &mut residuals, 0.0);
        gradient
            .iter()
            .map(|value| f64::from(*value).powi(2))
            .sum::<f64>()
            .sqrt()
    }

    /// Fits by the strength with the least loss on the examples that are not learnt from.
    ///
    /// The loss falls and then rises as the penalty gets weaker, so that it is followed from the first strength to where it is
    /// least, each fit beginning where the one before ended.
    fn choose(&self, length: f64) -> Fit {
        let (mut best, first) = self.fit(vec![0.0; self.n_weights()], STRENGTHS[FIRST], length);
        let weaker = STRENGTHS[FIRST + 1..].iter();
        let stronger = STRENGTHS[..FIRST].iter().rev();
        for strengths in [weaker.collect::<Vec<_>>(), stronger.collect()] {
            let mut weights = first.clone();
            let before = best.strength;
            for strength in strengths {
                let (fit, at) = self.fit(weights, *strength, length);
                if fit.loss >= best.loss {
                    break;
                }
                (best, weights) = (fit, at);
            }
            if best.strength > before {
                break;
            }
        }
        best
    }

    /// Fits weights that begin at some place, and returns what they say, and them.
    fn fit(&self, mut weights: Vec<f32>, strength: f64, length: f64) -> (Fit, Vec<f32>) {
        let penalty = 1.0 / (strength * self.n_learnt.max(1) as f64);
        let mut residuals = vec![Lanes::default(); self.labels.len() * self.n_lanes()];
        let is_converged = minimise(&mut weights, Some(length), STOP, |weights, gradient| {
            self.evaluate(weights, gradient, &mut residuals, penalty)
        });
        let logits = self.logits(&weights);
        let loss = self.loss_of_others(&logits);
        let fit = Fit {
            strength,
            loss,
            logits,
            is_converged,
        };
        (fit, weights)
    }

    /// The mean loss with half the penalty times the weights' squares, and its gradient.
    fn evaluate(
        &self,
        weights: &[f32],
        gradient: &mut [f32],
        residuals: &mut [Lanes],
        penalty: f64,
    ) -> f64 {
        let n_lanes = self.n_lanes();
        let n_columns = self.n_columns();
        let one = 1.0 / self.n_learnt.max(1) as f64;
        let (lanes, _) = weights.as_chunks();
        let losses: Vec<f64> = residuals
            .par_chunks_mut(ROWS * n_lanes)
            .enumerate()
            .map(|(part, residuals)| {
                let mut loss = 0.0;
                for (row, out) in (part * ROWS..).zip(residuals.chunks_exact_mut(n_lanes)) {
                    if !self.is_learnt[row] {
                        continue;
                    }
                    self.logits_of(row, lanes, out);
                    let label = self.labels[row] as usize;
                    let own = f64::from(out.as_flattened()[label]);
                    loss += soften(out, &self.is_class) - own;
                    out.as_flattened_mut()[label] -= 1.0;
                    for value in out.as_flattened_mut() {
                        *value *= one as f32;
                    }
                }
                loss
            })
            .collect();
        let (of_columns, of_classes) = gradient.split_at_mut(n_columns * n_lanes * 4);
        let residuals = &*residuals;
        let (of_columns, _) = of_columns.as_chunks_mut();
        match &self.matrix {
            Matrix::Dense(dense) => {
                of_columns
                    .par_chunks_mut(COLUMNS * n_lanes)
                    .enumerate()
                    .for_each(|(part, out)| {
                        out.fill(Lanes::default());
                        for (row, residuals) in residuals.chunks_exact(n_lanes).enumerate() {
                            if self.is_learnt[row] {
                                let values = &dense.row(row)[part * COLUMNS..];
                                for (out, value) in out.chunks_exact_mut(n_lanes).zip(values) {
                                    add(out, *value, residuals);
                                }
                            }
                        }
                    });
            }
            Matrix::Sparse(_, by_column) => {
                of_columns
                    .par_chunks_mut(n_lanes)
                    .with_min_len(64)
                    .enumerate()
                    .for_each(|(column, out)| {
                        out.fill(Lanes::default());
                        if let [sums] = out {
                            for (row, value) in by_column.row(column) {
                                for (sum, residual) in
                                    sums.iter_mut().zip(&residuals[*row as usize])
                                {
                                    *sum += value * residual;
                                }
                            }
                            return;
                        }
                        for (row, value) in by_column.row(column) {
                            add(
                                out,
                                *value,
                                &residuals[*row as usize * n_lanes..][..n_lanes],
                            );
                        }
                    });
            }
        }
        let mut sums = vec![0.0_f64; of_classes.len()];
        for residuals in residuals.chunks_exact(n_lanes) {
            for (sum, residual) in sums.iter_mut().zip(residuals.as_flattened()) {
                *sum += f64::from(*residual);
            }
        }
        for (out, sum) in of_classes.iter_mut().zip(sums) {
            *out = sum as f32;
        }
        let penalised = n_columns * n_lanes * 4;
        let squares: Vec<f64> = gradient[..penalised]
            .par_chunks_mut(1 << 14)
            .zip(weights[..penalised].par_chunks(1 << 14))
            .map(|(gradient, weights)| {
                let mut sum = 0.0;
                for (gradient, weight) in gradient.iter_mut().zip(weights) {
                    *gradient += penalty as f32 * weight;
                    sum += f64::from(*weight) * f64::from(*weight);
                }
                sum
            })
            .collect();
        losses.iter().sum::<f64>() * one + 0.5 * penalty * squares.iter().sum::<f64>()
    }
}
