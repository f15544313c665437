//! `outlay server`: the ledger behind one port.

mod accounts;

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use outlay_server::artifacts::Artifacts;
use outlay_server::doors::{Hosts, REQUESTS_PER_SECOND, Rules, people};
use outlay_server::plan::Prices;
use outlay_server::{App, Settings};

use super::trends::{SNAPSHOTS, Snapshots};
use crate::failure::Failure;
use crate::ledger::{Books, FOLDER, LedgerArgs, now_us};
use crate::printer::Printer;

/// Arguments of `outlay server`.
#[derive(clap::Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  outlay server
  MLFLOW_TRACKING_URI=http://127.0.0.1:5000 python train.py
  outlay server user add ada --role admin
  outlay server token create --user ada --scope write --expires 90d
  outlay server --host 0.0.0.0 --allow-host outlay.example

Training scripts log to it with the stock MLflow client. Files that they log are kept beside the ledger, or in a bucket."
)]
pub struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    ledger: LedgerArgs,
    /// Address to listen on; any but this machine's own (127.0.0.1, ::1) needs users
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    host: String,
    /// Port to listen on; 0 takes any that is free
    #[arg(long, value_name = "NUMBER", default_value_t = 5000)]
    port: u16,
    /// Where files of runs are kept: a folder, or s3://bucket/prefix [default: .outlay/artifacts]
    #[arg(long, value_name = "PLACE")]
    artifacts: Option<String>,
    /// What the places of new experiments' files begin with, where scripts are to write them themselves: a folder, or
    /// s3://bucket/prefix [default: this server takes and sends them]
    #[arg(long, value_name = "PLACE")]
    artifact_root: Option<String>,
    /// Take new runs even where the budget of their project or team is spent
    #[arg(long)]
    over_budget: bool,
    /// Refuse parameters and tags that are too long, where MLflow's own server would cut them
    #[arg(long)]
    refuse_long_values: bool,
    #[command(flatten)]
    doors: DoorArgs,
}

/// Who may ask the server, and how much.
#[derive(clap::Args, Debug)]
struct DoorArgs {
    /// Another name under which the server may be asked, such as outlay.example or *.lab.example; can be repeated
    #[arg(long, value_name = "NAME")]
    allow_host: Vec<String>,
    /// A proxy stands before the server: believe what it says of callers in X-Forwarded-For, -Proto and -Host; needs users
    #[arg(long)]
    behind_proxy: bool,
    /// Most bytes of a file that is uploaded [default: any]
    #[arg(long, value_name = "BYTES")]
    max_artifact_bytes: Option<u64>,
    /// Requests that one user or address may send in a second, ten times as many at once; 0 for any
    #[arg(long, value_name = "NUMBER", default_value_t = REQUESTS_PER_SECOND)]
    requests_per_second: u32,
}

#[derive(clap::Subcommand, Debug)]
enum Action {
    /// Add, list, change and remove users
    #[command(subcommand)]
    User(accounts::UserAction),
    /// Make, list and revoke tokens for scripts
    #[command(subcommand)]
    Token(accounts::TokenAction),
}

/// What the tools of S3 call the variables that say where a store is and who signs.
const BUCKET_VARIABLES: [&str; 7] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ALLOW_HTTP",
];

/// Where files of runs are kept.
pub fn artifacts(place: Option<&str>) -> Result<Artifacts, Failure> {
    let Some(url) = place.filter(|place| place.starts_with("s3://")) else {
        let folder = place.map_or_else(|| PathBuf::from(FOLDER).join("artifacts"), PathBuf::from);
        let folder = std::path::absolute(&folder)
            .map_err(|error| Failure::input(format!("--artifacts: {error}")))?;
        return Ok(Artifacts::folder(folder));
    };
    let mut options: Vec<(String, String)> = BUCKET_VARIABLES
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)))
        .collect();
    // MLflow's own name for it.
    if let Ok(endpoint) = std::env::var("MLFLOW_S3_ENDPOINT_URL") {
        options.push(("AWS_ENDPOINT_URL".to_owned(), endpoint));
    }
    if options
        .iter()
        .any(|(name, value)| name == "AWS_ENDPOINT_URL" && value.starts_with("http://"))
    {
        options.push(("AWS_ALLOW_HTTP".to_owned(), "true".to_owned()));
    }
    Artifacts::bucket(url, options).map_err(|error| {
        Failure::input(format!("--artifacts `{url}`: {error}"))
            .hint("allowed: a folder, or s3://BUCKET/PREFIX")
    })
}

/// What the places of new experiments' files begin with.
fn root(given: Option<&str>, folder: &Path) -> String {
    match given {
        None => "mlflow-artifacts:".to_owned(),
        Some(place) if place.contains(':') => place.trim_end_matches('/').to_owned(),
        Some(path) => folder.join(path).display().to_string(),
    }
}

/// The addresses that a name stands for.
fn addresses(host: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
    let found = (host, port)
        .to_socket_addrs()
        .map_err(|error| Failure::input(format!("--host `{host}`: {error}")))?;
    Ok(found.collect())
}

/// Refuses to serve others while nobody would be asked who they are.
fn check_users(args: &Args, addresses: &[SocketAddr], books: &Books) -> Result<bool, Failure> {
    let reachable = addresses.iter().find(|address| !address.ip().is_loopback());
    let why = match reachable {
        Some(address) => format!(
            "--host `{}` is {}, which others can reach",
            args.host,
            address.ip()
        ),
        None if args.doors.behind_proxy => "--behind-proxy lets others reach the server".to_owned(),
        None => return Ok(true),
    };
    if books.ask(people::users(books.ledger()))?.is_empty() {
        return Err(Failure::input(format!("{why}, and there are no users yet"))
            .hint("`outlay server user add NAME --role admin` adds the first")
            .hint("without --host and --behind-proxy the server serves this machine alone"));
    }
    Ok(false)
}

/// The price lists that `outlay prices --import` kept.
fn imported_prices() -> Result<Prices, Failure> {
    let kept = Snapshots::read(Path::new(SNAPSHOTS))?;
    Ok(Prices {
        offers: kept.offers,
        apis: kept.apis,
    })
}

/// Runs the command.
pub fn run(args: &Args, printer: &mut Printer) -> Result<(), Failure> {
    match &args.action {
        Some(Action::User(action)) => accounts::user(action, &args.ledger, printer),
        Some(Action::Token(action)) => accounts::token(action, &args.ledger, printer),
        None => serve(args),
    }
}

fn serve(args: &Args) -> Result<(), Failure> {
    let artifacts = artifacts(args.artifacts.as_deref())?;
    let addresses = addresses(&args.host, args.port)?;
    let folder = std::env::current_dir()
        .map_err(|error| Failure::outside(format!("cannot tell this folder's path: {error}")))?;
    let books = Books::open_for_many(&args.ledger.place())?;
    let open_without_users = check_users(args, &addresses, &books)?;
    let settings = Settings {
        artifact_root: root(args.artifact_root.as_deref(), &folder),
        folder,
        now_us,
        refuse_over_budget: !args.over_budget,
        truncate_long_values: !args.refuse_long_values,
    };
    let served = books.runtime().block_on(async {
        artifacts.check().await.map_err(|error| {
            let place = args.artifacts.as_deref().unwrap_or_default();
            Failure::outside(format!("--artifacts `{place}`: {error}"))
        })?;
        let listener = tokio::net::TcpListener::bind(&addresses[..])
            .await
            .map_err(|error| {
                Failure::outside(format!(
                    "cannot listen on {}:{}: {error}",
                    args.host, args.port
                ))
                .hint("--port names another port; 0 takes any that is free")
            })?;
        let address = listener
            .local_addr()
            .map_err(|error| Failure::outside(error.to_string()))?;
        anstream::eprintln!("Serving {} at http://{address}", books.ledger().place());
        let mut names = args.doors.allow_host.clone();
        names.push(args.host.clone());
        let rules = Rules {
            hosts: Hosts::new(address.ip(), &names),
            open_without_users,
            behind_proxy: args.doors.behind_proxy,
            max_artifact_bytes: args.doors.max_artifact_bytes,
            requests_per_second: args.doors.requests_per_second,
        };
        let app = App::guarded(books.ledger().clone(), artifacts, settings, rules);
        app.planner().import(imported_prices()?);
        let ending = app.clone();
        let end = async move {
            asked_to_end().await;
            ending.end();
        };
        let router = outlay_server::router(app.clone());
        outlay_server::serve(listener, router, n_connections(), end).await;
        app.finish_records().await;
        Ok(())
    });
    books.close();
    served
}

/// Files that the server needs for itself: the ledger, artifacts under way.
const OWN_FILES: u64 = 256;

/// Most connections that are of use.
const CONNECTIONS: u64 = 16_384;

/// How many connections this process may hold open, once it has asked for as many as it is allowed.
#[cfg(unix)]
fn n_connections() -> u32 {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return 512;
    };
    let wanted = hard.min(CONNECTIONS + OWN_FILES).max(soft);
    let files = match setrlimit(Resource::RLIMIT_NOFILE, wanted, hard) {
        Ok(()) => wanted,
        Err(_) => soft,
    };
    let connections = files.saturating_sub(OWN_FILES).clamp(64, CONNECTIONS);
    u32::try_from(connections).unwrap_or(512)
}

#[cfg(not(unix))]
fn n_connections() -> u32 {
    512
}

/// Until someone asks the server to end.
async fn asked_to_end() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (Ok(mut interrupt), Ok(mut terminate)) = (
            signal(SignalKind::interrupt()),
            signal(SignalKind::terminate()),
        ) else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
    #[cfg(not(unix))]
    {
        let _ = tokio::signal::ctrl_c().await;
    }
}
