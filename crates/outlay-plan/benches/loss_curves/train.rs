//! Trains a task to the end, and keeps what a meter would have seen: times, steps, losses, learning rates.

use std::time::{Duration, Instant};

use crate::tasks::{FAMILIES, Random, task};

/// A point of a run.
#[derive(Clone, Copy, Debug)]
pub struct Logged {
    pub elapsed_s: f64,
    pub step: f64,
    pub loss: f64,
    /// NaN where not known.
    pub rate: f64,
}

/// A run to the end.
#[derive(Clone, Debug)]
pub struct Run {
    pub family: String,
    pub index: usize,
    pub schedule: String,
    pub total: f64,
    pub points: Vec<Logged>,
}

/// How a learning rate goes.
pub const SCHEDULES: [&str; 7] = [
    "constant", "cosine", "linear", "wsd", "steps", "wsd-exp", "root",
];

/// Share of the peak at a share of the run.
pub fn rate(schedule: &str, share: f64) -> f64 {
    let warm = (share / 0.03).min(1.0);
    match schedule {
        "cosine" => warm * (0.1 + 0.45 * (1.0 + (std::f64::consts::PI * share).cos())),
        "linear" => warm * (1.0 - share).max(0.0),
        "wsd" => warm * ((1.0 - share) / 0.2).clamp(0.0, 1.0),
        "wsd-exp" => {
            warm * if share > 0.85 {
                0.1_f64.powf((share - 0.85) / 0.15)
            } else {
                1.0
            }
        }
        "steps" => match share {
            share if share < 0.6 => 1.0,
            share if share < 0.8 => 0.25,
            _ => 0.06,
        },
        "root" => warm * (0.03 / share.max(0.03)).sqrt(),
        _ => 1.0,
    }
}

enum Optimizer {
    Sgd,
    Momentum,
    Adam,
}

/// Trains run `index` of a family; `size` scales its steps.
pub fn train(family: &str, index: usize, size: f64) -> Run {
    let place = FAMILIES
        .iter()
        .position(|name| *name == family)
        .unwrap_or(0);
    let mut random = Random(1 + 1000 * place as u64 + index as u64);
    let task = task(family, index, &mut random);
    let schedule = SCHEDULES[(index + place) % SCHEDULES.len()];
    let optimizer = match (index + index / 3) % 3 {
        0 => Optimizer::Adam,
        1 => Optimizer::Momentum,
        _ => Optimizer::Sgd,
    };
    let batch = [16, 8, 32][(index / 2) % 3];
    let work = task.net.n_parameters() * batch;
    // About as long for every task.
    let total = ((1.2e9 / work as f64).clamp(1500.0, 12_000.0)
        * (0.6 + 0.8 * f64::from(random.uniform()))
        * size)
        .round();
    let strength = [1.0, 0.4, 2.5][(index / 3) % 3];
    let peak = strength
        * match optimizer {
            Optimizer::Adam => 2e-3,
            Optimizer::Momentum => 0.02,
            Optimizer::Sgd => 0.15,
        }
        * if task.net.classes { 1.0 } else { 0.3 };
    let spiky = index % 4 == 3;
    let log_every = [1, 5, 10, 2][index % 4];
    let evaluate_every = (total / [12.0, 7.0, 25.0][index % 3]).ceil();
    let mut weights = task.net.initial(&mut random);
    let n = weights.len();
    let (mut gradient, mut first, mut second) = (vec![0.0; n], vec![0.0_f32; n], vec![0.0_f32; n]);
    let scratch = std::env::temp_dir().join(format!(
        "outlay-loss-curves-{}-{family}-{index}",
        std::process::id()
    ));
    let start = Instant::now();
    // What compilation takes before the first step.
    std::thread::sleep(Duration::from_millis(50 + 150 * (index as u64 % 5)));
    let mut points = Vec::new();
    let (mut sum, mut count) = (0.0_f64, 0);
    let mut step = 0.0;
    while step < total {
        step += 1.0;
        let mut loss = task.batch(&weights, &mut gradient, batch, &mut random);
        if spiky && random.uniform() < 0.0006 {
            // A broken batch.
            loss *= 4.0;
            for slope in &mut gradient {
                *slope *= -6.0;
            }
        }
        let norm = gradient.iter().map(|g| g * g).sum::<f32>().sqrt();
        let clip = (5.0 / norm).min(1.0);
        let share = rate(schedule, step / total);
        let pace = (peak * share) as f32;
        match optimizer {
            Optimizer::Sgd => {
                for (w, g) in weights.iter_mut().zip(&gradient) {
                    *w -= pace * clip * g;
                }
            }
            Optimizer::Momentum => {
                for ((w, m), g) in weights.iter_mut().zip(&mut first).zip(&gradient) {
                    *m = 0.9 * *m + clip * g;
                    *w -= pace * *m;
                }
            }
            Optimizer::Adam => {
                let (up, down) = (
                    1.0 - 0.9_f32.powf(step as f32),
                    1.0 - 0.999_f32.powf(step as f32),
                );
                for (((w, m), v), g) in weights
                    .iter_mut()
                    .zip(&mut first)
                    .zip(&mut second)
                    .zip(&gradient)
                {
                    *m = 0.9 * *m + 0.1 * clip * g;
                    *v = 0.999 * *v + 0.001 * clip * clip * g * g;
                    *w -= pace * (*m / up) / ((*v / down).sqrt() + 1e-8);
                }
            }
        }
        sum += f64::from(loss);
        count += 1;
        if step % f64::from(log_every) == 0.0 {
            // Some trainers log the last step, others the mean since the last line.
            let loss = if index.is_multiple_of(2) {
                f64::from(loss)
            } else {
                sum / f64::from(count)
            };
            points.push(Logged {
                elapsed_s: start.elapsed().as_secs_f64(),
                step,
                loss,
                rate: peak * share,
            });
            (sum, count) = (0.0, 0);
        }
        if step % evaluate_every == 0.0 {
            // An evaluation, and a checkpoint.
            let mut unused = vec![0.0; n];
            std::hint::black_box(task.batch(&weights, &mut unused, batch * 40, &mut Random(7)));
            let bytes: Vec<u8> = weights.iter().flat_map(|w| w.to_le_bytes()).collect();
            if std::fs::write(&scratch, bytes).is_ok() {
                std::thread::sleep(Duration::from_millis(10));
                let _ = std::fs::remove_file(&scratch);
            }
        }
    }
    Run {
        family: family.to_owned(),
        index,
        schedule: schedule.to_owned(),
        total,
        points,
    }
}
