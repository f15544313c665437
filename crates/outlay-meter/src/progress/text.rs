//! Reads lines that programs print: `step 100/1000 loss 2.31`, `Epoch 3/10`, dictionaries, rounds of boosting.

use super::Tool;
use super::numbers::{count, whole};

/// A count, and where it ends when that is said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Count {
    pub at: f64,
    pub of: Option<f64>,
}

/// What a line tells.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Line {
    pub epoch: Option<Count>,
    pub step: Option<Count>,
    /// The step comes before the epoch, so that it counts over all epochs: what is outer is said first.
    pub step_first: bool,
    pub metrics: Vec<(String, f64)>,
    /// The epoch that it names has ended: it has a loss, or says so.
    pub closes: bool,
    pub tool: Option<Tool>,
}

/// Something else that a line can be.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Said {
    Line(Line),
    /// The dictionary that Hugging Face's trainer prints, without its `epoch`, which stands beside it.
    Dictionary {
        metrics: Vec<(String, f64)>,
        epoch: Option<f64>,
    },
    /// How many epochs or steps there will be, said once.
    Ahead {
        epochs: Option<f64>,
        steps: Option<f64>,
    },
    /// The training has ended.
    Ended {
        epochs: Option<f64>,
    },
}

/// Reads a line, if it tells anything.
pub(super) fn read(piece: &str) -> Option<Said> {
    let piece = piece.trim();
    if !piece.bytes().any(|byte| byte.is_ascii_digit()) && !piece.contains(['n', 'N']) {
        return None;
    }
    if ends_lightning(piece) {
        let epochs = piece
            .split_once("max_epochs=")
            .and_then(|(_, rest)| count(rest))
            .map(|(epochs, _)| epochs);
        return Some(Said::Ended { epochs });
    }
    if piece.starts_with('{') {
        return dictionary(piece);
    }
    if let Some(line) = boosting(piece) {
        return Some(Said::Line(line));
    }
    super::words::read(piece)
}

/// Whether Lightning says here that it has ended; this may stand right behind a bar.
pub(super) fn ends_lightning(piece: &str) -> bool {
    piece.contains('`') && piece.contains("`Trainer.fit` stopped")
}

/// `{'loss': '3.677', 'epoch': 0.5}`: one line, numbers only, quoted or not.
fn dictionary(piece: &str) -> Option<Said> {
    let inside = piece.strip_prefix('{')?.strip_suffix('}')?;
    let quotes: &[char] = &['\'', '"', ' '];
    let mut metrics = Vec::new();
    let mut epoch = None;
    for field in inside.split(',') {
        let (name, value) = field.split_once(':')?;
        let (name, value) = (name.trim_matches(quotes), value.trim_matches(quotes));
        let Some(value) = whole(value) else { continue };
        if name == "epoch" {
            epoch = Some(value);
        } else if !name.is_empty() && name.len() <= 64 {
            metrics.push((name.to_owned(), value));
        }
    }
    let trains = metrics.iter().any(|(name, _)| {
        name.contains("loss") || name == "train_runtime" || name == "eval_runtime"
    });
    trains.then_some(Said::Dictionary { metrics, epoch })
}

/// `[12]⇥train-logloss:0.3⇥eval-logloss:0.5` of XGBoost, `[12]⇥valid_1's l2: 0.3` of LightGBM, `12:⇥learn: 0.3⇥…` of CatBoost.
fn boosting(piece: &str) -> Option<Line> {
    let (head, rest) = piece.split_once('\t')?;
    let (round, cat) = match head
        .strip_prefix('[')
        .and_then(|head| head.strip_suffix(']'))
    {
        Some(round) => (round, false),
        None => (head.strip_suffix(':')?, true),
    };
    let (round, "") = count(round)? else {
        return None;
    };
    let mut spaced = false;
    let metrics: Vec<(String, f64)> = rest
        .split('\t')
        .filter_map(|field| {
            let (name, value) = field.rsplit_once(':')?;
            spaced |= value.starts_with(' ');
            Some((name.trim().to_owned(), whole(value.trim())?))
        })
        .filter(|(name, _)| !name.is_empty() && name.len() <= 64)
        .collect();
    if metrics.is_empty() {
        return None;
    }
    Some(Line {
        step: Some(Count {
            at: round,
            of: None,
        }),
        metrics,
        tool: Some(match (cat, spaced) {
            (true, _) => Tool::CatBoost,
            (false, true) => Tool::LightGbm,
            (false, false) => Tool::XgBoost,
        }),
        ..Line::default()
    })
}

/// The `3/100` that a bar's description begins with, as in YOLO's: an epoch.
pub(super) fn leading_of(text: &str) -> Option<Count> {
    let (at, rest) = count(text.trim_start())?;
    let (of, rest) = count(rest.strip_prefix('/')?)?;
    let is_alone = rest.is_empty() || rest.starts_with([' ', ':', ',']);
    (is_alone && of > 0.0).then_some(Count { at, of: Some(of) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        match read(text) {
            Some(Said::Line(line)) => line,
            other => panic!("{text}: {other:?}"),
        }
    }

    fn count_of(at: f64, of: f64) -> Option<Count> {
        Some(Count { at, of: Some(of) })
    }

    fn at(at: f64) -> Option<Count> {
        Some(Count { at, of: None })
    }

    #[test]
    fn reads_counts_in_the_forms_people_print() {
        for (text, epoch, step) in [
            ("step 100/1000 loss 2.31", None, count_of(100.0, 1000.0)),
            ("epoch 3/10", count_of(3.0, 10.0), None),
            (
                "Epoch [1/5], Step [100/600], Loss: 0.2",
                count_of(1.0, 5.0),
                count_of(100.0, 600.0),
            ),
            (
                "Train Epoch: 1 [640/60000 (1%)]\tLoss: 2.3",
                at(1.0),
                count_of(640.0, 60000.0),
            ),
            (
                "Epoch: [0][ 10/391]\tTime 0.5\tLoss 2.3 (2.4)",
                at(0.0),
                count_of(10.0, 391.0),
            ),
            (
                "Epoch(train) [2][10/391]  lr: 0.1  loss: 2.3",
                at(2.0),
                count_of(10.0, 391.0),
            ),
            (
                "iter 250: loss 3.2100, time 12.00ms, mfu 1.2%",
                None,
                at(250.0),
            ),
            (
                " iteration      100/    1000 | consumed samples: 25600 | lm loss: 1.2E+00 | loss scale: 1.0 |",
                None,
                count_of(100.0, 1000.0),
            ),
            (
                "step 5 of 20, loss=tensor(0.5, grad_fn=<X>)",
                None,
                count_of(5.0, 20.0),
            ),
        ] {
            let line = line(text);
            assert_eq!((line.epoch, line.step), (epoch, step), "{text}");
        }
        assert!(line("step 10/100 epoch 1/5").step_first);
        assert!(line("Epoch 2: train loss 0.5, val loss 0.6").closes);
        assert!(!line("Epoch 2/5").closes);
    }

    #[test]
    fn names_of_metrics_keep_what_they_are_of() {
        let names = |text| -> Vec<String> {
            line(text)
                .metrics
                .into_iter()
                .map(|(name, _)| name)
                .collect()
        };
        assert_eq!(
            names("step 250: train loss 3.1, val loss 3.2"),
            ["train_loss", "val_loss"]
        );
        assert_eq!(
            names("iteration 1/ 10 | lm loss: 1.2E+00 | loss scale: 1.0 |"),
            ["lm_loss"]
        );
        assert_eq!(
            names("step: 10  loss:  8.1234  grad_norm:  1.2  memory: 0.99GiB(1.2%)"),
            ["loss", "grad_norm"]
        );
    }

    #[test]
    fn ordinary_lines_tell_nothing() {
        for text in [
            "",
            "Step 1: install the package",
            "listening on 127.0.0.1:8080",
            "GET /batch/12 200 12ms",
            "downloaded 10/20 files",
            "no loss of generality",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn reads_what_is_said_ahead_and_dictionaries() {
        assert_eq!(
            read("  Num Epochs = 3"),
            Some(Said::Ahead {
                epochs: Some(3.0),
                steps: None
            })
        );
        assert_eq!(
            read("  Total optimization steps = 60"),
            Some(Said::Ahead {
                epochs: None,
                steps: Some(60.0)
            })
        );
        assert_eq!(
            read("{'loss': '3.677', 'lr': 5e-05, 'epoch': 0.5}"),
            Some(Said::Dictionary {
                metrics: vec![("loss".to_owned(), 3.677), ("lr".to_owned(), 5e-5)],
                epoch: Some(0.5)
            })
        );
        assert_eq!(read("{'port': 80}"), None);
        assert_eq!(
            read("`Trainer.fit` stopped: `max_epochs=3` reached."),
            Some(Said::Ended { epochs: Some(3.0) })
        );
        let round = line("[12]\tvalid_1's l2: 0.3");
        assert_eq!((round.step, round.tool), (at(12.0), Some(Tool::LightGbm)));
    }
}
