//! What happens to a request before anything else does.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use serde_json::Value;
use tokio::time::Instant;

use super::audit::{self, ASKING, Asking};
use super::knows::{self, Directory, FormProof, Known, Person, Shown};
use super::origin::{self, Caller};
use super::people::User;
use super::refusal::{Refused, Waiting, answer, forbidden, is_form, later, who_are_you};
use super::routes::{self, Audited, Need};
use super::{Client, body, headers, secret};
use crate::App;
use crate::mlflow::ask::Ask;
use crate::mlflow::error::{ApiError, Code};

/// Most bytes of a form, or of the fields of a call that leaves a record.
const FORM_BYTES: usize = 1 << 20;

/// A request that was let in.
struct Admitted {
    request: Request,
    asking: Asking,
    record: Option<(Audited, String)>,
}

/// Lets a request in, or answers that it may not; and adds to every reply what browsers must know.
pub(super) async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    let is_asset = routes::is_asset(request.uri().path());
    let waiting = Waiting::of(&request);
    let mut response = match admit(&app, request).await {
        Ok(admitted) => {
            let asking = admitted.asking.clone();
            ASKING.scope(asking, pass(&app, admitted, next)).await
        }
        Err(refused) => answer(refused, &waiting),
    };
    headers::secure(&mut response, is_asset);
    response
}

/// Hands a request on, and records what it did.
async fn pass(app: &App, admitted: Admitted, next: Next) -> Response {
    let response = next.run(admitted.request).await;
    if let Some((audited, subject)) = admitted.record
        && response.status().is_success()
    {
        app.note(audited.what, &subject, &Value::Null);
    }
    response
}

/// Decides on a request.
async fn admit(app: &App, mut request: Request) -> Result<Admitted, Refused> {
    let doors = app.doors();
    let rules = &doors.rules;
    let uri = request.uri().clone();
    let peer = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .copied();
    let Some(caller) = origin::caller(
        peer.as_ref(),
        request.headers_mut(),
        &uri,
        rules.behind_proxy,
    ) else {
        let message = "The request names no host that can be read, or two of them.";
        return Err(ApiError::new(Code::BadRequest, message).into());
    };
    // A program of old may name no host. A browser always does.
    if !caller.host.is_empty() && !rules.hosts.allow(&caller.host) {
        return Err(forbidden(format!(
            "`{}` is no name of this server. `outlay server --allow-host NAME` allows another.",
            audit::plain(&caller.host)
        )));
    }
    let method = request.method().clone();
    let writes = !origin::is_safe(&method);
    if writes && origin::is_of_other_site(request.headers(), &caller.host) {
        return Err(forbidden(
            "The page of another site sent this request. Send it from a page of this server, or from a program.",
        ));
    }
    let path = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| uri.path().to_owned(), |path| path.as_str().to_owned());
    let known = know(
        app,
        request.headers(),
        &caller,
        routes::need(&method, &path),
    )
    .await?;
    // On a server of this machine alone there is nobody to be shielded from.
    let is_alone = matches!(known, Passed::Open) && caller.address.is_loopback();
    if let Some(requests) = doors.requests.as_ref().filter(|_| !is_alone) {
        let client = match &known {
            Passed::Person(person, _) => Client::Name(person.name.clone()),
            Passed::Open | Passed::Nobody => Client::Address(origin::client(caller.address)),
        };
        requests.take(client, Instant::now()).map_err(|wait| {
            later(
                wait,
                "You send more requests than this server takes from one client. Wait a little.",
            )
        })?;
    }
    let mut asking = Asking {
        person: None,
        proof: None,
        address: caller.address,
    };
    if let Passed::Person(person, proof) = known {
        asking.person = Some(person.clone());
        asking.proof.clone_from(&proof);
        request.extensions_mut().insert(person);
        if let Some(proof) = proof {
            if writes && !routes::is_search(&method, &path) {
                request = proven(request, &proof)
                    .await
                    .map_err(|refused| refused.to(&asking))?;
            }
            request.extensions_mut().insert(proof);
        }
    }
    request.extensions_mut().insert(caller);
    let is_upload = routes::is_upload(&path);
    if writes {
        let max = if is_upload {
            rules.max_artifact_bytes
        } else {
            Some(body::BODY_BYTES)
        };
        body::check_length(request.headers(), max)?;
        // What reads the fields of MLflow's calls has limits of its own.
        if is_upload || !routes::is_api(&path) {
            request = request.map(|body| body::bounded(body, max));
        }
    }
    let record = match routes::audited(&method, &path) {
        Some(audited) => {
            let (same, subject) = subject(request, audited, &path).await?;
            request = same;
            Some((audited, subject))
        }
        None => None,
    };
    Ok(Admitted {
        request,
        asking,
        record,
    })
}

/// Someone who may do what they ask for.
enum Passed {
    /// There are no users, and nobody is asked.
    Open,
    /// The path needs nobody.
    Nobody,
    /// Someone known, with the proof that their forms carry where they are known by a cookie.
    Person(Person, Option<FormProof>),
}

async fn know(
    app: &App,
    headers: &HeaderMap,
    caller: &Caller,
    need: Need,
) -> Result<Passed, Refused> {
    let doors = app.doors();
    let Need::Role(needed) = need else {
        return Ok(Passed::Nobody);
    };
    let directory = doors
        .knows
        .directory(app.ledger())
        .await
        .map_err(ApiError::from)?;
    if directory.users.is_empty() && doors.rules.open_without_users {
        return Ok(Passed::Open);
    }
    let wrong = || Known::Wrong {
        name: String::new(),
    };
    let known = match knows::shown(headers, caller.https) {
        Shown::Nothing => Known::Nobody,
        Shown::Unreadable => wrong(),
        Shown::Token(token) => doors.knows.by_token(&directory, &token, app.now_us()),
        Shown::Password(name, password) => {
            match doors.knows.remembers(&directory, &name, &password) {
                Some(person) => Known::Person(person),
                None => by_password(app, caller, &directory, &name, &password).await,
            }
        }
        Shown::Cookie(cookie) => doors
            .knows
            .by_session(app.ledger(), &directory, &cookie, app.now_us())
            .await
            .map_err(ApiError::from)?,
    };
    let (person, proof) = match known {
        Known::Nobody => {
            return Err(who_are_you(
                "This server asks who you are. Set MLFLOW_TRACKING_TOKEN to a token (`outlay server token create` \
                 makes one), or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.",
            ));
        }
        Known::Wrong { name } => {
            let client = origin::client(caller.address);
            if doors.recorded.take(client, Instant::now()).is_ok() {
                app.failed(caller, &name);
            }
            return Err(who_are_you(
                "The token, or the name or its password, is wrong, was revoked, or has expired.",
            ));
        }
        Known::Later(wait) => return Err(later(wait, TOO_MANY_FAILURES)),
        Known::Person(person) => (person, None),
        Known::Session(person, proof) => (person, Some(proof)),
    };
    if person.role < needed {
        let refused = forbidden(format!(
            "Permission denied: this needs the role {} (or a token of that scope), and {} has {}.",
            needed.name(),
            person.name,
            person.role.name()
        ));
        let address = caller.address;
        return Err(refused.to(&Asking {
            person: Some(person),
            proof,
            address,
        }));
    }
    Ok(Passed::Person(person, proof))
}

pub(super) const TOO_MANY_FAILURES: &str = "Too many failed logins. Wait a little, and try again.";

/// Hashes a password, as long as not too many were wrong of late.
async fn by_password(
    app: &App,
    caller: &Caller,
    directory: &Directory,
    name: &str,
    password: &str,
) -> Known {
    match check_password(app, caller, directory, name, password).await {
        Ok(Some(user)) => Known::Person(Person {
            name: user.name,
            role: user.role,
        }),
        Ok(None) => Known::Wrong {
            name: name.to_owned(),
        },
        Err(wait) => Known::Later(wait),
    }
}

/// The user with this name and password; or how long until another may be tried.
pub(super) async fn check_password(
    app: &App,
    caller: &Caller,
    directory: &Directory,
    name: &str,
    password: &str,
) -> Result<Option<User>, Duration> {
    let doors = app.doors();
    let client = origin::client(caller.address);
    let name_key: String = name.chars().take(64).collect();
    let now = Instant::now();
    doors.failures.take(client, now)?;
    doors.failures_of_name.take(name_key.clone(), now)?;
    let user = doors.knows.by_password(directory, name, password).await;
    if user.is_some() {
        doors.failures.put_back(&client);
        doors.failures_of_name.put_back(&name_key);
    }
    Ok(user)
}

/// Checks that a write by cookie came from a page of this session.
async fn proven(request: Request, proof: &FormProof) -> Result<Request, Refused> {
    let refused = || {
        forbidden(
            "A request by the cookie of a session must carry the proof of its page: the header X-CSRF-Token, or the \
             field `csrf` of a form. Load the page again.",
        )
    };
    if let Some(given) = request.headers().get("x-csrf-token") {
        let given = given.to_str().unwrap_or_default();
        return if secret::same(given, &proof.0) {
            Ok(request)
        } else {
            Err(refused())
        };
    }
    if !is_form(request.headers()) {
        return Err(refused());
    }
    let (parts, body) = request.into_parts();
    let bytes = body::whole(body, FORM_BYTES).await?;
    let fields = Ask::from_query(&String::from_utf8_lossy(&bytes));
    if !fields
        .text("csrf")?
        .is_some_and(|given| secret::same(&given, &proof.0))
    {
        return Err(refused());
    }
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

/// What a call is about, from its fields or its path.
async fn subject(
    request: Request,
    audited: Audited,
    pattern: &str,
) -> Result<(Request, String), Refused> {
    let (parts, body) = request.into_parts();
    let bytes = body::whole(body, FORM_BYTES).await?;
    let fields = Ask::from_json(&bytes).unwrap_or_default();
    let mut subject = audited.subject.to_owned();
    let mut n_found = 0;
    for names in audited.fields {
        let value = names.iter().find_map(|name| fields.get(name));
        if let Some(value) = value {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            subject.push('/');
            subject.push_str(&text);
            n_found += 1;
        }
    }
    if n_found == 0 {
        let root = pattern.split('{').next().unwrap_or_default();
        if let Some(rest) = parts.uri.path().strip_prefix(root) {
            subject.push('/');
            subject.push_str(rest.trim_matches('/'));
        }
    }
    Ok((Request::from_parts(parts, Body::from(bytes)), subject))
}
