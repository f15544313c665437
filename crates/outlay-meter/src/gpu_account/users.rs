//! Who is on an accelerator, and whose an interval is.

use std::collections::BTreeMap;

use crate::GpuReading;

/// Who is on an accelerator at a reading; `None` where nobody can tell.
pub(super) type Users = Option<BTreeMap<u32, User>>;

/// A process on an accelerator.
#[derive(Clone, Debug)]
pub(super) struct User {
    is_ours: bool,
    memory_bytes: Option<u64>,
    busy: Option<f64>,
}

/// Whose an interval is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Whose {
    Ours,
    /// This part of it is the run's, above 0 and below 1 as a rule.
    Shared(f64),
    Others,
    Nobody,
    Unknown,
}

/// The processes of a reading, with which of them are this run's.
pub(super) fn users(reading: &GpuReading, ours: &dyn Fn(u32) -> bool) -> Users {
    let processes = reading.processes.as_ref()?;
    // A number that we do not have may by chance be one of ours in another numbering.
    let is_ours = |pid, in_view| in_view != Some(false) && ours(pid);
    let users: BTreeMap<_, _> = processes
        .iter()
        .map(|process| {
            let user = User {
                is_ours: is_ours(process.pid, process.in_view),
                memory_bytes: process.memory_bytes,
                busy: process.busy,
            };
            (process.pid, user)
        })
        .collect();
    // One of ours that is found shows that the numbers are ours too, so that a stranger is a stranger. Else a stranger may be one of ours.
    let has_strangers = processes
        .iter()
        .any(|process| process.in_view == Some(false));
    let has_ours = users.values().any(|user| user.is_ours);
    (has_ours || !has_strangers).then_some(users)
}

/// All who were there at either end, as they were at the later one.
///
/// A list that is not known adds nobody, but then an empty one does not mean that nobody was there.
pub(super) fn join(before: &Users, now: &Users) -> Users {
    match (before, now) {
        (Some(before), Some(now)) => {
            let mut joined = before.clone();
            for (pid, user) in now {
                // One of ours may have been handed to another parent since, which does not make it another's.
                let was_ours = before.get(pid).is_some_and(|user| user.is_ours);
                let user = User {
                    is_ours: user.is_ours || was_ours,
                    ..user.clone()
                };
                joined.insert(*pid, user);
            }
            Some(joined)
        }
        (Some(known), None) | (None, Some(known)) if !known.is_empty() => Some(known.clone()),
        _ => None,
    }
}

/// Whose an interval is, with these users in it.
pub(super) fn whose(users: &Users) -> Whose {
    let Some(users) = users else {
        return Whose::Unknown;
    };
    let n_ours = users.values().filter(|user| user.is_ours).count();
    if users.is_empty() {
        Whose::Nobody
    } else if n_ours == 0 {
        Whose::Others
    } else if n_ours == users.len() {
        Whose::Ours
    } else {
        let by_busy = share(users, |user| user.busy);
        let by_memory = || share(users, |user| user.memory_bytes.map(|bytes| bytes as f64));
        let by_count = || n_ours as f64 / users.len() as f64;
        Whose::Shared(by_busy.or_else(by_memory).unwrap_or_else(by_count))
    }
}

/// The memory of this run's processes; `None` where it has none there, or it is not known of any.
pub(super) fn memory_of_ours(users: &Users) -> Option<u64> {
    let ours = users
        .iter()
        .flat_map(BTreeMap::values)
        .filter(|user| user.is_ours);
    ours.filter_map(|user| user.memory_bytes)
        .reduce(u64::saturating_add)
}

/// This run's part of a weight; `None` unless it is known of everybody, and not zero for all.
fn share(users: &BTreeMap<u32, User>, weight: impl Fn(&User) -> Option<f64>) -> Option<f64> {
    let weights: Vec<_> = users
        .values()
        .map(|user| Some((user.is_ours, weight(user)?)))
        .collect::<Option<_>>()?;
    let sum: f64 = weights.iter().map(|(_, weight)| weight).sum();
    let ours: f64 = weights
        .iter()
        .filter(|(is_ours, _)| *is_ours)
        .map(|(_, weight)| weight)
        .sum();
    (sum > 0.0).then(|| ours / sum)
}
