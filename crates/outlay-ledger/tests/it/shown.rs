//! What tables, pictures and summaries read.

use outlay_ledger::{
    Batch, Condition, Field, KeyKind, Label, Micro, Operand, Order, Range, RunQuery, Series, Test,
    Wanted,
};

use crate::{everything, filled, losses, on_each, open, run, said, spent};

fn query() -> RunQuery {
    RunQuery {
        limit: 100,
        ..RunQuery::default()
    }
}

fn by(name: &str, ascending: bool) -> Order {
    Order {
        field: Field::Attribute(name.to_owned()),
        ascending,
        dataset: None,
    }
}

#[test]
fn a_table_holds_the_columns_that_are_wanted() {
    on_each(async |somewhere| {
        let ledger = filled(somewhere).await;
        let wanted = Wanted {
            params: vec!["lr".to_owned()],
            tags: vec!["stage".to_owned(), "absent".to_owned()],
            metrics: vec!["loss".to_owned()],
            spent: true,
        };
        let mut sorted = query();
        sorted.order = vec![by("spent_usd", false)];
        let rows = ledger.run_rows(&sorted, &wanted).await.expect("reads");
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].id, run(1).id);
        assert_eq!(rows[0].params, [("lr".to_owned(), "0.1".to_owned())]);
        assert_eq!(rows[0].tags, [("stage".to_owned(), "one".to_owned())]);
        assert_eq!(rows[0].spent, [("USD".to_owned(), Micro(1_250_001))]);
        assert_eq!(rows[0].metrics.len(), 1);
        assert_eq!(rows[0].metrics[0].last.step, 4999);
        assert_eq!(rows[0].metrics[0].range, Some((1.0 / 5000.0, 1.0)));
        assert_eq!(rows[1].spent, [("USD".to_owned(), Micro(-7))]);
        assert!(rows[1].metrics.is_empty() && rows[1].params.is_empty());

        let bare = ledger
            .run_rows(&sorted, &Wanted::default())
            .await
            .expect("reads");
        assert!(bare[0].spent.is_empty() && bare[0].metrics.is_empty());
        let mut one = query();
        one.limit = 1;
        one.conditions = vec![Condition {
            field: Field::Parameter("lr".to_owned()),
            test: Test::Equal,
            operand: Operand::Text("0.1".to_owned()),
            datasets: vec![],
        }];
        assert_eq!(ledger.count_runs(&one).await.expect("counts"), 1);
        one.conditions.clear();
        assert_eq!(ledger.count_runs(&one).await.expect("counts"), 2);
        one.order = vec![by("duration_s", true)];
        assert_eq!(
            ledger.run_rows(&one, &wanted).await.expect("reads").len(),
            1
        );
    });
}

#[test]
fn groups_come_in_the_order_in_which_runs_are_sorted() {
    on_each(async |somewhere| {
        let ledger = filled(somewhere).await;
        let mut third = run(3);
        third.project = "other".to_owned();
        let batch = Batch {
            runs: vec![third],
            params: vec![Label {
                run_id: run(3).id,
                key: "lr".to_owned(),
                value: "0.01".to_owned(),
            }],
            ..Batch::default()
        };
        ledger.write(batch).await.expect("writes");
        let field = Field::Parameter("lr".to_owned());
        let groups = ledger
            .run_groups(&query(), &field, 10)
            .await
            .expect("groups");
        let told: Vec<(Option<&str>, i64)> = groups
            .iter()
            .map(|group| (group.value.as_deref(), group.n_runs))
            .collect();
        assert_eq!(told, [(Some("0.01"), 1), (Some("0.1"), 1), (None, 1)]);
        assert_eq!(groups[1].spent_usd, Micro(1_250_001));
        let project = Field::Attribute("project".to_owned());
        let groups = ledger
            .run_groups(&query(), &project, 10)
            .await
            .expect("groups");
        assert_eq!(groups[1].n_runs, 2);
        let number = Field::Attribute("start_time".to_owned());
        let error = ledger.run_groups(&query(), &number, 10).await;
        assert!(
            error
                .expect_err("is refused")
                .to_string()
                .contains("start_time")
        );
    });
}

#[test]
fn names_of_columns_are_found_by_a_part() {
    on_each(async |somewhere| {
        let ledger = filled(somewhere).await;
        let names = async |kind, part: &str| ledger.run_keys(kind, part, 10).await.expect("reads");
        assert_eq!(names(KeyKind::Metric, "").await, ["loss", "strange"]);
        assert_eq!(names(KeyKind::Metric, "LO").await, ["loss"]);
        assert_eq!(names(KeyKind::Param, "l").await, ["lr"]);
        assert_eq!(names(KeyKind::Tag, "%").await, [""; 0]);
        let (metrics, n_all) = ledger
            .run_metrics(&run(1).id, "", 1, 1)
            .await
            .expect("reads");
        assert_eq!((metrics[0].key.as_str(), n_all), ("strange", 2));
        let (none, n_all) = ledger.run_metrics("no", "", 0, 5).await.expect("reads");
        assert_eq!((none.len(), n_all), (0, 0));
    });
}

#[test]
fn a_ledger_without_metrics_has_no_names() {
    on_each(async |somewhere| {
        let ledger = open(somewhere).await;
        for kind in [KeyKind::Metric, KeyKind::Param, KeyKind::Tag] {
            assert!(
                ledger
                    .run_keys(kind, "", 10)
                    .await
                    .expect("reads")
                    .is_empty()
            );
        }
        assert_eq!(ledger.totals().await.expect("reads").n_evidence, 0);
        assert!(
            ledger
                .spent_by_day(0, "", "")
                .await
                .expect("reads")
                .is_empty()
        );
    });
}

#[test]
fn spending_is_summed_by_project_and_day() {
    on_each(async |somewhere| {
        let ledger = filled(somewhere).await;
        let projects = ledger.spent_by_project(0).await.expect("reads");
        assert_eq!(projects.len(), 1);
        assert_eq!(
            (projects[0].project.as_str(), projects[0].micro),
            ("paper", Micro(1_249_994))
        );
        let late = spent(1, 1, 0).to_us;
        let late = ledger.spent_by_project(late).await.expect("reads");
        assert_eq!(late[0].micro, Micro(250_001));
        let days = ledger.spent_by_day(i64::MIN, "paper", "vision").await;
        let days = days.expect("reads");
        let none = ledger.spent_by_day(0, "other", "").await.expect("reads");
        assert!(none.is_empty());
        assert_eq!((days.len(), days[0].micro), (1, Micro(1_249_994)));
        assert_eq!(days[0].day, spent(1, 0, 0).to_us / 86_400_000_000);
        let totals = ledger.totals().await.expect("reads");
        assert_eq!(
            (totals.n_runs, totals.n_entries, totals.n_evidence),
            (2, 3, 11)
        );
        let marks = ledger.running_marks(1).await.expect("reads");
        assert_eq!(marks, [(run(2).id, run(2).seen_us)]);
    });
}

#[test]
fn evidence_comes_by_the_page() {
    on_each(async |somewhere| {
        let ledger = filled(somewhere).await;
        let page = async |subject, kind, before, limit| {
            let page = ledger.evidence_page(subject, kind, before, limit).await;
            page.expect("reads")
        };
        let first = page(None, None, None, 2).await;
        assert_eq!((first[0].0, first[1].0), (10, 9));
        assert_eq!(page(None, None, Some(1), 5).await, [(0, said(0))]);
        assert_eq!(
            page(Some("model/1"), Some("note"), Some(7), 5).await.len(),
            2
        );
        assert!(page(Some("model/1"), Some("run"), None, 5).await.is_empty());
        let kinds = ledger.evidence_kinds().await.expect("reads");
        assert_eq!(kinds, ["note", "run"]);
    });
}

#[test]
fn a_long_history_is_thinned_to_its_extremes() {
    on_each(async |somewhere| {
        let ledger = open(somewhere).await;
        let mut long = losses(1, 60_000);
        for point in &mut long.points {
            point.value = (point.step as f64 / 50.0).sin();
            point.at_us = point.step * 1000;
        }
        // What stands out must be seen.
        long.points[41_234].value = 99.0;
        long.points[7].value = f64::NAN;
        let mut unnumbered = long.clone();
        unnumbered.key = "unnumbered".to_owned();
        for point in &mut unnumbered.points {
            point.step = 0;
        }
        let batch = Batch {
            runs: vec![run(1)],
            ..everything_less(vec![long, unnumbered])
        };
        ledger.write(batch).await.expect("writes");
        for key in ["loss", "unnumbered"] {
            let thin = ledger.thinned(&run(1).id, key, Range::Whole, 500).await;
            let thin = thin.expect("reads");
            assert!(thin.is_thinned && thin.n_points == 59_999, "{thin:?}");
            assert!(
                (900..=1100).contains(&thin.points.len()),
                "{}",
                thin.points.len()
            );
            assert!(thin.points.iter().any(|point| point.value == 99.0));
            assert!(
                thin.points
                    .is_sorted_by_key(|point| (point.step, point.at_us))
            );
            let time = Range::Time(40_000_000, 45_000_000);
            let few = ledger
                .thinned(&run(1).id, key, time, 500)
                .await
                .expect("reads");
            assert!(!few.is_thinned && few.n_points == 5001);
            let time = Range::Time(10_000_000, 45_000_000);
            let some = ledger
                .thinned(&run(1).id, key, time, 100)
                .await
                .expect("reads");
            assert!(
                some.is_thinned && some.n_points == 35_001,
                "{}",
                some.n_points
            );
            assert!(
                some.points
                    .iter()
                    .all(|point| (10_000_000..=45_000_000).contains(&point.at_us))
            );
        }
        let steps = Range::Steps(0, 30_000);
        let half = ledger
            .thinned(&run(1).id, "loss", steps, 100)
            .await
            .expect("reads");
        assert_eq!(half.n_points, 30_000);
        let none = ledger.thinned(&run(1).id, "absent", Range::Whole, 5).await;
        assert!(none.expect("reads").points.is_empty());
        let steps = Range::Steps(9, 3);
        let none = ledger.thinned(&run(1).id, "loss", steps, 5).await;
        assert!(none.expect("reads").points.is_empty());
    });
}

fn everything_less(series: Vec<Series>) -> Batch {
    Batch {
        runs: Vec::new(),
        params: Vec::new(),
        tags: Vec::new(),
        series,
        datasets: Vec::new(),
        artifacts: Vec::new(),
        spending: Vec::new(),
        evidence: Vec::new(),
        ..everything()
    }
}
