//! `outlay plan serve` and its kin, as people call them.

use super::{folder, outlay, stderr, stdout};

fn serve(more: &str) -> std::process::Output {
    let run = format!("plan serve llama-3.1-8b --gpu H100-SXM --price 2/h {more}");
    outlay(&run.split_whitespace().collect::<Vec<_>>())
}

#[test]
fn a_service_is_planned() {
    let output = serve(
        "--requests 20/s --input 2000 --output 300 --ttft 1s --tpot 40ms --curve --precisions",
    );
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    for expected in [
        "requests/s of 2,000 + 300 tokens",
        "cost a month",
        "a million output tokens",
        "time to first token, p50",
        "knee",
        "effectively lossless",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
}

#[test]
fn the_json_has_the_intervals_in_order() {
    let output = serve("--requests 5/s --json");
    let answer: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(answer["format"], 1);
    let best = &answer["best"];
    for estimate in [
        &best["usd_per_month"],
        &best["ttft"]["p50_s"],
        &best["tpot"]["p99_s"],
        &best["capacity_requests_per_s"],
        &best["energy_wh_per_request"],
    ] {
        let at = |name: &str| estimate[name].as_f64().unwrap();
        assert!(
            at("p10") <= at("p50") && at("p50") <= at("p90"),
            "{estimate}"
        );
    }
    assert!(best["tpot"]["p50_s"]["p50"].as_f64() <= best["tpot"]["p99_s"]["p50"].as_f64());
    assert_eq!(
        answer["curve"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|point| point["is_knee"] == true)
            .count(),
        1
    );
}

#[test]
fn limits_that_nothing_meets_are_a_missed_check() {
    let output = serve("--ttft 1ms --tpot 1ms");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stdout(&output).contains("is the least for one request alone"),
        "{}",
        stdout(&output)
    );
}

#[test]
fn slips_are_named() {
    for (more, what) in [
        ("--requests 20", "a rate with its unit"),
        ("--requests 0/s", "a rate with its unit"),
        ("--requests -3/s", "a rate with its unit"),
        ("--ttft 40", "a time with its unit"),
        ("--input 0", "--input is `0`; allowed"),
        ("--output 1e9", "--output is `1e9`; allowed"),
        ("--input 200k", "holds 131072"),
        ("--cached 1.5", "--cached is `1.5`; allowed"),
        ("--engine ollama", "allowed: vllm, sglang, tensorrt-llm"),
        ("--precision fp3", "allowed: bf16, fp8"),
        ("--draft 3", "--draft is `3`; allowed"),
        ("--draft 3:9", "--draft is `3:9`; allowed"),
        ("--percentile 42", "allowed: 50, 99"),
        ("--mean-over-peak 2", "--mean-over-peak is `2`; allowed"),
        ("--export helm=x", "allowed: command, skypilot, kubernetes"),
    ] {
        let output = serve(more);
        assert_eq!(output.status.code(), Some(2), "{more}: {}", stderr(&output));
        assert!(
            stderr(&output).contains(what),
            "{more}: {}",
            stderr(&output)
        );
    }
    let output = outlay(&["plan", "serve", "bert-base", "--ttft", "1s"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("answers whole"),
        "{}",
        stderr(&output)
    );
    let output = outlay(&["plan", "serve", "llama-3.1-405b", "--gpu", "RTX-4090"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("does not fit"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn exports_and_pictures_are_written() {
    let folder = folder("serve");
    let at = |name: &str| folder.join(name).display().to_string();
    let (command, kubernetes, picture, volume) = (
        at("run.sh"),
        at("k8s.yaml"),
        at("latency.svg"),
        at("volume.svg"),
    );
    let output = serve(&format!(
        "--requests 20/s --export command={command} --export kubernetes={kubernetes} --plot {picture}"
    ));
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        std::fs::read_to_string(command)
            .unwrap()
            .contains("vllm serve \"$MODEL\"")
    );
    assert!(
        std::fs::read_to_string(kubernetes)
            .unwrap()
            .contains("HorizontalPodAutoscaler")
    );
    assert!(std::fs::read_to_string(picture).unwrap().contains("<svg"));
    let output = serve(&format!("--requests 20/s --compare-api --plot {volume}"));
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(
        text.contains("APIs that sell this model") && text.contains("hosting wins from"),
        "{text}"
    );
    assert!(
        std::fs::read_to_string(volume)
            .unwrap()
            .contains("requests a month")
    );
}

#[test]
fn price_lists_of_litellm_are_read_and_their_gaps_named() {
    let folder = folder("apis");
    let path = folder.join("list.json");
    std::fs::write(
        &path,
        r#"{"sample_spec": {}, "x/llama-3.1-8b-instruct": {"mode": "chat", "litellm_provider": "x", "input_cost_per_token": 2e-8,
           "output_cost_per_token": "5e-8"}, "y": {"mode": "chat", "input_cost_per_token": -1, "output_cost_per_token": 1}}"#,
    )
    .unwrap();
    let path = path.display().to_string();
    let output = serve(&format!("--requests 5/s --compare-api --api-prices {path}"));
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        stdout(&output).contains("x/llama-3.1-8b-instruct"),
        "{}",
        stdout(&output)
    );
    assert!(
        stderr(&output).contains("1 of 2 entries"),
        "{}",
        stderr(&output)
    );
    let output = outlay(&["prices", "--apis", &path]);
    let text = stdout(&output);
    assert!(
        text.contains("allowed: 0 and more") && text.contains("is a number written"),
        "{text}"
    );
    std::fs::write(&path, "[]").unwrap();
    let output = serve(&format!("--compare-api --api-prices {path}"));
    assert_eq!(output.status.code(), Some(2));
    let output = outlay(&["prices", "--apis"]);
    assert!(output.status.success() && stdout(&output).contains("gpt-4o"));
}

#[test]
fn measured_serving_runs_are_told_by_their_header() {
    let folder = folder("serving-runs");
    let path = folder.join("runs.csv");
    let header = "id,model_path,system,backend,mode,precision,isl,osl,batch_size,tp_size,silicon_ttft_ms,silicon_tpot_ms\n";
    let rows = "a,llama-3.1-70b,h100_sxm,vllm,agg,fp8,1024,1024,16,4,150,16\nb,nothing,h100_sxm,vllm,agg,fp8,1024,1024,16,4,150,16\n";
    std::fs::write(&path, format!("{header}{rows}")).unwrap();
    let path = path.display().to_string();
    let output = outlay(&["validate", &path]);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(
        text.contains("1 of 2 rows predicted") && text.contains("`nothing`"),
        "{text}"
    );
    let output = outlay(&["validate", &path, "--json"]);
    let answer: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(answer["rows"].as_array().unwrap().len(), 4);
    let fitted = folder.join("mine.toml").display().to_string();
    let output = outlay(&["calibrate", &path, "-o", &fitted]);
    assert!(output.status.success(), "{}", stderr(&output));
    let output = serve(&format!("--calibration {fitted}"));
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn images_speech_and_embeddings_are_served_whole() {
    for (run, expected) in [
        (
            "plan serve resnet-50 --gpu L4 --requests 300/s --p99 50ms --curve",
            "a thousand images",
        ),
        (
            "plan serve stable-diffusion-xl --beside sdxl-vae --steps 20 --gpu H100-SXM --requests 1/s",
            "20 steps of 2 passes",
        ),
        (
            "plan serve flux.1-schnell --steps 4 --gpu H100-SXM --requests 1/s",
            "4 steps of 1 pass.",
        ),
        (
            "plan serve whisper-large-v3 --gpu L40S --requests 5/s --output 120",
            "a thousand recordings",
        ),
        (
            "plan serve bert-base --gpu T4 --requests 50/s --input 128",
            "fp16; up to",
        ),
        (
            "plan serve qwen3-0.6b --output 0 --input 400 --gpu L4 --requests 20/s",
            "of 400 tokens",
        ),
    ] {
        let output = outlay(&run.split_whitespace().collect::<Vec<_>>());
        assert!(output.status.success(), "{run}: {}", stderr(&output));
        let text = stdout(&output);
        assert!(text.contains(expected), "{run}: {text}");
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
    }
}

#[test]
fn what_answers_whole_has_options_of_its_own() {
    for (run, what) in [
        ("resnet-50 --gpu L4 --tpot 20ms", "--tpot is of no use"),
        ("resnet-50 --gpu L4 --steps 20", "--steps is of no use"),
        (
            "resnet-50 --gpu L4 --precision int4",
            "allowed for resnet-50: bf16, fp8, int8",
        ),
        ("llama-3.1-8b --gpu L4 --p99 1s", "--p99 is of no use"),
        ("bert-base --gpu L4 --input 513", "allowed: up to 512"),
        (
            "stable-diffusion-xl --gpu L4 --steps 0",
            "allowed: 1 to 1000",
        ),
        (
            "stable-diffusion-xl --gpu L4 --guidance 9",
            "allowed: 1 to 4",
        ),
        ("resnet-50 --gpu 8xH100-SXM", "cannot be divided"),
        (
            "bert-base --gpu T4 --precision fp8",
            "does not multiply in fp8",
        ),
        (
            "stable-diffusion-xl --gpu L4 --beside resnet-50",
            "neither a text encoder",
        ),
        (
            "stable-diffusion-xl --gpu L4 --frames 16",
            "--frames is of no use",
        ),
        ("whisper-tiny --gpu L4 --output 449", "allowed: up to 448"),
        ("stable-diffusion-xl --gpu L4 --steps 2.5", "whole numbers"),
        (
            "wan2.1-t2v-14b --gpu T4 --requests 1000000/s",
            "accelerators; allowed",
        ),
        ("flux.1-dev --gpu 1xT4", "do not fit on each of 1 x T4"),
    ] {
        let run = format!("plan serve {run}");
        let output = outlay(&run.split_whitespace().collect::<Vec<_>>());
        assert_eq!(output.status.code(), Some(2), "{run}");
        assert!(stderr(&output).contains(what), "{run}: {}", stderr(&output));
    }
    let output = outlay(&[
        "plan",
        "serve",
        "resnet-152",
        "--gpu",
        "T4",
        "--p99",
        "0.1ms",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output).replace('\n', " ");
    assert!(
        text.contains("is the least for one request alone"),
        "{text}"
    );
}

#[test]
fn training_and_serving_are_added_over_a_horizon() {
    let run = "plan lifecycle qwen3-0.6b --tokens 600B --train-gpus 64xH100-SXM --gpu H100-SXM --requests 20/s --months 12 --growth 5";
    let output = outlay(&run.split_whitespace().collect::<Vec<_>>());
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    for expected in ["as it is, quantized", "student", "gives up", "nats a token"] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
    for (more, what) in [
        ("--months 0", "--months is `0`; allowed"),
        ("--growth 200", "--growth is `200`; allowed"),
        ("--months 120 --growth 50", "growth of"),
        ("--gpu TPU-v3", "no price of TPU-v3 is known"),
        ("--train-gpus 8xL4", "--tokens"),
    ] {
        let run = format!("plan lifecycle qwen3-0.6b {more}");
        let output = outlay(&run.split_whitespace().collect::<Vec<_>>());
        assert_eq!(output.status.code(), Some(2), "{more}: {}", stdout(&output));
        assert!(
            stderr(&output).contains(what),
            "{more}: {}",
            stderr(&output)
        );
    }
    let output = outlay(&["plan", "lifecycle", "resnet-50"]);
    assert!(stderr(&output).contains("of the decoder kind"));
    // A deadline that is missed is a missed check.
    let run = "plan lifecycle qwen3-0.6b --tokens 600B --train-gpus 8xH100-SXM --deadline 1d --gpu H100-SXM";
    let output = outlay(&run.split_whitespace().collect::<Vec<_>>());
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    assert!(stdout(&output).contains("misses the deadline"));
}

#[test]
fn the_load_of_each_hour_is_read() {
    let here = folder("load");
    let csv: String = (0..48)
        .map(|hour| {
            format!(
                "2026-11-{:02} {:02}:00,{}\n",
                1 + hour / 24,
                hour % 24,
                10 + hour % 24
            )
        })
        .collect();
    std::fs::write(here.join("hours.csv"), format!("hour,requests\n{csv}")).unwrap();
    let file = here.join("hours.csv");
    let file = file.to_str().unwrap();
    let json = |more: &str| -> serde_json::Value {
        let output = serve(&format!("--requests 200/s {more} --json"));
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_str(&stdout(&output)).unwrap()
    };
    let fixed = json(&format!("--load {file}"));
    // The mean of 10 to 33 over 33.
    let share = fixed["demand"]["mean_over_peak"].as_f64().unwrap();
    assert!((share - 21.5 / 33.0).abs() < 1e-9, "{share}");
    let scaled = json(&format!("--load {file} --autoscale"));
    let usd = |answer: &serde_json::Value| answer["best"]["usd_per_month"]["p50"].as_f64();
    assert!(usd(&scaled) < usd(&fixed));
    for (load, what) in [
        ("1,2,3", "allowed: 24 to 20000 hours"),
        (
            "0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0",
            "not all of them without",
        ),
        ("1,2,x,4", "hour 3 is `x`"),
        ("nowhere.csv", "nowhere.csv"),
    ] {
        let output = serve(&format!("--load {load}"));
        assert_eq!(output.status.code(), Some(2), "{load}");
        assert!(
            stderr(&output).contains(what),
            "{load}: {}",
            stderr(&output)
        );
    }
}

#[test]
fn a_plan_is_explained_and_workers_may_be_apart() {
    let text = stdout(&serve("--requests 20/s --explain"));
    for expected in [
        "A pass of",
        "feed-forward up",
        "Constants for hopper and vllm",
        "cache_read",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
    let apart = "--requests 300/s --input 8000 --output 300 --ttft 3s --tpot 8ms --apart";
    let output = serve(apart);
    assert!(output.status.success(), "{}", stdout(&output));
    assert!(
        stdout(&output).contains("prompt workers of"),
        "{}",
        stdout(&output)
    );
    let output = serve(&format!("{apart} --export command=x.sh"));
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("prompt workers apart"));
}

#[test]
fn a_whole_answer_plan_is_written_for_triton() {
    let here = folder("triton");
    let file = here.join("config.pbtxt");
    let run = format!(
        "plan serve resnet-50 --gpu L4 --requests 300/s --export triton={}",
        file.display()
    );
    let output = outlay(&run.split_whitespace().collect::<Vec<_>>());
    assert!(output.status.success(), "{}", stderr(&output));
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(
        text.contains("dynamic_batching") && text.contains("max_batch_size: "),
        "{text}"
    );
    let output = outlay(&[
        "plan",
        "serve",
        "resnet-50",
        "--gpu",
        "L4",
        "--export",
        "helm=x",
    ]);
    assert!(
        stderr(&output).contains("with a format of triton")
            || stderr(&output).contains("allowed: triton")
    );
}

#[test]
fn reinforcement_learning_is_planned() {
    let run = |more: &str| {
        let run = format!("plan rl qwen3-0.6b --prompts 10k --gpus 8xH100-SXM {more}");
        outlay(&run.split_whitespace().collect::<Vec<_>>())
    };
    let output = run("--rollouts 8 --output 1000");
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    for expected in [
        "generation",
        "Together or apart",
        "are generated and",
        "No measured run",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
    for (more, what) in [
        ("--method reinforce", "allowed: grpo, ppo"),
        ("--rollouts 0", "--rollouts is `0`"),
        ("--output 99k", "holds 40960"),
        ("--updates x", "--updates is `x`"),
    ] {
        let output = run(more);
        assert_eq!(output.status.code(), Some(2), "{more}");
        assert!(
            stderr(&output).contains(what),
            "{more}: {}",
            stderr(&output)
        );
    }
    let output = outlay(&[
        "plan",
        "rl",
        "llama-3.1-405b",
        "--prompts",
        "10",
        "--gpus",
        "1xT4",
    ]);
    assert_eq!(output.status.code(), Some(2));
}

/// A GGUF header of a small Llama whose tensors hold 30,020,096 parameters, in a file of so many bytes for each.
fn gguf(path: &std::path::Path, bytes_per_parameter: f64) {
    let mut out = b"GGUF".to_vec();
    let text = |out: &mut Vec<u8>, text: &str| {
        out.extend_from_slice(&(text.len() as u64).to_le_bytes());
        out.extend_from_slice(text.as_bytes());
    };
    let numbers = [
        ("llama.block_count", 4u32),
        ("llama.embedding_length", 512),
        ("llama.attention.head_count", 8),
        ("llama.feed_forward_length", 1536),
        ("llama.vocab_size", 32_000),
        ("llama.context_length", 8192),
    ];
    out.extend_from_slice(&3u32.to_le_bytes());
    out.extend_from_slice(&2u64.to_le_bytes());
    out.extend_from_slice(&(1 + numbers.len() as u64).to_le_bytes());
    text(&mut out, "general.architecture");
    out.extend_from_slice(&8u32.to_le_bytes());
    text(&mut out, "llama");
    for (key, value) in numbers {
        text(&mut out, key);
        out.extend_from_slice(&4u32.to_le_bytes());
        out.extend_from_slice(&value.to_le_bytes());
    }
    // Embeddings that the output shares, and everything else in one tensor.
    let embeddings = 512 * 32_000u64;
    let layers = 4 * (4 * 512 * 512 + 3 * 512 * 1536 + 2 * 512) + 512u64;
    for (name, size) in [("token_embd.weight", embeddings), ("layers", layers)] {
        text(&mut out, name);
        out.extend_from_slice(&1u32.to_le_bytes());
        out.extend_from_slice(&size.to_le_bytes());
        out.extend_from_slice(&[0; 12]);
    }
    std::fs::write(path, out).unwrap();
    let length = ((embeddings + layers) as f64 * bytes_per_parameter) as u64;
    // The weights are a hole: no byte of them is read.
    std::fs::OpenOptions::new()
        .write(true)
        .open(path)
        .unwrap()
        .set_len(length)
        .unwrap();
}

#[test]
fn a_gguf_file_is_served_in_the_format_that_it_holds() {
    let here = folder("gguf");
    for (bits, format) in [(4.5, "int4"), (8.5, "int8"), (16.0, "bf16")] {
        let path = here.join("model.gguf");
        gguf(&path, bits / 8.0);
        let path = path.display().to_string();
        let run = |more: &[&str]| {
            let mut args = vec![
                "plan",
                "serve",
                &path,
                "--gpu",
                "RTX-4090",
                "--requests",
                "5000/day",
                "--price",
                "1/h",
            ];
            args.extend(more);
            outlay(&args)
        };
        let output = run(&["--json"]);
        assert!(output.status.success(), "{}", stderr(&output));
        let answer: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
        assert_eq!(answer["parameters"], 30_020_096u64, "{answer}");
        assert_eq!(answer["best"]["format"], format);
        let said = stdout(&run(&[])).replace('\n', " ");
        assert!(said.contains("bits"), "{said}");
        // Another format is used where one asks for it.
        let other = run(&["--json", "--precision", "bf16"]);
        assert!(other.status.success(), "{}", stderr(&other));
        let answer: serde_json::Value = serde_json::from_str(&stdout(&other)).unwrap();
        assert_eq!(answer["best"]["format"], "bf16");
    }
}
