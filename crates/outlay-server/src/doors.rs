//! The doors: who may ask for what, from where, and how often. Everything that the server answers goes through them.
//!
//! Without users the server asks nobody who they are, and then it listens to this machine alone.
//! With users, everything but a few paths that tell nothing asks for a token, a name with its password, or the cookie
//! that the page for logging in gives.

pub(crate) mod accounts;
mod audit;
mod body;
mod buckets;
mod guard;
mod headers;
mod knows;
mod login;
mod origin;
pub mod people;
mod refusal;
mod routes;
mod secret;
mod sessions;

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};

use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use outlay_ledger::Evidence;
use serde_json::Value;

pub use headers::PAGE_POLICY;
pub use knows::{FormProof, Person};
pub use origin::{Caller, Hosts};
pub(crate) use refusal::is_form;
pub(crate) use routes::is_own_api;

use crate::App;
use audit::{ASKING, Audit};
use buckets::Buckets;
use knows::Knows;
use people::By;

/// Failed logins of one address: so many at once, and then one in ten seconds.
const FAILURES: f64 = 10.0;
const FAILURES_PER_SECOND: f64 = 0.1;

/// Failed logins of one name, from wherever.
const FAILURES_OF_NAME: f64 = 50.0;
const FAILURES_OF_NAME_PER_SECOND: f64 = 0.5;

/// How the doors are set.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The names under which the server may be asked.
    pub hosts: Hosts,
    /// Whether it asks nobody who they are while there are no users. Only for a server that this machine alone can reach.
    pub open_without_users: bool,
    /// Whether a proxy stands before it, whose word on who calls is believed.
    pub behind_proxy: bool,
    /// Most bytes of a file; `None` for any.
    pub max_artifact_bytes: Option<u64>,
    /// Requests that one user or address may send in a second, ten times as many at once; 0 for any.
    pub requests_per_second: u32,
}

impl Default for Rules {
    /// For this machine alone.
    fn default() -> Self {
        Self {
            hosts: Hosts::new(IpAddr::V4(Ipv4Addr::LOCALHOST), &[]),
            open_without_users: true,
            behind_proxy: false,
            max_artifact_bytes: None,
            requests_per_second: REQUESTS_PER_SECOND,
        }
    }
}

/// Requests that one client may send in a second, where nothing else is said.
pub const REQUESTS_PER_SECOND: u32 = 2000;

/// One client, for limits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Client {
    Name(String),
    Address(IpAddr),
}

/// What the doors remember.
#[derive(Debug)]
pub(crate) struct Doors {
    rules: Rules,
    knows: Knows,
    audit: Audit,
    requests: Option<Buckets<Client>>,
    failures: Buckets<IpAddr>,
    failures_of_name: Buckets<String>,
    /// Failures that are recorded: a script that goes on with a wrong token is not to fill the ledger.
    recorded: Buckets<IpAddr>,
}

impl Doors {
    pub fn new(rules: Rules) -> Self {
        let rate = f64::from(rules.requests_per_second);
        Self {
            rules,
            knows: Knows::new(),
            audit: Audit::default(),
            requests: (rate > 0.0).then(|| Buckets::new(rate, rate * 10.0)),
            failures: Buckets::new(FAILURES_PER_SECOND, FAILURES),
            failures_of_name: Buckets::new(FAILURES_OF_NAME_PER_SECOND, FAILURES_OF_NAME),
            recorded: Buckets::new(FAILURES_PER_SECOND, FAILURES),
        }
    }
}

impl App {
    /// Records who did what to a subject; whoever asks at the moment is who. It never waits.
    pub fn note(&self, what: &str, subject: &str, more: &Value) {
        let by = self.by();
        let evidence = by.evidence(what, audit::plain(subject), more);
        self.record(evidence);
    }

    fn record(&self, evidence: Evidence) {
        self.doors().audit.record(self.ledger(), evidence);
    }

    /// The name of whoever asks at the moment; empty where the server asks nobody who they are.
    #[must_use]
    pub fn who(&self) -> String {
        self.by().who
    }

    /// Who asks at the moment, for a record.
    fn by(&self) -> By {
        let (who, from) = ASKING
            .try_with(|asking| {
                let who = asking.person.as_ref().map(|person| person.name.clone());
                (who.unwrap_or_default(), asking.address.to_string())
            })
            .unwrap_or_default();
        let now_us = self.now_us();
        By { who, from, now_us }
    }

    /// Records a login that failed.
    fn failed(&self, caller: &Caller, name: &str) {
        let by = By {
            who: String::new(),
            from: caller.address.to_string(),
            now_us: self.now_us(),
        };
        let subject = format!("user/{}", audit::plain(name));
        self.record(by.evidence("login failed", subject, &Value::Null));
    }

    /// Waits until every record of who did what is written.
    pub async fn finish_records(&self) {
        self.doors().audit.finish().await;
    }
}

/// Who asks, for handlers: nobody in particular where the server has no users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker(pub Option<Person>);

impl Asker {
    /// The person's name; empty where the server asks nobody who they are.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.as_ref().map_or("", |person| &person.name)
    }
}

impl<S: Sync> FromRequestParts<S> for Asker {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.extensions.get::<Person>().cloned()))
    }
}

/// Who asks at the moment, and the proof that their forms carry where they are known by a cookie.
pub(crate) fn asking() -> (Option<Person>, Option<FormProof>) {
    ASKING
        .try_with(|asking| (asking.person.clone(), asking.proof.clone()))
        .unwrap_or_default()
}

/// Puts the doors around everything that the server answers.
pub(crate) fn around(router: Router<App>, app: &App) -> Router<App> {
    router
        .merge(login::router())
        .layer(axum::middleware::from_fn_with_state(
            app.clone(),
            guard::guard,
        ))
}
