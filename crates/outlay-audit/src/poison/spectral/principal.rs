//! The directions in which rows vary most, without the matrix of their covariances.

use rayon::prelude::*;

use crate::poison::embeddings::Embeddings;
use crate::words::finish;

/// Rows by which directions are found; of more, as many evenly spread.
const ROWS_MAX: usize = 16_384;

/// Rows whose sums are one part of a sum, whatever the number of threads.
const PART: usize = 512;

const STEPS_MAX: usize = 200;

/// Directions that are followed beside those asked for, which makes the iteration converge much faster (Halko, Martinsson and Tropp 2011,
/// *Finding Structure with Randomness*, section 4.5).
const MORE: usize = 6;

/// Rows about their mean.
pub(in crate::poison) struct Rows<'a> {
    embeddings: &'a Embeddings,
    pub numbers: &'a [usize],
    mean: Vec<f64>,
    /// What the largest number is brought down to one by, so that no square is infinite.
    scale: f64,
}

impl<'a> Rows<'a> {
    pub(in crate::poison) fn new(embeddings: &'a Embeddings, numbers: &'a [usize]) -> Self {
        let n_columns = embeddings.n_columns();
        let mut rows = Self {
            embeddings,
            numbers,
            mean: vec![0.0; n_columns],
            scale: 1.0,
        };
        let largest = numbers
            .iter()
            .flat_map(|row| embeddings.row(*row))
            .fold(0.0_f32, |most, number| most.max(number.abs()));
        if largest > 0.0 {
            rows.scale = 1.0 / f64::from(largest);
        }
        let mean = rows.sum(numbers, n_columns, |row, sum| {
            for (sum, number) in sum.iter_mut().zip(row) {
                *sum += number;
            }
        });
        let n = (numbers.len() as f64).max(1.0);
        rows.mean = mean.into_iter().map(|sum| sum / n).collect();
        rows
    }

    fn centred(&self, row: usize, into: &mut Vec<f64>) {
        into.clear();
        into.extend(
            self.embeddings
                .row(row)
                .iter()
                .zip(&self.mean)
                .map(|(number, mean)| f64::from(*number) * self.scale - mean),
        );
    }

    /// A sum over rows, in an order that does not depend on threads.
    fn sum(
        &self,
        numbers: &[usize],
        width: usize,
        add: impl Fn(&[f64], &mut [f64]) + Sync,
    ) -> Vec<f64> {
        let parts: Vec<Vec<f64>> = numbers
            .par_chunks(PART)
            .map(|part| {
                let mut sum = vec![0.0; width];
                let mut centred = Vec::new();
                for row in part {
                    self.centred(*row, &mut centred);
                    add(&centred, &mut sum);
                }
                sum
            })
            .collect();
        let mut whole = vec![0.0; width];
        for part in parts {
            for (whole, part) in whole.iter_mut().zip(part) {
                *whole += part;
            }
        }
        whole
    }

    /// The mean square of a row's distance from the mean.
    pub(in crate::poison) fn variance(&self) -> f64 {
        let sum = self.sum(self.numbers, 1, |row, sum| sum[0] += dot(row, row));
        sum[0] / (self.numbers.len() as f64).max(1.0)
    }

    /// Where each row lies along each direction.
    pub(in crate::poison) fn along(&self, directions: &[Vec<f64>]) -> Vec<Vec<f64>> {
        self.numbers
            .par_iter()
            .map_init(Vec::new, |centred, row| {
                self.centred(*row, centred);
                directions
                    .iter()
                    .map(|direction| dot(centred, direction))
                    .collect()
            })
            .collect()
    }
}

fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

/// Orthonormal directions in which rows vary most, the most first; fewer where rows vary in fewer.
///
/// Orthogonal iteration (Golub and Van Loan 2013, *Matrix Computations*, section 8.2.4) from fixed directions, several at a time.
pub(in crate::poison) fn principal(rows: &Rows<'_>, n_directions: usize) -> Vec<Vec<f64>> {
    let n_columns = rows.embeddings.n_columns();
    let n_followed = (n_directions + MORE).min(n_columns);
    let step = rows.numbers.len().div_ceil(ROWS_MAX).max(1);
    let numbers: Vec<usize> = rows.numbers.iter().copied().step_by(step).collect();
    let mut directions: Vec<Vec<f64>> = (0..n_followed)
        .map(|direction| {
            (0..n_columns)
                .map(|column| {
                    let bits = finish(((direction as u64) << 32 | column as u64) + 1);
                    bits as f64 / u64::MAX as f64 - 0.5
                })
                .collect()
        })
        .collect();
    orthonormal(&mut directions);
    let mut last = 0.0;
    for _ in 0..STEPS_MAX {
        let n_followed = directions.len();
        let product = rows.sum(&numbers, n_followed * n_columns, |row, sum| {
            for (direction, sum) in directions
                .iter()
                .zip(sum.chunks_exact_mut(n_columns.max(1)))
            {
                let along = dot(row, direction);
                for (sum, number) in sum.iter_mut().zip(row) {
                    *sum += along * number;
                }
            }
        });
        let images: Vec<Vec<f64>> = product
            .chunks_exact(n_columns.max(1))
            .map(<[f64]>::to_vec)
            .collect();
        // The directions within what is followed that vary most: those of the small matrix of its products.
        let small: Vec<Vec<f64>> = directions
            .iter()
            .map(|one| images.iter().map(|image| dot(one, image)).collect())
            .collect();
        let (values, turns) = eigen(small);
        directions = turns
            .iter()
            .map(|turn| {
                let mut sum = vec![0.0; n_columns];
                for (share, image) in turn.iter().zip(&images) {
                    for (sum, number) in sum.iter_mut().zip(image) {
                        *sum += share * number;
                    }
                }
                sum
            })
            .collect();
        orthonormal(&mut directions);
        let found: f64 = values.iter().take(n_directions).sum();
        if (found - last).abs() <= 1e-10 * found {
            break;
        }
        last = found;
    }
    directions.truncate(n_directions);
    directions
}

/// Makes directions orthonormal, in their order, and lets go of those that the ones before them hold already.
fn orthonormal(directions: &mut Vec<Vec<f64>>) {
    let mut kept: Vec<Vec<f64>> = Vec::with_capacity(directions.len());
    for mut direction in directions.drain(..) {
        let before = dot(&direction, &direction).sqrt();
        // Twice is enough (Kahan, in Parlett 1980, *The Symmetric Eigenvalue Problem*, section 6.9).
        for _ in 0..2 {
            for one in &kept {
                let along = dot(&direction, one);
                for (number, of_one) in direction.iter_mut().zip(one) {
                    *number -= along * of_one;
                }
            }
        }
        let length = dot(&direction, &direction).sqrt();
        if length.is_finite() && length > 1e-10 * before && before > 0.0 {
            direction.iter_mut().for_each(|number| *number /= length);
            kept.push(direction);
        }
    }
    *directions = kept;
}

/// Eigenvalues of a small symmetric matrix, the largest first, and its eigenvectors (Jacobi's method, Golub and Van Loan 2013, section 8.5).
fn eigen(mut matrix: Vec<Vec<f64>>) -> (Vec<f64>, Vec<Vec<f64>>) {
    let n = matrix.len();
    let mut vectors: Vec<Vec<f64>> = (0..n)
        .map(|row| {
            (0..n)
                .map(|column| f64::from(u8::from(row == column)))
                .collect()
        })
        .collect();
    for _ in 0..60 {
        let off: f64 = (0..n)
            .flat_map(|row| (0..row).map(move |column| (row, column)))
            .map(|(row, column)| matrix[row][column].powi(2))
            .sum();
        let diagonal: f64 = (0..n).map(|row| matrix[row][row].powi(2)).sum();
        if off <= 1e-30 * diagonal {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                if matrix[p][q] == 0.0 {
                    continue;
                }
                let theta = (matrix[q][q] - matrix[p][p]) / (2.0 * matrix[p][q]);
                let tangent = theta.signum() / (theta.abs() + theta.hypot(1.0));
                let cosine = 1.0 / tangent.hypot(1.0);
                let sine = tangent * cosine;
                for row in &mut matrix {
                    let (at_p, at_q) = (row[p], row[q]);
                    row[p] = cosine * at_p - sine * at_q;
                    row[q] = sine * at_p + cosine * at_q;
                }
                for column in 0..n {
                    let (at_p, at_q) = (matrix[p][column], matrix[q][column]);
                    matrix[p][column] = cosine * at_p - sine * at_q;
                    matrix[q][column] = sine * at_p + cosine * at_q;
                    let (at_p, at_q) = (vectors[p][column], vectors[q][column]);
                    vectors[p][column] = cosine * at_p - sine * at_q;
                    vectors[q][column] = sine * at_p + cosine * at_q;
                }
            }
        }
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|one, other| matrix[*other][*other].total_cmp(&matrix[*one][*one]));
    let values = order.iter().map(|at| matrix[*at][*at]).collect();
    let vectors = order
        .iter()
        .map(|at| std::mem::take(&mut vectors[*at]))
        .collect();
    (values, vectors)
}
