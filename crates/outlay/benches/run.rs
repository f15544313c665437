//! What `outlay run` costs the command that it meters, and the memory that it takes.
//!
//! `cargo bench -p outlay --bench run`, three minutes; `OUTLAY_PAIRS=100` for a narrower interval, in fifteen.
//! Two figures say what it costs: how much longer the command takes, which is what matters and as noisy as the machine, and the processor time of Outlay and its keeper beside the command's, which is not.
//! Targets: under 1% of the command's time, and at most 30 MB for the meter and its keeper together.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench reports to its terminal"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

/// Pairs of a run without a meter and one with it, one after the other so that both meet the same machine.
fn n_pairs() -> usize {
    let given = std::env::var("OUTLAY_PAIRS").ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(15)
}

/// How long memory is watched.
const WATCHED_S: u64 = 25;

/// Variable that makes this program a command to be metered: `loop`, `processes` or `nothing`.
const ROLE: &str = "OUTLAY_BENCH_ROLE";

fn main() {
    if let Ok(role) = std::env::var(ROLE) {
        work(&role);
        return;
    }
    let here = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bench-run");
    let _ = std::fs::remove_dir_all(&here);
    std::fs::create_dir_all(&here).unwrap();
    let n_pairs = n_pairs();
    for (role, what) in [
        ("loop", "arithmetic on one processor"),
        ("processes", "one process after another"),
    ] {
        let mut ratios = Vec::new();
        let (mut alone_s, mut whole_s) = (Vec::new(), Vec::new());
        let (mut own_s, mut shares) = (Vec::new(), Vec::new());
        for pair in 0..n_pairs {
            // Who comes first changes, so that a machine that slows down slows both.
            let (plain, metered) = if pair % 2 == 0 {
                let plain = timed(&here, role, false);
                (plain, timed(&here, role, true))
            } else {
                let metered = timed(&here, role, true);
                (timed(&here, role, false), metered)
            };
            ratios.push(metered.seconds / plain.seconds);
            alone_s.push(plain.whole_s);
            whole_s.push(metered.whole_s - metered.seconds);
            // What starting and ending takes is told by itself.
            let of_moment = timed(&here, "nothing", true).others_cpu_s;
            own_s.push(of_moment);
            shares.push((metered.others_cpu_s - of_moment) / metered.cpu_s);
        }
        ratios.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let place = share.clamp(0.0, 1.0) * (n_pairs - 1) as f64;
            100.0 * (ratios[place.round() as usize] - 1.0)
        };
        // Between which of them the median of all such pairs lies, 95 times in 100: the count below it is binomial.
        let apart = 0.98 / (n_pairs as f64).sqrt();
        println!(
            "{what} ({:.2} s): its own time changes by {:+.2}% (the median of {n_pairs} pairs, 95% sure between {:+.2}% and {:+.2}%; quartiles {:+.2}% to {:+.2}%); before and after it {:.0} ms; Outlay's processor time is {:.2}% of its own, and {:.0} ms to begin and end",
            median(alone_s),
            at(0.5),
            at(0.5 - apart),
            at(0.5 + apart),
            at(0.25),
            at(0.75),
            median(whole_s) * 1e3,
            median(shares) * 100.0,
            median(own_s) * 1e3,
        );
    }
    memory(&here);
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Does a fixed work, and writes down how long it took.
fn work(role: &str) {
    let since = Instant::now();
    match role {
        "loop" => {
            let mut state = 1_u64;
            for _ in 0..1_200_000_000_u64 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .rotate_left(17)
                    ^ 1;
            }
            std::hint::black_box(state);
        }
        "nothing" => {}
        _ => {
            for _ in 0..1500 {
                Command::new("/bin/true").status().unwrap();
            }
        }
    }
    let seconds = since.elapsed().as_secs_f64();
    let cpu_s = cpu_s(UsageWho::RUSAGE_SELF) + cpu_s(UsageWho::RUSAGE_CHILDREN);
    std::fs::write("seconds", format!("{seconds} {cpu_s}")).unwrap();
}

/// Processor time of this process, or of those that it waited for and all below them.
fn cpu_s(who: UsageWho) -> f64 {
    let usage = getrusage(who).unwrap();
    [usage.user_time(), usage.system_time()]
        .iter()
        .map(|time| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6)
        .sum()
}

/// What a command took.
struct Took {
    /// By its own watch.
    seconds: f64,
    /// From outside.
    whole_s: f64,
    /// Processor time, by its own account.
    cpu_s: f64,
    /// Processor time of everything around it.
    others_cpu_s: f64,
}

/// Runs the command, metered or not.
fn timed(here: &Path, role: &str, is_metered: bool) -> Took {
    let me = std::env::current_exe().unwrap();
    let mut command = if is_metered {
        let mut command = Command::new(env!("CARGO_BIN_EXE_outlay"));
        command
            .args(["run", "--quiet", "--price", "2/h", "--"])
            .arg(me);
        command
    } else {
        Command::new(me)
    };
    let (since, before_s) = (Instant::now(), cpu_s(UsageWho::RUSAGE_CHILDREN));
    let status = command
        .current_dir(here)
        .env(ROLE, role)
        .stdin(Stdio::null())
        .status()
        .unwrap();
    let whole_s = since.elapsed().as_secs_f64();
    assert!(status.success());
    let all_s = cpu_s(UsageWho::RUSAGE_CHILDREN) - before_s;
    let said = std::fs::read_to_string(here.join("seconds")).unwrap();
    let (seconds, cpu_s) = said.split_once(' ').unwrap();
    let cpu_s: f64 = cpu_s.parse().unwrap();
    Took {
        seconds: seconds.parse().unwrap(),
        whole_s,
        cpu_s,
        others_cpu_s: all_s - cpu_s,
    }
}

/// Watches the memory of a meter of eight accelerators, and of its keeper.
fn memory(here: &Path) {
    let source = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../outlay-meter/tests/it/fake_nvml.c"
    );
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-O2", "-o", "libnvidia-ml.so.1", source])
        .current_dir(here)
        .status();
    if !compiled.is_ok_and(|status| status.success()) {
        println!("memory: skipped, no `cc` to make a stand-in for NVML with");
        return;
    }
    let gpus: String = (0..8)
        .map(|n| {
            format!(
                "gpu {n} uuid GPU-{n}\ngpu {n} name NVIDIA H100 80GB HBM3\ngpu {n} watts 600\ngpu {n} busy 90\ngpu {n} memory 80000000000 70000000000\ngpu {n} process @pid 70000000000\n"
            )
        })
        .collect();
    std::fs::write(here.join("state"), gpus).unwrap();
    let script = format!(
        "echo $$ > pid; i=0; while [ $i -lt {} ]; do echo \"step $i loss 0.$i\"; sleep 0.1; i=$((i+1)); done",
        WATCHED_S * 10
    );
    let mut meter = Command::new(env!("CARGO_BIN_EXE_outlay"))
        .args([
            "run", "--quiet", "--price", "20/h", "--budget", "100usd", "--", "sh", "-c", &script,
        ])
        .current_dir(here)
        .env("LD_LIBRARY_PATH", here)
        .env("FAKE_NVML_STATE", here.join("state"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_secs(WATCHED_S - 2));
    let pid = meter.id();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let keeper = children.split_whitespace().next().unwrap().to_owned();
    let mut sum = 0.0;
    for (what, pid) in [("meter", pid.to_string()), ("keeper", keeper)] {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let mb = |name: &str| {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap();
            let kib: f64 = line.trim().trim_end_matches(" kB").parse().unwrap();
            kib * 1024.0 / 1e6
        };
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 1..]
            .split_whitespace()
            .collect();
        let ticks: f64 = fields[11..13]
            .iter()
            .map(|field| field.parse::<f64>().unwrap())
            .sum();
        println!(
            "{what}: at most {:.1} MB (now {:.1} of its own and {:.1} of the program's file), {:.2} s of processor time in {} s",
            mb("VmHWM:"),
            mb("RssAnon:"),
            mb("RssFile:"),
            ticks / 100.0,
            WATCHED_S - 2,
        );
        sum += mb("VmHWM:");
    }
    println!("memory of both: {sum:.1} MB at most");
    assert!(meter.wait().unwrap().success());
}
