//! `kill -9`, of whoever and whenever: the command goes on, and its account is closed.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::super::{stderr, stdout};
use super::{
    DOLLAR_A_SECOND, assert_sound, fresh, json, lives, metering, metering_script, only_run,
    outlay_at, recorded_s, signal, spent_usd, wait_for, wait_for_file,
};

/// Lines that the command of these tests writes.
const N_LINES: usize = 12;

/// A command that writes lines until it is told to end, with a code of its own.
const UNTIL_TOLD: &str = "echo $$ > command; i=0
    while [ ! -e go ]; do echo line $i; i=$((i+1)); sleep 0.02; done; echo last; exit 5";

/// Starts `UNTIL_TOLD`, and waits until it runs.
fn started(here: &Path) -> Child {
    let child = metering_script(here, &format!("{DOLLAR_A_SECOND} --name told"), UNTIL_TOLD)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for_file(&here.join("command"));
    child
}

fn kill(mut child: Child) {
    signal("KILL", &child.id().to_string());
    child.wait().unwrap();
}

/// The folder of the only run.
fn run_folder(here: &Path) -> PathBuf {
    let mut folders = std::fs::read_dir(here.join(".outlay/runs")).unwrap();
    folders.next().unwrap().unwrap().path()
}

/// The keeper's process.
fn keeper(here: &Path) -> String {
    let path = run_folder(here).join("keeper.json");
    let text = std::fs::read_to_string(path).unwrap();
    let kept: Value = serde_json::from_str(&text).unwrap();
    kept["keeper"]["pid"].to_string()
}

/// Starts something in a folder, which closes the accounts of what was killed there.
fn probe(here: &Path) -> String {
    let output = metering(here, "--name probe", &["true"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    stderr(&output)
}

/// Fails unless the entries of a run add up to the price of its time.
fn assert_paid(here: &Path, run: &Value) {
    let (spent, lasted) = (
        spent_usd(here, run["id"].as_str().unwrap()),
        recorded_s(run),
    );
    assert!(
        (spent - lasted).abs() < 0.05,
        "${spent} for {lasted} s at $1 a second"
    );
}

/// One kill at each of some moments; gives how many of the commands had begun.
fn killed_at(name: &str, moments: impl Iterator<Item = Duration>) -> usize {
    let here = fresh(name);
    let script = format!(
        "touch started.$OUTLAY_RUN_ID; i=0
         while [ $i -lt {N_LINES} ]; do echo line $i; i=$((i+1)); sleep 0.03; done
         touch done.$OUTLAY_RUN_ID"
    );
    for moment in moments {
        let child = metering_script(&here, &format!("{DOLLAR_A_SECOND} --quiet"), &script)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(moment);
        kill(child);
    }
    let begun = || -> Vec<String> {
        let files = std::fs::read_dir(&here).unwrap();
        files
            .filter_map(|file| {
                let name = file.unwrap().file_name().into_string().unwrap();
                Some(name.strip_prefix("started.")?.to_owned())
            })
            .collect()
    };
    wait_for("the commands' own ends", || {
        let is_done = |id: &String| here.join(format!("done.{id}")).exists();
        begun().iter().all(is_done).then_some(())
    });
    // A keeper may have been just about to begin its command.
    let runs = wait_for("closed accounts", || {
        probe(&here);
        let runs = json(&here, &["ledger", "runs", "--limit", "1000", "--json"]);
        let is_open = |run: &Value| run["status"] == "running";
        let runs = runs.as_array().unwrap().clone();
        (!runs.iter().any(is_open)).then_some(runs)
    });
    let begun = begun();
    for id in &begun {
        let run = runs.iter().find(|run| run["id"] == id.as_str());
        let run = run.expect("no command runs that the ledger does not know");
        assert_eq!(
            (&run["status"], &run["exit_code"]),
            (&"finished".into(), &0.into())
        );
        assert_paid(&here, run);
        let output = here.join(".outlay/runs").join(id).join("output");
        let lines = std::fs::read_to_string(output).unwrap();
        assert_eq!(lines.lines().count(), N_LINES, "{lines}");
    }
    assert_sound(&here);
    begun.len()
}

/// `OUTLAY_KILLS` says how often.
#[test]
fn killed_at_any_instant_nothing_is_lost() {
    let n_kills: u64 = std::env::var("OUTLAY_KILLS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(20);
    // Moments that fall everywhere, other ones at each test: the seed is the time.
    let seed = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .subsec_nanos();
    let moment = move |n: u64| {
        let mixed = (n + u64::from(seed)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
        // Half of them while it starts.
        let most = if n.is_multiple_of(2) { 120 } else { 900 };
        Duration::from_millis(mixed % most)
    };
    let workers: Vec<_> = (0..4)
        .map(|worker| {
            let moments = (0..n_kills).filter(move |n| n % 4 == worker).map(moment);
            std::thread::spawn(move || killed_at(&format!("killed-{worker}"), moments))
        })
        .collect();
    let n_begun: usize = workers.into_iter().map(|one| one.join().unwrap()).sum();
    eprintln!("seed {seed}: {n_begun} of {n_kills} commands had begun");
}

#[test]
fn a_run_is_taken_up_again_with_its_output_and_its_code() {
    let here = fresh("resumed");
    let child = started(&here);
    wait_for("a first record", || {
        let runs = json(&here, &["ledger", "runs", "--json"]);
        (runs[0]["state"]["n_entries"].as_u64() > Some(0)).then_some(())
    });
    kill(child);
    assert!(probe(&here).contains("goes on without a meter"));
    std::thread::sleep(Duration::from_millis(300));
    let resumed = outlay_at(&here, &["run", "--resume", "--interval", "0.1s"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for("a meter", || {
        let run = only_run(&here);
        (run["state"]["meter"]["pid"] == resumed.id()).then_some(())
    });
    let twice = outlay_at(
        &here,
        &["run", "--resume", only_run(&here)["id"].as_str().unwrap()],
    )
    .output()
    .unwrap();
    assert_eq!(twice.status.code(), Some(2));
    assert!(stderr(&twice).contains("has a meter"), "{}", stderr(&twice));
    std::fs::write(here.join("go"), "").unwrap();
    let output = resumed.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
    let (lines, said) = (stdout(&output), stderr(&output));
    assert!(
        lines.starts_with("line ") && lines.ends_with("last\n"),
        "{lines}"
    );
    assert!(
        said.contains("is metered again") && said.contains("Nobody metered it"),
        "{said}"
    );
    let run = only_run(&here);
    assert_eq!(
        (&run["status"], &run["exit_code"]),
        (&"failed".into(), &5.into())
    );
    let away = &run["summary"]["away"];
    assert_eq!(away.as_array().unwrap().len(), 1);
    assert!(away[0]["to_s"].as_f64().unwrap() - away[0]["from_s"].as_f64().unwrap() > 0.2);
    assert_paid(&here, &run);
    // Asked for again, it says what it came to.
    let again = outlay_at(&here, &["run", "--resume", run["id"].as_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(again.status.code(), Some(5));
    assert!(
        stderr(&again).contains("ended with exit code 5"),
        "{}",
        stderr(&again)
    );
    assert_sound(&here);
}

#[test]
fn of_two_runs_without_a_meter_one_is_named() {
    let here = fresh("two");
    let mut ids = Vec::new();
    for _ in 0..2 {
        let child = started(&here);
        std::fs::remove_file(here.join("command")).unwrap();
        kill(child);
    }
    for run in json(&here, &["ledger", "runs", "--json"])
        .as_array()
        .unwrap()
    {
        ids.push(run["id"].as_str().unwrap().to_owned());
    }
    assert_eq!(ids.len(), 2);
    let which = outlay_at(&here, &["run", "--resume"]).output().unwrap();
    assert_eq!(which.status.code(), Some(2));
    assert!(
        stderr(&which).contains("2 runs go on without a meter"),
        "{}",
        stderr(&which)
    );
    let resumed: Vec<Child> = ids
        .iter()
        .map(|id| {
            outlay_at(
                &here,
                &[
                    "run",
                    "--quiet",
                    "--interval",
                    "0.1s",
                    "--resume",
                    &id[..10],
                ],
            )
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
        })
        .collect();
    for id in &ids {
        wait_for("a meter", || {
            let shown = json(&here, &["ledger", "show", id, "--json"]);
            let meter = &shown["run"]["state"]["meter"]["pid"];
            resumed.iter().any(|one| *meter == one.id()).then_some(())
        });
    }
    std::fs::write(here.join("go"), "").unwrap();
    for mut one in resumed {
        assert_eq!(one.wait().unwrap().code(), Some(5));
    }
    for run in json(&here, &["ledger", "runs", "--json"])
        .as_array()
        .unwrap()
    {
        assert_eq!(run["status"], "failed");
        assert_paid(&here, run);
    }
}

#[test]
fn a_run_whose_keeper_was_killed_lasts_as_long_as_its_processes() {
    let here = fresh("keeper");
    let mut child = started(&here);
    let command = wait_for_file(&here.join("command"));
    let keeper = keeper(&here);
    signal("KILL", &keeper);
    wait_for("the keeper's end", || (!lives(&keeper)).then_some(()));
    std::thread::sleep(Duration::from_millis(400));
    assert!(lives(&command), "the command goes on");
    assert!(child.try_wait().unwrap().is_none(), "and so does its meter");
    std::fs::write(here.join("go"), "").unwrap();
    // Nobody saw the code.
    assert_eq!(child.wait().unwrap().code(), Some(3));
    let run = only_run(&here);
    assert_eq!(
        (&run["status"], &run["exit_code"]),
        (&"lost".into(), &Value::Null)
    );
    assert_paid(&here, &run);
    let output = std::fs::read_to_string(run_folder(&here).join("output")).unwrap();
    assert!(output.ends_with("last\n"), "{output}");
}

#[test]
fn with_meter_and_keeper_killed_the_account_ends_at_the_last_sign_of_life() {
    let here = fresh("both");
    let child = started(&here);
    let command = wait_for_file(&here.join("command"));
    wait_for("its processes in the ledger", || {
        let run = only_run(&here);
        let processes = run["state"]["processes"].as_array()?;
        processes
            .iter()
            .any(|one| one["pid"].as_u64() == command.parse().ok())
            .then_some(())
    });
    signal("KILL", &keeper(&here));
    kill(child);
    assert!(lives(&command));
    assert!(probe(&here).contains("goes on without a meter"));
    std::fs::write(here.join("go"), "").unwrap();
    wait_for("the command's end", || (!lives(&command)).then_some(()));
    let said = probe(&here);
    assert!(said.contains("its account is closed now: lost"), "{said}");
    let run = only_run(&here);
    assert_eq!(run["status"], "lost");
    let why = run["summary"]["away"][0]["why"].as_str().unwrap();
    assert!(why.contains("nobody saw the end"), "{why}");
    assert_eq!(run["summary"]["is_complete"], false);
    assert_paid(&here, &run);
    assert_sound(&here);
}
