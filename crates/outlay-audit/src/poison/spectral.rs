//! Spectral signatures: records of a label that stand apart along the direction in which the label's embeddings vary most.
//!
//! Tran, Li and Madry 2018, *Spectral Signatures in Backdoor Attacks*, algorithm 1. The algorithm always names 1.5 ε of a label's records, of
//! clean data as well; whether there is a second population at all is told by a mixture of two normal distributions along that direction.

mod mixture;
mod principal;

use std::collections::BTreeMap;

use serde::Serialize;

use super::embeddings::Embeddings;
pub use mixture::Mixture;
pub(super) use principal::{Rows, principal};

/// What the embeddings of one label look like.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Spectrum {
    /// The label.
    pub label: u32,
    /// Its rows of finite numbers.
    pub n_records: usize,
    /// Its rows that were left out since they hold numbers that are not finite.
    pub n_not_finite: usize,
    /// The share of the embeddings' variance that lies along the direction in which they vary most.
    pub top_variance_share: f64,
    /// Two populations along that direction, as far as there are.
    pub mixture: Mixture,
    /// Whether there is a second population, small enough to have been put there.
    pub is_separated: bool,
    /// Where there is: 1.5 ε of the rows, those that stand farthest out first.
    pub suspects: Vec<usize>,
    /// The outlier score of each of the label's finite rows, in their order: the square of the centred row's product with the direction.
    #[serde(skip)]
    pub scores: Vec<(usize, f64)>,
}

/// Rows that a label needs: no two populations can be told among fewer.
const RECORDS_MIN: usize = 20;

/// Rows of each label that have only finite numbers, and how many have others; rows without a label count for none.
pub(super) fn by_label(
    embeddings: &Embeddings,
    labels: &[u32],
) -> BTreeMap<u32, (Vec<usize>, usize)> {
    let mut rows: BTreeMap<u32, (Vec<usize>, usize)> = BTreeMap::new();
    for (row, label) in (0..embeddings.n_rows()).zip(labels) {
        let (finite, n_not_finite) = rows.entry(*label).or_default();
        if embeddings.row(row).iter().all(|number| number.is_finite()) {
            finite.push(row);
        } else {
            *n_not_finite += 1;
        }
    }
    rows
}

/// The spectrum of each label, for a largest share ε of poisoned records that is to be reckoned with, such as 0.05.
///
/// Rows are those of the labels, as far as there are both.
#[must_use]
pub fn spectra(embeddings: &Embeddings, labels: &[u32], poisoned_share_max: f64) -> Vec<Spectrum> {
    let most = if poisoned_share_max.is_finite() {
        (1.5 * poisoned_share_max).clamp(0.0, 0.5)
    } else {
        0.5
    };
    by_label(embeddings, labels)
        .into_iter()
        .map(|(label, (rows, n_not_finite))| spectrum(embeddings, label, &rows, n_not_finite, most))
        .collect()
}

fn spectrum(
    embeddings: &Embeddings,
    label: u32,
    rows: &[usize],
    n_not_finite: usize,
    most: f64,
) -> Spectrum {
    let rows = Rows::new(embeddings, rows);
    let basis = principal(&rows, 1);
    let along = rows.along(&basis);
    let variance = rows.variance();
    let along: Vec<f64> = along
        .into_iter()
        .map(|one| one.first().copied().unwrap_or(0.0))
        .collect();
    let top = along.iter().map(|one| one * one).sum::<f64>() / (along.len() as f64).max(1.0);
    let mixture = Mixture::fit(&along);
    let is_separated =
        along.len() >= RECORDS_MIN && mixture.is_two() && mixture.smaller_share <= most;
    let scores: Vec<(usize, f64)> = rows
        .numbers
        .iter()
        .copied()
        .zip(along.iter().map(|one| one * one))
        .collect();
    let suspects = if is_separated {
        let mut ranked = scores.clone();
        ranked.sort_by(|one, other| other.1.total_cmp(&one.1).then(one.0.cmp(&other.0)));
        ranked.truncate((most * along.len() as f64).round() as usize);
        ranked.into_iter().map(|(row, _)| row).collect()
    } else {
        Vec::new()
    };
    Spectrum {
        label,
        n_records: rows.numbers.len(),
        n_not_finite,
        top_variance_share: if variance > 0.0 { top / variance } else { 0.0 },
        mixture,
        is_separated,
        suspects,
        scores,
    }
}
