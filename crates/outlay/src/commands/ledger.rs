//! `outlay ledger`: what was recorded, and whether it still is what was recorded.

use std::path::{Path, PathBuf};

use outlay_ledger::{Batch, Evidence, Format, Run, VerifyKey};
use outlay_units::{count, duration, timestamp, usd};
use serde_json::{Value, json};

use super::run::{Summary, show_summary};
use crate::failure::{Failure, read_text, write_whole};
use crate::ledger::{Books, LedgerArgs, now_us, who};
use crate::printer::{Align, Printer};

/// Arguments of `outlay ledger`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  outlay ledger runs
  outlay ledger verify
  outlay ledger checkpoint > kept-elsewhere.txt && outlay ledger verify --against kept-elsewhere.txt
  outlay ledger export all.jsonl && outlay ledger import all.jsonl --ledger postgres://me@host/outlay")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
    /// Ledger: a file, or postgres://user@host/database [default: .outlay/ledger.db]
    // Also after the action's name, where people write it.
    #[arg(
        long,
        value_name = "PLACE",
        env = "OUTLAY_LEDGER",
        hide_env_values = true,
        global = true
    )]
    ledger: Option<String>,
}

#[derive(clap::Subcommand, Debug)]
enum Action {
    /// List the runs, newest first
    Runs {
        /// Most runs to list
        #[arg(long, value_name = "N", default_value_t = 20)]
        limit: u32,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show a run
    Show {
        /// First digits of its id
        run: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Check that no evidence was changed, deleted, added or put in another order
    Verify {
        /// Key that you trust, as `outlay ledger keys` shows it; may be given again [default: those that the ledger names]
        #[arg(long, value_name = "KEY")]
        key: Vec<String>,
        /// Checkpoint that was kept elsewhere, which the ledger must continue [default: the last one verified here]
        #[arg(long, value_name = "FILE")]
        against: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the signed state of the evidence, to be kept elsewhere
    Checkpoint,
    /// List the keys that have signed
    Keys,
    /// List the evidence
    Evidence {
        /// Only about this subject, such as run/5f0c…
        #[arg(long, value_name = "SUBJECT")]
        subject: Option<String>,
        /// Print JSON: the records as they are hashed
        #[arg(long)]
        json: bool,
    },
    /// Add evidence of your own, such as a sign-off
    Add {
        /// What it is, such as sign-off
        kind: String,
        /// What it is about, such as run/5f0c…
        subject: String,
        /// What it says: a JSON object, or a text
        body: String,
    },
    /// Print what shows that a record is under the signed root, for anyone to check (RFC 6962)
    Prove {
        /// Position of the record, from 0
        position: i64,
    },
    /// Write everything to a file of JSON lines, or to a folder of Parquet files
    Export {
        /// File (.jsonl) or folder, which must not exist
        path: PathBuf,
        /// Form: jsonl or parquet [default: by the name]
        #[arg(long, value_name = "FORMAT")]
        format: Option<String>,
    },
    /// Read an export into an empty ledger
    Import {
        /// File or folder that `outlay ledger export` wrote
        path: PathBuf,
    },
    /// Copy the ledger to an SQLite file while it is in use
    Backup {
        /// File, which must not exist
        path: PathBuf,
    },
}

/// Runs the command.
pub fn run(args: &Args, printer: &mut Printer) -> Result<(), Failure> {
    let creates = matches!(args.action, Action::Import { .. } | Action::Add { .. });
    let ledger = LedgerArgs {
        ledger: args.ledger.clone(),
    };
    let books = Books::open(&ledger.place(), creates)?;
    let done = act(&args.action, &books, printer);
    books.close();
    done
}

fn act(action: &Action, books: &Books, printer: &mut Printer) -> Result<(), Failure> {
    let ledger = books.ledger();
    match action {
        Action::Runs { limit, json } => {
            let runs = books.ask(ledger.runs(i64::from(*limit)))?;
            list_runs(&runs, *json, printer)
        }
        Action::Show { run, json } => {
            let run = books.ask(ledger.run(run))?;
            show_run(books, &run, *json, printer)
        }
        Action::Verify { key, against, json } => {
            verify(books, key, against.as_deref(), *json, printer)
        }
        Action::Checkpoint => {
            let note = books.ask(ledger.checkpoint())?;
            if note.is_empty() {
                return Err(Failure::input(format!(
                    "ledger `{}` holds no evidence yet, so nothing was signed",
                    ledger.place()
                )));
            }
            printer.text(&note);
            Ok(())
        }
        Action::Keys => {
            for (key, who) in books.ask(ledger.signers())? {
                printer.line(&format!("{}  {who}", key.to_text()));
            }
            Ok(())
        }
        Action::Evidence { subject, json } => {
            let evidence = books.ask(ledger.evidence(subject.as_deref()))?;
            list_evidence(&evidence, *json, printer)
        }
        Action::Add {
            kind,
            subject,
            body,
        } => {
            let body: Value = serde_json::from_str(body)
                .ok()
                .filter(Value::is_object)
                .unwrap_or_else(|| json!({"text": body}));
            let evidence = Evidence {
                kind: kind.clone(),
                subject: subject.clone(),
                body,
                recorded_us: now_us(),
                who: who(),
            };
            let batch = Batch {
                evidence: vec![evidence],
                ..Batch::default()
            };
            books.ask(ledger.write(batch))?;
            printer.sentence("Recorded and signed.");
            Ok(())
        }
        Action::Prove { position } => prove(books, *position, printer),
        Action::Export { path, format } => {
            let format = match (
                format.as_deref(),
                path.extension().and_then(|end| end.to_str()),
            ) {
                (Some("jsonl"), _) | (None, Some("jsonl" | "ndjson")) => Format::Jsonl,
                (Some("parquet"), _) | (None, None) => Format::Parquet,
                (Some(other), _) => {
                    return Err(Failure::input(format!(
                        "--format is `{other}`; allowed: jsonl, parquet"
                    )));
                }
                (None, Some(_)) => {
                    return Err(Failure::input(format!(
                        "`{}` says no format; allowed: a name that ends in .jsonl, a folder's, or --format",
                        path.display()
                    )));
                }
            };
            let counts = books.ask(ledger.export(path, format))?;
            say_counts("Wrote", path, &counts, printer);
            Ok(())
        }
        Action::Import { path } => {
            let counts = books.ask(ledger.import(path))?;
            say_counts("Read", path, &counts, printer);
            Ok(())
        }
        Action::Backup { path } => {
            books.ask(ledger.backup(path))?;
            printer.sentence(&format!("Copied to {}.", path.display()));
            Ok(())
        }
    }
}

fn say_counts(verb: &str, path: &Path, counts: &[(&str, u64)], printer: &mut Printer) {
    let said: Vec<String> = counts
        .iter()
        .filter(|(name, n_rows)| *n_rows > 0 && *name != "ledger")
        .map(|(name, n_rows)| format!("{} {name}", count(*n_rows as f64)))
        .collect();
    printer.sentence(&format!("{verb} {}: {}.", path.display(), said.join(", ")));
}

fn list_runs(runs: &[Run], json: bool, printer: &mut Printer) -> Result<(), Failure> {
    if json {
        return printer.json(&runs);
    }
    if runs.is_empty() {
        printer.sentence("No run is recorded. `outlay run -- COMMAND` records one.");
        return Ok(());
    }
    let rows: Vec<Vec<String>> = runs
        .iter()
        .map(|run| {
            let summary = summary_of(run);
            let spent = summary.as_ref().and_then(|summary| summary.spent_usd);
            let energy = summary.as_ref().and_then(|summary| summary.energy_kwh);
            let end_us = run.ended_us.unwrap_or(run.seen_us);
            vec![
                run.id[..8].to_owned(),
                run.name.clone(),
                timestamp(run.started_us)[..16].replace('T', " "),
                run.status.name().to_owned(),
                duration((end_us - run.started_us).max(0) as f64 / 1e6),
                spent.map_or_else(String::new, |spent| usd(spent.value)),
                energy.map_or_else(String::new, |kwh| outlay_units::energy_kwh(kwh.value)),
            ]
        })
        .collect();
    let right = Align::Right;
    printer.table(
        &[
            ("run", Align::Left),
            ("name", Align::Left),
            ("started", Align::Left),
            ("", Align::Left),
            ("time", right),
            ("cost", right),
            ("energy", right),
        ],
        &rows,
    );
    Ok(())
}

fn summary_of(run: &Run) -> Option<Summary> {
    serde_json::from_value(run.summary.clone()?).ok()
}

fn show_run(books: &Books, run: &Run, json: bool, printer: &mut Printer) -> Result<(), Failure> {
    let ledger = books.ledger();
    let params = books.ask(ledger.labels(&run.id, false))?;
    let tags = books.ask(ledger.labels(&run.id, true))?;
    let metrics = books.ask(ledger.metrics(&run.id))?;
    let spent = books.ask(ledger.spent_by_run(&run.id))?;
    if json {
        return printer.json(&json!({
            "run": run, "params": params, "tags": tags, "metrics": metrics, "spent": spent,
        }));
    }
    match summary_of(run) {
        Some(summary) => show_summary(&summary, printer),
        None => {
            printer.heading(&format!("Run {} is {}.", &run.id[..8], run.status.name()));
            printer.sentence(&format!("Command: {}", run.command.join(" ")));
        }
    }
    for (currency, micro) in spent {
        printer.sentence(&format!(
            "Recorded spending: {:.6} {currency}.",
            micro.units()
        ));
    }
    let mut rows: Vec<Vec<String>> = Vec::new();
    for (what, labels) in [("param", &params), ("tag", &tags)] {
        for label in labels {
            rows.push(vec![
                what.to_owned(),
                label.key.clone(),
                label.value.clone(),
            ]);
        }
    }
    for (key, n_points) in metrics {
        let points = books.ask(ledger.points(&run.id, &key))?;
        let last = points
            .last()
            .map_or_else(String::new, |point| format!("last {}", point.value));
        rows.push(vec![
            "metric".to_owned(),
            key,
            format!("{last}, {n_points} points"),
        ]);
    }
    if !rows.is_empty() {
        printer.table(
            &[
                ("", Align::Left),
                ("name", Align::Left),
                ("value", Align::Left),
            ],
            &rows,
        );
    }
    Ok(())
}

fn list_evidence(
    evidence: &[(i64, Evidence)],
    json: bool,
    printer: &mut Printer,
) -> Result<(), Failure> {
    if json {
        let records: Vec<Value> = evidence
            .iter()
            .map(|(position, evidence)| {
                let mut record = evidence.record();
                record["position"] = Value::from(*position);
                record
            })
            .collect();
        return printer.json(&records);
    }
    let rows: Vec<Vec<String>> = evidence
        .iter()
        .map(|(position, evidence)| {
            vec![
                position.to_string(),
                timestamp(evidence.recorded_us)[..16].replace('T', " "),
                evidence.who.clone(),
                evidence.kind.clone(),
                evidence.subject.clone(),
                evidence.body.to_string(),
            ]
        })
        .collect();
    printer.table(
        &[
            ("", Align::Right),
            ("when", Align::Left),
            ("who", Align::Left),
            ("kind", Align::Left),
            ("subject", Align::Left),
            ("says", Align::Left),
        ],
        &rows,
    );
    Ok(())
}

fn verify(
    books: &Books,
    keys: &[String],
    against: Option<&Path>,
    json: bool,
    printer: &mut Printer,
) -> Result<(), Failure> {
    let ledger = books.ledger();
    let keys: Vec<VerifyKey> = keys
        .iter()
        .map(|text| {
            VerifyKey::from_text(text)
                .map_err(|error| Failure::input(format!("--key `{text}`: {error}")))
        })
        .collect::<Result<_, _>>()?;
    // What was sound here once must be continued.
    let seen_file = books.key_file().with_extension("verified");
    let earlier = match against {
        Some(path) => Some(read_text(path)?),
        None => std::fs::read_to_string(&seen_file).ok(),
    };
    let note = books.ask(ledger.checkpoint())?;
    let verification = books.ask(ledger.verify(&keys, earlier.as_deref()))?;
    let is_sound = verification.tampering.is_empty();
    if is_sound && !note.is_empty() && seen_file.parent().is_some_and(Path::exists) {
        write_whole(&seen_file, &note)?;
    }
    if json {
        printer.json(&verification)?;
    } else {
        for found in &verification.tampering {
            printer.sentence(&format!("NOT SOUND: {found}."));
        }
        for remark in &verification.notes {
            printer.sentence(&format!("Note: {remark}."));
        }
        if is_sound {
            printer.sentence(&format!(
                "Sound: {} records of evidence are what was signed{}{}.",
                verification.size,
                if verification.keys_given {
                    " by the keys given"
                } else {
                    ""
                },
                if earlier.is_some() {
                    ", and continue the earlier checkpoint"
                } else {
                    ""
                }
            ));
            if !verification.keys_given && verification.size > 0 {
                printer.sentence("The keys are those that the ledger names: give --key, and --against with a checkpoint kept elsewhere, to be sure of someone who could write to it.");
            }
        }
    }
    if is_sound {
        Ok(())
    } else {
        Err(Failure::check(format!(
            "ledger `{}` is not what was recorded",
            ledger.place()
        )))
    }
}

fn prove(books: &Books, position: i64, printer: &mut Printer) -> Result<(), Failure> {
    let ledger = books.ledger();
    let proof = books.ask(ledger.inclusion_proof(position))?;
    let record = books
        .ask(ledger.evidence(None))?
        .into_iter()
        .find(|(at, _)| *at == position)
        .map(|(_, evidence)| evidence.record());
    let canonical = record
        .as_ref()
        .and_then(|record| outlay_ledger::canonical(record).ok());
    printer.json(&json!({
        "position": position,
        "record": canonical,
        "proof": proof.iter().map(|hash| outlay_ledger::hex(hash)).collect::<Vec<_>>(),
        "checkpoint": books.ask(ledger.checkpoint())?,
    }))
}
