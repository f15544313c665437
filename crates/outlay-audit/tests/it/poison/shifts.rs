//! Changes of composition: those that were planted, and none where there is none.

use outlay_audit::{ShiftSettings, Shifts, number_range};

use crate::draw::Draw;

const SOURCES: [&str; 6] = [
    "a.example",
    "b.example",
    "c.example",
    "d.example",
    "e.example",
    "f.example",
];

/// A source by weights.
fn source(draw: &mut Draw, weights: &[usize]) -> &'static str {
    let mut at = draw.below(weights.iter().sum());
    for (weight, source) in weights.iter().zip(SOURCES) {
        if at < *weight {
            return source;
        }
        at -= weight;
    }
    SOURCES[0]
}

const USUAL: [usize; 5] = [40, 30, 20, 8, 2];

#[test]
fn planted_changes_are_found_within_a_block() {
    for seed in 0..20 {
        let mut draw = Draw(seed);
        let mut shifts = Shifts::new(ShiftSettings::default());
        for record in 0..12_000 {
            let weights: &[usize] = match record {
                0..4_000 => &USUAL,
                // A source that was not there before.
                4_000..9_000 => &[40, 30, 20, 8, 2, 15],
                _ => &[20, 10, 60, 8, 2, 15],
            };
            shifts.add(record, source(&mut draw, weights));
        }
        let changes = shifts.changes();
        assert_eq!(changes.len(), 2, "{changes:#?}");
        for (change, place) in changes.iter().zip([4_000, 9_000]) {
            // To a block, and the one beside it where chance has made that look the better by little.
            assert!(
                (change.position - place).abs() <= 2 * change.block_width,
                "{change:#?}"
            );
        }
        let first = &changes[0];
        assert_eq!(first.categories[0].category, "f.example");
        assert!(first.categories[0].is_new);
        assert!((first.categories[0].share_after - 15.0 / 115.0).abs() < 0.02);
        assert!(
            (first.share_changed - 15.0 / 115.0).abs() < 0.04,
            "{first:#?}"
        );
    }
}

#[test]
fn streams_without_a_change_have_none() {
    let mut n_false = 0;
    for seed in 0..200 {
        let mut draw = Draw(seed + 1000);
        let mut shifts = Shifts::new(ShiftSettings {
            n_blocks_max: 64,
            ..ShiftSettings::default()
        });
        // Of half of the streams the records come in runs of one source, as those of a crawl do.
        let n_of_run = if seed % 2 == 0 { 1 } else { 5 };
        let mut record = 0;
        while record < 2_000 {
            let source = source(&mut draw, &USUAL);
            for _ in 0..n_of_run {
                shifts.add(record, source);
                record += 1;
            }
        }
        n_false += usize::from(!shifts.changes().is_empty());
    }
    println!("{n_false} of 200 streams without a change were told to have one");
    assert!(n_false <= 2, "{n_false}");
}

#[test]
fn a_slow_change_is_not_sudden() {
    let mut draw = Draw(3);
    let mut shifts = Shifts::new(ShiftSettings::default());
    for record in 0..20_000 {
        let is_new = draw.below(20_000) < record as usize;
        shifts.add(record, if is_new { "new" } else { "old" });
    }
    assert_eq!(shifts.changes(), []);
}

#[test]
fn dates_and_lengths_are_looked_at_as_well() {
    let mut draw = Draw(8);
    let mut shifts = Shifts::new(ShiftSettings::default());
    // Days from before 1970 on, with several records each, in no order; the texts become longer by half on the day 300.
    let mut days: Vec<i64> = (0..4_000).map(|_| draw.below(700) as i64 - 200).collect();
    days.reverse();
    for day in days {
        let n_bytes = (200 + draw.below(800)) as f64 * if day >= 300 { 1.5 } else { 1.0 };
        shifts.add(day, &number_range(n_bytes));
    }
    let changes = shifts.changes();
    assert_eq!(changes.len(), 1, "{changes:#?}");
    assert!(
        (changes[0].position - 300).abs() <= 2 * changes[0].block_width,
        "{changes:#?}"
    );
}

#[test]
fn many_categories_take_bounded_room() {
    let mut draw = Draw(8);
    let mut shifts = Shifts::new(ShiftSettings {
        n_categories_max: 100,
        ..ShiftSettings::default()
    });
    for record in 0..20_000_i64 {
        if record >= 10_000 && record % 5 == 0 {
            shifts.add(record, "flood.example");
        } else {
            shifts.add(record, &format!("{}.example", draw.below(5_000)));
        }
    }
    let changes = shifts.changes();
    assert_eq!(changes.len(), 1, "{changes:#?}");
    let flood = changes[0]
        .categories
        .iter()
        .find(|one| one.category == "flood.example")
        .unwrap();
    assert!(
        flood.is_new && (flood.share_after - 0.2).abs() < 0.01,
        "{flood:?}"
    );
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(32))]
    /// Parts that are merged are the whole, whatever the parts.
    #[test]
    fn parts_merge_to_the_whole(records in proptest::collection::vec((-500..500_i64, 0..5_usize), 0..300), at in 0..300_usize) {
        let settings = ShiftSettings { n_blocks_max: 40, chance_max: 0.05, ..ShiftSettings::default() };
        let counted = |records: &[(i64, usize)]| {
            let mut shifts = Shifts::new(settings);
            for (position, source) in records {
                shifts.add(*position, SOURCES[*source]);
            }
            shifts
        };
        let (first, second) = records.split_at(at.min(records.len()));
        let mut merged = counted(first);
        merged.merge(counted(second));
        let whole = counted(&records).changes();
        proptest::prop_assert_eq!(merged.changes(), whole.clone());
        for change in whole {
            proptest::prop_assert!((0.0..=1.0 + 1e-9).contains(&change.jensen_shannon_bits));
            proptest::prop_assert!((0.0..=1.0 + 1e-9).contains(&change.share_changed));
        }
    }
    #[test]
    fn extreme_places_are_no_fault(places in proptest::collection::vec(proptest::num::i64::ANY, 0..50)) {
        let mut shifts = Shifts::new(ShiftSettings { n_blocks_max: 4, ..ShiftSettings::default() });
        for place in places {
            shifts.add(place, &number_range(place as f64));
        }
        let _ = shifts.changes();
    }
}
