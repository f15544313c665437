//! The ledger as the commands use it: where it lies, the key that signs it, and a runtime to wait in.

use std::path::{Path, PathBuf};

use outlay_ledger::{Fault, Ledger, LedgerError, Place, SignKey, Signer};

use crate::failure::{Failure, write_whole};

/// The folder of a project's runs, prices and ledger.
pub const FOLDER: &str = ".outlay";

/// Which ledger
#[derive(clap::Args, Debug, Clone, Default)]
pub struct LedgerArgs {
    /// Ledger: a file, or postgres://user@host/database [default: .outlay/ledger.db]
    #[arg(
        long,
        value_name = "PLACE",
        env = "OUTLAY_LEDGER",
        hide_env_values = true,
        global = true
    )]
    pub ledger: Option<String>,
}

impl LedgerArgs {
    /// The place that was given, or the project's own file.
    pub fn place(&self) -> Place {
        match &self.ledger {
            Some(text) => Place::read(text),
            None => Place::File(Path::new(FOLDER).join("ledger.db")),
        }
    }
}

/// A ledger with a runtime of its own, for commands that do one thing at a time.
pub struct Books {
    runtime: tokio::runtime::Runtime,
    ledger: Ledger,
    /// A folder that goes when the ledger is closed.
    aside: Option<PathBuf>,
}

impl Books {
    /// Opens the ledger; with `create` it is made where it is absent.
    pub fn open(place: &Place, create: bool) -> Result<Self, Failure> {
        if create && let Place::File(path) = place {
            make_folder(path.parent().unwrap_or(Path::new("")))?;
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::outside(format!("cannot start a thread: {error}")))?;
        Self::open_on(runtime, place, create)
    }

    /// Opens the ledger on threads that do many things at a time; it is made where it is absent.
    pub fn open_for_many(place: &Place) -> Result<Self, Failure> {
        if let Place::File(path) = place {
            make_folder(path.parent().unwrap_or(Path::new("")))?;
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::outside(format!("cannot start threads: {error}")))?;
        Self::open_on(runtime, place, true)
    }

    /// An empty ledger that goes when it is closed, for a command that would make one and is not to.
    pub fn open_aside() -> Result<Self, Failure> {
        let folder = std::env::temp_dir().join(format!("outlay-aside-{}", std::process::id()));
        let fail = |error: std::io::Error| {
            Failure::outside(format!("cannot make `{}`: {error}", folder.display()))
        };
        std::fs::create_dir_all(&folder).map_err(fail)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::outside(format!("cannot start a thread: {error}")))?;
        let ledger = runtime
            .block_on(Ledger::open(&Place::File(folder.join("ledger.db")), true))
            .map_err(of_ledger)?;
        Ok(Self {
            runtime,
            ledger,
            aside: Some(folder),
        })
    }

    fn open_on(
        runtime: tokio::runtime::Runtime,
        place: &Place,
        create: bool,
    ) -> Result<Self, Failure> {
        let ledger = runtime
            .block_on(async {
                let ledger = Ledger::open(place, create).await?;
                Ok::<_, LedgerError>(ledger)
            })
            .map_err(of_ledger)?;
        let books = Self {
            runtime,
            ledger,
            aside: None,
        };
        if create {
            let signer = books.signer()?;
            books.wait(books.ledger.sign_with(signer));
        }
        Ok(books)
    }

    /// The ledger.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The runtime, for what does many things at a time.
    pub fn runtime(&self) -> &tokio::runtime::Runtime {
        &self.runtime
    }

    /// Waits for something.
    pub fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Waits for an answer of the ledger.
    pub fn ask<T>(
        &self,
        future: impl Future<Output = Result<T, LedgerError>>,
    ) -> Result<T, Failure> {
        self.runtime.block_on(future).map_err(of_ledger)
    }

    /// Where this project keeps its key for the ledger.
    pub fn key_file(&self) -> PathBuf {
        let origin = self.ledger.origin();
        let id = origin.rsplit('/').next().unwrap_or_default();
        Path::new(FOLDER).join("keys").join(format!("{id}.key"))
    }

    /// The project's key for this ledger, made where there is none.
    pub fn signer(&self) -> Result<Signer, Failure> {
        let path = self.key_file();
        let wrong = |error: &dyn std::fmt::Display| {
            Failure::input(format!("`{}` holds no key: {error}", path.display()))
        };
        let key = match std::fs::read_to_string(&path) {
            Ok(text) => SignKey::from_text(&text).map_err(|error| wrong(&error))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let mut seed = [0; 32];
                getrandom::fill(&mut seed)
                    .map_err(|error| Failure::outside(format!("no random numbers: {error}")))?;
                let key =
                    SignKey::new(&self.ledger.origin(), seed).map_err(|error| wrong(&error))?;
                make_folder(Path::new(FOLDER))?;
                write_secret(&path, &format!("{}\n", key.to_text()))?;
                key
            }
            Err(error) => {
                return Err(Failure::outside(format!(
                    "cannot read `{}`: {error}",
                    path.display()
                )));
            }
        };
        Ok(Signer { key, who: who() })
    }

    /// Writes what waits and closes the connections.
    pub fn close(self) {
        let Self {
            runtime,
            ledger,
            aside,
        } = self;
        runtime.block_on(ledger.close());
        if let Some(folder) = aside {
            // What is left of it lies among other files that nobody needs.
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

/// Makes the project's folder, with a file that keeps its ledger and keys out of version control.
fn make_folder(folder: &Path) -> Result<(), Failure> {
    if folder.as_os_str().is_empty() {
        return Ok(());
    }
    let fail = |error: std::io::Error| {
        Failure::outside(format!("cannot make `{}`: {error}", folder.display()))
    };
    std::fs::create_dir_all(folder).map_err(fail)?;
    let ignore = folder.join(".gitignore");
    if folder.ends_with(FOLDER) && !ignore.exists() {
        write_whole(&ignore, "ledger.db*\nkeys/\nruns/\n")?;
    }
    Ok(())
}

/// Writes a file that only its owner may read, and never in place of another.
fn write_secret(path: &Path, text: &str) -> Result<(), Failure> {
    use std::io::Write;
    #[cfg(unix)]
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    let fail = |error: std::io::Error| {
        Failure::outside(format!("cannot write `{}`: {error}", path.display()))
    };
    if let Some(folder) = path.parent()
        && !folder.exists()
    {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        builder.mode(0o700);
        builder.create(folder).map_err(fail)?;
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    options.mode(0o600);
    let mut file = options.open(path).map_err(fail)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(fail)
}

/// A ledger's failure as people see it.
#[expect(
    clippy::needless_pass_by_value,
    reason = "it is what map_err hands over"
)]
pub fn of_ledger(error: LedgerError) -> Failure {
    let message = error.to_string();
    match error.fault {
        Fault::Input(_) | Fault::Conflict(_) | Fault::NoKey => Failure::input(message),
        Fault::Missing(_) => Failure::input(message)
            .hint("`outlay run` makes a ledger; --ledger or OUTLAY_LEDGER names another"),
        Fault::Damaged(_) | Fault::NotALedger => Failure::outside(message)
            .hint("put a backup in its place (`outlay ledger backup` makes them), or name another with --ledger"),
        Fault::Newer { .. } => Failure::outside(message).hint("use the newer Outlay"),
        Fault::Full => Failure::outside(message).hint("make room and try again"),
        _ => Failure::outside(message),
    }
}

/// Microseconds since 1970, from the system clock.
pub fn now_us() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_micros() as i64)
}

/// Who runs this.
pub fn who() -> String {
    std::env::var("USER")
        .or_else(|_| std::env::var("LOGNAME"))
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(by_number)
}

#[cfg(unix)]
fn by_number() -> String {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self")
        .map_or_else(|_| "unknown".to_owned(), |me| format!("user {}", me.uid()))
}

#[cfg(not(unix))]
fn by_number() -> String {
    std::env::var("USERNAME").unwrap_or_else(|_| "unknown".to_owned())
}

/// This machine's name.
pub fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "unknown".to_owned())
}
