//! A ledger with something of everything, some of it hostile, and as many runs as a team makes in a year.

use outlay_ledger::{
    Artifact, Batch, Budget, Dataset, Evidence, Label, Ledger, Micro, Period, Place, Point, Run,
    RunChange, RunStatus, Series, SignKey, Signer, Spending,
};
use outlay_server::artifacts::Artifacts;
use outlay_server::{App, Settings};
use serde_json::{Value, json};

/// Now, for the server: the 25th of November 2026, late in the evening.
pub const NOW_US: i64 = 1_795_646_400_000_000;

const HOUR_US: i64 = 3_600_000_000;
const DAY_US: i64 = 24 * HOUR_US;

/// Runs that nobody looks at one by one.
const MANY: usize = 10_000;

pub struct Seeded {
    pub app: App,
    /// The run that goes on and has many points.
    pub running: String,
    /// The path of a comparison.
    pub compare: String,
    _folder: tempfile::TempDir,
}

impl Seeded {
    pub async fn new(n_points: i64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let place = Place::File(folder.path().join("ledger.db"));
        let ledger = Ledger::open(&place, true).await.expect("opens");
        let signer = Signer {
            key: SignKey::new(&ledger.origin(), [7; 32]).expect("a key"),
            who: "ann".to_owned(),
        };
        ledger.sign_with(signer).await;
        ledger.write(known()).await.expect("writes");
        let running = id(1);
        for chunk in points(n_points).chunks(50_000) {
            let batch = Batch {
                series: vec![series(&running, "loss", chunk.to_vec())],
                ..Batch::default()
            };
            ledger.write(batch).await.expect("writes");
        }
        for batch in many() {
            ledger.write(batch).await.expect("writes");
        }
        let artifacts = Artifacts::folder(folder.path().join("artifacts"));
        let settings = Settings {
            artifact_root: "mlflow-artifacts:".to_owned(),
            folder: folder.path().to_owned(),
            now_us: || NOW_US,
            refuse_over_budget: false,
            truncate_long_values: true,
        };
        Self {
            app: App::new(ledger, artifacts, settings),
            compare: format!("/runs/compare?run={}&run={}&run={}", id(1), id(3), id(4)),
            running,
            _folder: folder,
        }
    }

    /// What a meter in another process would write.
    pub async fn go_on(&self, step: i64, dollars: f64) {
        let seen_us = NOW_US + 1_000_000;
        let micro = Micro::from_units(dollars).expect("an amount");
        let spent = self
            .app
            .ledger()
            .spent_by_run(&self.running)
            .await
            .expect("reads");
        let before = spent.first().map_or(0, |(_, micro)| micro.0);
        let batch = Batch {
            changes: vec![RunChange {
                id: self.running.clone(),
                seen_us: Some(seen_us),
                ..RunChange::default()
            }],
            series: vec![series(
                &self.running,
                "loss",
                vec![Point {
                    step,
                    at_us: seen_us,
                    value: 0.25,
                }],
            )],
            spending: vec![spending(1, 999, "thesis", Micro(micro.0 - before), seen_us)],
            ..Batch::default()
        };
        self.app.ledger().write(batch).await.expect("writes");
    }
}

fn id(n: u32) -> String {
    format!(
        "{:032x}",
        u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
    )
}

fn series(run: &str, key: &str, points: Vec<Point>) -> Series {
    Series {
        run_id: run.to_owned(),
        key: key.to_owned(),
        points,
    }
}

/// A loss that falls as losses do, over the last ten hours.
fn points(n_points: i64) -> Vec<Point> {
    let mut noise = 1_u64;
    (0..n_points)
        .map(|step| {
            noise = noise
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let jitter = (noise >> 40) as f64 / (1_u64 << 24) as f64 - 0.5;
            let done = step as f64 / n_points as f64;
            Point {
                step,
                at_us: NOW_US - 10 * HOUR_US + (done * 10.0 * HOUR_US as f64) as i64,
                value: 1.7 + 8.0 / (1.0 + 60.0 * done).sqrt() + 0.3 * jitter,
            }
        })
        .collect()
}

fn run(n: u32, name: &str, project: &str, status: RunStatus, began_h: i64, hours: i64) -> Run {
    let started_us = NOW_US - began_h * HOUR_US;
    let is_over = status != RunStatus::Running;
    Run {
        id: id(n),
        name: name.to_owned(),
        project: project.to_owned(),
        team: "vision".to_owned(),
        who: ["ann", "bob", "chen"][n as usize % 3].to_owned(),
        host: "node-7".to_owned(),
        command: vec![
            "python".to_owned(),
            "train.py".to_owned(),
            "--lr".to_owned(),
            "3e-4".to_owned(),
        ],
        status,
        started_us,
        seen_us: started_us + hours * HOUR_US,
        ended_us: is_over.then_some(started_us + hours * HOUR_US),
        exit_code: is_over.then_some(i64::from(status == RunStatus::Failed)),
        state: Value::Null,
        summary: None,
        experiment_id: 0,
        artifact_uri: format!("mlflow-artifacts:/0/{}/artifacts", id(n)),
        deleted_us: None,
    }
}

/// What `outlay run` keeps of a run.
fn metered(budget: f64, end: [f64; 3], done: f64) -> Value {
    let [p10, p50, p90] = end;
    json!({
        "format": 1,
        "budget_usd": budget,
        "terms": {"usd_per_hour": 1.99, "usd_per_kwh": null, "pue": 1.2, "g_co2e_per_kwh": 344.0,
            "price_source": "lambda H100-SXM on-demand in us-east-1, $1.99 an hour, price of 2026-11-20",
            "grid_source": "USA, 2024 mean"},
        "usage": {"gpu": {"accelerators": [
            {"id": "a", "held_s": 36000.0, "idle_share": 0.12}, {"id": "b", "held_s": 36000.0, "idle_share": 0.21}]}},
        "planned_usd": {"p10": 24.0, "p50": 29.0, "p90": 36.0},
        "outlook": {"forecast": {"done_share": done, "elapsed_s": 36000.0, "spent_usd": 11.9,
                "remaining_s": {"p10": 24000.0, "p50": 27500.0, "p90": 33000.0},
                "total_usd": {"p10": p10, "p50": p50, "p90": p90}},
            "final_loss": {"p10": 2.61, "p50": 2.68, "p90": 2.79}},
    })
}

fn spending(run: u32, entry: u32, project: &str, micro: Micro, to_us: i64) -> Spending {
    Spending {
        entry: format!("{run}-{entry}"),
        run_id: Some(id(run)),
        project: project.to_owned(),
        team: "vision".to_owned(),
        kind: "compute".to_owned(),
        from_us: to_us - HOUR_US,
        to_us,
        amount_micro: micro,
        currency: "USD".to_owned(),
        quality: "sampled".to_owned(),
        note: String::new(),
    }
}

fn budget(name: &str, project: &str, limit: i64, period: Period) -> Budget {
    Budget {
        name: name.to_owned(),
        project: project.to_owned(),
        team: String::new(),
        period,
        limit_micro: Micro(limit * 1_000_000),
        currency: "USD".to_owned(),
        warn_at_percent: vec![50, 80],
        set_us: NOW_US - 20 * DAY_US,
    }
}

/// The runs that pages are about.
fn known() -> Batch {
    let mut goes_on = run(1, "llama-finetune-v3", "thesis", RunStatus::Running, 10, 10);
    goes_on.state = metered(30.0, [25.1, 27.4, 33.0], 0.57);
    let mut expensive = run(2, "diffusion-sweep-12", "product", RunStatus::Running, 5, 5);
    expensive.state = metered(20.0, [21.0, 24.4, 29.5], 0.31);
    let hostile = "<img src=x onerror=\"window.hostile=1\">'\"`{{7*7}}</script><script>window.hostile=1</script>\u{202e}\u{1f525} a name that goes on and on";
    let mut runs = vec![
        goes_on,
        expensive,
        run(3, "llama-finetune-v2", "thesis", RunStatus::Finished, 40, 9),
        run(4, "llama-finetune-v1", "thesis", RunStatus::Failed, 60, 2),
        run(5, hostile, "<b>bold</b>", RunStatus::Finished, 90, 6),
        run(6, "whisper-distil", "speech", RunStatus::Stopped, 30, 12),
        run(
            7,
            "resnet50-baseline",
            "product",
            RunStatus::Finished,
            130,
            20,
        ),
        run(8, "", "", RunStatus::Lost, 15, 1),
        run(9, "embedding-eval", "product", RunStatus::Running, 1, 1),
    ];
    runs[5].summary = Some(
        json!({"stopped_because": "its budget of $20.00 is spent", "is_complete": false,
        "planned_usd": {"p10": 12.0, "p50": 14.0, "p90": 17.0}, "energy_kwh": {"value": 8.21, "quality": "counter"},
        "co2e_kg": {"value": 2.9, "quality": "modelled"}, "terms": metered(20.0, [1.0, 2.0, 3.0], 0.1)["terms"]}),
    );
    let mut batch = Batch {
        budgets: vec![
            budget("everything", "", 1500, Period::Month),
            budget("thesis", "thesis", 900, Period::Month),
            budget("speech pilot", "speech", 60, Period::Total),
        ],
        runs,
        ..Batch::default()
    };
    let mut entry = 0;
    for day in 0..28 {
        for (run, project, dollars) in [
            (3, "thesis", 21.0),
            (7, "product", 11.0),
            (6, "speech", 2.5),
        ] {
            let wave = 1.0 + 0.5 * (f64::from(day) * 0.9).sin();
            entry += 1;
            let micro = Micro::from_units(dollars * wave).expect("an amount");
            let to_us = NOW_US - i64::from(day) * DAY_US - 2 * HOUR_US;
            batch
                .spending
                .push(spending(run, entry, project, micro, to_us));
        }
    }
    batch
        .spending
        .push(spending(1, 0, "thesis", Micro(11_900_000), NOW_US));
    batch
        .spending
        .push(spending(2, 0, "product", Micro(9_950_000), NOW_US));
    for n in 1..=9 {
        let label = |key: &str, value: &str| Label {
            run_id: id(n),
            key: key.to_owned(),
            value: value.to_owned(),
        };
        batch.params.extend([
            label("lr", ["0.01", "0.003", "3e-4"][n as usize % 3]),
            label("batch_size", "64"),
            label("model", "llama-3.1-8b"),
            label("optimizer", "adamw"),
        ]);
        batch.tags.extend([
            label("mlflow.source.name", "train.py"),
            label("stage", "two"),
        ]);
        for (key, at) in [
            ("accuracy", 0.6),
            ("loss", 2.9),
            ("lr", 3e-4),
            ("throughput", 4180.0),
        ] {
            if n == 1 && key == "loss" {
                continue;
            }
            let curve = (0..200)
                .map(|step| Point {
                    step: step * 50,
                    at_us: NOW_US - 9 * HOUR_US + step * 160_000_000,
                    value: at * (1.0 + f64::from(n) * 0.02 + 2.0 / (1.0 + step as f64)),
                })
                .collect();
            batch.series.push(series(&id(n), key, curve));
        }
    }
    for (key, rate) in [("system/spent_usd", 1.19), ("system/energy_kwh", 0.82)] {
        let told = (0..=100)
            .map(|at| Point {
                step: at * 360,
                at_us: NOW_US - 10 * HOUR_US + at * 360_000_000,
                value: rate * at as f64 / 10.0,
            })
            .collect();
        batch.series.push(series(&id(1), key, told));
    }
    batch.datasets.push(Dataset {
        added_us: 0,
        run_id: id(1),
        name: "fineweb-edu-10B".to_owned(),
        digest: "9f3c2a7be1".to_owned(),
        context: "training".to_owned(),
        source: "s3://data/fineweb-edu/sample-10BT".to_owned(),
        source_type: "s3".to_owned(),
        schema: None,
        profile: None,
        tags: Vec::new(),
    });
    batch.artifacts.push(Artifact {
        run_id: id(1),
        path: "checkpoints/step-9000.safetensors".to_owned(),
        uri: "file:///checkpoints/step-9000.safetensors".to_owned(),
        bytes: 16_060_522_496,
        sha256: "00".repeat(32),
        added_us: NOW_US,
    });
    let say = |kind: &str, subject: String, body: Value, days: i64, who: &str| Evidence {
        kind: kind.to_owned(),
        subject,
        body,
        recorded_us: NOW_US - days * DAY_US,
        who: who.to_owned(),
    };
    batch.evidence = vec![
        say(
            "audit",
            "dataset/fineweb-edu-10B".to_owned(),
            json!({"duplicates": 0.012, "contaminated": 3}),
            9,
            "ann",
        ),
        say(
            "run",
            format!("run/{}", id(7)),
            json!({"status": "finished", "elapsed_s": 72000.0, "is_complete": true}),
            4,
            "bob",
        ),
        say(
            "comment",
            format!("run/{}", id(3)),
            json!({"text": "The learning rate was halved at step 4,000; compare with v1 <b>before</b> judging."}),
            2,
            "bob",
        ),
        say(
            "sign-off",
            "model/llama-finetune-v2".to_owned(),
            json!({"text": "Evaluated on the held-out set; fine for the pilot."}),
            1,
            "chen",
        ),
    ];
    batch
}

/// Ten thousand runs, and ten thousand names of metrics.
fn many() -> Vec<Batch> {
    let mut batches = Vec::new();
    for from in (0..MANY).step_by(2000) {
        let mut batch = Batch::default();
        for n in from..from + 2000 {
            let number = u32::try_from(n).expect("small") + 1000;
            let hours = 200 + (n as i64) / 4;
            let project = ["sweeps", "ablations", "nightly"][n % 3];
            batch.runs.push(run(
                number,
                &format!("sweep-{n:05}"),
                project,
                RunStatus::Finished,
                hours,
                1,
            ));
            batch.params.push(Label {
                run_id: id(number),
                key: "lr".to_owned(),
                value: ["0.1", "0.01", "0.001", "0.0001"][n % 4].to_owned(),
            });
            let point = |value| {
                vec![Point {
                    step: 100,
                    at_us: NOW_US - hours * HOUR_US,
                    value,
                }]
            };
            batch
                .series
                .push(series(&id(number), "loss", point(2.0 + (n as f64).sin())));
            batch
                .series
                .push(series(&id(number), &format!("key_{n:05}"), point(n as f64)));
        }
        batches.push(batch);
    }
    batches
}
