//! `--bill`: options for what surrounds a run, and how the bill is shown.

use outlay_plan::Bill;
use outlay_plan::request::BillRequest;
use outlay_units::{Estimate, mass_kg, usd};
use serde::Deserialize;

use crate::printer::{Align, Printer};

/// Options of the whole bill.
#[derive(clap::Args, Deserialize, Debug, Default, Clone)]
#[serde(default, deny_unknown_fields)]
pub struct BillArgs {
    /// Show the whole bill: failures, storage and egress beside the run, and what making the hardware emitted
    #[arg(long)]
    #[serde(skip)]
    pub bill: bool,
    /// In the bill: failures that stop the run, for each accelerator and day [default: 0.000474, as Llama 3 met]
    #[arg(
        long,
        value_name = "RATE",
        requires = "bill",
        allow_hyphen_values = true
    )]
    failures: Option<f64>,
    /// In the bill: preemptions of a node in a day, on spot offers [default: the offer's own
    /// rate, one measured for it, or 1]
    #[arg(
        long,
        value_name = "RATE",
        requires = "bill",
        allow_hyphen_values = true
    )]
    preemptions: Option<f64>,
    /// In the bill: evaluation passes over the run, such as 100
    #[arg(
        long,
        value_name = "N",
        requires_all = ["bill", "evaluation_tokens"],
        allow_hyphen_values = true
    )]
    evaluations: Option<f64>,
    /// In the bill: tokens of one evaluation pass, such as 10M
    #[arg(
        long,
        value_name = "TOKENS",
        requires_all = ["bill", "evaluations"],
        allow_hyphen_values = true
    )]
    evaluation_tokens: Option<String>,
    /// In the bill: accelerator time of all runs, failed and exploratory ones and sweeps included, over this one's, such as
    /// 1.5 (OLMo), 2.69 (BLOOM) or 5.6 (Olmo 3) [default: 1]
    #[arg(
        long,
        value_name = "FACTOR",
        requires = "bill",
        allow_hyphen_values = true
    )]
    all_runs: Option<f64>,
    /// In the bill: hours paid while nothing runs (queueing, setting up), over the run's own, such as 0.1 [default: 0]
    #[arg(
        long,
        value_name = "SHARE",
        requires = "bill",
        allow_hyphen_values = true
    )]
    idle: Option<f64>,
    /// In the bill: size of the training data in GB (default: token ids of 2 or 4 bytes)
    #[arg(long, value_name = "GB", requires = "bill", allow_hyphen_values = true)]
    data_size: Option<f64>,
    /// In the bill: GB of training data that one node reads and unpacks in a second; what steps need beyond it, they wait for
    /// [default: 2]
    #[arg(
        long,
        value_name = "GB_PER_S",
        requires = "bill",
        allow_hyphen_values = true
    )]
    loading: Option<f64>,
    /// In the bill: checkpoints kept at one time [default: 3]
    #[arg(long, value_name = "N", requires = "bill", allow_hyphen_values = true)]
    checkpoints: Option<f64>,
    /// In the bill: price of storage in dollars for a GB and month [default: 0.023]
    #[arg(
        long,
        value_name = "USD_PER_GB",
        requires = "bill",
        allow_hyphen_values = true
    )]
    storage: Option<f64>,
    /// In the bill: price of a GB that leaves the provider, in dollars [default: 0.09]
    #[arg(
        long,
        value_name = "USD_PER_GB",
        requires = "bill",
        allow_hyphen_values = true
    )]
    egress: Option<f64>,
}

impl BillArgs {
    /// Takes what was not given from the `[bill]` of a project, whose being there asks for the bill.
    pub fn fill(&mut self, project: Self) {
        self.bill = true;
        let Self {
            failures,
            preemptions,
            evaluations,
            evaluation_tokens,
            all_runs,
            idle,
            data_size,
            loading,
            checkpoints,
            storage,
            egress,
            ..
        } = project;
        self.failures = self.failures.or(failures);
        self.preemptions = self.preemptions.or(preemptions);
        self.evaluations = self.evaluations.or(evaluations);
        self.evaluation_tokens = self.evaluation_tokens.take().or(evaluation_tokens);
        self.all_runs = self.all_runs.or(all_runs);
        self.idle = self.idle.or(idle);
        self.data_size = self.data_size.or(data_size);
        self.loading = self.loading.or(loading);
        self.checkpoints = self.checkpoints.or(checkpoints);
        self.storage = self.storage.or(storage);
        self.egress = self.egress.or(egress);
    }

    /// What the bill counts, where it was asked for; its options need it.
    pub fn request(self) -> Option<BillRequest> {
        self.bill.then_some(BillRequest {
            failures: self.failures,
            preemptions: self.preemptions,
            evaluations: self.evaluations,
            evaluation_tokens: self.evaluation_tokens,
            all_runs: self.all_runs,
            idle: self.idle,
            data_size: self.data_size,
            loading: self.loading,
            checkpoints: self.checkpoints,
            storage: self.storage,
            egress: self.egress,
        })
    }
}

/// Shows the whole bill.
pub fn show(bill: &Bill, printer: &mut Printer) {
    printer.line("");
    printer.heading("The whole bill");
    let right = Align::Right;
    let row = |what: &str, estimate: Estimate, included: bool| {
        let mut cells = vec![if included {
            format!("  {what}")
        } else {
            what.to_owned()
        }];
        cells.extend([usd(estimate.p10), usd(estimate.p50), usd(estimate.p90)]);
        cells
    };
    let mut rows: Vec<Vec<String>> = bill
        .lines
        .iter()
        .map(|line| row(&line.what, line.usd, line.included))
        .collect();
    rows.push(row("total", bill.total_usd, false));
    printer.table(
        &[
            ("", Align::Left),
            ("p10", right),
            ("p50", right),
            ("p90", right),
        ],
        &rows,
    );
    for line in &bill.lines {
        printer.sentence(&format!("{}: {}.", line.what, line.basis));
    }
    printer.sentence(&format!(
        "Making the hardware emitted {} for this run's hours, beside what its energy does (150 kg an accelerator, 2,500 kg a server, six years in use for 85%: arXiv:2211.02001).",
        mass_kg(bill.embodied_kg)
    ));
}
