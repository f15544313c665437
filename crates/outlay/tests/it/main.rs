//! The binary as people call it: output, exit codes, messages.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

mod audit;
mod import;
mod peers;
mod planner;
mod run;
mod serve;
mod server;
mod training;
mod trends;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn outlay(args: &[&str]) -> Output {
    outlay_in(Path::new(env!("CARGO_TARGET_TMPDIR")), args)
}

/// As [`outlay`], in a folder.
fn outlay_in(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_outlay"))
        .current_dir(folder)
        .args(args)
        .env("NO_COLOR", "1")
        .output()
        .expect("the binary was built for this test")
}

/// A small plan at a price given, with more options.
fn planned_at_two_dollars(more: &[&str]) -> Output {
    let run = "plan train gpt2-xl --tokens 10B --gpus 8xH100-SXM --price 2/h";
    outlay(&[&run.split(' ').collect::<Vec<_>>()[..], more].concat())
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&path).unwrap();
    path
}

#[test]
fn the_readme_example_answers() {
    let output = outlay(&[
        "plan",
        "train",
        "llama-3.1-8b",
        "--tokens",
        "1T",
        "--gpus",
        "64xH100-SXM",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    for word in [
        "cost",
        "wall-clock time",
        "GPU-hours",
        "energy",
        "CO2e",
        "MFU",
        "memory per GPU",
        "p10",
        "p90",
    ] {
        assert!(text.contains(word), "no `{word}` in\n{text}");
    }
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "wider than 80 columns: {line}");
    }
}

#[test]
fn llama_2_takes_what_its_model_card_says() {
    // A100-hours of pretraining on 2T tokens (github.com/meta-llama/llama-models, models/llama2/MODEL_CARD.md).
    for (model, gpus, published) in [
        ("llama-2-7b", "512xA100-80GB-SXM", 184_320.0),
        ("llama-2-13b", "512xA100-80GB-SXM", 368_640.0),
        ("llama-2-70b", "2048xA100-80GB-SXM", 1_720_320.0),
    ] {
        let output = outlay(&[
            "plan", "train", model, "--tokens", "2T", "--gpus", gpus, "--json",
        ]);
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let hours = &answer["best"]["accelerator_hours"];
        let (low, high) = (
            hours["p10"].as_f64().unwrap(),
            hours["p90"].as_f64().unwrap(),
        );
        assert!(
            low < published && published < high,
            "{model}: {low} to {high}"
        );
    }
}

#[test]
fn json_holds_what_the_table_shows() {
    let output = outlay(&[
        "plan",
        "train",
        "gpt2",
        "--tokens",
        "10B",
        "--gpus",
        "8xA100-80GB-SXM",
        "--json",
    ]);
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["format"], 1);
    assert_eq!(answer["parameters"], 124_439_808u64);
    for field in [
        "usd",
        "wall_clock_s",
        "accelerator_hours",
        "energy_kwh",
        "co2e_kg",
        "tokens_per_s",
        "mfu",
        "memory_gib",
    ] {
        let estimate = &answer["best"][field];
        let (p10, p50, p90) = (
            estimate["p10"].as_f64().unwrap(),
            estimate["p50"].as_f64().unwrap(),
            estimate["p90"].as_f64().unwrap(),
        );
        assert!(p10 <= p50 && p50 <= p90 && p10 > 0.0, "{field}: {estimate}");
    }
    assert!(!answer["pareto"].as_array().unwrap().is_empty());
}

#[test]
fn wrong_input_exits_with_2_and_says_what_is_allowed() {
    let cases: &[(&[&str], &[&str])] = &[
        (
            &[
                "plan",
                "train",
                "gpt2",
                "--tokens",
                "1B",
                "--sequence",
                "4096",
            ],
            &["--sequence is 4096", "up to 1024"],
        ),
        (
            &[
                "plan",
                "train",
                "gpt2",
                "--tokens",
                "1B",
                "--gpus",
                "8xA100",
                "--precision",
                "fp8",
            ],
            &["A100-80GB-SXM has no", "bf16"],
        ),
        (
            &[
                "plan",
                "train",
                "gpt2",
                "--tokens",
                "1B",
                "--gpus",
                "8xTPU-v5p",
                "--framework",
                "megatron",
            ],
            &["megatron", "allowed: jax"],
        ),
        (
            &[
                "plan", "train", "gpt2", "--tokens", "1B", "--gpus", "8xH100", "--export", "x.yaml",
            ],
            &["--export", "FORMAT=FILE"],
        ),
        (
            &[
                "plan", "train", "gpt2", "--tokens", "1B", "--gpus", "8xH100", "--export", "ray=x",
            ],
            &["`ray`", "skypilot"],
        ),
        (
            &[
                "plan", "train", "gpt2", "--tokens", "1B", "--gpus", "8xH100", "--at", "atlantis",
            ],
            &["atlantis", "regions with offers"],
        ),
        (
            &["plan", "budget", "0.01usd"],
            &["$0.01 buys no run", "costs $0."],
        ),
        (
            &["plan", "budget", "5000usd", "--deadline", "1s"],
            &["within", "takes"],
        ),
        (
            &["plan", "budget", "5000usd", "--model", "resnet-50"],
            &["no language model", "allowed"],
        ),
        (
            &["plan", "train", "resnet-50", "--tokens", "1M"],
            &["takes images", "--samples"],
        ),
        (
            &[
                "plan",
                "train",
                "flux.1-dev",
                "--samples",
                "1M",
                "--resolution",
                "1000",
            ],
            &["1000 x 1000", "steps of 16"],
        ),
        (
            &["plan", "train", "lama-3", "--tokens", "1T"],
            &["lama-3", "nearest", "hint:"],
        ),
        (
            &["plan", "train", "gpt2", "--tokens", "1TB"],
            &["--tokens", "bytes"],
        ),
        (&["plan", "train", "gpt2", "--tokens", "-5"], &["--tokens"]),
        (&["plan", "train", "gpt2"], &["tokens", "hint:"]),
        (
            &[
                "plan", "train", "gpt2", "--tokens", "1B", "--gpus", "8xH900",
            ],
            &["H900", "did you mean"],
        ),
        (
            &[
                "plan", "train", "gpt2", "--tokens", "1B", "--gpus", "0xH100",
            ],
            &["0xH100"],
        ),
        (
            &[
                "plan",
                "train",
                "gpt2",
                "--tokens",
                "1B",
                "--gpus",
                "8xH100",
                "--precision",
                "int3",
            ],
            &["int3", "allowed"],
        ),
        (
            &[
                "plan",
                "train",
                "gpt2",
                "--tokens",
                "1B",
                "--deadline",
                "14",
            ],
            &["--deadline", "14d"],
        ),
        (
            &[
                "plan", "train", "gpt2", "--tokens", "1B", "--budget", "5eur",
            ],
            &["--budget"],
        ),
        (
            &[
                "plan", "train", "gpt2", "--tokens", "1B", "--gpus", "8xH100", "--price", "2.49",
            ],
            &["2.49/h"],
        ),
        (
            &["plan", "train", "no/such/config.json", "--tokens", "1B"],
            &["no/such/config.json"],
        ),
        (
            &[
                "plan",
                "train",
                "gpt2",
                "--tokens",
                "1B",
                "--sequence",
                "0",
                "--gpus",
                "8xH100",
            ],
            &["--sequence"],
        ),
        (&["validate", "no-such.csv"], &["no-such.csv"]),
        (&["nonsense"], &["nonsense"]),
    ];
    for (args, words) in cases {
        let output = outlay(args);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {text}");
        for word in *words {
            assert!(text.contains(word), "{args:?}: no `{word}` in\n{text}");
        }
        assert!(output.stdout.is_empty(), "{args:?} wrote to stdout");
    }
}

#[test]
fn a_model_that_fits_nowhere_says_what_would_help() {
    let output = outlay(&[
        "plan",
        "train",
        "llama-3.1-405b",
        "--tokens",
        "1T",
        "--gpus",
        "8xA100",
    ]);
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    assert!(
        text.contains("does not fit")
            && text.contains("128 x A100-80GB-SXM")
            && text.contains("`--method qlora`"),
        "{text}"
    );
    // What is offered holds.
    let plan = ["plan", "train", "llama-3.1-405b", "--tokens", "1T"];
    for remedy in [
        &["--gpus", "128xA100"][..],
        &["--gpus", "8xA100", "--method", "qlora"],
    ] {
        let output = outlay(&[&plan[..], remedy].concat());
        assert_eq!(
            output.status.code(),
            Some(0),
            "{remedy:?} {}",
            stderr(&output)
        );
    }
}

#[test]
fn odd_sequences_and_uneven_pipelines_are_planned() {
    for length in ["128", "257", "511"] {
        let output = outlay(&[
            "plan",
            "train",
            "bert-base",
            "--tokens",
            "1B",
            "--gpus",
            "8xV100",
            "--sequence",
            length,
        ]);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{length} {}",
            stderr(&output)
        );
    }
    // 12 layers on 8 stages: half of the stages have twice the layers of the rest, so that data parallelism wins.
    let step = |layout: &str| {
        let output = outlay(&[
            "plan", "train", "gpt2", "--tokens", "10B", "--gpus", "8xH100", "--layout", layout,
            "--json",
        ]);
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        answer["best"]["step_s"]["p50"].as_f64().unwrap()
    };
    assert!(step("PP8 mb4") > 1.3 * step("DP8 mb4"));
}

#[test]
fn contradictions_are_refused_with_their_place() {
    let folder = folder("contradictions");
    let project = folder.join("outlay.toml");
    for (text, expected) in [
        ("[train]\nmodel = \"gpt2\"\ntokens = 20\n", "line 3"),
        (
            "[model]\nlayers = 2\nhidden = 64\nffn = 256\nheads = 4\nvocabulary = 100\nwindow = 0\n[train]\ntokens = \"1B\"\n",
            "window",
        ),
        (
            "[model]\nlayers = 2\n[train]\nmodel = \"gpt2\"\ntokens = \"1B\"\n",
            "one of them",
        ),
    ] {
        std::fs::write(&project, text).unwrap();
        let output = outlay(&[
            "plan",
            "train",
            project.to_str().unwrap(),
            "--gpus",
            "8xH100",
        ]);
        let error = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(
            error.contains("outlay.toml") && error.contains(expected),
            "{error}"
        );
        assert!(output.stdout.is_empty());
    }
    for (arguments, expected) in [
        (&["--tokens", "1B", "--gpus", "64"][..], "--gpus"),
        (&["--tokens", "1,5B", "--gpus", "8xH100"], "--tokens"),
        (
            &[
                "--tokens",
                "1B",
                "--gpus",
                "8xH100",
                "--batch",
                "1000000000",
            ],
            "--tokens",
        ),
        (
            &["--tokens", "1B", "--gpus", "8xH100", "--sequence", "-1"],
            "--sequence",
        ),
        (
            &["--tokens", "1B", "--gpus", "8xTPU-v5p", "--budget", "1usd"],
            "--budget",
        ),
    ] {
        let output = outlay(&[&["plan", "train", "llama-3.1-8b"][..], arguments].concat());
        let error = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(expected), "{error}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_missed_budget_is_shown_and_exits_with_1() {
    let output = outlay(&[
        "plan",
        "train",
        "llama-3.1-8b",
        "--tokens",
        "1T",
        "--gpus",
        "64xH100",
        "--budget",
        "10usd",
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("budget"), "{}", stdout(&output));
}

#[test]
fn reads_a_config_and_a_project() {
    let folder = folder("project");
    let config = folder.join("config.json");
    std::fs::write(
        &config,
        r#"{"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_size":2048,"intermediate_size":5632,
            "num_hidden_layers":22,"num_attention_heads":32,"num_key_value_heads":4,"vocab_size":32000}"#,
    )
    .unwrap();
    let output = outlay(&[
        "plan",
        "train",
        config.to_str().unwrap(),
        "--tokens",
        "20B",
        "--gpus",
        "8xA100",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let project = folder.join("outlay.toml");
    std::fs::write(
        &project,
        "[train]\nmodel = \"config.json\"\ntokens = \"20B\"\ngpus = \"8xA100\"\n",
    )
    .unwrap();
    let of_project = outlay(&["plan", "train", project.to_str().unwrap()]);
    assert_eq!(of_project.status.code(), Some(0), "{}", stderr(&of_project));
    assert_eq!(stdout(&output), stdout(&of_project));
    std::fs::write(
        &project,
        "[model]\nname = \"mine\"\nlayers = 12\nhidden = 768\nffn = 3072\nheads = 12\nvocabulary = 50304\n[train]\ntokens = \"1B\"\n",
    )
    .unwrap();
    let written = outlay(&["plan", "train", project.to_str().unwrap()]);
    assert_eq!(written.status.code(), Some(0), "{}", stderr(&written));
    std::fs::write(&project, "[train]\ntokns = \"1B\"\n").unwrap();
    let slip = outlay(&["plan", "train", project.to_str().unwrap()]);
    assert_eq!(slip.status.code(), Some(2));
    assert!(stderr(&slip).contains("tokns"), "{}", stderr(&slip));
}

const MEASURED: &str = "id,model,layers,hidden,ffn,heads,vocab,seq_len,global_batch_seqs,micro_batch,gpu,num_gpus,tp,pp,dp,cp,zero_stage,act_ckpt,precision,metric,value
a,mine,24,2048,8192,16,50304,2048,64,4,A100-80GB-SXM,8,1,1,8,1,1,none,bf16,tokens_per_sec_per_gpu,16000
b,mine,24,2048,8192,16,50304,2048,64,4,A100-80GB-SXM,8,1,1,8,1,1,full,bf16,step_time_s,1.4
c,mine,24,2048,8192,16,50304,2048,64,4,Abacus,8,1,1,8,1,1,full,bf16,step_time_s,1.4
";

#[test]
fn validates_and_calibrates_on_own_measurements() {
    let folder = folder("measured");
    let table = folder.join("measured.csv");
    std::fs::write(&table, MEASURED).unwrap();
    let _ = std::fs::remove_file(folder.join("mine.toml"));
    let output = outlay(&["validate", table.to_str().unwrap(), "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = answer["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 3);
    for row in &rows[..2] {
        let error = row["p50"].as_f64().unwrap() / row["measured"].as_f64().unwrap() - 1.0;
        assert!((error - row["error"].as_f64().unwrap()).abs() < 1e-9);
        assert!(error.abs() < 0.6, "{row}");
    }
    assert!(rows[2]["reason"].as_str().unwrap().contains("Abacus"));
    let constants = folder.join("mine.toml");
    let output = outlay(&[
        "calibrate",
        table.to_str().unwrap(),
        "-o",
        constants.to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    // The constants of serving are kept beside those of training.
    let fitted = std::fs::read_to_string(&constants).unwrap();
    assert!(fitted.contains("[serving]") && fitted.contains("[serving_spreads."));
    let output = outlay(&[
        "validate",
        table.to_str().unwrap(),
        "--calibration",
        constants.to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    // Neither measurements nor anything else that is no calibration is written over.
    for output in [&table, &folder.join("notes.txt")] {
        if !output.exists() {
            std::fs::write(output, "mine").unwrap();
        }
        let before = std::fs::read(output).unwrap();
        let refused = outlay(&[
            "calibrate",
            table.to_str().unwrap(),
            "-o",
            output.to_str().unwrap(),
        ]);
        assert_eq!(refused.status.code(), Some(2));
        assert_eq!(std::fs::read(output).unwrap(), before);
    }
    std::fs::write(&constants, "[constants]\nspeed = 3.0\n").unwrap();
    let output = outlay(&[
        "validate",
        table.to_str().unwrap(),
        "--calibration",
        constants.to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("mine.toml") && stderr(&output).contains("speed"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn lists_answer() {
    for args in [
        &["models"][..],
        &["models", "llama-3.1-8b"],
        &["hardware", "h100", "--sources"],
        &["prices", "h100", "--sort", "compute"],
        &["prices", "--json"],
        &["completions", "bash"],
    ] {
        let output = outlay(args);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{args:?}: {}",
            stderr(&output)
        );
        assert!(!output.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn published_measurements_are_predicted_where_they_are_at_hand() {
    let table = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/reference/training_measured.csv");
    if !table.exists() {
        eprintln!("skipped: {} is not here", table.display());
        return;
    }
    let output = outlay(&["validate", table.to_str().unwrap(), "--json"]);
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut errors: Vec<f64> = answer["rows"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["metric"] == "tokens_per_sec_per_gpu")
        .filter_map(|row| row["error"].as_f64().map(f64::abs))
        .collect();
    errors.sort_by(f64::total_cmp);
    assert!(errors.len() > 350, "{}", errors.len());
    assert!(
        errors[errors.len() / 2] < 0.08,
        "median {}",
        errors[errors.len() / 2]
    );
}

#[test]
fn finetuning_reads_data_and_says_what_is_wrong_with_it() {
    let folder = std::env::temp_dir().join(format!("outlay-finetune-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let good = write(
        "good.jsonl",
        &"{\"text\":\"0123456789012345678901234567890123456789\"}\n".repeat(400),
    );
    let run = |data: &str, more: &[&str]| {
        let mut args = vec![
            "plan",
            "finetune",
            "llama-3.1-8b",
            "--gpu",
            "RTX-4090",
            "--data",
            data,
            "--json",
        ];
        args.extend(more);
        outlay(&args)
    };
    let output = run(&good, &["--method", "qlora", "--epochs", "2"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    // 41 bytes with the end of line, at 4 bytes a token: 11 tokens each, twice over.
    assert_eq!(answer["tokens"], 2.0 * 400.0 * 11.0);
    let gib = |output: &Output| {
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        answer["best"]["memory"]["weights_bytes"].as_f64().unwrap() / 1024f64.powi(3)
    };
    // 8.03B weights: 4.5 bits each beside 16-bit embeddings, against 16 bits each.
    assert!(gib(&output) > 4.5 && gib(&output) < 6.5, "{}", gib(&output));
    let lora = run(&good, &["--method", "lora"]);
    assert!(gib(&lora) > 2.0 * gib(&output));
    for (name, text, more, expected) in [
        (
            "a.jsonl",
            "{\"text\":\"a\"}\n{\"id\":3}\n",
            &[][..],
            "line 2 has no text",
        ),
        (
            "b.jsonl",
            "{\"text\":\"a\"}\nnot json\n",
            &[],
            "line 2 is no JSON",
        ),
        ("c.jsonl", "\n", &[], "holds no samples"),
        ("d.csv", "a,b\n", &[], ".jsonl"),
        (
            "e.jsonl",
            "{\"text\":\"a\"}\n",
            &["--preference", "dpo"],
            "chosen and rejected",
        ),
        ("f.jsonl", "{\"text\":\"a\"}\n", &["--rank", "0"], "--rank"),
    ] {
        let data = write(name, text);
        let output = run(&data, more);
        assert_eq!(output.status.code(), Some(2), "{name}");
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn saved_plans_are_put_side_by_side() {
    let folder = std::env::temp_dir().join(format!("outlay-compare-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let save = |name: &str, tokens: &str| {
        let output = outlay(&[
            "plan",
            "train",
            "gpt2",
            "--tokens",
            tokens,
            "--gpus",
            "8xA100-80GB-SXM",
            "--json",
        ]);
        let path = folder.join(name);
        std::fs::write(&path, &output.stdout).unwrap();
        path.display().to_string()
    };
    let (once, twice) = (save("once.json", "10B"), save("twice.json", "20B"));
    let output = outlay(&["compare", &once, &twice]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    // Twice the tokens at the same batch cost twice as much.
    assert!(
        text.contains("(2.00x)") && text.contains("once") && text.contains("twice"),
        "{text}"
    );
    let broken = folder.join("broken.json");
    std::fs::write(&broken, "{}").unwrap();
    let output = outlay(&["compare", &once, &broken.display().to_string()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("broken.json: no plan"),
        "{}",
        stderr(&output)
    );
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn models_that_fit_a_card_are_listed() {
    let fits = |hardware: &str| {
        let output = outlay(&["models", "--fits", hardware, "--json"]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let list: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
        list
    };
    let (one, eight) = (fits("RTX-4090"), fits("8xH100-SXM"));
    let of = |list: &[serde_json::Value], name: &str| {
        list.iter().find(|model| model["name"] == name).cloned()
    };
    // 8.03B parameters: 4-bit weights fit in 24 GB, 16 bytes each for a full tune do not.
    let small = of(&one, "llama-3.1-8b").unwrap();
    assert!(small["full_gib"].is_null() && small["qlora_gib"].as_f64().unwrap() < 22.6);
    assert!(of(&one, "llama-3.1-405b").is_none());
    assert!(
        of(&eight, "llama-3.1-8b").unwrap()["full_gib"]
            .as_f64()
            .is_some()
    );
    // What fits on one card of 24 GB fits on eight of 80.
    assert!(
        one.iter()
            .all(|model| of(&eight, model["name"].as_str().unwrap()).is_some())
    );
}

#[test]
fn the_whole_bill_is_shown_and_its_options_are_checked() {
    let with = planned_at_two_dollars;
    let shown = stdout(&with(&["--bill", "--all-runs", "2.69"]));
    for line in [
        "  of which failures",
        "failed and exploratory runs",
        "storage",
        "egress",
        "total",
    ] {
        assert!(
            shown.lines().any(|shown| shown.starts_with(line)),
            "{line}: {shown}"
        );
    }
    assert!(shown.contains("Making the hardware emitted"));
    // Off unless stated.
    assert!(!stdout(&with(&["--bill"])).contains("exploratory"));
    for (more, wrong) in [
        (
            ["--bill", "--all-runs", "0.5"],
            "--all-runs is `0.5`; allowed: 1 to 1000",
        ),
        (
            ["--bill", "--idle", "nan"],
            "--idle is `NaN`; allowed: 0 to 100",
        ),
        (
            ["--bill", "--data-size", "-1"],
            "--data-size is `-1`; allowed: 0 to 1000000000",
        ),
        (
            ["--bill", "--failures", "2"],
            "--failures is `2`; allowed: 0 to 1",
        ),
    ] {
        let output = with(&more);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(wrong), "{}", stderr(&output));
    }
}

#[test]
fn money_is_shown_in_another_currency_and_kept_in_dollars() {
    let with = planned_at_two_dollars;
    let euros = stdout(&with(&["--currency", "EUR", "--rate", "0.5"]));
    assert!(euros.contains("at €1.00/h each"), "{euros}");
    assert!(euros.contains("Money is shown at €0.500 for a US dollar."));
    assert!(!euros.contains('$'));
    // Data stay as they were.
    let json = |more: &[&str]| stdout(&with(&[&["--json"], more].concat()));
    assert_eq!(json(&[]), json(&["--currency", "EUR", "--rate", "0.5"]));
    for (more, wrong) in [
        (
            vec!["--currency", "euro", "--rate", "1"],
            "--currency is `euro`; allowed: a code of three capital letters, such as EUR",
        ),
        (
            vec!["--currency", "EUR", "--rate", "0"],
            "--rate is `0`; allowed: 0.000001 to 1000000000 EUR for a US dollar",
        ),
        (vec!["--currency", "EUR"], "--rate <RATE>"),
    ] {
        let output = with(&more);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(wrong), "{}", stderr(&output));
    }
}

#[test]
fn six_answers_make_a_project_that_plans() {
    let folder = folder("init");
    let init = |answers: &str, more: &[&str]| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_outlay"))
            .arg("init")
            .args(more)
            .current_dir(&folder)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        // A command that stops at once closes its end.
        let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), answers.as_bytes());
        child.wait_with_output().unwrap()
    };
    let file = folder.join("outlay.toml");
    // An earlier run of the tests left its own.
    let _ = std::fs::remove_file(&file);
    for (answers, wrong) in [
        ("llama-9\n", "llama-9"),
        (
            "gpt2-xl\nsome\n",
            "`some` is not known; allowed: full, lora, qlora",
        ),
        ("gpt2-xl\n\n\n", "`` is no number of tokens"),
        ("gpt2-xl\n\n1B\n8xH9\n", "H9"),
        ("gpt2-xl\n\n1B\n\nmuch\n", "budget: "),
        (
            "gpt2-xl\n\n1B\n\n\n",
            "ended at question 6 of 6; nothing was written",
        ),
    ] {
        let output = init(answers, &[]);
        assert_eq!(output.status.code(), Some(2), "{answers}");
        assert!(stderr(&output).contains(wrong), "{}", stderr(&output));
        assert!(!file.exists());
    }
    let output = init("gpt2-xl\nlora\n1B\n8xH100-SXM\n5000usd\n14d\n", &[]);
    assert!(stdout(&output).contains("outlay plan train outlay.toml"));
    let plan = outlay(&["plan", "train", file.to_str().unwrap(), "--json"]);
    assert_eq!(plan.status.code(), Some(0), "{}", stderr(&plan));
    let plan: serde_json::Value = serde_json::from_str(&stdout(&plan)).unwrap();
    assert_eq!(plan["tokens"], 1e9);
    assert_eq!(plan["best"]["accelerator"], "H100-SXM");
    // What is there is kept.
    let before = std::fs::read_to_string(&file).unwrap();
    let output = init("resnet-50\n\n10M\n\n\n\n", &[]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
    // Empty answers are left out.
    init("gpt2-xl\n\n2B\n\n\n\n", &["--force"]);
    let after = std::fs::read_to_string(&file).unwrap();
    assert!(
        after.contains("tokens = \"2B\"") && !after.contains("gpus"),
        "{after}"
    );
}

#[test]
fn several_models_are_planned_in_one_call() {
    let run =
        "plan train gpt2-xl --tokens 10B --gpus 8xH100-SXM --also gpt2-large --also pythia-1.4b";
    let run: Vec<&str> = run.split(' ').collect();
    let output = outlay(&run);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    for expected in ["gpt2-large", "pythia-1.4b", "x)", "GPU-hours"] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let json = outlay(&[&run[..], &["--json"]].concat());
    let plans: serde_json::Value = serde_json::from_str(&stdout(&json)).unwrap();
    let models: Vec<&str> = (0..3)
        .map(|at| plans[at]["model"].as_str().unwrap())
        .collect();
    assert_eq!(models, ["gpt2-xl", "gpt2-large", "pythia-1.4b"]);
    // The same as each alone.
    let alone = outlay(&[&["plan", "train", "gpt2-large"], &run[3..7], &["--json"]].concat());
    let alone: serde_json::Value = serde_json::from_str(&stdout(&alone)).unwrap();
    assert_eq!(alone["best"]["usd"], plans[1]["best"]["usd"]);
    let missed = outlay(&[&run[..], &["--budget", "1usd"]].concat());
    assert_eq!(missed.status.code(), Some(1));
    assert!(stderr(&missed).contains("gpt2-xl, gpt2-large, pythia-1.4b"));
    let unknown = outlay(&[&run[..], &["--also", "nope"]].concat());
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr(&unknown).contains("nope"));
}

#[test]
fn a_project_may_ask_for_the_bill() {
    let here = folder("billed");
    let project =
        "[train]\nmodel = \"gpt2-xl\"\ntokens = \"10B\"\ngpus = \"8xH100-SXM\"\nprice = \"2/h\"\n";
    let file = here.join("outlay.toml");
    let plan = |bill: &str, more: &[&str]| {
        std::fs::write(&file, format!("{project}{bill}")).unwrap();
        outlay(&[&["plan", "train", file.to_str().unwrap()], more].concat())
    };
    let output = plan(
        "[bill]\nall_runs = 2.5\nevaluations = 10\nevaluation_tokens = \"5M\"\n",
        &[],
    );
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(
        text.contains("all runs take 2.50 times") && text.contains("of which evaluation"),
        "{text}"
    );
    let text = stdout(&plan(
        "[bill]\nall_runs = 2.5\n",
        &["--bill", "--all-runs", "3"],
    ));
    assert!(
        text.contains("all runs take 3 times") || text.contains("all runs take 3.00 times"),
        "{text}"
    );
    let output = plan("[bill]\nevaluations = 5\n", &[]);
    assert!(
        stderr(&output).contains("both, or neither"),
        "{}",
        stderr(&output)
    );
    let output = plan("[bill]\nruns = 2\n", &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("runs"), "{}", stderr(&output));
}
