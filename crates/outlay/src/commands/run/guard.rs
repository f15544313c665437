//! Budgets while a command runs: when to warn, and when to stop.

use outlay_ledger::{Budget, Micro};
use outlay_units::usd;
use serde::{Deserialize, Serialize};

/// What a command was stopped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StoppedBy {
    /// A budget that is reached.
    Budget,
    /// The rule of `--stop-when`.
    Rule,
}

impl StoppedBy {
    /// What `outlay run` ends with: codes that few commands have, beside those of `timeout` (124) and `env` (125 to 127).
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Budget => 122,
            Self::Rule => 123,
        }
    }
}

/// Shares of a budget at which to warn, in percent, where nothing else is said.
pub const WARN_AT_PERCENT: [u32; 3] = [50, 80, 95];

/// A limit, and how far it is used up.
#[derive(Clone, Debug)]
struct Limit {
    name: String,
    limit_usd: f64,
    /// What was spent against it beside what this run has not recorded yet.
    recorded_usd: f64,
    /// Whether `recorded_usd` comes from the ledger, and holds this run's own entries.
    is_shared: bool,
    /// Shares that have not been passed yet, in percent, smallest first.
    warn_at_percent: Vec<u32>,
}

/// What a limit says.
#[derive(Clone, Debug, PartialEq)]
pub enum Word {
    /// A share was passed.
    Warn(String),
    /// It is reached.
    Stop(String),
}

/// The limits that a run is under.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    limits: Vec<Limit>,
}

impl Guard {
    /// Puts the run under a limit of its own.
    pub fn limit_run(&mut self, limit_usd: f64, warn_at_percent: &[u32]) {
        self.limits.push(Limit {
            name: "this run's budget".to_owned(),
            limit_usd,
            recorded_usd: 0.0,
            is_shared: false,
            warn_at_percent: warn_at_percent.to_vec(),
        });
    }

    /// Whether there is any limit.
    pub fn is_empty(&self) -> bool {
        self.limits.is_empty()
    }

    /// Takes in what the ledger says was spent against the budgets that it keeps.
    pub fn hear(&mut self, spent: &[(Budget, Micro)]) {
        for (budget, micro) in spent {
            let name = format!("budget `{}`", budget.name);
            let there = self.limits.iter_mut().find(|limit| limit.name == name);
            match there {
                Some(limit) => {
                    limit.limit_usd = budget.limit_micro.units();
                    limit.recorded_usd = micro.units();
                }
                None => self.limits.push(Limit {
                    name,
                    limit_usd: budget.limit_micro.units(),
                    recorded_usd: micro.units(),
                    is_shared: true,
                    warn_at_percent: budget.warn_at_percent.clone(),
                }),
            }
        }
    }

    /// Says what is to be said now that the run has spent `spent_usd`, of which `recorded_usd` is in the ledger.
    pub fn check(&mut self, spent_usd: f64, recorded_usd: f64) -> Vec<Word> {
        let mut words = Vec::new();
        for limit in &mut self.limits {
            let total = if limit.is_shared {
                limit.recorded_usd + (spent_usd - recorded_usd).max(0.0)
            } else {
                spent_usd
            };
            if total >= limit.limit_usd {
                words.push(Word::Stop(format!(
                    "{} is reached: {} of {}",
                    limit.name,
                    usd(total),
                    usd(limit.limit_usd)
                )));
                continue;
            }
            let percent = total / limit.limit_usd * 100.0;
            let passed = limit
                .warn_at_percent
                .iter()
                .filter(|share| percent >= f64::from(**share))
                .max()
                .copied();
            if let Some(share) = passed {
                limit.warn_at_percent.retain(|other| *other > share);
                words.push(Word::Warn(format!(
                    "{share}% of {} is spent: {} of {}",
                    limit.name,
                    usd(total),
                    usd(limit.limit_usd)
                )));
            }
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn november(limit: i64) -> Budget {
        Budget {
            name: "november".to_owned(),
            project: String::new(),
            team: String::new(),
            period: outlay_ledger::Period::Month,
            limit_micro: Micro(limit * 1_000_000),
            currency: "USD".to_owned(),
            warn_at_percent: vec![80],
            set_us: 0,
        }
    }

    #[test]
    fn warns_once_at_each_share_and_stops_at_the_limit() {
        let mut guard = Guard::default();
        guard.limit_run(10.0, &[50, 80]);
        assert_eq!(guard.check(4.9, 0.0), []);
        assert!(matches!(&guard.check(5.0, 0.0)[..], [Word::Warn(text)] if text.contains("50%")));
        assert_eq!(guard.check(6.0, 0.0), []);
        // Two shares passed at once, as after a pause: one word.
        assert!(matches!(&guard.check(9.0, 0.0)[..], [Word::Warn(text)] if text.contains("80%")));
        assert!(matches!(&guard.check(10.0, 0.0)[..], [Word::Stop(_)]));
    }

    #[test]
    fn a_shared_budget_counts_what_others_spent_and_nothing_twice() {
        let mut guard = Guard::default();
        guard.hear(&[(november(100), Micro(60_000_000))]);
        // 60 recorded, 15 of them this run's own; 5 more are not recorded yet.
        assert_eq!(guard.check(20.0, 15.0), []);
        guard.hear(&[(november(100), Micro(79_000_000))]);
        assert!(matches!(&guard.check(21.0, 20.0)[..], [Word::Warn(_)]));
        guard.hear(&[(november(70), Micro(79_000_000))]);
        assert!(matches!(&guard.check(21.0, 20.0)[..], [Word::Stop(_)]));
    }
}
