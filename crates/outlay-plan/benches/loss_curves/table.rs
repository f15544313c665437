//! Tables of how intervals held, with factors taken from other families than the one that is judged.

use std::collections::BTreeMap;

use crate::judge::{Factors, Row, SHARES, factors, quantile};

/// Factors for each family, from the others.
pub fn left_out(rows: &[Row]) -> BTreeMap<&str, Factors> {
    let mut out = BTreeMap::new();
    for row in rows {
        out.entry(row.family.as_str()).or_insert_with(|| {
            let others: Vec<&Row> = rows
                .iter()
                .filter(|other| other.family != row.family)
                .collect();
            factors(&others)
        });
    }
    out
}

/// Coverage, runs below p10, median error and width, and the peer's error, in percent.
fn cell(rows: &[&Row], of: &impl Fn(&Row) -> Factors) -> String {
    let n = rows.len() as f64;
    let (mut inside, mut below) = (0.0, 0.0);
    let (mut errors, mut widths, mut peers) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        let (low, high) = row.ends(&of(row));
        let (truth, p50) = (row.value(row.truth), row.value(row.p50));
        inside += f64::from(u8::from(truth >= low && truth <= high));
        below += f64::from(u8::from(truth < low));
        errors.push((p50 / truth - 1.0).abs());
        peers.push((row.value(row.peer) / truth - 1.0).abs());
        widths.push((high - low) / p50);
    }
    let middle = |values: &mut Vec<f64>| 100.0 * quantile(values, 0.5);
    format!(
        "{:4.0} {:4.0} {:7.2} {:7.2} {:7.2}",
        100.0 * inside / n,
        100.0 * below / n,
        middle(&mut errors),
        middle(&mut widths),
        middle(&mut peers),
    )
}

#[expect(clippy::print_stdout, reason = "a bench reports to its terminal")]
pub fn print(title: &str, rows: &[Row], families: bool, of: &impl Fn(&Row) -> Factors) {
    println!(
        "\n{title}: % inside p10..p90, % below p10, median % error, median % width, median % error of the peer"
    );
    print!("{:18}   n", "");
    for share in SHARES {
        print!(" | {:>33}", format!("at {:.0}% of the run", 100.0 * share));
    }
    println!();
    let line = |name: &str, rows: Vec<&Row>| {
        print!("{name:18} {:3}", rows.len() / SHARES.len());
        for share in 0..SHARES.len() {
            let at: Vec<&Row> = rows
                .iter()
                .filter(|row| row.share == share)
                .copied()
                .collect();
            print!(" | {}", cell(&at, of));
        }
        println!();
    };
    let mut by: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        by.entry(&row.family).or_default().push(row);
    }
    if families {
        for (family, rows) in by {
            line(family, rows);
        }
    }
    line("all", rows.iter().collect());
}
