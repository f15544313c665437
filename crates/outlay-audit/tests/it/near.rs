//! Duplicates: what is found is what comparing every pair would find.

use outlay_audit::{Audit, Sets, Shingle, Shingler, jaccard};
use proptest::prelude::*;

use crate::{Draw, audited};

/// Texts of which many are changed copies of others.
fn texts(seed: u64, n_texts: usize) -> Vec<String> {
    let mut draw = Draw(seed);
    let mut texts: Vec<Vec<usize>> = Vec::new();
    for at in 0..n_texts {
        let mut words = if at > 0 && draw.below(3) > 0 {
            texts[draw.below(at)].clone()
        } else {
            (0..draw.below(120)).map(|_| draw.below(3000)).collect()
        };
        for _ in 0..draw.below(4) {
            if !words.is_empty() {
                let place = draw.below(words.len());
                words[place] = draw.below(3000);
            }
        }
        texts.push(words);
    }
    let spelled = |words: &Vec<usize>| {
        words
            .iter()
            .map(|word| format!("w{word}"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    texts.iter().map(spelled).collect()
}

fn lines(texts: &[String]) -> Vec<u8> {
    texts
        .iter()
        .fold(String::new(), |lines, text| {
            lines + &serde_json::json!({"text": text}).to_string() + "\n"
        })
        .into_bytes()
}

/// What comparing all pairs finds.
fn compared(texts: &[String], shingle: Shingle) -> Sets {
    let mut shingler = Shingler::new(shingle);
    let sets: Vec<Vec<u32>> = texts
        .iter()
        .map(|text| shingler.set(text).to_vec())
        .collect();
    let mut clusters = Sets::new(texts.len() as u32);
    for one in 0..sets.len() {
        for other in 0..one {
            if !sets[one].is_empty()
                && !sets[other].is_empty()
                && jaccard(&sets[one], &sets[other]) >= 0.8
            {
                clusters.merge(one as u32, other as u32);
            }
        }
    }
    clusters
}

fn least(clusters: &Sets) -> Vec<u32> {
    (0..clusters.len() as u32)
        .map(|text| clusters.least(text))
        .collect()
}

fn clusters(audit: &Audit) -> Vec<u32> {
    least(&audit.near.as_ref().unwrap().clusters)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn clusters_are_those_of_all_pairs(seed in any::<u64>(), n_texts in 1_usize..150) {
        let texts = texts(seed, n_texts);
        for shingle in [Shingle::Words(5), Shingle::Words(1), Shingle::Characters(9)] {
            let audit = audited("a.jsonl", &lines(&texts), |settings| {
                settings.near.as_mut().unwrap().shingle = shingle;
            });
            prop_assert_eq!(clusters(&audit), least(&compared(&texts, shingle)));
        }
    }
}

/// Memory for a thousand entries: every band is read in many parts.
#[test]
fn little_memory_finds_the_same() {
    let texts = texts(3, 6000);
    let of = |memory_bytes| {
        clusters(&audited("a.jsonl", &lines(&texts), |settings| {
            settings.near.as_mut().unwrap().memory_bytes = memory_bytes;
        }))
    };
    let found = of(1);
    assert_eq!(found, of(1 << 26));
    assert!((0..6000).filter(|at| found[*at as usize] != *at).count() > 2000);
}

#[test]
fn one_processor_finds_the_same() {
    let texts = texts(4, 2000);
    let alone = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    let of_one = alone.install(|| clusters(&audited("a.jsonl", &lines(&texts), |_| {})));
    assert_eq!(
        of_one,
        clusters(&audited("a.jsonl", &lines(&texts), |_| {}))
    );
}

#[test]
fn the_same_words_are_exact_duplicates() {
    let texts = [
        "One two, three!",
        "one TWO three",
        "three two one",
        "",
        "...",
        "one two three.",
    ]
    .map(str::to_owned);
    let found = audited("a.jsonl", &lines(&texts), |_| {}).near.unwrap();
    assert_eq!(found.exact, [0, 0, 2, 3, 4, 0]);
    assert_eq!(found.n_empty, 2);
    assert_eq!(least(&found.clusters), [0, 0, 2, 3, 4, 0]);
}

/// A thousand texts with one long beginning in common, and otherwise unlike: their signatures meet often, and they are no duplicates.
#[test]
fn much_in_common_is_not_enough() {
    let mut draw = Draw(9);
    let common: Vec<String> = (0..60).map(|word| format!("common{word}")).collect();
    let texts: Vec<String> = (0..1000)
        .map(|_| {
            let own: Vec<String> = (0..60)
                .map(|_| format!("own{}", draw.below(100_000)))
                .collect();
            format!("{} {}", common.join(" "), own.join(" "))
        })
        .collect();
    let found = audited("a.jsonl", &lines(&texts), |_| {}).near.unwrap();
    assert_eq!(least(&found.clusters), (0..1000).collect::<Vec<_>>());
    assert!(found.n_compared > 0);
}

#[test]
fn thresholds_have_a_range() {
    let folder = tempfile::tempdir().unwrap();
    for threshold in [0.0, 0.3, 1.01, f64::NAN, -1.0] {
        let mut settings = crate::settings(folder.path());
        settings.near.as_mut().unwrap().threshold = threshold;
        let error = outlay_audit::audit(&[], None, &settings, |_| {}).unwrap_err();
        assert!(error.to_string().contains("allowed: above 0.3"), "{error}");
    }
    let one = audited("a.jsonl", &lines(&texts(5, 100)), |settings| {
        settings.near.as_mut().unwrap().threshold = 1.0;
    });
    assert_eq!(one.near.unwrap().bands.meeting(1.0), 1.0);
}
