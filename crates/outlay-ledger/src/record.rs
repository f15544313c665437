//! What a ledger holds, one type each.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Microseconds since 1970, UTC.
pub type Microseconds = i64;

/// How a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
    /// It waits for its turn.
    Scheduled,
    /// It runs, as far as is known.
    Running,
    /// It ended by itself, and said that all is well.
    Finished,
    /// It ended by itself, and said that something failed.
    Failed,
    /// A budget or a rule ended it.
    Stopped,
    /// It is gone, and nobody saw how it ended.
    Lost,
}

impl RunStatus {
    /// The word in the store and on the screen.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
            Self::Lost => "lost",
        }
    }

    pub(crate) fn from_name(name: &str, scheduled: bool) -> Self {
        match name {
            "running" if scheduled => Self::Scheduled,
            "running" => Self::Running,
            "finished" => Self::Finished,
            "failed" => Self::Failed,
            "stopped" => Self::Stopped,
            _ => Self::Lost,
        }
    }

    /// The two columns that keep it: one of the words that form 1 knew, and whether it waits.
    pub(crate) fn stored(self) -> (&'static str, i64) {
        match self {
            Self::Scheduled => (Self::Running.name(), 1),
            other => (other.name(), 0),
        }
    }
}

/// Something that ran and was metered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// A name that no other run has: 32 hexadecimal digits where Outlay gives it.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The project whose budgets it falls under; empty for none.
    pub project: String,
    /// The team whose budgets it falls under; empty for none.
    pub team: String,
    /// Who started it.
    pub who: String,
    /// The machine.
    pub host: String,
    /// The command and its arguments.
    pub command: Vec<String>,
    /// How it stands.
    pub status: RunStatus,
    /// When it began.
    pub started_us: Microseconds,
    /// When it was last known to run.
    pub seen_us: Microseconds,
    /// When it ended.
    pub ended_us: Option<Microseconds>,
    /// What the command said at its end.
    pub exit_code: Option<i64>,
    /// What a later process needs to go on metering.
    pub state: Value,
    /// What was found in the end.
    pub summary: Option<Value>,
    /// The experiment that it belongs to; 0 is the one that is always there.
    #[serde(default)]
    pub experiment_id: i64,
    /// Where its files lie; empty for none.
    #[serde(default)]
    pub artifact_uri: String,
    /// When it was put away.
    #[serde(default)]
    pub deleted_us: Option<Microseconds>,
}

/// A change of how a run stands; what is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunChange {
    /// Which run.
    pub id: String,
    /// How it stands now.
    pub status: Option<RunStatus>,
    /// When it was last known to run.
    pub seen_us: Option<Microseconds>,
    /// When it ended.
    pub ended_us: Option<Microseconds>,
    /// What the command said at its end.
    pub exit_code: Option<i64>,
    /// What a later process needs to go on metering.
    pub state: Option<Value>,
    /// What was found in the end.
    pub summary: Option<Value>,
    /// What people call it now.
    #[serde(default)]
    pub name: Option<String>,
    /// Whether it is put away, and since when.
    #[serde(default)]
    pub deleted_us: Option<Option<Microseconds>>,
}

/// A value of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The step that it belongs to.
    pub step: i64,
    /// When it was measured.
    pub at_us: Microseconds,
    /// The value; not-a-number and the infinities are kept as they are.
    pub value: f64,
}

/// Points of one metric of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Which run.
    pub run_id: String,
    /// Which metric, such as `loss`.
    pub key: String,
    /// Its points.
    pub points: Vec<Point>,
}

/// A text that a run carries: a parameter, which is set once, or a tag, which may change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// Which run.
    pub run_id: String,
    /// Its name.
    pub key: String,
    /// Its text.
    pub value: String,
}

/// Data that a run used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dataset {
    /// Which run.
    pub run_id: String,
    /// What people call it.
    pub name: String,
    /// Hash of its content.
    pub digest: String,
    /// What it was used for: `training`, `validation`.
    pub context: String,
    /// Where it came from.
    pub source: String,
    /// What kind of place that is: `local`, `s3`, `huggingface`.
    #[serde(default)]
    pub source_type: String,
    /// Its columns and their types, as whoever logged it writes them.
    #[serde(default)]
    pub schema: Option<String>,
    /// Its size and the like, as whoever logged it writes them.
    #[serde(default)]
    pub profile: Option<String>,
    /// What else is said of its use by this run, `context` included.
    #[serde(default)]
    pub tags: Vec<(String, String)>,
    /// When the run said so.
    #[serde(default)]
    pub added_us: Microseconds,
}

/// A model that a run read or made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunModel {
    /// Which run.
    pub run_id: String,
    /// Which model.
    pub model_id: String,
    /// Whether the run made it; otherwise the run read it.
    pub is_output: bool,
    /// The step at which it was made.
    pub step: i64,
}

/// A value that a run measured of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelPoint {
    /// Which model.
    pub model_id: String,
    /// Which run.
    pub run_id: String,
    /// Which metric.
    pub key: String,
    /// The value, with its step and time.
    pub point: Point,
    /// The data that it was measured on, where that is known.
    pub dataset_name: String,
    /// Hash of that data.
    pub dataset_digest: String,
}

/// Something that people name and edit, and that is read and written whole: an experiment, a version of a model, a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// What it is.
    pub kind: String,
    /// What it belongs to, such as the name of the model whose version it is.
    pub shelf: String,
    /// Its own name; no two documents of one kind and shelf have the same.
    pub id: String,
    /// What it says, as JSON.
    pub body: String,
}

/// A file that a run made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Which run.
    pub run_id: String,
    /// Its name within the run.
    pub path: String,
    /// Where it lies.
    pub uri: String,
    /// Its size.
    pub bytes: i64,
    /// Hash of its content, in hexadecimal.
    pub sha256: String,
    /// When it was added.
    pub added_us: Microseconds,
}

/// An amount of money in millionths of a unit of its currency, exact.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Micro(pub i64);

impl Micro {
    /// The nearest amount, where it is within reach (nine million million units).
    ///
    /// ```
    /// use outlay_ledger::Micro;
    /// assert_eq!(Micro::from_units(2.49), Some(Micro(2_490_000)));
    /// assert_eq!(Micro::from_units(f64::NAN), None);
    /// ```
    #[must_use]
    pub fn from_units(units: f64) -> Option<Self> {
        let micro = (units * 1e6).round();
        (micro.abs() < 9e18).then_some(Self(micro as i64))
    }

    /// The amount in whole units, as near as a double comes.
    #[must_use]
    pub fn units(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

/// Money that was spent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spending {
    /// The entry's own name, given by who writes it: written again, it is the same entry.
    pub entry: String,
    /// The run that spent it.
    pub run_id: Option<String>,
    /// The project whose budgets it counts against.
    pub project: String,
    /// The team whose budgets it counts against.
    pub team: String,
    /// What for: `compute`, `electricity`, `storage`.
    pub kind: String,
    /// Beginning of the time that it pays for.
    pub from_us: Microseconds,
    /// End of the time that it pays for.
    pub to_us: Microseconds,
    /// How much.
    pub amount_micro: Micro,
    /// In which currency, as ISO 4217 writes it.
    pub currency: String,
    /// How it was come by: `counter`, `sampled` or `modelled`.
    pub quality: String,
    /// Anything that whoever reads it later should know.
    pub note: String,
}

/// The time over which a budget counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Period {
    /// All of it.
    Total,
    /// A calendar month, in UTC.
    Month,
}

impl Period {
    /// The word in the store and on the screen.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Month => "month",
        }
    }

    /// When the period that holds an instant began.
    ///
    /// ```
    /// use outlay_ledger::Period;
    /// let now = outlay_units::parse_timestamp("2026-11-25T22:40:00.000000Z").unwrap();
    /// assert_eq!(outlay_units::timestamp(Period::Month.start(now)), "2026-11-01T00:00:00.000000Z");
    /// ```
    #[must_use]
    pub fn start(self, now_us: Microseconds) -> Microseconds {
        match self {
            Self::Total => i64::MIN,
            Self::Month => {
                let date = outlay_units::date_of_day(now_us.div_euclid(86_400_000_000));
                let first = format!("{}01", &date[..date.len() - 2]);
                outlay_units::day_of_date(&first).map_or(i64::MIN, |day| day * 86_400_000_000)
            }
        }
    }
}

/// A limit on spending.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// What people call it.
    pub name: String,
    /// The project that it covers; empty for every one.
    pub project: String,
    /// The team that it covers; empty for every one.
    pub team: String,
    /// The time over which it counts.
    pub period: Period,
    /// The limit.
    pub limit_micro: Micro,
    /// Its currency; only spending in it counts.
    pub currency: String,
    /// Shares of the limit at which to warn, in percent.
    pub warn_at_percent: Vec<u32>,
    /// When it was set.
    pub set_us: Microseconds,
}

impl Budget {
    /// Whether spending of this project and team counts against it.
    #[must_use]
    pub fn covers(&self, project: &str, team: &str) -> bool {
        (self.project.is_empty() || self.project == project)
            && (self.team.is_empty() || self.team == team)
    }
}

/// One dated statement about a subject, kept for good.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// What it is: `run`, `audit`, `sign-off`.
    pub kind: String,
    /// What it is about, such as `run/5f0c…`.
    pub subject: String,
    /// What it says.
    pub body: Value,
    /// When it was recorded.
    pub recorded_us: Microseconds,
    /// Who recorded it.
    pub who: String,
}

impl Evidence {
    /// The record whose canonical form is hashed: kind, subject, body, when (RFC 3339) and who.
    #[must_use]
    pub fn record(&self) -> Value {
        json!({
            "kind": self.kind,
            "subject": self.subject,
            "body": self.body,
            "when": outlay_units::timestamp(self.recorded_us),
            "who": self.who,
        })
    }

    /// Reads a record back; `None` where it is none.
    #[must_use]
    pub fn from_record(record: &Value) -> Option<Self> {
        let fields = record.as_object().filter(|fields| fields.len() == 5)?;
        let text = |name: &str| fields.get(name)?.as_str().map(str::to_owned);
        Some(Self {
            kind: text("kind")?,
            subject: text("subject")?,
            body: fields.get("body")?.clone(),
            recorded_us: outlay_units::parse_timestamp(&text("when")?)?,
            who: text("who")?,
        })
    }
}

/// Things to write together: all of them or none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// New runs.
    pub runs: Vec<Run>,
    /// How runs stand now.
    pub changes: Vec<RunChange>,
    /// Parameters of runs.
    pub params: Vec<Label>,
    /// Tags of runs.
    pub tags: Vec<Label>,
    /// Tags that are taken away, by run and name; each must be there.
    pub removed_tags: Vec<(String, String)>,
    /// Points of metrics.
    pub series: Vec<Series>,
    /// Data that runs used.
    pub datasets: Vec<Dataset>,
    /// Files that runs made.
    pub artifacts: Vec<Artifact>,
    /// Money spent.
    pub spending: Vec<Spending>,
    /// Limits, each in place of one of its name.
    pub budgets: Vec<Budget>,
    /// Statements to keep for good.
    pub evidence: Vec<Evidence>,
    /// Models that runs read or made.
    pub run_models: Vec<RunModel>,
    /// Values that runs measured of models.
    pub model_points: Vec<ModelPoint>,
    /// Experiments whose runs are all put away, and since when; or, with `None`, all restored.
    pub put_away: Vec<(i64, Option<Microseconds>)>,
    /// Runs that must be there and not be put away; else nothing of the batch is written.
    pub active: Vec<String>,
}

impl Batch {
    /// Rows that it writes, to keep transactions of bounded size.
    pub(crate) fn n_rows(&self) -> usize {
        self.runs.len()
            + self.changes.len()
            + self.params.len()
            + self.tags.len()
            + self
                .series
                .iter()
                .map(|series| series.points.len())
                .sum::<usize>()
            + self.datasets.len()
            + self.artifacts.len()
            + self.spending.len()
            + self.budgets.len()
            + self.evidence.len()
            + self.run_models.len()
            + self.model_points.len()
            + self.removed_tags.len()
            + self.put_away.len()
    }

    /// Adds another batch behind this one.
    pub fn append(&mut self, other: Self) {
        self.runs.extend(other.runs);
        self.changes.extend(other.changes);
        self.params.extend(other.params);
        self.tags.extend(other.tags);
        self.series.extend(other.series);
        self.datasets.extend(other.datasets);
        self.artifacts.extend(other.artifacts);
        self.spending.extend(other.spending);
        self.budgets.extend(other.budgets);
        self.evidence.extend(other.evidence);
        self.run_models.extend(other.run_models);
        self.model_points.extend(other.model_points);
        self.removed_tags.extend(other.removed_tags);
        self.put_away.extend(other.put_away);
        self.active.extend(other.active);
    }
}
