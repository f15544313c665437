//! `outlay init`: six questions in plain words, and an `outlay.toml` that `outlay plan train` reads.

use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;

use outlay_model::Model;
use outlay_plan::request::accelerators_of;
use outlay_units::{parse_count, parse_duration_seconds, parse_money_usd, parse_tokens};

use super::plan_train::load_model;
use crate::failure::{Failure, write_whole};
use crate::printer::Printer;

/// The file that is written, in the folder where the command runs.
const FILE: &str = "outlay.toml";

/// Arguments of `outlay init`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:
  outlay init && outlay plan train outlay.toml")]
pub struct Args {
    /// Replace an outlay.toml that is there
    #[arg(long)]
    force: bool,
}

/// Runs the command.
pub fn run(args: &Args, printer: &mut Printer) -> Result<(), Failure> {
    if Path::new(FILE).exists() && !args.force {
        return Err(
            Failure::input(format!("{FILE} is already here; nothing was written"))
                .hint("`outlay init --force` replaces it"),
        );
    }
    let stdin = std::io::stdin();
    let mut person = Person {
        patient: stdin.is_terminal(),
        answers: stdin.lock(),
        asked: 0,
    };
    let text = project(&mut person)?;
    write_whole(Path::new(FILE), &text)?;
    printer.sentence(&format!(
        "Wrote {FILE}. Next: `outlay plan train {FILE}`, with --levers for what would make it cheaper and --bill for what surrounds it."
    ));
    Ok(())
}

/// Who answers.
struct Person<R> {
    answers: R,
    /// Whether a wrong answer can be given again: at a terminal, but not from a file.
    patient: bool,
    asked: usize,
}

impl<R: BufRead> Person<R> {
    /// Asks until the answer can be read; an empty one stands for `usual`.
    fn ask<T>(
        &mut self,
        question: &str,
        usual: &str,
        read: impl Fn(&str) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.asked += 1;
        loop {
            let mut err = std::io::stderr().lock();
            let _ = write!(err, "\n{} of 6. {question}\n> ", self.asked);
            let _ = err.flush();
            drop(err);
            let mut line = String::new();
            let read_bytes = self
                .answers
                .read_line(&mut line)
                .map_err(|error| Failure::outside(format!("reading the answers: {error}")))?;
            if read_bytes == 0 {
                return Err(Failure::input(format!(
                    "the answers ended at question {} of 6; nothing was written",
                    self.asked
                )));
            }
            let answer = line.trim();
            match read(if answer.is_empty() { usual } else { answer }) {
                Err(failure) if self.patient => {
                    failure.report();
                }
                result => return result,
            }
        }
    }
}

/// Asks the six questions; returns the text of `outlay.toml`.
fn project(person: &mut Person<impl BufRead>) -> Result<String, Failure> {
    let optional = |what: &'static str, text: &str, valid: Result<f64, String>| match valid {
        _ if text.is_empty() => Ok(None),
        Ok(_) => Ok(Some(text.to_owned())),
        Err(why) => Err(Failure::input(format!("{what}: {why}"))),
    };
    let (name, model): (String, Model) = person.ask(
        "Which model? A name such as llama-3.1-8b (`outlay models` lists them), or the path of\n   a config.json, a folder, or a .safetensors, .gguf or .onnx file.",
        "",
        |text| {
            if text.is_empty() {
                return Err(Failure::input("a model is needed, such as llama-3.1-8b"));
            }
            Ok((text.to_owned(), load_model(text)?))
        },
    )?;
    let method = person.ask(
        "What will be trained: the whole model (full), or small adapters beside a frozen one\n   (lora), also with the frozen one in four bits (qlora)? Empty: full.",
        "full",
        |text| match text {
            "full" | "lora" | "qlora" => Ok(text.to_owned()),
            other => Err(Failure::input(format!(
                "`{other}` is not known; allowed: full, lora, qlora"
            ))),
        },
    )?;
    let sampled = model.sample.positions.is_some();
    let unit = if sampled {
        model.sample.unit.plural()
    } else {
        "tokens"
    };
    let amount = person.ask(
        &format!(
            "On how many {unit}, counting each pass over the data?{}",
            if sampled {
                " Such as 10M."
            } else {
                " Such as 20B;\n   a token is about three quarters of an English word."
            }
        ),
        "",
        |text| {
            let amount = if sampled {
                parse_count(text)
            } else {
                parse_tokens(text)
            };
            match amount {
                Ok(amount) if amount >= 1.0 => Ok(text.to_owned()),
                _ => Err(Failure::input(format!(
                    "`{text}` is no number of {unit}; allowed: from 1, such as 20B"
                ))),
            }
        },
    )?;
    let gpus = person.ask(
        "On which accelerators? Such as 8xH100-SXM (`outlay hardware` lists them).\n   Empty: search all that are offered.",
        "",
        |text| {
            if text.is_empty() {
                return Ok(None);
            }
            accelerators_of("accelerators", text)?;
            Ok(Some(text.to_owned()))
        },
    )?;
    let budget = person.ask(
        "What is the most that it may cost? Such as 5000usd. Empty: no limit.",
        "",
        |text| {
            let valid = parse_money_usd(text).map_err(|error| error.to_string());
            optional("budget", text, valid)
        },
    )?;
    let deadline = person.ask(
        "How long may it take? Such as 14d or 8h. Empty: no limit.",
        "",
        |text| {
            let valid = parse_duration_seconds(text).map_err(|error| error.to_string());
            optional("deadline", text, valid)
        },
    )?;
    let mut train = toml::Table::new();
    train.insert("model".to_owned(), name.into());
    train.insert(
        if sampled { "samples" } else { "tokens" }.to_owned(),
        amount.into(),
    );
    train.insert("method".to_owned(), method.into());
    for (key, value) in [("gpus", gpus), ("budget", budget), ("deadline", deadline)] {
        if let Some(value) = value {
            train.insert(key.to_owned(), value.into());
        }
    }
    Ok(format!(
        "# Read by `outlay plan train {FILE}`; options on the command line go first.\n[train]\n{train}"
    ))
}
