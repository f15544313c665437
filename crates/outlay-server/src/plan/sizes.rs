//! One workload on fewer and on more accelerators, for a picture of cost and time against their number.

use outlay_plan::Calibration;
use outlay_plan::request::{Market, accelerators_of};
use outlay_units::Estimate;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Refused, TrainAsked};

/// Doublings and halvings that are tried around the number given.
const STEPS: u32 = 4;

/// Most accelerators that are tried.
const MOST: u32 = 65_536;

/// The best plan on one number of accelerators.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct SizePoint {
    /// Accelerators.
    pub count: u32,
    /// US dollars; `None` where no price is known.
    pub usd: Option<Estimate>,
    /// Wall-clock time of the run, in seconds.
    pub wall_clock_s: Estimate,
    /// Peak memory of one accelerator, in GiB.
    pub memory_gib: Estimate,
    /// The layout in short form.
    pub layout_brief: String,
}

/// The best plan on each number of accelerators.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Sizes {
    /// Version of this format; fields are only ever added within one version.
    pub format: u32,
    /// Accelerator id.
    pub accelerator: String,
    /// Points, the smallest number first. Numbers on which the workload does not run have none.
    pub points: Vec<SizePoint>,
    /// Numbers on which it does not run, and why.
    pub impossible: Vec<(u32, String)>,
}

/// Plans the workload around the number of accelerators that it gives.
///
/// # Errors
/// A field that is wrong, or no accelerators given.
pub fn sizes(
    asked: &TrainAsked,
    market: &Market,
    calibration: &Calibration,
) -> Result<Sizes, Refused> {
    let Some(gpus) = asked.request.gpus.as_deref() else {
        return Err(Refused::new(
            "gpus",
            "gpus is not given; allowed: a number and an accelerator, such as 64xH100-SXM",
        ));
    };
    let (middle, accelerator) = accelerators_of("--gpus", gpus)?;
    let mut sizes = Sizes {
        format: 1,
        accelerator: accelerator.id.clone(),
        points: Vec::new(),
        impossible: Vec::new(),
    };
    let mut first_refusal = None;
    for count in counts(middle) {
        let mut request = asked.request.clone();
        request.gpus = Some(format!("{count}x{}", accelerator.id));
        request.levers = false;
        request.bill = None;
        if count != middle {
            request.layout = None;
        }
        match asked.answer_on(&request, market, calibration) {
            Ok(answer) => sizes.points.push(SizePoint {
                count,
                usd: answer.best.usd,
                wall_clock_s: answer.best.wall_clock_s,
                memory_gib: answer.best.memory_gib,
                layout_brief: answer.best.layout_brief,
            }),
            Err(refused) => {
                sizes.impossible.push((count, refused.message.clone()));
                first_refusal.get_or_insert(refused);
            }
        }
    }
    match first_refusal {
        // A field that is wrong is wrong on every number.
        Some(refused) if sizes.points.is_empty() => Err(refused),
        _ => Ok(sizes),
    }
}

/// The numbers to try: halves as far as there are whole ones, and doubles.
fn counts(middle: u32) -> Vec<u32> {
    let mut counts: Vec<u32> = (1..=STEPS)
        .rev()
        .map(|step| middle >> step)
        .filter(|count| *count > 0)
        .collect();
    counts.push(middle);
    let doubles = (1..=STEPS).map(|step| u64::from(middle) << step);
    counts.extend(
        doubles
            .filter_map(|count| u32::try_from(count).ok())
            .filter(|count| *count <= MOST),
    );
    counts.dedup();
    counts
}
