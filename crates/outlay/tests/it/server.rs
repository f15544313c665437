//! `outlay server` as scripts and people meet it: a process with a port.
//!
//! `OUTLAY_PEERS` names a Python with `mlflow` and `scikit-learn` (`.ci/run` sets it up); without it, what needs it is skipped, and says so.

mod accounts;
mod client;
mod crowded;
pub(crate) mod elsewhere;
mod killed;
mod schema;
mod stock;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A server that runs, and ends with this.
pub(crate) struct Server {
    child: Child,
    /// Where it answers, `127.0.0.1:40000`.
    pub(crate) address: String,
}

impl Server {
    /// Starts one in a folder, on a port that is free or on this one.
    pub(crate) fn start(folder: &Path, port: u16) -> Self {
        Self::start_with(folder, port, &[], &[])
    }

    /// The same with more arguments, and variables of the environment.
    pub(crate) fn start_with(
        folder: &Path,
        port: u16,
        arguments: &[&str],
        variables: &[(&str, String)],
    ) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_outlay"))
            .args(["server", "--port", &port.to_string()])
            .args(arguments)
            .current_dir(folder)
            .env_remove("OUTLAY_LEDGER")
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let stderr = child.stderr.take().expect("is piped");
        let mut line = String::new();
        BufReader::new(stderr)
            .read_line(&mut line)
            .expect("the server says where it answers");
        let (_, address) = line
            .trim()
            .rsplit_once("http://")
            .unwrap_or_else(|| panic!("the server said: {line}"));
        Self {
            child,
            address: address.to_owned(),
        }
    }

    /// The port that it took.
    pub(crate) fn port(&self) -> u16 {
        let (_, port) = self.address.rsplit_once(':').expect("has a port");
        port.parse().expect("is a port")
    }

    /// Ends it as no program can prevent.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("is killed");
        self.child.wait().expect("ends");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
