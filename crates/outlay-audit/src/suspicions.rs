//! Signs that data was poisoned, of all that an audit has read: where to look, and no proof.

use serde::Serialize;

use crate::audit::{Audit, Settings};
use crate::images::{PatchWindow, patch_triggers};
use crate::judged::classes;
use crate::poison::{
    Change, Clusters, Embeddings, Labelled, ShiftSettings, Shifts, Spectrum, TriggerSearch,
    TriggerSettings, Triggers, clusters, spectra,
};

/// What looks as if somebody had put it there.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Suspicions {
    /// Runs of words that decide the label of texts which otherwise look like another's; of the sample, where labels and texts are there.
    pub triggers: Option<Triggers>,
    /// Small windows at the corners and edges of images that are the same in many of one label and in nearly none of another; of the sample.
    pub marks: Vec<Mark>,
    /// Where the sources of the records change suddenly, by the number of the record.
    pub source_shifts: Vec<Change>,
    /// Where their labels do.
    pub label_shifts: Vec<Change>,
    /// The labels, as the numbers of `spectra` and `clusters` count them.
    pub labels: Vec<String>,
    /// Of each label, whether its embeddings have a second population.
    pub spectra: Vec<Spectrum>,
    /// Of each label, whether its embeddings fall into two groups.
    pub clusters: Vec<Clusters>,
}

/// A window that is the same in many images of one label.
#[derive(Clone, Debug, Serialize)]
pub struct Mark {
    /// Where it is.
    #[serde(flatten)]
    pub window: PatchWindow,
    /// Whether it is of one colour; such a one may be a background that only this label has.
    pub is_uniform: bool,
    /// The label.
    pub label: String,
    /// Images of the sample with it, of any label.
    pub n_images: u32,
    /// Those of the label among them.
    pub n_of_label: u32,
    /// How many times as frequent the label is among the images with it as among all.
    pub lift: f64,
    /// Of the images with roughly the same window, the share that has exactly it.
    pub isolation: f64,
    /// The probability that so many of them have the label by chance, times the number of tests.
    pub p_value: f64,
    /// Records with it, by their numbers: the first.
    pub examples: Vec<u32>,
}

/// Records with a mark that are named.
const EXAMPLES: usize = 10;

/// The share of a label's records that may have been poisoned, which is reckoned with: more than attacks need that are to stay unseen.
const POISONED: f64 = 0.1;

/// Records that a trigger search needs.
const RECORDS: usize = 100;

impl Suspicions {
    /// Looks for them; `embeddings` have a row for each record of the data.
    ///
    /// # Errors
    ///
    /// When the embeddings are not of these records.
    pub fn new(
        audit: &Audit,
        settings: &Settings,
        embeddings: Option<&Embeddings>,
    ) -> Result<Self, String> {
        let mut found = Self {
            triggers: triggers(audit, settings),
            marks: marks(audit, settings),
            ..Self::default()
        };
        if let Some(origins) = &audit.origins {
            found.source_shifts = origins.source_shifts.changes();
        }
        let counts = &audit.counts;
        if settings.label.is_some() {
            let mut shifts = Shifts::new(ShiftSettings::default());
            let labels = counts.label_of.iter().take(audit.n_records as usize);
            for (record, label) in (0..).zip(labels) {
                shifts.add(record, counts.label_name(*label).unwrap_or_default());
            }
            found.label_shifts = shifts.changes();
        }
        if let Some(embeddings) = embeddings {
            if embeddings.n_rows() != audit.n_records as usize {
                return Err(format!(
                    "there are {} rows; allowed: {}, one for each record",
                    embeddings.n_rows(),
                    audit.n_records
                ));
            }
            let names = classes(audit);
            let number = |label: &u32| {
                let name = counts.label_name(*label);
                let at = name.and_then(|name| names.iter().position(|known| *known == name));
                at.unwrap_or(names.len()) as u32
            };
            // Without labels all are of one.
            let labels: Vec<u32> = if settings.label.is_some() {
                counts
                    .label_of
                    .iter()
                    .take(audit.n_records as usize)
                    .map(number)
                    .collect()
            } else {
                vec![0; audit.n_records as usize]
            };
            found.labels = names.iter().map(|name| (*name).to_owned()).collect();
            found.labels.push(String::new());
            found.spectra = spectra(embeddings, &labels, POISONED);
            found.clusters = clusters(embeddings, &labels);
        }
        Ok(found)
    }

    /// How many suspicions there are.
    #[must_use]
    pub fn n(&self) -> u64 {
        let triggers = self
            .triggers
            .as_ref()
            .map_or(0, |found| found.triggers.len());
        let spectra = self
            .spectra
            .iter()
            .filter(|spectrum| spectrum.is_separated)
            .count();
        let clusters = self
            .clusters
            .iter()
            .filter(|groups| groups.is_suspicious)
            .count();
        (triggers
            + self.marks.len()
            + spectra
            + clusters
            + self.source_shifts.len()
            + self.label_shifts.len()) as u64
    }
}

fn marks(audit: &Audit, settings: &Settings) -> Vec<Mark> {
    let sample = &audit.sample;
    let Some(labels) = settings
        .label
        .as_deref()
        .and_then(|name| sample.column(name))
    else {
        return Vec::new();
    };
    let mut names: Vec<&str> = labels.iter().flatten().map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    let (mut images, mut records) = (Vec::new(), Vec::new());
    for ((picture, label), record) in sample.pictures.iter().zip(labels).zip(&sample.records) {
        let label = label
            .as_deref()
            .and_then(|label| names.binary_search(&label).ok());
        if let (Some(picture), Some(label)) = (picture, label) {
            images.push((label as u32, &picture.patches));
            records.push(*record);
        }
    }
    let found = patch_triggers(&images, &crate::images::TriggerSettings::default());
    let of = |trigger: crate::images::Trigger| Mark {
        window: trigger.window,
        is_uniform: trigger.is_uniform,
        label: names[trigger.label as usize].to_owned(),
        n_images: trigger.n_images,
        n_of_label: trigger.n_of_label,
        lift: trigger.lift,
        isolation: trigger.isolation,
        p_value: trigger.p_value,
        examples: trigger
            .images
            .iter()
            .take(EXAMPLES)
            .map(|image| records[*image as usize])
            .collect(),
    };
    found.into_iter().map(of).collect()
}

fn triggers(audit: &Audit, settings: &Settings) -> Option<Triggers> {
    let sample = &audit.sample;
    let labels = sample.column(settings.label.as_deref()?)?;
    let records: Vec<Labelled<'_>> = sample
        .texts
        .iter()
        .zip(labels)
        .filter(|(text, _)| !text.is_empty())
        .map(|(text, label)| Labelled {
            text,
            label: label.as_deref(),
        })
        .collect();
    if records.len() < RECORDS {
        return None;
    }
    let n_bytes = records.iter().map(|record| record.text.len() as u64).sum();
    let mut search = TriggerSearch::new(TriggerSettings::for_text_bytes(n_bytes));
    search.add(&records);
    let mut counts = search.second_pass();
    counts.add(&records);
    let mut found = counts.triggers();
    // Records by their numbers among all.
    let numbers: Vec<u32> = (0..sample.texts.len())
        .filter(|at| !sample.texts[*at].is_empty())
        .map(|at| sample.records[at])
        .collect();
    for trigger in found.triggers.iter_mut().chain(&mut found.pure) {
        for example in &mut trigger.examples {
            *example = numbers
                .get(*example as usize)
                .copied()
                .map_or(*example, u64::from);
        }
    }
    Some(found)
}
