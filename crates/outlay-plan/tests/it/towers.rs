//! Laws of vision towers that run.

use outlay_catalog::find_accelerator;
use outlay_model::{BlockKind, find};
use outlay_plan::{Calibration, Costing, Layout, Memory, Recompute, Slice, StepTime, Workload};

use crate::workload;

/// Gemma 3 12B with so many images in every sequence.
fn seeing(images: u64, frozen: bool) -> Workload {
    let mut workload = workload("gemma-3-12b", 4096, 64, 1e9);
    workload.model.run_towers(images, frozen).unwrap();
    workload
}

fn priced(workload: &Workload, layout: &Layout) -> (Slice, StepTime, Memory) {
    let accelerator = find_accelerator("H100-SXM").unwrap();
    let costing = Costing::new(workload, accelerator, &Calibration::built_in()).unwrap();
    let slice = costing.slice(layout);
    let time = costing.step(layout, &slice);
    (slice, time, costing.memory(layout, &slice))
}

#[test]
fn no_image_costs_what_text_costs() {
    let text = workload("gemma-3-12b", 4096, 64, 1e9);
    let layout = Layout::data_parallel(8, 1);
    let (_, time, memory) = priced(&text, &layout);
    let (_, same_time, same_memory) = priced(&seeing(0, false), &layout);
    assert_eq!(time, same_time);
    assert_eq!(memory, same_memory);
}

#[test]
fn a_trained_tower_costs_more_than_a_frozen_one_and_that_more_than_none() {
    for recompute in [Recompute::None, Recompute::Selective, Recompute::Full] {
        for pipeline in [1, 2] {
            let layout = Layout {
                recompute,
                pipeline,
                ..Layout::data_parallel(4, 1)
            };
            let cost = |workload: &Workload| {
                let (_, time, memory) = priced(workload, &layout);
                (time.total_s(), memory.total_bytes())
            };
            let none = cost(&seeing(0, true));
            let frozen = cost(&seeing(4, true));
            let trained = cost(&seeing(4, false));
            assert!(
                none.0 < frozen.0 && frozen.0 < trained.0,
                "{recompute:?} {none:?} {frozen:?} {trained:?}"
            );
            // With a pipeline the last stage may be the fullest, where no tower stands.
            assert!(none.1 <= trained.1, "{recompute:?} {none:?} {trained:?}");
            if pipeline == 1 {
                assert!(
                    none.1 < frozen.1 && frozen.1 < trained.1,
                    "{recompute:?} {none:?} {frozen:?} {trained:?}"
                );
            }
        }
    }
}

#[test]
fn twice_the_images_are_twice_the_work_of_the_tower() {
    let layout = Layout::data_parallel(8, 1);
    let accelerator = find_accelerator("H100-SXM").unwrap();
    let flops = |images: u64| -> f64 {
        let workload = seeing(images, false);
        let costing = Costing::new(&workload, accelerator, &Calibration::built_in()).unwrap();
        costing
            .operator_costs(&layout)
            .iter()
            .filter(|(block, _, _)| workload.model.blocks[*block].kind == BlockKind::TrainedTower)
            .map(|(block, _, cost)| {
                workload.model.blocks[*block].repeat as f64 * cost.forward_flops
            })
            .sum()
    };
    assert!(flops(1) > 1e12);
    assert!((flops(2) / flops(1) - 2.0).abs() < 1e-12);
    let (one, _, _) = priced(&seeing(1, false), &layout);
    let (two, _, _) = priced(&seeing(2, false), &layout);
    assert_eq!(2.0 * one.tower.kept_bytes, two.tower.kept_bytes);
    let ratio = two.tower.forward_s / one.tower.forward_s;
    assert!((1.8..2.0).contains(&ratio), "{ratio}");
    assert!(two.forward_s == one.forward_s);
}

#[test]
fn full_recomputation_keeps_less_of_a_tower_and_runs_it_again() {
    let workload = seeing(8, false);
    let of = |recompute| {
        priced(
            &workload,
            &Layout {
                recompute,
                ..Layout::data_parallel(8, 1)
            },
        )
    };
    let (slice, kept, much) = of(Recompute::None);
    let (_, again, little) = of(Recompute::Full);
    assert!(again.total_s() > kept.total_s());
    assert!(little.activations_bytes < 0.5 * much.activations_bytes);
    let micro_batches = 64.0 / 8.0;
    let repeated = micro_batches * (slice.forward_s + slice.tower.forward_s);
    assert!((again.recompute_s / repeated - 1.0).abs() < 1e-9);
}

#[test]
fn a_teacher_sees_with_a_tower_of_its_own() {
    let teacher = find("gemma-3-27b").unwrap().model().unwrap();
    let mut workload = seeing(1, false);
    let before = workload.model.parameters();
    let mut blind = workload.model.clone();
    blind.add_forward(&teacher, "teacher", true);
    let mut seeing = teacher.clone();
    seeing.run_towers(1, false).unwrap();
    workload.model.add_forward(&seeing, "teacher", true);
    let tower = 416_866_032 + 6_194_304;
    assert_eq!(workload.model.parameters(), before + teacher.parameters());
    assert_eq!(blind.parameters() + tower, workload.model.parameters());
}
