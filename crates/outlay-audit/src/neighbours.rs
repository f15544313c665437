//! The nearest examples, by the angle between them.

use rayon::prelude::*;

use crate::features::{Dense, Features, Sparse};

/// Examples that have a column, at most, for the column to name neighbours: columns of many name everyone and cost the most.
/// Neighbours that were named are then compared by all columns.
const COMMON: usize = 1000;

/// Neighbours that are compared by all columns, for each that is wanted.
const NAMED: usize = 8;

/// What each class gets of the votes of an example's neighbours, of every example, itself left out.
///
/// The votes are Dudani's (1976, *The distance-weighted k-nearest-neighbor rule*, equation 1), with the first neighbour that
/// does not vote as the farthest (Macleod, Luk, Titterington 1987): one for the nearest, falling to none with the distance.
/// One more vote is shared out as the other examples' classes are.
pub(crate) fn votes(
    features: &Features,
    labels: &[u32],
    n_classes: usize,
    n_neighbours: usize,
) -> Vec<f32> {
    let mut n_of = vec![0_usize; n_classes];
    for label in labels {
        n_of[*label as usize] += 1;
    }
    let wanted = n_neighbours.max(1).saturating_add(1).min(labels.len());
    let shares = |example: usize, near: &[(f32, u32)]| {
        let n_others = (labels.len() - 1).max(1) as f64;
        let own = labels[example] as usize;
        let mut votes: Vec<f64> = n_of
            .iter()
            .enumerate()
            .map(|(class, n)| (n - usize::from(class == own)) as f64 / n_others)
            .collect();
        let first = near
            .first()
            .map_or(0.0, |(likeness, _)| f64::from(*likeness));
        let last = near
            .last()
            .map_or(0.0, |(likeness, _)| f64::from(*likeness));
        let mut sum = 1.0;
        for (likeness, other) in near.iter().take(n_neighbours.max(1)) {
            // What has nothing in common says nothing.
            if *likeness <= 0.0 {
                break;
            }
            let vote = if first > last {
                (f64::from(*likeness) - last) / (first - last)
            } else {
                1.0
            };
            votes[labels[*other as usize] as usize] += vote;
            sum += vote;
        }
        votes
            .into_iter()
            .map(|vote| (vote / sum) as f32)
            .collect::<Vec<f32>>()
    };
    match features {
        Features::Dense(dense) => {
            let dense = dense.standardised(|_| true).normalised();
            let rows: Vec<Vec<f32>> = (0..labels.len().div_ceil(QUERIES))
                .into_par_iter()
                .map(|part| {
                    let first = part * QUERIES;
                    let nearest = nearest_dense(
                        &dense,
                        first..(first + QUERIES).min(labels.len()),
                        labels.len(),
                        wanted,
                    );
                    nearest
                        .iter()
                        .enumerate()
                        .flat_map(|(at, near)| shares(first + at, near))
                        .collect()
                })
                .collect();
            rows.concat()
        }
        Features::Sparse(sparse) => {
            let by_column = sparse.transposed();
            let rows: Vec<Vec<f32>> = (0..labels.len())
                .into_par_iter()
                .map_init(
                    || Search::new(sparse, &by_column, labels.len()),
                    |search, example| shares(example, &search.nearest(example, wanted)),
                )
                .collect();
            rows.concat()
        }
    }
}

/// Examples whose neighbours are sought at once, so that the others are read once for all of them.
const QUERIES: usize = 16;

fn nearest_dense(
    dense: &Dense,
    examples: std::ops::Range<usize>,
    n_examples: usize,
    wanted: usize,
) -> Vec<Vec<(f32, u32)>> {
    let mut nearest = vec![Vec::with_capacity(wanted + 1); examples.len()];
    pulp::Arch::new().dispatch(|| {
        for other in 0..n_examples {
            let row = dense.row(other);
            for (example, nearest) in examples.clone().zip(&mut nearest) {
                if example != other {
                    offer(
                        nearest,
                        wanted,
                        (dot(dense.row(example), row), other as u32),
                    );
                }
            }
        }
    });
    nearest
}

#[inline(always)]
fn dot(one: &[f32], other: &[f32]) -> f32 {
    let (ones, rest) = one.as_chunks::<16>();
    let (others, other_rest) = other.as_chunks::<16>();
    let mut sums = [0.0_f32; 16];
    for (one, other) in ones.iter().zip(others) {
        for (sum, (one, other)) in sums.iter_mut().zip(one.iter().zip(other)) {
            *sum += one * other;
        }
    }
    sums.iter().sum::<f32>()
        + rest
            .iter()
            .zip(other_rest)
            .map(|(one, other)| one * other)
            .sum::<f32>()
}

/// Keeps the likest, and of those as like the first.
#[inline(always)]
fn offer(nearest: &mut Vec<(f32, u32)>, wanted: usize, (likeness, other): (f32, u32)) {
    if nearest.len() == wanted && nearest.last().is_some_and(|last| last.0 >= likeness) {
        return;
    }
    let place = nearest.partition_point(|(others, _)| *others >= likeness);
    nearest.insert(place, (likeness, other));
    nearest.truncate(wanted);
}

/// What one thread seeks neighbours with.
struct Search<'a> {
    rows: &'a Sparse,
    by_column: &'a Sparse,
    /// Of each example, its likeness so far.
    likeness: Vec<f32>,
    touched: Vec<u32>,
    /// The example whose neighbours are sought, by column.
    wanted: Vec<f32>,
}

impl<'a> Search<'a> {
    fn new(rows: &'a Sparse, by_column: &'a Sparse, n_examples: usize) -> Self {
        Self {
            rows,
            by_column,
            likeness: vec![0.0; n_examples],
            touched: Vec::new(),
            wanted: vec![0.0; rows.n_columns()],
        }
    }

    fn nearest(&mut self, example: usize, wanted: usize) -> Vec<(f32, u32)> {
        let n_examples = self.likeness.len();
        for (column, value) in self.rows.row(example) {
            self.wanted[*column as usize] = *value;
            let others = self.by_column.row(*column as usize);
            if others.len() > COMMON {
                continue;
            }
            for (other, other_value) in others {
                let likeness = &mut self.likeness[*other as usize];
                if *likeness <= 0.0 {
                    self.touched.push(*other);
                }
                *likeness += value * other_value;
            }
        }
        let mut named = std::mem::take(&mut self.touched);
        named.retain(|other| *other as usize != example);
        if named.len() < wanted {
            named.clear();
            named.extend((0..n_examples as u32).filter(|other| *other as usize != example));
        } else if named.len() > wanted.saturating_mul(NAMED) {
            let likeness = &self.likeness;
            named.select_nth_unstable_by(wanted * NAMED, |one, other| {
                likeness[*other as usize]
                    .total_cmp(&likeness[*one as usize])
                    .then(one.cmp(other))
            });
            for other in named.drain(wanted * NAMED..) {
                self.likeness[other as usize] = 0.0;
            }
        }
        named.sort_unstable();
        let mut nearest = Vec::with_capacity(wanted + 1);
        for other in &named {
            let row = self.rows.row(*other as usize);
            let likeness = row
                .iter()
                .map(|(column, value)| self.wanted[*column as usize] * value)
                .sum();
            offer(&mut nearest, wanted, (likeness, *other));
            self.likeness[*other as usize] = 0.0;
        }
        for (column, _) in self.rows.row(example) {
            self.wanted[*column as usize] = 0.0;
        }
        self.likeness[example] = 0.0;
        named.clear();
        self.touched = named;
        nearest
    }
}
