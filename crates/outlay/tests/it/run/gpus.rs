//! Accelerators, played by the stand-in for NVIDIA's library: whose energy is whose, to the joule.
//!
//! Commands move the stand-in's counters themselves, at times when nothing else changes, so that sums are exact.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

use super::super::{folder, stderr};
use super::{fresh, json, metering_script, summary, wait_for, wait_for_file};

/// The folder of the stand-in; `None`, with a message, where there is no C compiler to make it with.
pub(crate) fn library() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    BUILT
        .get_or_init(|| {
            let here = folder("run").join("library");
            std::fs::create_dir_all(&here).unwrap();
            let part = here.join(format!("part.{}", std::process::id()));
            let source = concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../outlay-meter/tests/it/fake_nvml.c"
            );
            let compiled = Command::new("cc")
                .args(["-shared", "-fPIC", "-o"])
                .args([&part, Path::new(source)])
                .status();
            if !compiled
                .as_ref()
                .is_ok_and(std::process::ExitStatus::success)
            {
                eprintln!("skipped: `cc` makes no stand-in for NVML here ({compiled:?})");
                return None;
            }
            std::fs::rename(part, here.join("libnvidia-ml.so.1")).unwrap();
            Some(here)
        })
        .as_deref()
}

/// Shell functions for commands: `state` replaces the stand-in's state, `pause` lets some readings pass.
const HELPERS: &str = "state() { cat > state.$$; mv state.$$ state; }
    pause() { sleep 0.5; }
    echo $$ > pid\n";

/// A command with the stand-in's accelerators in `state`.
pub(crate) fn with_gpus(here: &Path, options: &str, script: &str) -> Option<Command> {
    let library = library()?;
    let mut command = metering_script(
        here,
        &format!("--interval 0.1s --json summary.json {options}"),
        &format!("{HELPERS}{script}"),
    );
    command
        .env("LD_LIBRARY_PATH", library)
        .env("FAKE_NVML_STATE", here.join("state"));
    Some(command)
}

/// Runs a command over a state, and gives the summary.
fn metered(name: &str, state: &str, script: &str) -> Option<(Value, Output)> {
    let here = fresh(name);
    std::fs::write(here.join("state"), state).unwrap();
    let output = with_gpus(&here, "", script)?.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    Some((summary(&here), output))
}

fn joules(summary: &Value) -> (f64, &str) {
    let energy = &summary["usage"]["gpu"]["energy_joules"];
    (
        energy["value"].as_f64().unwrap(),
        energy["quality"].as_str().unwrap(),
    )
}

#[track_caller]
fn assert_joules(summary: &Value, value: f64, quality: &str) {
    let (found, how) = joules(summary);
    assert!((found - value).abs() < 1e-6, "{found} J, not {value}");
    assert_eq!(how, quality);
}

#[test]
fn the_energy_counter_is_preferred_to_power_and_counts_while_it_is_held() {
    // 100 J before the command holds the accelerator are not its own, though it could see it.
    let state = "gpu 0 uuid GPU-1\ngpu 0 name NVIDIA H100\ngpu 0 energy_mj 1000000\ngpu 0 power_mw 9000000\ngpu 0 busy 80";
    let script = "
        pause; state <<E\ngpu 0 uuid GPU-1\ngpu 0 name NVIDIA H100\ngpu 0 energy_mj 1100000\ngpu 0 power_mw 9000000\nE
        pause; state <<E\ngpu 0 uuid GPU-1\ngpu 0 name NVIDIA H100\ngpu 0 energy_mj 1100000\ngpu 0 power_mw 9000000\ngpu 0 busy 80\ngpu 0 memory 8000 500\ngpu 0 process $$ 500\nE
        pause; state <<E\ngpu 0 uuid GPU-1\ngpu 0 name NVIDIA H100\ngpu 0 energy_mj 1400000\ngpu 0 power_mw 9000000\ngpu 0 busy 80\ngpu 0 memory 8000 500\ngpu 0 process $$ 500\nE
        pause";
    let Some((summary, output)) = metered("gpu-counter", state, script) else {
        return;
    };
    assert_joules(&summary, 300.0, "counter");
    let gpu = &summary["usage"]["gpu"]["accelerators"][0];
    assert_eq!(gpu["idle_joules"], 100.0);
    assert_eq!(gpu["memory_peak_bytes"], 500);
    assert!((gpu["busy_mean"].as_f64().unwrap() - 0.8).abs() < 1e-9);
    assert_eq!(summary["usage"]["gpu"]["complete"], true);
    assert_eq!(summary["is_complete"], true);
    assert!(
        stderr(&output).contains("NVIDIA H100"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn power_alone_is_sampled() {
    let state = "gpu 0 uuid GPU-1\ngpu 0 power_mw 200000\ngpu 0 process @pid 500";
    let Some((summary, _)) = metered("gpu-power", state, "pause") else {
        return;
    };
    let (found, quality) = joules(&summary);
    let held = summary["usage"]["gpu"]["accelerators"][0]["held_s"]
        .as_f64()
        .unwrap();
    assert_eq!(quality, "sampled");
    assert!((found - 200.0 * held).abs() < 1e-6, "{found} J in {held} s");
    assert!(held > 0.3 && held <= summary["elapsed_s"].as_f64().unwrap());
}

#[test]
fn a_counter_that_fails_for_a_while_is_a_gap_that_it_fills_itself() {
    let state = "gpu 0 uuid GPU-1\ngpu 0 energy_mj 1000\ngpu 0 process @pid 500";
    for (name, after, joules, is_complete) in [
        ("gpu-gap", "gpu 0 energy_mj 51000", 50.0, true),
        ("gpu-lost", "gpu 0 fail energy 999", 20.0, false),
    ] {
        let script = format!(
            "
            pause; state <<E\ngpu 0 uuid GPU-1\ngpu 0 energy_mj 21000\ngpu 0 process $$ 500\nE
            pause; state <<E\ngpu 0 uuid GPU-1\ngpu 0 fail energy 999\ngpu 0 process $$ 500\nE
            pause; state <<E\ngpu 0 uuid GPU-1\n{after}\ngpu 0 process $$ 500\nE
            pause"
        );
        let Some((summary, output)) = metered(name, state, &script) else {
            return;
        };
        assert_joules(&summary, joules, "counter");
        assert_eq!(summary["is_complete"], is_complete, "{name}");
        let gaps = summary["usage"]["gpu"]["accelerators"][0]["gaps"]
            .as_array()
            .unwrap();
        assert_eq!(gaps.len(), 1, "{gaps:?}");
        let lasted = gaps[0]["to_s"].as_f64().unwrap() - gaps[0]["from_s"].as_f64().unwrap();
        assert!(lasted > 0.5, "{gaps:?}");
        // Its times are those of the run.
        let elapsed = summary["elapsed_s"].as_f64().unwrap();
        assert!(
            gaps[0]["to_s"].as_f64().unwrap() <= elapsed + 0.02,
            "{gaps:?} of {elapsed}"
        );
        let said = stderr(&output);
        assert_eq!(said.contains("lower bound"), !is_complete, "{said}");
    }
}

#[test]
fn a_stranger_on_the_accelerator_takes_its_share() {
    // Process 1 is everybody's parent, and none of the run's.
    let state = "gpu 0 uuid GPU-1\ngpu 0 energy_mj 0\ngpu 0 process @pid 100\ngpu 0 process 1 300";
    let script = "pause; state <<E\ngpu 0 uuid GPU-1\ngpu 0 energy_mj 400000\ngpu 0 process $$ 100\ngpu 0 process 1 300\nE
        pause";
    let Some((summary, _)) = metered("gpu-shared", state, script) else {
        return;
    };
    assert_joules(&summary, 100.0, "modelled");
    assert_eq!(
        summary["usage"]["gpu"]["accelerators"][0]["others_joules"],
        300.0
    );
}

#[test]
fn only_visible_accelerators_count() {
    let here = fresh("gpu-visible");
    let gpus = |first: u32, second: u32| {
        format!(
            "gpu 0 uuid GPU-a\ngpu 0 energy_mj {first}\ngpu 0 process @pid 5\ngpu 1 uuid GPU-b\ngpu 1 energy_mj {second}\ngpu 1 process @pid 5\n"
        )
    };
    std::fs::write(here.join("state"), gpus(1000, 2000)).unwrap();
    let script = format!("pause; state <<E\n{}E\npause; rm pid", gpus(91_000, 32_000));
    let Some(mut command) = with_gpus(&here, "--offer lambda/H100-SXM", &script) else {
        return;
    };
    let output = command.env("CUDA_VISIBLE_DEVICES", "1").output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let summary = summary(&here);
    assert_joules(&summary, 30.0, "counter");
    let gpus = summary["usage"]["gpu"]["accelerators"].as_array().unwrap();
    assert_eq!(gpus.len(), 1);
    assert_eq!(
        (&gpus[0]["id"], &gpus[0]["is_named"]),
        (&"GPU-b".into(), &true.into())
    );
    // The offer is paid for what can be seen.
    let price = summary["terms"]["price_source"].as_str().unwrap();
    assert!(price.starts_with("1 H100"), "{price}");
}

#[test]
fn a_slice_takes_its_part_of_the_whole() {
    let slices = |millijoules: u32| {
        format!(
            "gpu 0 uuid GPU-1\ngpu 0 slices 7\ngpu 0 energy_mj {millijoules}\nslice 0.0 uuid MIG-1\nslice 0.0 compute 2\nslice 0.0 process @pid 50\nslice 0.1 uuid MIG-2\nslice 0.1 compute 1\nslice 0.1 process 1 50\n"
        )
    };
    let script = format!("pause; state <<E\n{}E\npause", slices(700_000));
    let Some((summary, _)) = metered("gpu-slice", &slices(0), &script) else {
        return;
    };
    assert_joules(&summary, 200.0, "modelled");
}

#[test]
fn a_machine_without_accelerators_says_so_and_gives_no_zero() {
    let here = fresh("gpu-none");
    let output = metering_script(&here, "--json summary.json --csv emissions.csv", "true")
        .env("LD_LIBRARY_PATH", "/nowhere")
        .output()
        .unwrap();
    let summary = summary(&here);
    if !summary["usage"]["gpu"]["accelerators"]
        .as_array()
        .unwrap()
        .is_empty()
    {
        eprintln!("skipped: this machine has an accelerator");
        return;
    }
    assert_eq!(summary["usage"]["gpu"]["energy_joules"], Value::Null);
    let said = stderr(&output);
    assert!(said.contains("No accelerator was seen"), "{said}");
}

#[test]
fn two_runs_on_one_accelerator_never_claim_more_than_it_drew() {
    let here = fresh("gpu-two");
    let state = |millijoules: u32| {
        format!(
            "gpu 0 uuid GPU-1\ngpu 0 energy_mj {millijoules}\ngpu 0 process @{0}/one/pid 100\ngpu 0 process @{0}/two/pid 300\n",
            here.display()
        )
    };
    let set = |millijoules| {
        std::fs::write(here.join("half"), state(millijoules)).unwrap();
        std::fs::rename(here.join("half"), here.join("state")).unwrap();
    };
    set(0);
    let mut runs: Vec<(PathBuf, Child)> = Vec::new();
    for name in ["one", "two"] {
        let folder = here.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let Some(mut command) = with_gpus(&folder, "", "while [ ! -e go ]; do sleep 0.02; done")
        else {
            return;
        };
        let command = command.env("FAKE_NVML_STATE", here.join("state"));
        let child = command.stderr(Stdio::null()).spawn().unwrap();
        wait_for_file(&folder.join("pid"));
        runs.push((folder, child));
    }
    for (folder, _) in &runs {
        wait_for("readings", || {
            let runs = json(folder, &["ledger", "runs", "--json"]);
            let gpu = runs[0]["state"]["usage"]["gpu"]["accelerators"][0].clone();
            (gpu["held_s"].as_f64() > Some(0.2)).then_some(())
        });
    }
    set(400_000);
    std::thread::sleep(std::time::Duration::from_millis(700));
    let mut sum = 0.0;
    for (folder, mut child) in runs {
        std::fs::write(folder.join("go"), "").unwrap();
        assert!(child.wait().unwrap().success());
        let summary = summary(&folder);
        let (found, quality) = joules(&summary);
        assert!(found > 0.0 && quality == "modelled", "{found} {quality}");
        sum += found;
    }
    assert!((sum - 400.0).abs() < 1e-6, "{sum} J of 400");
}
