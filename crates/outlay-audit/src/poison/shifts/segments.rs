//! Where runs of blocks are parted.

use std::collections::BTreeMap;

use super::{Counts, Shares, ShiftSettings};
use crate::words::finish;

/// Categories that places are sought by: those that ever had the largest shares; all others count as one.
const SOUGHT: usize = 64;

/// Parts of the stream in which a category's largest share is sought.
const PARTS: usize = 32;

/// Blocks that a run must have to be parted: among fewer, no order is rare.
const BLOCKS_MIN: usize = 8;

/// Blocks beside a place that must differ as the whole sides do for the change to be sudden.
const BESIDE: usize = 8;

/// How much of the sides' difference must be there right beside the place: a change that comes slowly has a small part of it.
const SUDDEN: f64 = 0.5;

/// Random orders.
const ORDERS: u64 = 999;

/// The blocks that sudden changes begin with, in order, and how likely each is by chance.
pub(super) fn cuts(
    blocks: &[&Counts],
    n_categories: usize,
    settings: &ShiftSettings,
) -> Vec<(usize, f64)> {
    let sought = sought(blocks, n_categories);
    let mut found = Vec::new();
    let mut runs = vec![0..blocks.len()];
    // Slow changes part runs without end, and each is looked at once.
    let mut n_left = 4 * settings.n_changes_max + 4;
    while let Some(run) = runs.pop() {
        if n_left == 0 {
            break;
        }
        n_left -= 1;
        let Some((at, chance)) =
            parted(&sought[run.clone()], settings.chance_max, run.start as u64)
        else {
            continue;
        };
        let at = run.start + at;
        let sides = Shares::of(&blocks[run.start..at]).distance(&Shares::of(&blocks[at..run.end]));
        if sides < settings.share_changed_min {
            continue;
        }
        let beside = Shares::of(&blocks[at.saturating_sub(BESIDE).max(run.start)..at])
            .distance(&Shares::of(&blocks[at..(at + BESIDE).min(run.end)]));
        if beside >= SUDDEN * sides {
            found.push((at, chance, sides));
        }
        // The larger run is looked at first.
        let mut both = [run.start..at, at..run.end];
        both.sort_by_key(ExactSizeIterator::len);
        runs.extend(both);
    }
    found.sort_by(|one, other| other.2.total_cmp(&one.2).then(one.0.cmp(&other.0)));
    found.truncate(settings.n_changes_max);
    found.sort_by_key(|(at, ..)| *at);
    found
        .into_iter()
        .map(|(at, chance, _)| (at, chance))
        .collect()
}

/// The blocks with only the categories that places are sought by, the first of which stands for all others.
fn sought(blocks: &[&Counts], n_categories: usize) -> Vec<Vec<(usize, u64)>> {
    let mut largest = vec![0.0_f64; n_categories];
    let n_of_part = blocks.len().div_ceil(PARTS).max(1);
    for part in blocks.chunks(n_of_part) {
        let shares = Shares::of(part);
        for id in shares.counts.keys() {
            let largest = &mut largest[*id as usize];
            *largest = largest.max(shares.share(*id));
        }
    }
    let mut order: Vec<usize> = (0..n_categories).collect();
    order.sort_by(|one, other| {
        largest[*other]
            .total_cmp(&largest[*one])
            .then(one.cmp(other))
    });
    let mut place = vec![0; n_categories];
    for (at, id) in order.into_iter().take(SOUGHT).enumerate() {
        place[id] = at + 1;
    }
    blocks
        .iter()
        .map(|counts| {
            let mut few: BTreeMap<usize, u64> = BTreeMap::new();
            for (id, n) in *counts {
                *few.entry(place[*id as usize]).or_default() += n;
            }
            few.into_iter().collect()
        })
        .collect()
}

/// The place that parts blocks best, where it does so better than chance.
fn parted(blocks: &[Vec<(usize, u64)>], chance_max: f64, seed: u64) -> Option<(usize, f64)> {
    if blocks.len() < BLOCKS_MIN {
        return None;
    }
    let mut order: Vec<usize> = (0..blocks.len()).collect();
    let (gain, at) = best(blocks, &order);
    if gain <= 0.0 {
        return None;
    }
    let n_allowed = (chance_max * (ORDERS + 1) as f64) as u64;
    let mut n_as_good = 0;
    let mut state = finish(seed ^ 0x2545_f491_4f6c_dd1d);
    for _ in 0..ORDERS {
        // Fisher and Yates, with numbers of a fixed seed.
        for last in (1..order.len()).rev() {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let other = (u128::from(finish(state)) * (last as u128 + 1) >> 64) as usize;
            order.swap(last, other);
        }
        n_as_good += u64::from(best(blocks, &order).0 >= gain * (1.0 - 1e-12));
        // Enough to know that it is none.
        if n_as_good + 1 > n_allowed {
            return None;
        }
    }
    Some((at, (n_as_good + 1) as f64 / (ORDERS + 1) as f64))
}

/// Twice the logarithm of the ratio of likelihoods at the best place, and the place.
fn best(blocks: &[Vec<(usize, u64)>], order: &[usize]) -> (f64, usize) {
    // What a count adds to the likelihood of its own shares.
    let term = |n: f64| if n > 0.0 { n * n.ln() } else { 0.0 };
    let mut right = [0.0; SOUGHT + 1];
    for (category, n) in blocks.iter().flatten() {
        right[*category] += *n as f64;
    }
    let mut left = [0.0; SOUGHT + 1];
    let n_all: f64 = right.iter().sum();
    let whole: f64 = right.iter().map(|n| term(*n)).sum::<f64>() - term(n_all);
    let (mut left_terms, mut right_terms) = (0.0, whole + term(n_all));
    let mut n_left = 0.0;
    let mut found = (0.0, 0);
    for (at, block) in order.iter().enumerate().take(order.len() - 1) {
        for (category, n) in &blocks[*block] {
            let n = *n as f64;
            let (left, right) = (&mut left[*category], &mut right[*category]);
            left_terms -= term(*left);
            right_terms -= term(*right);
            *left += n;
            *right -= n;
            left_terms += term(*left);
            right_terms += term(*right);
            n_left += n;
        }
        let gain = 2.0 * (left_terms - term(n_left) + right_terms - term(n_all - n_left) - whole);
        if gain > found.0 {
            found = (gain, at + 1);
        }
    }
    found
}
