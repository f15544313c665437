//! A real training run on a processor, metered, beside a reading of the same counters by hand.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::super::{stderr, stdout};
use super::{fresh, gpus, metering, metering_script, peers, spent_usd, summary};

/// A network of two layers that learns the sign of a product, for as many steps as it is told.
const TRAIN: &str = r"
import os, sys, time
import numpy
seconds, rng = float(sys.argv[1]), numpy.random.default_rng(1)
inputs = rng.normal(size=(2048, 16))
wanted = (inputs[:, :1] * inputs[:, 1:2] > 0).astype(float)
first, second = rng.normal(size=(16, 64)) / 4, rng.normal(size=(64, 1)) / 8
losses, step, until = [], 0, time.monotonic() + seconds
while time.monotonic() < until or step < 30:
    hidden = numpy.tanh(inputs @ first)
    given = 1 / (1 + numpy.exp(-hidden @ second))
    losses.append(float(-numpy.mean(wanted * numpy.log(given + 1e-9) + (1 - wanted) * numpy.log(1 - given + 1e-9))))
    error = (given - wanted) / len(inputs)
    back = (error @ second.T) * (1 - hidden ** 2)
    second -= 3 * hidden.T @ error
    first -= 3 * inputs.T @ back
    step += 1
print(f'steps {step} loss {losses[0]:.4f} to {losses[-1]:.4f}')
assert losses[-1] < losses[0]
";

/// A package's counter that goes up by itself, and wraps.
struct Package {
    sys: PathBuf,
    range_uj: u64,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

const FIRST_UJ: u64 = 30_000_000;

impl Package {
    fn begin(sys: &Path, watts: f64, range_uj: u64) -> Self {
        let zone = sys.join("class/powercap/intel-rapl:0");
        std::fs::create_dir_all(&zone).unwrap();
        std::fs::write(zone.join("name"), "package-0\n").unwrap();
        std::fs::write(zone.join("max_energy_range_uj"), format!("{range_uj}\n")).unwrap();
        let set = move |joules: f64| {
            let counter = (FIRST_UJ + (joules * 1e6) as u64) % range_uj;
            std::fs::write(zone.join("half"), format!("{counter}\n")).unwrap();
            std::fs::rename(zone.join("half"), zone.join("energy_uj")).unwrap();
        };
        set(0.0);
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || {
            let since = Instant::now();
            while !over.load(Ordering::Relaxed) {
                set(watts * since.elapsed().as_secs_f64());
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        Self {
            sys: sys.to_path_buf(),
            range_uj,
            is_over,
            thread: Some(thread),
        }
    }

    fn counter_uj(&self) -> u64 {
        let path = self.sys.join("class/powercap/intel-rapl:0/energy_uj");
        std::fs::read_to_string(path)
            .unwrap()
            .trim()
            .parse()
            .unwrap()
    }

    /// Joules from one reading of the counter to another, with at most one wrap between them.
    fn joules(&self, from_uj: u64, to_uj: u64) -> f64 {
        ((to_uj + self.range_uj - from_uj) % self.range_uj) as f64 / 1e6
    }
}

impl Drop for Package {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// Seconds that all processors were busy, by `/proc/stat`.
fn busy_s() -> f64 {
    let text = std::fs::read_to_string("/proc/stat").unwrap();
    let line = text.lines().next().unwrap();
    let times: Vec<f64> = line
        .split_whitespace()
        .skip(1)
        .map(|field| field.parse().unwrap())
        .collect();
    (times[0] + times[1] + times[2] + times[5] + times[6]) / 100.0
}

/// Processor seconds of a process and of children that it waited for; `None` once it is gone.
fn own_s(pid: &str) -> Option<f64> {
    let line = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = line[line.rfind(')')? + 1..].split_whitespace().collect();
    let ticks: f64 = fields[11..15]
        .iter()
        .map(|field| field.parse::<f64>().unwrap())
        .sum();
    Some(ticks / 100.0)
}

/// What one reads by hand at an instant.
#[derive(Clone, Copy)]
struct Hand {
    counter_uj: u64,
    busy_s: f64,
    own_s: f64,
}

#[test]
fn a_training_run_is_metered_as_one_would_by_hand() {
    let Some(python) = peers("numpy") else { return };
    let here = fresh("training");
    std::fs::write(here.join("train.py"), TRAIN).unwrap();
    let (watts, range_uj) = (20.0, 50_000_000);
    let package = Package::begin(&here.join("sys"), watts, range_uj);
    let hand = |own_s: f64| Hand {
        counter_uj: package.counter_uj(),
        busy_s: busy_s(),
        own_s,
    };
    let mut readings = vec![hand(0.0)];
    let since = Instant::now();
    let mut child = metering(
        &here,
        "--interval 0.2s --sysfs sys --price 3600/h --json summary.json",
        &[
            "sh",
            "-c",
            "echo $$ > pid; exec \"$0\" train.py 3",
            &python.to_string_lossy(),
        ],
    )
    .stdout(Stdio::piped())
    .stderr(Stdio::piped())
    .spawn()
    .unwrap();
    // Beside it, the same counters, at other instants.
    while child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(150));
        let pid = std::fs::read_to_string(here.join("pid")).unwrap_or_default();
        if let Some(own) = own_s(pid.trim()) {
            readings.push(hand(own));
        }
    }
    let wall_s = since.elapsed().as_secs_f64();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).starts_with("steps "), "{}", stdout(&output));
    let mut by_hand = 0.0;
    for pair in readings.windows(2) {
        let drawn = package.joules(pair[0].counter_uj, pair[1].counter_uj);
        let (own, busy) = (
            pair[1].own_s - pair[0].own_s,
            pair[1].busy_s - pair[0].busy_s,
        );
        if busy > 0.0 {
            by_hand += drawn * (own / busy).clamp(0.0, 1.0);
        }
    }
    let summary = summary(&here);
    let energy = &summary["usage"]["cpu_joules"];
    let joules = energy["value"].as_f64().unwrap();
    // It wrapped, or this would show nothing of that.
    assert!(wall_s * watts * 1e6 > (range_uj - FIRST_UJ) as f64);
    assert!(joules < wall_s * watts, "{joules} J of {}", wall_s * watts);
    assert!(
        (joules - by_hand).abs() < 0.15 * by_hand + 1.0,
        "{joules} J, and by hand {by_hand} J"
    );
    let cpu = &summary["usage"]["cpu_seconds"];
    let own = readings.last().unwrap().own_s;
    let seconds = cpu["value"].as_f64().unwrap();
    assert!(
        seconds > own - 0.05 && seconds < own + 1.0,
        "{seconds} and {own}"
    );
    assert_eq!(cpu["quality"], "counter");
    assert!(["counter", "modelled"].contains(&energy["quality"].as_str().unwrap()));
    assert!(
        summary["sources"]["cpu_energy"]
            .as_str()
            .unwrap()
            .starts_with("counter (RAPL)")
    );
    assert_eq!(summary["is_complete"], true);
    // A dollar a second.
    let spent = summary["spent_usd"]["value"].as_f64().unwrap();
    assert!(spent <= wall_s && spent > 3.0, "${spent} in {wall_s} s");
    let id = summary["run"].as_str().unwrap();
    assert!((spent_usd(&here, id) - spent).abs() < 1e-6);
    eprintln!(
        "{joules:.2} J, by hand {by_hand:.2} J; {seconds:.2} s of processors, by hand {own:.2} s; ${spent:.2} in {wall_s:.2} s"
    );
}

#[test]
fn energy_is_that_of_the_run_to_its_last_moment() {
    let here = fresh("moment");
    let package = Package::begin(&here.join("sys"), 200.0, 262_143_328_850);
    // Shorter than the time between two readings: the last one must have it all.
    let script = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";
    let before = (package.counter_uj(), busy_s());
    let output = metering_script(
        &here,
        "--interval 60s --sysfs sys --quiet --json summary.json",
        script,
    )
    .output()
    .unwrap();
    let after = (package.counter_uj(), busy_s());
    assert!(output.status.success(), "{}", stderr(&output));
    let summary = summary(&here);
    let own = summary["usage"]["cpu_seconds"]["value"].as_f64().unwrap();
    let drawn = package.joules(before.0, after.0);
    let joules = summary["usage"]["cpu_joules"]["value"].as_f64().unwrap();
    // Less was drawn, and less was busy, in the run alone than from before it until after it.
    let least = drawn * own / (after.1 - before.1);
    assert!(
        own > 0.05 && joules <= drawn,
        "{own} s, {joules} of {drawn} J"
    );
    assert!(joules > 0.3 * least, "{joules} J, of at least {least}");
}

#[test]
fn one_of_two_packages_that_fails_is_a_gap() {
    for (name, after, is_complete) in [
        ("package-lost", "", false),
        (
            "package-back",
            "mv away sys/class/powercap/intel-rapl:1/energy_uj",
            true,
        ),
    ] {
        let here = fresh(name);
        for zone in ["intel-rapl:0", "intel-rapl:1"] {
            let zone = here.join("sys/class/powercap").join(zone);
            std::fs::create_dir_all(&zone).unwrap();
            std::fs::write(zone.join("name"), "package-0\n").unwrap();
            std::fs::write(zone.join("energy_uj"), "5000000\n").unwrap();
        }
        let script = format!(
            "sleep 0.4; mv sys/class/powercap/intel-rapl:1/energy_uj away; sleep 0.5; {after}\n sleep 0.4"
        );
        let options = "--interval 0.1s --sysfs sys --json summary.json";
        let output = metering_script(&here, options, &script).output().unwrap();
        let summary = summary(&here);
        assert_eq!(summary["is_complete"], is_complete, "{name}: {summary}");
        let gaps = summary["usage"]["gaps"].as_array().unwrap();
        assert_eq!(gaps.len(), 1, "{gaps:?}");
        assert_eq!(stderr(&output).contains("lower bound"), !is_complete);
    }
}

#[test]
fn a_training_run_on_an_accelerator_takes_what_its_counter_says() {
    let Some(python) = peers("numpy") else { return };
    let here = fresh("accelerated");
    std::fs::write(here.join("train.py"), TRAIN).unwrap();
    let state = |millijoules: u64| {
        format!("gpu 0 uuid GPU-1\ngpu 0 energy_mj {millijoules}\ngpu 0 process @pid 500\n")
    };
    std::fs::write(here.join("state"), state(0)).unwrap();
    let script = format!(
        "pause; touch go; '{}' train.py 1.5; touch stop; while [ ! -e stopped ]; do sleep 0.02; done; pause",
        python.display()
    );
    let Some(mut command) = gpus::with_gpus(&here, "--price 2/h", &script) else {
        return;
    };
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The accelerator draws 300 W while the command trains, and its counter says so.
    super::wait_for("the training", || here.join("go").exists().then_some(()));
    let since = Instant::now();
    let mut millijoules = 0;
    while !here.join("stop").exists() && since.elapsed() < super::PATIENCE {
        millijoules = (since.elapsed().as_secs_f64() * 300_000.0) as u64;
        std::fs::write(here.join("half"), state(millijoules)).unwrap();
        std::fs::rename(here.join("half"), here.join("state")).unwrap();
        std::thread::sleep(Duration::from_millis(10));
    }
    std::fs::write(here.join("stopped"), "").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let summary = summary(&here);
    let energy = &summary["usage"]["gpu"]["energy_joules"];
    assert_eq!(energy["quality"], "counter");
    let joules = energy["value"].as_f64().unwrap();
    let by_hand = millijoules as f64 / 1e3;
    assert!(
        (joules - by_hand).abs() < 1e-6,
        "{joules} J, and by hand {by_hand} J"
    );
    assert!(by_hand > 300.0);
}
