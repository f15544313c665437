//! Balance and association: beside scipy and scikit-learn, and what always holds.

#![allow(
    clippy::print_stdout,
    reason = "a test says what it skips and measures"
)]

use std::process::Command;

use outlay_audit::{
    Balance, BalanceSettings, Column, CrossTable, associations, balance, chi_square_p, proxies,
};
use proptest::prelude::*;

use crate::Draw;

fn column(name: &str, values: impl IntoIterator<Item = usize>) -> Column {
    Column::new(
        name,
        values.into_iter().map(|value| Some(format!("v{value}"))),
    )
}

/// Two columns with the counts of a table.
fn columns(counts: &[&[u64]]) -> (Column, Column) {
    let cells = || {
        counts.iter().enumerate().flat_map(|(row, counts)| {
            counts
                .iter()
                .enumerate()
                .flat_map(move |(column, n)| (0..*n).map(move |_| (row, column)))
        })
    };
    (
        column("row", cells().map(|cell| cell.0)),
        column("column", cells().map(|cell| cell.1)),
    )
}

/// Bickel, Hammel and O'Connell 1975, *Sex Bias in Graduate Admissions*, table 1: 44% of 8442 men and 35% of 4321 women were
/// admitted, `X² = 110.8` on one degree of freedom.
#[test]
fn berkeleys_admissions_are_as_published() {
    let counts: [&[u64]; 2] = [&[3738, 4704], &[1494, 2827]];
    let test = CrossTable::of_counts(&counts).chi_square();
    assert!(
        (test.statistic - 110.8).abs() < 1.0 && test.p < 1e-20,
        "{test:?}"
    );
    let (sex, admitted) = columns(&counts);
    let found = associations(&admitted, &[sex], BalanceSettings::default());
    let largest = found[0].largest.as_ref().unwrap();
    assert_eq!((largest.highest_rate * 100.0).round(), 44.0);
    assert_eq!((largest.lowest_rate * 100.0).round(), 35.0);
    assert!(
        largest.interval.low > 0.07 && largest.interval.high < 0.12,
        "{largest:?}"
    );
}

const TABLES: [&[&[u64]]; 5] = [
    &[&[762, 327, 468], &[484, 239, 477]],
    &[&[3, 1], &[1, 3]],
    &[&[10, 10, 20], &[20, 20, 20]],
    &[&[120, 3, 0, 8], &[1, 90, 14, 2], &[0, 7, 60, 5]],
    &[&[100, 100], &[100, 101]],
];

#[test]
fn figures_are_those_of_scipy() {
    let Some(python) = std::env::var_os("OUTLAY_PEERS") else {
        println!("skipped: OUTLAY_PEERS names no Python with scipy and scikit-learn");
        return;
    };
    let script = "
import json, sys
import numpy as np
from scipy.stats import chi2, chi2_contingency, entropy, false_discovery_control
from scipy.stats.contingency import association
from sklearn.metrics import normalized_mutual_info_score
out = []
for table in json.loads(sys.argv[1]):
    table = np.array(table)
    test = chi2_contingency(table, correction=False)
    pairs = [(i, j) for i, j in np.ndindex(table.shape) for _ in range(table[i, j])]
    v = association(table, method='cramer')
    out.append([test.statistic, test.pvalue, test.dof, v, normalized_mutual_info_score(*zip(*pairs)), float(np.exp(entropy(table.sum(0))))])
tails = [chi2.sf(x, d) for d in (1, 2, 3, 7, 40, 1000) for x in (0.1 * d, d, 1.5 * d, 3 * d)]
print(json.dumps([out, tails, false_discovery_control([t[1] for t in out]).tolist()]))
";
    let output = Command::new(python)
        .args(["-c", script, &serde_json::to_string(&TABLES).unwrap()])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let (figures, tails, adjusted): (Vec<[f64; 6]>, Vec<f64>, Vec<f64>) =
        serde_json::from_slice(&output.stdout).unwrap();
    let near = |one: f64, other: f64| {
        assert!(
            (one - other).abs() <= 1e-9 * other.abs().max(1e-3),
            "{one} {other}"
        );
    };
    let mut chances = Vec::new();
    for (counts, [statistic, p, degrees, v, information, effective]) in TABLES.iter().zip(figures) {
        let table = CrossTable::of_counts(counts);
        let test = table.chi_square();
        near(test.statistic, statistic);
        near(test.p, p);
        near(test.degrees, degrees);
        near(table.mutual_information(), information);
        let (_, labels) = columns(counts);
        near(balance(&labels).effective_classes, effective);
        // Bergsma's correction of theirs.
        let n = counts.iter().copied().flatten().sum::<u64>() as f64;
        let (rows, columns) = (counts.len() as f64, counts[0].len() as f64);
        let contingency = v * v * (rows.min(columns) - 1.0);
        let corrected = (contingency - (rows - 1.0) * (columns - 1.0) / (n - 1.0)).max(0.0);
        let least = (rows - (rows - 1.0).powi(2) / (n - 1.0))
            .min(columns - (columns - 1.0).powi(2) / (n - 1.0))
            - 1.0;
        near(table.cramers_v(), (corrected / least).sqrt());
        chances.push(test.p);
    }
    for (one, other) in outlay_audit::benjamini_hochberg(&chances)
        .iter()
        .zip(adjusted)
    {
        near(*one, other);
    }
    let places = [1.0, 2.0, 3.0, 7.0, 40.0, 1000.0]
        .into_iter()
        .flat_map(|d| [0.1, 1.0, 1.5, 3.0].map(|x| (x * d, d)));
    for ((x, degrees), tail) in places.zip(tails) {
        let p = chi_square_p(x, degrees);
        assert!(
            (p - tail).abs() <= 1e-10 * tail + 1e-290,
            "{x} {degrees}: {p} {tail}"
        );
    }
}

/// Of two columns that have nothing to do with each other, the interval of V ends at zero about as often as it says.
#[test]
fn an_interval_of_v_holds_what_is_true() {
    let mut draw = Draw(3);
    let (mut n_held, mut n_held_of_some) = (0, 0);
    for seed in 0..60 {
        let n = 400;
        let ones: Vec<usize> = (0..n).map(|_| draw.below(3)).collect();
        let others: Vec<usize> = (0..n).map(|_| draw.below(4)).collect();
        let mut counts = [[0; 4]; 3];
        for (one, other) in ones.iter().zip(&others) {
            counts[*one][*other] += 1;
        }
        let table = CrossTable::of_counts(&counts.each_ref().map(|row| &row[..]));
        n_held += usize::from(table.cramers_v_interval(seed).unwrap().low <= 0.0);
        // Where one row of two is a copy, a table of three by three has a V of a half.
        let mut counts = [[0; 3]; 3];
        for one in &ones {
            let other = if draw.below(2) == 0 {
                *one
            } else {
                draw.below(3)
            };
            counts[*one][other] += 1;
        }
        let table = CrossTable::of_counts(&counts.each_ref().map(|row| &row[..]));
        let interval = table.cramers_v_interval(seed).unwrap();
        n_held_of_some += usize::from(interval.low <= 0.5 && 0.5 <= interval.high);
    }
    // Of 60 that hold with a chance of 0.95, fewer than 52 do in two of a thousand runs.
    assert!(
        n_held >= 52 && n_held_of_some >= 52,
        "{n_held} {n_held_of_some}"
    );
}

#[test]
fn small_groups_are_named_and_not_compared() {
    let rows = || 0..1000_usize;
    let group = column(
        "group",
        rows().map(|row| if row < 10 { 2 } else { row % 2 }),
    );
    let label = column(
        "label",
        rows().map(|row| {
            if row < 10 {
                1
            } else {
                usize::from(row % 5 == 0)
            }
        }),
    );
    let found = &associations(&label, &[group], BalanceSettings::default())[0];
    assert_eq!((found.n_groups, found.n_small_groups), (3, 1));
    let largest = found.largest.as_ref().unwrap();
    assert!(
        largest.highest != "v2" && largest.lowest != "v2" && largest.difference < 0.05,
        "{largest:?}"
    );
    assert!(largest.interval.low < 0.0);
    assert!(
        found
            .groups
            .iter()
            .any(|group| group.is_small && group.rates.iter().any(|rate| rate.rate == 1.0))
    );
}

#[test]
fn what_gives_a_column_away_is_told_from_what_does_not() {
    let mut draw = Draw(9);
    let n = 4000;
    let rows = || 0..n;
    // One row of twenty is of the class that is sought.
    let told: Vec<bool> = rows().map(|_| draw.below(20) == 0).collect();
    let class = Column::new("class", told.iter().map(|told| Some(told.to_string())));
    let others = [
        Column::new("noise", rows().map(|_| Some(draw.below(7).to_string()))),
        Column::new("key", rows().map(|row| Some(format!("id-{row}")))),
        Column::new("constant", rows().map(|_| Some("x"))),
        Column::new(
            "number",
            told.iter()
                .map(|told| Some((draw.below(1000) + 1000 * usize::from(*told)).to_string())),
        ),
        Column::new(
            "missing",
            told.iter().map(|told| (!told).then_some("there")),
        ),
        Column::new(
            "half",
            told.iter().map(|told| {
                Some(if *told && draw.below(2) == 0 {
                    "yes"
                } else {
                    "no"
                })
            }),
        ),
        Column::new("empty", rows().map(|_| None::<&str>)),
        Column::new("short", [Some("x")]),
    ];
    let found = proxies(&class, &others, BalanceSettings::default());
    let of = |name: &str| found.iter().find(|proxy| proxy.column == name).unwrap();
    assert!(of("missing").balanced_accuracy > 0.9999 && of("missing").cramers_v > 0.999);
    assert!(of("number").balanced_accuracy > 0.97 && of("number").is_numeric);
    assert!((of("half").balanced_accuracy - 0.75).abs() < 0.06 && of("half").p_adjusted < 1e-9);
    for name in ["noise", "key", "constant", "empty", "short"] {
        assert!(
            of(name).skill.abs() < 0.1 && of(name).p_adjusted > 0.01,
            "{:?}",
            of(name)
        );
    }
}

#[test]
fn nothing_is_no_trouble() {
    let none = Column::new("none", std::iter::empty::<Option<&str>>());
    let missing = Column::new("missing", [None::<&str>, None]);
    let one = Column::new("one", [Some("a"), Some("a")]);
    for told in [&none, &missing, &one] {
        let Balance { n, n_missing, .. } = balance(told);
        assert_eq!(n + n_missing, told.n_rows() as u64);
        let others = [none.clone(), missing.clone(), one.clone()];
        for found in associations(told, &others, BalanceSettings::default()) {
            assert!(found.cramers_v == 0.0 && found.chi_square.p == 1.0 && found.largest.is_none());
            assert!(found.n + found.n_missing <= 2 && found.cramers_v_interval.is_none());
        }
        assert!(
            proxies(told, &others, BalanceSettings::default())
                .iter()
                .all(|proxy| proxy.skill == 0.0)
        );
    }
    assert_eq!(CrossTable::of_counts(&[]).cramers_v_interval(0), None);
    assert_eq!(
        CrossTable::of_counts(&[&[0, 0], &[0, 0]]).mutual_information(),
        0.0
    );
}

/// The table of rows, each counted so many times.
fn table(rows: &[(usize, usize)], times: u64) -> CrossTable {
    let mut counts = [[0; 4]; 4];
    for (row, column) in rows {
        counts[*row][*column] += times;
    }
    CrossTable::of_counts(&counts.each_ref().map(|row| &row[..]))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Which column is which, how often all rows are there, and the order of the rows do not count.
    #[test]
    fn association_has_no_direction(seed in any::<u64>(), n in 2_usize..300) {
        let mut draw = Draw(seed);
        let rows: Vec<(usize, usize)> = (0..n).map(|_| (draw.below(4), draw.below(3))).collect();
        let turned: Vec<(usize, usize)> = rows.iter().map(|row| (row.1, row.0)).collect();
        let (one, other) = (table(&rows, 1), table(&turned, 1));
        prop_assert!((one.cramers_v() - other.cramers_v()).abs() < 1e-9);
        prop_assert!((one.mutual_information() - other.mutual_information()).abs() < 1e-9);
        prop_assert!((0.0..=1.0).contains(&one.cramers_v()) && (0.0..=1.0).contains(&one.mutual_information()));
        let (test, thrice) = (one.chi_square(), table(&rows, 3).chi_square());
        prop_assert!((3.0 * test.statistic - thrice.statistic).abs() < 1e-6 && thrice.p <= test.p + 1e-12);
    }

    #[test]
    fn wilson_and_newcombe_hold_their_rates(k in 0_u64..500, more in 0_u64..500, other_k in 0_u64..50, other_more in 1_u64..50) {
        let (n, other_n) = (k + more + 1, other_k + other_more);
        let interval = outlay_audit::wilson(k, n);
        let rate = k as f64 / n as f64;
        prop_assert!(0.0 <= interval.low && interval.low <= rate && rate <= interval.high && interval.high <= 1.0);
        let difference = rate - other_k as f64 / other_n as f64;
        let one = outlay_audit::newcombe((k, n), (other_k, other_n));
        let turned = outlay_audit::newcombe((other_k, other_n), (k, n));
        prop_assert!(one.low <= difference && difference <= one.high);
        prop_assert!((one.low + turned.high).abs() < 1e-12 && (one.high + turned.low).abs() < 1e-12);
    }
}
