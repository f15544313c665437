//! The last answers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::{Made, Question};

/// Most answers that are kept; each has some 20 to 60 KB.
const MOST: usize = 256;

/// What tells requests apart.
pub type Key = [u8; 32];

/// The key of a request on a day.
pub fn key(today: &str, question: &Question) -> Key {
    let mut hash = Sha256::new();
    hash.update(today);
    // Texts and numbers always have a JSON.
    hash.update(serde_json::to_vec(question).unwrap_or_default());
    hash.finalize().into()
}

/// Answers, the one asked for last in front.
#[derive(Debug, Default)]
pub struct Cache {
    answers: Mutex<VecDeque<(Key, Arc<Made>)>>,
}

impl Cache {
    pub fn get(&self, key: &Key) -> Option<Arc<Made>> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let place = answers.iter().position(|(known, _)| known == key)?;
        let found = answers.remove(place)?;
        let answer = Arc::clone(&found.1);
        answers.push_front(found);
        Some(answer)
    }

    pub fn put(&self, key: Key, answer: Arc<Made>) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.retain(|(known, _)| *known != key);
        answers.truncate(MOST - 1);
        answers.push_front((key, answer));
    }
}
