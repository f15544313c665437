//! Limits on spending: warnings, the end that a command is told to find, and the one that is made for it.

use std::process::Stdio;

use super::super::{stderr, stdout};
use super::{
    DOLLAR_A_SECOND, fresh, json, lives, metering, metering_script, only_run, outlay_at, signal,
    spent_usd, summary, wait_for, wait_for_file,
};

#[test]
fn a_trainer_is_warned_of_and_told_in_time_to_save() {
    let here = fresh("saves");
    let options = format!(
        "{DOLLAR_A_SECOND} --budget 2usd --warn-at 10,50,90 --grace 50s --json summary.json"
    );
    let script = "trap 'echo saved > checkpoint; exit 0' TERM; while :; do sleep 0.05; done";
    let output = metering_script(&here, &options, script).output().unwrap();
    assert_eq!(output.status.code(), Some(122));
    assert_eq!(wait_for_file(&here.join("checkpoint")), "saved");
    let said = stderr(&output);
    // Two shares may be passed at once, and then the larger is told; none is told twice.
    let warned: Vec<usize> = ["10%", "50%", "90%"]
        .iter()
        .map(|share| {
            said.matches(&format!("{share} of this run's budget"))
                .count()
        })
        .collect();
    assert!(warned.iter().all(|n| *n <= 1), "{said}");
    assert!(warned.iter().sum::<usize>() >= 1, "{said}");
    assert_eq!(said.matches("is told to end").count(), 1, "{said}");
    assert!(!said.contains("killed"), "{said}");
    let run = only_run(&here);
    assert_eq!(
        (&run["status"], &run["exit_code"]),
        (&"stopped".into(), &0.into())
    );
    assert!(
        said.contains("was stopped at a budget (exit code 122)"),
        "{said}"
    );
    let summary = summary(&here);
    assert_eq!(summary["stopped_by"], "budget");
    assert!(summary["stopped_because"].as_str().unwrap().contains("$2"));
    assert!(summary["spent_usd"]["value"].as_f64().unwrap() >= 2.0);
}

#[test]
fn a_rule_that_is_met_has_a_code_of_its_own() {
    let here = fresh("rule");
    let options = format!("{DOLLAR_A_SECOND} --json summary.json --grace 50s --stop-when");
    let mut args: Vec<&str> = vec!["run"];
    args.extend(options.split_whitespace());
    // A loss that has come to rest.
    let script = "i=0; while [ $i -lt 9000 ]; do
        i=$((i+1)); echo \"step $i/10000 loss $((1+20/i)).$((1000+1000/i))\"; sleep 0.01; done";
    args.extend(["gain < 1% per 100 steps", "--", "sh", "-c", script]);
    let output = outlay_at(&here, &args).output().unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(123), "{said}");
    assert!(
        said.contains("was stopped by --stop-when (exit code 123)"),
        "{said}"
    );
    assert_eq!(summary(&here)["stopped_by"], "rule");
}

#[test]
fn who_does_not_end_in_time_is_killed_with_all_that_it_started() {
    let here = fresh("deaf");
    let options = format!("{DOLLAR_A_SECOND} --budget 1usd --grace 0.3s");
    // One that burns after forking twice out of the session, a child, and the command: all deaf.
    let script = "trap '' TERM
        (setsid sh -c '(sh -c \"echo \\$\\$ > burner; while :; do :; done\") &' &)
        sh -c 'echo $$ > child; while :; do sleep 0.1; done' &
        while :; do sleep 0.1; done";
    let output = metering_script(&here, &options, script).output().unwrap();
    assert_eq!(output.status.code(), Some(122));
    let said = stderr(&output);
    assert!(
        said.contains("did not end in time, and is killed"),
        "{said}"
    );
    for name in ["burner", "child"] {
        let pid = wait_for_file(&here.join(name));
        wait_for("its end", || (!lives(&pid)).then_some(()));
    }
    let run = only_run(&here);
    assert_eq!(run["status"], "stopped");
    let why = run["summary"]["stopped_because"].as_str().unwrap();
    assert!(why.contains("had to be killed"), "{why}");
    assert!(run["summary"]["usage"]["cpu_seconds"]["value"].as_f64() > Some(0.1));
}

#[test]
fn what_outlives_its_command_at_the_limit_is_killed_too() {
    let here = fresh("leftover");
    let options = format!("{DOLLAR_A_SECOND} --budget 1usd --grace 0.3s");
    let script = "sh -c 'trap \"\" TERM; echo $$ > child; while :; do sleep 0.05; done' &
        trap 'exit 0' TERM; while :; do sleep 0.05; done";
    let output = metering_script(&here, &options, script).output().unwrap();
    assert_eq!(output.status.code(), Some(122));
    let child = wait_for_file(&here.join("child"));
    wait_for("its end", || (!lives(&child)).then_some(()));
    let said = stderr(&output);
    assert!(
        said.contains("is killed") && !said.contains("still run"),
        "{said}"
    );
}

#[test]
fn a_budget_of_the_ledger_spans_runs_and_projects() {
    let here = fresh("span");
    let (first, second) = (here.join("one"), here.join("two"));
    std::fs::create_dir_all(&first).unwrap();
    std::fs::create_dir_all(&second).unwrap();
    let ledger = here.join("shared.db");
    let at = |folder: &std::path::Path, more: &str, script: &str| {
        metering_script(folder, &format!("{DOLLAR_A_SECOND} {more}"), script)
            .env("OUTLAY_LEDGER", &ledger)
            .output()
            .unwrap()
    };
    let ask = |args: &[&str]| {
        let output = outlay_at(&here, args)
            .env("OUTLAY_LEDGER", &ledger)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output)
    };
    let set = [
        "budget",
        "set",
        "team",
        "2usd",
        "--month",
        "--team",
        "vision",
        "--warn-at",
        "20",
    ];
    assert!(ask(&set).contains("$2"));
    let done = at(&first, "--team vision --project a", "sleep 0.6");
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    // Another team's spending does not count.
    assert_eq!(
        at(&first, "--team speech --project a", "sleep 0.6")
            .status
            .code(),
        Some(0)
    );
    let stopped = at(&second, "--team vision --project b --grace 0s", "sleep 50");
    assert_eq!(stopped.status.code(), Some(122));
    let said = stderr(&stopped);
    assert!(said.contains("budget `team` is reached"), "{said}");
    let refused = at(&first, "--team vision --project c", "touch started");
    assert_eq!(refused.status.code(), Some(122));
    assert!(stderr(&refused).contains("was not started") && !first.join("started").exists());
    let standing: serde_json::Value = serde_json::from_str(&ask(&["budget", "--json"])).unwrap();
    let spent = standing[0]["spent_micro"].as_f64().unwrap() / 1e6;
    let runs: serde_json::Value =
        serde_json::from_str(&ask(&["ledger", "runs", "--json"])).unwrap();
    let by_hand: f64 = runs
        .as_array()
        .unwrap()
        .iter()
        .filter(|run| run["team"] == "vision")
        .map(|run| run["summary"]["spent_usd"]["value"].as_f64().unwrap())
        .sum();
    assert!((spent - by_hand).abs() < 3e-6, "{spent} and {by_hand}");
    assert!(spent >= 2.0);
    assert!(ask(&["budget"]).contains("team vision"));
}

#[test]
fn a_reader_that_stalls_does_not_hold_up_the_limit() {
    let here = fresh("stalled");
    let run = format!(
        "exec '{}' run {DOLLAR_A_SECOND} --budget 1usd --grace 0s -- sh -c 'while :; do head -c 100000 /dev/zero; sleep 0.02; done' 2>&1",
        env!("CARGO_BIN_EXE_outlay")
    );
    // Nobody reads until the account is closed.
    let child = std::process::Command::new("sh")
        .current_dir(&here)
        .args(["-c", &run])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for("the end of the run", || {
        let output = outlay_at(&here, &["ledger", "runs", "--json"])
            .output()
            .unwrap();
        let runs: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
        (runs[0]["status"] == "stopped").then_some(())
    });
    // Then it goes on handing on, to a reader who has had enough.
    signal("KILL", &child.id().to_string());
    drop(child);
    let run = only_run(&here);
    let spent = spent_usd(&here, run["id"].as_str().unwrap());
    assert!(spent >= 1.0, "{spent}");
}

#[test]
fn a_budget_without_a_price_is_refused() {
    let here = fresh("no-price");
    let output = metering(&here, "--budget 5usd", &["touch", "started"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--budget needs a price"));
    assert!(!here.join("started").exists());
}

#[test]
fn a_run_within_a_run_is_paid_for_once() {
    let here = fresh("within");
    let inner = format!(
        "{} run --quiet {DOLLAR_A_SECOND} -- sh -c 'sleep 0.5; exit 4'",
        env!("CARGO_BIN_EXE_outlay")
    );
    let output = metering_script(&here, DOLLAR_A_SECOND, &inner)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(4));
    let runs = json(&here, &["ledger", "runs", "--json"]);
    let runs = runs.as_array().unwrap();
    assert_eq!(runs.len(), 2);
    let spent = |run: &serde_json::Value| {
        let id = run["id"].as_str().unwrap();
        let shown = json(&here, &["ledger", "show", id, "--json"]);
        shown["spent"].as_array().unwrap().len()
    };
    let (within, outer): (Vec<_>, Vec<_>) = runs
        .iter()
        .partition(|run| run["summary"]["within"].is_string());
    assert_eq!(within[0]["summary"]["within"], outer[0]["id"]);
    assert_eq!((spent(within[0]), spent(outer[0])), (0, 1));
    let sound = outlay_at(&here, &["ledger", "verify"]).output().unwrap();
    assert_eq!(sound.status.code(), Some(0), "{}", stdout(&sound));
}
