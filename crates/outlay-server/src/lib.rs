//! The server: the ledger behind one port, for MLflow's clients, for programs and for people.
//!
//! The only crate that knows HTTP.

pub mod api;
pub mod artifacts;
pub mod doors;
pub mod mlflow;
mod otlp;
pub mod pages;
pub mod plan;
mod prometheus;
mod query;
mod serve;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use outlay_ledger::{Ledger, Microseconds};

pub use serve::{open_connections, serve};

use artifacts::Artifacts;
use mlflow::error::{ApiError, Code};

/// The version of MLflow whose clients this server is made for.
pub const MLFLOW_VERSION: &str = "3.17.2";

/// What the server works with. Clones share it.
#[derive(Clone, Debug)]
pub struct App {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    ledger: Ledger,
    artifacts: Artifacts,
    settings: Settings,
    doors: doors::Doors,
    events: tokio::sync::broadcast::Sender<Event>,
    /// What was asked so far, and how long it took.
    requests: prometheus::Requests,
    /// The folder that new experiments begin with, where it is one of this machine.
    local_root: Option<(PathBuf, Artifacts)>,
    /// Held by whoever looks at the ledger for those who watch.
    lookout: Arc<tokio::sync::Mutex<()>>,
    ending: tokio::sync::watch::Sender<bool>,
    planner: plan::Planner,
}

/// How the server is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What a new experiment's `artifact_location` begins with: `mlflow-artifacts:` where this server keeps the files.
    pub artifact_root: String,
    /// The folder from which paths that are relative are meant.
    pub folder: PathBuf,
    /// The clock: microseconds since 1970.
    pub now_us: fn() -> Microseconds,
    /// Whether a run whose project or team has spent its budget is refused.
    pub refuse_over_budget: bool,
    /// Whether texts that are too long for MLflow are cut, as its clients expect; otherwise they are refused.
    pub truncate_long_values: bool,
}

impl App {
    /// Puts a ledger and a store of files behind the server, for this machine alone.
    #[must_use]
    pub fn new(ledger: Ledger, artifacts: Artifacts, settings: Settings) -> Self {
        Self::guarded(ledger, artifacts, settings, doors::Rules::default())
    }

    /// Puts a ledger and a store of files behind the server, with rules on who may ask for what.
    #[must_use]
    pub fn guarded(
        ledger: Ledger,
        artifacts: Artifacts,
        settings: Settings,
        rules: doors::Rules,
    ) -> Self {
        let local_root = mlflow::local_path(&settings.artifact_root)
            .map(|root| (root.clone(), Artifacts::folder(root)));
        Self {
            inner: Arc::new(Inner {
                local_root,
                ledger,
                artifacts,
                settings,
                doors: doors::Doors::new(rules),
                events: tokio::sync::broadcast::channel(1024).0,
                lookout: Arc::default(),
                ending: tokio::sync::watch::Sender::new(false),
                planner: plan::Planner::default(),
                requests: prometheus::Requests::default(),
            }),
        }
    }

    /// The ledger.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.inner.ledger
    }

    /// The files of runs and models.
    #[must_use]
    pub fn artifacts(&self) -> &Artifacts {
        &self.inner.artifacts
    }

    /// The local folder that new experiments begin with, where there is one, and the files in it.
    pub(crate) fn local_root(&self) -> Option<(&Path, &Artifacts)> {
        let root = self.inner.local_root.as_ref()?;
        Some((&root.0, &root.1))
    }

    /// What plans are made with.
    #[must_use]
    pub fn planner(&self) -> &plan::Planner {
        &self.inner.planner
    }

    pub(crate) fn requests(&self) -> &prometheus::Requests {
        &self.inner.requests
    }

    /// How the server is set up.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    pub(crate) fn doors(&self) -> &doors::Doors {
        &self.inner.doors
    }

    /// Tells those who watch that something happened to a run.
    pub fn tell(&self, run_id: &str, what: &'static str) {
        if self.inner.events.receiver_count() > 0 {
            let run_id = run_id.to_owned();
            // Nobody watches any more.
            let _ = self.inner.events.send(Event { run_id, what });
        }
    }

    /// What happens from now on.
    #[must_use]
    pub fn watch(&self) -> tokio::sync::broadcast::Receiver<Event> {
        self.inner.events.subscribe()
    }

    /// Whether anyone watches.
    pub(crate) fn is_watched(&self) -> bool {
        self.inner.events.receiver_count() > 0
    }

    /// The duty to look at the ledger for those who watch; `None` where someone has it.
    pub(crate) fn take_watch(&self) -> Option<tokio::sync::OwnedMutexGuard<()>> {
        Arc::clone(&self.inner.lookout).try_lock_owned().ok()
    }

    /// Ends what would go on for ever: replies that tell what happens.
    pub fn end(&self) {
        self.inner.ending.send_replace(true);
    }

    /// Whether the server ends.
    pub(crate) fn has_ended(&self) -> bool {
        *self.inner.ending.borrow()
    }

    /// Waits until the server ends.
    pub(crate) async fn ended(&self) {
        // The other half is kept by this very app.
        let _ = self.inner.ending.subscribe().wait_for(|ends| *ends).await;
    }

    /// Refuses a run whose budget is spent.
    ///
    /// # Errors
    ///
    /// A budget that covers the project and the team and has nothing left; 403, which clients do not try again.
    pub async fn admit(&self, project: &str, team: &str) -> Result<(), ApiError> {
        if !self.inner.settings.refuse_over_budget {
            return Ok(());
        }
        for budget in self.inner.ledger.budgets().await? {
            if !budget.covers(project, team) {
                continue;
            }
            let spent = self.inner.ledger.spent_of(&budget, self.now_us()).await?;
            if spent >= budget.limit_micro {
                let more = serde_json::json!({"project": project, "team": team});
                self.note(
                    "run refused over budget",
                    &format!("budget/{}", budget.name),
                    &more,
                );
                return Err(ApiError::new(
                    Code::PermissionDenied,
                    format!(
                        "Budget `{}` is spent: {:.2} of {:.2} {}. New runs are refused until it is raised or its \
                         period ends.",
                        budget.name,
                        spent.units(),
                        budget.limit_micro.units(),
                        budget.currency
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Now, in microseconds since 1970.
    #[must_use]
    pub fn now_us(&self) -> Microseconds {
        (self.inner.settings.now_us)()
    }

    /// Now, in milliseconds since 1970.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.now_us().div_euclid(1000)
    }

    /// Today, as `YYYY-MM-DD`.
    #[must_use]
    pub fn today(&self) -> String {
        outlay_units::date_of_day(self.now_us().div_euclid(86_400_000_000))
    }

    /// Random hexadecimal digits: 32 of them.
    #[must_use]
    pub fn fresh_id(&self) -> String {
        outlay_ledger::hex(&self.random())
    }

    /// Random bytes.
    pub(crate) fn random(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        // Where the system has no random numbers, the clock and the place of this number still tell ids apart.
        if getrandom::fill(&mut bytes).is_err() {
            let now = self.now_us().to_le_bytes();
            let place = std::ptr::from_ref(&bytes).addr().to_le_bytes();
            bytes[..8].copy_from_slice(&now);
            bytes[8..8 + place.len().min(8)].copy_from_slice(&place[..place.len().min(8)]);
        }
        bytes
    }
}

/// Something that happened, for whoever watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The run that it happened to.
    pub run_id: String,
    /// What: `metric`, `param`, `tag`, `run`.
    pub what: &'static str,
}

/// Everything that the server answers to.
pub fn router(app: App) -> Router {
    let router = Router::new()
        .merge(mlflow::router())
        .merge(api::router())
        .merge(pages::router())
        .merge(plan::router())
        .merge(otlp::router())
        .merge(prometheus::router());
    // Outermost, so that what the doors turn away is counted too.
    doors::around(router, &app)
        .layer(axum::middleware::from_fn_with_state(
            app.clone(),
            prometheus::measure,
        ))
        .layer(axum::middleware::from_fn(api::with_version))
        .with_state(app)
}
