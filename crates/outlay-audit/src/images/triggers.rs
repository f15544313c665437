//! Windows that are the same in many images of one label and in nearly none of another.

use std::borrow::Borrow;

use rayon::prelude::*;

use super::patches::{Patch, PatchSet, PatchWindow};
use crate::poison::log10_hypergeometric_tail;

/// What counts as a trigger.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TriggerSettings {
    /// The fewest images with it.
    pub n_least: u32,
    /// Of the images with it, the least share that has the one label: a poisoner gives it to nearly all of them.
    pub purity_least: f64,
    /// The largest share of all images that may have it: what most have is a background.
    pub share_most: f64,
    /// Of the images with roughly the same patch, the least share that has exactly it.
    ///
    /// What somebody pasted in is the same everywhere; what belongs to a motif is there in all shades between.
    pub isolation_least: f64,
    /// The largest probability that chance ties as many to the label, after as many tests as were made (Bonferroni).
    pub p_value_most: f64,
}

impl Default for TriggerSettings {
    fn default() -> Self {
        Self {
            n_least: 8,
            purity_least: 0.95,
            share_most: 0.25,
            isolation_least: 0.5,
            p_value_most: 1e-6,
        }
    }
}

/// The same small patch at the same place, in images of one label.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Trigger {
    /// Where it is.
    pub window: PatchWindow,
    /// Whether it is of one colour; such a patch may be a background that only this label has.
    pub is_uniform: bool,
    /// The label.
    pub label: u32,
    /// Images with it, of any label.
    pub n_images: u32,
    /// Those of the label among them.
    pub n_of_label: u32,
    /// How many times as frequent the label is among the images with it as among all.
    pub lift: f64,
    /// Of the images with roughly the same patch, the share that has exactly it.
    pub isolation: f64,
    /// The probability that so many of them or more have the label by chance (Fisher's exact test, one-sided), times the number of tests.
    pub p_value: f64,
    /// The images with it that have the label, by their numbers.
    pub images: Vec<u32>,
}

/// Finds patches that are tied to a label, those of the most images first; of windows that show the same one, the best.
///
/// Each item is an image's label and its patches. What is the same in all pictures of a label for a good reason, as a logo or a
/// date, is found as well: a model learns it just so, and a person has to tell which it is.
#[must_use]
pub fn patch_triggers<P: Borrow<PatchSet> + Sync>(
    images: &[(u32, P)],
    settings: &TriggerSettings,
) -> Vec<Trigger> {
    let images = &images[..images.len().min(u32::MAX as usize)];
    let windows = PatchWindow::all();
    let Some(last) = images.iter().map(|(label, _)| *label).max() else {
        return Vec::new();
    };
    let mut labels: Vec<u32> = images.iter().map(|(label, _)| *label).collect();
    labels.sort_unstable();
    let n_with = |label: u32| {
        let after = labels.partition_point(|other| *other <= label);
        (after - labels.partition_point(|other| *other < label)) as u32
    };
    // One label alone cannot be told from the others.
    if n_with(last) as usize == images.len() {
        return Vec::new();
    }
    let by_window: Vec<(u64, Vec<Trigger>)> = windows
        .par_iter()
        .enumerate()
        .map(|(at, window)| of_window(images, at, *window, settings, &n_with))
        .collect();
    let n_tests: u64 = by_window.iter().map(|(n_tests, _)| n_tests).sum();
    let mut triggers: Vec<Trigger> = by_window
        .into_iter()
        .flat_map(|(_, triggers)| triggers)
        .filter_map(|mut trigger| {
            trigger.p_value = (trigger.p_value * n_tests as f64).min(1.0);
            (trigger.p_value <= settings.p_value_most).then_some(trigger)
        })
        .collect();
    // A patch that is not of one colour says more, and a larger one as well.
    triggers.sort_by(|one, other| {
        (other.n_of_label.cmp(&one.n_of_label))
            .then(one.is_uniform.cmp(&other.is_uniform))
            .then(other.window.side_px.cmp(&one.window.side_px))
            .then(one.window.cmp(&other.window))
            .then(one.images.cmp(&other.images))
    });
    let mut shown: Vec<Trigger> = Vec::new();
    for trigger in triggers {
        if !shown.iter().any(|other| {
            other.label == trigger.label
                && shared(&other.images, &trigger.images) * 2 > trigger.images.len()
        }) {
            shown.push(trigger);
        }
    }
    shown
}

/// The patches of one window that may be triggers, their chances not yet multiplied, and how many were tested.
fn of_window<P: Borrow<PatchSet>>(
    images: &[(u32, P)],
    at: usize,
    window: PatchWindow,
    settings: &TriggerSettings,
    n_with: &(impl Fn(u32) -> u32 + Sync),
) -> (u64, Vec<Trigger>) {
    let n_all = images.len() as u32;
    let mut seen: Vec<(Patch, u32, u32)> = (0_u32..)
        .zip(images)
        .filter_map(|(image, (label, patches))| {
            let patch = patches.borrow().0.get(at).copied()?;
            (patch != Patch::default()).then_some((patch, *label, image))
        })
        .collect();
    seen.sort_unstable();
    let (mut n_tests, mut triggers) = (0, Vec::new());
    for alike in seen.chunk_by(|one, other| one.0.rough == other.0.rough) {
        for same in alike.chunk_by(|one, other| one.0 == other.0) {
            let n_images = same.len() as u32;
            if n_images < settings.n_least.max(2)
                || f64::from(n_images) > settings.share_most * f64::from(n_all)
            {
                continue;
            }
            n_tests += 1;
            let mut most: &[(Patch, u32, u32)] = &[];
            for of_label in same.chunk_by(|one, other| one.1 == other.1) {
                if of_label.len() > most.len() {
                    most = of_label;
                }
            }
            let (label, n_of_label) = (most[0].1, most.len() as u32);
            let purity = f64::from(n_of_label) / f64::from(n_images);
            let isolation = f64::from(n_images) / alike.len() as f64;
            if purity < settings.purity_least || isolation < settings.isolation_least {
                continue;
            }
            let n_label = n_with(label);
            triggers.push(Trigger {
                window,
                is_uniform: same[0].0.fine & 1 == 1,
                label,
                n_images,
                n_of_label,
                lift: purity / (f64::from(n_label) / f64::from(n_all)),
                isolation,
                p_value: 10_f64.powf(log10_hypergeometric_tail(
                    u64::from(n_all),
                    u64::from(n_label),
                    u64::from(n_images),
                    u64::from(n_of_label),
                )),
                images: most.iter().map(|(_, _, image)| *image).collect(),
            });
        }
    }
    (n_tests, triggers)
}

/// How many two sorted lists have in common.
fn shared(one: &[u32], other: &[u32]) -> usize {
    let mut rest = one.iter().peekable();
    other
        .iter()
        .filter(|image| {
            while rest.next_if(|other| other < image).is_some() {}
            rest.peek() == Some(image)
        })
        .count()
}

#[cfg(test)]
mod tests {
    use super::shared;

    #[test]
    fn common_numbers_are_counted() {
        assert_eq!(shared(&[1, 3, 5, 9], &[0, 3, 4, 9, 11]), 2);
        assert_eq!(shared(&[], &[1]), 0);
    }
}
