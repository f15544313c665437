//! The planner: what training and serving will cost, asked over HTTP and answered by the functions that the command line calls.
//!
//! A request has the words of the options of `outlay plan train` and `outlay plan serve`; an answer is what their `--json`
//! prints. Nothing is kept but the last answers, so that sliders which come back to a place are answered at once.

mod ask;
mod cache;
mod openapi;
mod reply;
mod sizes;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use outlay_catalog::{ApiPrice, Offer, builtin_api_history, builtin_api_prices};
use outlay_plan::request::{Market, ServeReply};
use outlay_plan::{Answer, Calibration};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::App;
pub use ask::{Asked, MOST_CONFIG_BYTES, ServeAsked, Source, TrainAsked};
use cache::Cache;
pub use openapi::openapi;
pub use reply::Refused;
pub use sizes::{SizePoint, Sizes};

/// Most bytes of a request: a model's file as a text in JSON, whose quotes are escaped, and the numbers beside it.
pub(crate) const MOST_BODY_BYTES: usize = 2 * MOST_CONFIG_BYTES + 64 * 1024;

/// How long a request waits for its turn.
const TURN_SECONDS: u64 = 20;

/// Most plans that are made at once; each takes every core by itself while it searches.
const TURNS: usize = 2;

/// Prices beyond those that ship with Outlay.
#[derive(Clone, Debug, Default)]
pub struct Prices {
    /// Of accelerators, each with its day.
    pub offers: Vec<Offer>,
    /// Of APIs, each with its day.
    pub apis: Vec<ApiPrice>,
}

/// What the planner works with: constants, prices, turns and the last answers.
#[derive(Debug)]
pub struct Planner {
    calibration: OnceLock<Calibration>,
    imported: OnceLock<Prices>,
    turns: Arc<Semaphore>,
    cache: Cache,
}

impl Default for Planner {
    fn default() -> Self {
        Self {
            calibration: OnceLock::new(),
            imported: OnceLock::new(),
            turns: Arc::new(Semaphore::new(TURNS)),
            cache: Cache::default(),
        }
    }
}

impl Planner {
    /// Adds the prices that were imported. Only the first call counts: prices do not change while the server runs.
    pub fn import(&self, prices: Prices) {
        // Whoever was first is right.
        let _ = self.imported.set(prices);
    }

    /// The prices that were imported.
    #[must_use]
    pub fn imported(&self) -> &Prices {
        self.imported.get_or_init(Prices::default)
    }

    /// The constants, read once.
    #[must_use]
    pub fn calibration(&self) -> &Calibration {
        self.calibration.get_or_init(Calibration::built_in)
    }

    /// What can be rented on a day.
    #[must_use]
    pub fn market(&self, today: &str) -> Market {
        Market {
            dated: self.dated(),
            ..Market::built_in(today)
        }
    }

    /// Every dated price of an accelerator.
    #[must_use]
    pub fn dated(&self) -> Vec<Offer> {
        let mut dated = Market::built_in("").dated;
        dated.extend(self.imported().offers.iter().cloned());
        dated
    }

    /// Every dated price of an API.
    #[must_use]
    pub fn api_prices(&self) -> Vec<ApiPrice> {
        let shipped = [builtin_api_history(), builtin_api_prices()].concat();
        [shipped.as_slice(), &self.imported().apis].concat()
    }
}

/// Everything that is asked of the planner.
pub fn router() -> Router<App> {
    Router::new()
        .route("/api/v1/plan/train", post(train))
        .route("/api/v1/plan/train/sizes", post(train_sizes))
        .route("/api/v1/plan/serve", post(serve))
        .route("/api/v1/plan/models", get(models))
        .route("/api/v1/plan/hardware", get(hardware))
        .layer(DefaultBodyLimit::max(MOST_BODY_BYTES))
}

async fn train(State(app): State<App>, body: Bytes) -> Response {
    match TrainAsked::read(&body) {
        Ok(asked) => reply::of(&plan(&app, Question::Train(asked)).await),
        Err(refused) => refused.into_response(),
    }
}

async fn train_sizes(State(app): State<App>, body: Bytes) -> Response {
    match TrainAsked::read(&body) {
        Ok(asked) => reply::of(&plan(&app, Question::Sizes(asked)).await),
        Err(refused) => refused.into_response(),
    }
}

async fn serve(State(app): State<App>, body: Bytes) -> Response {
    match ServeAsked::read(&body) {
        Ok(asked) => reply::of(&plan(&app, Question::Serve(asked)).await),
        Err(refused) => refused.into_response(),
    }
}

/// Built-in models, by name.
async fn models() -> Response {
    let list: Vec<Value> = outlay_model::builtin()
        .iter()
        .map(|model| serde_json::json!({ "name": model.name }))
        .collect();
    axum::Json(list).into_response()
}

/// Accelerators, with the figures that people choose by.
async fn hardware() -> Response {
    let list: Vec<Value> = outlay_catalog::accelerators()
        .iter()
        .map(|accelerator| {
            serde_json::json!({
                "id": accelerator.id,
                "name": accelerator.name,
                "vendor": accelerator.vendor,
                "generation": accelerator.generation,
                "memory_gib": accelerator.memory_gib,
                "tdp_watts": accelerator.tdp_watts,
                "node_size": accelerator.node_size,
                "released": accelerator.released,
                "sources": accelerator.sources,
            })
        })
        .collect();
    axum::Json(list).into_response()
}

/// What is asked of the planner.
#[derive(Clone, Debug, Serialize)]
pub enum Question {
    /// A training run.
    Train(TrainAsked),
    /// A training run on several numbers of accelerators.
    Sizes(TrainAsked),
    /// A service.
    Serve(ServeAsked),
}

/// What the planner made of it.
#[derive(Debug)]
pub enum Made {
    /// A plan of a training run.
    Train(Box<Answer>),
    /// Plans of a training run on several numbers of accelerators.
    Sizes(Sizes),
    /// A plan of a service.
    Serve(ServeReply),
    /// No plan.
    Refused(Refused),
}

impl Question {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// A body that is no request, or a field that is wrong.
    pub fn read(serves: bool, body: &[u8]) -> Result<Self, Refused> {
        Ok(if serves {
            Self::Serve(ServeAsked::read(body)?)
        } else {
            Self::Train(TrainAsked::read(body)?)
        })
    }

    fn answer(&self, market: &Market, calibration: &Calibration) -> Made {
        let made = match self {
            Self::Train(asked) => asked
                .answer(market, calibration)
                .map(|answer| Made::Train(Box::new(answer))),
            Self::Sizes(asked) => sizes::sizes(asked, market, calibration).map(Made::Sizes),
            Self::Serve(asked) => asked.answer(market, calibration).map(Made::Serve),
        };
        made.unwrap_or_else(Made::Refused)
    }
}

/// Why the planner made nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmade {
    /// Too many plans are asked for.
    Busy,
    /// A bug.
    Broken,
}

/// Looks among the last answers, waits for a turn, and plans on a thread that may take its time.
///
/// # Errors
/// Too many plans are asked for at once, or a bug.
pub async fn plan(app: &App, question: Question) -> Result<Arc<Made>, Unmade> {
    let today = app.today();
    let key = cache::key(&today, &question);
    if let Some(known) = app.planner().cache.get(&key) {
        return Ok(known);
    }
    let waited = Duration::from_secs(TURN_SECONDS);
    let turns = Arc::clone(&app.planner().turns);
    let Ok(Ok(turn)) = tokio::time::timeout(waited, turns.acquire_owned()).await else {
        return Err(Unmade::Busy);
    };
    let app = app.clone();
    tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let planner = app.planner();
        let made = Arc::new(question.answer(&planner.market(&today), planner.calibration()));
        planner.cache.put(key, Arc::clone(&made));
        made
    })
    .await
    .map_err(|_| Unmade::Broken)
}
