//! Layouts priced per second: GPT-3 175B on 4,096 A100, every legal layout.
//!
//! `cargo bench -p outlay-plan`. Calculon prices about 190 layouts a second on the same question.

use std::hint::black_box;
use std::time::Instant;

use outlay_catalog::find_accelerator;
use outlay_model::find;
use outlay_plan::{
    Adapters, AttentionKernel, Calibration, Costing, Framework, Method, Optimizer, Precision,
    SOFTWARE_YEAR, Space, Workload, search,
};

#[expect(clippy::print_stdout, reason = "a bench reports to its terminal")]
fn main() {
    let workload = Workload {
        model: find("gpt3-175b").expect("built in").model().expect("reads"),
        sequence_tokens: 2048,
        global_batch_sequences: 4096,
        tokens_total: 300e9,
        precision: Precision::Bf16,
        optimizer: Optimizer::Adamw,
        method: Method::Full,
        adapters: Adapters::default(),
        framework: Framework::Megatron,
        attention: AttentionKernel::Fused,
        channels_last: false,
        software_year: SOFTWARE_YEAR,
    };
    let accelerator = find_accelerator("A100-80GB-SXM").expect("built in");
    let costing = Costing::new(&workload, accelerator, &Calibration::built_in()).expect("bf16");
    let mut n_priced = 0;
    let mut rates: Vec<f64> = (0..21)
        .map(|_| {
            let start = Instant::now();
            let found = black_box(search(&costing, 4096, Space::default(), 5));
            n_priced = found.n_priced;
            found.n_priced as f64 / start.elapsed().as_secs_f64()
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    println!("175B on 4,096 accelerators: {n_priced} layouts");
    println!(
        "median {:.0} layouts/s of {} runs ({:.0} to {:.0})",
        rates[rates.len() / 2],
        rates.len(),
        rates[0],
        rates[rates.len() - 1]
    );
}
