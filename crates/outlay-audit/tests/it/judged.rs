//! What an audit says of labels and groups, of small data with faults that were planted.

use outlay_audit::{Judged, Probabilities, Settings};

use crate::draw::Draw;

fn judged(
    lines: &str,
    name: &str,
    change: impl FnOnce(&mut Settings),
    given: Option<Probabilities>,
) -> std::io::Result<Judged> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, lines).unwrap();
    let mut settings = crate::settings(folder.path());
    settings.label = Some("label".to_owned());
    change(&mut settings);
    let audit = outlay_audit::audit(&[path], None, &settings, |_| {}).unwrap();
    Ok(Judged::new(&audit, &settings, given)?.unwrap())
}

/// Texts of two topics, of which some have the label of the other.
fn texts(n: usize, flipped: impl Fn(usize) -> bool) -> String {
    let mut draw = Draw(5);
    let topics = [
        [
            "boat", "sail", "harbour", "wave", "anchor", "tide", "mast", "crew",
        ],
        [
            "flour", "oven", "butter", "sugar", "dough", "yeast", "crust", "bake",
        ],
    ];
    let mut lines = String::new();
    for record in 0..n {
        let topic = record % 2;
        let words: Vec<String> = (0..12)
            .map(|_| match draw.below(2) {
                0 => topics[topic][draw.below(8)].to_owned(),
                _ => format!("word{}", draw.below(200)),
            })
            .collect();
        let label = if flipped(record) { 1 - topic } else { topic };
        let label = ["sea", "kitchen"][label];
        let line = serde_json::json!({"id": format!("r{record}"), "text": words.join(" "), "label": label});
        lines.push_str(&format!("{line}\n"));
    }
    lines
}

#[test]
fn wrong_labels_of_texts_are_found() {
    let is_flipped = |record: usize| record % 20 == 7;
    let found = judged(&texts(600, is_flipped), "a.jsonl", |_| {}, None).unwrap();
    let errors = found.errors.as_ref().unwrap();
    assert_eq!(errors.by, "texts");
    let right = errors
        .issues
        .iter()
        .filter(|issue| is_flipped(issue.record[1..].parse().unwrap()))
        .count();
    // Thirty were flipped. One counts as confident where the other class is likelier than on the mean of that class, as it is for
    // about half of them at least.
    assert!(right >= 15, "{right} of 30");
    assert!(errors.issues.len() <= right + 2, "{}", errors.issues.len());
    assert!(
        (15.0..=36.0).contains(&errors.n_errors),
        "{}",
        errors.n_errors
    );
    let first = &errors.first[0];
    assert_ne!(first.label, first.suggested);
    let mut lines = Vec::new();
    found.write_issues(&mut lines).unwrap();
    assert_eq!(
        String::from_utf8(lines).unwrap().lines().count(),
        errors.issues.len()
    );
    let balance = found.balance.unwrap();
    assert_eq!((balance.n, balance.n_classes), (600, 2));
    // Nothing is wrong where nothing was flipped.
    let found = judged(&texts(600, |_| false), "a.jsonl", |_| {}, None).unwrap();
    assert_eq!(found.errors.unwrap().issues.len(), 0);
}

#[test]
fn probabilities_given_are_held_against_labels() {
    let lines = texts(40, |record| record == 8);
    // Classes are sorted: kitchen, sea.
    let of = |record: usize| {
        if record.is_multiple_of(2) {
            [0.1, 0.9]
        } else {
            [0.9, 0.1]
        }
    };
    let values: Vec<f32> = (0..40).flat_map(of).collect();
    let given = Probabilities::new(2, values.clone()).unwrap();
    let found = judged(&lines, "a.jsonl", |_| {}, Some(given)).unwrap();
    let errors = found.errors.unwrap();
    assert_eq!(
        (errors.by, errors.n_issues, errors.first[0].record.as_str()),
        ("given probabilities", 1, "r8")
    );
    assert_eq!(
        (
            errors.first[0].label.as_str(),
            errors.first[0].suggested.as_str()
        ),
        ("kitchen", "sea")
    );
    let short = Probabilities::new(2, values[..78].to_vec()).unwrap();
    let error = judged(&lines, "a.jsonl", |_| {}, Some(short)).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("39 rows of 2 classes; allowed: 40 rows"),
        "{error}"
    );
}

/// Rows of a table: a field that is the label in other words, a group that has to do with it, a field that stands for the group.
#[test]
fn giveaways_groups_and_proxies_are_named() {
    let mut draw = Draw(11);
    let mut table = "id,age,income,sex,title,outcome_code,noise,label\n".to_owned();
    for row in 0..2000 {
        let sex = ["f", "m"][draw.below(2)];
        let income = 20 + draw.below(80);
        // 30% of women and 60% of men are taken.
        let is_taken = draw.below(100) < if sex == "f" { 30 } else { 60 };
        table.push_str(&format!(
            "{row},{},{income},{sex},{},{},{},{}\n",
            20 + draw.below(50),
            if sex == "f" { "Ms" } else { "Mr" },
            if is_taken { "A7" } else { "B2" },
            draw.below(1000),
            if is_taken { "yes" } else { "no" },
        ));
    }
    let found = judged(
        &table,
        "a.csv",
        |settings| settings.groups = vec!["sex".to_owned()],
        None,
    )
    .unwrap();
    assert_eq!(
        (
            found.giveaways[0].column.as_str(),
            found.giveaways[0].balanced_accuracy
        ),
        ("outcome_code", 1.0)
    );
    assert!(found.giveaways[1].skill < 0.5, "{:?}", found.giveaways[1]);
    let sex = &found.associations[0];
    assert!(sex.p_adjusted < 1e-6 && sex.cramers_v > 0.2, "{sex:?}");
    let gap = sex.largest.as_ref().unwrap();
    assert!(
        (gap.difference - 0.3).abs() < 0.07 && gap.interval.low < 0.3 && gap.interval.high > 0.3,
        "{gap:?}"
    );
    let proxies = &found.proxies[0];
    assert_eq!(
        (proxies.group.as_str(), proxies.fields[0].column.as_str()),
        ("sex", "title")
    );
    assert!(proxies.fields[1].skill < 0.5, "{:?}", proxies.fields[1]);
    // With the field that gives it away the model is always right.
    let errors = found.errors.unwrap();
    assert_eq!((errors.by, errors.n_issues), ("fields", 0));
}
