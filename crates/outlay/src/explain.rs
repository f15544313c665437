//! Shows how a step's time and memory come about, so that an expert can check every part.

use outlay_model::BlockKind;
use outlay_plan::{Calibration, Constant, Costing, Layout, StepTime};
use outlay_units::{bytes, count, duration, percent, significant};

use crate::printer::{Align, Printer};

const RIGHT: Align = Align::Right;

/// Time by phase, communication, memory and operators of one step.
pub fn step(costing: &Costing, layout: &Layout, printer: &mut Printer) {
    let slice = costing.slice(layout);
    printer.line("");
    printer.heading("Time of one step, by phase");
    phases(&costing.step(layout, &slice), printer);
    let collectives = costing.collectives(layout, &slice);
    if !collectives.is_empty() {
        printer.line("");
        printer.heading("Communication of one accelerator in one step");
        let rows: Vec<Vec<String>> = collectives
            .iter()
            .map(|collective| {
                vec![
                    collective.name.clone(),
                    collective.ranks.to_string(),
                    bytes(collective.sent_bytes),
                    format!("{}/s", bytes(collective.bytes_per_s)),
                    duration(collective.exposed_s),
                ]
            })
            .collect();
        printer.table(
            &[
                ("collective", Align::Left),
                ("ranks", RIGHT),
                ("sent", RIGHT),
                ("rate", RIGHT),
                ("waited", RIGHT),
            ],
            &rows,
        );
    }
    printer.line("");
    printer.heading("Memory of the fullest accelerator");
    let memory = costing.memory(layout, &slice);
    let rows: Vec<Vec<String>> = [
        ("weights", memory.weights_bytes),
        ("gradients", memory.gradients_bytes),
        ("optimizer state", memory.optimizer_bytes),
        ("kept activations", memory.activations_bytes),
        ("logits and gather buffers", memory.buffers_bytes),
        ("allocator's waste", memory.waste_bytes),
        ("context and libraries", memory.reserved_bytes),
        ("peak", memory.total_bytes()),
    ]
    .iter()
    .map(|(name, size)| vec![(*name).to_owned(), bytes(*size)])
    .collect();
    printer.table(&[("part", Align::Left), ("size", RIGHT)], &rows);
    printer.line("");
    printer.heading("Operators, one micro-batch on one accelerator");
    let model = &costing.workload.model;
    let rows: Vec<Vec<String>> = costing
        .operator_costs(layout)
        .into_iter()
        .filter(|(block, _, _)| model.blocks[*block].kind != BlockKind::Tower)
        .map(|(block, operator, cost)| {
            let block = &model.blocks[block];
            vec![
                format!("{}x", block.repeat),
                block.operators[operator].name.clone(),
                count(cost.forward_flops),
                bytes(cost.forward_bytes),
                duration(cost.forward_s),
                duration(cost.backward_s),
                bytes(cost.kept_bytes),
            ]
        })
        .collect();
    printer.table(
        &[
            ("", RIGHT),
            ("operator", Align::Left),
            ("FLOPs", RIGHT),
            ("traffic", RIGHT),
            ("forward", RIGHT),
            ("backward", RIGHT),
            ("kept", RIGHT),
        ],
        &rows,
    );
}

fn phases(time: &StepTime, printer: &mut Printer) {
    let total = time.total_s();
    let rows: Vec<Vec<String>> = [
        ("forward", time.forward_s),
        ("backward", time.backward_s),
        ("recomputation", time.recompute_s),
        ("tensor-parallel collectives, exposed", time.tensor_s),
        ("expert all-to-all, exposed", time.expert_s),
        ("context-parallel exchange, exposed", time.context_s),
        ("data-parallel collectives, exposed", time.data_s),
        ("pipeline bubble and hand-over", time.bubble_s),
        ("optimizer", time.optimizer_s),
        ("fixed and stragglers", time.overhead_s),
        ("step", total),
    ]
    .iter()
    .filter(|(_, seconds)| *seconds > 0.0)
    .map(|(name, seconds)| {
        vec![
            (*name).to_owned(),
            duration(*seconds),
            percent(seconds / total),
        ]
    })
    .collect();
    printer.table(
        &[("phase", Align::Left), ("time", RIGHT), ("share", RIGHT)],
        &rows,
    );
}

/// What happens around the steps: reading data, writing checkpoints, and the share of time lost to both and to restarts.
pub fn whole_run(costing: &Costing, layout: &Layout, steps: f64, printer: &mut Printer) {
    let slice = costing.slice(layout);
    let step_s = costing.step(layout, &slice).total_s();
    let workload = costing.workload;
    let tokens_per_step = workload.global_batch_sequences as f64 * workload.sequence_tokens as f64;
    let checkpoint = costing.checkpoint_bytes();
    let goodput = costing.constants.get(Constant::Goodput);
    printer.line("");
    printer.heading("Around the steps");
    printer.sentence(&format!(
        "Data loading: {} of token ids a step, {}/s over all nodes; loaders read ahead, so the step does not wait for it.",
        bytes(tokens_per_step * 4.0),
        bytes(tokens_per_step * 4.0 / step_s),
    ));
    printer.sentence(&format!(
        "Checkpoints: {} each (weights, master weights and moments).",
        bytes(checkpoint),
    ));
    printer.sentence(&format!(
        "Goodput: {} of the wall-clock time is spent in steps; the rest goes to checkpoints, restarts, evaluation and failures ({} for {} steps).",
        percent(goodput),
        duration(steps * step_s * (1.0 / goodput - 1.0)),
        significant(steps),
    ));
}

/// The constants that priced the step, and what they were fitted on.
pub fn constants(costing: &Costing, calibration: &Calibration, printer: &mut Printer) {
    printer.line("");
    printer.heading("Constants");
    let priors =
        Calibration::default().resolve(&costing.accelerator.generation, costing.workload.framework);
    let rows: Vec<Vec<String>> = outlay_plan::DESCRIPTIONS
        .iter()
        .enumerate()
        .map(|(index, description)| {
            vec![
                description.name.to_owned(),
                significant(costing.constants.values()[index]),
                significant(priors.values()[index]),
                description.meaning.to_owned(),
            ]
        })
        .collect();
    printer.table(
        &[
            ("constant", Align::Left),
            ("fitted", RIGHT),
            ("prior", RIGHT),
            ("meaning", Align::Left),
        ],
        &rows,
    );
    for line in &calibration.fitted_on {
        printer.line(&format!("  fitted on {line}"));
    }
    for source in &costing.accelerator.sources {
        printer.sentence(&format!("  {}: {source}", costing.accelerator.id));
    }
}
