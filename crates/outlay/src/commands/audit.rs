//! `outlay audit`: what is in training data twice, and what of a test set is in it.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use outlay_audit::croissant::{self, Description, Severity, Version};
use outlay_audit::{
    Audit, AuditError, Bill, Condition, Embeddings, Fields, Fix, Fixed, Judged, Keep, Model,
    NearSettings, Part, Policy, Probabilities, Progress, Report, Settings, Shingle, Suspicions,
    Use, counted, document,
};
use outlay_ledger::Batch;
use outlay_server::doors::people::By;
use outlay_units::percent;

use super::compare::read_plan;
use crate::failure::{Failure, write_whole_with};
use crate::ledger::{Books, LedgerArgs, now_us, who};
use crate::printer::{Align, Printer};

/// Arguments of `outlay audit`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  outlay audit data/
  outlay audit train.jsonl --against gsm8k_test.jsonl --leaks leaks.jsonl
  outlay audit data/ --fix clean/ --redact --plan plan.json
  outlay audit train.parquet --against test.parquet --label label --group sex,age_band
  outlay audit data/ --since .audit --fail-on \"leaked > 0, near_dup > 2%\"

Reads .jsonl, .json, .csv, .tsv, .parquet and texts, but Parquet each also as .gz or .zst, images, and IDX files of
them. A record's text is its field `text` or `content`, or else all of its texts; --text-field names others. Rows of
tables are compared by their cells; an image's label is its folder's name.")]
pub struct Args {
    /// Files, folders, patterns such as 'data/**/*.jsonl', and addresses: s3://, gs://, az://, https://
    #[arg(required_unless_present = "print_policy", value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Test set or benchmark whose items are not to be in the data; may be repeated. A file with the same fields as the data
    /// is compared with it record by record, too
    #[arg(long, value_name = "PATH")]
    against: Vec<PathBuf>,
    /// Field with a record's text; may be repeated
    #[arg(help_heading = "Fields", long, value_name = "FIELD")]
    text_field: Vec<String>,
    /// Field with a record's own id [default: id, else its file and line]
    #[arg(help_heading = "Fields", long, value_name = "FIELD")]
    id_field: Option<String>,
    /// Field with a record's label
    #[arg(help_heading = "Fields", long, value_name = "FIELD")]
    label: Option<String>,
    /// Fields with the groups that a record belongs to, such as persons, sites or sexes, parted by commas
    #[arg(
        help_heading = "Fields",
        long,
        value_name = "FIELDS",
        value_delimiter = ','
    )]
    group: Vec<String>,
    /// Field that says when a record was made: ISO 8601, or a number
    #[arg(help_heading = "Fields", long, value_name = "FIELD")]
    time: Option<String>,
    /// Probabilities of each label for each record, of models that did not learn from it (rows as the records, columns as the
    /// labels, sorted), by which wrong labels are told [default: a model of the texts or of the other fields]
    #[arg(
        help_heading = "What is looked for",
        long,
        value_name = "FILE.npy",
        requires = "label"
    )]
    probabilities: Option<PathBuf>,
    /// Model by which wrong labels are told [default: linear for texts and fields, neighbours for images]
    #[arg(
        help_heading = "What is looked for",
        long,
        value_enum,
        requires = "label",
        conflicts_with = "probabilities"
    )]
    label_model: Option<LabelModel>,
    /// Write each record whose label is likely wrong to this file
    #[arg(
        help_heading = "What is written",
        long,
        value_name = "FILE.jsonl",
        requires = "label"
    )]
    label_issues: Option<PathBuf>,
    /// Embeddings, a row for each record, in which second populations are looked for
    #[arg(help_heading = "What is looked for", long, value_name = "FILE.npy")]
    embeddings: Option<PathBuf>,
    /// Tokenizer (`tokenizer.json`) by which tokens are counted
    #[arg(help_heading = "What is looked for", long, value_name = "FILE.json")]
    tokenizer: Option<PathBuf>,
    /// Least Jaccard similarity of near duplicates, above 0.3
    #[arg(
        help_heading = "What is looked for",
        long,
        value_name = "SHARE",
        default_value_t = 0.8
    )]
    near: f64,
    /// What near duplicates are compared by: words:N or characters:N
    #[arg(
        help_heading = "What is looked for",
        long,
        value_name = "PARTS",
        default_value = "words:5"
    )]
    shingle: String,
    /// Do not look for duplicates
    #[arg(help_heading = "What is looked for", long, conflicts_with_all = ["clusters", "shingle", "near"])]
    no_duplicates: bool,
    /// Memory for sorting, such as 2GB
    #[arg(
        help_heading = "How it is done",
        long,
        value_name = "SIZE",
        default_value = "256MB"
    )]
    memory: String,
    /// Folder that keeps what was seen of each file, and is made where it is missing: files that are as they were are not read
    /// again, and an audit that was killed goes on
    #[arg(help_heading = "How it is done", long, value_name = "FOLDER")]
    since: Option<PathBuf>,
    /// Where the files are looked at: by this machine, or by the workers of a Ray cluster, which read the same paths
    #[arg(help_heading = "How it is done", long, value_enum, default_value_t = Engine::Local)]
    engine: Engine,
    /// Address of the Ray cluster, `auto` for the one of this machine, `local` for one that lives as long as the audit
    #[arg(
        help_heading = "How it is done",
        long,
        value_name = "ADDRESS",
        default_value = "auto"
    )]
    address: String,
    /// Python that has the packages `outlay` and `ray[data]`
    #[arg(
        help_heading = "How it is done",
        long,
        value_name = "PYTHON",
        env = "OUTLAY_PYTHON",
        default_value = "python3"
    )]
    python: PathBuf,
    /// Folder for working files, which take about as much room as the texts
    #[arg(help_heading = "How it is done", long, value_name = "FOLDER")]
    temp: Option<PathBuf>,
    /// Write each record of a cluster of duplicates, and the cluster's id, to this file
    #[arg(help_heading = "What is written", long, value_name = "FILE.tsv")]
    clusters: Option<PathBuf>,
    /// Write each place of an item that is suspect or leaked to this file
    #[arg(
        help_heading = "What is written",
        long,
        value_name = "FILE.jsonl",
        requires = "against"
    )]
    leaks: Option<PathBuf>,
    /// Write each place of personal data or a secret, masked, to this file
    #[arg(
        help_heading = "What is written",
        long,
        value_name = "FILE.jsonl",
        conflicts_with = "no_privacy"
    )]
    pii: Option<PathBuf>,
    /// Write the report as a page for colleagues, with examples
    #[arg(help_heading = "What is written", long, value_name = "FILE.html")]
    html: Option<PathBuf>,
    /// Write a datasheet of the data as Croissant 1.1 with its part on responsible use, and say what it lacks
    #[arg(help_heading = "What is written", long, value_name = "FILE.json")]
    croissant: Option<PathBuf>,
    /// What only you know of the data, for the datasheet: name, licence, creators and more (TOML or JSON)
    #[arg(
        help_heading = "What is written",
        long,
        value_name = "FILE.toml",
        requires = "croissant"
    )]
    about: Option<PathBuf>,
    /// Do not look for personal data and secrets
    #[arg(help_heading = "What is looked for", long)]
    no_privacy: bool,
    /// What the data is for: commercial, research, or a policy of your own, which `--print-policy` shows the form of
    #[arg(
        help_heading = "What is looked for",
        long,
        value_name = "USE|FILE.toml",
        default_value = "commercial"
    )]
    policy: String,
    /// Print the policy, to be edited, and do nothing else
    #[arg(help_heading = "What is looked for", long)]
    print_policy: bool,
    /// Do not look for licences, notices and languages
    #[arg(help_heading = "What is looked for", long)]
    no_rights: bool,
    /// Do not hold rules of quality against the texts
    #[arg(help_heading = "What is looked for", long)]
    no_quality: bool,
    /// Write a copy without duplicates, leaked items and what cannot be read to this folder, with the list of what was left out
    #[arg(help_heading = "A clean copy", long, value_name = "FOLDER")]
    fix: Option<PathBuf>,
    /// Which record of a cluster of duplicates stays in the copy
    #[arg(help_heading = "A clean copy", long, value_enum, default_value_t = KeepArg::Longest, requires = "fix")]
    keep: KeepArg,
    /// Leave records out of the copy whose licence the policy denies
    #[arg(help_heading = "A clean copy", long, requires = "fix")]
    drop_denied: bool,
    /// Replace personal data and secrets in the copy by words such as `<EMAIL>`
    #[arg(help_heading = "A clean copy", long, requires = "fix")]
    redact: bool,
    /// Saved plan of the training (`outlay plan train --json`), of which the bill is told
    #[arg(help_heading = "What is looked for", long, value_name = "FILE.json")]
    plan: Option<PathBuf>,
    /// Hash the data, and record what was found in the ledger as evidence
    #[arg(help_heading = "What is written", long)]
    record: bool,
    #[command(flatten)]
    ledger: LedgerArgs,
    /// End with code 1 where one of these holds, such as "leaked > 0, near_dup > 2%"
    #[arg(long, value_name = "CONDITIONS")]
    fail_on: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Where files are looked at.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Engine {
    /// By this machine
    Local,
    /// By the workers of a Ray cluster
    Ray,
}

/// Which model tells wrong labels.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum LabelModel {
    /// Logistic regression
    Linear,
    /// The ten nearest neighbours
    Neighbours,
}

/// Which record of a cluster stays.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum KeepArg {
    /// The one with the most text
    Longest,
    /// The first
    First,
    /// The last
    Last,
    /// The one whose --time is the latest
    Newest,
    /// The one whose licence the policy takes best
    BestLicence,
}

/// Runs the command.
pub fn run(args: &Args, printer: &mut Printer) -> Result<(), Failure> {
    let (policy, policy_text) = policy(&args.policy)?;
    if args.print_policy {
        printer.text(&policy_text);
        return Ok(());
    }
    let conditions = match &args.fail_on {
        Some(text) => {
            Condition::all(text).map_err(|why| Failure::input(format!("--fail-on {why}")))?
        }
        None => Vec::new(),
    };
    let probabilities = args
        .probabilities
        .as_deref()
        .map(|path| {
            let read = npy(path, "--probabilities")?;
            let values = (0..read.n_rows()).flat_map(|row| read.row(row).to_vec());
            Probabilities::new(read.n_columns(), values.collect())
                .map_err(|error| Failure::input(format!("--probabilities: {error}")))
        })
        .transpose()?;
    let embeddings = args
        .embeddings
        .as_deref()
        .map(|path| npy(path, "--embeddings"))
        .transpose()?;
    let plan = args.plan.as_deref().map(read_plan).transpose()?;
    about(args)?;
    let mut settings = settings(args)?;
    let brought = match args.engine {
        Engine::Local => None,
        Engine::Ray => Some(bring(args, &mut settings)?),
    };
    let mut line = StatusLine::new();
    let benchmarks = if args.against.is_empty() {
        None
    } else {
        let read =
            outlay_audit::benchmarks(&args.against, &settings, |progress| line.show(progress));
        Some(read.map_err(failure)?)
    };
    let audit = outlay_audit::audit(&args.paths, benchmarks.as_ref(), &settings, |progress| {
        line.show(progress);
    });
    line.clear();
    let mut audit = audit.map_err(failure)?;
    drop(brought);
    fields_are_there(args, &audit)?;
    let n_all = audit.files.len() + audit.compared.len();
    if args.engine == Engine::Ray && audit.n_reused < n_all {
        crate::printer::aside(&format!(
            "the cluster gave {} of {n_all} files, and the others were read here",
            audit.n_reused
        ));
    } else if args.since.is_some() && audit.n_reused > 0 {
        crate::printer::aside(&format!(
            "{} of {n_all} files were as before, and were not read again",
            audit.n_reused
        ));
    }
    if let Some(path) = &args.clusters {
        write_whole_with(path, |mut out| audit.write_clusters(&mut out))?;
    }
    if let Some(path) = &args.leaks {
        write_whole_with(path, |mut out| audit.write_leaks(&mut out))?;
    }
    if let Some(path) = &args.pii {
        write_whole_with(path, |mut out| audit.write_private(&mut out))?;
    }
    let mut report = Report::new(&audit, settings.near.as_ref(), benchmarks.as_ref())
        .map_err(Failure::outside)?;
    report
        .judge_rights(&audit, &policy)
        .map_err(Failure::outside)?;
    audit.decide(&policy);
    report.labels = Judged::new(&audit, &settings, probabilities).map_err(labels_failure)?;
    let suspicions = Suspicions::new(&audit, &settings, embeddings.as_ref())
        .map_err(|why| Failure::input(format!("--embeddings: {why}")))?;
    report.suspicions = Some(suspicions);
    if let (Some(path), Some(labels)) = (&args.label_issues, &report.labels) {
        write_whole_with(path, |mut out| labels.write_issues(&mut out))?;
    }
    if let Some(plan) = &plan {
        let best = &plan.best;
        report.bill = Some(Bill::new(&audit, &report, best.usd, best.accelerator_hours));
    }
    let about = about(args)?;
    if args.record || args.croissant.is_some() {
        let content = outlay_audit::content(&args.paths).map_err(failure)?;
        report.content_sha256 = Some(content.sha256.clone());
        if let Some(path) = &args.croissant {
            let known = audit
                .description(&args.paths, &content, &settings, &report)
                .map_err(Failure::outside)?;
            sheet(path, known, about.as_ref())?;
        }
    }
    if args.record {
        record(args, &report)?;
    }
    if let Some(path) = &args.html {
        let texts = audit
            .excerpts(&settings, &outlay_audit::shown(&report))
            .map_err(Failure::outside)?;
        let names: Vec<String> = args
            .paths
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        let today = outlay_units::timestamp(now_us());
        let page = outlay_audit::page(&report, &names.join(", "), &today[..10], &texts)
            .map_err(Failure::outside)?;
        write_whole_with(path, |out| out.write_all(page.as_bytes()))?;
    }
    // The report is printed even where the copy cannot be written.
    let copied = args.fix.as_deref().map(|folder| {
        let fixed = outlay_audit::fix(&args.paths, &audit, &settings, how_to_fix(args), folder);
        fixed.map_err(failure)
    });
    if let Some(Ok(fixed)) = &copied {
        report.copy = Some(fixed.clone());
    }
    if args.json {
        printer.json(&report)?;
    } else {
        show(&report, printer);
        if let (Some(fixed), Some(folder)) = (&report.copy, &args.fix) {
            show_fixed(fixed, folder, printer);
        }
    }
    copied.transpose()?;
    let mut broken = Vec::new();
    for condition in &conditions {
        let holds = condition
            .holds(&report)
            .map_err(|why| Failure::input(format!("--fail-on {why}")))?;
        broken.extend(holds);
    }
    if broken.is_empty() {
        Ok(())
    } else {
        Err(Failure::check(broken.join("; ")))
    }
}

fn how_to_fix(args: &Args) -> Fix {
    Fix {
        keep: match args.keep {
            KeepArg::Longest => Keep::Longest,
            KeepArg::First => Keep::First,
            KeepArg::Last => Keep::Last,
            KeepArg::Newest => Keep::Newest,
            KeepArg::BestLicence => Keep::BestLicence,
        },
        redact: args.redact,
        denied: args.drop_denied,
    }
}

/// Whether each field that was named is in the data; labels of images stand elsewhere.
fn fields_are_there(args: &Args, audit: &Audit) -> Result<(), Failure> {
    let mut known: Vec<&str> = audit
        .schemas
        .iter()
        .flat_map(|schema| schema.fields.iter().map(|field| field.name.as_str()))
        .collect();
    known.sort_unstable();
    known.dedup();
    let label = args
        .label
        .iter()
        .filter(|_| audit.pictures.records.is_empty());
    let named = [
        ("--label", label.collect::<Vec<_>>()),
        ("--group", args.group.iter().collect()),
        ("--time", args.time.iter().collect()),
        ("--id-field", args.id_field.iter().collect()),
        ("--text-field", args.text_field.iter().collect()),
    ];
    for (option, fields) in named {
        if let Some(field) = fields
            .into_iter()
            .find(|field| !known.contains(&field.as_str()))
        {
            let allowed = match known.as_slice() {
                [] => "none, as the records have no fields".to_owned(),
                some => some.iter().take(20).copied().collect::<Vec<_>>().join(", "),
            };
            return Err(Failure::input(format!(
                "{option} `{field}`: no record has such a field; allowed: {allowed}"
            )));
        }
    }
    Ok(())
}

/// Numbers of NumPy.
fn npy(path: &Path, option: &str) -> Result<Embeddings, Failure> {
    let fault = |error: &dyn std::fmt::Display| {
        Failure::input(format!("{option} `{}`: {error}", path.display()))
    };
    let file = std::fs::File::open(path).map_err(|error| fault(&error))?;
    Embeddings::read_npy(std::io::BufReader::new(file)).map_err(|error| fault(&error))
}

/// The policy that is meant, and its text.
fn policy(name: &str) -> Result<(Policy, String), Failure> {
    let text = match name {
        "commercial" => Policy::built_in(Use::Commercial).to_owned(),
        "research" => Policy::built_in(Use::Research).to_owned(),
        path => std::fs::read_to_string(path).map_err(|error| {
            Failure::input(format!(
                "--policy `{path}` cannot be read: {error}; allowed: commercial, research, or a file"
            ))
        })?,
    };
    let policy = Policy::from_toml(&text)
        .map_err(|error| Failure::input(format!("--policy `{name}`: {error}")))?;
    Ok((policy, text))
}

/// The file with what only the person knows, and its text.
fn about(args: &Args) -> Result<Option<(&Path, String)>, Failure> {
    let Some(path) = &args.about else {
        return Ok(None);
    };
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::input(format!("cannot read `{}`: {error}", path.display())))?;
    // What is wrong with it is said before hours of work.
    Description::default()
        .with_about(path, &text)
        .map_err(Failure::input)?;
    Ok(Some((path, text)))
}

/// Writes the datasheet, and says what it lacks.
fn sheet(path: &Path, known: Description, about: Option<&(&Path, String)>) -> Result<(), Failure> {
    let description = match about {
        Some((path, text)) => known.with_about(path, text).map_err(Failure::input)?,
        None => known,
    };
    let sheet = croissant::croissant(&description, Version::V1_1);
    write_whole_with(path, |mut out| {
        serde_json::to_writer_pretty(&mut out, &sheet)?;
        out.write_all(b"\n")
    })?;
    let faults = croissant::check(&sheet);
    let lacks: Vec<&str> = faults
        .iter()
        .filter(|fault| fault.severity == Severity::Error)
        .map(|fault| fault.field.as_str())
        .collect();
    if !lacks.is_empty() {
        crate::printer::aside(&format!(
            "`{}` lacks what Croissant requires: {}; --about says it",
            path.display(),
            lacks.join(", ")
        ));
    }
    Ok(())
}

/// Has the files looked at by a Ray cluster, and what was seen brought to the folder of former audits, or to one that lives as long as what is given back.
fn bring(args: &Args, settings: &mut Settings) -> Result<tempfile::TempDir, Failure> {
    let own = tempfile::tempdir_in(&settings.folder).map_err(Failure::outside)?;
    // Workers have the same folder for working files, and none that they keep.
    let job = outlay_audit::Job {
        version: outlay_audit::Job::VERSION.to_owned(),
        paths: args.paths.iter().map(|path| absolute(path)).collect(),
        against: args.against.iter().map(|path| absolute(path)).collect(),
        settings: Settings {
            since: None,
            tokenizer: settings.tokenizer.as_deref().map(absolute),
            folder: absolute(&settings.folder),
            ..settings.clone()
        },
    };
    let path = own.path().join("job.json");
    let text = serde_json::to_vec(&job).map_err(Failure::outside)?;
    std::fs::write(&path, text).map_err(Failure::outside)?;
    let folder = settings
        .since
        .clone()
        .unwrap_or_else(|| own.path().join("seen"));
    let output = std::process::Command::new(&args.python)
        .args(["-m", "outlay.engine"])
        .arg(&path)
        .arg(&folder)
        .arg(&args.address)
        .stdin(std::process::Stdio::null())
        .output()
        .map_err(|error| {
            Failure::outside(format!(
                "`{}` cannot be run: {error}",
                args.python.display()
            ))
        })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.trim_end().lines().last().unwrap_or("it said nothing");
        let hint = if said.contains("No module named") {
            "; it needs `pip install outlay 'ray[data]'`, or --python names one that has them"
        } else {
            ""
        };
        return Err(Failure::outside(format!("the Ray cluster: {last}{hint}")));
    }
    settings.since = Some(folder);
    Ok(own)
}

/// A path as other processes see it; an address as it is.
fn absolute(path: &Path) -> PathBuf {
    let is_address = path.to_str().is_some_and(|text| text.contains("://"));
    if is_address {
        return path.to_owned();
    }
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Records an audit in the ledger.
fn record(args: &Args, report: &Report) -> Result<(), Failure> {
    let hash = report.content_sha256.as_deref().unwrap_or_default();
    let by = By {
        who: who(),
        from: "terminal".to_owned(),
        now_us: now_us(),
    };
    let mut figures = report.figures();
    figures["paths"] = args
        .paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    figures["against"] = args
        .against
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let books = Books::open(&args.ledger.place(), true)?;
    let batch = Batch {
        evidence: vec![by.evidence("audit", format!("dataset/{hash}"), &figures)],
        ..Batch::default()
    };
    books.ask(books.ledger().write(batch))?;
    books.close();
    Ok(())
}

fn settings(args: &Args) -> Result<Settings, Failure> {
    let shingle = Shingle::from_text(&args.shingle).ok_or_else(|| {
        Failure::input(format!(
            "--shingle is `{}`; allowed: words:N or characters:N, N from 1 to 64",
            args.shingle
        ))
    })?;
    let memory = outlay_units::parse_bytes(&args.memory)
        .map_err(|why| Failure::input(format!("--memory {why}")))?;
    let near = NearSettings {
        threshold: args.near,
        shingle,
        memory_bytes: memory as usize / 2,
        ..NearSettings::default()
    };
    Ok(Settings {
        fields: Fields {
            text: args.text_field.clone(),
            id: args.id_field.clone(),
            ..Fields::default()
        },
        label: args.label.clone(),
        groups: args.group.clone(),
        time: args.time.clone(),
        tokenizer: args.tokenizer.clone(),
        label_model: args.label_model.map(|model| match model {
            LabelModel::Linear => Model::Logistic,
            LabelModel::Neighbours => Model::Neighbours(10),
        }),
        memory_bytes: memory as usize,
        since: args.since.clone(),
        near: (!args.no_duplicates).then_some(near),
        privacy: !args.no_privacy,
        quality: !args.no_quality,
        rights: !args.no_rights,
        folder: args.temp.clone().unwrap_or_else(std::env::temp_dir),
        ..Settings::default()
    })
}

/// What is wrong with the probabilities given, or with the working files.
fn labels_failure(error: std::io::Error) -> Failure {
    match error.kind() {
        std::io::ErrorKind::InvalidInput => Failure::input(format!("--probabilities: {error}")),
        _ => Failure::outside(error),
    }
}

fn failure(error: AuditError) -> Failure {
    match error {
        AuditError::Working { .. } => Failure::outside(error),
        _ => Failure::input(error),
    }
}

/// One line on a terminal that says how far it is.
struct StatusLine {
    since: Instant,
    last: Option<Instant>,
}

impl StatusLine {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            last: None,
        }
    }

    fn show(&mut self, progress: Progress) {
        let now = Instant::now();
        let is_due = self.last.is_none_or(|last| (now - last).as_millis() > 200);
        if (now - self.since).as_secs() < 2 || !is_due || !std::io::stderr().is_terminal() {
            return;
        }
        self.last = Some(now);
        let text = match progress {
            Progress::Reading(n_read, n_all) => {
                let share = n_read as f64 / (n_all as f64).max(1.0);
                let left_s = (now - self.since).as_secs_f64() * (1.0 / share.max(1e-9) - 1.0);
                format!(
                    "read {} of {}, {left_s:.0} s more",
                    percent(share),
                    outlay_units::bytes(n_all as f64)
                )
            }
            Progress::Comparing(done, of) => format!("compared {done} of {of}"),
        };
        let _ = write!(anstream::stderr(), "\r\x1b[K{text}");
    }

    fn clear(&self) {
        if self.last.is_some() {
            let _ = write!(anstream::stderr(), "\r\x1b[K");
        }
    }
}

fn show(report: &Report, printer: &mut Printer) {
    for (at, section) in document(report).iter().enumerate() {
        if at > 0 {
            printer.line("");
        }
        printer.heading(&section.title);
        for part in &section.parts {
            match part {
                Part::Sentence(text) => printer.sentence(text),
                Part::Table(table) => {
                    let columns: Vec<(&str, Align)> = table
                        .columns
                        .iter()
                        .map(|(name, is_number)| {
                            let align = if *is_number {
                                Align::Right
                            } else {
                                Align::Left
                            };
                            (name.as_str(), align)
                        })
                        .collect();
                    printer.table(&columns, &table.rows);
                }
                Part::Examples { items, n_short } => {
                    for item in items.iter().take(*n_short) {
                        if item.text.is_empty() {
                            printer.sentence(&item.title);
                        } else {
                            printer.line("");
                            printer.sentence(&item.title);
                            printer.sentence(&item.text);
                        }
                    }
                }
                // For pages.
                Part::Bars { .. } => {}
            }
        }
    }
}

fn show_fixed(fixed: &Fixed, folder: &Path, printer: &mut Printer) {
    printer.line("");
    printer.heading(&format!("The copy in {}", folder.display()));
    printer.sentence(&format!(
        "{} kept; left out: {}, {} with leaked items, {}{} that could not be read ({} says which and why).",
        counted(fixed.n_kept, "record"),
        counted(fixed.n_duplicates, "duplicate"),
        outlay_units::whole(fixed.n_leaked),
        if fixed.n_denied > 0 {
            format!("{} denied by the policy, ", outlay_units::whole(fixed.n_denied))
        } else {
            String::new()
        },
        outlay_units::whole(fixed.n_unreadable),
        outlay_audit::REMOVED,
    ));
    if fixed.n_redacted > 0 {
        printer.sentence(&format!(
            "In {} something private was replaced.",
            counted(fixed.n_redacted, "record")
        ));
    }
}
