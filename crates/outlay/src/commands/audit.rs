//! `outlay audit`: what is in training data twice, and what of a test set is in it.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use outlay_audit::{
    AuditError, Benchmarks, Bill, Condition, Crossing, Duplicates, Fields, Fix, Fixed, Graded,
    Keep, Leaks, NearSettings, Privacy, Progress, Quality, Report, Settings, Shingle,
};
use outlay_ledger::Batch;
use outlay_server::doors::people::By;
use outlay_units::{percent, usd};

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

Reads .jsonl, .json, .csv, .tsv, .parquet and texts, but Parquet each also as .gz or .zst. A record's text is its
field `text` or `content`, or else all of its texts; --text-field names others.")]
pub struct Args {
    /// Files and folders to audit
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Test set or benchmark whose items are not to be in the data; may be repeated. A file with the same fields as the data
    /// is compared with it record by record, too
    #[arg(long, value_name = "PATH")]
    against: Vec<PathBuf>,
    /// Field with a record's text; may be repeated
    #[arg(long, value_name = "FIELD")]
    text_field: Vec<String>,
    /// Field with a record's own id [default: id, else its file and line]
    #[arg(long, value_name = "FIELD")]
    id_field: Option<String>,
    /// Field with a record's label
    #[arg(long, value_name = "FIELD")]
    label: Option<String>,
    /// Fields with the groups that a record belongs to, such as persons, sites or sexes, parted by commas
    #[arg(long, value_name = "FIELDS", value_delimiter = ',')]
    group: Vec<String>,
    /// Field that says when a record was made: ISO 8601, or a number
    #[arg(long, value_name = "FIELD")]
    time: Option<String>,
    /// Least Jaccard similarity of near duplicates, above 0.3
    #[arg(long, value_name = "SHARE", default_value_t = 0.8)]
    near: f64,
    /// What near duplicates are compared by: words:N or characters:N
    #[arg(long, value_name = "PARTS", default_value = "words:5")]
    shingle: String,
    /// Do not look for duplicates
    #[arg(long, conflicts_with_all = ["clusters", "shingle", "near"])]
    no_duplicates: bool,
    /// Memory for sorting, such as 2GB
    #[arg(long, value_name = "SIZE", default_value = "256MB")]
    memory: String,
    /// Folder that keeps what was seen of each file, and is made where it is missing: files that are as they were are not read
    /// again, and an audit that was killed goes on
    #[arg(long, value_name = "FOLDER")]
    since: Option<PathBuf>,
    /// Folder for working files, which take about as much room as the texts
    #[arg(long, value_name = "FOLDER")]
    temp: Option<PathBuf>,
    /// Write each record of a cluster of duplicates, and the cluster's id, to this file
    #[arg(long, value_name = "FILE.tsv")]
    clusters: Option<PathBuf>,
    /// Write each place of an item that is suspect or leaked to this file
    #[arg(long, value_name = "FILE.jsonl", requires = "against")]
    leaks: Option<PathBuf>,
    /// Write each place of personal data or a secret, masked, to this file
    #[arg(long, value_name = "FILE.jsonl", conflicts_with = "no_privacy")]
    pii: Option<PathBuf>,
    /// Do not look for personal data and secrets
    #[arg(long)]
    no_privacy: bool,
    /// Do not hold rules of quality against the texts
    #[arg(long)]
    no_quality: bool,
    /// Write a copy without duplicates, leaked items and what cannot be read to this folder, with the list of what was left out
    #[arg(long, value_name = "FOLDER")]
    fix: Option<PathBuf>,
    /// Which record of a cluster of duplicates stays in the copy
    #[arg(long, value_enum, default_value_t = KeepArg::Longest, requires = "fix")]
    keep: KeepArg,
    /// Replace personal data and secrets in the copy by words such as `<EMAIL>`
    #[arg(long, requires = "fix")]
    redact: bool,
    /// Saved plan of the training (`outlay plan train --json`), of which the bill is told
    #[arg(long, value_name = "FILE.json")]
    plan: Option<PathBuf>,
    /// Hash the data, and record what was found in the ledger as evidence
    #[arg(long)]
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

/// Which record of a cluster stays.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum KeepArg {
    /// The one with the most text
    Longest,
    /// The first
    First,
    /// The last
    Last,
}

/// Runs the command.
pub fn run(args: &Args, printer: &mut Printer) -> Result<(), Failure> {
    let conditions = match &args.fail_on {
        Some(text) => {
            Condition::all(text).map_err(|why| Failure::input(format!("--fail-on {why}")))?
        }
        None => Vec::new(),
    };
    let plan = args.plan.as_deref().map(read_plan).transpose()?;
    let settings = settings(args)?;
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
    let audit = audit.map_err(failure)?;
    if args.since.is_some() && audit.n_reused > 0 {
        crate::printer::aside(&format!(
            "{} of {} files were as before, and were not read again",
            audit.n_reused,
            audit.files.len() + audit.compared.len()
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
    if let Some(plan) = &plan {
        let best = &plan.best;
        report.bill = Some(Bill::new(&audit, &report, best.usd, best.accelerator_hours));
    }
    if args.record {
        let content = outlay_audit::content(&args.paths).map_err(failure)?;
        report.content_sha256 = Some(content.sha256);
        record(args, &report)?;
    }
    if args.json {
        printer.json(&report)?;
    } else {
        show(&report, benchmarks.as_ref(), printer);
    }
    if let Some(folder) = &args.fix {
        let how = Fix {
            keep: match args.keep {
                KeepArg::Longest => Keep::Longest,
                KeepArg::First => Keep::First,
                KeepArg::Last => Keep::Last,
            },
            redact: args.redact,
        };
        let fixed =
            outlay_audit::fix(&args.paths, &audit, &settings, how, folder).map_err(failure)?;
        if !args.json {
            show_fixed(&fixed, folder, printer);
        }
    }
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
        since: args.since.clone(),
        near: (!args.no_duplicates).then_some(near),
        privacy: !args.no_privacy,
        quality: !args.no_quality,
        folder: args.temp.clone().unwrap_or_else(std::env::temp_dir),
        ..Settings::default()
    })
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
                    bytes(n_all)
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

fn bytes(n_bytes: u64) -> String {
    if n_bytes < 1024 {
        format!("{n_bytes} bytes")
    } else {
        outlay_units::bytes(n_bytes as f64)
    }
}

fn show(report: &Report, benchmarks: Option<&Benchmarks>, printer: &mut Printer) {
    printer.heading(&format!(
        "{} records, {} of text, in {} file{}",
        count(report.n_records),
        bytes(report.n_text_bytes),
        count(report.n_files as u64),
        if report.n_files == 1 { "" } else { "s" },
    ));
    if let Some(hash) = &report.content_sha256 {
        printer.sentence(&format!("Recorded as dataset/{hash}."));
    }
    if report.n_skipped > 0 {
        printer.sentence(&format!(
            "{} could not be read ({}):",
            count(report.n_skipped),
            bytes(report.n_skipped_bytes)
        ));
        for skipped in report.skipped.iter().take(3) {
            printer.sentence(&format!(
                "  {}:{}: {}",
                skipped.file, skipped.line, skipped.why
            ));
        }
    }
    if report.n_unread_files > 0 {
        printer.sentence(&format!(
            "{} files ({}) are of no kind that is read, such as {}.",
            count(report.n_unread_files as u64),
            bytes(report.n_unread_bytes),
            report.unread_files[0]
        ));
    }
    if let Some(duplicates) = &report.duplicates {
        show_duplicates(report, duplicates, printer);
    }
    if let (Some(leaks), Some(benchmarks)) = (&report.leaks, benchmarks) {
        show_leaks(leaks, benchmarks, printer);
    }
    if let Some(crossing) = &report.crossing {
        show_crossing(crossing, printer);
    }
    if let Some(privacy) = &report.privacy {
        show_privacy(report, privacy, printer);
    }
    if let Some(quality) = &report.quality
        && report.n_rows < report.n_records
    {
        show_quality(report, quality, printer);
    }
    show_fields(report, printer);
    if let Some(bill) = &report.bill {
        show_bill(bill, printer);
    }
}

fn show_crossing(crossing: &Crossing, printer: &mut Printer) {
    printer.line("");
    printer.heading(&format!(
        "What {} of the same form share{} with the data",
        counted(crossing.n_files as u64, "file"),
        if crossing.n_files == 1 { "s" } else { "" }
    ));
    let share = |n: u64| percent(n as f64 / (crossing.n_records as f64).max(1.0));
    let mut rows = vec![
        vec![
            "records that say the same".to_owned(),
            count(crossing.n_exact),
            share(crossing.n_exact),
        ],
        vec![
            "exact and near".to_owned(),
            count(crossing.n_near),
            share(crossing.n_near),
        ],
    ];
    for group in &crossing.groups {
        rows.push(vec![
            format!(
                "with one of {} of {} values of {}",
                count(group.n_shared),
                count(group.n_values),
                group.field
            ),
            count(group.n_records),
            share(group.n_records),
        ]);
    }
    let (left, right) = (Align::Left, Align::Right);
    printer.table(
        &[
            (
                &format!("of {}", counted(crossing.n_records, "record")),
                left,
            ),
            ("records", right),
            ("", right),
        ],
        &rows,
    );
    for pair in crossing.first.iter().take(3) {
        let is = if pair.how == "exact" { "is" } else { "is like" };
        printer.sentence(&format!("  {} {is} {}", pair.compared, pair.record));
    }
    if let Some(time) = &crossing.time {
        if time.n_data_not_before == 0 {
            printer.sentence(&format!(
                "All records of the data are before these, by {}.",
                time.field
            ));
        } else {
            printer.sentence(&format!(
                "By {}, {} of the data are not before the first of these.",
                time.field,
                counted(time.n_data_not_before, "record")
            ));
        }
        if time.n_unread > 0 {
            printer.sentence(&format!(
                "{} no time there.",
                counted_with(time.n_unread, "record", "has", "have")
            ));
        }
    }
}

fn show_fields(report: &Report, printer: &mut Printer) {
    let lengths = &report.lengths;
    printer.line("");
    printer.heading("Fields and lengths");
    printer.sentence(&format!(
        "Texts have {} in the middle, {} to {} in all but a hundredth at each end, {} at most; {} much shorter than \
         most and {} much longer.",
        bytes(lengths.p50),
        bytes(lengths.p1),
        bytes(lengths.p99),
        bytes(lengths.most),
        counted_with(lengths.n_short_outliers, "", "is", "are"),
        counted_with(lengths.n_long_outliers, "", "is", "are"),
    ));
    let drifts = &report.fields.drift;
    for drift in drifts.iter().take(5) {
        printer.sentence(&format!(
            "  {} in {}: {} ({})",
            drift.field,
            drift.file,
            drift.what.replace('_', " "),
            drift.why
        ));
    }
    if report.fields.n_drifts > 5 {
        printer.sentence(&format!(
            "  and {} more (--json lists the first fifty)",
            count(report.fields.n_drifts - 5)
        ));
    }
}

fn show_bill(bill: &Bill, printer: &mut Printer) {
    printer.line("");
    printer.heading("What training on it would cost in vain");
    let rows: Vec<Vec<String>> = bill
        .lines
        .iter()
        .map(|line| {
            let name = match line.what {
                "duplicates" => "duplicates",
                "leaked" => "records with leaked items",
                _ => "records that break a rule",
            };
            vec![
                name.to_owned(),
                percent(line.share),
                line.usd.map_or_else(String::new, |cost| usd(cost.p50)),
                line.usd.map_or_else(String::new, |cost| {
                    format!("{} to {}", usd(cost.p10), usd(cost.p90))
                }),
                outlay_units::count(line.accelerator_hours.p50),
            ]
        })
        .collect();
    let (left, right) = (Align::Left, Align::Right);
    printer.table(
        &[
            ("", left),
            ("of text", right),
            ("cost", right),
            ("p10 to p90", right),
            ("accelerator-hours", right),
        ],
        &rows,
    );
    printer.sentence(
        "The plan's tokens are taken to be of this data; a record may be in more than one line.",
    );
}

fn show_fixed(fixed: &Fixed, folder: &Path, printer: &mut Printer) {
    printer.line("");
    printer.heading(&format!("The copy in {}", folder.display()));
    printer.sentence(&format!(
        "{} kept; left out: {}, {} with leaked items, {} that could not be read ({} says which and why).",
        counted(fixed.n_kept, "record"),
        counted(fixed.n_duplicates, "duplicate"),
        count(fixed.n_leaked),
        count(fixed.n_unreadable),
        outlay_audit::REMOVED,
    ));
    if fixed.n_redacted > 0 {
        printer.sentence(&format!(
            "In {} something private was replaced.",
            counted(fixed.n_redacted, "record")
        ));
    }
}

fn show_quality(report: &Report, quality: &Quality, printer: &mut Printer) {
    printer.line("");
    printer.heading("Rules of quality that records break");
    let share = |n: u64| percent(n as f64 / (report.n_records as f64).max(1.0));
    let rows: Vec<Vec<String>> = quality
        .rules
        .iter()
        .map(|rule| {
            vec![
                rule.rule.replace('_', " "),
                rule.source.to_owned(),
                count(rule.n_records),
                share(rule.n_records),
                rule.first.clone(),
            ]
        })
        .collect();
    let (left, right) = (Align::Left, Align::Right);
    if !rows.is_empty() {
        printer.table(
            &[
                ("rule", left),
                ("of", left),
                ("records", right),
                ("", right),
                ("such as", left),
            ],
            &rows,
        );
    }
    printer.sentence(&format!(
        "{} of {} records break one ({} of text). The rules were made for pages of the web in English; \
         code and tables break many of them.",
        count(quality.n_records),
        count(report.n_records),
        bytes(quality.n_bytes)
    ));
}

fn show_privacy(report: &Report, privacy: &Privacy, printer: &mut Printer) {
    printer.line("");
    printer.heading("Personal data and secrets");
    if privacy.found.is_empty() {
        printer.sentence("None was found.");
        return;
    }
    let rows: Vec<Vec<String>> = privacy
        .found
        .iter()
        .map(|found| {
            let kind = if found.kind == found.form {
                found.kind.to_owned()
            } else {
                format!("{}: {}", found.kind, found.form)
            };
            vec![
                kind.replace('_', " "),
                count(found.n_places),
                count(found.n_records),
            ]
        })
        .collect();
    printer.table(
        &[
            ("", Align::Left),
            ("places", Align::Right),
            ("records", Align::Right),
        ],
        &rows,
    );
    printer.sentence(&format!(
        "{} records have some, {}. Names of persons are not looked for.",
        count(privacy.n_records),
        percent(privacy.n_records as f64 / (report.n_records as f64).max(1.0))
    ));
}

fn show_duplicates(report: &Report, duplicates: &Duplicates, printer: &mut Printer) {
    let share = |n: u64, of: u64| percent(n as f64 / (of as f64).max(1.0));
    printer.line("");
    printer.heading("Duplicates");
    let row = |name: &str, n: u64, n_bytes: u64| {
        vec![
            name.to_owned(),
            count(n),
            share(n, report.n_records),
            bytes(n_bytes),
            share(n_bytes, report.n_text_bytes),
        ]
    };
    let right = Align::Right;
    printer.table(
        &[
            ("beyond one of each", Align::Left),
            ("records", right),
            ("", right),
            ("text", right),
            ("", right),
        ],
        &[
            row(
                "the same words",
                duplicates.n_exact,
                duplicates.n_exact_bytes,
            ),
            row("exact and near", duplicates.n_near, duplicates.n_near_bytes),
        ],
    );
    printer.sentence(&format!(
        "Near is a Jaccard similarity of {} or more between sets of {}, which was computed for {}; {} bands of {} \
         numbers bring all but one in {} of the pairs right at that together.",
        duplicates.threshold,
        match (report.n_rows, report.n_rows == report.n_records) {
            (0, _) => duplicates.shingle.clone(),
            (_, true) => "cells".to_owned(),
            _ => format!("{}, and of cells for rows of tables", duplicates.shingle),
        },
        counted(duplicates.n_compared, "pair"),
        duplicates.n_bands,
        duplicates.n_rows,
        count((1.0 / duplicates.missed_at_threshold.max(1e-9)).round() as u64),
    ));
    if duplicates.n_not_compared > 0 {
        printer.sentence(&format!(
            "{} pairs were not compared, as too many records share a part of their signatures.",
            count(duplicates.n_not_compared)
        ));
    }
    if let Some(n) = duplicates.n_label_conflicts.filter(|n| *n > 0) {
        printer.sentence(&format!(
            "{} the same as an earlier one, with another label.",
            counted_with(n, "record", "says", "say")
        ));
    }
    for cluster in duplicates.largest.iter().take(3) {
        printer.sentence(&format!(
            "  {} records like {}",
            count(cluster.n_records),
            cluster.kept
        ));
    }
}

fn show_leaks(leaks: &Leaks, benchmarks: &Benchmarks, printer: &mut Printer) {
    printer.line("");
    printer.heading(&format!(
        "Items of {} benchmark file{} in the data",
        benchmarks.files.len(),
        if benchmarks.files.len() == 1 { "" } else { "s" }
    ));
    let row = |name: &str, graded: &Graded| {
        vec![
            name.to_owned(),
            count(graded.n_items),
            count(graded.n_clean),
            count(graded.n_suspect),
            count(graded.n_leaked),
        ]
    };
    let right = Align::Right;
    printer.table(
        &[
            ("", Align::Left),
            ("items", right),
            ("clean", right),
            ("suspect", right),
            ("leaked", right),
        ],
        &[
            row(
                &format!("{} words or more", outlay_audit::SHORT),
                &leaks.long,
            ),
            row("shorter, found only whole", &leaks.short),
        ],
    );
    if leaks.n_unfindable > 0 {
        printer.sentence(&format!(
            "{} items cannot be looked for.",
            count(leaks.n_unfindable)
        ));
    }
    for item in leaks.items.iter().take(5) {
        let most = &item.most;
        printer.line("");
        printer.sentence(&format!(
            "{} {}, {} of it{}, in {}{}:",
            most.item,
            most.grade,
            percent(f64::from(most.share)),
            if most.is_answered {
                " with its answer"
            } else {
                ""
            },
            most.record,
            if item.n_records > 1 {
                format!(" and {} more", item.n_records - 1)
            } else {
                String::new()
            },
        ));
        printer.sentence(&format!(
            "  {}",
            most.passage
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
        ));
    }
}

/// A number of things and what they do: `1 record has`, `2 records have`; without a thing, `1 is`.
fn counted_with(n: u64, what: &str, one: &str, more: &str) -> String {
    let verb = if n == 1 { one } else { more };
    if what.is_empty() {
        format!("{} {verb}", count(n))
    } else {
        format!("{} {verb}", counted(n, what))
    }
}

fn counted(n: u64, what: &str) -> String {
    format!("{} {what}{}", count(n), if n == 1 { "" } else { "s" })
}

fn count(n: u64) -> String {
    outlay_units::whole(n)
}
