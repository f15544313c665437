//! Why nothing fits, and what would.

use outlay_units::GIB;

use crate::search::{Candidate, Space, search};
use crate::step::Costing;
use crate::train::{PlanError, Priced, Question};
use crate::workload::{Method, Optimizer, Workload};

/// The roomiest choice, what it lacks, and what would make the workload fit.
pub(crate) fn explain_misfit(question: &Question<'_>, priced: &[Priced<'_>]) -> PlanError {
    let workload = question.workload;
    let roomiest = priced
        .iter()
        .filter_map(|priced| priced.found.smallest.map(|least| (priced, least)))
        .min_by(|a, b| {
            let over = |(priced, least): &(&Priced<'_>, Candidate)| {
                least.memory.total_bytes() / priced.costing.accelerator.memory_gib
            };
            over(a).total_cmp(&over(b))
        });
    let Some((
        Priced {
            choice,
            count,
            costing,
            ..
        },
        least,
    )) = roomiest
    else {
        return PlanError::NoLegalLayout {
            model: workload.model.name.clone(),
            count: priced.first().map_or(0, |priced| priced.count),
            global_batch: workload.global_batch_sequences,
        };
    };
    let needed_gib = least.memory.total_bytes() / GIB;
    let capacity_gib = costing.accelerator.memory_gib * 0.94;
    let hints = remedies(question, costing, *count);
    PlanError::FitsNowhere {
        model: workload.model.name.clone(),
        count: *count,
        accelerator: choice.accelerator.id.clone(),
        needed_gib,
        capacity_gib,
        which: if question.layout.is_some() {
            "the layout given"
        } else {
            "the leanest layout"
        },
        hints,
    }
}

/// What would make the workload fit, each tried: a layout of its own, more accelerators, less state, adapters, shorter
/// sequences.
fn remedies(question: &Question<'_>, costing: &Costing<'_>, count: u32) -> Vec<String> {
    let space = Space {
        common_only: true,
        ..Space::default()
    };
    let accelerator = costing.accelerator;
    let best = |workload: &Workload, count: u32| {
        let mut costing = Costing::with_constants(workload, accelerator, costing.constants)?;
        costing.network_bytes_per_s = accelerator.network.gbit_per_s * 0.125e9;
        let found = search(&costing, count, space, 1);
        found.best.first().map(|candidate| candidate.layout.brief())
    };
    let workload = costing.workload;
    let mut hints = Vec::new();
    if question.layout.is_some()
        && let Some(brief) = best(workload, count)
    {
        hints.push(format!("another layout: `{brief}` fits"));
    }
    let node = accelerator.node_size.max(1);
    let more = std::iter::successors(Some(count), |count| count.checked_mul(2))
        .skip(1)
        .take_while(|count| *count <= 65_536)
        .filter(|count| *count <= node || count % node == 0);
    for more in more {
        // Data-parallel ranks divide the batch, so it grows with them where it must.
        let grown = Workload {
            global_batch_sequences: workload.global_batch_sequences.max(u64::from(more)),
            ..workload.clone()
        };
        if best(&grown, more).is_some() {
            hints.push(format!(
                "more accelerators: {more} x {} hold it",
                accelerator.id
            ));
            break;
        }
    }
    if workload.method == Method::Full {
        for optimizer in [Optimizer::Adam8bit, Optimizer::Adafactor] {
            let leaner = Workload {
                optimizer,
                ..workload.clone()
            };
            if optimizer.moment_bytes() < workload.optimizer.moment_bytes()
                && best(&leaner, count).is_some()
            {
                hints.push(format!(
                    "an optimizer with less state: `--optimizer {}`",
                    optimizer.name()
                ));
                break;
            }
        }
    }
    for (method, name) in [(Method::Lora, "lora"), (Method::Qlora, "qlora")] {
        let adapted = Workload {
            method,
            ..workload.clone()
        };
        let less = match workload.method {
            Method::Full => true,
            Method::Lora => method == Method::Qlora,
            Method::Qlora | Method::Forward => false,
        };
        // Frozen layers and adapters are not combined.
        let whole = workload.model.trained_parameters() == workload.model.own_parameters();
        if less && whole && best(&adapted, count).is_some() {
            hints.push(format!("adapters on frozen weights: `--method {name}`"));
            break;
        }
    }
    let mut length = workload.sequence_tokens / 2;
    while length >= 512 && workload.model.sample.positions.is_none() {
        let shorter = Workload {
            sequence_tokens: length,
            ..workload.clone()
        };
        if best(&shorter, count).is_some() {
            hints.push(format!("shorter sequences: `--sequence {length}`"));
            break;
        }
        length /= 2;
    }
    if hints.is_empty() {
        hints.push("no single change makes it fit; try an accelerator with more memory".to_owned());
    }
    hints
}
