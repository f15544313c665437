//! A PostgreSQL server of a test's own, which may be stopped, killed and started again.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A server in a new folder, gone when it is dropped.
pub(crate) struct OwnServer {
    pub(crate) address: String,
    folder: PathBuf,
}

impl OwnServer {
    /// Starts one, the way `.ci/postgres` does; where the tests have no server at all, this has none either.
    #[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
    pub(crate) fn start() -> Option<Self> {
        crate::server()?;
        let started = Command::new(script()).stderr(Stdio::null()).output();
        let address = started
            .ok()
            .filter(|output| output.status.success())
            .and_then(|output| String::from_utf8(output.stdout).ok());
        let Some(address) = address else {
            eprintln!("skipped on PostgreSQL: .ci/postgres could not start a server");
            return None;
        };
        let address = address.trim().to_owned();
        let folder = address.rsplit_once("host=").expect("a socket's folder").1;
        let folder = PathBuf::from(folder);
        Some(Self { address, folder })
    }

    /// Stops it the way an operating system does that goes down.
    pub(crate) fn stop(&self) {
        self.pg_ctl("stop -m fast");
    }

    pub(crate) fn start_again(&self) {
        let folder = self.folder.display();
        self.pg_ctl(&format!(
            "start -l {folder}/log -o '-k {folder} -c listen_addresses='"
        ));
    }

    /// Makes a user who has to give this password.
    pub(crate) fn ask_for_passwords(&self, user: &str, password: &str) {
        let make = format!("CREATE USER {user} PASSWORD '{password}'");
        crate::on_server(&self.address, &make);
        let path = self.folder.join("data/pg_hba.conf");
        let rules = std::fs::read_to_string(&path).expect("reads");
        let rules = format!("local all {user} scram-sha-256\n{rules}");
        std::fs::write(&path, rules).expect("writes");
        self.pg_ctl("reload");
    }

    /// Kills it and everything that it started, which have no time to write anything.
    pub(crate) fn kill(&self) {
        let file = std::fs::read_to_string(self.folder.join("data/postmaster.pid"));
        let file = file.expect("a running server leaves its number");
        let server = file.lines().next().expect("a number").to_owned();
        let mut all = vec![server.clone()];
        for entry in std::fs::read_dir("/proc").expect("lists").flatten() {
            let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else {
                continue;
            };
            // Behind the name, which may hold anything: state, then parent.
            let parent = stat
                .rsplit_once(')')
                .and_then(|(_, rest)| rest.split_whitespace().nth(1));
            if parent == Some(&server) {
                all.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        // Nothing but a server's processes, whatever that file says.
        all.retain(|process| {
            let name = std::fs::read_to_string(format!("/proc/{process}/comm"));
            name.is_ok_and(|name| name.starts_with("postgres"))
        });
        let _ = Command::new("kill").arg("-9").args(&all).status();
        for process in all {
            while Path::new("/proc").join(&process).exists() {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        }
    }

    fn pg_ctl(&self, arguments: &str) {
        let folder = self.folder.display();
        let command = format!(
            "$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -1)/pg_ctl -D {folder}/data -w {arguments}"
        );
        let mut shell = if is_root() {
            let mut su = Command::new("su");
            su.args(["postgres", "-s", "/bin/sh", "-c"]);
            su
        } else {
            let mut sh = Command::new("sh");
            sh.arg("-c");
            sh
        };
        let status = shell
            .arg(command)
            .current_dir("/")
            .stdout(Stdio::null())
            .status();
        assert!(status.expect("runs").success(), "pg_ctl {arguments}");
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        let _ = Command::new(script())
            .args(["stop", &self.address])
            .status();
    }
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.ci/postgres")
}

/// Whether the tests run as the one who may do everything.
pub(crate) fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|about| about.uid() == 0)
}
