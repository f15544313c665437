//! `outlay ledger`, and a ledger that is out of reach, full or changed behind our back.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::super::{stderr, stdout};
use super::{
    DOLLAR_A_SECOND, assert_sound, fresh, json, metering, metering_script, outlay_at, peers,
    signal, wait_for, wait_for_file,
};

fn ledger(here: &Path, args: &[&str]) -> Output {
    outlay_at(here, &[&["ledger"], args].concat())
        .output()
        .unwrap()
}

/// A Python without packages; `None`, with a message, where there is none.
fn python(here: &Path, script: &str) -> Option<String> {
    match Command::new("python3")
        .current_dir(here)
        .args(["-c", script])
        .output()
    {
        Ok(output) => {
            assert!(output.status.success(), "{}", stderr(&output));
            Some(stdout(&output))
        }
        Err(error) => {
            eprintln!("skipped: no python3 ({error})");
            None
        }
    }
}

#[test]
fn runs_are_listed_and_shown() {
    let here = fresh("listed");
    for options in [
        "--name first --price 1/h",
        "--name second --project p --team t",
    ] {
        let output = metering(&here, &format!("{options} --quiet"), &["true"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
    }
    let listed = stdout(&ledger(&here, &["runs"]));
    assert!(listed.find("second") < listed.find("first"), "{listed}");
    let runs = json(&here, &["ledger", "runs", "--limit", "1", "--json"]);
    assert_eq!(runs.as_array().unwrap().len(), 1);
    assert_eq!(
        (&runs[0]["project"], &runs[0]["team"]),
        (&"p".into(), &"t".into())
    );
    let id = runs[0]["id"].as_str().unwrap();
    let shown = stdout(&ledger(&here, &["show", &id[..8]]));
    assert!(
        shown.contains(&id[..8]) && shown.contains("outlay.grid"),
        "{shown}"
    );
    for (what, code) in [("ffffffff", 2), ("no-id", 2)] {
        assert_eq!(ledger(&here, &["show", what]).status.code(), Some(code));
    }
    assert_eq!(
        ledger(&fresh("no-ledger"), &["runs"]).status.code(),
        Some(2)
    );
}

#[test]
fn a_ledger_moves_by_export_import_and_backup() {
    let here = fresh("moves");
    let run = metering(&here, "--quiet --price 3600/h", &["sleep", "0.2"])
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", stderr(&run));
    assert!(
        ledger(&here, &["add", "sign-off", "run/all", "looks right"])
            .status
            .success()
    );
    let all = json(&here, &["ledger", "runs", "--json"]);
    let evidence = stdout(&ledger(&here, &["evidence", "--json"]));
    assert!(evidence.contains("looks right"));
    for (args, place) in [
        (&["export", "all.jsonl"][..], "one.db"),
        (&["export", "tables"], "two.db"),
        (&["backup", "three.db"], "three.db"),
    ] {
        let output = ledger(&here, args);
        assert!(output.status.success(), "{}", stderr(&output));
        if args[0] == "export" {
            let output = ledger(&here, &["import", args[1], "--ledger", place]);
            assert!(output.status.success(), "{}", stderr(&output));
        }
        assert_eq!(
            json(&here, &["ledger", "runs", "--json", "--ledger", place]),
            all
        );
        let copied = stdout(&ledger(&here, &["evidence", "--json", "--ledger", place]));
        assert_eq!(copied, evidence);
        let verified = ledger(&here, &["verify", "--ledger", place]);
        assert!(verified.status.success(), "{}", stdout(&verified));
        // Nothing is written over.
        assert!(!ledger(&here, args).status.success());
    }
}

#[test]
fn what_was_changed_in_the_file_is_named() {
    let here = fresh("tampered");
    for _ in 0..3 {
        let run = metering(&here, "--quiet --price 1/h", &["true"])
            .output()
            .unwrap();
        assert!(run.status.success(), "{}", stderr(&run));
    }
    let kept = stdout(&ledger(&here, &["checkpoint"]));
    std::fs::write(here.join("kept.txt"), &kept).unwrap();
    let key = stdout(&ledger(&here, &["keys"]))
        .split_whitespace()
        .next()
        .unwrap()
        .to_owned();
    assert_sound(&here);
    let trusted = ledger(&here, &["verify", "--key", &key, "--against", "kept.txt"]);
    assert!(trusted.status.success(), "{}", stdout(&trusted));
    for (name, change, named) in [
        (
            "changed.db",
            "UPDATE evidence SET record = replace(record, '\"finished\"', '\"failed\"') WHERE position = 1",
            "1",
        ),
        ("deleted.db", "DELETE FROM evidence WHERE position = 2", "2"),
    ] {
        assert!(ledger(&here, &["backup", name]).status.success());
        let script = format!(
            "
import sqlite3
db = sqlite3.connect('{name}')
for (trigger,) in list(db.execute(\"SELECT name FROM sqlite_master WHERE type = 'trigger'\")):
    db.execute('DROP TRIGGER ' + trigger)
print(db.execute('''{change}''').rowcount)
db.commit()
"
        );
        let Some(n_changed) = python(&here, &script) else {
            return;
        };
        assert_eq!(n_changed.trim(), "1");
        let output = ledger(&here, &["verify", "--ledger", name]);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        let said = stdout(&output);
        assert!(said.contains("NOT SOUND") && said.contains(named), "{said}");
    }
}

/// RFC 6962, section 2.1.1, and C2SP's signed notes, written anew.
const CHECK: &str = r"
import base64, hashlib, json, sys
sha = lambda data: hashlib.sha256(data).digest()

def is_under(proof, size, root):
    at, last = proof['position'], size - 1
    found = sha(b'\x00' + proof['record'].encode())
    for step in map(bytes.fromhex, proof['proof']):
        if last == 0:
            return False
        if at % 2 or at == last:
            found = sha(b'\x01' + step + found)
            while at % 2 == 0 and at:
                at //= 2; last //= 2
        else:
            found = sha(b'\x01' + found + step)
        at //= 2; last //= 2
    return last == 0 and found == root

name, key_id, key = open('key.txt').read().split()[0].split('+', 2)
public = base64.b64decode(key)
assert public[0] == 1 and sha(name.encode() + b'\n' + public)[:4].hex() == key_id
for proof in map(json.loads, open('proofs.jsonl')):
    text, _, signed = proof['checkpoint'].partition('\n\n')
    origin, size, root = text.split('\n')
    size, root = int(size), base64.b64decode(root)
    assert origin == name and is_under(proof, size, root), proof
    for forged in ({'record': proof['record'] + ' '}, {'position': proof['position'] ^ 1}, {'proof': proof['proof'][1:]}):
        assert not is_under(proof | forged, size, root), forged
    mark, signer, encoded = signed.strip().split(' ')
    signature = base64.b64decode(encoded)
    assert mark == '\u2014' and signer == name and signature[:4].hex() == key_id
    if sys.argv[1:] == ['signature']:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        Ed25519PublicKey.from_public_bytes(public[1:]).verify(signature[4:], (text + '\n').encode())
    print('ok', proof['position'], size)
";

#[test]
fn proofs_hold_before_someone_elses_checker() {
    let here = fresh("proofs");
    let run = metering(&here, "--quiet", &["true"]).output().unwrap();
    assert!(run.status.success(), "{}", stderr(&run));
    for n in 0..4 {
        let body = format!("{{\"n\": {n}, \"\u{e4}\": 1.50}}");
        let added = ledger(&here, &["add", "note", "test", &body]);
        assert!(added.status.success(), "{}", stderr(&added));
    }
    std::fs::write(here.join("key.txt"), ledger(&here, &["keys"]).stdout).unwrap();
    let proofs: String = (0..5)
        .map(|position| {
            let proof = json(&here, &["ledger", "prove", &position.to_string()]);
            format!("{proof}\n")
        })
        .collect();
    std::fs::write(here.join("proofs.jsonl"), proofs).unwrap();
    assert_eq!(ledger(&here, &["prove", "5"]).status.code(), Some(2));
    let expected: String = (0..5)
        .map(|position| format!("ok {position} 5\n"))
        .collect();
    let Some(checked) = python(&here, CHECK) else {
        return;
    };
    assert_eq!(checked, expected);
    let Some(python) = peers("cryptography") else {
        return;
    };
    let output = Command::new(python)
        .current_dir(&here)
        .args(["-c", CHECK, "signature"])
        .output()
        .unwrap();
    assert_eq!(stdout(&output), expected, "{}", stderr(&output));
}

#[test]
fn without_its_ledger_nothing_is_started() {
    let here = fresh("unreachable");
    std::fs::write(
        here.join("text.db"),
        "this is no database, but it is long enough to be read as one".repeat(20),
    )
    .unwrap();
    for place in [
        "/proc/nowhere/ledger.db",
        ".",
        "text.db",
        "postgres://me@127.0.0.1:1/nowhere",
    ] {
        let output = metering(&here, &format!("--ledger {place}"), &["touch", "started"])
            .output()
            .unwrap();
        assert_eq!(
            output.status.code(),
            Some(3),
            "{place}: {}",
            stderr(&output)
        );
        let said = stderr(&output);
        assert!(
            said.contains("error:") && said.contains("nothing was started"),
            "{said}"
        );
        assert!(!here.join("started").exists(), "{place}");
    }
    let output = metering(&here, "--no-ledger --quiet", &["touch", "started"])
        .output()
        .unwrap();
    assert!(output.status.success() && here.join("started").exists());
    assert!(!here.join(".outlay/ledger.db").exists());
}

#[test]
fn a_disk_that_fills_up_disturbs_no_command_and_loses_nothing() {
    let here = fresh("full");
    std::fs::create_dir_all(here.join("small")).unwrap();
    // A file system of its own, seen by this shell and what it starts.
    let script = "mount -t tmpfs -o size=1m none small || exit 99
        outlay() { OUTLAY_LEDGER=small/ledger.db '%' \"$@\"; }
        outlay run --price 3600/h --interval 0.1s --project p -- sh -c '
            head -c 2m /dev/zero > small/filler; sleep 1.2; echo all is well' > out 2> err
        echo $? > code
        OUTLAY_LEDGER=small/other.db '%' run -- touch started 2> refused; echo $? >> code
        ls .outlay/runs/*/waiting.json > waiting
        rm small/filler
        outlay run --name probe -- true 2> next; echo $? >> code
        outlay ledger runs --json > runs
        outlay ledger show $(cut -d/ -f3 waiting) --json > shown
        outlay ledger verify > verified; echo $? >> code"
        .replace('%', env!("CARGO_BIN_EXE_outlay"));
    let output = Command::new("unshare")
        .current_dir(&here)
        .args(["-rm", "sh", "-c", &script])
        .env_remove("OUTLAY_LEDGER")
        .output();
    if !output.as_ref().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no file system of its own can be made here ({output:?})");
        return;
    }
    let read = |name: &str| std::fs::read_to_string(here.join(name)).unwrap();
    assert_eq!(
        read("code"),
        "0\n3\n0\n0\n",
        "{}{}{}",
        read("err"),
        read("refused"),
        read("next")
    );
    assert_eq!(read("out"), "all is well\n");
    let said = read("err");
    assert!(
        said.contains("the command goes on") && said.contains("waiting.json"),
        "{said}"
    );
    assert!(!here.join("started").exists());
    assert!(
        read("next").contains("had something left to record"),
        "{}",
        read("next")
    );
    let runs: Value = serde_json::from_str(&read("runs")).unwrap();
    assert_eq!(
        (&runs[1]["status"], &runs[1]["exit_code"]),
        (&"finished".into(), &0.into())
    );
    let shown: Value = serde_json::from_str(&read("shown")).unwrap();
    let spent = shown["spent"][0][1].as_f64().unwrap() / 1e6;
    assert!(
        (spent - super::recorded_s(&runs[1])).abs() < 0.05,
        "{spent}: {runs}"
    );
    assert!(read("verified").contains("Sound"));
    let kept = std::fs::read_dir(here.join(".outlay/runs")).unwrap();
    assert!(
        kept.flatten()
            .all(|run| !run.path().join("waiting.json").exists())
    );
}

#[test]
fn a_run_in_another_ledger_is_left_alone() {
    let here = fresh("other");
    let options = format!("{DOLLAR_A_SECOND} --ledger a.db");
    let script = "echo ready > ready; while [ ! -e go ]; do sleep 0.02; done";
    let mut child = metering_script(&here, &options, script)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for_file(&here.join("ready"));
    signal("KILL", &child.id().to_string());
    child.wait().unwrap();
    // The same folder and another ledger, and something that a run is said to have left.
    let runs = std::fs::read_dir(here.join(".outlay/runs")).unwrap();
    let folder = runs.flatten().next().unwrap().path();
    std::fs::write(folder.join("waiting.json"), "{\"cut off").unwrap();
    let output = metering(&here, "--ledger b.db", &["true"])
        .output()
        .unwrap();
    assert!(output.status.success() && !stderr(&output).contains("without a meter"));
    std::fs::write(here.join("go"), "").unwrap();
    wait_for("its end", || {
        folder.join("ending.json").exists().then_some(())
    });
    let output = metering(&here, "--ledger a.db --name probe", &["true"])
        .output()
        .unwrap();
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("is left out") && said.contains("is closed now: finished"),
        "{said}"
    );
    assert!(!here.join(".outlay/ledger.db").exists());
    let run = json(&here, &["ledger", "runs", "--json", "--ledger", "a.db"]);
    assert_eq!(run[1]["status"], "finished");
    let runs = json(&here, &["ledger", "runs", "--json", "--ledger", "b.db"]);
    assert_eq!(runs.as_array().unwrap().len(), 1);
}
