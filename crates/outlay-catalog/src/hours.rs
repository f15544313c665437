//! Carbon intensity of electricity by month and hour of the day.

use std::collections::HashMap;
use std::sync::LazyLock;

use outlay_units::{date_of_day, day_of_date};
use serde_json::Value;

use crate::grid::{carbon_intensity, country_of};

/// Carbon intensity of a grid for each month and hour of the day (UTC).
#[derive(Clone, Debug, PartialEq)]
pub struct CarbonHours {
    /// In grams of CO2 equivalent for each kWh, by month (January first) and hour.
    g_co2e_per_kwh: [[f64; 24]; 12],
    /// Where it comes from.
    pub basis: String,
}

/// Emissions of solar power over its life, in g/kWh (World Nuclear Association 2011, as CodeCarbon 3.3.2 has it).
const SOLAR_G_PER_KWH: f64 = 48.0;

/// Grams for each kWh of a pound for each MWh.
const POUND_PER_MWH: f64 = 0.453_592_37;

/// A country's place and how much of its electricity is solar.
struct Sun {
    latitude_deg: f64,
    longitude_deg: f64,
    solar_share: f64,
}

static SUN: LazyLock<HashMap<String, Sun>> = LazyLock::new(|| {
    csv::Reader::from_reader(include_str!("../data/sun.csv").as_bytes())
        .into_records()
        .filter_map(Result::ok)
        .filter_map(|row| {
            let number = |column: usize| row.get(column)?.parse().ok();
            Some((
                row.get(0)?.to_owned(),
                Sun {
                    latitude_deg: number(1)?,
                    longitude_deg: number(2)?,
                    solar_share: number(3)?,
                },
            ))
        })
        .collect()
});

/// Sine of the sun's height at the middle of an hour (UTC) and of a month; 0 at night.
///
/// Declination and hour angle as in any textbook (Duffie and Beckman, Solar Engineering of Thermal Processes, equations
/// 1.6.1a and 1.6.5), without the equation of time, which moves noon by a quarter of an hour.
fn height(latitude_deg: f64, longitude_deg: f64, month: usize, hour: usize) -> f64 {
    let day_of_year = 30.4 * month as f64 + 15.0;
    let declination = 23.45 * (2.0 * std::f64::consts::PI * (284.0 + day_of_year) / 365.0).sin();
    let hour_angle = 15.0 * (hour as f64 + 0.5 - 12.0) + longitude_deg;
    let (latitude, declination) = (latitude_deg.to_radians(), declination.to_radians());
    let height = latitude.sin() * declination.sin()
        + latitude.cos() * declination.cos() * hour_angle.to_radians().cos();
    height.max(0.0)
}

impl CarbonHours {
    /// Hours of a provider's region, by the sun: solar power follows the sun's height over the country, and everything else
    /// gives way to it in equal shares.
    ///
    /// With a share `s` of solar power over the year, `s h` of an hour whose sun is `h` times the year's mean, and an
    /// intensity `I` of all else, an hour emits `48 s h + (1 - s h) I`; `I` is what makes the year's mean the grid's own.
    /// Nothing is fitted. Against the measured hours of 35 countries (Electricity Maps, 2021 to 2024) an hour of the mean
    /// day is off by 4.2% in the mean, where a grid without hours is off by 7.7%; the eight hours that it calls best emit
    /// 9.0% less than the day's mean (it says 9.9%, the best would be 10.5%). In 24 countries it is closer than no hours; in
    /// six (Switzerland, France, Ireland, Finland, New Zealand, Iceland), where wind, water, imports and demand decide, those
    /// eight hours emit up to 6.6% more than the mean.
    ///
    /// `None` where the country, or its solar share, is not known.
    pub fn of_region(provider: &str, region: &str) -> Option<Self> {
        let country = country_of(provider, region)?;
        let sun = SUN.get(&country)?;
        let mean = carbon_intensity(provider, region);
        let share = sun.solar_share;
        let others = ((mean.g_co2e_per_kwh - share * SOLAR_G_PER_KWH) / (1.0 - share)).max(0.0);
        let mut heights = [[0.0; 24]; 12];
        for (month, hours) in heights.iter_mut().enumerate() {
            for (hour, here) in hours.iter_mut().enumerate() {
                *here = height(sun.latitude_deg, sun.longitude_deg, month, hour);
            }
        }
        let mean_height = heights.iter().flatten().sum::<f64>() / (12.0 * 24.0);
        let g_co2e_per_kwh = heights.map(|hours| {
            hours.map(|here| {
                let solar = (share * here / mean_height).min(1.0);
                solar * SOLAR_G_PER_KWH + (1.0 - solar) * others
            })
        });
        Some(Self {
            g_co2e_per_kwh,
            basis: format!(
                "hours by the sun's height and {:.0}% of solar power; year's mean: {}",
                share * 100.0,
                mean.basis
            ),
        })
    }

    /// Reads hours that a person has: CSV as Electricity Maps, WattTime or Britain's carbon intensity service write it, or
    /// their JSON; the mean of each month and hour counts, and months that are missing have the hours of the
    /// others.
    ///
    /// Life-cycle figures are preferred to direct ones, actual ones to forecasts. Pounds for each MWh (WattTime) are turned
    /// into grams for each kWh. Times are in UTC.
    ///
    /// # Errors
    /// One sentence that names the file, the line and what is allowed.
    pub fn read(name: &str, text: &str) -> Result<Self, String> {
        let points = if text.trim_start().starts_with(['{', '[']) {
            points_of_json(name, text)?
        } else {
            points_of_csv(name, text)?
        };
        let mut sums = [[(0.0, 0u32); 24]; 12];
        for (month, hour, value) in &points {
            let slot = &mut sums[*month][*hour];
            slot.0 += value;
            slot.1 += 1;
        }
        let mean = |sum: f64, n: u32| (n > 0).then(|| sum / f64::from(n));
        let mut by_hour = [0.0; 24];
        for (hour, out) in by_hour.iter_mut().enumerate() {
            let (sum, n) = sums
                .iter()
                .filter_map(|hours| mean(hours[hour].0, hours[hour].1))
                .fold((0.0, 0), |(sum, n), value| (sum + value, n + 1));
            *out = mean(sum, n).ok_or_else(|| {
                format!(
                    "{name}: no carbon intensity for {hour:02}:00 UTC; allowed: at least one day with all 24 hours"
                )
            })?;
        }
        let mut g_co2e_per_kwh = [[0.0; 24]; 12];
        for (hours, sums) in g_co2e_per_kwh.iter_mut().zip(&sums) {
            for hour in 0..24 {
                hours[hour] = mean(sums[hour].0, sums[hour].1).unwrap_or(by_hour[hour]);
            }
        }
        let months = sums
            .iter()
            .filter(|hours| hours.iter().any(|(_, n)| *n > 0))
            .count();
        Ok(Self {
            g_co2e_per_kwh,
            basis: format!(
                "{name}: {} values of {months} {}",
                points.len(),
                if months == 1 { "month" } else { "months" }
            ),
        })
    }

    /// Mean over the year, in g/kWh.
    pub fn mean(&self) -> f64 {
        self.g_co2e_per_kwh.iter().flatten().sum::<f64>() / (12.0 * 24.0)
    }

    /// Mean over a run that starts at an instant (seconds since 1970, UTC) and draws the same power throughout, in g/kWh.
    ///
    /// ```
    /// let hours = outlay_catalog::CarbonHours::of_region("", "DEU").unwrap();
    /// let start = 20_620 * 86_400; // 2026-06-16
    /// let (noon, midnight) = (hours.over(start + 9 * 3600, 4.0 * 3600.0), hours.over(start + 22 * 3600, 4.0 * 3600.0));
    /// assert!(noon < 0.75 * midnight);
    /// // Over a year nothing is left of the hours.
    /// assert!((hours.over(start, 365.0 * 86_400.0) / hours.mean() - 1.0).abs() < 0.01);
    /// ```
    pub fn over(&self, start_s: i64, duration_s: f64) -> f64 {
        // Whole years make no difference between hours.
        let year_s = 365.0 * 86_400.0;
        let years = (duration_s / year_s).floor();
        let rest_s = duration_s - years * year_s;
        let mut sum = years * year_s * self.mean();
        let mut at = start_s;
        let mut left = rest_s;
        let mut day = i64::MIN;
        let mut month = 0;
        while left > 0.0 {
            let today = at.div_euclid(86_400);
            if today != day {
                day = today;
                month = month_of(&date_of_day(day)).unwrap_or(0);
            }
            let of_day = at.rem_euclid(86_400);
            let part = ((3600 - of_day % 3600) as f64).min(left);
            sum += part * self.g_co2e_per_kwh[month][(of_day / 3600) as usize];
            left -= part;
            at += 3600 - of_day % 3600;
        }
        if duration_s > 0.0 {
            sum / duration_s
        } else {
            self.mean()
        }
    }

    /// The start within a day of `from_s`, on the hour, from which a run emits least, and its mean in g/kWh.
    pub fn best_start(&self, from_s: i64, duration_s: f64) -> (i64, f64) {
        let first = from_s.div_euclid(3600) * 3600 + if from_s % 3600 == 0 { 0 } else { 3600 };
        (0..24)
            .map(|hour| {
                let start = first + hour * 3600;
                (start, self.over(start, duration_s))
            })
            .min_by(|a, b| a.1.total_cmp(&b.1))
            .unwrap_or((from_s, self.over(from_s, duration_s)))
    }
}

/// Month of a date, from 0.
fn month_of(date: &str) -> Option<usize> {
    date.get(5..7)?
        .parse::<usize>()
        .ok()
        .filter(|month| (1..=12).contains(month))
        .map(|month| month - 1)
}

/// Month (from 0) and hour of an instant in UTC: `2024-01-31 23:00:00`, `2024-01-31T23:30Z`, `2024-01-31T23:00:00+00:00`.
fn month_and_hour(text: &str) -> Option<(usize, usize)> {
    let text = text.trim();
    let (date, rest) = (text.get(..10)?, text.get(10..)?);
    day_of_date(date)?;
    let clock = rest.strip_prefix(['T', ' ', 't'])?;
    let hour: usize = clock.get(..2)?.parse().ok().filter(|hour| *hour < 24)?;
    let zone = clock.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':' || c == '.');
    if !matches!(zone, "" | "Z" | "z" | "+00:00" | "+0000" | "+00" | " UTC") {
        return None;
    }
    Some((month_of(date)?, hour))
}

/// A value that a grid can have, in g/kWh.
fn plausible(value: f64) -> bool {
    (0.0..=3000.0).contains(&value)
}

type Point = (usize, usize, f64);

fn points_of_csv(name: &str, text: &str) -> Result<Vec<Point>, String> {
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let headers: Vec<String> = reader
        .headers()
        .map_err(|error| format!("{name}: {error}"))?
        .iter()
        .map(str::to_lowercase)
        .collect();
    let column = |wanted: &dyn Fn(&str) -> bool| headers.iter().position(|name| wanted(name));
    let time = column(&|name| name == "datetime (utc)")
        .or_else(|| column(&|name| name == "point_time"))
        .or_else(|| column(&|name| name == "datetime" || name == "timestamp"));
    let intensity =
        |name: &str| name.contains("carbon intensity") || name.starts_with("carbon_intensity");
    let (value, factor) = [
        column(&|name| intensity(name) && (name.contains("life cycle") || name.contains("lca"))),
        column(&|name| intensity(name) && name.contains("actual")),
        column(&|name| name == "carbon_intensity" || name == "carbon_intensity_avg"),
        column(&|name| intensity(name) && !name.contains("forecast")),
        column(&intensity),
    ]
    .into_iter()
    .flatten()
    .next()
    .map(|column| (Some(column), 1.0))
    .unwrap_or_else(|| {
        // Marginal rates are given in pounds for each MWh; other values say nothing of their unit.
        let pounds = column(&|name| name.starts_with("moer")).or_else(|| {
            column(&|name| name == "point_time").and_then(|_| column(&|name| name == "value"))
        });
        (pounds, POUND_PER_MWH)
    });
    let (Some(time), Some(value)) = (time, value) else {
        return Err(format!(
            "{name}: no column of times and carbon intensities; allowed: CSV of Electricity Maps (`Datetime (UTC)`, `Carbon intensity ...`), WattTime (`point_time`, `value`) or Britain's service"
        ));
    };
    let mut out = Vec::new();
    for (index, row) in reader.records().enumerate() {
        let line = index + 2;
        let row = row.map_err(|error| format!("{name}: {error}"))?;
        let (when, what) = (row.get(time).unwrap_or(""), row.get(value).unwrap_or(""));
        // Hours that were not measured are left empty.
        if what.is_empty() || what.eq_ignore_ascii_case("null") || what.eq_ignore_ascii_case("nan")
        {
            continue;
        }
        out.push(point(
            name,
            &format!("line {line}"),
            when,
            what.parse().ok(),
            factor,
        )?);
    }
    Ok(out)
}

fn points_of_json(name: &str, text: &str) -> Result<Vec<Point>, String> {
    let value: Value =
        serde_json::from_str(text).map_err(|error| format!("{name} is no JSON: {error}"))?;
    let rows = value
        .get("data")
        .or_else(|| value.get("history"))
        .unwrap_or(&value)
        .as_array()
        .ok_or_else(|| {
            format!("{name}: no list `data` or `history`; allowed: JSON of Electricity Maps, WattTime or Britain's carbon intensity service")
        })?;
    let units = value
        .pointer("/meta/units")
        .and_then(Value::as_str)
        .unwrap_or("lbs_co2_per_mwh");
    let mut out = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let place = format!("entry {}", index + 1);
        let (when, value, factor) = if let Some(intensity) = row.get("intensity") {
            let known = |field: &str| intensity.get(field).and_then(Value::as_f64);
            (
                row.get("from"),
                known("actual").or_else(|| known("forecast")),
                1.0,
            )
        } else {
            let factor = match units {
                "lbs_co2_per_mwh" => POUND_PER_MWH,
                "g_co2_per_kwh" | "kg_co2_per_mwh" => 1.0,
                other => {
                    return Err(format!(
                        "{name}: `units` is `{other}`; allowed: lbs_co2_per_mwh, kg_co2_per_mwh, g_co2_per_kwh"
                    ));
                }
            };
            (
                row.get("point_time").or_else(|| row.get("datetime")),
                row.get("value")
                    .or_else(|| row.get("carbonIntensity"))
                    .and_then(Value::as_f64),
                if row.get("carbonIntensity").is_some() {
                    1.0
                } else {
                    factor
                },
            )
        };
        let when = when.and_then(Value::as_str).unwrap_or("");
        let empty = |field: &str| row.get(field).is_some_and(Value::is_null);
        if value.is_none()
            && (empty("value") || empty("carbonIntensity") || row.get("intensity").is_some())
        {
            // An hour that was not measured.
            continue;
        }
        out.push(point(name, &place, when, value, factor)?);
    }
    Ok(out)
}

/// One value, checked.
fn point(
    name: &str,
    place: &str,
    when: &str,
    value: Option<f64>,
    factor: f64,
) -> Result<Point, String> {
    let (month, hour) = month_and_hour(when).ok_or_else(|| {
        format!("{name}: {place} has the time `{when}`; allowed: UTC, such as 2024-01-31T23:00Z")
    })?;
    let value = value
        .map(|value| value * factor)
        .filter(|value| plausible(*value))
        .ok_or_else(|| format!("{name}: {place} has no carbon intensity from 0 to 3000 g/kWh"))?;
    Ok((month, hour, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(row: impl Fn(usize) -> String) -> String {
        (0..24).map(row).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn files_of_three_services_are_read() {
        let electricity_maps = format!(
            "Datetime (UTC),Country,Zone name,Zone id,Carbon intensity gCO₂eq/kWh (direct),Carbon intensity gCO₂eq/kWh (Life cycle)\n{}",
            day(|hour| format!(
                "2024-07-01 {hour:02}:00:00,Germany,Germany,DE,100,{}",
                200 + hour
            ))
        );
        let old = format!(
            "Datetime (UTC),Zone Id,Carbon Intensity gCO₂eq/kWh (direct),Carbon Intensity gCO₂eq/kWh (LCA)\n{}",
            day(|hour| format!("2024-07-01 {hour:02}:00:00,DE,100,{}", 200 + hour))
        );
        let britain = format!(
            "Datetime (UTC),Actual Carbon Intensity (gCO2/kWh),Forecast Carbon Intensity (gCO2/kWh),Index\n{}",
            day(|hour| format!("2024-07-01T{hour:02}:30Z,{},900,low", 200 + hour))
        );
        let pounds = |hour: usize| (200 + hour) as f64 / POUND_PER_MWH;
        let watttime = format!(
            "point_time,value\n{}",
            day(|hour| format!("2024-07-01T{hour:02}:00:00+00:00,{}", pounds(hour)))
        );
        let json = serde_json::json!({
            "data": (0..24).map(|hour| serde_json::json!({
                "point_time": format!("2024-07-01T{hour:02}:00:00+00:00"), "value": pounds(hour),
            })).collect::<Vec<_>>(),
            "meta": {"units": "lbs_co2_per_mwh", "signal_type": "co2_moer"},
        })
        .to_string();
        let british = serde_json::json!({
            "data": (0..24).map(|hour| serde_json::json!({
                "from": format!("2024-07-01T{hour:02}:30Z"),
                "intensity": {"forecast": 200 + hour, "actual": null, "index": "low"},
            })).collect::<Vec<_>>(),
        })
        .to_string();
        let history = serde_json::json!({
            "zone": "DE",
            "history": (0..25).map(|hour| serde_json::json!({
                "datetime": format!("2024-07-01T{:02}:00:00.000Z", hour % 24),
                "carbonIntensity": if hour < 24 { Some(200 + hour) } else { None },
            })).collect::<Vec<_>>(),
        })
        .to_string();
        for text in [
            electricity_maps,
            old,
            britain,
            watttime,
            json,
            british,
            history,
        ] {
            let hours = CarbonHours::read("hours", &text).unwrap();
            assert!((hours.g_co2e_per_kwh[6][5] - 205.0).abs() < 1e-9, "{text}");
            // January has July's hours, as there is nothing else.
            assert_eq!(hours.g_co2e_per_kwh[0], hours.g_co2e_per_kwh[6]);
            assert!((hours.mean() - 211.5).abs() < 1e-9);
        }
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said() {
        let hour = |value: &str| format!("point_time,value\n2024-07-01T00:00:00Z,{value}\n");
        for (text, expected) in [
            (String::new(), "no column of times"),
            ("a,b\n1,2\n".to_owned(), "no column of times"),
            (hour("-5"), "line 2 has no carbon intensity"),
            (hour("many"), "line 2 has no carbon intensity"),
            (hour("500"), "no carbon intensity for 01:00 UTC"),
            (
                "point_time,value\n2024-07-01T00:00:00+02:00,5\n".to_owned(),
                "allowed: UTC",
            ),
            (
                "point_time,value\n2024-13-01T00:00:00Z,5\n".to_owned(),
                "allowed: UTC",
            ),
            ("{\"data\": 3}".to_owned(), "no list `data`"),
            (
                "datetime,value\n2024-07-01 00:00:00,400\n".to_owned(),
                "no column of times",
            ),
            ("[".to_owned(), "is no JSON"),
            (
                r#"{"data": [], "meta": {"units": "stone"}}"#.to_owned(),
                "no carbon intensity for 00:00 UTC",
            ),
        ] {
            let error = CarbonHours::read("hours.csv", &text).unwrap_err();
            assert!(
                error.contains(expected) && error.contains("hours.csv"),
                "{error}"
            );
        }
    }

    #[test]
    fn the_sun_is_highest_at_noon_and_in_summer() {
        let at = |region: &str| CarbonHours::of_region("", region).unwrap().g_co2e_per_kwh;
        let least = |hours: &[f64; 24]| {
            (0..24)
                .min_by(|&a, &b| hours[a].total_cmp(&hours[b]))
                .unwrap()
        };
        // Noon by the sun at 10, 148 and -91 degrees east, in UTC.
        assert_eq!(least(&at("DEU")[5]), 11);
        assert_eq!(least(&at("AUS")[11]), 2);
        assert_eq!(least(&at("USA")[5]), 18);
        let (summer, winter) = (at("DEU")[5], at("DEU")[11]);
        assert!(summer.iter().sum::<f64>() < winter.iter().sum::<f64>());
        // The year's mean is the grid's own.
        let hours = CarbonHours::of_region("", "ESP").unwrap();
        let own = crate::country_intensity("ESP").unwrap().g_co2e_per_kwh;
        assert!((hours.mean() / own - 1.0).abs() < 1e-3, "{}", hours.mean());
        assert!(CarbonHours::of_region("", "atlantis").is_none());
    }

    #[test]
    fn runs_see_the_hours_that_they_last() {
        let hours = CarbonHours::of_region("", "DEU").unwrap();
        let july = day_of_date("2026-07-01").unwrap() * 86_400;
        let (start, best) = hours.best_start(july, 4.0 * 3600.0);
        assert_eq!(start, july + 9 * 3600);
        assert!(best < hours.over(july, 4.0 * 3600.0));
        // Half an hour in each of two hours.
        let halves = hours.over(july + 1800, 3600.0);
        let mean = (hours.g_co2e_per_kwh[6][0] + hours.g_co2e_per_kwh[6][1]) / 2.0;
        assert!((halves - mean).abs() < 1e-9);
        // A start between hours is moved on to the next.
        assert_eq!(hours.best_start(july + 9 * 3600 + 1, 60.0).0 % 3600, 0);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,400}") {
            let _ = CarbonHours::read("x", &text);
        }

        #[test]
        fn damaged_files_are_read_or_refused(at in 0usize..900, byte in proptest::prelude::any::<u8>()) {
            let mut bytes = format!(
                "point_time,value\n{}",
                day(|hour| format!("2024-07-01T{hour:02}:00:00+00:00,{}", 400 + hour))
            )
            .into_bytes();
            let n = bytes.len();
            bytes[at % n] = byte;
            let _ = CarbonHours::read("x", &String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn a_run_lies_between_the_best_and_the_worst_hour(start in 0i64..2_000_000_000, hours in 0.1f64..20_000.0) {
            let grid = CarbonHours::of_region("", "AUS").unwrap();
            let all = || grid.g_co2e_per_kwh.iter().flatten().copied();
            let mean = grid.over(start, hours * 3600.0);
            let (least, most) = (all().fold(f64::INFINITY, f64::min), all().fold(0.0, f64::max));
            proptest::prop_assert!(mean >= least - 1e-6 && mean <= most + 1e-6);
        }
    }
}
