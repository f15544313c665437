//! Laws of runs of several parts, of frozen layers and of levers.

use outlay_catalog::find_accelerator;
use outlay_plan::{
    Calibration, Costing, Layout, Method, Question, Recompute, Workload, plan_train,
};

use super::{offer, on_h100, workload};

#[test]
fn parts_of_a_run_cost_what_they_cost_alone() {
    let (short, long) = (
        workload("llama-3.1-8b", 8192, 512, 1e12),
        workload("llama-3.1-8b", 131_072, 64, 4e10),
    );
    let offer = offer(2.0);
    let calibration = Calibration::built_in();
    let alone = |workload: &Workload| {
        plan_train(&on_h100(workload, &offer, Some(64)), &calibration)
            .unwrap()
            .best
    };
    let together = Question {
        stages: vec![outlay_plan::Stage {
            name: "131072 tokens".to_owned(),
            workload: long.clone(),
            before: false,
        }],
        ..on_h100(&short, &offer, Some(64))
    };
    let answer = plan_train(&together, &calibration).unwrap();
    let best = &answer.best;
    assert_eq!(answer.tokens, 1.04e12);
    let sum = alone(&short).wall_clock_s.p50 + alone(&long).wall_clock_s.p50;
    // What the checkpoint between them takes comes on top, and a layout with room may take three percent more.
    assert!(
        best.wall_clock_s.p50 >= sum * 0.999 && best.wall_clock_s.p50 < sum * 1.03,
        "{} and {sum}",
        best.wall_clock_s.p50
    );
    let parts: f64 = best.stages.iter().map(|stage| stage.wall_clock_s.p50).sum();
    assert!((parts / best.wall_clock_s.p50 - 1.0).abs() < 1e-9);
    assert_eq!(
        best.stages
            .iter()
            .map(|stage| (stage.name.as_str(), stage.main))
            .collect::<Vec<_>>(),
        [("8192 tokens", true), ("131072 tokens", false)]
    );
    // The main part may come last, and then takes up the other's checkpoint.
    let reversed = Question {
        stages: vec![outlay_plan::Stage {
            before: true,
            ..together.stages[0].clone()
        }],
        ..on_h100(&short, &offer, Some(64))
    };
    let reversed = plan_train(&reversed, &calibration).unwrap().best;
    let parts: f64 = reversed
        .stages
        .iter()
        .map(|stage| stage.wall_clock_s.p50)
        .sum();
    assert!((parts / reversed.wall_clock_s.p50 - 1.0).abs() < 1e-9);
    assert!((reversed.wall_clock_s.p50 / best.wall_clock_s.p50 - 1.0).abs() < 1e-6);
    assert!(reversed.stages[1].main);
    // Where a part does not fit, the run does not, and the error is that part's.
    let huge = workload("llama-3.1-405b", 8192, 64, 1e9);
    let hopeless = Question {
        stages: vec![outlay_plan::Stage {
            name: "too large".to_owned(),
            workload: huge,
            before: true,
        }],
        ..on_h100(&short, &offer, Some(8))
    };
    let error = plan_train(&hopeless, &calibration).unwrap_err().to_string();
    assert!(error.contains("405"), "{error}");
}

#[test]
fn a_forward_pass_takes_a_third_of_a_step_and_no_state() {
    let trained = workload("llama-3.1-8b", 4096, 64, 1e9);
    let forward = Workload {
        method: Method::Forward,
        ..trained.clone()
    };
    let accelerator = find_accelerator("H100-SXM").unwrap();
    let calibration = Calibration::built_in();
    let layout = Layout::parse("TP8 mb1", 8).unwrap();
    let of = |workload: &Workload| {
        let costing = Costing::new(workload, accelerator, &calibration).unwrap();
        let slice = costing.slice(&layout);
        (
            costing.step(&layout, &slice).total_s(),
            costing.memory(&layout, &slice),
        )
    };
    let ((step_s, _), (forward_s, memory)) = (of(&trained), of(&forward));
    let share = forward_s / step_s;
    assert!((0.25..0.4).contains(&share), "{share}");
    assert_eq!(memory.optimizer_bytes + memory.gradients_bytes, 0.0);
    // 8.03e9 weights of two bytes, an eighth on each.
    assert!((memory.weights_bytes / (8.03e9 * 2.0 / 8.0) - 1.0).abs() < 0.01);
}

#[test]
fn frozen_layers_save_their_backward_pass_and_their_state() {
    let whole = workload("llama-3.1-8b", 4096, 64, 1e9);
    let offer = offer(2.0);
    let calibration = Calibration::built_in();
    let mut last = f64::INFINITY;
    let mut last_memory = f64::INFINITY;
    for frozen in [None, Some(8), Some(16), Some(31)] {
        let mut workload = whole.clone();
        if let Some(n) = frozen {
            workload.model.freeze_first(n).unwrap();
        }
        let question = Question {
            layout: Some(Layout::parse("FSDP mb1", 64).unwrap()),
            ..on_h100(&workload, &offer, Some(64))
        };
        let best = plan_train(&question, &calibration).unwrap().best;
        let (s, gib) = (best.step_s.p50, best.memory_gib.p50);
        assert!(
            s < last && gib < last_memory,
            "{frozen:?}: {s} s, {gib} GiB"
        );
        (last, last_memory) = (s, gib);
    }
    // Almost nothing but forward passes is left: more than a third of a step, and less than a half.
    let full = plan_train(
        &Question {
            layout: Some(Layout::parse("FSDP mb1", 64).unwrap()),
            ..on_h100(&whole, &offer, Some(64))
        },
        &calibration,
    )
    .unwrap();
    let share = last / full.best.step_s.p50;
    assert!((0.3..0.5).contains(&share), "{share}");
}

#[test]
fn levers_are_priced_anew_packing_deadlines_and_mixtures_among_them() {
    let offer = offer(2.0);
    let calibration = Calibration::built_in();
    // Five times Chinchilla's tokens: a mixture of equal loss has fewer active parameters.
    let dense = workload("llama-3.1-8b", 4096, 1024, 1e12);
    let question = on_h100(&dense, &offer, Some(64));
    let answer = plan_train(&question, &calibration).unwrap();
    let levers = outlay_plan::levers(&question, &answer, &[], Some(0.5), &calibration);
    let find = |part: &str| {
        levers
            .iter()
            .find(|lever| lever.change.contains(part))
            .unwrap_or_else(|| panic!("no `{part}` among {levers:#?}"))
    };
    // Half of the tokens cost half of the money.
    let now = answer.best.usd.unwrap().p50;
    assert!((find("packing").usd / now - 0.5).abs() < 0.001);
    let mixture = find("mixture of 8 experts");
    assert!(mixture.gives_up.contains("to hold and to serve"));
    let active = outlay_plan::mixture_of_eight(dense.model.parameters() as f64, 1e12).unwrap();
    assert!(mixture.usd < now && active < dense.model.parameters() as f64);
    // A deadline that only many accelerators meet: more time is cheaper where small clusters are more efficient.
    let rushed = Question {
        deadline_s: Some(6.0 * 86_400.0),
        ..on_h100(&dense, &offer, None)
    };
    let answer = plan_train(&rushed, &calibration).unwrap();
    let levers = outlay_plan::levers(&rushed, &answer, &[], None, &calibration);
    let later: Vec<_> = levers
        .iter()
        .filter(|lever| lever.change.contains("a later deadline"))
        .collect();
    assert_eq!(later.len(), 1, "{levers:#?}");
    assert!(later[0].wall_clock_s > answer.best.wall_clock_s.p50);
}

#[test]
fn less_is_computed_again_on_more_accelerators() {
    // 16 bytes of state for each of 70e9 parameters leave no room for all activations on sixteen times 80 GB.
    let large = Workload {
        framework: outlay_plan::Framework::Fsdp,
        ..workload("llama-3.1-70b", 4096, 64, 1e9)
    };
    let offer = offer(2.0);
    let calibration = Calibration::built_in();
    let question = on_h100(&large, &offer, Some(16));
    let answer = plan_train(&question, &calibration).unwrap();
    assert_ne!(answer.best.layout.recompute, Recompute::None);
    let levers = outlay_plan::levers(&question, &answer, &[], None, &calibration);
    let lever = levers
        .iter()
        .find(|lever| lever.change.contains("computed again, on"))
        .unwrap_or_else(|| panic!("{:?} {levers:#?}", answer.best.layout_brief));
    assert!(lever.usd < answer.best.usd.unwrap().p50);
}

#[test]
fn frozen_layers_are_divided_and_talk_as_trained_ones() {
    let calibration = Calibration::built_in();
    let accelerator = find_accelerator("H100-SXM").unwrap();
    for (model, frozen, layout, count) in [
        ("llama-3.2-3b", 24, "TP8 mb1", 8),
        ("llama-3.1-70b", 70, "TP8 PP2 ZeRO-1 mb1 selective", 64),
        ("qwen3-30b-a3b", 40, "EP8 DP64 ZeRO-1 mb1", 64),
        ("llama-3.1-70b", 70, "FSDP mb1", 64),
    ] {
        let whole = workload(model, 4096, 256, 1e10);
        let mut tuned = whole.clone();
        tuned.model.freeze_first(frozen).unwrap();
        let layout = Layout::parse(layout, count).unwrap();
        let of = |workload: &Workload| {
            let costing = Costing::new(workload, accelerator, &calibration).unwrap();
            let slice = costing.slice(&layout);
            (
                costing.step(&layout, &slice),
                costing.memory(&layout, &slice),
            )
        };
        let ((time, memory), (less_time, less_memory)) = (of(&whole), of(&tuned));
        // What a rank holds of 16-bit weights is the same, whether they are trained or not.
        let ratio = less_memory.weights_bytes / memory.weights_bytes;
        if layout.zero < 3 {
            assert!((0.9..1.15).contains(&ratio), "{model}: {ratio}");
        }
        assert!(less_memory.total_bytes() < memory.total_bytes(), "{model}");
        // Every forward pass is there, and of exchanges at least a third.
        let forward = less_time.forward_s / time.forward_s;
        assert!((0.95..1.05).contains(&forward), "{model}: {forward}");
        assert!(less_time.backward_s < 0.6 * time.backward_s, "{model}");
        for (less, all) in [
            (less_time.tensor_s, time.tensor_s),
            (less_time.expert_s, time.expert_s),
        ] {
            assert!(
                all == 0.0 || (less / all > 0.33 && less < all),
                "{model}: {less} of {all}"
            );
        }
        assert!(less_time.total_s() < time.total_s());
    }
}

#[test]
fn kinds_of_layers_that_alternate_are_frozen_in_shares() {
    let whole = workload("nemotron-3-nano-30b-a3b", 4096, 64, 1e9).model;
    let mut half = whole.clone();
    half.freeze_first(whole.layers() / 2).unwrap();
    let share = half.trained_parameters() as f64 / whole.parameters() as f64;
    assert!((0.45..0.6).contains(&share), "{share}");
    assert_eq!(half.own_parameters(), whole.parameters());
    assert_eq!(half.active_parameters(), whole.active_parameters());
}

#[test]
fn levers_of_a_spot_plan_count_preemptions_on_both_sides() {
    let mut spot = offer(2.0);
    spot.pricing = outlay_catalog::Pricing::Spot;
    let calibration = Calibration::built_in();
    let run = workload("llama-3.1-8b", 4096, 1024, 1e11);
    let question = on_h100(&run, &spot, Some(64));
    let answer = plan_train(&question, &calibration).unwrap();
    assert_eq!(answer.best.spot_nodes, 8.0);
    assert_eq!(answer.best.preemptions_per_node_day, Some(1.0));
    let levers = outlay_plan::levers(&question, &answer, &[], Some(0.5), &calibration);
    let packing = levers
        .iter()
        .find(|lever| lever.change.contains("packing"))
        .unwrap();
    // Half of the work costs half of the money: so much is saved as is still paid.
    assert!(
        (packing.saved_usd / packing.usd - 1.0).abs() < 0.01,
        "{packing:?}"
    );
    assert!(packing.gives_up.contains("masked"), "{packing:?}");
}
