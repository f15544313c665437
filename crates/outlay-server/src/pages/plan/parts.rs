//! Pieces of an answer: figures with their range, parts that add up, rows of plans.

use outlay_units::{Estimate, bytes, percent};

/// A figure: what it is, what is expected, and between what it lies four times in five.
#[derive(Clone, Debug)]
pub struct Figure {
    pub name: &'static str,
    pub number: String,
    /// Empty where the figure is known exactly.
    pub range: String,
    /// What it means, in plain words.
    pub help: &'static str,
}

impl Figure {
    pub fn new(
        name: &'static str,
        estimate: Estimate,
        show: impl Fn(f64) -> String,
        help: &'static str,
    ) -> Self {
        let (low, high) = (show(estimate.p10), show(estimate.p90));
        Self {
            name,
            number: show(estimate.p50),
            range: if low == high {
                String::new()
            } else {
                format!("{low} to {high}")
            },
            help,
        }
    }
}

/// A part of a whole: its share is drawn as a bar.
#[derive(Clone, Debug)]
pub struct Part {
    pub name: String,
    pub value: String,
    /// Of the whole, in percent.
    pub percent: f64,
    pub share: String,
}

/// Parts that can be seen, the largest first.
pub fn parts(all: &[(&str, f64)], show: impl Fn(f64) -> String) -> Vec<Part> {
    let total: f64 = all.iter().map(|(_, value)| value).sum();
    let mut seen: Vec<(&str, f64)> = all
        .iter()
        .copied()
        .filter(|(_, value)| *value > 0.002 * total)
        .collect();
    seen.sort_by(|a, b| b.1.total_cmp(&a.1));
    seen.into_iter()
        .map(|(name, value)| Part {
            name: name.to_owned(),
            value: show(value),
            percent: 100.0 * value / total,
            share: percent(value / total),
        })
        .collect()
}

/// What an accelerator holds against what it has room for.
#[derive(Clone, Debug)]
pub struct Fit {
    pub used: String,
    pub room: String,
    /// Used, in percent of the room, up to 100.
    pub percent: f64,
    /// `good`, `warn` or `bad`.
    pub how: &'static str,
    pub words: String,
}

impl Fit {
    pub fn new(used_gib: f64, most_gib: f64, room_gib: f64) -> Self {
        let gib = |gib: f64| bytes(gib * outlay_units::GIB);
        let (how, words) = if most_gib <= room_gib {
            (
                "good",
                format!("It fits, with {} to spare.", gib(room_gib - used_gib)),
            )
        } else if used_gib <= room_gib {
            (
                "warn",
                format!(
                    "It probably fits, but it is tight: it may need up to {}.",
                    gib(most_gib)
                ),
            )
        } else {
            ("bad", "It does not fit.".to_owned())
        };
        Self {
            used: gib(used_gib),
            room: gib(room_gib),
            percent: (100.0 * used_gib / room_gib).clamp(0.0, 100.0),
            how,
            words,
        }
    }
}

/// A plan in a table.
#[derive(Clone, Debug)]
pub struct PlanRow {
    pub cells: Vec<String>,
}

/// A table of plans.
#[derive(Clone, Debug)]
pub struct PlanTable {
    pub title: &'static str,
    pub about: &'static str,
    /// Names, each with how its column is set: `right` for numbers, `day`, or nothing.
    pub heads: &'static [(&'static str, &'static str)],
    pub rows: Vec<PlanRow>,
}

/// How old a price is, in words.
pub fn price_words(as_of: &str, source: &str) -> String {
    if as_of.is_empty() {
        String::new()
    } else if source.starts_with("projected") {
        format!("projected to {as_of}")
    } else {
        format!("price of {as_of}")
    }
}

/// A sentence in pieces, each with whether it is quoted.
pub type Sentence = Vec<(bool, String)>;

/// Sentences as the page says them: options are fields here, and what is quoted is set apart.
pub fn notes(all: &[String]) -> Vec<Sentence> {
    all.iter()
        .map(|note| {
            let note = outlay_plan::request::Refusal::without_dashes(note);
            note.split('`')
                .enumerate()
                .map(|(place, piece)| (place % 2 == 1, piece.to_owned()))
                .collect()
        })
        .collect()
}
