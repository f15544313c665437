//! Training data beside its validation and test sets.

use std::path::PathBuf;

use outlay_audit::{Audit, Keep, Report, Settings};

/// Audits the data of a folder against its other files.
fn compared(
    data: &[(&str, &str)],
    others: &[(&str, &str)],
    change: impl FnOnce(&mut Settings),
) -> (Audit, Report) {
    let folder = tempfile::tempdir().unwrap();
    let write = |(name, content): &(&str, &str)| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let data: Vec<PathBuf> = data.iter().map(write).collect();
    let others: Vec<PathBuf> = others.iter().map(write).collect();
    let mut settings = crate::settings(folder.path());
    change(&mut settings);
    let benchmarks = outlay_audit::benchmarks(&others, &settings, |_| {}).unwrap();
    let audit = outlay_audit::audit(&data, Some(&benchmarks), &settings, |_| {}).unwrap();
    let report = Report::new(&audit, settings.near.as_ref(), Some(&benchmarks)).unwrap();
    (audit, report)
}

const TRAIN: &str = "id,person,when,age,height,weight,pulse,town,shoe,eye,label
1,ann,2024-01-01,31,1.70,61,70,Ulm,39,blue,no
2,bob,2024-01-02,45,1.82,90,64,Bonn,45,brown,yes
3,cid,2024-02-01,28,1.65,72,80,Kiel,41,green,no
4,bob,2024-02-09,45,1.82,90,64,Bonn,45,brown,no
";

const TEST: &str = "person,id,when,age,height,weight,pulse,town,shoe,eye,label
ann,9,2024-01-15,31,1.7,61.0,70,ulm,39,BLUE,no
dan,10,2024-03-01,50,1.75,85,66,Jena,43,grey,yes
bob,11,2024-03-02,45,1.82,91,64,Bonn,45,brown,yes
";

#[test]
fn rows_groups_and_times_that_cross_are_counted() {
    let (audit, report) = compared(&[("train.csv", TRAIN)], &[("test.csv", TEST)], |settings| {
        settings.label = Some("label".to_owned());
        settings.groups = vec!["person".to_owned()];
        settings.time = Some("when".to_owned());
        settings.near.as_mut().unwrap().threshold = 0.7;
    });
    assert_eq!((audit.n_records, audit.table.len()), (4, 7));
    let crossing = report.crossing.unwrap();
    assert_eq!((crossing.n_files, crossing.n_records), (1, 3));
    // Ann is the same however her row is written; of Bob's nine cells and his name one differs.
    assert_eq!((crossing.n_exact, crossing.n_near), (1, 2));
    assert_eq!(crossing.n_data_records, 3);
    assert_eq!(
        (
            crossing.first[0].record.as_str(),
            crossing.first[0].compared.as_str(),
            crossing.first[0].how
        ),
        ("1", "9", "exact")
    );
    assert_eq!(
        (crossing.first[1].record.as_str(), crossing.first[1].how),
        ("2", "near")
    );
    let person = &crossing.groups[0];
    assert_eq!(
        (person.n_values, person.n_shared, person.n_records),
        (3, 2, 2)
    );
    let time = crossing.time.unwrap();
    // 2024-02-01 and 2024-02-09 are not before 2024-01-15, which is not after 2024-02-09.
    assert_eq!(
        (
            time.n_data_not_before,
            time.n_compared_not_after,
            time.n_unread
        ),
        (2, 1, 0)
    );
    // Bob's two rows are one but for the label.
    let duplicates = report.duplicates.unwrap();
    assert_eq!(
        (duplicates.n_exact, duplicates.n_near, duplicates.n_clusters),
        (1, 1, 1)
    );
    assert_eq!(duplicates.n_label_conflicts, Some(1));
    // What is only compared with is counted nowhere else.
    assert_eq!((report.n_records, report.n_files), (4, 1));
    assert_eq!(
        audit.counts.groups[0].counts,
        [(1, 1), (2, 1), (1, 0), (0, 1)]
    );
}

#[test]
fn a_file_of_another_form_is_a_benchmark_only() {
    let other = "{\"question\": \"How tall is Ann of Ulm?\", \"answer\": \"1.70\"}\n";
    let (audit, report) = compared(&[("train.csv", TRAIN)], &[("test.jsonl", other)], |_| {});
    assert!(report.crossing.is_none());
    assert_eq!(audit.table.len(), 4);
    assert!(report.leaks.is_some());
}

#[test]
fn times_in_order_cross_nothing() {
    let test = "{\"when\": \"2024-03-01T00:00:00Z\", \"text\": \"a b c d e f\"}\n{\"when\": 1, \"text\": \"g\"}\n";
    let train = "{\"when\": \"2024-02-29T23:59:59+00:00\", \"text\": \"h i j\"}\n{\"when\": \"soon\", \"text\": \"k\"}\n";
    let (_, report) = compared(
        &[("a.jsonl", train)],
        &[(
            "b.jsonl",
            &test.replace("\"when\": 1,", "\"when\": \"2024-03-02\","),
        )],
        |settings| settings.time = Some("when".to_owned()),
    );
    let time = report.crossing.unwrap().time.unwrap();
    assert_eq!((time.n_data_not_before, time.n_unread), (0, 1));
    assert_eq!(time.compared_first - time.data_last, 1.0);
}

/// A copy has no record that the test set has.
#[test]
fn a_copy_is_clear_of_the_test_set() {
    let folder = tempfile::tempdir().unwrap();
    let (train, test) = (
        folder.path().join("train.csv"),
        folder.path().join("test.csv"),
    );
    std::fs::write(&train, TRAIN).unwrap();
    std::fs::write(&test, TEST).unwrap();
    let settings = crate::settings(folder.path());
    let benchmarks = outlay_audit::benchmarks(&[test], &settings, |_| {}).unwrap();
    let paths = [train];
    let audit = outlay_audit::audit(&paths, Some(&benchmarks), &settings, |_| {}).unwrap();
    let how = outlay_audit::Fix {
        keep: Keep::First,
        redact: false,
        ..outlay_audit::Fix::default()
    };
    let clean = folder.path().join("clean");
    let fixed = outlay_audit::fix(&paths, &audit, &settings, how, &clean).unwrap();
    assert_eq!(
        (fixed.n_kept, fixed.n_leaked, fixed.n_duplicates),
        (2, 1, 1)
    );
    let kept = std::fs::read_to_string(clean.join("train.csv")).unwrap();
    assert_eq!(kept.lines().count(), 3, "{kept}");
    assert!(!kept.contains("ann"), "{kept}");
    let removed = std::fs::read_to_string(clean.join("removed.jsonl")).unwrap();
    assert!(
        removed.contains("\"in what it is compared with\""),
        "{removed}"
    );
}

#[test]
fn files_that_differ_in_their_fields_are_named() {
    let (_, report) = compared(
        &[
            (
                "a.jsonl",
                "{\"text\": \"a\", \"n\": 1}\n{\"text\": \"b\", \"n\": 2}\n",
            ),
            ("b.jsonl", "{\"text\": \"c\", \"n\": \"3\"}\n"),
            (
                "c.jsonl",
                "{\"text\": \"d\"}\n{\"text\": 7}\n{\"text\": \"e\"}\n",
            ),
            ("d.jsonl", "{\"text\": \"f\", \"n\": null}\n"),
        ],
        &[("z.jsonl", "{\"text\": \"d e f g h i\", \"n\": 1}\n")],
        |_| {},
    );
    let drift: Vec<(&str, &str, &str)> = report
        .fields
        .drift
        .iter()
        .map(|drift| {
            let file = drift.file.rsplit('/').next().unwrap();
            (drift.field.as_str(), file, drift.what)
        })
        .collect();
    assert_eq!(
        drift,
        [
            ("n", "b.jsonl", "other_type"),
            ("text", "c.jsonl", "mixed_types"),
            ("n", "c.jsonl", "missing_field"),
        ]
    );
    let n = &report.fields.fields[1];
    assert_eq!(
        (
            n.name.as_str(),
            n.n_missing,
            n.types["integer"],
            n.types["null"]
        ),
        ("n", 3, 2, 1)
    );
}
