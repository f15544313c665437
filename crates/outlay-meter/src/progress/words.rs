//! Reads a line of words and numbers, in whatever order its author chose.

use super::numbers::{count, leading};
use super::text::{Count, Line, Said};

/// The longest word that means anything here.
const WORD_BYTES_MAX: usize = 64;

/// How many metrics one line tells.
const METRICS_MAX: usize = 16;

/// What a word means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    /// Before the number of an epoch.
    Epoch,
    /// Before a number of epochs that are to come.
    Epochs,
    /// Before the number of a step.
    Step,
    /// Before a number of steps that are to come.
    Steps,
    /// The name of a number.
    Metric,
    /// Belongs to the metric, or the step, behind it.
    Before(&'static str),
    /// Says that an epoch has ended.
    Closes,
    Other,
}

/// What a word in lower case means.
fn meaning(word: &str) -> Word {
    match word {
        "epoch" | "ep" => Word::Epoch,
        "epochs" | "num_epochs" | "max_epochs" | "n_epochs" | "num_train_epochs" | "nb_epochs" => {
            Word::Epochs
        }
        "step" | "steps" | "iter" | "iters" | "iteration" | "iterations" | "it" | "batch"
        | "update" | "updates" | "round" | "global_step" | "global-step" => Word::Step,
        "max_steps" | "num_steps" | "total_steps" | "max_iters" | "num_training_steps" => {
            Word::Steps
        }
        "acc" | "accuracy" | "ppl" | "perplexity" | "nll" | "reward" | "lr" | "learning_rate"
        | "grad_norm" => Word::Metric,
        "train" => Word::Before("train"),
        "training" => Word::Before("training"),
        "val" => Word::Before("val"),
        "valid" => Word::Before("valid"),
        "validation" => Word::Before("validation"),
        "eval" => Word::Before("eval"),
        "evaluation" => Word::Before("evaluation"),
        "test" => Word::Before("test"),
        "lm" => Word::Before("lm"),
        "avg" => Word::Before("avg"),
        "average" => Word::Before("average"),
        "mean" => Word::Before("mean"),
        "running" => Word::Before("running"),
        "total" => Word::Before("total"),
        "optimization" => Word::Before("optimization"),
        "done" | "finished" | "complete" | "completed" | "ended" | "end" | "took" | "summary"
        | "time" => Word::Closes,
        _ if word.ends_with("loss") => Word::Metric,
        _ => Word::Other,
    }
}

/// Whether a word before a step says that it is not of training.
fn evaluates(word: &str) -> bool {
    matches!(
        word,
        "val" | "valid" | "validation" | "eval" | "evaluation" | "test"
    )
}

/// Reads a line, once from left to right.
pub(super) fn read(piece: &str) -> Option<Said> {
    let mut line = Line::default();
    let (mut epochs, mut steps) = (None, None);
    let mut closes = false;
    let mut evaluation = false;
    let mut before = "";
    let mut rest = piece;
    let mut small = [0; WORD_BYTES_MAX];
    while let Some((word, after)) = next_word(rest) {
        rest = after;
        let Some(lower) = lowered(word, &mut small) else {
            before = "";
            continue;
        };
        let word = meaning(lower);
        match word {
            Word::Epoch if line.epoch.is_none() => {
                if let Some((epoch, behind)) = counted(after) {
                    line.epoch = Some(epoch);
                    line.step_first = line.step.is_some();
                    rest = behind;
                    if line.step.is_none()
                        && let Some((step, behind)) = bracketed(behind)
                    {
                        line.step = Some(step);
                        rest = behind;
                    }
                }
            }
            Word::Epochs => {
                if let Some((Count { at, of: None }, behind)) = counted(after) {
                    epochs = epochs.or(Some(at));
                    rest = behind;
                }
            }
            Word::Step | Word::Steps => {
                if let Some((step, behind)) = counted(after) {
                    rest = behind;
                    if word == Word::Steps || matches!(before, "total" | "optimization") {
                        steps = steps.or(Some(step.at));
                    } else if evaluates(before) {
                        evaluation = true;
                    } else if line.step.is_none() {
                        line.step = Some(step);
                    }
                }
            }
            Word::Metric => {
                if let Some((value, behind)) = valued(after) {
                    let space = if before.is_empty() { "" } else { "_" };
                    if line.metrics.len() < METRICS_MAX {
                        line.metrics
                            .push((format!("{before}{space}{lower}"), value));
                    }
                    rest = behind;
                }
            }
            Word::Closes => closes = true,
            _ => {}
        }
        before = match word {
            Word::Before(word) => word,
            _ => "",
        };
    }
    if evaluation {
        for (name, _) in &mut line.metrics {
            if !["val", "eval", "test"]
                .iter()
                .any(|word| name.starts_with(word))
            {
                name.insert_str(0, "eval_");
            }
        }
    }
    let has_metrics = !line.metrics.is_empty();
    if !has_metrics && (epochs.is_some() || steps.is_some()) {
        return Some(Said::Ahead { epochs, steps });
    }
    for (count, ahead) in [(&mut line.step, steps), (&mut line.epoch, epochs)] {
        if let Some(count) = count {
            count.of = count.of.or(ahead.filter(|&ahead| ahead > 0.0));
        }
    }
    line.closes = line.step.is_none() && (has_metrics || closes);
    // A bare number of a step or an epoch is too common in other lines (`Step 1: install`) to be taken alone.
    let ends = |count: Option<Count>| count.is_some_and(|count| count.of.is_some());
    let is_epoch_alone = line.epoch.is_some() && piece.len() <= 40;
    let tells = has_metrics || ends(line.step) || ends(line.epoch) || is_epoch_alone;
    tells.then_some(Said::Line(line))
}

/// The next word, and what follows it.
fn next_word(text: &str) -> Option<(&str, &str)> {
    let begin = text.bytes().position(|byte| byte.is_ascii_alphabetic())?;
    let text = &text[begin..];
    // Bytes beyond ASCII are taken as letters, so that none is cut.
    let is_part = |byte: u8| {
        byte.is_ascii_alphanumeric() || byte >= 0x80 || matches!(byte, b'_' | b'-' | b'/')
    };
    let length = text
        .bytes()
        .position(|byte| !is_part(byte))
        .unwrap_or(text.len());
    Some(text.split_at(length))
}

/// The word in lower case, if it is not too long to mean anything.
fn lowered<'small>(word: &str, small: &'small mut [u8; WORD_BYTES_MAX]) -> Option<&'small str> {
    let small = small.get_mut(..word.len())?;
    small.copy_from_slice(word.as_bytes());
    small.make_ascii_lowercase();
    std::str::from_utf8(small).ok()
}

/// The count behind a word: `: 3/10`, ` [3/10]`, `=3`, ` 3 of 10`, `(train) [3]`.
fn counted(text: &str) -> Option<(Count, &str)> {
    let text = text.strip_prefix("(train)").unwrap_or(text);
    let begin = text
        .char_indices()
        .find(|(_, letter)| {
            !matches!(
                letter,
                ' ' | '\t' | ':' | '=' | '#' | '[' | '(' | '\'' | '"'
            )
        })?
        .0;
    // More than a column's width away is another field.
    if begin > 16 {
        return None;
    }
    let (at, rest) = count(&text[begin..])?;
    let spaced = rest.trim_start();
    let of = spaced
        .strip_prefix('/')
        .or_else(|| spaced.strip_prefix("of "))
        .and_then(|rest| count(rest.trim_start()));
    Some(match of {
        Some((of, rest)) => (
            Count {
                at,
                of: (of > 0.0).then_some(of),
            },
            rest,
        ),
        None => (Count { at, of: None }, rest),
    })
}

/// The count in brackets right behind an epoch: `[0][10/391]`, `1 [640/60000 (1%)]`.
fn bracketed(text: &str) -> Option<(Count, &str)> {
    let text = text.trim_start_matches([']', ')', ',', ':', ' ']);
    let (at, rest) = count(text.strip_prefix('[')?.trim_start())?;
    let (of, rest) = count(rest.trim_start().strip_prefix('/')?.trim_start())?;
    (of > 0.0).then_some((Count { at, of: Some(of) }, rest))
}

/// The value behind a metric's name: `: 0.3`, `=0.3`, ` 0.3`, ` is 0.3`, `=tensor(0.3`.
fn valued(text: &str) -> Option<(f64, &str)> {
    let text = text.trim_start_matches(['\'', '"', ')', ']', ' ', '\t']);
    let text = text.strip_prefix([':', '=']).unwrap_or(text).trim_start();
    let text = text.strip_prefix("is ").unwrap_or(text);
    let text = text.strip_prefix("tensor(").unwrap_or(text);
    let (value, rest) = leading(text.trim_start_matches(['\'', '"', '[']))?;
    // `9843/10000` counts what was right.
    (!rest.starts_with('/')).then_some((value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_evaluations_own_steps_are_not_the_trainings() {
        let Some(Said::Line(line)) = read("Eval step 5/50 loss 0.3 val_acc 0.5") else {
            panic!("a line");
        };
        assert_eq!(line.step, None);
        let names: Vec<&str> = line.metrics.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["eval_loss"]);
    }

    #[test]
    fn words_beyond_ascii_are_not_cut() {
        assert_eq!(next_word("1 naïve é"), Some(("naïve", " é")));
        assert_eq!(read("Época 3 — perda 0.2"), None);
    }
}
