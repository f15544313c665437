//! Starting a command.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};

use outlay_ledger::{Batch, Label, Place, Run, RunStatus};
use outlay_meter::{Meter, ProcessId, Roots, Usage, Visible, VisibleGpus};
use outlay_units::{duration, parse_duration_seconds, parse_money_usd};

use super::guard::{Guard, StoppedBy, Word};
use super::line::{Screen, StatusLine};
use super::output::Outputs;
use super::progress::Progress;
use super::recorder::Recorder;
use super::session::Session;
use super::settle::Orphan;
use super::state::{State, Summary};
use super::terms::Terms;
use super::{Args, logged, output, progress, recorder, settle, show};
use crate::failure::{Failure, write_whole};
use crate::ledger::{Books, FOLDER, host, now_us, who};
use crate::printer::{Printer, aside};

/// The name under which this program waits for a command.
pub const KEEPER: &str = "outlay-keeper";

/// What this process does under the name of [`KEEPER`].
pub fn keep(mut arguments: impl Iterator<Item = OsString>) -> u8 {
    let Some(ending) = arguments.next() else {
        return 127;
    };
    let command: Vec<OsString> = arguments.collect();
    outlay_meter::keep(Path::new(&ending), &command, now_us)
}

/// Runs the command.
pub fn run(args: &Args) -> Result<(), Failure> {
    let options = Options::read(args)?;
    match &args.resume {
        Some(which) => {
            if !args.no_ledger {
                // Only a ledger that is there knows of a run to take up.
                Books::open(&args.ledger.place(), false)?.close();
            }
            let books =
                open_books(args)?.ok_or_else(|| Failure::input("--resume needs a ledger"))?;
            super::resume::resume(args, &options, books, which.as_deref())
        }
        None => begin(args, &options),
    }
}

/// Whether there is a program to start: what was mistyped is refused before anything is written.
fn check_program(program: &OsStr) -> Result<(), Failure> {
    // Whoever has only to be found as a file says more when he is started.
    let is_there = |path: &Path| path.metadata().is_ok_and(|data| !data.is_dir());
    let is_found = if program.as_encoded_bytes().contains(&b'/') {
        is_there(Path::new(program))
    } else {
        let path = std::env::var_os("PATH");
        // Without the variable the system has its own places to look.
        path.is_none_or(|path| {
            std::env::split_paths(&path).any(|folder| is_there(&folder.join(program)))
        })
    };
    if is_found {
        return Ok(());
    }
    let name = program.to_string_lossy();
    if name.starts_with('-') {
        return Err(
            Failure::input(format!("`{name}` is no option of `outlay run`"))
                .hint("`outlay run --help` lists them; the command goes last, best after `--`"),
        );
    }
    Err(Failure::with_code(
        127,
        format!("the command could not be started: `{name}` is not found"),
    )
    .hint("nothing was started or recorded; shell syntax needs a shell: outlay run -- sh -c '...'"))
}

/// What the options mean.
pub struct Options {
    pub roots: Roots,
    pub visible: VisibleGpus,
    pub interval_s: f64,
    pub grace_s: f64,
    pub budget_usd: Option<f64>,
    pub rule: Option<outlay_plan::StopRule>,
    pub pattern: Option<outlay_meter::Pattern>,
    pub planned: Option<outlay_plan::Answer>,
}

impl Options {
    /// Begins to follow progress, in the output where it is handed on, and in what a run logs to the server of its ledger.
    pub fn follow(
        &self,
        is_captured: bool,
        budget_usd: Option<f64>,
        logged: Option<(Place, &Run)>,
    ) -> (Progress, output::Listener) {
        let (listening, listener) = progress::listen(self.pattern.clone());
        let listening = is_captured.then_some(listening);
        // Only a run that was begun for a server has files there.
        let logged = logged
            .filter(|(_, run)| !run.artifact_uri.is_empty())
            .map(|(place, run)| logged::Follower::begin(place, run.id.clone()));
        let progress = Progress::new(listening, self.rule, self.planned.clone(), budget_usd);
        (progress.also(logged), listener)
    }

    fn read(args: &Args) -> Result<Self, Failure> {
        let seconds = |option: &str, text: &str, least: f64, most: f64| {
            if least == 0.0 && matches!(text.trim(), "0" | "0s") {
                return Ok(0.0);
            }
            parse_duration_seconds(text)
                .map_err(|error| Failure::input(format!("--{option}: {error}")))
                .and_then(|seconds| {
                    if (least..=most).contains(&seconds) {
                        Ok(seconds)
                    } else {
                        Err(Failure::input(format!(
                            "--{option} is `{text}`; allowed: {least} to {most} seconds"
                        )))
                    }
                })
        };
        let rule = match &args.stop_when {
            None => None,
            Some(text) => Some(
                outlay_plan::StopRule::parse(text)
                    .map_err(|error| Failure::input(format!("--stop-when: {error}")))?,
            ),
        };
        let pattern = match &args.progress {
            None => None,
            Some(text) => Some(
                outlay_meter::Pattern::new(text)
                    .map_err(|error| Failure::input(format!("--progress: {error}")))?,
            ),
        };
        if args.warn_at.iter().any(|share| !(1..=99).contains(share)) {
            return Err(Failure::input("--warn-at: allowed: percents from 1 to 99"));
        }
        let of_variable = |name: &str| Visible::parse(std::env::var(name).ok().as_deref());
        let amd = ["ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"]
            .iter()
            .find(|name| std::env::var_os(name).is_some())
            .map_or(Visible::All, |name| of_variable(name));
        Ok(Self {
            roots: Roots {
                proc: args.procfs.clone(),
                sys: args.sysfs.clone(),
                nvml: None,
            },
            visible: VisibleGpus {
                nvidia: of_variable("CUDA_VISIBLE_DEVICES"),
                amd,
            },
            rule,
            pattern,
            planned: args
                .plan
                .as_deref()
                .map(crate::commands::compare::read_plan)
                .transpose()?,
            interval_s: seconds("interval", &args.interval, 0.1, 60.0)?,
            grace_s: seconds("grace", &args.grace, 0.0, 86_400.0)?,
            budget_usd: match &args.budget {
                None => None,
                Some(text) => Some(
                    parse_money_usd(text)
                        .ok()
                        .filter(|usd| *usd > 0.0)
                        .ok_or_else(|| {
                            Failure::input(format!(
                                "--budget is `{text}`; allowed: an amount such as 50usd"
                            ))
                        })?,
                ),
            },
        })
    }
}

/// Opens the ledger, writes what earlier runs left to be written, and closes their accounts.
fn open_books(args: &Args) -> Result<Option<Books>, Failure> {
    if args.no_ledger {
        return Ok(None);
    }
    let books = Books::open(&args.ledger.place(), true)
        .map_err(|failure| failure.hint("--no-ledger meters without one; nothing was started"))?;
    for orphan in settle::settle_all(&books, &args.procfs)? {
        match orphan {
            Orphan::Alive(run) if args.resume.is_none() => aside(&format!(
                "run {} goes on without a meter; `outlay run --resume {}` takes it up again",
                short(&run.id),
                short(&run.id)
            )),
            Orphan::Alive(_) => {}
            Orphan::Written(id) => aside(&format!(
                "run {} had something left to record; it is in the ledger now",
                short(&id)
            )),
            Orphan::Settled(summary) => aside(&format!(
                "the meter of run {} had been killed; its account is closed now: {}",
                short(&summary.run),
                settled(&summary)
            )),
        }
    }
    Ok(Some(books))
}

fn settled(summary: &Summary) -> String {
    let spent = summary.spent_usd.map_or_else(String::new, |spent| {
        format!(", {}", outlay_units::usd(spent.value))
    });
    format!(
        "{} {}{spent}",
        summary.status.name(),
        duration(summary.elapsed_s)
    )
}

pub fn short(id: &str) -> &str {
    &id[..id.len().min(8)]
}

fn runs_folder() -> PathBuf {
    Path::new(FOLDER).join("runs")
}

/// Starts a command and meters it.
fn begin(args: &Args, options: &Options) -> Result<(), Failure> {
    if let Some(program) = args.command.first() {
        check_program(program)?;
    }
    clock(&options.roots.proc)?;
    if let Some(path) = &args.csv {
        show::check_csv(path)?;
    }
    // Drivers take their time to be loaded, so they are only asked what is needed before the start.
    let n_visible = args
        .price
        .needs_gpus()
        .then(|| visible_gpus(options))
        .flatten();
    let terms = Terms::read(&args.price, n_visible)?;
    let project = match &args.project {
        Some(name) => name.clone(),
        None => std::env::current_dir()
            .ok()
            .and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
            .unwrap_or_default(),
    };
    let mut guard = Guard::default();
    if let Some(budget) = options.budget_usd {
        guard.limit_run(budget, &args.warn_at);
    }
    if options.budget_usd.is_some() && !terms.has_price() {
        return Err(
            Failure::input("--budget needs a price").hint("give --price, --offer or --owned")
        );
    }
    // Last, so that what was refused until here has made none.
    let books = open_books(args)?;
    if let Some(books) = &books {
        guard.hear(&recorder::spent_of_all(books, &project, &args.team)?);
    }
    if let Some(Word::Stop(why)) = guard
        .check(0.0, 0.0)
        .into_iter()
        .find(|word| matches!(word, Word::Stop(_)))
    {
        return Err(Failure::with_code(
            StoppedBy::Budget.exit_code(),
            format!("{why}; the command was not started"),
        )
        .hint("`outlay budget` shows the budgets and changes them"));
    }
    let place = args.ledger.place();
    let mut id = [0; 16];
    getrandom::fill(&mut id)
        .map_err(|error| Failure::outside(format!("no random numbers: {error}")))?;
    let id = outlay_ledger::hex(&id);
    let folder = runs_folder().join(&id);
    std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::canonicalize(&folder))
        .map_err(|error| Failure::outside(format!("cannot make `{}`: {error}", folder.display())))
        .and_then(|folder| {
            start(
                args,
                options,
                Started {
                    id,
                    folder,
                    project,
                    terms,
                    guard,
                },
                books.map(|books| (books, place)),
            )
        })
}

/// What is known before a command is started.
struct Started {
    id: String,
    folder: PathBuf,
    project: String,
    terms: Terms,
    guard: Guard,
}

fn start(
    args: &Args,
    options: &Options,
    started: Started,
    books: Option<(Books, Place)>,
) -> Result<(), Failure> {
    let Started {
        id,
        folder,
        project,
        terms,
        guard,
    } = started;
    let proc = &options.roots.proc;
    let line = Arc::new(Mutex::new(StatusLine::default()));
    let (outputs, out, err) = if args.no_capture {
        (None, Stdio::inherit(), Stdio::inherit())
    } else {
        let (outputs, out, err) = Outputs::create(&folder)?;
        (Some(outputs), out, err)
    };
    // Before there is a child that a signal could leave behind.
    let signals = Signals::watch()?;
    let ending_file = folder.join("ending.json");
    let program = std::env::current_exe()
        .map_err(|error| Failure::outside(format!("cannot find this program: {error}")))?;
    let mut command = Command::new(program);
    command
        .arg0(KEEPER)
        .arg(&ending_file)
        .args(&args.command)
        .stdout(out)
        .stderr(err)
        .env("OUTLAY_RUN_ID", &id);
    if let Some(server) = &args.log_to {
        // MLflow's clients go on with a run that is there, and write to it.
        command
            .env("MLFLOW_TRACKING_URI", server)
            .env("MLFLOW_RUN_ID", &id);
    }
    if !args.no_capture && std::env::var_os("PYTHONUNBUFFERED").is_none() {
        command.env("PYTHONUNBUFFERED", "1");
    }
    // At a terminal the command stays in the foreground, where keys reach it; else nothing that is sent to our group should.
    let is_interactive = std::io::IsTerminal::is_terminal(&std::io::stdin());
    if !is_interactive {
        command.process_group(0);
    }
    let words: Vec<String> = args
        .command
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let name = args.name.clone().unwrap_or_else(|| {
        words.first().map_or_else(String::new, |first| {
            Path::new(first)
                .file_name()
                .map_or_else(|| first.clone(), |name| name.to_string_lossy().into_owned())
        })
    });
    let (started_us, now_s) = (now_us(), clock(proc)?);
    let artifact_uri = match &args.log_to {
        Some(_) => format!("mlflow-artifacts:/0/{id}/artifacts"),
        None => String::new(),
    };
    let mut run = Run {
        id,
        name,
        project,
        team: args.team.clone(),
        who: who(),
        host: host(),
        command: words,
        status: RunStatus::Running,
        started_us,
        seen_us: started_us,
        ended_us: None,
        exit_code: None,
        state: serde_json::Value::Null,
        summary: None,
        experiment_id: 0,
        artifact_uri,
        deleted_us: None,
    };
    let mut state = State {
        format: 1,
        folder,
        boot_id: outlay_meter::boot_id(proc),
        keeper: None,
        meter: ProcessId::of(proc, std::process::id()),
        processes: Vec::new(),
        started_s: now_s,
        last_s: now_s,
        last_us: started_us,
        n_entries: 0,
        recorded: std::collections::BTreeMap::new(),
        usage: Usage::default(),
        gpu_counters: std::collections::BTreeMap::new(),
        terms,
        budget_usd: options.budget_usd,
        grace_s: options.grace_s,
        read: outputs.as_ref().map_or_else(Vec::new, Outputs::at),
        within: std::env::var("OUTLAY_RUN_ID")
            .ok()
            .filter(|id| !id.is_empty()),
        away: Vec::new(),
        sources: outlay_meter::Sources::default(),
        outlook: None,
        planned_usd: None,
        planned_s: None,
    };
    // The ledger knows of the command before there is one: whenever we are killed, someone will look for it.
    if let Some((books, _)) = &books {
        run.state = state.to_json();
        books
            .ask(books.ledger().write(first_batch(&run, &state)))
            .map_err(|failure| failure.hint("nothing was started"))?;
    }
    outlay_meter::become_foster();
    let mut keeper = command
        .spawn()
        .map_err(|error| Failure::outside(format!("cannot start a process: {error}")))?;
    state.keeper = ProcessId::of(proc, keeper.id());
    let mut meter = Meter::new(&options.roots, &options.visible, keeper.id()).counted_from(now_s);
    // Where the keeper is killed before it could say what it started, its child comes to us.
    meter.tree().take_in_children_of(std::process::id());
    state.sources = meter.sources().clone();
    let (progress, listener) = options.follow(
        outputs.is_some(),
        state.budget_usd,
        books.as_ref().map(|(_, place)| (place.clone(), &run)),
    );
    let forwarder = outputs.map(|outputs| outputs.forward(Arc::clone(&line), listener));
    let recorder = books.map(|(books, place)| {
        books.close();
        let waiting = state.waiting_file();
        Recorder::begin(place, &run.project, &run.team, waiting)
    });
    // Whoever waits for the keeper is told at once.
    let (tell, ended) = mpsc::channel();
    std::thread::spawn(move || {
        let _ = tell.send(keeper.wait().ok());
    });
    let session = Session {
        args,
        options,
        run,
        state,
        meter,
        carried: Usage::default(),
        guard,
        progress,
        recorder,
        forwarder,
        screen: Screen::begin(line),
        signals,
        stop: None,
        cpu_share: None,
        recorded_at_s: f64::NEG_INFINITY,
        confirmed_micro: 0,
        fault_at_s: f64::NEG_INFINITY,
        has_keeper: true,
        kept_code: None,
        is_gone: false,
    };
    session.go(|timeout| match ended.recv_timeout(timeout) {
        Ok(status) => Some(status.and_then(|status| status.code())),
        Err(RecvTimeoutError::Disconnected) => Some(None),
        Err(RecvTimeoutError::Timeout) => None,
    })
}

/// What the ledger is told of a run before it begins.
fn first_batch(run: &Run, state: &State) -> Batch {
    let tag = |key: &str, value: &str| Label {
        run_id: run.id.clone(),
        key: key.to_owned(),
        value: value.to_owned(),
    };
    let mut tags = vec![
        tag("outlay.price", &state.terms.price_source),
        tag("outlay.grid", &state.terms.grid_source),
    ];
    if let Some(outer) = &state.within {
        tags.push(tag("outlay.within", outer));
    }
    Batch {
        runs: vec![run.clone()],
        tags,
        ..Batch::default()
    }
}

/// Seconds of a clock that only goes forward and that later processes can read too.
pub fn clock(proc: &Path) -> Result<f64, Failure> {
    outlay_meter::uptime_seconds(proc).ok_or_else(|| {
        Failure::outside(format!(
            "`{}` cannot be read",
            proc.join("uptime").display()
        ))
        .hint("`outlay run` needs Linux; --procfs names the folder where its processes are shown")
    })
}

/// Accelerators that the command may use, where a driver says.
fn visible_gpus(options: &Options) -> Option<u32> {
    use outlay_meter::{GpuSource, Nvml};
    let mut nvml = Nvml::load(None, options.visible.nvidia.clone()).ok()?;
    let readings = nvml.read().ok()?;
    Some(
        readings
            .iter()
            .filter(|reading| reading.parent.is_none())
            .count() as u32,
    )
}

/// Signals that ask this program to end.
pub struct Signals {
    pub interrupt: Arc<AtomicBool>,
    pub terminate: Arc<AtomicBool>,
    pub hang_up: Arc<AtomicBool>,
}

impl Signals {
    pub fn watch() -> Result<Self, Failure> {
        let watch = |signal| {
            let flag = Arc::new(AtomicBool::new(false));
            if outlay_meter::is_ignored(signal) {
                return Ok(flag);
            }
            signal_hook::flag::register(signal, Arc::clone(&flag))
                .map(|_| flag)
                .map_err(|error| Failure::outside(format!("cannot watch for signals: {error}")))
        };
        Ok(Self {
            interrupt: watch(signal_hook::consts::SIGINT)?,
            terminate: watch(signal_hook::consts::SIGTERM)?,
            hang_up: watch(signal_hook::consts::SIGHUP)?,
        })
    }
}

/// Shows the summary, and writes the files that were asked for.
pub fn finish_files(args: &Args, summary: &Summary) -> Result<(), Failure> {
    if !args.quiet {
        let mut printer = Printer::new();
        show::show(summary, &mut printer);
        printer.finish_on_stderr();
    }
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(summary).map_err(Failure::outside)?;
        write_whole(path, format!("{text}\n"))?;
    }
    if let Some(path) = &args.csv {
        show::append_csv(path, summary)?;
    }
    Ok(())
}
