//! What happens, as it happens: Server-Sent Events.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep, timeout_at};
use utoipa::ToSchema;

use super::fault::{ApiFault, Failure, Kind, Query};
use crate::App;

/// Watchers at once.
static PLACES: Semaphore = Semaphore::const_new(512);

/// How long changes are gathered before they are told together.
const GATHER: Duration = Duration::from_millis(400);

/// Time between two signs of life.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Time between two looks at the ledger, for what other processes write.
const LOOK: Duration = Duration::from_secs(2);

/// Most runs of one message, and most that are looked at.
const RUNS: usize = 200;

/// What changed, gathered over a moment.
#[derive(Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Change {
    /// Runs, each with what changed of it: `metric`, `param`, `tag`, `run`.
    runs: BTreeMap<String, BTreeSet<&'static str>>,
    /// Whether more changed than is told.
    has_more: bool,
}

impl Change {
    fn add(&mut self, told: Result<crate::Event, u64>, only: Option<&str>) {
        match told {
            Ok(event) if only.is_some_and(|run| run != event.run_id) => {}
            Ok(event) if self.runs.len() < RUNS || self.runs.contains_key(&event.run_id) => {
                self.runs
                    .entry(event.run_id)
                    .or_default()
                    .insert(event.what);
            }
            Ok(_) | Err(_) => self.has_more = true,
        }
    }

    fn is_empty(&self) -> bool {
        self.runs.is_empty() && !self.has_more
    }
}

/// The next thing told; how many were missed, where the watcher was too slow; `None` once nothing can come any more.
async fn next(events: &mut Receiver<crate::Event>) -> Option<Result<crate::Event, u64>> {
    match events.recv().await {
        Ok(event) => Some(Ok(event)),
        Err(RecvError::Lagged(n_missed)) => Some(Err(n_missed)),
        Err(RecvError::Closed) => None,
    }
}

struct Watch {
    app: App,
    events: Receiver<crate::Event>,
    only: Option<String>,
    _place: SemaphorePermit<'static>,
}

impl Watch {
    /// Waits for a change, gathers what comes with it, and tells all of it.
    async fn message(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        let mut change = Change::default();
        while change.is_empty() {
            let told = tokio::select! {
                told = next(&mut self.events) => told?,
                () = self.app.ended() => return None,
            };
            change.add(told, self.only.as_deref());
        }
        let until = Instant::now() + GATHER;
        while let Ok(told) = timeout_at(until, next(&mut self.events)).await {
            change.add(told?, self.only.as_deref());
        }
        let text = serde_json::to_string(&change).unwrap_or_default();
        Some((Ok(Event::default().event("change").data(text)), self))
    }
}

/// What happens to runs, as it happens (text/event-stream; events named `change`)
#[utoipa::path(get, path = "/api/v1/events", tag = "server",
    params(("run" = Option<String>, Query, description = "Only what happens to this run")),
    responses((status = 200, description = "Events, each a Change", content_type = "text/event-stream"),
        (status = 400, body = Failure), (status = 429, body = Failure)))]
pub async fn get(State(app): State<App>, query: Query) -> Result<Response, ApiFault> {
    query.only(&["run"])?;
    let place = PLACES.try_acquire().map_err(|_| {
        ApiFault::new(
            Kind::Busy,
            "Too many watch already; pages still show what is new when they are opened.",
        )
    })?;
    let watch = Watch {
        events: app.watch(),
        only: query.text("run")?,
        app: app.clone(),
        _place: place,
    };
    look_out(&app);
    let messages = stream::unfold(watch, Watch::message);
    let alive = KeepAlive::new().interval(HEARTBEAT);
    // Said first, so that a watcher knows at once that it is heard.
    let hello = stream::once(async { Ok(Event::default().event("hello").data("{}")) });
    let messages = futures_util::StreamExt::chain(hello, messages);
    let headers = [
        (header::CACHE_CONTROL, "no-store"),
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Sse::new(messages).keep_alive(alive)).into_response())
}

/// Looks at the runs of the ledger for as long as anyone watches: meters write to it from processes of their own.
fn look_out(app: &App) {
    let Some(duty) = app.take_watch() else {
        return;
    };
    let app = app.clone();
    tokio::spawn(async move {
        let _duty = duty;
        let mut known: Option<HashMap<String, i64>> = None;
        while app.is_watched() && !app.has_ended() {
            if let Ok(marks) = app.ledger().running_marks(RUNS as i64).await {
                let marks: HashMap<String, i64> = marks.into_iter().collect();
                if let Some(known) = &known {
                    tell(&app, known, &marks);
                }
                known = Some(marks);
            }
            tokio::select! {
                () = sleep(LOOK) => {}
                () = app.ended() => {}
            }
        }
    });
}

fn tell(app: &App, known: &HashMap<String, i64>, now: &HashMap<String, i64>) {
    for (run, seen_us) in now {
        match known.get(run) {
            None => app.tell(run, "run"),
            Some(before) if before != seen_us => app.tell(run, "metric"),
            Some(_) => {}
        }
    }
    for run in known.keys().filter(|run| !now.contains_key(*run)) {
        app.tell(run, "run");
    }
}
