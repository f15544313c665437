//! What a command says, hears and leaves behind is the same with a meter as without.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Instant;

use super::super::{stderr, stdout};
use super::{
    fresh, json, lives, metering, metering_script, only_run, outlay_at, signal, summary,
    wait_for_file,
};

#[test]
fn the_commands_own_exit_code_is_passed_on() {
    let here = fresh("codes");
    std::fs::write(here.join("plain"), "no program").unwrap();
    for (command, code, status) in [
        (&["true"][..], 0, "finished"),
        (&["sh", "-c", "exit 3"], 3, "failed"),
        (&["sh", "-c", "kill -s TERM $$"], 143, "failed"),
        (&["sh", "-c", "kill -s KILL $$"], 137, "failed"),
        (&["./plain"], 126, "failed"),
    ] {
        let output = metering(&here, "--quiet --json summary.json", command)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(code), "{command:?}");
        assert_eq!(summary(&here)["status"], status, "{command:?}");
        let said = stderr(&output);
        // Nothing of ours, but for why there was nothing to run.
        assert_eq!(said.is_empty(), code != 126, "{said}");
        assert!(output.stdout.is_empty());
    }
    let runs = json(&here, &["ledger", "runs", "--json"]);
    assert_eq!(runs.as_array().unwrap().len(), 5);
}

#[test]
fn the_code_is_known_also_where_it_cannot_be_written_down() {
    let here = fresh("unwritten");
    // As on a disk that is full: the keeper finds no place for its note.
    let script = "rm -r .outlay/runs/$OUTLAY_RUN_ID; echo last; exit 6";
    let output = metering_script(&here, "--quiet", script).output().unwrap();
    assert_eq!(output.status.code(), Some(6), "{}", stderr(&output));
    assert_eq!(stdout(&output), "last\n");
    let run = only_run(&here);
    assert_eq!(
        (&run["status"], &run["exit_code"]),
        (&"failed".into(), &6.into())
    );
}

#[test]
fn output_is_handed_on_byte_by_byte() {
    let here = fresh("bytes");
    // Twenty million bytes of every value, without a line's end anywhere near.
    let blob: Vec<u8> = (0..20_000_000_u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    std::fs::write(here.join("blob"), &blob).unwrap();
    let output = metering_script(
        &here,
        "--no-ledger",
        "cat blob; printf 'no newline'; head -c 300000 blob >&2",
    )
    .output()
    .unwrap();
    let expected = [&blob[..], b"no newline"].concat();
    assert!(output.stdout == expected, "{} bytes", output.stdout.len());
    assert!(output.stderr.starts_with(&blob[..300_000]));
    let rest = String::from_utf8_lossy(&output.stderr[300_000..]).into_owned();
    assert!(rest.starts_with("Run "), "{rest}");
}

#[test]
fn both_outputs_keep_their_order_in_one_pipe() {
    let here = fresh("order");
    let script = "i=0; while [ $i -lt 300 ]; do echo out $i; echo err $i >&2; i=$((i+1)); done";
    let run = format!(
        "exec '{}' run --quiet --no-ledger -- sh -c '{script}' 2>&1",
        env!("CARGO_BIN_EXE_outlay")
    );
    let output = std::process::Command::new("sh")
        .current_dir(&here)
        .args(["-c", &run])
        .output()
        .unwrap();
    let expected: String = (0..300).map(|i| format!("out {i}\nerr {i}\n")).collect();
    assert_eq!(stdout(&output), expected);
}

#[test]
fn input_and_environment_reach_the_command() {
    let here = fresh("input");
    let mut child = metering_script(
        &here,
        "--quiet --json summary.json",
        "cat; echo \"$OUTLAY_RUN_ID $COLOUR\"",
    )
    .env("COLOUR", "green")
    .stdin(Stdio::piped())
    .stdout(Stdio::piped())
    .spawn()
    .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"one\ntwo").unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let id = summary(&here)["run"].as_str().unwrap().to_owned();
    assert_eq!(stdout(&output), format!("one\ntwo{id} green\n"));
}

#[test]
fn signals_that_ask_to_end_reach_the_command() {
    for (name, code) in [("TERM", 7), ("INT", 8)] {
        // What was started in the background of a script ignores it, and so does all that it starts: no shell can take it then.
        if name == "INT" && is_interrupt_ignored() {
            eprintln!("skipped: SIGINT is ignored here");
            continue;
        }
        let here = fresh(&format!("signal-{name}"));
        let script = "trap 'echo bye; exit 7' TERM; trap 'echo bye; exit 8' INT
            echo ready; while :; do sleep 0.05; done";
        let mut child = metering_script(&here, "--quiet", script)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        signal(name, &child.id().to_string());
        let mut rest = String::new();
        out.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "bye\n");
        assert_eq!(child.wait().unwrap().code(), Some(code));
        let run = only_run(&here);
        assert_eq!(
            (&run["status"], &run["exit_code"]),
            (&"failed".into(), &code.into())
        );
    }
}

/// Whether this process was started with SIGINT, the second signal, ignored.
fn is_interrupt_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).is_ok_and(|mask| mask & 2 != 0))
}

#[test]
fn what_nohup_protects_stays_protected() {
    let here = fresh("nohup");
    let run = format!(
        "trap '' HUP; exec '{}' run --quiet -- sh -c 'echo ready > ready; while [ ! -e go ]; do sleep 0.02; done; echo done'",
        env!("CARGO_BIN_EXE_outlay")
    );
    let child = std::process::Command::new("sh")
        .current_dir(&here)
        .args(["-c", &run])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for_file(&here.join("ready"));
    signal("HUP", &child.id().to_string());
    std::thread::sleep(std::time::Duration::from_millis(200));
    std::fs::write(here.join("go"), "").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(stdout(&output), "done\n");
    assert!(output.status.success());
}

/// Runs a command whose output goes to `head -1`, and gives the code that Outlay ended with, too.
fn before_head(here: &Path, command: &str) -> (Output, String) {
    let run = format!(
        "{{ '{}' run --quiet -- {command}; echo $? > code; }} | head -1",
        env!("CARGO_BIN_EXE_outlay")
    );
    let output = std::process::Command::new("sh")
        .current_dir(here)
        .args(["-c", &run])
        .output()
        .unwrap();
    (output, wait_for_file(&here.join("code")))
}

#[test]
fn a_reader_that_goes_away_ends_who_writes_as_a_pipe_does() {
    let here = fresh("broken");
    let (output, code) = before_head(&here, "yes");
    assert_eq!((stdout(&output).as_str(), code.as_str()), ("y\n", "141"));
    let run = only_run(&here);
    assert_eq!(
        (&run["status"], &run["exit_code"]),
        (&"failed".into(), &serde_json::Value::Null)
    );
    assert!(run["ended_us"].is_i64(), "{run}");
    // Who does not write himself goes on.
    let here = fresh("broken-child");
    let (output, code) = before_head(&here, "sh -c 'yes; echo $? >&2; exit 4'");
    assert_eq!((stderr(&output).as_str(), code.as_str()), ("141\n", "4"));
}

#[test]
fn who_ignores_that_the_reader_has_gone_goes_on_and_his_output_is_kept() {
    let here = fresh("head");
    let script = "trap \"\" PIPE; i=0; while [ $i -lt 5000 ]; do echo line $i; i=$((i+1)); done; sleep 0.5; echo end; echo done >&2";
    let (output, code) = before_head(&here, &format!("sh -c '{script}'"));
    assert_eq!((stdout(&output).as_str(), code.as_str()), ("line 0\n", "0"));
    assert_eq!(stderr(&output), "done\n");
    let run = only_run(&here);
    assert_eq!(run["status"], "finished");
    let kept = here.join(".outlay/runs").join(run["id"].as_str().unwrap());
    let lines = std::fs::read_to_string(kept.join("output")).unwrap();
    assert_eq!(lines.lines().count(), 5001);
}

#[test]
fn a_daemon_that_the_command_leaves_is_not_waited_for() {
    let here = fresh("daemon");
    let since = Instant::now();
    let output = metering_script(
        &here,
        "",
        "setsid sh -c 'echo $$ > daemon; exec sleep 50' >/dev/null 2>&1 &
         while [ ! -s daemon ]; do sleep 0.02; done",
    )
    .output()
    .unwrap();
    let daemon = wait_for_file(&here.join("daemon"));
    assert!(lives(&daemon) && since.elapsed().as_secs() < 45);
    assert!(output.status.success());
    let said = stderr(&output);
    assert!(
        said.contains("1 process(es)") && said.contains("still run"),
        "{said}"
    );
    signal("KILL", &daemon);
}

#[test]
fn fifty_children_at_once_are_counted_and_none_of_their_output_is_lost() {
    let here = fresh("children");
    // The shell says itself what its children took.
    let script = "i=0; while [ $i -lt 50 ]; do
            (j=0; while [ $j -lt 4000 ]; do j=$((j+1)); done; echo child $i) & i=$((i+1)); done
        wait; times > times";
    let output = metering_script(&here, "--quiet --json summary.json", script)
        .output()
        .unwrap();
    assert_eq!(stdout(&output).lines().count(), 50);
    let times = std::fs::read_to_string(here.join("times")).unwrap();
    let by_hand: f64 = times
        .split_whitespace()
        .map(|time| {
            let (minutes, seconds) = time.trim_end_matches('s').split_once('m').unwrap();
            minutes.parse::<f64>().unwrap() * 60.0 + seconds.parse::<f64>().unwrap()
        })
        .sum();
    let metered = summary(&here)["usage"]["cpu_seconds"].clone();
    let seconds = metered["value"].as_f64().unwrap();
    assert_eq!(metered["quality"], "counter");
    // The keeper's start and end are the command's too, and ticks are rounded.
    assert!(
        (by_hand - 0.05..by_hand + 0.5).contains(&seconds),
        "{seconds} and by hand {by_hand}"
    );
}

#[test]
fn processor_time_of_who_forks_twice_and_leaves_the_session_is_counted() {
    let here = fresh("twice");
    let script = "(setsid sh -c '(i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done; times > part; mv part times) &' &)
        while [ ! -e times ]; do sleep 0.02; done";
    let output = metering_script(&here, "--quiet --json summary.json", script)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let times = std::fs::read_to_string(here.join("times")).unwrap();
    let own: f64 = times
        .split_whitespace()
        .take(2)
        .map(|time| {
            time.trim_end_matches('s')
                .rsplit_once('m')
                .unwrap()
                .1
                .parse::<f64>()
                .unwrap()
        })
        .sum();
    assert!(own > 0.05, "{times}");
    let metered = summary(&here)["usage"]["cpu_seconds"]["value"]
        .as_f64()
        .unwrap();
    assert!(metered >= own - 0.03, "{metered} of {own}");
}

#[test]
fn what_is_refused_leaves_nothing_behind() {
    let here = fresh("refused");
    std::fs::write(here.join("other.csv"), "a,b\n").unwrap();
    for (options, code) in [
        ("--price free", 2),
        ("--offer nobody/H100-SXM", 2),
        ("--grid Nowhere", 2),
        ("--owned 1usd --lifetime 99", 2),
        ("--budget 5usd", 2),
        ("--budget -1usd", 2),
        ("--interval never", 2),
        ("--warn-at 200", 2),
        ("--stop-when someday", 2),
        ("--progress (", 2),
        ("--plan absent.json", 2),
        ("--csv other.csv", 2),
        ("--procfs absent", 3),
        ("--no-such-option", 2),
    ] {
        let output = metering(&here, options, &["touch", "started"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(code), "{options}");
    }
    for program in ["no-such-program", "./no-such-program", "."] {
        let output = metering(&here, "", &[program]).output().unwrap();
        assert_eq!(output.status.code(), Some(127), "{program}");
        assert!(
            stderr(&output).contains("is not found"),
            "{}",
            stderr(&output)
        );
    }
    let resumed = outlay_at(&here, &["run", "--resume"]).output().unwrap();
    assert_eq!(resumed.status.code(), Some(2), "{}", stderr(&resumed));
    assert!(!here.join(".outlay").exists() && !here.join("started").exists());
}

#[test]
fn a_command_of_nothing_is_refused() {
    let here = fresh("nothing");
    let output = outlay_at(&here, &["run"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(!here.join(".outlay").exists());
}
