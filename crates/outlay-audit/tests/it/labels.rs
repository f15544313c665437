//! Labels that are likely wrong: beside cleanlab, and what always holds.

#![allow(
    clippy::print_stdout,
    reason = "a test says what it skips and measures"
)]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use outlay_audit::{
    Features, Filter, LabelErrors, LabelSettings, LabelsError, Model, ModelSettings, Probabilities,
    folds, label_errors, out_of_fold,
};
use proptest::prelude::*;

use crate::Draw;

/// How likely a wrong label has a lower score than a right one: the area under the curve.
fn auroc(scores: &[f32], is_wrong: &[bool]) -> f64 {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|one, other| scores[*one].total_cmp(&scores[*other]));
    let (mut n_wrong, mut n_pairs) = (0.0, 0.0);
    for same in order.chunk_by(|one, other| scores[*one].total_cmp(&scores[*other]).is_eq()) {
        let wrong = same.iter().filter(|at| is_wrong[**at]).count() as f64;
        let right = same.len() as f64 - wrong;
        n_pairs += right * (n_wrong + wrong / 2.0);
        n_wrong += wrong;
    }
    n_pairs / (n_wrong * (scores.len() as f64 - n_wrong))
}

fn judged(labels: &[u32], probabilities: &Probabilities, filter: Filter) -> LabelErrors {
    let settings = LabelSettings {
        filter,
        ..LabelSettings::default()
    };
    label_errors(labels, probabilities, settings).unwrap()
}

fn named(found: &LabelErrors) -> BTreeSet<usize> {
    found.issues.iter().map(|issue| issue.example).collect()
}

fn floats(path: &Path) -> Vec<f32> {
    let bytes = std::fs::read(path).unwrap();
    bytes
        .as_chunks()
        .0
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect()
}

#[test]
fn errors_are_those_that_cleanlab_finds() {
    let Some(python) = std::env::var_os("OUTLAY_PEERS") else {
        println!("skipped: OUTLAY_PEERS names no Python with cleanlab and scikit-learn");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let kinds = ["uniform:0.1", "uniform:0.2", "paired:0.1", "paired:0.2"];
    let output = Command::new(python)
        .current_dir(folder.path())
        .envs(["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"].map(|name| (name, "1")))
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/it/labels_peer.py"
        ))
        .args(kinds)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let cases: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(cases.len(), kinds.len());
    let pixels = Features::dense(64, floats(&folder.path().join("pixels"))).unwrap();
    for case in &cases {
        let read = |name: &str| -> Vec<f64> {
            serde_json::from_value(case.pointer(name).unwrap().clone()).unwrap()
        };
        let kind = case["kind"].as_str().unwrap();
        let labels: Vec<u32> = serde_json::from_value(case["labels"].clone()).unwrap();
        let is_wrong: Vec<bool> = serde_json::from_value(case["is_flipped"].clone()).unwrap();
        let given = floats(&folder.path().join(format!("{kind}.probabilities")));
        let given = Probabilities::new(10, given).unwrap();
        let ours = judged(&labels, &given, Filter::default());
        for (name, scores) in [
            ("self_confidence", &ours.self_confidence),
            ("normalized_margin", &ours.margin),
        ] {
            for (score, theirs) in scores.iter().zip(read(&format!("/scores/{name}"))) {
                assert!(
                    (f64::from(*score) - theirs).abs() < 1e-5,
                    "{kind} {name}: {score} {theirs}"
                );
            }
            let theirs = case
                .pointer(&format!("/auroc/{name}"))
                .unwrap()
                .as_f64()
                .unwrap();
            let one = auroc(scores, &is_wrong);
            assert!((one - theirs).abs() < 1e-4, "{kind} {name}: {one} {theirs}");
        }
        let quality = |found: &BTreeSet<usize>| {
            let n_right = found.iter().filter(|at| is_wrong[**at]).count() as f64;
            let n_wrong = is_wrong.iter().filter(|is_wrong| **is_wrong).count() as f64;
            (n_right / found.len() as f64, n_right / n_wrong)
        };
        for (filter, name) in [
            (Filter::NoiseRate, "prune_by_noise_rate"),
            (Filter::Class, "prune_by_class"),
            (Filter::Both, "both"),
        ] {
            let one = named(&judged(&labels, &given, filter));
            let other: BTreeSet<usize> = read(&format!("/issues/{name}"))
                .into_iter()
                .map(|at| at as usize)
                .collect();
            let alike = one.intersection(&other).count() as f64 / one.union(&other).count() as f64;
            let ((precision, recall), theirs) = (quality(&one), quality(&other));
            println!(
                "{kind} {name}: {} and {} issues, {alike:.3} the same; precision {precision:.3}, recall {recall:.3} beside {:.3}, {:.3}",
                one.len(),
                other.len(),
                theirs.0,
                theirs.1
            );
            assert!(alike >= 0.9, "{kind} {name}: {alike}");
        }
        let theirs = case
            .pointer("/auroc/self_confidence")
            .unwrap()
            .as_f64()
            .unwrap();
        for model in [Model::Logistic, Model::Neighbours(10)] {
            let since = std::time::Instant::now();
            let made = out_of_fold(
                &pixels,
                &labels,
                10,
                ModelSettings {
                    model,
                    ..ModelSettings::default()
                },
            )
            .unwrap();
            let seconds = since.elapsed().as_secs_f64();
            let ours = judged(&labels, &made.probabilities, Filter::default());
            let (precision, recall) = quality(&named(&ours));
            let one = auroc(&ours.self_confidence, &is_wrong);
            println!(
                "{kind} {model:?} {:?} in {seconds:.2} s: area {one:.4} beside {theirs:.4} (margin {:.4}); precision {precision:.3}, recall {recall:.3}; {:.0} errors estimated, {} planted",
                made.strength,
                auroc(&ours.margin, &is_wrong),
                ours.n_errors,
                is_wrong.iter().filter(|is_wrong| **is_wrong).count(),
            );
            assert!(
                made.is_converged && one >= theirs - 0.01,
                "{kind} {model:?}: {one} {theirs}"
            );
        }
    }
}

/// Texts of words of which half are the label's own, and labels of which some are wrong.
fn texts(n: usize, n_classes: usize, share_wrong: f64) -> (Vec<String>, Vec<u32>, Vec<bool>) {
    let mut draw = Draw(5);
    let mut texts = Vec::new();
    let (mut labels, mut is_wrong) = (Vec::new(), Vec::new());
    for _ in 0..n {
        let class = draw.below(n_classes);
        let words: Vec<String> = (0..20 + draw.below(20))
            .map(|_| {
                let common = draw.below(4) > 0;
                let rank = draw.below(1000) * draw.below(1000) / 1000;
                // Words of all texts, and of texts of the class.
                let number = if common {
                    rank
                } else {
                    1000 + class * 1000 + rank
                };
                spelled(number)
            })
            .collect();
        texts.push(words.join(" "));
        let wrong = (draw.below(1000) as f64) < share_wrong * 1000.0;
        let label = if wrong {
            (class + 1 + draw.below(n_classes - 1)) % n_classes
        } else {
            class
        };
        labels.push(label as u32);
        is_wrong.push(wrong);
    }
    (texts, labels, is_wrong)
}

/// A number as a word of syllables.
fn spelled(mut number: usize) -> String {
    let mut word = String::new();
    loop {
        let (consonant, vowel) = (number % 14, number / 14 % 5);
        word.push_str(&"bdfghklmnprstv"[consonant..=consonant]);
        word.push_str(&"aeiou"[vowel..=vowel]);
        number /= 70;
        if number == 0 {
            return word;
        }
    }
}

#[test]
fn planted_errors_of_texts_are_found() {
    let (texts, labels, is_wrong) = texts(1200, 4, 0.1);
    let features = Features::texts(&texts);
    for model in [Model::Logistic, Model::Neighbours(10)] {
        let settings = ModelSettings {
            model,
            ..ModelSettings::default()
        };
        let made = out_of_fold(&features, &labels, 4, settings).unwrap();
        let found = judged(&labels, &made.probabilities, Filter::default());
        let area = auroc(&found.self_confidence, &is_wrong);
        assert!(area > 0.97, "{model:?}: {area}");
        assert!(
            (0.07..0.13).contains(&found.share_errors),
            "{model:?}: {}",
            found.share_errors
        );
        // As few threads as one make the same.
        let one_thread = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .build()
            .unwrap();
        let again = one_thread.install(|| out_of_fold(&features, &labels, 4, settings).unwrap());
        assert_eq!(again, made);
    }
}

#[test]
fn rare_and_single_classes_are_no_trouble() {
    // Class 2 has one example, class 3 none.
    let labels = [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 2, 0];
    let features = Features::dense(
        1,
        (0..13)
            .map(|at| if at < 5 { 0.0 } else { at as f32 })
            .collect(),
    )
    .unwrap();
    for model in [Model::Logistic, Model::Neighbours(3)] {
        let settings = ModelSettings {
            model,
            ..ModelSettings::default()
        };
        let made = out_of_fold(&features, &labels, 4, settings).unwrap();
        let found = judged(&labels, &made.probabilities, Filter::default());
        assert_eq!((found.rare.as_slice(), found.n_judged), (&[2][..], 12));
        assert!(
            found
                .issues
                .iter()
                .all(|issue| issue.given != 2 && issue.suggested != 3)
        );
        assert!(
            found
                .pairs
                .iter()
                .all(|pair| pair.given < 2 && pair.likely < 2)
        );
        let alone = out_of_fold(
            &Features::dense(1, vec![1.0; 6]).unwrap(),
            &[0; 6],
            1,
            settings,
        )
        .unwrap();
        let found = judged(&[0; 6], &alone.probabilities, Filter::Both);
        assert_eq!(
            (found.issues.len(), found.self_confidence.as_slice()),
            (0, &[1.0; 6][..])
        );
        for n in 0..2 {
            let few = out_of_fold(
                &Features::dense(1, vec![f32::NAN; n]).unwrap(),
                &vec![1; n],
                2,
                settings,
            )
            .unwrap();
            assert_eq!(
                judged(&vec![1; n], &few.probabilities, Filter::Class).n_judged,
                0
            );
        }
        let empty = out_of_fold(
            &Features::texts(&[""; 10]),
            &[0, 1, 0, 1, 0, 1, 0, 1, 0, 1],
            2,
            settings,
        )
        .unwrap();
        assert!((empty.probabilities.of(0)[0] - 0.5).abs() < 0.1);
    }
}

#[test]
fn what_is_no_probability_is_refused() {
    let new = Probabilities::new;
    for value in [f32::NAN, f32::INFINITY, -0.1] {
        let error = new(2, vec![0.5, 0.5, 0.5, value]).unwrap_err();
        assert!(
            matches!(
                error,
                LabelsError::Probability {
                    example: 1,
                    class: 1,
                    ..
                }
            ),
            "{error}"
        );
    }
    assert_eq!(
        new(2, vec![0.5, 0.5, 0.0, 0.0]).unwrap_err(),
        LabelsError::NoProbability(1)
    );
    for (n_classes, values) in [(2, vec![1.0]), (0, vec![1.0])] {
        assert!(matches!(
            new(n_classes, values),
            Err(LabelsError::Shape { .. })
        ));
    }
    let scaled = new(2, vec![3.0, 1.0, 0.5, 0.5]).unwrap();
    assert_eq!((scaled.of(0), scaled.n_scaled()), (&[0.75, 0.25][..], 1));
    let settings = LabelSettings::default();
    assert!(matches!(
        label_errors(&[0], &scaled, settings),
        Err(LabelsError::Shape {
            found: 1,
            expected: 2,
            ..
        })
    ));
    assert!(matches!(
        label_errors(&[0, 2], &scaled, settings),
        Err(LabelsError::Label {
            example: 1,
            label: 2,
            ..
        })
    ));
    let features = Features::dense(1, vec![1.0; 2]).unwrap();
    assert!(out_of_fold(&features, &[0], 1, ModelSettings::default()).is_err());
    let many = out_of_fold(&features, &[0, 1], 1 << 30, ModelSettings::default());
    assert!(matches!(many, Err(LabelsError::Classes { .. })));
}

/// Northcutt, Jiang and Chuang 2021, figure 1: its counts give its joint distribution, to the two digits that it has.
#[test]
fn the_joint_is_that_of_the_papers_figure() {
    // Rows are given, columns likely: dog, fox and cow.
    let counts = [[100, 40, 20], [56, 60, 0], [32, 12, 80]];
    let (mut labels, mut values) = (Vec::new(), Vec::new());
    for (given, row) in (0..).zip(counts) {
        for (likely, n) in row.into_iter().enumerate() {
            for _ in 0..n {
                labels.push(given);
                values.extend((0..3).map(|class| if class == likely { 1.0 } else { 0.0 }));
            }
        }
    }
    let found = judged(
        &labels,
        &Probabilities::new(3, values).unwrap(),
        Filter::default(),
    );
    let shares: Vec<(u32, u32, f64)> = found
        .pairs
        .iter()
        .map(|pair| {
            (
                pair.given,
                pair.likely,
                (pair.share * 100.0).round() / 100.0,
            )
        })
        .collect();
    assert_eq!(
        shares,
        [
            (0, 0, 0.25),
            (0, 1, 0.1),
            (0, 2, 0.05),
            (1, 0, 0.14),
            (1, 1, 0.15),
            (2, 0, 0.08),
            (2, 1, 0.03),
            (2, 2, 0.2)
        ]
    );
    assert!((found.n_errors - 160.0).abs() < 1e-6 && found.issues.len() == 160);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn estimates_add_up(seed in any::<u64>(), n in 1_usize..120, n_classes in 1_usize..6) {
        let mut draw = Draw(seed);
        let labels: Vec<u32> = (0..n).map(|_| draw.below(n_classes) as u32).collect();
        let values = (0..n * n_classes).map(|_| 1.0 + draw.below(1000) as f32).collect();
        let probabilities = Probabilities::new(n_classes, values).unwrap();
        let both = named(&judged(&labels, &probabilities, Filter::Both));
        let by_rate = judged(&labels, &probabilities, Filter::NoiseRate);
        let by_class = judged(&labels, &probabilities, Filter::Class);
        prop_assert_eq!(&both, &named(&by_rate).intersection(&named(&by_class)).copied().collect());
        let sum: f64 = by_rate.pairs.iter().map(|pair| pair.n_estimated).sum();
        prop_assert!((sum - by_rate.n_judged as f64).abs() < 1e-6);
        for class in 0..n_classes as u32 {
            let noise: f64 = by_rate.pairs.iter().filter(|pair| pair.likely == class).map(|pair| pair.noise).sum();
            prop_assert!(noise.abs() < 1e-9 || (noise - 1.0).abs() < 1e-9);
        }
        for issue in &by_class.issues {
            prop_assert!(issue.margin <= 0.5 && issue.given != issue.suggested);
            prop_assert_eq!(issue.self_confidence, by_class.self_confidence[issue.example]);
        }
        prop_assert!(by_rate.issues.len() as f64 <= by_rate.n_errors + n_classes as f64);
    }

    #[test]
    fn folds_are_even(seed in any::<u64>(), n in 0_usize..200, n_classes in 1_usize..9, n_folds in 2_u32..8) {
        let mut draw = Draw(seed);
        let labels: Vec<u32> = (0..n).map(|_| draw.below(n_classes) as u32).collect();
        let folds = folds(&labels, n_folds, seed);
        for class in std::iter::once(None).chain((0..n_classes as u32).map(Some)) {
            let sizes: Vec<usize> = (0..n_folds)
                .map(|fold| (0..n).filter(|at| folds[*at] == fold && class.is_none_or(|class| labels[*at] == class)).count())
                .collect();
            prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1);
        }
    }
}
