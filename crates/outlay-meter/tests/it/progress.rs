//! What real output tells, whatever way it is cut.

use std::fs;
use std::path::PathBuf;

use outlay_meter::{Channel, Pattern, ProgressReader, Report, Tool};
use proptest::prelude::*;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/progress")
}

fn fixture(name: &str) -> Vec<u8> {
    let path = folder().join(format!("{name}.txt"));
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn reports(name: &str) -> Vec<Report> {
    ProgressReader::new(None).feed(&fixture(name))
}

fn told(text: &str) -> Vec<Report> {
    ProgressReader::new(None).feed(text.as_bytes())
}

fn with_pattern(pattern: &str, text: &str) -> Vec<Report> {
    let pattern = Pattern::new(pattern).expect("a pattern");
    ProgressReader::new(Some(pattern)).feed(text.as_bytes())
}

fn fractions(reports: &[Report]) -> Vec<Option<f64>> {
    reports.iter().map(|report| report.fraction).collect()
}

/// Name of the fixture; the last fraction, step and number of steps; the last value of a metric, and in whose form it all is.
type Expected = (
    &'static str,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Option<(&'static str, f64)>,
    Tool,
);

#[rustfmt::skip]
const EXPECTED: &[Expected] = &[
    ("catboost", None, Some(2.0), None, Some(("learn", 0.561291)), Tool::CatBoost),
    ("hf_trainer", Some(1.0), Some(24.0), Some(24.0), Some(("loss", 3.673)), Tool::HuggingFace),
    ("hf_trainer_quiet", Some(1.0), None, None, Some(("loss", 3.673)), Tool::HuggingFace),
    ("hf_trainer_told_ahead", Some(0.375), Some(12.0), Some(32.0), Some(("loss", f64::NAN)), Tool::HuggingFace),
    ("hf_trainer_tty", Some(1.0), Some(24.0), Some(24.0), Some(("eval_loss", 3.6762642860412598)), Tool::HuggingFace),
    ("keras_generator", Some(1.0), Some(108.0), Some(108.0), Some(("loss", 0.5889)), Tool::Keras),
    ("keras_verbose1", Some(1.0), Some(72.0), Some(72.0), Some(("loss", 0.607)), Tool::Keras),
    ("keras_verbose1_tty", Some(1.0), Some(72.0), Some(72.0), Some(("val_loss", 0.5891)), Tool::Keras),
    ("keras_verbose2", Some(1.0), Some(72.0), Some(72.0), Some(("loss", 0.6683)), Tool::Keras),
    ("lightgbm", None, Some(20.0), None, Some(("valid_1's binary_logloss", 0.359714)), Tool::LightGbm),
    ("lightning_rich_tty", Some(1.0), Some(24.0), Some(24.0), Some(("val_loss", 1.633)), Tool::Lightning),
    ("lightning_tqdm", Some(1.0), Some(24.0), Some(24.0), Some(("train_loss", 0.928)), Tool::Lightning),
    ("lightning_tqdm_tty", Some(1.0), Some(24.0), Some(24.0), Some(("val_loss", 1.63)), Tool::Lightning),
    ("megatron", Some(0.2), Some(200.0), Some(1000.0), Some(("lm_loss", 5.90041)), Tool::Lines),
    ("nanogpt", None, Some(30.0), None, Some(("loss", 2.4108)), Tool::Lines),
    ("plain_epochs", Some(0.5), Some(2.0), Some(4.0), Some(("train_loss", 0.61)), Tool::Lines),
    ("plain_steps", Some(0.5), Some(500.0), Some(1000.0), Some(("loss", 2.31)), Tool::Lines),
    ("pytorch_imagenet", None, Some(392.0), None, Some(("loss", 4.9071)), Tool::Lines),
    ("pytorch_mnist", None, Some(60640.0), None, Some(("loss", 0.11347)), Tool::Lines),
    ("pytorch_tutorial", Some(1.0 / 3.0), Some(500.0), Some(1500.0), Some(("loss", 0.4012)), Tool::Lines),
    ("sklearn_mlp", None, Some(25.0), None, Some(("loss", 0.73516305)), Tool::Lines),
    ("torchtitan", Some(0.02), Some(20.0), Some(1000.0), Some(("loss", 8.0231)), Tool::Lines),
    ("tqdm_bare_epochs", None, Some(60.0), None, Some(("loss", 0.3333)), Tool::Lines),
    ("tqdm_described_loss", Some(1.0), Some(24.0), Some(24.0), Some(("loss", 0.083)), Tool::Tqdm),
    ("tqdm_epoch_lines", Some(1.0), Some(6.0), Some(6.0), Some(("train_loss", 0.1667)), Tool::Tqdm),
    ("tqdm_headed", Some(1.0), Some(48.0), Some(48.0), Some(("val_loss", 0.6667)), Tool::Lines),
    ("tqdm_nested", Some(1.0), Some(48.0), Some(48.0), Some(("loss", 0.0417)), Tool::Tqdm),
    ("tqdm_nested_tty", Some(1.0), Some(48.0), Some(48.0), Some(("loss", 0.0417)), Tool::Tqdm),
    ("tqdm_per_epoch", Some(1.0), Some(60.0), Some(60.0), Some(("loss", 0.0333)), Tool::Tqdm),
    ("tqdm_plain", Some(1.0), Some(40.0), Some(40.0), None, Tool::Tqdm),
    ("tqdm_postfix", Some(1.0), Some(30.0), Some(30.0), Some(("loss", 0.141)), Tool::Tqdm),
    ("tqdm_prepare", Some(1.0), Some(100.0), Some(100.0), Some(("loss", 0.01)), Tool::Tqdm),
    ("tqdm_scale", Some(1.0), Some(12_000.0), Some(12_000.0), None, Tool::Tqdm),
    ("tqdm_slow", Some(1.0), Some(4.0), Some(4.0), Some(("loss", 0.25)), Tool::Tqdm),
    ("tqdm_slow_tty", Some(1.0), Some(4.0), Some(4.0), Some(("loss", 0.25)), Tool::Tqdm),
    ("tqdm_unknown", None, Some(40.0), None, None, Tool::Tqdm),
    ("xgboost", None, Some(19.0), None, Some(("train-logloss", 0.05617)), Tool::XgBoost),
];

#[test]
fn each_recording_tells_what_it_should() {
    for (name, fraction, step, total_steps, metric, tool) in EXPECTED {
        let reports = reports(name);
        let last = reports
            .last()
            .unwrap_or_else(|| panic!("{name}: nothing told"));
        let told = (last.fraction, last.step, last.total_steps, last.tool);
        assert_eq!(told, (*fraction, *step, *total_steps, *tool), "{name}");
        if let Some((metric, value)) = metric {
            let found = reports
                .iter()
                .flat_map(|report| &report.metrics)
                .rfind(|(found, _)| found == metric)
                .unwrap_or_else(|| panic!("{name}: no {metric}"));
            let same = found.1 == *value || (found.1.is_nan() && value.is_nan());
            assert!(same, "{name}: {metric} is {}", found.1);
        }
    }
}

#[test]
fn no_recording_is_forgotten_or_large() {
    let mut names: Vec<String> = fs::read_dir(folder())
        .expect("the folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .inspect(|path| {
            assert!(
                fs::metadata(path).expect("its size").len() < 12_000,
                "{}",
                path.display()
            );
        })
        .map(|path| {
            path.file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    let expected: Vec<&str> = EXPECTED.iter().map(|expected| expected.0).collect();
    assert_eq!(names, expected);
}

#[test]
fn the_fraction_goes_back_only_with_a_restart() {
    for (name, ..) in EXPECTED {
        let mut before: Option<Report> = None;
        let mut n_restarts = 0;
        for report in reports(name) {
            n_restarts += usize::from(report.restarted);
            if let Some(before) = before.filter(|_| !report.restarted) {
                assert!(
                    report.fraction.unwrap_or(1.0) >= before.fraction.unwrap_or(0.0),
                    "{name}: {report:?}"
                );
                assert!(
                    report.step.unwrap_or(f64::MAX) >= before.step.unwrap_or(0.0),
                    "{name}: {report:?}"
                );
            }
            before = Some(report);
        }
        // Bars that begin anew without a word of how often, and a bar that was only preparation.
        let expected = usize::from(["tqdm_bare_epochs", "tqdm_prepare"].contains(name));
        assert_eq!(n_restarts, expected, "{name}");
    }
}

#[test]
fn metrics_of_the_trainer_stand_at_their_own_step() {
    let losses: Vec<f64> = reports("hf_trainer")
        .into_iter()
        .filter(|report| report.metrics.iter().any(|(name, _)| name == "loss"))
        .filter_map(|report| report.step)
        .collect();
    // The script logs every four steps; the bar had shown 11 when the loss of 12 came.
    assert_eq!(losses, [4.0, 8.0, 12.0, 16.0, 20.0, 24.0]);
}

#[test]
fn lightning_is_unknown_until_someone_says_how_many_epochs() {
    let bytes = fixture("lightning_tqdm");
    assert!(
        fractions(&reports("lightning_tqdm"))[..5]
            .iter()
            .all(Option::is_none)
    );
    let mut reader = ProgressReader::new(None);
    assert!(reader.feed(b"{'lr': 0.1}\nmax_epochs: 3\n").is_empty());
    let reports = reader.feed(&bytes);
    let middle = reports
        .iter()
        .find(|report| report.step == Some(12.0))
        .expect("a step");
    assert_eq!(
        (middle.fraction, middle.total_steps),
        (Some(0.5), Some(24.0))
    );
    let pattern = Pattern::new(r"training for (?<epochs>\d+) rounds").expect("a pattern");
    let mut reader = ProgressReader::new(Some(pattern));
    reader.feed(b"training for 3 rounds\n");
    let reports = reader.feed(&bytes);
    let middle = reports
        .iter()
        .find(|report| report.step == Some(12.0))
        .expect("a step");
    assert_eq!(middle.fraction, Some(0.5));
}

#[test]
fn a_pattern_tells_alone() {
    let text = "10%|#   | 1/10 [00:01<00:09, 1.00it/s]\ntick 25 out of 100, cost 0.5\nloss: 3\n";
    let reports = with_pattern(
        r"tick (?<step>\d+) out of (?<total>\d+), cost (?<loss>\S+)",
        text,
    );
    assert_eq!(reports[0].fraction, Some(0.25));
    assert_eq!(reports[0].metrics, [("loss".to_owned(), 0.5)]);
    assert_eq!(reports[0].tool, Tool::Pattern);
    assert!(reports.iter().all(|report| report.fraction == Some(0.25)));

    let reports = with_pattern(r"at (?<percent>[\d.]+) %", "at 12.5 %\nat 50 %\n");
    assert_eq!(fractions(&reports), [Some(0.125), Some(0.5)]);
    assert_eq!(reports[1].step, None);

    let text = "round 1 of 4: 50\nround 1 of 4: 100\nround 2 of 4: 50\n";
    let reports = with_pattern(
        r"round (?<epoch>\d+) of (?<epochs>\d+): (?<percent>\d+)",
        text,
    );
    assert_eq!(fractions(&reports), [Some(0.125), Some(0.25), Some(0.375)]);
}

#[test]
fn a_second_training_is_a_restart() {
    let fit = "Epoch 1/2\n4/4 - 1s - 60ms/step - loss: 0.5\nEpoch 2/2\n4/4 - 1s - 60ms/step - loss: 0.4\n";
    let reports = told(&format!("{fit}{fit}"));
    let restarts: Vec<Option<f64>> = reports
        .iter()
        .filter(|report| report.restarted)
        .map(|report| report.fraction)
        .collect();
    assert_eq!(restarts, [Some(0.0)]);
    assert_eq!(reports.last().and_then(|report| report.fraction), Some(1.0));
}

#[test]
fn steps_that_go_on_over_epochs_are_of_the_whole() {
    let text =
        "epoch 1/2 step 10/40 loss 1\nepoch 1/2 step 20/40 loss 1\nepoch 2/2 step 30/40 loss 1\n";
    assert_eq!(
        told(text).last().and_then(|report| report.fraction),
        Some(0.75)
    );
    let text = "step 10/40 epoch 1/2 loss 1\nstep 20/40 epoch 1/2 loss 1\n";
    assert_eq!(fractions(&told(text)), [Some(0.25), Some(0.5)]);
}

#[test]
fn a_loss_ends_the_epoch_that_it_is_told_with() {
    assert_eq!(
        fractions(&told("epoch 1/4\nepoch 2/4\n")),
        [Some(0.0), Some(0.25)]
    );
    assert_eq!(
        fractions(&told("epoch 1/4 loss 0.5\nepoch 2/4 loss 0.4\n")),
        [Some(0.25), Some(0.5)]
    );
    assert_eq!(
        fractions(&told("epoch 0/4 loss 0.5\nepoch 3/4 loss 0.4\n")),
        [Some(0.25), Some(1.0)]
    );
}

#[test]
fn a_bar_after_the_training_is_not_the_whole() {
    let text =
        "\r100%|##| 100/100 [10:00<00:00, 6.00s/it]\n\r 50%|# | 5/10 [00:05<00:05, 1.00s/it]\n";
    assert_eq!(fractions(&told(text)), [Some(1.0)]);
    // But one that will take longer is.
    let text = "\r100%|##| 100/100 [00:10<00:00, 10.0it/s]\n\r  0%|  | 0/10 [00:00<?, ?it/s]\r 50%|# | 5/10 [05:00<05:00, 60.0s/it]\n";
    let reports = told(text);
    assert_eq!(fractions(&reports), [Some(1.0), Some(0.5)]);
    assert!(reports[1].restarted);
}

#[test]
fn an_outer_bar_that_is_given_up_is_replaced() {
    let mut text = "\r 10%|# | 1/10 [00:01<00:09, 1.00s/it]\n".to_owned();
    for _ in 0..4 {
        text += "\r  0%|  | 0/50 [00:00<?, ?it/s]\r 50%|# | 25/50 [00:10<00:10, 2.00it/s]\n";
    }
    let reports = told(&text);
    let last = reports.last().expect("a report");
    assert_eq!(last.total_steps, Some(50.0));
}

#[test]
fn several_processes_that_draw_the_same_bar_are_one_training() {
    let mut text = String::new();
    for step in 0..=20 {
        for rank in 0..4 {
            let at = u32::saturating_sub(step, rank);
            text += &format!(
                "\r{:3}%|##  | {at}/20 [00:{step:02}<00:{:02}, 1.00it/s]",
                at * 5,
                20 - at
            );
        }
    }
    let reports = told(&text);
    assert!(reports.iter().all(|report| !report.restarted));
    assert_eq!(reports.last().and_then(|report| report.fraction), Some(1.0));
}

#[test]
fn an_epoch_that_a_description_begins_with_is_read() {
    let text = "\r  2/4   1.2G  1.05  640:  50%|##  | 5/10 [00:05<00:05, 1.00it/s]";
    let last = told(text).pop().expect("a report");
    assert_eq!(
        (last.fraction, last.step, last.total_steps),
        (Some(0.375), Some(15.0), Some(40.0))
    );
}

#[test]
fn two_streams_do_not_mix() {
    let mut reader = ProgressReader::new(None);
    reader.feed_from(Channel::Errors, b"\r 50%|##  | 2/4 [00:02<00:0");
    assert!(reader.feed_from(Channel::Output, b"loss: 0.2").is_empty());
    let reports = reader.feed_from(Channel::Errors, b"2, 1.0it/s]");
    assert_eq!((reports.len(), reports[0].step), (1, Some(2.0)));
    let reports = reader.feed_from(Channel::Output, b"5\n");
    assert_eq!(reports[0].metrics, [("loss".to_owned(), 0.25)]);
    assert_eq!(reports[0].step, Some(2.0));
}

#[test]
fn losses_that_are_no_numbers_are_told() {
    let reports = told("step 1/9 loss nan\nstep 2/9 loss inf\nstep 3/9 loss -inf\n");
    let losses: Vec<f64> = reports.iter().map(|report| report.metrics[0].1).collect();
    assert!(losses[0].is_nan());
    assert_eq!(losses[1..], [f64::INFINITY, f64::NEG_INFINITY]);
}

/// As text, so that NaN equals NaN.
fn cut(bytes: &[u8], cuts: &[usize]) -> String {
    let mut reader = ProgressReader::new(None);
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    ends.push(bytes.len());
    ends.sort_unstable();
    let mut begin = 0;
    let mut reports = Vec::new();
    for end in ends {
        reports.extend(reader.feed(&bytes[begin..end]));
        begin = end;
    }
    format!("{reports:?}")
}

#[test]
fn single_bytes_tell_the_same() {
    for (name, ..) in EXPECTED {
        let bytes = fixture(name);
        let each: Vec<usize> = (0..bytes.len()).collect();
        assert_eq!(cut(&bytes, &each), cut(&bytes, &[]), "{name}");
    }
}

/// Bytes that look like what is read, and others.
fn noisy() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..12),
        proptest::sample::select(vec![
            "\r",
            "\n",
            "\x08",
            "\x1b[A",
            "\x1b[1m",
            "\x1b]0;",
            "\x07",
            "Epoch ",
            "epoch 3/",
            "step ",
            "loss ",
            "nan",
            "1e",
            "-",
            "0",
            "7",
            "10",
            "/",
            "%|",
            "█| ",
            "[",
            "]",
            "00:01",
            "<",
            ", ",
            "it/s",
            "?",
            "9/20 [00:01<00:02, 5.2it/s]",
            "{'loss': ",
            "}",
            "━",
            "•",
            " 3/20 ━━ 1s 60ms/step - loss: 0.3",
            "[3]\tl2:",
            "max_epochs=",
            "é",
            "\u{0}",
            "=",
            ": ",
            "99999999999999999999",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    proptest::collection::vec(piece, 0..120).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cuts_change_nothing(which in 0..EXPECTED.len(), cuts in proptest::collection::vec(any::<usize>(), 0..40)) {
        let bytes = fixture(EXPECTED[which].0);
        prop_assert_eq!(cut(&bytes, &cuts), cut(&bytes, &[]));
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in noisy(), cuts in proptest::collection::vec(any::<usize>(), 0..8)) {
        let whole = ProgressReader::new(None).feed(&bytes);
        prop_assert_eq!(cut(&bytes, &cuts), format!("{:?}", &whole));
        for report in whole {
            prop_assert!(report.fraction.is_none_or(|fraction| (0.0..=1.0).contains(&fraction)));
            prop_assert!(report.step.is_none_or(|step| step >= 0.0));
        }
    }

    #[test]
    fn a_pattern_reads_any_bytes_too(bytes in noisy()) {
        let pattern = Pattern::new(r"(?<step>\S+)/(?<total>\S+)|(?<epoch>\d+) (?<loss>\S+)|(?<percent>\d+)%").expect("a pattern");
        for report in ProgressReader::new(Some(pattern)).feed(&bytes) {
            prop_assert!(report.fraction.is_none_or(|fraction| (0.0..=1.0).contains(&fraction)));
        }
    }
}
