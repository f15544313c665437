//! The line at the bottom of a terminal, and its absence elsewhere.

use std::process::{Command, Stdio};

use super::super::{stderr, stdout};
use super::{fresh, metering_script};

/// What a terminal of 24 rows is told; `None`, with a message, where there is no `script` to play one.
fn at_a_terminal(name: &str, options: &str, script: &str) -> Option<(String, bool)> {
    let here = fresh(name);
    let run = format!(
        "stty rows 24 cols 100; exec '{}' run --interval 0.1s {options} -- sh -c '{script}'",
        env!("CARGO_BIN_EXE_outlay")
    );
    let played = Command::new("script")
        .current_dir(&here)
        .args(["-qec", &run, "/dev/null"])
        .stdin(Stdio::null())
        .env("TERM", "xterm")
        .env("SHELL", "/bin/sh")
        .output();
    match played {
        Ok(output) => Some((stdout(&output), output.status.success())),
        Err(error) => {
            eprintln!("skipped: no `script` to play a terminal with ({error})");
            None
        }
    }
}

#[test]
fn a_terminal_gets_a_line_and_is_given_back() {
    let command = "echo before; sleep 1; echo after; exit 4";
    let Some((seen, is_success)) = at_a_terminal("screen", "--price 3600/h", command) else {
        return;
    };
    assert!(!is_success, "{seen}");
    // Everything else scrolls above the last row, on which the line stands.
    let (region, line) = ("\x1b[1;23r", "\x1b[24;1H\x1b[2K\x1b[2moutlay ");
    let (region_at, line_at) = (seen.find(region), seen.find(line));
    assert!(region_at.is_some() && region_at < line_at, "{seen:?}");
    let given_back = seen.rfind("\x1b[r").expect("the region is given back");
    assert!(given_back > seen.rfind(line).unwrap(), "{seen:?}");
    // The command's own lines are whole, and the summary comes when the line is gone.
    for text in ["before\r\n", "after\r\n"] {
        assert!(seen.contains(text), "{text:?}: {seen:?}");
    }
    assert!(
        seen.rfind("ended with exit code 4") > Some(given_back),
        "{seen:?}"
    );
    let drawn = seen[line_at.unwrap() + line.len()..]
        .split('\x1b')
        .next()
        .unwrap();
    assert!(drawn.chars().count() < 100, "{drawn}");
}

#[test]
fn quiet_shows_a_terminal_only_the_command() {
    let Some((seen, is_success)) = at_a_terminal("quiet", "--quiet", "echo only; sleep 0.3") else {
        return;
    };
    assert!(is_success, "{seen}");
    assert_eq!(seen, "only\r\n");
}

#[test]
fn without_capture_the_command_has_the_terminal() {
    let command = "test -t 1 && echo terminal";
    let Some((seen, is_success)) = at_a_terminal("own", "--quiet --no-capture", command) else {
        return;
    };
    assert!(is_success && seen == "terminal\r\n", "{seen}");
}

#[test]
fn pipes_get_a_summary_on_stderr_and_nothing_else() {
    let here = fresh("pipes");
    let output = metering_script(&here, "--interval 0.1s --price 2/h", "echo out; sleep 0.5")
        .output()
        .unwrap();
    assert_eq!(stdout(&output), "out\n");
    let said = stderr(&output);
    assert!(
        said.starts_with("Run ") && !said.contains('\x1b'),
        "{said:?}"
    );
    for word in [
        "cost",
        "energy",
        "emissions",
        "processor time",
        "counter",
        "modelled",
        "Price: $2",
    ] {
        assert!(said.contains(word), "no `{word}` in\n{said}");
    }
    for line in said.lines() {
        assert!(line.chars().count() <= 80, "wider than 80 columns: {line}");
    }
}
