//! What MLflow kept, brought over: from a database, and from a folder.

use std::path::{Path, PathBuf};

use outlay_ledger::{Batch, Format, Ledger, Place, Run, RunStatus};
use outlay_server::artifacts::Artifacts;
use outlay_server::mlflow::import::{ImportError, Options, Report, Source, import};
use outlay_server::mlflow::things::{
    EXPERIMENT, Experiment, LOGGED_MODEL, LoggedModel, MODEL_VERSION, ModelVersion,
    REGISTERED_MODEL, RegisteredModel, all,
};
use sqlx::Connection;

/// A database that holds what the fixture says.
async fn database(folder: &Path) -> PathBuf {
    let path = folder.join("mlflow.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(true);
    let mut connection = sqlx::SqliteConnection::connect_with(&options)
        .await
        .expect("is made");
    sqlx::raw_sql(include_str!("../fixtures/mlflow.sql"))
        .execute(&mut connection)
        .await
        .expect("is filled");
    connection.close().await.expect("is closed");
    path
}

async fn ledger(folder: &Path, name: &str) -> Ledger {
    Ledger::open(&Place::File(folder.join(name)), true)
        .await
        .expect("opens")
}

fn options<'a>(base: &Path, copy_to: Option<&'a Artifacts>) -> Options<'a> {
    Options {
        copy_to,
        base: base.to_path_buf(),
        mlartifacts: Some(base.join("mlartifacts")),
        artifact_root: "mlflow-artifacts:".to_owned(),
        dry_run: false,
    }
}

async fn brought(ledger: &Ledger, path: &Path, options: &Options<'_>) -> Report {
    let source = Source::open(path).await.expect("opens");
    import(ledger, &source, options, |_| ())
        .await
        .expect("is read")
}

/// Everything in a ledger, as text.
async fn whole(ledger: &Ledger, folder: &Path, name: &str) -> String {
    let path = folder.join(name);
    ledger
        .export(&path, Format::Jsonl)
        .await
        .expect("is written");
    std::fs::read_to_string(path).expect("is read")
}

fn outcomes(report: &Report) -> Vec<(i64, &str, &str)> {
    let of = |one: &'_ outlay_server::mlflow::import::ExperimentReport| (one.id, one.outcome);
    report
        .experiments
        .iter()
        .map(|one| (of(one).0, one.name.as_str(), of(one).1))
        .collect()
}

#[tokio::test]
async fn a_database_comes_over_with_everything() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = database(folder.path()).await;
    let ledger = ledger(folder.path(), "ledger.db").await;
    let report = brought(&ledger, &path, &options(folder.path(), None)).await;
    assert_eq!(
        outcomes(&report),
        [
            (0, "Default", "new"),
            (1, "bert", "new"),
            (2, "gone", "new"),
            (3, "broken", "refused")
        ]
    );
    assert!(
        report.experiments[3]
            .why
            .as_ref()
            .is_some_and(|why| why.contains("value zero"))
    );
    let left_out: Vec<(&str, u64)> = report
        .left_out
        .iter()
        .map(|(kind, n)| (kind.as_str(), *n))
        .collect();
    assert_eq!(left_out, [("trace info", 2)]);

    let first = ledger.run_detail("a1").await.expect("is there");
    assert_eq!(
        (first.run.name.as_str(), first.run.who.as_str()),
        ("first", "ann")
    );
    assert_eq!(
        (first.run.status, first.run.project.as_str()),
        (RunStatus::Finished, "paper")
    );
    assert_eq!(
        (first.run.started_us, first.run.ended_us),
        (10_000, Some(20_000))
    );
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(first.params, [pair("empty", ""), pair("lr", "1e-3")]);
    assert_eq!(first.tags, [pair("note", "é\n")]);
    let loss = ledger.points("a1", "loss").await.expect("is read");
    assert_eq!(
        (loss[1].step, loss[1].at_us, loss[1].value),
        (1, 110_000, 1.5)
    );
    assert!(loss[2].value.is_nan() && loss.len() == 3);
    let odd: Vec<f64> = ledger
        .points("a1", "odd")
        .await
        .expect("is read")
        .iter()
        .map(|point| point.value)
        .collect();
    assert_eq!(odd, [f64::INFINITY, f64::NEG_INFINITY]);
    let data = &first.datasets[0];
    assert_eq!(
        (data.digest.as_str(), data.context.as_str(), data.tags.len()),
        ("12e45678", "training", 2)
    );
    assert_eq!(
        (
            first.models[0].model_id.as_str(),
            first.models[0].is_output,
            first.models[0].step
        ),
        ("m-1", true, 4)
    );

    let second = ledger.run_detail("a2").await.expect("is there");
    assert_eq!(
        (second.run.status, second.run.deleted_us),
        (RunStatus::Stopped, Some(99_000))
    );
    assert_eq!(second.run.name, "by its tag");
    assert!(
        second
            .tags
            .contains(&pair("mlflow.source.name", "train.py"))
    );
    assert!(
        second
            .tags
            .contains(&pair("mlflow.source.git.commit", "c0ffee"))
    );
    let gone = ledger.run_detail("g1").await.expect("is there");
    assert_eq!(
        (gone.run.status, gone.run.experiment_id),
        (RunStatus::Scheduled, 2)
    );

    let models: Vec<LoggedModel> = all(&ledger, LOGGED_MODEL, Some("1"), None)
        .await
        .expect("are read");
    assert_eq!(
        (
            models[0].status.as_str(),
            models[0].status_message.as_deref()
        ),
        ("LOGGED_MODEL_READY", Some("well"))
    );
    assert_eq!((models[0].params.len(), models[0].tags.len()), (1, 1));
    let points = ledger
        .model_points(&["m-1".to_owned()])
        .await
        .expect("are read");
    assert_eq!(points.len(), 2, "also that of a run of another experiment");
    let registered: Vec<RegisteredModel> = all(&ledger, REGISTERED_MODEL, None, None)
        .await
        .expect("are read");
    assert_eq!(
        (
            registered[0].aliases["champion"],
            registered[0].last_version
        ),
        (1, 2)
    );
    let versions: Vec<ModelVersion> = all(&ledger, MODEL_VERSION, None, None)
        .await
        .expect("are read");
    assert_eq!(
        (
            versions.len(),
            versions[0].stage.as_str(),
            versions[0].tags["n"].as_str()
        ),
        (1, "Production", "1")
    );

    // Of the experiment that could not be kept whole, nothing is there.
    assert!(ledger.run_is_there("x1").await.is_err());
    let experiments: Vec<Experiment> = all(&ledger, EXPERIMENT, None, None)
        .await
        .expect("are read");
    assert_eq!(experiments.len(), 3);
    assert!(
        experiments
            .iter()
            .any(|one| one.name == "gone" && one.deleted && one.updated_ms == 3500)
    );
}

#[tokio::test]
async fn a_second_import_changes_nothing_and_a_later_one_adds() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = database(folder.path()).await;
    let ledger = ledger(folder.path(), "ledger.db").await;
    let options = options(folder.path(), None);
    brought(&ledger, &path, &options).await;
    let once = whole(&ledger, folder.path(), "once.jsonl").await;
    let report = brought(&ledger, &path, &options).await;
    assert_eq!(report.experiments[1].outcome, "there");
    assert_eq!(
        (
            report.experiments[1].tally.runs,
            report.experiments[1].tally.runs_there
        ),
        (0, 3)
    );
    assert_eq!(whole(&ledger, folder.path(), "twice.jsonl").await, once);

    let mut connection = sqlx::SqliteConnection::connect(&format!("sqlite://{}", path.display()))
        .await
        .expect("opens");
    let later = "UPDATE runs SET status = 'FINISHED', end_time = 50 WHERE run_uuid = 'a3';
        UPDATE params SET value = 'other' WHERE key = 'lr';
        INSERT INTO params VALUES ('new', 'yes', 'a3');
        INSERT INTO metrics VALUES ('loss', 0.5, 130, 'a1', 3, 0);";
    sqlx::raw_sql(later)
        .execute(&mut connection)
        .await
        .expect("is changed");
    connection.close().await.expect("is closed");
    brought(&ledger, &path, &options).await;
    let third = ledger.run_detail("a3").await.expect("is there");
    assert_eq!(
        (third.run.status, third.run.ended_us, third.params.len()),
        (RunStatus::Finished, Some(50_000), 1)
    );
    assert_eq!(ledger.points("a1", "loss").await.expect("is read").len(), 4);
    // What is there stays.
    assert_eq!(
        ledger.run_detail("a1").await.expect("is there").params[1].1,
        "1e-3"
    );
}

#[tokio::test]
async fn a_used_ledger_keeps_what_it_has() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = database(folder.path()).await;
    let ledger = ledger(folder.path(), "ledger.db").await;
    let experiment = |id: i64, name: &str| Experiment {
        id,
        name: name.to_owned(),
        artifact_location: "mlflow-artifacts:/x".to_owned(),
        deleted: false,
        created_ms: 7,
        updated_ms: 7,
        tags: Default::default(),
    };
    let mine = [experiment(1, "mine"), experiment(7, "gone")];
    ledger
        .edit(&[(EXPERIMENT, "")], move |drawer| {
            for one in &mine {
                drawer.put(EXPERIMENT, "", &one.id.to_string(), one)?;
            }
            Ok(())
        })
        .await
        .expect("is written");
    // A run of the default experiment, under an id that the source has in another one.
    let run = Run {
        id: "a2".to_owned(),
        name: String::new(),
        project: String::new(),
        team: String::new(),
        who: String::new(),
        host: String::new(),
        command: Vec::new(),
        status: RunStatus::Running,
        started_us: 0,
        seen_us: 0,
        ended_us: None,
        exit_code: None,
        state: serde_json::Value::Null,
        summary: None,
        experiment_id: 0,
        artifact_uri: String::new(),
        deleted_us: None,
    };
    let batch = Batch {
        runs: vec![run],
        ..Batch::default()
    };
    ledger.write(batch).await.expect("is written");
    let report = brought(&ledger, &path, &options(folder.path(), None)).await;
    assert_eq!(
        outcomes(&report),
        [
            (0, "Default", "there"),
            (8, "bert", "refused"),
            (2, "gone (imported)", "new"),
            (3, "broken", "refused")
        ]
    );
    assert!(
        report.experiments[1]
            .why
            .as_ref()
            .is_some_and(|why| why.contains("run a2"))
    );
    assert!(ledger.run_is_there("a1").await.is_err());
    assert_eq!(
        ledger
            .run_detail("d1")
            .await
            .expect("is there")
            .run
            .experiment_id,
        0
    );
}

#[tokio::test]
async fn a_dry_run_writes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = database(folder.path()).await;
    let ledger = ledger(folder.path(), "ledger.db").await;
    let before = whole(&ledger, folder.path(), "before.jsonl").await;
    let mut options = options(folder.path(), None);
    options.dry_run = true;
    let report = brought(&ledger, &path, &options).await;
    assert_eq!(
        (
            report.experiments[1].tally.runs,
            report.experiments[1].tally.models
        ),
        (3, 1)
    );
    assert_eq!(whole(&ledger, folder.path(), "after.jsonl").await, before);
}

fn put(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("is made");
    std::fs::write(path, text).expect("is written");
}

/// A folder as MLflow writes them.
fn mlruns(base: &Path) -> PathBuf {
    let root = base.join("mlruns");
    let here = root.display();
    let experiment = |id: &str, name: &str, stage: &str| {
        format!(
            "artifact_location: file://{here}/{id}\ncreation_time: 1700000000000\nexperiment_id: '{id}'\n\
             last_update_time: 1700000000001\nlifecycle_stage: {stage}\nname: {name}\n"
        )
    };
    put(
        &root,
        "493035992467483390/meta.yaml",
        &experiment("493035992467483390", "12e5", "active"),
    );
    put(&root, "493035992467483390/tags/team", "vision");
    put(
        &root,
        ".trash/7/meta.yaml",
        &experiment("7", "gone", "deleted"),
    );
    let run = "493035992467483390/aa";
    put(
        &root,
        &format!("{run}/meta.yaml"),
        &format!(
            "artifact_uri: file://{here}/{run}/artifacts\nend_time: null\nentry_point_name: ''\n\
             experiment_id: '493035992467483390'\nlifecycle_stage: active\nrun_id: aa\nrun_name: 1e-3\n\
             run_uuid: aa\nsource_name: ''\nsource_type: 4\nsource_version: ''\nstart_time: 1700000000002\n\
             status: 4\ntags: []\nuser_id: ann\n"
        ),
    );
    put(&root, &format!("{run}/params/a/b"), "multi\nline");
    put(&root, &format!("{run}/tags/mlflow.user"), "ann");
    put(
        &root,
        &format!("{run}/metrics/eval/acc"),
        "1700 0.5 0\n1701 nan 1\n1702 -inf 2\n1703 0.7\nhalf a li",
    );
    put(&root, &format!("{run}/artifacts/deep/log.txt"), "hello");
    put(
        &root,
        &format!("{run}/inputs/i/meta.yaml"),
        "destination_id: d1\ndestination_type: RUN\nsource_id: d1\nsource_type: DATASET\ntags:\n  \
         mlflow.data.context: training\n",
    );
    put(
        &root,
        "493035992467483390/datasets/d1/meta.yaml",
        "digest: 12e45678\nname: train\nprofile: null\nschema: '{}'\nsource: '{\"uri\": \"a\"}'\nsource_type: local\n",
    );
    put(
        &root,
        &format!("{run}/outputs/m-1/meta.yaml"),
        "source_id: m-1\nsource_type: RUN_OUTPUT\nstep: 3\ntags: {}\n",
    );
    let model = "493035992467483390/models/m-1";
    put(
        &root,
        &format!("{model}/meta.yaml"),
        &format!(
            "artifact_location: file://{here}/{model}/artifacts\ncreation_timestamp: 5\n\
             experiment_id: '493035992467483390'\nlast_updated_timestamp: 6\nmodel_id: m-1\nmodel_type: null\n\
             name: net\nsource_run_id: aa\nstatus: 2\nstatus_message: null\n"
        ),
    );
    put(&root, &format!("{model}/artifacts/weights"), "1234");
    put(
        &root,
        &format!("{model}/metrics/acc"),
        "1700 0.75 3 aa my train 12ab\n1700 0.5 4 aa\n",
    );
    // A run that a script was killed in.
    std::fs::create_dir_all(root.join("493035992467483390/bb")).expect("is made");
    put(
        &root,
        "models/resnet/meta.yaml",
        "creation_timestamp: 1\ndescription: ''\nlast_updated_timestamp: 2\nname: resnet\n",
    );
    put(&root, "models/resnet/aliases/champion", "1");
    put(
        &root,
        "models/resnet/version-1/meta.yaml",
        &format!(
            "creation_timestamp: 1\ncurrent_stage: None\nlast_updated_timestamp: 2\nname: resnet\nrun_id: aa\n\
             run_link: ''\nsource: file://{here}/{run}/artifacts/deep\nstatus: READY\n\
             storage_location: file://{here}/{run}/artifacts/deep\nversion: 1\n"
        ),
    );
    put(&root, "493035992467483390/traces/tr-1/meta.yaml", "a: b\n");
    root
}

#[tokio::test]
async fn a_folder_comes_over_with_its_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = mlruns(folder.path());
    let ledger = ledger(folder.path(), "ledger.db").await;
    let store = Artifacts::folder(folder.path().join("kept"));
    let options = options(folder.path(), Some(&store));
    let report = brought(&ledger, &root, &options).await;
    assert_eq!(
        outcomes(&report),
        [(7, "gone", "new"), (493_035_992_467_483_390, "12e5", "new")]
    );
    assert_eq!(report.n_findings, 2, "{:?}", report.findings);
    assert_eq!(report.left_out["traces"], 1);
    let detail = ledger.run_detail("aa").await.expect("is there");
    assert_eq!(
        (
            detail.run.name.as_str(),
            detail.run.status,
            detail.run.ended_us
        ),
        ("1e-3", RunStatus::Failed, None)
    );
    let id = "493035992467483390";
    assert_eq!(
        detail.run.artifact_uri,
        format!("mlflow-artifacts:/{id}/aa/artifacts")
    );
    assert_eq!(
        detail.params,
        [("a/b".to_owned(), "multi\nline".to_owned())]
    );
    assert_eq!(
        (
            detail.datasets[0].digest.as_str(),
            detail.datasets[0].context.as_str()
        ),
        ("12e45678", "training")
    );
    assert_eq!(
        ledger
            .points("aa", "eval/acc")
            .await
            .expect("is read")
            .len(),
        4
    );
    let points = ledger
        .model_points(&["m-1".to_owned()])
        .await
        .expect("are read");
    assert_eq!(
        (
            points[0].dataset_name.as_str(),
            points[0].dataset_digest.as_str()
        ),
        ("my train", "12ab")
    );
    let kept = |path: &str| {
        std::fs::read_to_string(folder.path().join("kept").join(path)).expect("is there")
    };
    assert_eq!(kept(&format!("{id}/aa/artifacts/deep/log.txt")), "hello");
    assert_eq!(kept(&format!("{id}/models/m-1/artifacts/weights")), "1234");
    let versions: Vec<ModelVersion> = all(&ledger, MODEL_VERSION, None, None)
        .await
        .expect("are read");
    assert_eq!(
        versions[0].source,
        format!("mlflow-artifacts:/{id}/aa/artifacts/deep")
    );
    assert_eq!(versions[0].stage, "None");
    let once = whole(&ledger, folder.path(), "once.jsonl").await;
    brought(&ledger, &root, &options).await;
    assert_eq!(whole(&ledger, folder.path(), "twice.jsonl").await, once);
}

#[tokio::test]
async fn what_is_no_store_of_mlflows_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    put(
        folder.path(),
        "text.db",
        "no database at all, and long enough to be looked at as one would be",
    );
    put(folder.path(), "empty/x", "");
    for (name, why) in [
        ("text.db", "no database"),
        ("empty", "meta.yaml"),
        ("absent.db", "no such file"),
    ] {
        let error = Source::open(&folder.path().join(name))
            .await
            .expect_err("is refused");
        assert!(error.to_string().contains(why), "{name}: {error}");
        assert!(matches!(
            error,
            ImportError::Ledger(_) | ImportError::Source { .. }
        ));
    }
    let ledger = ledger(folder.path(), "ledger.db").await;
    let error = Source::open(&folder.path().join("ledger.db"))
        .await
        .expect_err("is refused");
    assert!(
        error.to_string().contains("no database of MLflow's"),
        "{error}"
    );
    ledger.close().await;
}
