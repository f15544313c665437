//! Where runs of blocks are parted.

use std::collections::BTreeMap;

use super::{Counts, OTHERS, Shares, ShiftSettings};
use crate::words::finish;

/// Groups of rare categories, by their names.
pub(super) const RARE: usize = 32;

/// Frequent categories that places are sought by, each by itself.
const FREQUENT: usize = 64;

/// Groups and categories in all.
const SOUGHT: usize = RARE + FREQUENT;

/// The share of a part of the stream that makes a category frequent.
const FREQUENT_MIN: f64 = 0.01;

/// Parts of the stream in which a category's largest share is sought.
const PARTS: usize = 32;

/// Blocks that a run must have to be parted: among fewer, no order is rare.
const BLOCKS_MIN: usize = 8;

/// Random orders.
const ORDERS: u64 = 999;

/// The group of a rare category.
pub(super) fn group(name: &str) -> usize {
    let hash = name
        .bytes()
        .fold(1, |hash, byte| finish(hash ^ u64::from(byte)));
    hash as usize % RARE
}

/// The blocks that sudden changes begin with, in order, and how likely each is by chance.
pub(super) fn cuts(blocks: &[&Counts], settings: &ShiftSettings) -> Vec<(usize, f64)> {
    let mut found = Vec::new();
    let mut runs: Vec<std::ops::Range<usize>> = std::iter::once(0..blocks.len()).collect();
    // Slow changes part runs without end, and each is looked at once.
    let mut n_left = 4 * settings.n_changes_max + 4;
    while let Some(run) = runs.pop() {
        if n_left == 0 {
            break;
        }
        n_left -= 1;
        let parted = parted(&blocks[run.clone()], settings.chance_max, run.start as u64);
        let Some((at, chance)) = parted else { continue };
        let at = run.start + at;
        let sides = Shares::of(&blocks[run.start..at]).distance(&Shares::of(&blocks[at..run.end]));
        if sides < settings.share_changed_min {
            continue;
        }
        found.push((at, chance, sides));
        // The larger run is looked at first.
        let mut both = [run.start..at, at..run.end];
        both.sort_by_key(ExactSizeIterator::len);
        runs.extend(both);
    }
    found.sort_by_key(|(at, ..)| *at);
    // What is not sudden parts no runs, so that the others are looked at again between those that are left.
    let mut sudden = found;
    loop {
        let edges: Vec<usize> = sudden.iter().map(|(at, ..)| *at).collect();
        let mut nth = 0;
        sudden.retain(|(at, ..)| {
            let start = if nth == 0 { 0 } else { edges[nth - 1] };
            nth += 1;
            let end = edges.get(nth).copied().unwrap_or(blocks.len());
            is_sudden(&blocks[start..end], at - start)
        });
        if sudden.len() == edges.len() {
            break;
        }
    }
    sudden.sort_by(|one, other| other.2.total_cmp(&one.2).then(one.0.cmp(&other.0)));
    sudden.truncate(settings.n_changes_max);
    sudden.sort_by_key(|(at, ..)| *at);
    sudden
        .into_iter()
        .map(|(at, chance, _)| (at, chance))
        .collect()
}

/// Whether a step fits the blocks about a place better than a straight line does.
///
/// Of each block the part of its shares that lies along the change is taken; of both fits the sums of squares are held against each other by the Bayesian
/// information criterion, where the step has one number more, its place.
fn is_sudden(blocks: &[&Counts], at: usize) -> bool {
    let (before, after) = (Shares::of(&blocks[..at]), Shares::of(&blocks[at..]));
    let change: BTreeMap<u32, f64> = before
        .with(&after)
        .map(|(id, before, after)| (id, after - before))
        .collect();
    let points: Vec<(f64, f64, f64)> = blocks
        .iter()
        .enumerate()
        .map(|(place, counts)| {
            let n = counts.values().sum::<u64>() as f64;
            let along: f64 = counts
                .iter()
                .map(|(id, n)| change.get(id).unwrap_or(&0.0) * *n as f64)
                .sum();
            (n, place as f64, along / n.max(1.0))
        })
        .collect();
    let mean = |points: &[(f64, f64, f64)], of: &dyn Fn(&(f64, f64, f64)) -> f64| {
        let n: f64 = points.iter().map(|point| point.0).sum();
        points.iter().map(|point| point.0 * of(point)).sum::<f64>() / n.max(1.0)
    };
    let squares = |points: &[(f64, f64, f64)], fit: &dyn Fn(f64) -> f64| -> f64 {
        points
            .iter()
            .map(|(n, place, along)| n * (along - fit(*place)).powi(2))
            .sum()
    };
    let step: f64 = [&points[..at], &points[at..]]
        .into_iter()
        .map(|side| {
            let level = mean(side, &|point| point.2);
            squares(side, &|_| level)
        })
        .sum();
    let (middle, level) = (
        mean(&points, &|point| point.1),
        mean(&points, &|point| point.2),
    );
    let spread = mean(&points, &|point| (point.1 - middle).powi(2));
    let common = mean(&points, &|point| (point.1 - middle) * (point.2 - level));
    let slope = if spread > 0.0 { common / spread } else { 0.0 };
    let line = squares(&points, &|place| level + slope * (place - middle));
    let n = points.len() as f64;
    step <= 0.0 || n * (line / step).ln() > n.ln()
}

/// The blocks with only what places are sought by: frequent categories, and groups of the others.
pub(super) fn sought(blocks: &[&Counts], names: &[String]) -> Vec<Counts> {
    let mut largest = vec![0.0_f64; names.len()];
    let n_of_part = blocks.len().div_ceil(PARTS).max(1);
    for part in blocks.chunks(n_of_part) {
        let shares = Shares::of(part);
        for id in shares.counts.keys() {
            let largest = &mut largest[*id as usize];
            *largest = largest.max(shares.share(*id));
        }
    }
    let is_group = |name: &str| name.starts_with(OTHERS);
    let mut order: Vec<usize> = (0..names.len())
        .filter(|id| largest[*id] >= FREQUENT_MIN && !is_group(&names[*id]))
        .collect();
    order.sort_by(|one, other| {
        largest[*other]
            .total_cmp(&largest[*one])
            .then_with(|| names[*one].cmp(&names[*other]))
    });
    let mut place: Vec<u32> = names
        .iter()
        .map(|name| {
            let known = name.strip_prefix(OTHERS);
            let known = known.and_then(|rest| rest.trim_end_matches(')').parse().ok());
            known
                .filter(|group| *group < RARE)
                .unwrap_or_else(|| group(name)) as u32
        })
        .collect();
    for (at, id) in order.into_iter().take(FREQUENT).enumerate() {
        place[id] = (RARE + at) as u32;
    }
    blocks
        .iter()
        .map(|counts| {
            let mut few = Counts::new();
            for (id, n) in *counts {
                *few.entry(place[*id as usize]).or_default() += n;
            }
            few
        })
        .collect()
}

/// The place that parts blocks best, where it does so better than chance.
fn parted(blocks: &[&Counts], chance_max: f64, seed: u64) -> Option<(usize, f64)> {
    if blocks.len() < BLOCKS_MIN {
        return None;
    }
    // Lists are gone through faster than maps.
    let blocks: Vec<Vec<(usize, u64)>> = blocks
        .iter()
        .map(|counts| counts.iter().map(|(id, n)| (*id as usize, *n)).collect())
        .collect();
    let blocks = blocks.as_slice();
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
            let other = ((u128::from(finish(state)) * (last as u128 + 1)) >> 64) as usize;
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
    let mut right = [0.0; SOUGHT];
    for (category, n) in blocks.iter().flatten() {
        right[*category] += *n as f64;
    }
    let mut left = [0.0; SOUGHT];
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
