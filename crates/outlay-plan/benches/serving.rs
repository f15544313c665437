//! One serving estimate, and a whole search over layouts, formats, batches and all built-in offers.
//!
//! `cargo bench -p outlay-plan --bench serving`. Targets: under a millisecond, and under a second on two cores.

use std::hint::black_box;
use std::time::Instant;

use outlay_catalog::{accelerators, builtin_offers, carbon_intensity, find_accelerator};
use outlay_model::find;
use outlay_plan::serving::{
    Demand, Deployment, Engine, Formats, Limits, Load, NumberFormat, PassTimes, ServeQuestion,
    ServingConstants, ServingLayout, Settings, plan_serve, simulate,
};
use outlay_plan::{Calibration, Choice};

/// Median of `runs` timings, in seconds.
fn median(runs: usize, mut work: impl FnMut()) -> f64 {
    let mut seconds: Vec<f64> = (0..runs)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    seconds[runs / 2]
}

#[expect(clippy::print_stdout, reason = "a bench reports to its terminal")]
fn main() {
    let calibration = Calibration::built_in();
    for (name, accelerator, ranks, clients) in [
        ("llama-3.1-70b", "H100-SXM", 4, 64),
        ("deepseek-v3", "B200", 8, 256),
    ] {
        let model = find(name).expect("built in").model().expect("reads");
        let accelerator = find_accelerator(accelerator).expect("built in");
        let deployment = Deployment {
            model: &model,
            accelerator,
            engine: Engine::Vllm,
            formats: Formats::usual(NumberFormat::Fp8, &model, accelerator),
            layout: ServingLayout::tensor(ranks),
            settings: Settings::usual(Engine::Vllm, accelerator),
        };
        let constants =
            ServingConstants::resolve(&calibration.serving, &accelerator.generation, Engine::Vllm);
        let seconds = median(201, || {
            let times = PassTimes::new(&deployment, &constants);
            black_box(simulate(
                &times,
                &deployment,
                &deployment.memory(),
                &Load {
                    input_tokens: 1024.0,
                    output_tokens: 1024.0,
                    shortest: 0.8,
                    concurrency: clients,
                    rate_per_s: None,
                    requests: clients * 10,
                    burst_share: 0.1,
                    cached_prefix: 0.0,
                    draft: None,
                },
            ));
        });
        println!(
            "one estimate, {name} on {ranks} x {}, {clients} clients, {} requests followed: {:.0} us",
            accelerator.id,
            clients * 10,
            seconds * 1e6
        );
    }
    let model = find("llama-3.1-70b")
        .expect("built in")
        .model()
        .expect("reads");
    let question = ServeQuestion {
        model: &model,
        choices: accelerators()
            .iter()
            .filter(|accelerator| accelerator.vendor == "NVIDIA")
            .map(|accelerator| Choice {
                accelerator,
                count: None,
                offers: builtin_offers()
                    .iter()
                    .filter(|offer| offer.accelerator == accelerator.id)
                    .collect(),
            })
            .collect(),
        engines: Engine::ALL.to_vec(),
        formats: NumberFormat::ALL.to_vec(),
        demand: Demand {
            requests_per_s: 20.0,
            mean_over_peak: 1.0,
            input_tokens: 2000.0,
            output_tokens: 300.0,
            cached_prefix: 0.0,
        },
        limits: Limits {
            ttft_s: Some(1.0),
            tpot_s: Some(0.04),
            for_99_in_100: true,
        },
        draft: None,
        apart: false,
        hours: Vec::new(),
        carbon: |provider, region| {
            let intensity = carbon_intensity(provider, region);
            (intensity.g_co2e_per_kwh, intensity.basis)
        },
        pue: 1.2,
    };
    let mut priced = 0;
    let seconds = median(21, || {
        let answer = plan_serve(&question, &calibration).expect("something serves it");
        priced = black_box(answer).deployments_priced;
    });
    println!(
        "a whole search, {priced} deployments over every NVIDIA accelerator, format and engine: {:.0} ms",
        seconds * 1e3
    );
}
