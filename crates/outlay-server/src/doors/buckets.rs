//! Buckets of requests that fill up again: how much each client may ask for, in bounded memory.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Most clients that are remembered at once.
const CLIENTS: usize = 10_000;

/// One bucket for each client.
#[derive(Debug)]
pub(super) struct Buckets<Key> {
    per_second: f64,
    room: f64,
    by_client: Mutex<HashMap<Key, Bucket>>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl<Key: Hash + Eq> Buckets<Key> {
    /// Buckets that hold `room` requests and gain `per_second`.
    pub fn new(per_second: f64, room: f64) -> Self {
        Self {
            per_second,
            room,
            by_client: Mutex::new(HashMap::new()),
        }
    }

    /// Takes one request out of a client's bucket; or says how long until there is one.
    pub fn take(&self, client: Key, now: Instant) -> Result<(), Duration> {
        let mut by_client = self
            .by_client
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if by_client.len() >= CLIENTS && !by_client.contains_key(&client) {
            self.make_room(&mut by_client, now);
        }
        let bucket = by_client.entry(client).or_insert(Bucket {
            left: self.room,
            at: now,
        });
        *bucket = Bucket {
            left: self.left(bucket, now),
            at: now,
        };
        if bucket.left < 1.0 {
            return Err(Duration::from_secs_f64(
                (1.0 - bucket.left) / self.per_second,
            ));
        }
        bucket.left -= 1.0;
        Ok(())
    }

    /// Puts back what was taken for something that turned out to be harmless.
    pub fn put_back(&self, client: &Key) {
        let mut by_client = self
            .by_client
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = by_client.get_mut(client) {
            bucket.left = (bucket.left + 1.0).min(self.room);
        }
    }

    fn left(&self, bucket: &Bucket, now: Instant) -> f64 {
        let since = now.saturating_duration_since(bucket.at).as_secs_f64();
        (bucket.left + since * self.per_second).min(self.room)
    }

    /// Forgets those with most left, at least half of all: they lose least by it.
    fn make_room(&self, by_client: &mut HashMap<Key, Bucket>, now: Instant) {
        let mut lefts: Vec<f64> = by_client
            .values()
            .map(|bucket| self.left(bucket, now))
            .collect();
        lefts.sort_by(f64::total_cmp);
        let middle = lefts.get(lefts.len() / 2).copied().unwrap_or(self.room);
        by_client.retain(|_, bucket| self.left(bucket, now) < middle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_empties_and_fills_up_again() {
        let buckets = Buckets::new(2.0, 3.0);
        let start = Instant::now();
        for _ in 0..3 {
            assert!(buckets.take("a", start).is_ok());
        }
        assert_eq!(buckets.take("a", start), Err(Duration::from_secs_f64(0.5)));
        assert!(buckets.take("b", start).is_ok());
        let later = start + Duration::from_secs(1);
        assert!(buckets.take("a", later).is_ok());
        assert!(buckets.take("a", later).is_ok());
        assert!(buckets.take("a", later).is_err());
        buckets.put_back(&"a");
        assert!(buckets.take("a", later).is_ok());
    }

    #[test]
    fn memory_is_bounded_and_those_who_asked_most_are_remembered() {
        let buckets = Buckets::new(0.001, 5.0);
        let now = Instant::now();
        for _ in 0..5 {
            assert!(buckets.take(usize::MAX, now).is_ok());
        }
        for client in 0..3 * CLIENTS {
            assert!(buckets.take(client, now).is_ok());
        }
        assert!(buckets.by_client.lock().expect("is free").len() <= CLIENTS);
        assert!(buckets.take(usize::MAX, now).is_err());
    }
}
