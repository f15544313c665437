//! A disk that is full while a command runs.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::super::stderr;
use super::{assert_sound, fresh, metering_script, only_run};

/// Tells a child process of the tests' binary which folder is its small disk.
const FOLDER: &str = "OUTLAY_TEST_FOLDER";

/// Runs a test in a process for which a folder is a disk of so many megabytes; the disk is gone with the process.
fn on_a_disk_of(megabytes: u32, folder: &Path, test: &str) {
    let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    let as_root = if is_root { "-m" } else { "-rm" };
    let inside = |script: &str| {
        let mut command = Command::new("unshare");
        command
            .args([as_root, "--", "sh", "-c", script])
            .arg(folder)
            .stderr(Stdio::inherit());
        command
    };
    let mount = format!("mount -t tmpfs -o size={megabytes}m none \"$0\"");
    if !inside(&mount).status().is_ok_and(|status| status.success()) {
        eprintln!("skipped: no disk can be mounted here");
        return;
    }
    let status = inside(&format!("{mount} && exec \"$@\""))
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(FOLDER, folder)
        .status()
        .unwrap();
    assert!(status.success(), "{test} on a small disk: {status}");
}

#[test]
fn what_a_command_prints_outlasts_a_full_disk() {
    let Some(here) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        let test = "run::disk::what_a_command_prints_outlasts_a_full_disk";
        on_a_disk_of(16, &fresh("disk"), test);
        return;
    };
    // Room is held for its output; then another file takes all the rest. It prints three times what is held, and says where it failed.
    let script = "line=$(head -c 20000 /dev/zero | tr '\\0' x)
        dd if=/dev/zero of=ballast bs=64k 2> /dev/null
        i=0; while [ $i -lt 600 ]; do
            echo $i $line || exit 9
            i=$((i+1)); sleep 0.01
        done
        [ \"$(df -k . | awk 'END { print $4 }')\" -lt 1024 ] || exit 8";
    let output = metering_script(&here, "--price 3600/h", script)
        .output()
        .unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let text = String::from_utf8(output.stdout).unwrap();
    let numbers: Vec<&str> = text
        .lines()
        .map(|line| {
            let (number, rest) = line.split_once(' ').unwrap();
            assert_eq!(rest.len(), 20_000);
            number
        })
        .collect();
    let expected: Vec<String> = (0..600).map(|number| number.to_string()).collect();
    assert_eq!(numbers, expected);
    assert_eq!(said.matches("make room there").count(), 1, "{said}");
    // Its end is written once what was held is given back, ballast or not.
    assert!(!said.contains("is kept in"), "{said}");
    let run = only_run(&here);
    assert_eq!(
        (&run["status"], &run["exit_code"]),
        (&"finished".into(), &0.into())
    );
    assert_sound(&here);
    let folder = here.join(".outlay/runs").join(run["id"].as_str().unwrap());
    let ending = std::fs::read_to_string(folder.join("ending.json")).unwrap();
    assert!(ending.contains("cpu_seconds"), "{ending}");
}
