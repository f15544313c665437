//! What published serving runs are taken to have had, and schedulers with the settings that they had.

use outlay_catalog::find_accelerator;
use outlay_plan::Calibration;
use outlay_plan::serving::{
    Deployment, Engine, Formats, Load, NumberFormat, PassTimes, ServingCase, ServingConstants,
    ServingLayout, ServingModels, Settings, Split, read_serving, simulate, simulate_split,
};

const HEADER: &str = "silicon_data_source,backend,backend_version,model_path,system,precision,mode,isl,osl,batch_size,tp_size,\
    attention_dp_size,moe_tp_size,moe_ep_size,prefill_num_workers,prefill_tp_size,prefill_attention_dp_size,prefill_moe_tp_size,\
    prefill_moe_ep_size,decode_batch_size,decode_num_workers,decode_tp_size,decode_attention_dp_size,decode_moe_tp_size,\
    decode_moe_ep_size,silicon_ttft_ms,silicon_tpot_ms";

fn case(row: &str) -> ServingCase {
    let rows = read_serving(&format!("{HEADER}\n{row}\n"), "rows.csv").unwrap();
    ServingCase::new(&rows[0], &mut ServingModels::default()).unwrap()
}

/// A run on one server: source's day, engine, version, model, system, format, lengths, clients, widths.
fn server(day: &str, what: &str, lengths: &str, clients: u32, widths: &str) -> ServingCase {
    case(&format!(
        "db-dump/2026-04-27; silicon_concurrency={clients}; measured={day}T00:00:00.000Z,{what},agg,{lengths},{clients},{widths},,,,,,,,,,,,1,1"
    ))
}

#[test]
fn published_runs_have_what_their_scripts_set() {
    let minimax = "vllm,0.19.0,MiniMaxAI/MiniMax-M2.5,b200_sxm,fp8";
    let run = server("2026-04-08", minimax, "8192,1024", 64, "2,1,2,1");
    assert_eq!(run.settings.pass_tokens, 16384.0);
    assert_eq!(run.settings.chunk_tokens, 20.0);
    assert_eq!(run.formats.cache_bytes, 1);
    // A month before, the script left all that to the engine.
    let before = server("2026-03-11", minimax, "8192,1024", 64, "2,1,2,1");
    assert_eq!(before.settings.pass_tokens, 8192.0);
    assert_eq!(before.formats.cache_bytes, 2);

    // Its tables give the accelerators twice; of its scripts, that of fp8 never divides attention.
    let twice = server("2026-04-08", minimax, "1024,1024", 64, "2,2,1,4");
    assert_eq!(twice.layout.name(), "TP2 EP2");
    let narrow = "vllm,0.19.0,MiniMaxAI/MiniMax-M2.5,b200_sxm,fp4";
    let twice = server("2026-04-08", narrow, "1024,1024", 64, "2,2,1,4");
    assert_eq!(twice.layout.name(), "DP2 EP2");

    let llama = "trtllm,,meta-llama/Llama-3.1-70B,b200_sxm,fp8";
    let run = server("2025-10-29", llama, "1024,1024", 64, "4,1,4,1");
    assert_eq!(
        (run.settings.wait_passes, run.settings.wait_share),
        (20, 0.9)
    );
    for (lengths, widths) in [("1024,1024", "8,1,8,1"), ("1024,8192", "4,1,4,1")] {
        let run = server("2025-10-29", llama, lengths, 64, widths);
        assert_eq!(run.settings.wait_passes, 0);
    }

    // Data-parallel attention that the script chose and the table does not tell.
    let deepseek = "trtllm,,deepseek-ai/DeepSeek-R1,b200_sxm,fp4";
    let run = server("2025-11-02", deepseek, "8192,1024", 64, "4,1,4,1");
    assert_eq!(run.layout.name(), "DP4 EP4");
    let run = server("2025-11-02", deepseek, "8192,1024", 16, "4,1,4,1");
    assert_eq!(run.layout.name(), "TP4");

    // A day on which only runs with drafts were made.
    let deepseek = "trtllm,1.1.0rc2.post2,deepseek-ai/DeepSeek-R1,h200_sxm,fp8";
    let run = server("2026-01-14", deepseek, "1024,1024", 16, "8,1,1,8");
    assert_eq!(run.drafted_tokens, Some(3.0));
    assert!(
        run.assumed
            .iter()
            .any(|sentence| sentence.contains("drafts of 3"))
    );
    let run = server("2026-01-14", deepseek, "1024,1024", 128, "1,8,1,8");
    assert_eq!(run.drafted_tokens, Some(1.0));
    let run = server("2026-01-28", deepseek, "1024,1024", 16, "8,1,1,8");
    assert_eq!(run.drafted_tokens, None);

    // Runs of others have what engines do by themselves.
    let own = case(
        "own,vllm,0.19.0,MiniMaxAI/MiniMax-M2.5,b200_sxm,fp8,agg,8192,1024,64,2,2,1,4,,,,,,,,,,,,1,1",
    );
    assert_eq!(own.settings, Settings::usual(Engine::Vllm, own.accelerator));
    assert_eq!(own.layout.accelerators(), 4);
    assert!(!own.gateway);
}

/// A run with prompts and answers apart: engine, model, system, format, lengths, clients; prompt and decode workers with their
/// widths.
fn apart(what: &str, lengths: &str, clients: u32, prompts: &str, answers: &str) -> ServingCase {
    case(&format!(
        "db-dump/2026-04-27; silicon_concurrency={clients}; measured=2026-02-05T00:00:00.000Z,{what},disagg,{lengths},,,,,,{prompts},1,{answers},1,1"
    ))
}

#[test]
fn workers_that_a_row_leaves_open_are_those_of_its_recipe() {
    let wide = "trtllm,0.8.1.post2,deepseek-ai/DeepSeek-R1,gb200,fp8";
    let run = apart(wide, "1024,1024", 27, ",8,1,1,8", ",8,1,1,8");
    let workers = run.workers.unwrap();
    assert_eq!(
        (workers.prompt_workers, workers.decode_workers),
        (Some(1), Some(3))
    );
    assert_eq!(workers.prompt_layout.name(), "DP8 EP8");
    assert_eq!(run.layout.name(), "TP8 EP8");
    assert_eq!(run.settings.max_sequences, 8);
    assert_eq!(run.drafted_tokens, None);
    assert_eq!(run.kind, "split");

    let narrow = "trtllm,0.8.1.post1,deepseek-ai/DeepSeek-R1,b200_sxm,fp4";
    let run = apart(narrow, "1024,1024", 875, ",4,1,1,4", ",8,1,2,4");
    assert_eq!(run.workers.unwrap().decode_workers, Some(5));
    assert_eq!(run.layout.name(), "DP8 EP8");
    assert_eq!(run.drafted_tokens, Some(3.0));

    // No recipe has these clients: what stays open is said, and told by the kind.
    let run = apart(wide, "1024,1024", 29, ",8,1,1,8", ",8,1,1,8");
    assert_eq!(run.kind, "split-workers-unknown");
    assert!(
        run.assumed
            .iter()
            .any(|sentence| sentence.contains("half-way"))
    );
}

#[test]
fn accelerators_of_a_whole_run_are_divided() {
    let wide = "trtllm,,deepseek-ai/DeepSeek-R1,gb200,fp4";
    let run = apart(wide, "1024,1024", 1075, ",20,1,20,1", ",20,1,20,1");
    assert_eq!(run.ranks_in_all, Some(20));
    assert_eq!(run.workers.unwrap().prompt_layout.accelerators(), 4);
    let constants = ServingConstants::resolve(
        &Calibration::built_in().serving,
        &run.accelerator.generation,
        run.engine,
    );
    let outcome = run.predict(&constants);
    assert!(outcome.requests_per_s > 0.0 && outcome.ttft_s.mean > 0.0);
}

fn with<T>(
    engine: Engine,
    settings: impl FnOnce(&mut Settings),
    table: &[(&str, f64)],
    then: impl FnOnce(&Deployment<'_>, &PassTimes) -> T,
) -> T {
    let model = outlay_model::find("llama-3.1-8b").unwrap().model().unwrap();
    let accelerator = find_accelerator("H100-SXM").unwrap();
    let mut deployment = Deployment {
        model: &model,
        accelerator,
        engine,
        formats: Formats::usual(NumberFormat::Fp8, &model, accelerator),
        layout: ServingLayout::tensor(1),
        settings: Settings::usual(engine, accelerator),
    };
    settings(&mut deployment.settings);
    let table = table
        .iter()
        .map(|(name, value)| ((*name).to_owned(), *value))
        .collect();
    let constants = ServingConstants::resolve(&table, &accelerator.generation, engine);
    let times = PassTimes::new(&deployment, &constants);
    then(&deployment, &times)
}

fn load(clients: u32) -> Load {
    Load {
        input_tokens: 1000.0,
        output_tokens: 500.0,
        shortest: 0.8,
        concurrency: clients,
        rate_per_s: None,
        requests: clients * 20,
        burst_share: 0.0,
        cached_prefix: 0.0,
        draft: None,
    }
}

#[test]
fn prompts_wait_for_more_where_they_are_told_to() {
    let first_token_s = |wait_passes: u32| {
        with(
            Engine::TensorrtLlm,
            |settings| {
                settings.wait_passes = wait_passes;
                settings.wait_share = 0.9;
            },
            &[],
            |deployment, times| {
                let outcome = simulate(times, deployment, &deployment.memory(), &load(8));
                (outcome.ttft_s.mean, times.decode_s(8.0, 1200.0, 1.0))
            },
        )
    };
    let (at_once, pass_s) = first_token_s(0);
    let (waited, _) = first_token_s(20);
    // Eight clients never fill a pass, so that each waits for all twenty passes or for what is left of another's wait.
    let passes = (waited - at_once) / pass_s;
    assert!((8.0..=22.0).contains(&passes), "{passes}");
}

#[test]
fn pieces_that_merge_never_pile_up() {
    let clients = 64;
    let first_token_s = |engine: Engine, piece_us: f64| {
        with(
            engine,
            |_| {},
            &[("front_end_us", piece_us)],
            |deployment, times| {
                simulate(times, deployment, &deployment.memory(), &load(clients))
                    .ttft_s
                    .mean
            },
        )
    };
    let slow_us = 1000.0;
    let added = |engine| first_token_s(engine, slow_us) - first_token_s(engine, 1.0);
    // One piece for each client at most is sent before a new answer's first.
    let round_s = f64::from(clients) * slow_us * 1e-6;
    let merged = added(Engine::Vllm);
    assert!(merged > 0.2 * round_s && merged <= round_s, "{merged}");
    // Where they do not, a front end that cannot keep up makes everyone wait for whole answers.
    assert!(added(Engine::TensorrtLlm) > 4.0 * round_s);
}

#[test]
fn decode_workers_hold_as_many_as_they_are_set_to() {
    with(
        Engine::TensorrtLlm,
        |_| {},
        &[],
        |_, times| {
            let first_token_s = |clients: u32, slots: f64| {
                let split = Split {
                    prompts: times,
                    prompt_workers: 2,
                    prompt_pass_tokens: 8192.0,
                    decode: times,
                    decode_workers: 4,
                    decode_slots: slots,
                };
                let outcome = simulate_split(&split, &load(clients));
                (outcome.ttft_s.mean, outcome.tpot_s.mean)
            };
            let (ample, _) = first_token_s(24, 24.0);
            // Twenty-four clients of sixteen slots: half an answer's time is waited (Little's law).
            let (scarce, token_s) = first_token_s(24, 4.0);
            let answer_s = 450.0 * token_s;
            let waited = (scarce - ample) / answer_s;
            assert!((0.4..=0.75).contains(&waited), "{waited}");
            // As many clients as slots: they come in turn, not where there is room, so that some wait.
            let (level, token_s) = first_token_s(16, 4.0);
            let waited = (level - ample) / (450.0 * token_s);
            assert!((0.0..=0.3).contains(&waited), "{waited}");
        },
    );
}

#[test]
fn a_request_that_comes_in_a_pass_joins_the_next_but_one() {
    // One client's answer is under way when another's prompt comes.
    with(
        Engine::Vllm,
        |_| {},
        &[],
        |deployment, times| {
            let alone = simulate(times, deployment, &deployment.memory(), &load(1));
            let beside = simulate(times, deployment, &deployment.memory(), &load(2));
            let pass_s = times.decode_s(1.0, 1200.0, 1.0);
            let passes = (beside.ttft_s.mean - alone.ttft_s.mean) / pass_s;
            // Half of the running pass and all of the next, and a little for the other's token in its own.
            assert!((1.0..=3.0).contains(&passes), "{passes}");
        },
    );
}

/// Mean time to first token and per output token of a row's run, with these constants in place of the built-in ones.
fn predicted(run: &ServingCase, changed: &[(&str, f64)]) -> (f64, f64) {
    let mut table = Calibration::built_in().serving;
    for (name, value) in changed {
        table.retain(|key, _| !key.starts_with(&format!("{name}@")));
        table.insert((*name).to_owned(), *value);
    }
    let constants = ServingConstants::resolve(&table, &run.accelerator.generation, run.engine);
    let outcome = run.predict(&constants);
    (outcome.ttft_s.mean, outcome.tpot_s.mean)
}

#[test]
fn a_gateway_is_before_runs_apart_and_those_that_say_so() {
    let wide = "trtllm,0.8.1.post2,deepseek-ai/DeepSeek-R1,gb200,fp8";
    let split = apart(wide, "1024,1024", 27, ",8,1,1,8", ",8,1,1,8");
    let row = "trtllm,1.0.0,Qwen/Qwen3-32B,h100_sxm,fp8,agg,1024,1024,8,2,1,1,1,,,,,,,,,,,,1,1";
    let dynamo = case(&format!("dynamo,{row}"));
    let alone = case(&format!("own,{row}"));
    assert!(split.gateway && dynamo.gateway && !alone.gateway);
    for (run, adds_s) in [(&split, 0.2), (&dynamo, 0.2), (&alone, 0.0)] {
        let (near, near_token) = predicted(run, &[("gateway_ms", 100.0)]);
        let (far, far_token) = predicted(run, &[("gateway_ms", 300.0)]);
        // The front end's queue gives a little of it back.
        assert!((far - near - adds_s).abs() < 0.02, "{near} {far}");
        assert!((far_token / near_token - 1.0).abs() < 1e-9);
    }
}

#[test]
fn the_host_counts_exchanged_tokens_where_groups_hold_their_own() {
    let lengths = "1024,1024,64";
    let run = |engine: &str, widths: &str| {
        case(&format!(
            "own,{engine},1.0.0,deepseek-ai/DeepSeek-R1,h200_sxm,fp8,agg,{lengths},{widths},,,,,,,,,,,,1,1"
        ))
    };
    let added = |run: &ServingCase| {
        predicted(run, &[("exchange_ms", 4.0)]).0 - predicted(run, &[("exchange_ms", 0.01)]).0
    };
    // 58 layers of experts, 4 ms each, are hidden behind the GPU's own time only in part.
    assert!(added(&run("sglang", "1,8,1,8")) > 0.1);
    assert_eq!(added(&run("sglang", "8,1,1,8")), 0.0);
    assert_eq!(added(&run("trtllm", "1,8,1,8")), 0.0);
}

#[test]
fn each_drafted_token_takes_its_time() {
    let pass_s = |draft_ms: f64, tokens: f64| {
        with(
            Engine::Vllm,
            |_| {},
            &[("draft_ms", draft_ms)],
            |_, times| times.decode_s(8.0, 1000.0, tokens),
        )
    };
    assert_eq!(pass_s(1.0, 1.0), pass_s(3.0, 1.0));
    // Three drafted beside the one that a pass always writes, 2 ms more for each.
    let more_s = pass_s(3.0, 4.0) - pass_s(1.0, 4.0);
    assert!((more_s - 0.006).abs() < 1e-12, "{more_s}");
}

#[test]
fn small_passes_with_prompts_run_as_graphs() {
    let pass_s = |graph_tokens: f64, launch_us: f64, tokens: f64| {
        with(
            Engine::Vllm,
            |settings| settings.graph_tokens = graph_tokens,
            &[("launch_us", launch_us)],
            |_, times| times.prompt_s(tokens, 8192.0),
        )
    };
    // With a host so slow that its launches alone are the pass, a graph leaves those of attention.
    let slow_us = 300.0;
    let eager = pass_s(0.0, slow_us, 500.0);
    let graph = pass_s(512.0, slow_us, 500.0);
    assert!(graph < 0.5 * eager, "{graph} of {eager}");
    assert_eq!(pass_s(0.0, slow_us, 513.0), pass_s(512.0, slow_us, 513.0));
}
