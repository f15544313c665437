//! Activation clustering: whether a label's embeddings fall into two groups of which one is small.
//!
//! Chen et al. 2018, *Detecting Backdoor Attacks on Deep Neural Networks by Activation Clustering*: the embeddings of each label, brought down to ten
//! dimensions, are parted into two by k-means; poisoned records are in the smaller group where it is small, and the two stand apart by their
//! silhouette. The authors bring them down by independent components; here it is by principal ones, which keep distances.

use rayon::prelude::*;
use serde::Serialize;

use super::embeddings::Embeddings;
use super::spectral::{Rows, by_label, principal};

/// The two groups of a label.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Clusters {
    /// The label.
    pub label: u32,
    /// Its rows of finite numbers.
    pub n_records: usize,
    /// Share of these in the smaller group.
    pub smaller_share: f64,
    /// The mean silhouette (Rousseeuw 1987), from -1 to 1: how much nearer records are to their own group than to the other.
    pub silhouette: f64,
    /// Whether the smaller group is small and apart.
    pub is_suspicious: bool,
    /// Where it is: the rows of the smaller group.
    pub suspects: Vec<usize>,
}

/// Dimensions that are kept, as in section 4 of the paper.
const DIMENSIONS: usize = 10;

/// The largest share of a group that may have been put there; of clean data the two are about as large, and of poisoned data the paper's smaller
/// group holds at most a third.
const SMALLER_MAX: f64 = 0.35;

/// The least silhouette: up to it, a structure "is weak and could be artificial", and above it "reasonable" (Kaufman and Rousseeuw 1990,
/// *Finding Groups in Data*, table 4 of chapter 2). Ways of writing one digit already have 0.35.
const SILHOUETTE_MIN: f64 = 0.5;

/// Rows of which silhouettes are taken; of more, as many evenly spread.
const SILHOUETTES: usize = 2000;

/// Rows that a label needs.
const RECORDS_MIN: usize = 20;

const STEPS_MAX: usize = 100;

/// Parts each label's embeddings into two.
///
/// Rows are those of the labels, as far as there are both.
#[must_use]
pub fn clusters(embeddings: &Embeddings, labels: &[u32]) -> Vec<Clusters> {
    by_label(embeddings, labels)
        .into_iter()
        .map(|(label, (rows, _))| {
            let rows = Rows::new(embeddings, &rows);
            let points = rows.along(&principal(&rows, DIMENSIONS));
            let is_second = two_means(&points);
            let n_second = is_second.iter().filter(|is_second| **is_second).count();
            let n = points.len();
            let smaller = n_second * 2 <= n;
            let n_smaller = n_second.min(n - n_second);
            let smaller_share = n_smaller as f64 / (n as f64).max(1.0);
            let silhouette = silhouette(&points, &is_second);
            let is_suspicious = n >= RECORDS_MIN
                && n_smaller > 0
                && smaller_share <= SMALLER_MAX
                && silhouette > SILHOUETTE_MIN;
            let suspects = rows
                .numbers
                .iter()
                .zip(&is_second)
                .filter(|(_, is_second)| is_suspicious && **is_second == smaller)
                .map(|(row, _)| *row)
                .collect();
            Clusters {
                label,
                n_records: n,
                smaller_share,
                silhouette,
                is_suspicious,
                suspects,
            }
        })
        .collect()
}

fn squared(one: &[f64], other: &[f64]) -> f64 {
    one.iter()
        .zip(other)
        .map(|(one, other)| (one - other).powi(2))
        .sum()
}

/// Which of two groups each point is in: Lloyd's k-means from several fixed starts, the best of them.
fn two_means(points: &[Vec<f64>]) -> Vec<bool> {
    let Some(first) = points.first() else {
        return Vec::new();
    };
    // Either side of the mean along each direction, and what is farther out than twice the mean distance along it.
    let mut starts: Vec<Vec<bool>> = Vec::new();
    for direction in 0..first.len() {
        let spread = (points
            .iter()
            .map(|point| point[direction].powi(2))
            .sum::<f64>()
            / points.len() as f64)
            .sqrt();
        for cut in [0.0, -2.0 * spread, 2.0 * spread] {
            starts.push(points.iter().map(|point| point[direction] > cut).collect());
        }
    }
    starts
        .into_par_iter()
        .map(|start| lloyd(points, start))
        .collect::<Vec<_>>()
        .into_iter()
        .min_by(|one, other| one.0.total_cmp(&other.0))
        .map_or_else(|| vec![false; points.len()], |(_, is_second)| is_second)
}

/// Moves points to the nearer mean until none moves; the sum of squared distances, and the groups.
fn lloyd(points: &[Vec<f64>], mut is_second: Vec<bool>) -> (f64, Vec<bool>) {
    let mut sum = f64::INFINITY;
    for _ in 0..STEPS_MAX {
        let means = means(points, &is_second);
        sum = 0.0;
        let mut n_moved = 0;
        for (point, is_second) in points.iter().zip(&mut is_second) {
            let [first, second] = [squared(point, &means[0]), squared(point, &means[1])];
            let is_nearer = second < first;
            n_moved += usize::from(is_nearer != *is_second);
            *is_second = is_nearer;
            sum += first.min(second);
        }
        if n_moved == 0 {
            break;
        }
    }
    (sum, is_second)
}

fn means(points: &[Vec<f64>], is_second: &[bool]) -> [Vec<f64>; 2] {
    let n_dimensions = points.first().map_or(0, Vec::len);
    let mut sums = [vec![0.0; n_dimensions], vec![0.0; n_dimensions]];
    let mut counts = [0.0; 2];
    for (point, is_second) in points.iter().zip(is_second) {
        let group = usize::from(*is_second);
        counts[group] += 1.0;
        for (sum, number) in sums[group].iter_mut().zip(point) {
            *sum += number;
        }
    }
    for (sums, n) in sums.iter_mut().zip(counts) {
        // A group of none is nowhere, and no point is nearer to it.
        sums.iter_mut()
            .for_each(|sum| *sum = if n > 0.0 { *sum / n } else { f64::INFINITY });
    }
    sums
}

/// The mean over points of (b - a) / max(a, b), where a is the mean distance to the others of its group and b to the other group's.
fn silhouette(points: &[Vec<f64>], is_second: &[bool]) -> f64 {
    let step = points.len().div_ceil(SILHOUETTES).max(1);
    let some: Vec<(&Vec<f64>, bool)> = points
        .iter()
        .zip(is_second.iter().copied())
        .step_by(step)
        .collect();
    let n_second = some.iter().filter(|(_, is_second)| *is_second).count();
    let sizes = [some.len() - n_second, n_second];
    if sizes.contains(&0) {
        return 0.0;
    }
    let each: Vec<f64> = some
        .par_iter()
        .map(|(point, is_second)| {
            let own = usize::from(*is_second);
            if sizes[own] == 1 {
                return 0.0;
            }
            let mut sums = [0.0; 2];
            for (other, is_second) in &some {
                sums[usize::from(*is_second)] += squared(point, other).sqrt();
            }
            let within = sums[own] / (sizes[own] - 1) as f64;
            let between = sums[1 - own] / sizes[1 - own] as f64;
            let most = within.max(between);
            if most > 0.0 {
                (between - within) / most
            } else {
                0.0
            }
        })
        .collect();
    each.iter().sum::<f64>() / each.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four points of a line, by hand: 0 and 1, 5 and 6; of 0 a = 1 and b = 5.5, of 1 a = 1 and b = 4.5, and so on the other side.
    #[test]
    fn silhouettes_are_those_of_the_definition() {
        let points = [0.0, 1.0, 5.0, 6.0].map(|number| vec![number]);
        let groups = two_means(&points);
        assert_eq!(groups[0], groups[1]);
        assert_ne!(groups[1], groups[2]);
        let expected = (4.5 / 5.5 + 3.5 / 4.5) / 2.0;
        assert!((silhouette(&points, &groups) - expected).abs() < 1e-12);
    }
}
