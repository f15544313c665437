//! Signs that data was poisoned, of all that an audit has read: where to look, and no proof.

use serde::Serialize;

use crate::audit::{Audit, Settings};
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
        (triggers + spectra + clusters + self.source_shifts.len() + self.label_shifts.len()) as u64
    }
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
