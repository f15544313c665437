//! Runs that are looked for, documents that are edited, and what lists of runs show without reading points.

use outlay_ledger::{
    Batch, Condition, Dataset, Fault, Field, Label, Ledger, Metric, ModelPoint, Operand, Order,
    Point, RunChange, RunModel, RunQuery, RunStatus, Series, Test, View,
};

use crate::{on_each, open, run};

fn label(n: u32, key: &str, value: &str) -> Label {
    Label {
        run_id: run(n).id,
        key: key.to_owned(),
        value: value.to_owned(),
    }
}

fn series(n: u32, key: &str, values: &[(i64, i64, f64)]) -> Series {
    let point = |(step, at_us, value): &(i64, i64, f64)| Point {
        step: *step,
        at_us: *at_us,
        value: *value,
    };
    Series {
        run_id: run(n).id,
        key: key.to_owned(),
        points: values.iter().map(point).collect(),
    }
}

/// Four runs in two experiments, that differ in what can be asked for.
async fn four(ledger: &Ledger) {
    let mut runs = [run(1), run(2), run(3), run(4)];
    runs[1].status = RunStatus::Scheduled;
    runs[2].status = RunStatus::Stopped;
    runs[3].experiment_id = 7;
    for (at, one) in runs.iter_mut().enumerate() {
        one.name = ["ResNet-50", "resnet_18", "vit*[b]", "other"][at].to_owned();
    }
    ledger
        .write(Batch {
            runs: runs.to_vec(),
            params: vec![
                label(1, "lr", "0.1"),
                label(2, "lr", "0.01"),
                label(3, "opt", "adam"),
            ],
            tags: vec![label(1, "stage", "a"), label(2, "stage", "b")],
            series: vec![
                series(1, "loss", &[(0, 5, 2.0), (1, 6, 0.5)]),
                series(2, "loss", &[(0, 5, f64::NAN)]),
                series(3, "loss", &[(9, 1, 1.5), (9, 1, 1.25), (3, 9, -4.0)]),
            ],
            ..Batch::default()
        })
        .await
        .expect("writes");
}

fn holds(field: Field, test: Test, operand: Operand) -> Condition {
    Condition {
        field,
        test,
        operand,
        datasets: Vec::new(),
    }
}

async fn found(ledger: &Ledger, conditions: Vec<Condition>, order: Vec<Order>) -> Vec<u32> {
    let query = RunQuery {
        experiment_ids: Some(vec![0, 7]),
        conditions,
        order,
        limit: 100,
        ..RunQuery::default()
    };
    let runs = ledger.search_runs(&query).await.expect("searches");
    let number = |id: &str| u32::from_str_radix(id, 16).expect("a number");
    runs.iter().map(|detail| number(&detail.run.id)).collect()
}

#[test]
fn conditions_and_orders_mean_the_same_in_both_databases() {
    let text = |text: &str| Operand::Text(text.to_owned());
    let name = || Field::Attribute("run_name".to_owned());
    let loss = || Field::Metric("loss".to_owned());
    let lr = || Field::Parameter("lr".to_owned());
    let status = || Field::Attribute("status".to_owned());
    on_each(async |somewhere| {
        let ledger = open(somewhere).await;
        four(&ledger).await;
        let texts = Operand::Texts(vec![run(1).id, run(4).id, "x".to_owned()]);
        let id = || Field::Attribute("run_id".to_owned());
        let cases = [
            (holds(name(), Test::Like, text("ResNet%")), vec![1]),
            (holds(name(), Test::Like, text("resnet_1_")), vec![2]),
            (holds(name(), Test::Like, text("%*[b]")), vec![3]),
            (holds(name(), Test::ILike, text("RESNET%")), vec![2, 1]),
            (holds(name(), Test::Equal, text("other")), vec![4]),
            (holds(status(), Test::Equal, text("SCHEDULED")), vec![2]),
            (holds(status(), Test::Equal, text("KILLED")), vec![3]),
            (holds(status(), Test::NotEqual, text("RUNNING")), vec![3, 2]),
            (holds(loss(), Test::Less, Operand::Number(1.0)), vec![1]),
            // Not-a-number is neither less, nor the same, nor other than a number.
            (
                holds(loss(), Test::NotEqual, Operand::Number(7.0)),
                vec![3, 1],
            ),
            (holds(loss(), Test::Equal, Operand::Number(1.5)), vec![3]),
            (holds(lr(), Test::NotEqual, text("0.1")), vec![2]),
            (holds(lr(), Test::IsNull, Operand::Nothing), vec![4, 3]),
            (holds(lr(), Test::IsNotNull, Operand::Nothing), vec![2, 1]),
            (
                holds(Field::Tag("stage".to_owned()), Test::Equal, text("b")),
                vec![2],
            ),
            (holds(id(), Test::In, texts.clone()), vec![4, 1]),
            (holds(id(), Test::NotIn, texts), vec![3, 2]),
            (
                holds(
                    Field::Attribute("start_time".to_owned()),
                    Test::Greater,
                    Operand::Integer(1),
                ),
                vec![4, 3, 2, 1],
            ),
        ];
        for (condition, expected) in cases {
            let is = found(&ledger, vec![condition.clone()], Vec::new()).await;
            assert_eq!(is, expected, "{condition:?}");
        }
        let by = |field, ascending| Order {
            field,
            ascending,
            dataset: None,
        };
        // What is no number comes behind the numbers, and what is not there behind that.
        assert_eq!(
            found(&ledger, vec![], vec![by(loss(), true)]).await,
            [1, 3, 2, 4]
        );
        assert_eq!(
            found(&ledger, vec![], vec![by(loss(), false)]).await,
            [3, 1, 2, 4]
        );
        assert_eq!(
            found(&ledger, vec![], vec![by(lr(), true)]).await,
            [2, 1, 4, 3]
        );
        let odd = holds(
            Field::Attribute("no_such".to_owned()),
            Test::Equal,
            text("x"),
        );
        let query = RunQuery {
            conditions: vec![odd],
            ..RunQuery::default()
        };
        let error = ledger.search_runs(&query).await.expect_err("refuses");
        assert!(error.to_string().contains("no_such"), "{error}");
    });
}

#[test]
fn the_newest_point_and_the_range_follow_what_is_logged() {
    on_each(async |somewhere| {
        let ledger = open(somewhere).await;
        four(&ledger).await;
        let metric = async |n: u32| -> Metric {
            let detail = ledger.run_detail(&run(n).id).await.expect("reads");
            detail.metrics[0].clone()
        };
        let third = metric(3).await;
        assert_eq!((third.last.step, third.last.value), (9, 1.5));
        assert_eq!(third.range, Some((-4.0, 1.5)));
        let second = metric(2).await;
        assert!(second.last.value.is_nan() && second.range.is_none());
        // A step that comes late is no newer; one that is later is, whatever its time.
        for (n, step, value) in [(2, -1, 8.0), (3, 10, f64::NAN), (3, 4, 70.0)] {
            let batch = Batch {
                series: vec![series(n, "loss", &[(step, 0, value)])],
                ..Batch::default()
            };
            ledger.write(batch).await.expect("writes");
        }
        let (second, third) = (metric(2).await, metric(3).await);
        assert!(second.last.value.is_nan());
        assert_eq!(second.range, Some((8.0, 8.0)));
        assert!(third.last.value.is_nan() && third.last.step == 10);
        assert_eq!(third.range, Some((-4.0, 70.0)));
        let history = ledger
            .history(&run(3).id, "loss", 1, 3)
            .await
            .expect("reads");
        let steps: Vec<i64> = history.iter().map(|point| point.step).collect();
        assert_eq!(steps, [10, 9, 9], "by time, then step");
    });
}

#[test]
fn a_run_that_is_put_away_takes_nothing() {
    on_each(async |somewhere| {
        let ledger = open(somewhere).await;
        four(&ledger).await;
        ledger
            .write(Batch {
                put_away: vec![(0, Some(5))],
                ..Batch::default()
            })
            .await
            .expect("writes");
        let log = |n: u32| Batch {
            active: vec![run(n).id],
            series: vec![series(n, "loss", &[(50, 0, 0.0)])],
            ..Batch::default()
        };
        let error = ledger.write(log(1)).await.expect_err("refuses");
        assert!(matches!(error.fault, Fault::PutAway(_)), "{error}");
        ledger
            .write(log(4))
            .await
            .expect("another experiment goes on");
        let error = ledger.write(log(9)).await.expect_err("refuses");
        assert!(matches!(error.fault, Fault::NoRun(_)), "{error}");
        for (view, expected) in [(View::Active, 1), (View::Deleted, 3), (View::All, 4)] {
            let query = RunQuery {
                view,
                limit: 10,
                ..RunQuery::default()
            };
            assert_eq!(
                ledger.find_runs(&query).await.expect("reads").len(),
                expected
            );
        }
        let restore = RunChange {
            id: run(1).id,
            deleted_us: Some(None),
            name: Some("again".to_owned()),
            ..RunChange::default()
        };
        let batch = Batch {
            changes: vec![restore],
            ..Batch::default()
        };
        ledger.write(batch).await.expect("restores");
        ledger.write(log(1)).await.expect("takes it again");
        let detail = ledger.run_detail(&run(1).id).await.expect("reads");
        assert_eq!(
            (detail.run.name.as_str(), detail.run.deleted_us),
            ("again", None)
        );
        assert_eq!(detail.metrics[0].last.step, 50);
    });
}

#[test]
fn details_hold_all_that_was_said_of_a_run() {
    on_each(async |somewhere| {
        let ledger = open(somewhere).await;
        four(&ledger).await;
        let data = |name: &str, added_us| Dataset {
            run_id: run(1).id,
            name: name.to_owned(),
            digest: "d".to_owned(),
            context: "training".to_owned(),
            source: "s".to_owned(),
            source_type: "local".to_owned(),
            schema: Some("{}".to_owned()),
            profile: None,
            tags: vec![("mlflow.data.context".to_owned(), "training".to_owned())],
            added_us,
        };
        let model = |is_output, step| RunModel {
            run_id: run(1).id,
            model_id: "m-1".to_owned(),
            is_output,
            step,
        };
        let measured = ModelPoint {
            model_id: "m-1".to_owned(),
            run_id: run(1).id,
            key: "acc".to_owned(),
            point: Point {
                step: 2,
                at_us: 3,
                value: f64::INFINITY,
            },
            dataset_name: "test".to_owned(),
            dataset_digest: "d".to_owned(),
        };
        let batch = Batch {
            datasets: vec![data("z", 1), data("a", 2)],
            run_models: vec![model(false, 0), model(true, 4)],
            model_points: vec![measured.clone(), measured.clone()],
            removed_tags: vec![(run(1).id, "stage".to_owned())],
            ..Batch::default()
        };
        ledger.write(batch.clone()).await.expect("writes");
        let error = ledger.write(batch).await.expect_err("the tag is gone");
        assert!(
            error.to_string().contains("No tag with name: stage"),
            "{error}"
        );
        let detail = ledger.run_detail(&run(1).id).await.expect("reads");
        assert_eq!(
            detail.datasets,
            [data("z", 1), data("a", 2)],
            "as they were logged"
        );
        assert_eq!(detail.models, [model(false, 0), model(true, 4)]);
        assert_eq!(detail.params, [("lr".to_owned(), "0.1".to_owned())]);
        assert!(detail.tags.is_empty());
        let points = ledger
            .model_points(&["m-1".to_owned()])
            .await
            .expect("reads");
        assert_eq!(points, [measured]);
    });
}

#[test]
fn documents_are_changed_all_or_not_at_all_and_by_one_at_a_time() {
    on_each(async |somewhere| {
        let ledger = open(somewhere).await;
        let add = async || {
            let added = ledger.edit(&[("counter", "a")], |drawer| {
                let n: u64 = drawer.get("counter", "a", "n")?.unwrap_or(0);
                drawer.put("counter", "a", "n", &(n + 1))?;
                drawer.put("counter", "a", &format!("seen-{n}"), &n)?;
                Ok(n)
            });
            added.await.expect("edits")
        };
        let mut seen = futures_util::future::join_all((0..20).map(|_| add())).await;
        seen.sort_unstable();
        assert_eq!(seen, (0..20).collect::<Vec<u64>>());
        let refused = ledger.edit(&[("counter", "a")], |drawer| {
            drawer.remove("counter", "a", "n");
            drawer.put("counter", "b", "n", &1)?;
            drawer.also(Batch {
                runs: vec![run(9)],
                ..Batch::default()
            });
            Err::<(), _>(Fault::Exists("no".to_owned()))
        });
        let error = refused.await.expect_err("refuses");
        assert!(matches!(error.fault, Fault::Exists(_)));
        assert_eq!(
            ledger
                .documents("counter", None, None)
                .await
                .expect("reads")
                .len(),
            21
        );
        assert!(ledger.runs(10).await.expect("reads").is_empty());
        ledger
            .edit(&[("counter", "a")], |drawer| {
                for (id, _) in drawer.shelf::<u64>("counter", "a")? {
                    drawer.remove("counter", "a", &id);
                }
                assert!(drawer.shelf::<u64>("counter", "a")?.is_empty());
                Ok(())
            })
            .await
            .expect("edits");
        assert!(
            ledger
                .documents("counter", None, None)
                .await
                .expect("reads")
                .is_empty()
        );
        let wrong = ledger.edit(&[("counter", "a")], |drawer| {
            drawer.put("counter", "a", "n", &"text")?;
            drawer.get::<u64>("counter", "a", "n").map(|_| ())
        });
        let error = wrong.await.expect_err("refuses");
        assert!(error.to_string().contains("counter `a/n`"), "{error}");
    });
}
