//! What a run emits by the hours in which it runs.

use outlay_catalog::{CarbonHours, country_intensity};
use outlay_units::{Estimate, day_of_date, timestamp};

use super::Refusal;
use crate::train::{Answer, EmissionsByHour};

/// Reads `2026-12-01` or `2026-12-01T20:00`, in UTC; seconds since 1970.
pub(super) fn start_s(text: Option<&str>) -> Result<Option<i64>, Refusal> {
    let Some(text) = text else { return Ok(None) };
    let wrong = || {
        Refusal::new(
            "start",
            format!(
                "--start is `{text}`; allowed: an instant in UTC, such as 2026-12-01 or 2026-12-01T20:00"
            ),
        )
    };
    let said = text.trim().trim_end_matches('Z');
    let (date, clock) = said.split_once(['T', ' ']).unwrap_or((said, "00:00"));
    let day = day_of_date(date)
        .filter(|day| outlay_units::date_of_day(*day) == date)
        .ok_or_else(wrong)?;
    let parts: Option<Vec<i64>> = clock.split(':').map(|part| part.parse().ok()).collect();
    let of_day = match parts.as_deref() {
        Some([hour @ 0..24, minute @ 0..60]) => hour * 3600 + minute * 60,
        Some([hour @ 0..24, minute @ 0..60, second @ 0..60]) => hour * 3600 + minute * 60 + second,
        _ => return Err(wrong()),
    };
    Ok(Some(day * 86_400 + of_day))
}

/// How far runs of a length lie from what the mean hours of their months say, as a standard deviation: weather, outages and
/// imports. The median over 158 grids, each month's and hour's mean of other years against the hours of a year (Electricity
/// Maps, 2021 to 2024): 17% for 8 hours, 15% for a day, 12% for a week, 9% for a month.
fn weather(duration_s: f64) -> f64 {
    const KNOWN: [(f64, f64); 4] = [(8.0, 0.17), (24.0, 0.15), (168.0, 0.12), (720.0, 0.09)];
    let hours = (duration_s / 3600.0).max(1e-3);
    let (first, last) = (KNOWN[0], KNOWN[KNOWN.len() - 1]);
    if hours <= first.0 {
        return first.1;
    }
    // Straight between them in the logarithm of the length.
    KNOWN
        .windows(2)
        .find(|pair| hours <= pair[1].0)
        .map_or(last.1, |pair| {
            let share = (hours / pair[0].0).ln() / (pair[1].0 / pair[0].0).ln();
            pair[0].1 + share * (pair[1].1 - pair[0].1)
        })
}

/// The grid that a person names, or has hours of.
pub(super) struct Grid {
    g_co2e_per_kwh: f64,
    basis: String,
    hours: Option<CarbonHours>,
}

/// Reads a country's name; its hours are the person's own where these are there.
pub(super) fn grid(name: Option<&str>, own: Option<CarbonHours>) -> Result<Option<Grid>, Refusal> {
    if let Some(hours) = own {
        if name.is_some() {
            return Err(Refusal::new(
                "grid",
                "both --grid and --carbon are given; allowed: one of them",
            ));
        }
        return Ok(Some(Grid {
            g_co2e_per_kwh: hours.mean(),
            basis: hours.basis.clone(),
            hours: Some(hours),
        }));
    }
    let Some(name) = name else { return Ok(None) };
    let found = country_intensity(name).ok_or_else(|| {
        Refusal::new(
            "grid",
            format!("--grid `{name}` is not known; allowed: a country's code such as DEU, or its English name"),
        )
    })?;
    Ok(Some(Grid {
        g_co2e_per_kwh: found.g_co2e_per_kwh,
        basis: found.basis,
        hours: CarbonHours::of_region("", name),
    }))
}

/// Puts emissions on the grid that was named, and tells those of a start.
pub(super) fn by_hour(answer: &mut Answer, start_s: Option<i64>, named: Option<&Grid>) {
    if let Some(grid) = named {
        let kg = grid.g_co2e_per_kwh / 1000.0;
        for plan in std::iter::once(&mut answer.best)
            .chain(&mut answer.others)
            .chain(&mut answer.pareto)
        {
            plan.co2e_kg = plan.energy_kwh.scaled(kg);
            plan.carbon_basis.clone_from(&grid.basis);
        }
    }
    let Some(start_s) = start_s else { return };
    let best = &answer.best;
    let hours = match named {
        Some(grid) => grid.hours.clone(),
        None => CarbonHours::of_region(&best.provider, &best.region),
    };
    let Some(hours) = hours else {
        answer.notes.push(
            "The hours of this grid are not known, so that the start makes no difference to what is emitted (--grid names another, --carbon reads hours from a file)."
                .to_owned(),
        );
        return;
    };
    let duration_s = best.wall_clock_s.p50;
    let kg = |grams: f64| best.energy_kwh.scaled(grams / 1000.0);
    let energy = kg(hours.over(start_s, duration_s));
    // A normal deviate of 1.2816 has a tenth above it.
    let spread = 1.2816 * weather(duration_s);
    // A grid without emissions leaves nothing to be unsure of.
    let relative = |edge: f64| {
        if energy.p50 > 0.0 {
            edge / energy.p50 - 1.0
        } else {
            0.0
        }
    };
    let wider = |edge: f64| relative(edge).hypot(spread);
    let co2e_kg = Estimate {
        p10: energy.p50 * (1.0 - wider(energy.p10)).max(0.0),
        p50: energy.p50,
        p90: energy.p50 * (1.0 + wider(energy.p90)),
    };
    let (best_start_s, grams) = hours.best_start(start_s, duration_s);
    answer.emissions = Some(EmissionsByHour {
        start: timestamp(start_s * 1_000_000),
        co2e_kg,
        best_start: timestamp(best_start_s * 1_000_000),
        best_co2e_kg: kg(grams).p50,
        basis: hours.basis,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_are_read_or_refused() {
        for (text, expected) in [
            ("1970-01-02", 86_400),
            ("1970-01-01T20:30", 20 * 3600 + 30 * 60),
            ("1970-01-01 00:00:05Z", 5),
        ] {
            assert_eq!(start_s(Some(text)).unwrap(), Some(expected), "{text}");
        }
        for text in [
            "",
            "tomorrow",
            "2026-02-30",
            "2026-12-01T24:00",
            "2026-12-01T1",
            "2026-12-01T-1:00",
        ] {
            let refusal = start_s(Some(text)).unwrap_err();
            assert!(refusal.to_string().contains("2026-12-01T20:00"), "{text}");
        }
        assert_eq!(start_s(None).unwrap(), None);
    }

    #[test]
    fn longer_runs_see_more_weather_and_are_surer() {
        assert_eq!(weather(3600.0), 0.17);
        assert!((weather(24.0 * 3600.0) - 0.15).abs() < 1e-12);
        assert_eq!(weather(1e9), 0.09);
        let mut last = 1.0;
        for hours in [1.0, 12.0, 30.0, 100.0, 400.0, 1000.0] {
            let here = weather(hours * 3600.0);
            assert!(here <= last);
            last = here;
        }
    }
}
