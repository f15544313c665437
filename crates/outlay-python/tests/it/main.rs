//! The module in a real Python; audits by a real Ray cluster, and kernels within Spark, where they can be had.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on has failed; one that is skipped says so"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The folder with what was built.
fn built() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    own.parent().and_then(Path::parent).unwrap().to_owned()
}

/// A folder that Python finds the package in, and a Python that has these modules; `None` where there is none, which is said.
fn package(modules: &str) -> Option<(tempfile::TempDir, PathBuf)> {
    let skipped = || eprintln!("skipped: OUTLAY_PEERS names no Python with {modules}");
    let Some(python) = std::env::var_os("OUTLAY_PEERS").map(PathBuf::from) else {
        skipped();
        return None;
    };
    let has = Command::new(&python)
        .args(["-c", &format!("import {modules}")])
        .output()
        .unwrap();
    if !has.status.success() {
        skipped();
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("outlay");
    std::fs::create_dir(&package).unwrap();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/outlay");
    for file in std::fs::read_dir(sources).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() {
            std::fs::copy(file.path(), package.join(file.file_name())).unwrap();
        }
    }
    std::fs::copy(
        // As it was built for this test; what lies beside the command may be older.
        built().join("deps/lib_outlay.so"),
        package.join("_outlay.abi3.so"),
    )
    .unwrap();
    Some((folder, python))
}

fn python(package: &Path, python: &Path, text: &str) -> String {
    let output = Command::new(python)
        .args(["-c", text])
        .env("PYTHONPATH", package)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    said(&output)
}

fn said(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn kernels_are_those_of_the_command() {
    let Some((package, interpreter)) = package("pyarrow") else {
        return;
    };
    let out = python(
        package.path(),
        &interpreter,
        r#"
import doctest, outlay, pyarrow as pa
assert doctest.testmod(outlay).failed == 0
table = pa.table({"text": ["Write to ann@example.org!", None, "write TO ann@example.org"], "n": [1, 2, 3]})
found = outlay.audit_table(table, columns=("exact", "private", "rules", "redacted"))
assert found.column_names == ["text", "n", "outlay_exact", "outlay_private", "outlay_rules", "outlay_redacted"]
exact = found["outlay_exact"].to_pylist()
assert exact[0] == exact[2] != exact[1], exact
assert found["outlay_private"].to_pylist() == [["email"], [], ["email"]]
assert found["outlay_redacted"].to_pylist()[0] == "Write to <EMAIL>!"
assert "short" in found["outlay_rules"].to_pylist()[0]
batches = list(outlay.audit_batches(iter(table.to_batches())))
assert batches[0].column("outlay_exact").to_pylist() == exact
for wrong, part in (("letters:2", "allowed"), ("words:0", "allowed")):
    try:
        outlay.similarity("a", "b", wrong)
        raise SystemExit("no error")
    except ValueError as error:
        assert part in str(error), error
for wrong in ("{", "{}", '{"paths": ["/none"], "against": [], "settings": {}}'):
    try:
        outlay.Worker(wrong)
        raise SystemExit("no error")
    except ValueError as error:
        assert "the job" in str(error), error
print("done")
"#,
    );
    assert_eq!(out, "done\n");
}

/// Data of several files, with duplicates, a leak, something private and lines that are none.
fn data(folder: &Path) {
    std::fs::create_dir_all(folder.join("data/sub")).unwrap();
    for (file, name) in ["a.jsonl", "b.jsonl", "sub/c.jsonl", "d.csv", "e.txt"]
        .into_iter()
        .enumerate()
    {
        let mut text = String::new();
        for line in 0..200_usize {
            let words: Vec<String> = (0..30)
                .map(|word| {
                    format!(
                        "w{}",
                        (file % 2 * 7919 + line * 104_729 + word * 1_299_709) % 5003
                    )
                })
                .collect();
            let words = words.join(" ");
            match name.rsplit('.').next() {
                Some("csv") if line == 0 => text.push_str("id,text\n"),
                Some("csv") => text.push_str(&format!("{line},{words}\n")),
                Some("txt") => text.push_str(&words),
                _ if line % 50 == 7 => text.push_str("{broken\n"),
                _ => {
                    let more = if line % 40 == 3 {
                        " ann@example.org"
                    } else {
                        ""
                    };
                    text.push_str(&format!(
                        "{{\"text\": \"{words}{more}\", \"label\": \"{}\"}}\n",
                        line % 3
                    ));
                }
            }
        }
        std::fs::write(folder.join("data").join(name), text).unwrap();
    }
    let asked = "which of the seven hills is the highest that a walker can climb before noon";
    std::fs::write(
        folder.join("data/leak.jsonl"),
        format!("{{\"text\": \"so {asked} it said\", \"label\": \"1\"}}\n"),
    )
    .unwrap();
    std::fs::write(
        folder.join("items.jsonl"),
        format!("{{\"question\": \"{asked}\", \"answer\": \"none\"}}\n"),
    )
    .unwrap();
}

/// What a Ray cluster of several processes says is what this machine says, byte for byte.
#[test]
fn a_ray_cluster_says_the_same() {
    let Some((package, interpreter)) = package("ray.data, pyarrow") else {
        return;
    };
    let outlay = built().join("outlay");
    if !outlay.exists() {
        eprintln!("skipped: the command is not built (`cargo test --workspace` builds it)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    data(folder.path());
    let run = |more: &[&str]| {
        let mut args = vec![
            "audit",
            "data",
            "--against",
            "items.jsonl",
            "--label",
            "label",
            "--json",
            "--clusters",
            "c.tsv",
            "--leaks",
            "l.jsonl",
            "--pii",
            "p.jsonl",
        ];
        args.extend(more);
        let output = Command::new(&outlay)
            .current_dir(folder.path())
            .args(args)
            .env("PYTHONPATH", package.path())
            .env("OUTLAY_PYTHON", &interpreter)
            .output()
            .unwrap();
        let mut all = said(&output);
        for file in ["c.tsv", "l.jsonl", "p.jsonl"] {
            all += &std::fs::read_to_string(folder.path().join(file)).unwrap();
        }
        (all, String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (local, _) = run(&[]);
    // A cluster of its own that is there already, of three workers.
    let ray = interpreter.with_file_name("ray");
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let temp = tempfile::Builder::new()
        .prefix("ray")
        .tempdir_in("/tmp")
        .unwrap();
    let started = Command::new(&ray)
        .args([
            "start",
            "--head",
            "--num-cpus=3",
            "--include-dashboard=false",
        ])
        .args(["--object-store-memory=100000000", "--disable-usage-stats"])
        .arg(format!("--port={port}"))
        .arg(format!("--temp-dir={}", temp.path().display()))
        .env("PYTHONPATH", package.path())
        .output()
        .unwrap();
    if !started.status.success() {
        let why = String::from_utf8_lossy(&started.stderr).into_owned();
        let last = why.trim_end().lines().last().unwrap_or_default().to_owned();
        eprintln!("skipped: Ray cannot be started on this machine: {last}");
        return;
    }
    let address = format!("127.0.0.1:{port}");
    let by_ray = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let by_ray = run(&["--engine", "ray", "--address", &address]);
        // And going on from a former audit: only the file that is new is looked at there.
        run(&["--engine", "ray", "--address", &address, "--since", "seen"]);
        std::fs::write(
            folder.path().join("data/new.jsonl"),
            "{\"text\": \"one more that is new\", \"label\": \"2\"}\n",
        )
        .unwrap();
        let (more, note) = run(&["--engine", "ray", "--address", &address, "--since", "seen"]);
        (by_ray, more, note)
    }));
    let _ = Command::new(&ray).args(["stop", "--force"]).output();
    let (by_ray, more, note) = by_ray.unwrap();
    let (by_ray, brought) = by_ray;
    assert_eq!(local, by_ray);
    // Nothing was left to be read here.
    assert_eq!(brought, "");
    assert!(note.contains("7 of 7 files were as before"), "{note}");
    assert_eq!(more, run(&[]).0);
}

/// The same kernels within Spark's `mapInArrow`.
#[test]
fn spark_calls_the_same_kernels() {
    let Some((package, interpreter)) = package("pyspark, pyarrow") else {
        return;
    };
    let has_java = Command::new("java").arg("-version").output();
    if !has_java.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: there is no Java for Spark");
        return;
    }
    let out = python(
        package.path(),
        &interpreter,
        r#"
import os, sys, outlay
from pyspark.sql import SparkSession
os.environ["PYSPARK_PYTHON"] = sys.executable
os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
spark = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
texts = [f"record {n % 7} says something" + (" to ann@example.org" if n % 5 == 0 else "") for n in range(100)]
frame = spark.createDataFrame([(n, text) for n, text in enumerate(texts)], "id long, text string").repartition(4)
schema = "id long, text string, outlay_exact long, outlay_private array<string>, outlay_rules array<string>"
found = {row.id: row for row in frame.mapInArrow(outlay.spark_batches, schema).collect()}
lists = outlay.look_at_texts(texts)
signed = [n - (1 << 64) if n >> 63 else n for n in lists["exact"]]
assert len(found) == 100
assert [found[n].outlay_exact for n in range(100)] == signed
assert [found[n].outlay_private for n in range(100)] == lists["private"]
assert [found[n].outlay_rules for n in range(100)] == lists["rules"]
spark.stop()
print("done")
"#,
    );
    assert_eq!(out, "done\n");
}
