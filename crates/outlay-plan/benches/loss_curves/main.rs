//! Trains small networks to the end, and judges what `LossCurve` and `Forecast` said on the way.
//!
//! `cargo bench -p outlay-plan --bench loss_curves` trains 81 networks of 9 kinds in about two minutes of two cores;
//! `-- --quick` 27 shorter ones. What widens intervals is taken from other kinds than the one that is judged, and the last
//! lines show what all kinds together give: the defaults of `CurveWidening` and `Drift`. `--save FOLDER` keeps the runs as
//! CSV (seconds, step, loss, rate), `--load FOLDER` takes them from there, and `--judge FOLDER` judges others by the defaults.

mod judge;
mod table;
mod tasks;
mod train;

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use judge::{MODES, Row};
use outlay_plan::{CurvePlan, CurveWidening, Drift, LossCurve};
use train::{Logged, Run};

#[expect(clippy::print_stdout, reason = "a bench reports to its terminal")]
fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).map(String::as_str)
    };
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let start = Instant::now();
    let runs = value("--load").map_or_else(|| train_all(quick), load);
    if let Some(folder) = value("--save") {
        save(&runs, folder);
    }
    println!(
        "{} runs in {:.0} s",
        runs.len(),
        start.elapsed().as_secs_f64()
    );
    let (rows, refused) = judge::losses(&runs);
    println!("{refused} of {} fits refused", refused + rows.len());
    let others = table::left_out(&rows);
    let by_family = |row: &Row| others[row.family.as_str()];
    for (mode, name) in MODES.iter().enumerate() {
        let these: Vec<Row> = rows
            .iter()
            .filter(|row| row.mode == mode)
            .cloned()
            .collect();
        let title = format!("final loss, learning rates {name}; the peer is the last value");
        table::print(&title, &these, mode == 1, &by_family);
    }
    let times = judge::times(&runs);
    let others = table::left_out(&times);
    table::print(
        "time and cost of the whole run; the peer is elapsed / fraction",
        &times,
        true,
        &|row| others[row.family.as_str()],
    );
    let all = judge::factors(&rows.iter().collect::<Vec<_>>());
    println!(
        "\nCurveWidening from all kinds: low {:.2}, high {:.2}",
        all[0], all[1]
    );
    let all = judge::factors(&times.iter().collect::<Vec<_>>());
    println!(
        "Drift from all kinds: low {:.2}, high {:.2}",
        all[0], all[1]
    );
    if let Some(folder) = value("--judge") {
        judge_others(&load(folder));
    }
    time_a_fit();
}

/// Judges runs that no constant was taken from.
fn judge_others(runs: &[Run]) {
    let (rows, _) = judge::losses(runs);
    let widening = CurveWidening::default();
    let factors = [widening.low, widening.high];
    for (mode, name) in MODES.iter().enumerate() {
        let these: Vec<Row> = rows
            .iter()
            .filter(|row| row.mode == mode)
            .cloned()
            .collect();
        table::print(
            &format!("others' final loss, learning rates {name}"),
            &these,
            true,
            &|_| factors,
        );
    }
    let drift = Drift::default();
    table::print("others' time", &judge::times(runs), true, &|_| {
        [drift.low, drift.high]
    });
}

#[expect(clippy::print_stdout, reason = "a bench reports to its terminal")]
fn time_a_fit() {
    let mut random = tasks::Random(5);
    let points: Vec<(f64, f64)> = (1..=10_000)
        .map(|step| {
            (
                f64::from(step),
                2.0 + 8.0 / f64::from(step).sqrt() + 0.1 * f64::from(random.normal()),
            )
        })
        .collect();
    let plan = CurvePlan {
        total_steps: Some(20_000.0),
        ..CurvePlan::default()
    };
    let mut seconds: Vec<f64> = (0..21)
        .map(|_| {
            let start = Instant::now();
            std::hint::black_box(LossCurve::fit(&points, &plan, 1).ok());
            start.elapsed().as_secs_f64()
        })
        .collect();
    let middle = judge::quantile(&mut seconds, 0.5);
    println!(
        "a fit of 10,000 points: {:.1} ms (target 50 ms)",
        1e3 * middle
    );
}

/// Trains every kind on two threads, beside a neighbour that keeps a core busy now and then.
fn train_all(quick: bool) -> Vec<Run> {
    let (each, size) = if quick { (3, 0.5) } else { (9, 1.0) };
    let jobs: Vec<(&str, usize)> = (0..each)
        .flat_map(|index| tasks::FAMILIES.iter().map(move |family| (*family, index)))
        .collect();
    let next = AtomicUsize::new(0);
    let done = AtomicBool::new(false);
    let runs = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut random = tasks::Random(11);
            while !done.load(Ordering::Relaxed) {
                let until = Instant::now() + Duration::from_secs_f32(2.0 * random.uniform());
                while Instant::now() < until && !done.load(Ordering::Relaxed) {
                    std::hint::black_box(random.uniform());
                }
                std::thread::sleep(Duration::from_secs_f32(4.0 * random.uniform()));
            }
        });
        let workers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    while let Some((family, index)) = jobs.get(next.fetch_add(1, Ordering::Relaxed))
                    {
                        let run = train::train(family, *index, size);
                        if let Ok(mut runs) = runs.lock() {
                            runs.push(run);
                        }
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.join().expect("a run trains to its end");
        }
        done.store(true, Ordering::Relaxed);
    });
    let mut runs = runs.into_inner().expect("no run failed");
    runs.sort_by(|a: &Run, b: &Run| (&a.family, a.index).cmp(&(&b.family, b.index)));
    runs
}

fn save(runs: &[Run], folder: &str) {
    std::fs::create_dir_all(folder).expect("a folder can be made");
    for run in runs {
        let mut text = format!("# {} {} {}\n", run.family, run.schedule, run.total);
        for point in &run.points {
            text += &format!(
                "{},{},{},{}\n",
                point.elapsed_s, point.step, point.loss, point.rate
            );
        }
        let path = Path::new(folder).join(format!("{}_{}.csv", run.family, run.index));
        std::fs::write(path, text).expect("a run can be written");
    }
}

fn load(folder: &str) -> Vec<Run> {
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .expect("a folder of runs")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "csv"))
        .collect();
    paths.sort();
    let number = |text: Option<&str>| text.and_then(|text| text.parse().ok()).unwrap_or(f64::NAN);
    let read = |path: &std::path::PathBuf| {
        let text = std::fs::read_to_string(path).ok()?;
        let (head, rest) = text.split_once('\n')?;
        let head: Vec<&str> = head.split(' ').collect();
        let points = rest
            .lines()
            .map(|line| {
                let mut fields = line.split(',');
                let mut next = || number(fields.next());
                Logged {
                    elapsed_s: next(),
                    step: next(),
                    loss: next(),
                    rate: next(),
                }
            })
            .collect();
        Some(Run {
            family: (*head.get(1)?).to_owned(),
            index: 0,
            schedule: (*head.get(2)?).to_owned(),
            total: number(head.get(3).copied()),
            points,
        })
    };
    paths.iter().filter_map(read).collect()
}
