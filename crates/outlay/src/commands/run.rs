//! `outlay run`: meters a command, and keeps it within its budget.

mod guard;
mod line;
mod output;
mod recorder;
mod settle;
mod show;
mod state;
mod terms;

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use outlay_ledger::{Batch, Label, Point, Run, RunChange, RunStatus, Series};
use outlay_meter::{
    Ending, Figure, Gap, Meter, ProcessId, Quality, Roots, Signal, Usage, Visible, VisibleGpus,
    signal_all,
};
use outlay_units::{duration, parse_duration_seconds, parse_money_usd};

use crate::failure::{Failure, write_whole};
use crate::ledger::{Books, FOLDER, LedgerArgs, host, now_us, who};
use crate::printer::{Printer, aside};
pub use guard::WARN_AT_PERCENT;
use guard::{Guard, Word};
use line::StatusLine;
use output::{Forwarder, Outputs};
use recorder::Recorder;
use settle::Orphan;
pub use show::show as show_summary;
pub use state::Summary;
use state::{State, together};
use terms::{PriceArgs, Terms};

/// The name under which this program waits for a command.
pub const KEEPER: &str = "outlay-keeper";

/// How often the loop looks around.
const TICK: Duration = Duration::from_millis(50);

/// Seconds between two writes to the ledger: the first, and the most, after a quarter of an hour.
const RECORD_EVERY_S: (f64, f64) = (1.0, 30.0);

/// Arguments of `outlay run`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  outlay run --price 2.49/h --budget 50usd -- python train.py
  outlay run --offer lambda/H100-SXM --grid USA -- torchrun --nproc-per-node 8 train.py
  outlay run --owned 30000usd --grid DEU --csv emissions.csv -- python train.py
  outlay run --resume

The command's own exit code is passed on. 1: a budget or a rule stopped it. 126, 127: it could not be
started. What it writes goes through files in .outlay/runs, so that it goes on when Outlay is killed;
its output is then no terminal to it (PYTHONUNBUFFERED=1 is set). --no-capture leaves it the terminal.")]
pub struct Args {
    /// Command to run, with its arguments
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        required_unless_present = "resume",
        value_name = "COMMAND"
    )]
    command: Vec<OsString>,
    /// Go on metering a run whose meter was killed: the first digits of its id, or the only one there is
    #[arg(long, value_name = "RUN", num_args = 0..=1, conflicts_with = "command")]
    resume: Option<Option<String>>,
    /// Name of the run [default: the command's]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Project that it counts towards [default: this folder's name]
    #[arg(long, value_name = "NAME", env = "OUTLAY_PROJECT")]
    project: Option<String>,
    /// Team that it counts towards
    #[arg(long, value_name = "NAME", env = "OUTLAY_TEAM", default_value = "")]
    team: String,
    #[command(flatten, next_help_heading = "Price")]
    price: PriceArgs,
    /// Dollars that the run may cost: at the limit it is told to end (SIGTERM), and killed after --grace
    #[arg(long, value_name = "MONEY", help_heading = "Budget")]
    budget: Option<String>,
    /// Shares of the budget at which to warn, in percent
    #[arg(long, value_name = "PERCENT", value_delimiter = ',', default_values_t = WARN_AT_PERCENT, help_heading = "Budget")]
    warn_at: Vec<u32>,
    /// Time that the command has to end by itself once it is told to
    #[arg(
        long,
        value_name = "TIME",
        default_value = "60s",
        help_heading = "Budget"
    )]
    grace: String,
    #[command(flatten, next_help_heading = "Records")]
    ledger: LedgerArgs,
    /// Write nothing to a ledger; budgets that it keeps then do not count
    #[arg(long, conflicts_with = "ledger")]
    no_ledger: bool,
    /// Write the summary as JSON to a file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Add a row to a file with the columns of CodeCarbon's emissions.csv
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Leave the command our own terminal and files: its output is not kept, and progress not read from it
    #[arg(long)]
    no_capture: bool,
    /// Show neither the line at the bottom nor the summary
    #[arg(long, short)]
    quiet: bool,
    /// Time between two readings
    #[arg(
        long,
        value_name = "TIME",
        default_value = "1s",
        help_heading = "Meter"
    )]
    interval: String,
    /// Where the kernel shows processes, for containers that see the host's elsewhere
    #[arg(
        long,
        value_name = "FOLDER",
        default_value = "/proc",
        help_heading = "Meter"
    )]
    procfs: PathBuf,
    /// Where the kernel shows devices
    #[arg(
        long,
        value_name = "FOLDER",
        default_value = "/sys",
        help_heading = "Meter"
    )]
    sysfs: PathBuf,
}

/// What this process does under the name of [`KEEPER`].
pub fn keep(mut arguments: impl Iterator<Item = OsString>) -> u8 {
    let Some(ending) = arguments.next() else {
        return 127;
    };
    let command: Vec<OsString> = arguments.collect();
    outlay_meter::keep(Path::new(&ending), &command, now_us)
}

/// Runs the command.
pub fn run(args: &Args, _: &mut Printer) -> Result<(), Failure> {
    let options = Options::read(args)?;
    let books = open_books(args)?;
    match &args.resume {
        Some(which) => {
            let books = books.ok_or_else(|| Failure::input("--resume needs a ledger"))?;
            resume(args, &options, books, which.as_deref())
        }
        None => begin(args, &options, books),
    }
}

/// What the options mean.
struct Options {
    roots: Roots,
    visible: VisibleGpus,
    interval_s: f64,
    grace_s: f64,
    budget_usd: Option<f64>,
}

impl Options {
    fn read(args: &Args) -> Result<Self, Failure> {
        let seconds = |option: &str, text: &str, least: f64, most: f64| {
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
    let n_written = recorder::write_left_over(&books, &runs_folder())?;
    if n_written > 0 {
        aside(&format!(
            "{n_written} earlier run(s) had something left to record; it is in the ledger now"
        ));
    }
    for orphan in settle::settle_all(&books, &args.procfs)? {
        match orphan {
            Orphan::Alive(run) if args.resume.is_none() => aside(&format!(
                "run {} goes on without a meter; `outlay run --resume {}` takes it up again",
                short(&run.id),
                short(&run.id)
            )),
            Orphan::Alive(_) => {}
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

fn short(id: &str) -> &str {
    &id[..id.len().min(8)]
}

fn runs_folder() -> PathBuf {
    Path::new(FOLDER).join("runs")
}

/// Starts a command and meters it.
fn begin(args: &Args, options: &Options, books: Option<Books>) -> Result<(), Failure> {
    let proc = &options.roots.proc;
    let now_s = clock(proc)?;
    let n_visible = visible_gpus(options);
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
    if let Some(books) = &books {
        guard.hear(&recorder::spent_of_all(books, &project, &args.team)?);
    }
    if options.budget_usd.is_some() && !terms.has_price() {
        return Err(
            Failure::input("--budget needs a price").hint("give --price, --offer or --owned")
        );
    }
    if let Some(Word::Stop(why)) = guard
        .check(0.0, 0.0)
        .into_iter()
        .find(|word| matches!(word, Word::Stop(_)))
    {
        return Err(
            Failure::check(format!("{why}; the command was not started"))
                .hint("`outlay budget` shows the budgets and changes them"),
        );
    }
    let place = args.ledger.place();
    let has_ledger = books.is_some();
    if let Some(books) = books {
        books.close();
    }

    let mut id = [0; 16];
    getrandom::fill(&mut id)
        .map_err(|error| Failure::outside(format!("no random numbers: {error}")))?;
    let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
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
                    now_s,
                },
                has_ledger.then_some(place),
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
    now_s: f64,
}

fn start(
    args: &Args,
    options: &Options,
    started: Started,
    place: Option<outlay_ledger::Place>,
) -> Result<(), Failure> {
    let Started {
        id,
        folder,
        project,
        terms,
        guard,
        now_s,
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
    if !args.no_capture && std::env::var_os("PYTHONUNBUFFERED").is_none() {
        command.env("PYTHONUNBUFFERED", "1");
    }
    // At a terminal the command stays in the foreground, where keys reach it; else nothing that is sent to our group should.
    let is_interactive = std::io::IsTerminal::is_terminal(&std::io::stdin());
    if !is_interactive {
        command.process_group(0);
    }
    let started_us = now_us();
    let mut keeper = command
        .spawn()
        .map_err(|error| Failure::outside(format!("cannot start a process: {error}")))?;
    let keeper_pid = keeper.id();
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
    let run = Run {
        id: id.clone(),
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
    };
    let meter = Meter::new(&options.roots, &options.visible, keeper_pid);
    let state = State {
        format: 1,
        folder,
        boot_id: outlay_meter::boot_id(proc),
        keeper: ProcessId::of(proc, keeper_pid),
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
        read: Vec::new(),
        away: Vec::new(),
        sources: meter.sources().clone(),
    };
    let forwarder = outputs.map(|outputs| outputs.forward(Arc::clone(&line), Box::new(|_| {})));
    let recorder = place.map(|place| {
        let waiting = state.folder.join("waiting.json");
        Recorder::begin(place, &run.project, &run.team, waiting)
    });
    // Whoever waits for the keeper is told at once.
    let (tell, ended) = mpsc::channel();
    std::thread::spawn(move || {
        let _ = tell.send(keeper.wait().ok());
    });
    let mut session = Session {
        args,
        options,
        run,
        state,
        meter,
        carried: Usage::default(),
        guard,
        recorder,
        forwarder,
        line,
        signals,
        stop: None,
        cpu_share: None,
        recorded_at_s: f64::NEG_INFINITY,
        has_fault: false,
        has_keeper: true,
        is_gone: false,
    };
    session.record_start();
    session.go(|timeout| match ended.recv_timeout(timeout) {
        Ok(_) | Err(RecvTimeoutError::Disconnected) => true,
        Err(RecvTimeoutError::Timeout) => false,
    })
}

/// Takes up a run whose meter was killed.
fn resume(
    args: &Args,
    options: &Options,
    books: Books,
    which: Option<&str>,
) -> Result<(), Failure> {
    let proc = &options.roots.proc;
    let run = match which {
        Some(id) => books.ask(books.ledger().run(id))?,
        None => {
            let mut alive: Vec<Run> = books
                .ask(books.ledger().running())?
                .into_iter()
                .filter(|run| {
                    run.host == host()
                        && State::of(run).is_some_and(|state| !state.is_metered(proc))
                })
                .collect();
            match (alive.pop(), alive.len()) {
                (Some(run), 0) => run,
                (Some(_), n_more) => {
                    return Err(Failure::input(format!(
                        "{} runs go on without a meter; name one with --resume RUN",
                        n_more + 1
                    )));
                }
                (None, _) => {
                    return Err(Failure::input(
                        "no run of this machine goes on without a meter",
                    ));
                }
            }
        }
    };
    let state = State::of(&run)
        .ok_or_else(|| Failure::input(format!("run {} was not started by `outlay run`", run.id)))?;
    if run.status != RunStatus::Running {
        // What was killed has ended meanwhile, and opening the ledger closed its account.
        let summary: Option<Summary> = run
            .summary
            .clone()
            .and_then(|summary| serde_json::from_value(summary).ok());
        books.close();
        let Some(summary) = summary else {
            return Err(Failure::input(format!("run {} has ended", short(&run.id))));
        };
        return finish_files(args, &summary).and_then(|()| match run.exit_code {
            Some(0) => Ok(()),
            Some(code) => Err(Failure::passed(code as u8)),
            None => Err(Failure::outside(format!(
                "run {} has ended, and nobody saw how",
                short(&run.id)
            ))),
        });
    }
    if run.host != host() {
        return Err(Failure::input(format!(
            "run {} is on {}, not on this machine",
            short(&run.id),
            run.host
        )));
    }
    if state.is_metered(proc) {
        return Err(Failure::input(format!(
            "run {} has a meter",
            short(&run.id)
        )));
    }
    let mut guard = Guard::default();
    if let Some(budget) = state.budget_usd {
        guard.limit_run(budget, &args.warn_at);
    }
    guard.hear(&recorder::spent_of_all(&books, &run.project, &run.team)?);
    books.close();
    take_up(args, options, run, state, guard)
}

fn take_up(
    args: &Args,
    options: &Options,
    run: Run,
    mut state: State,
    guard: Guard,
) -> Result<(), Failure> {
    let proc = &options.roots.proc;
    let keeper = state
        .keeper
        .ok_or_else(|| Failure::outside("the command's process is not known"))?;
    let line = Arc::new(Mutex::new(StatusLine::default()));
    let outputs = if state.read.is_empty() {
        None
    } else {
        Some(Outputs::resume(&state.folder, &state.read)?)
    };
    let signals = Signals::watch()?;
    let mut meter = Meter::new(&options.roots, &options.visible, keeper.pid);
    let now_s = clock(proc)?;
    meter.tree().adopt(&state.processes);
    meter.sample(now_s);
    // The hardware went on counting while nobody looked: what only this run was on, before and after, it used.
    let mut filled = None;
    for (id, then) in &state.gpu_counters {
        if let Some(joules) = meter
            .gpu_counters()
            .get(id)
            .map(|now| now - then)
            .filter(|joules| *joules >= 0.0)
        {
            let figure = Figure {
                value: joules,
                quality: Quality::Counter,
            };
            let gpu = &mut state.usage.gpu;
            gpu.energy_joules = Some(gpu.energy_joules.map_or(figure, |sum| sum.plus(figure)));
            for accelerator in gpu.accelerators.iter_mut().filter(|one| one.id == *id) {
                accelerator.energy_joules = Some(
                    accelerator
                        .energy_joules
                        .map_or(figure, |sum| sum.plus(figure)),
                );
            }
            filled = Some(Quality::Counter);
        }
    }
    let away_s = now_s - state.last_s;
    if filled.is_none()
        && state
            .usage
            .gpu
            .energy_joules
            .is_none_or(|joules| joules.value == 0.0)
    {
        // Without accelerators, the processors' energy over the time away follows from their time, which the kernel kept.
        filled = Some(Quality::Modelled);
    }
    if let (Some(then), Some(now)) = (state.usage.cpu_seconds, meter.usage().cpu_seconds) {
        let joules = outlay_meter::modelled_cpu_joules(
            meter.usage().allotted_cpus,
            away_s,
            now.value - then.value,
        );
        let figure = Figure {
            value: joules,
            quality: Quality::Modelled,
        };
        state.usage.cpu_joules = Some(
            state
                .usage
                .cpu_joules
                .map_or(figure, |sum| sum.plus(figure)),
        );
    }
    let from_s = state.elapsed_s();
    state.away.push(Gap {
        from_s,
        to_s: from_s + away_s,
        why: "the meter was gone".to_owned(),
        filled,
    });
    state.meter = ProcessId::of(proc, std::process::id());
    aside(&format!(
        "run {} is metered again, after {} without a meter",
        short(&run.id),
        duration(away_s)
    ));
    let forwarder = outputs.map(|outputs| outputs.forward(Arc::clone(&line), Box::new(|_| {})));
    let waiting = state.folder.join("waiting.json");
    let recorder = Recorder::begin(args.ledger.place(), &run.project, &run.team, waiting);
    let carried = std::mem::take(&mut state.usage);
    // Where the keeper was killed too, the run lasts as long as any of its processes.
    let has_keeper = keeper.lives(proc);
    let session = Session {
        args,
        options,
        run,
        state,
        meter,
        carried,
        guard,
        recorder: Some(recorder),
        forwarder,
        line,
        signals,
        stop: None,
        cpu_share: None,
        recorded_at_s: f64::NEG_INFINITY,
        has_fault: false,
        has_keeper,
        is_gone: false,
    };
    session.go(|timeout| {
        std::thread::sleep(timeout);
        has_keeper && !keeper.lives(proc)
    })
}

/// Seconds of a clock that only goes forward and that later processes can read too.
fn clock(proc: &Path) -> Result<f64, Failure> {
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
struct Signals {
    interrupt: Arc<AtomicBool>,
    terminate: Arc<AtomicBool>,
    hang_up: Arc<AtomicBool>,
}

impl Signals {
    fn watch() -> Result<Self, Failure> {
        let watch = |signal| {
            let flag = Arc::new(AtomicBool::new(false));
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

/// A command that is being stopped.
struct Stop {
    why: String,
    since_s: f64,
    is_killed: bool,
}

/// A run while it is metered.
struct Session<'a> {
    args: &'a Args,
    options: &'a Options,
    run: Run,
    state: State,
    meter: Meter,
    /// What earlier meters of this run saw.
    carried: Usage,
    guard: Guard,
    recorder: Option<Recorder>,
    forwarder: Option<Forwarder>,
    line: Arc<Mutex<StatusLine>>,
    signals: Signals,
    stop: Option<Stop>,
    cpu_share: Option<f64>,
    recorded_at_s: f64,
    has_fault: bool,
    /// Whether someone waits for the command's end, and writes it down.
    has_keeper: bool,
    /// Whether, without one, none of its processes lives any more.
    is_gone: bool,
}

impl Session<'_> {
    /// Meters until the command ends; `has_ended` waits for that as long as it is told to.
    fn go(mut self, mut has_ended: impl FnMut(Duration) -> bool) -> Result<(), Failure> {
        let is_watched = output::is_watched() && !self.args.quiet && self.forwarder.is_some();
        let mut sampled_s = f64::NEG_INFINITY;
        let interval_s = self.options.interval_s;
        // At once, so that a command of a moment has a beginning too.
        self.sample(clock(&self.options.roots.proc).unwrap_or(self.state.last_s));
        loop {
            let is_over = has_ended(TICK) || self.is_gone;
            let now_s = clock(&self.options.roots.proc).unwrap_or(self.state.last_s);
            if is_over {
                self.sample(now_s);
                break;
            }
            self.pass_signals();
            if now_s - sampled_s >= interval_s {
                sampled_s = now_s;
                self.sample(now_s);
                self.mind_budgets(now_s);
                if is_watched {
                    self.draw();
                }
            }
            self.mind_grace(now_s);
            let every_s = (self.state.elapsed_s() / 30.0).clamp(RECORD_EVERY_S.0, RECORD_EVERY_S.1);
            if now_s - self.recorded_at_s >= every_s {
                self.record();
            }
        }
        self.finish()
    }

    fn sample(&mut self, now_s: f64) {
        let before = self.meter.usage().cpu_seconds.map(|seconds| seconds.value);
        let elapsed = now_s - self.state.last_s;
        self.meter.sample(now_s);
        if let (Some(before), Some(now)) = (before, self.meter.usage().cpu_seconds)
            && elapsed > 0.0
        {
            self.cpu_share = Some((now.value - before).max(0.0) / elapsed);
        }
        self.state.last_s = self.state.last_s.max(now_s);
        self.state.last_us = now_us();
        self.state.usage = together(&self.carried, self.meter.usage());
        self.state.gpu_counters = self.meter.gpu_counters().clone();
        self.state.processes = self.meter.tree().living();
        self.is_gone = !self.has_keeper && self.state.processes.is_empty();
        if let Some(forwarder) = &self.forwarder {
            self.state.read = forwarder.at();
        }
    }

    /// Hands on what is meant for the command.
    fn pass_signals(&mut self) {
        for (flag, signal) in [
            (&self.signals.interrupt, Signal::SIGINT),
            (&self.signals.terminate, Signal::SIGTERM),
            (&self.signals.hang_up, Signal::SIGHUP),
        ] {
            // In the foreground of a terminal, keys and hang-ups have reached the command already.
            let is_passed = flag.swap(false, Ordering::AcqRel);
            let is_shared = std::io::IsTerminal::is_terminal(&std::io::stdin());
            if is_passed && (signal == Signal::SIGTERM || !is_shared) {
                signal_all(self.meter.tree(), signal);
            }
        }
    }

    fn mind_budgets(&mut self, now_s: f64) {
        if let Some(news) = self.recorder.as_ref().and_then(Recorder::news) {
            self.guard.hear(&news.spent);
            match news.fault {
                Some(fault) if !self.has_fault => {
                    self.has_fault = true;
                    self.say(&format!("{fault}; the command goes on, and what was metered is kept until it can be written"));
                }
                Some(_) => {}
                None => self.has_fault = false,
            }
        }
        if self.guard.is_empty() || self.stop.is_some() {
            return;
        }
        let recorded = self.state.recorded_micro() as f64 / 1e6;
        for word in self.guard.check(self.state.spent_usd(), recorded) {
            match word {
                Word::Warn(text) => self.say(&text),
                Word::Stop(why) => {
                    self.stop(why, now_s);
                    return;
                }
            }
        }
    }

    /// Tells the command to end.
    fn stop(&mut self, why: String, now_s: f64) {
        let grace_s = self.state.grace_s;
        self.say(&format!(
            "{why}; the command is told to end, and has {} for it",
            duration(grace_s)
        ));
        signal_all(self.meter.tree(), Signal::SIGTERM);
        self.stop = Some(Stop {
            why,
            since_s: now_s,
            is_killed: false,
        });
    }

    /// Kills a command that does not end by itself.
    fn mind_grace(&mut self, now_s: f64) {
        let Some(stop) = &mut self.stop else { return };
        if now_s - stop.since_s < self.state.grace_s {
            return;
        }
        let is_first = !std::mem::replace(&mut stop.is_killed, true);
        // Again at every turn: whoever was being started meanwhile is found at the next.
        let n_living = signal_all(self.meter.tree(), Signal::SIGKILL);
        if is_first && n_living > 0 {
            self.say("the command did not end in time, and is killed");
        }
    }

    fn say(&self, text: &str) {
        let Ok(mut line) = self.line.lock() else {
            return;
        };
        line.clear();
        aside(text);
    }

    fn draw(&mut self) {
        let summary = Summary::of(&self.run, &self.state, None);
        let text = show::live(&summary, self.meter.watts(), self.cpu_share, "");
        if let Ok(mut line) = self.line.lock() {
            line.draw(&text);
        }
    }

    /// Writes that the run began: the ledger knows of it before anything is spent.
    fn record_start(&mut self) {
        let mut run = self.run.clone();
        run.state = self.state.to_json();
        let tag = |key: &str, value: &str| Label {
            run_id: run.id.clone(),
            key: key.to_owned(),
            value: value.to_owned(),
        };
        let tags = vec![
            tag("outlay.price", &self.state.terms.price_source),
            tag("outlay.grid", &self.state.terms.grid_source),
        ];
        if let Some(recorder) = &self.recorder {
            let batch = Batch {
                runs: vec![run],
                tags,
                ..Batch::default()
            };
            recorder.write(batch, 0);
        }
    }

    /// Writes what was metered since the last time.
    fn record(&mut self) {
        self.recorded_at_s = self.state.last_s;
        let Some(recorder) = &self.recorder else {
            return;
        };
        let spending = self.state.entries(&self.run, "");
        let change = RunChange {
            id: self.run.id.clone(),
            seen_us: Some(self.state.last_us),
            state: Some(self.state.to_json()),
            ..RunChange::default()
        };
        let batch = Batch {
            changes: vec![change],
            series: self.system_metrics(),
            spending,
            ..Batch::default()
        };
        recorder.write(batch, self.state.recorded_micro());
    }

    /// What the machine did for the run, as metrics over the seconds since it began.
    fn system_metrics(&self) -> Vec<Series> {
        let usage = &self.state.usage;
        let mut values = vec![
            (
                "system/spent_usd".to_owned(),
                self.state.terms.has_price().then(|| self.state.spent_usd()),
            ),
            (
                "system/energy_kwh".to_owned(),
                usage.joules().map(|joules| joules.value / 3.6e6),
            ),
            ("system/power_watts".to_owned(), self.meter.watts()),
            ("system/cpu_cores".to_owned(), self.cpu_share),
            (
                "system/memory_mean_bytes".to_owned(),
                usage.memory_mean_bytes.map(|bytes| bytes.value),
            ),
        ];
        for gpu in usage.gpu.accelerators.iter().filter(|gpu| gpu.held_s > 0.0) {
            values.push((format!("system/gpu_{}_busy", gpu.index), gpu.busy_mean));
        }
        values
            .into_iter()
            .filter_map(|(key, value)| {
                Some(Series {
                    run_id: self.run.id.clone(),
                    key,
                    points: vec![Point {
                        step: self.state.elapsed_s() as i64,
                        at_us: self.state.last_us,
                        value: value?,
                    }],
                })
            })
            .collect()
    }

    /// Closes the account.
    fn finish(mut self) -> Result<(), Failure> {
        if let Some(forwarder) = self.forwarder.take() {
            forwarder.finish();
        }
        if let Ok(mut line) = self.line.lock() {
            line.clear();
        }
        let ending = Ending::read(&self.state.ending_file());
        self.meter
            .finish(ending.as_ref().and_then(|ending| ending.cpu_seconds));
        self.state.usage = together(&self.carried, self.meter.usage());
        self.state.meter = None;
        let code = ending.as_ref().map(Ending::shell_code);
        self.run.exit_code = ending
            .as_ref()
            .and_then(|ending| ending.code)
            .map(i64::from);
        self.run.status = match (&self.stop, &ending) {
            (Some(_), _) => RunStatus::Stopped,
            (None, Some(ending)) if ending.code == Some(0) => RunStatus::Finished,
            (None, Some(_)) => RunStatus::Failed,
            (None, None) => RunStatus::Lost,
        };
        self.run.ended_us = Some(self.state.last_us);
        self.run.seen_us = self.state.last_us;
        let spending = self.state.entries(&self.run, "");
        let stopped_because = self.stop.as_ref().map(|stop| {
            if stop.is_killed {
                format!("{}, and it had to be killed", stop.why)
            } else {
                stop.why.clone()
            }
        });
        let summary = Summary::of(&self.run, &self.state, stopped_because);
        let n_left = self.meter.tree().living().len();
        if n_left > 0 {
            aside(&format!(
                "{n_left} process(es) that the command started still run, and are not metered any more"
            ));
        }
        let series = self.system_metrics();
        if let Some(recorder) = self.recorder.take() {
            let change = RunChange {
                id: self.run.id.clone(),
                status: Some(self.run.status),
                seen_us: Some(self.run.seen_us),
                ended_us: self.run.ended_us,
                exit_code: self.run.exit_code,
                state: Some(self.state.to_json()),
                summary: serde_json::to_value(&summary).ok(),
            };
            let batch = Batch {
                changes: vec![change],
                series,
                spending,
                evidence: vec![summary.evidence(&self.state, now_us())],
                ..Batch::default()
            };
            recorder.write(batch, self.state.recorded_micro());
            if let Some(fault) = recorder.finish() {
                aside(&fault);
            }
        }
        if let Some(fault) = ending.as_ref().and_then(|ending| ending.fault.as_ref()) {
            aside(&format!("the command could not be started: {fault}"));
        }
        // What is left to do may fail; the command's own code is the answer all the same.
        let written = finish_files(self.args, &summary);
        if let Err(failure) = &written {
            failure.report();
        }
        match (&self.stop, code) {
            (Some(_), _) => Err(Failure::passed(1)),
            (None, Some(0)) => written,
            (None, Some(code)) => Err(Failure::passed(code)),
            (None, None) => Err(Failure::outside(
                "the command is gone, and nobody saw how it ended",
            )),
        }
    }
}

/// Shows the summary, and writes the files that were asked for.
fn finish_files(args: &Args, summary: &Summary) -> Result<(), Failure> {
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
