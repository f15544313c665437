//! The page for logging in, and the way out.

use askama::Template;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::Value;

use super::guard::{TOO_MANY_FAILURES, check_password};
use super::knows::{cookie, cookie_name};
use super::people::By;
use super::secret::{self, Secret};
use super::sessions::{self, SESSION_US};
use super::{Asker, Caller, body};
use crate::App;
use crate::mlflow::ask::Ask;
use crate::mlflow::error::ApiError;
use crate::pages::frame::{Frame, page, see_other};

/// Most bytes of the form.
const FORM_BYTES: usize = 16 * 1024;

/// The cookie that says that the form came from this server's page.
const FORM_COOKIE: &str = "outlay_form";

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/login", get(show).post(log_in))
        .route("/logout", post(log_out))
}

/// The address of the page, from which a person comes back to where they wanted to go.
pub(super) fn address(uri: &Uri) -> String {
    let to = uri
        .path_and_query()
        .map_or("/", axum::http::uri::PathAndQuery::as_str);
    if to == "/" || to.len() > 2000 {
        return "/login".to_owned();
    }
    format!("/login?next={}", crate::query::escaped(to))
}

/// A path of this server, or its first page: never an address elsewhere.
fn own_path(next: &str) -> &str {
    let is_own = next.starts_with('/')
        && !next.starts_with("//")
        && !next.contains('\\')
        && next.bytes().all(|byte| byte.is_ascii_graphic())
        && next.len() <= 2000;
    if is_own { next } else { "/" }
}

/// A cookie that no script reads and no other site's form sends.
fn with_cookie(response: &mut Response, name: &str, value: &str, seconds: i64, https: bool) {
    let secure = if https { "; Secure" } else { "" };
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
    if let Ok(value) = HeaderValue::from_str(&text) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

async fn has_no_users(app: &App) -> Result<bool, ApiError> {
    let doors = app.doors();
    let directory = doors.knows.directory(app.ledger()).await?;
    Ok(directory.users.is_empty() && doors.rules.open_without_users)
}

async fn show(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let fields = Ask::from_query(request.uri().query().unwrap_or_default());
    let next = fields.text("next")?.unwrap_or_default();
    if has_no_users(&app).await? {
        return Ok(see_other(own_path(&next)));
    }
    let https = is_https(&request);
    form(StatusCode::OK, &next, "", "", https)
}

fn is_https(request: &Request) -> bool {
    request
        .extensions()
        .get::<Caller>()
        .is_some_and(|caller| caller.https)
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    frame: Frame,
    proof: &'a str,
    next: &'a str,
    name: &'a str,
    message: &'a str,
}

/// The page, with a fresh proof that its form is this server's.
fn form(
    status: StatusCode,
    next: &str,
    name: &str,
    message: &str,
    https: bool,
) -> Result<Response, ApiError> {
    let proof = Secret::fresh("")?;
    let template = LoginPage {
        frame: Frame::at("/login"),
        proof: proof.reveal(),
        next: own_path(next),
        name,
        message,
    };
    let mut response = page(status, &template);
    with_cookie(&mut response, FORM_COOKIE, proof.reveal(), 3600, https);
    Ok(response)
}

async fn log_in(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let https = is_https(&request);
    let (parts, body) = request.into_parts();
    let Some(caller) = parts.extensions.get::<Caller>() else {
        return Ok(see_other("/login"));
    };
    let bytes = body::whole(body, FORM_BYTES).await?;
    let fields = Ask::from_query(&String::from_utf8_lossy(&bytes));
    let text = |name: &str| Ok::<_, ApiError>(fields.text(name)?.unwrap_or_default());
    let (name, password) = (text("name")?, text("password")?);
    let (next, proof) = (text("next")?, text("form")?);
    let again = |status, message: &str| form(status, &next, &name, message, https);
    let is_own = cookie(&parts.headers, FORM_COOKIE)
        .is_some_and(|there| !there.is_empty() && secret::same(there, &proof));
    if !is_own {
        return again(
            StatusCode::FORBIDDEN,
            "This page was open for too long, or your browser keeps no cookies. Try again.",
        );
    }
    let directory = app.doors().knows.directory(app.ledger()).await?;
    let user = match check_password(&app, caller, &directory, &name, &password).await {
        Ok(Some(user)) => user,
        Ok(None) => {
            app.failed(caller, &name);
            return again(
                StatusCode::UNAUTHORIZED,
                "The name or the password is wrong.",
            );
        }
        Err(wait) => {
            let mut response = again(StatusCode::TOO_MANY_REQUESTS, TOO_MANY_FAILURES)?;
            let seconds = wait.as_secs().max(1);
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            return Ok(response);
        }
    };
    let by = By {
        who: user.name.clone(),
        from: caller.address.to_string(),
        now_us: app.now_us(),
    };
    let subject = format!("user/{}", user.name);
    app.record(by.evidence("logged in", subject, &Value::Null));
    // Always a new session: one that the browser had before may be someone else's.
    let session = sessions::begin(app.ledger(), &user, by).await?;
    let mut response = see_other(own_path(&next));
    let seconds = SESSION_US / 1_000_000;
    with_cookie(
        &mut response,
        cookie_name(https),
        session.reveal(),
        seconds,
        https,
    );
    with_cookie(&mut response, FORM_COOKIE, "", 0, https);
    Ok(response)
}

async fn log_out(
    State(app): State<App>,
    asker: Asker,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, ApiError> {
    let https = is_https(&request);
    if let Some(session) = cookie(&headers, cookie_name(https)) {
        let id = Secret::read(session).id();
        sessions::end(app.ledger(), asker.name(), &id).await?;
    }
    let mut response = see_other("/login");
    with_cookie(&mut response, cookie_name(https), "", 0, https);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_to_pages_of_this_server_alone() {
        for elsewhere in [
            "",
            "//evil.example",
            "https://evil.example",
            "/\\evil.example",
            "/a\r\nSet-Cookie: x=y",
            "javascript:alert(1)",
        ] {
            assert_eq!(own_path(elsewhere), "/", "{elsewhere}");
        }
        assert_eq!(own_path("/runs?x=1#y"), "/runs?x=1#y");
        assert_eq!(
            address(&Uri::from_static("/runs?x=1")),
            "/login?next=%2Fruns%3Fx%3D1"
        );
    }
}
