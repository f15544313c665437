//! Ways of training through the command: runs of several parts, frozen layers, adapters, teachers, images, hours of the grid.

use std::process::Output;

use serde_json::Value;

use super::{folder, outlay, outlay_in, stderr, stdout};

/// Runs a command of words with blanks between.
fn said(command: &str) -> Output {
    outlay(&command.split_whitespace().collect::<Vec<_>>())
}

/// The answer of a command that succeeds.
fn answered(command: &str) -> Value {
    let output = said(&format!("{command} --json"));
    assert!(output.status.success(), "{command}: {}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn usd(answer: &Value) -> f64 {
    answer["best"]["usd"]["p50"].as_f64().unwrap()
}

fn refused(command: &str, expected: &str) {
    let output = said(command);
    assert_eq!(output.status.code(), Some(2), "{command}");
    let error = stderr(&output);
    assert!(error.contains(expected), "{command}: {error}");
}

#[test]
fn runs_of_several_parts_are_planned_as_a_whole() {
    let run = "plan train llama-3.1-8b --gpus 64xH100-SXM --price 2/h";
    let whole = answered(&format!("{run} --stages 8192:100B,131072:5B"));
    let stages = whole["best"]["stages"].as_array().unwrap();
    let said: Vec<(u64, f64)> = stages
        .iter()
        .map(|stage| {
            (
                stage["sequence_tokens"].as_u64().unwrap(),
                stage["tokens"].as_f64().unwrap(),
            )
        })
        .collect();
    assert_eq!(said, [(8192, 1e11), (131_072, 5e9)]);
    let first = answered(&format!("{run} --tokens 100B --sequence 8192"));
    let second = answered(&format!("{run} --tokens 5B --sequence 131072"));
    let ratio = usd(&whole) / (usd(&first) + usd(&second));
    assert!((1.0..1.03).contains(&ratio), "{ratio}");
    // Seven cycles' worth: 1 + 2 + 4.
    let cycles = answered(&format!(
        "{run} --tokens 100B --sequence 8192 --restarts 2 --restart-factor 2"
    ));
    assert!((usd(&cycles) / usd(&first) - 7.0).abs() < 0.01);
    let output = said_lines(&format!("{run} --stages 8192:100B,131072:5B"));
    assert!(output.contains("512 x 8192 tokens (main)"), "{output}");
    for (more, expected) in [
        ("--stages 8192", "--stages has `8192`"),
        ("--stages 8192:10B,,", "--stages has ``"),
        ("--stages 8192:-1", "--stages has `8192:-1`"),
        ("--stages 8192:10B:0", "--stages has `8192:10B:0`"),
        ("--stages 8192:10B --tokens 1B", "--stages"),
        ("--tokens 1B --restarts 0", "--restarts is `0`"),
        (
            "--tokens 1B --restarts 1 --restart-factor 0.5",
            "allowed: 1 to 10",
        ),
    ] {
        refused(&format!("{run} {more}"), expected);
    }
    refused(
        "plan train resnet-50 --gpus 8xH100-SXM --stages 8192:1B",
        "which takes images",
    );
}

fn said_lines(command: &str) -> String {
    let output = said(command);
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output)
}

#[test]
fn what_is_trained_is_what_is_paid_for() {
    let run = "plan finetune llama-3.1-8b --tokens 20M --gpus 8xH100-SXM --price 2/h";
    let full = answered(&format!("{run} --method full"));
    let frozen = answered(&format!("{run} --method full --freeze 24"));
    assert!(usd(&frozen) < usd(&full));
    // Eight layers of 218,112,000 parameters, the last norm and the output product.
    assert_eq!(
        frozen["parameters"],
        8 * 218_112_000u64 + 4_096 + 128_256 * 4_096
    );
    let adapter = answered(&format!("{run} --method adapter --rank 64"));
    let lora = answered(&format!("{run} --method lora"));
    assert!(usd(&adapter) < usd(&full) && usd(&lora) < usd(&full));
    assert_eq!(adapter["adapters"]["bottleneck"], true);
    refused(&format!("{run} --freeze 8"), "freeze every layer");
    refused(
        &format!("{run} --method full --freeze 32"),
        "allowed: 1 to 31",
    );
    refused(
        &format!("{run} --method full --freeze some"),
        "a number of layers",
    );
    refused(
        &format!("{run} --method prefix"),
        "allowed: full, lora, qlora, dora, adapter",
    );
}

#[test]
fn ways_of_preference_tuning_have_their_own_passes() {
    let of = |preference: &str| {
        usd(&answered(&format!(
            "plan finetune llama-3.1-8b --tokens 20M --gpu H100-SXM --price 2/h --preference {preference}"
        )))
    };
    let (orpo, dpo, kto) = (of("orpo"), of("dpo"), of("kto"));
    assert_eq!(orpo, of("simpo"));
    assert_eq!(dpo, of("ipo"));
    assert!(orpo < dpo && dpo < kto, "{orpo} {dpo} {kto}");
    refused(
        "plan finetune llama-3.1-8b --tokens 20M --gpu H100-SXM --preference grpo",
        "allowed: dpo, ipo, kto, orpo, simpo",
    );
}

#[test]
fn a_teacher_that_ran_ahead_runs_once() {
    let run = "plan finetune qwen3-0.6b --tokens 20M --epochs 4 --gpu H100-SXM --price 2/h --teacher qwen3-8b --method full";
    let beside = answered(run);
    let ahead = answered(&format!("{run} --offline"));
    assert!(usd(&ahead) < usd(&beside));
    let stages = ahead["best"]["stages"].as_array().unwrap();
    assert_eq!(stages.len(), 2);
    // One pass of the teacher, four of the student.
    assert_eq!(stages[0]["tokens"], 20e6);
    assert_eq!(stages[1]["tokens"], 80e6);
    assert_eq!(ahead["tokens"], 80e6);
    refused(
        "plan finetune qwen3-0.6b --tokens 20M --gpu H100-SXM --offline",
        "--teacher",
    );
    let bill = answered("plan finetune qwen3-0.6b --tokens 20M --gpu H100-SXM --price 2/h --bill");
    assert!(bill["bill"]["total_usd"]["p50"].as_f64().unwrap() >= usd(&bill));
}

#[test]
fn images_run_through_the_tower() {
    let run = "plan train gemma-3-4b --tokens 1B --sequence 2048 --gpus 8xH100-SXM --price 2/h";
    let text = answered(run);
    let frozen = answered(&format!("{run} --images-per-sequence 2 --freeze-tower"));
    let trained = answered(&format!("{run} --images-per-sequence 2"));
    assert!(usd(&text) < usd(&frozen) && usd(&frozen) < usd(&trained));
    refused(
        &format!("{run} --images-per-sequence 9"),
        "9 images take 2304 tokens, but a sequence has 2048",
    );
    refused(
        "plan train llama-3.1-8b --tokens 1B --gpus 8xH100-SXM --images-per-sequence 1",
        "no vision tower",
    );
    refused(
        "plan train qwen2.5-vl-7b --tokens 1B --gpus 8xH100-SXM --images-per-sequence 1",
        "--resolution 1024",
    );
}

#[test]
fn emissions_follow_the_hours_of_the_grid() {
    let here = folder("hours");
    let mut csv = "Datetime (UTC),Carbon intensity gCO₂eq/kWh (Life cycle)\n".to_owned();
    for hour in 0..24 {
        let grams = if hour < 12 { 100 } else { 500 };
        csv.push_str(&format!("2026-01-01 {hour:02}:00:00,{grams}\n"));
    }
    std::fs::write(here.join("grid.csv"), csv).unwrap();
    let run = |more: &str| {
        let command = format!(
            "plan train gpt2 --tokens 1B --gpus 1xH100-SXM --price 2/h --carbon grid.csv --json {more}"
        );
        let output = outlay_in(&here, &command.split_whitespace().collect::<Vec<_>>());
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let plain = run("");
    let kwh = plain["best"]["energy_kwh"]["p50"].as_f64().unwrap();
    let kg = plain["best"]["co2e_kg"]["p50"].as_f64().unwrap();
    // The mean of the file: 300 g.
    assert!((kg / kwh - 0.3).abs() < 1e-9);
    assert!(plain["emissions"].is_null());
    // Some hours from noon on cost 500 g, from midnight on 100.
    let late = run("--start 2026-12-01T12:00");
    let emissions = &late["emissions"];
    assert!((emissions["co2e_kg"]["p50"].as_f64().unwrap() / kwh - 0.5).abs() < 1e-6);
    assert!((emissions["best_co2e_kg"].as_f64().unwrap() / kwh - 0.1).abs() < 1e-6);
    assert_eq!(emissions["best_start"], "2026-12-02T00:00:00.000000Z");
    refused(
        "plan train gpt2 --tokens 1B --gpus 1xH100-SXM --start noon",
        "2026-12-01T20:00",
    );
    refused(
        "plan train gpt2 --tokens 1B --gpus 1xH100-SXM --carbon /nowhere.csv",
        "/nowhere.csv",
    );
    let command =
        "plan train gpt2 --tokens 1B --gpus 1xH100-SXM --start 2026-07-01T20:00 --price 2/h";
    let unknown = said_lines(command);
    assert!(
        unknown.contains("hours of this grid are not known"),
        "{unknown}"
    );
    // By night the sun is of no use to Germany's grid: noon is better.
    let german = answered(&format!("{command} --grid Germany"));
    let emissions = &german["emissions"];
    assert!(
        emissions["best_co2e_kg"].as_f64().unwrap()
            < 0.9 * emissions["co2e_kg"]["p50"].as_f64().unwrap(),
        "{emissions}"
    );
    assert!(
        emissions["best_start"]
            .as_str()
            .unwrap()
            .starts_with("2026-07-02")
    );
    refused(
        &format!("{command} --grid Atlantis"),
        "`Atlantis` is not known",
    );
}

#[test]
fn a_page_holds_its_charts_and_needs_no_network() {
    let here = folder("page");
    let output = outlay_in(
        &here,
        &"plan train llama-3.1-8b --tokens 20B --gpus 16xH100-SXM --plot plan.html"
            .split_whitespace()
            .collect::<Vec<_>>(),
    );
    assert!(output.status.success(), "{}", stderr(&output));
    let page = std::fs::read_to_string(here.join("plan.html")).unwrap();
    assert!(page.contains("plotly.js v") && page.contains("Plotly.newPlot"));
    // Scripts off, the drawing is there; nothing is loaded from elsewhere.
    assert!(page.contains("<noscript><svg"));
    assert!(!page.contains("<script src") && !page.contains("<link"));
    let start = page.find("id=\"data\">").unwrap() + "id=\"data\">".len();
    let end = start + page[start..].find("</script>").unwrap();
    let figures: Value = serde_json::from_str(&page[start..end]).unwrap();
    assert_eq!(figures.as_array().unwrap().len(), 3);
    assert_eq!(figures[0]["layout"]["xaxis"]["type"], "log");
}

#[test]
fn bills_count_what_is_the_models_own() {
    let bill = |more: &str| {
        let answer = answered(&format!(
            "plan finetune llama-3.1-8b --tokens 200M --epochs 1 --gpus 8xH100-SXM --price 2/h --bill --method full {more}"
        ));
        let lines = answer["bill"]["lines"].as_array().unwrap().clone();
        move |what: &str| -> (f64, String) {
            let line = lines
                .iter()
                .find(|line| line["what"] == what)
                .unwrap_or_else(|| panic!("no {what} in {lines:?}"));
            (
                line["usd"]["p50"].as_f64().unwrap(),
                line["basis"].as_str().unwrap().to_owned(),
            )
        }
    };
    // A reference stays where it is: two bytes of each of 8.03e9 parameters leave.
    let alone = bill("");
    let tuned = bill("--preference dpo");
    assert_eq!(alone("egress"), tuned("egress"));
    assert!(
        alone("egress").1.starts_with("15.0 GiB"),
        "{:?}",
        alone("egress")
    );
    // A teacher's answers are kept: 200M times 64 of six bytes.
    let ahead = bill("--teacher llama-3.1-70b --offline");
    assert!(
        ahead("storage").1.contains("71.5 GiB beside them"),
        "{:?}",
        ahead("storage")
    );
    // Evaluation is the student's alone: it costs the same with a teacher that ran ahead, to the layouts' difference.
    let evaluations = "--evaluations 10 --evaluation-tokens 1M";
    let (with, without) = (
        bill(&format!("--teacher llama-3.1-70b --offline {evaluations}")),
        bill(evaluations),
    );
    let ratio = with("of which evaluation").0 / without("of which evaluation").0;
    assert!((0.98..1.02).contains(&ratio), "{ratio}");
    // ImageNet's 150 GB, ninety times over, on eight H100s: loading that is too slow makes the run wait.
    let images = |more: &str| {
        answered(&format!(
            "plan train resnet-50 --samples 1.28M --epochs 90 --gpus 8xH100-SXM --price 2/h --bill --data-size 150 {more}"
        ))["bill"]
            .clone()
    };
    let line = |bill: &Value| -> (f64, String) {
        let lines = bill["lines"].as_array().unwrap();
        let line = lines
            .iter()
            .find(|line| line["what"] == "waiting for data")
            .unwrap();
        (
            line["usd"]["p50"].as_f64().unwrap(),
            line["basis"].as_str().unwrap().to_owned(),
        )
    };
    let (fast, slow) = (images("--loading 100"), images("--loading 0.5"));
    assert_eq!(line(&fast).0, 0.0);
    assert!(line(&fast).1.contains("hides behind them"), "{fast}");
    let run = fast["lines"][0]["usd"]["p50"].as_f64().unwrap();
    assert!(line(&slow).0 > run, "{slow}");
    let total = |bill: &Value| bill["total_usd"]["p50"].as_f64().unwrap();
    assert!((total(&slow) - total(&fast) - line(&slow).0).abs() < 1e-6 * total(&slow));
    // Warm restarts go over the same data.
    let stored = |more: &str| {
        let answer = answered(&format!(
            "plan train llama-3.1-8b --tokens 1B --gpus 8xH100-SXM --price 2/h --bill {more}"
        ));
        let lines = answer["bill"]["lines"].as_array().unwrap();
        let storage = lines.iter().find(|line| line["what"] == "storage").unwrap();
        storage["basis"].as_str().unwrap().to_owned()
    };
    assert_eq!(stored(""), stored("--restarts 2"));
}

#[test]
fn what_makes_no_sense_is_refused_in_words() {
    let run = "plan finetune qwen3-0.6b --tokens 20M --gpus 8xH100-SXM --price 2/h";
    // A teacher that is sharded fits where a whole one would not.
    let sharded = answered(&format!("{run} --teacher llama-3.1-70b --offline"));
    assert_eq!(sharded["best"]["stages"][0]["layout"]["zero"], 3);
    for (command, expected) in [
        (format!("{run} --teacher resnet-50 --offline"), "takes images"),
        (
            format!("{run} --teacher gpt2 --sequence 4096 --offline"),
            "learned positions for 1024 tokens",
        ),
        (
            format!("{run} --method adapter --targets all"),
            "--targets is of no use",
        ),
        (
            "plan train llama-3.1-8b --tokens 1B --gpus 8xH100-SXM --restarts 100 --restart-factor 10".to_owned(),
            "up to a million times",
        ),
        (
            "plan train bert-large --stages 512:1B,1024:1B --gpus 8xH100-SXM".to_owned(),
            "--stages has 1024",
        ),
        (
            "plan train gemma-3-4b --stages 1024:1B,4096:1B --gpus 8xH100-SXM --images-per-sequence 8".to_owned(),
            "a sequence has 1024",
        ),
        (
            "plan train gemma-3-4b --tokens 1B --gpus 8xH100-SXM --images-per-sequence 0".to_owned(),
            "--images-per-sequence is `0`",
        ),
        (
            "plan train llama-3.1-8b --stages 8192:1T,50000000:50B --gpus 8xH100-SXM".to_owned(),
            "part 50000000 tokens",
        ),
    ] {
        refused(&command, expected);
    }
    for export in ["megatron", "axolotl", "nemo", "torchtitan"] {
        let command = format!(
            "plan train llama-3.1-8b --freeze 24 --tokens 1B --gpus 8xH100-SXM --framework fsdp --layout FSDP,mb1 --export {export}=x"
        );
        refused(&command, "frozen layers");
    }
    let here = folder("parts");
    let project = "[train]\nmodel = \"llama-3.1-8b\"\ntokens = \"1T\"\nstages = \"8192:1T\"\ngpus = \"64xH100-SXM\"\n";
    std::fs::write(here.join("outlay.toml"), project).unwrap();
    let output = outlay_in(&here, &["plan", "train", "outlay.toml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("both --stages and --tokens"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_reference_sees_the_images_too() {
    let run = "plan finetune gemma-3-4b --tokens 50M --gpus 8xH100-SXM --price 2/h --method full";
    let added = |more: &str| {
        usd(&answered(&format!("{run} --preference dpo {more}")))
            - usd(&answered(&format!("{run} {more}")))
    };
    assert!(added("--images-per-sequence 4") > added(""));
}

#[test]
fn a_grid_without_emissions_is_a_plan_that_can_be_read_again() {
    let here = folder("clean");
    let mut csv = "point_time,value\n".to_owned();
    for hour in 0..24 {
        csv.push_str(&format!("2026-01-01T{hour:02}:00:00Z,0\n"));
    }
    std::fs::write(here.join("grid.csv"), csv).unwrap();
    let plan = "plan train gpt2 --tokens 1B --gpus 1xH100-SXM --price 2/h --carbon grid.csv --start 2026-12-01 --json";
    let output = outlay_in(&here, &plan.split_whitespace().collect::<Vec<_>>());
    assert!(output.status.success(), "{}", stderr(&output));
    std::fs::write(here.join("plan.json"), &output.stdout).unwrap();
    let compared = outlay_in(&here, &["compare", "plan.json", "plan.json"]);
    assert!(compared.status.success(), "{}", stderr(&compared));
}

#[test]
fn a_budget_compares_dense_models_with_a_mixture_of_equal_quality() {
    let answer = answered("plan budget 50000usd --gpus 64xH100-SXM");
    let (best, mixture) = (&answer["best"], &answer["mixture"]);
    let number = |value: &Value, name: &str| value[name].as_f64().unwrap();
    // Fewer parameters are active, more are held, and the same tokens cost less.
    let dense = number(best, "parameters");
    assert!(number(mixture, "active_parameters") < dense);
    assert!(number(mixture, "parameters") > dense);
    let law = answer["mixture_active_parameters"].as_f64().unwrap();
    let range = |index: usize| mixture["active_range"][index].as_f64().unwrap();
    assert!(range(0) < law && law < range(1), "{mixture}");
    // Repetition makes the loss less sure.
    let width = |answer: &Value| {
        number(&answer["best"]["loss"], "p90") - number(&answer["best"]["loss"], "p10")
    };
    let repeated = answered("plan budget 50000usd --gpus 64xH100-SXM --unique-tokens 20B");
    assert!(number(&repeated["best"], "epochs") > 2.0 && width(&repeated) > 1.01 * width(&answer));
    assert!((number(mixture, "active_parameters") / law - 1.0).abs() < 0.1);
    assert!(number(&mixture["training_usd"], "p50") < number(&best["training_usd"], "p50"));
    let said = said_lines("plan budget 50000usd --gpus 64xH100-SXM").replace('\n', " ");
    assert!(
        said.contains("would reach the same loss on the same tokens for $"),
        "{said}"
    );
}
