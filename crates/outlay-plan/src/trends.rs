//! How prices fall: rates of change fitted to dated prices, and prices projected from them.
//!
//! Prices of one seller for one good are a series. Sellers differ by more than years do, so that the rate is taken within
//! series: `ln price = a(series) + rate * years`, by least squares over all series of a good. Goods with few series are
//! drawn towards the rate of all goods. What a rate leaves open is taken from the series too: the changes that they made
//! over a like span, beyond the rate (prices of large clouds stand for years, and then fall by a third at once).

use std::collections::BTreeMap;

use outlay_catalog::{ApiPrice, Offer, Pricing};
use outlay_units::day_of_date;
use outlay_units::{Estimate, Spread};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::random::scattered;

/// Days of a year.
const YEAR_DAYS: f64 = 365.25;

/// Series of its own at which a good counts as much as all goods together.
const SHRINKAGE_SERIES: f64 = 4.0;

/// Draws of the bootstrap over series.
const DRAWS: usize = 400;

/// Least span of a series, in years: shorter ones say nothing of a yearly rate.
const LEAST_SPAN_YEARS: f64 = 0.4;

/// A price on a day.
#[derive(Clone, Debug, PartialEq)]
struct Point {
    years: f64,
    /// Mean over what the seller asked for it that day (sizes of machines), as a logarithm.
    ln_price: f64,
    /// The least of it, in US dollars.
    least_usd: f64,
}

/// Prices of one seller for one good.
#[derive(Clone, Debug)]
struct Series {
    good: String,
    seller: String,
    points: Vec<Point>,
}

/// How the price of a good changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PriceTrend {
    /// Accelerator, or family of models.
    pub good: String,
    /// Change over a year, as a share of the price: -0.13 is a fall of 13%.
    pub yearly_change: Estimate,
    /// Sellers whose prices were seen on several days.
    pub series: u32,
    /// Prices seen.
    pub points: u32,
    /// First day of a price, `YYYY-MM-DD`.
    pub from: String,
    /// Last day of a price.
    pub to: String,
    /// Cheapest seller's last price: US dollars for an hour of one accelerator, or for a million tokens (three of a prompt
    /// to one of an answer).
    pub last_usd: f64,
    /// Who asks that.
    pub last_seller: String,
    /// Whether the rate is that of all goods, as the good has no series of its own.
    pub is_of_all: bool,
}

/// How what a unit costs at the cheapest seller changes, whatever the hardware.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FrontierTrend {
    /// Change over a year, as a share.
    pub yearly_change: Estimate,
    /// Quarters and the least price in force in each: `(day, US dollars)`.
    pub points: Vec<(String, f64)>,
}

/// Trends of a set of dated prices.
#[derive(Clone, Debug)]
pub struct Trends {
    series: Vec<Series>,
    /// Rate of all goods in each draw, and without drawing.
    all: Vec<f64>,
    all_rate: f64,
    /// Standard deviation of the rates of single series.
    series_differ: f64,
    /// `(span in years, change beyond the rate)` of all pairs of a series.
    left_over: Vec<(f64, f64)>,
}

/// Within-series rate: numerator and denominator of least squares.
fn sums(series: &Series) -> (f64, f64) {
    let n = series.points.len() as f64;
    let mean = |of: fn(&Point) -> f64| series.points.iter().map(of).sum::<f64>() / n;
    let (t, y) = (mean(|point| point.years), mean(|point| point.ln_price));
    series.points.iter().fold((0.0, 0.0), |(up, down), point| {
        let dt = point.years - t;
        (up + dt * (point.ln_price - y), down + dt * dt)
    })
}

fn rate_of<'a>(series: impl Iterator<Item = &'a Series>) -> Option<f64> {
    let (up, down) = series
        .map(sums)
        .fold((0.0, 0.0), |(up, down), (a, b)| (up + a, down + b));
    (down > 0.0).then(|| up / down)
}

/// A standard normal value for a seed, always the same: twelve uniform ones added.
fn normal(seed: u64) -> f64 {
    (0..12)
        .map(|step| scattered((seed << 8) + step + 98))
        .sum::<f64>()
        - 6.0
}

/// Rates of series drawn with replacement.
fn drawn(series: &[&Series], salt: u64) -> Vec<f64> {
    let sums: Vec<(f64, f64)> = series.iter().map(|series| sums(series)).collect();
    (0..DRAWS)
        .map(|draw| {
            let (up, down) = (0..sums.len()).fold((0.0, 0.0), |(up, down), place| {
                let seed = salt ^ ((draw as u64) << 24) ^ place as u64;
                let pick = (scattered(seed) * sums.len() as f64) as usize;
                (up + sums[pick].0, down + sums[pick].1)
            });
            if down > 0.0 { up / down } else { 0.0 }
        })
        .collect()
}

/// The value at a share of sorted values.
fn at(sorted: &[f64], share: f64) -> f64 {
    match sorted.len() {
        0 => 0.0,
        n => sorted[(share * (n - 1) as f64).round() as usize],
    }
}

fn share_of(rate: f64) -> f64 {
    rate.exp() - 1.0
}

impl Trends {
    /// Trends of prices by good, seller, day and US dollars. Prices without a day are left out.
    fn new(prices: impl Iterator<Item = (String, String, String, f64)>) -> Self {
        let mut by_key: BTreeMap<(String, String), BTreeMap<i64, Vec<f64>>> = BTreeMap::new();
        for (good, seller, day, usd) in prices {
            if let Some(day) = day_of_date(&day)
                && usd > 0.0
            {
                by_key
                    .entry((good, seller))
                    .or_default()
                    .entry(day)
                    .or_default()
                    .push(usd.ln());
            }
        }
        let series: Vec<Series> = by_key
            .into_iter()
            .map(|((good, seller), days)| Series {
                good,
                seller,
                points: days
                    .into_iter()
                    .map(|(day, prices)| Point {
                        years: day as f64 / YEAR_DAYS,
                        ln_price: prices.iter().sum::<f64>() / prices.len() as f64,
                        least_usd: prices.iter().copied().fold(f64::INFINITY, f64::min).exp(),
                    })
                    .collect(),
            })
            .collect();
        let telling: Vec<&Series> = series.iter().filter(|series| tells(series)).collect();
        let all_rate = rate_of(telling.iter().copied()).unwrap_or(0.0);
        let all = drawn(&telling, 0);
        let mut single: Vec<f64> = telling
            .iter()
            .filter_map(|series| rate_of(std::iter::once(*series)))
            .collect();
        single.sort_by(f64::total_cmp);
        // From the middle half, so that single jumps do not decide.
        let series_differ = (at(&single, 0.75) - at(&single, 0.25)) / 1.349;
        let mut left_over = Vec::new();
        for series in &telling {
            for (index, first) in series.points.iter().enumerate() {
                for second in &series.points[index + 1..] {
                    let span = second.years - first.years;
                    left_over.push((span, second.ln_price - first.ln_price - all_rate * span));
                }
            }
        }
        Self {
            series,
            all,
            all_rate,
            series_differ: series_differ.max(0.02),
            left_over,
        }
    }

    /// Trends of accelerators, of the offers that are sold in one way.
    pub fn of_offers<'a>(offers: impl Iterator<Item = &'a Offer>, pricing: Pricing) -> Self {
        Self::new(
            offers
                .filter(|offer| offer.pricing == pricing)
                .map(|offer| {
                    (
                        offer.accelerator.clone(),
                        offer.provider.clone(),
                        offer.as_of.clone(),
                        offer.usd_per_accelerator_hour(),
                    )
                }),
        )
    }

    /// Trends of models sold by the token; `family` names the model that an API sells, prices of others are left out.
    pub fn of_apis<'a>(
        prices: impl Iterator<Item = &'a ApiPrice>,
        family: impl Fn(&str) -> Option<String>,
    ) -> Self {
        Self::new(prices.filter_map(|price| {
            let blended = 0.75 * price.usd_per_input_token + 0.25 * price.usd_per_output_token;
            Some((
                family(&price.name)?,
                price.provider.clone(),
                price.as_of.clone(),
                blended * 1e6,
            ))
        }))
    }

    /// Series that span long enough to tell a rate.
    pub fn n_series(&self) -> usize {
        self.series.iter().filter(|series| tells(series)).count()
    }

    /// Goods, in order.
    pub fn goods(&self) -> Vec<&str> {
        let mut goods: Vec<&str> = self
            .series
            .iter()
            .map(|series| series.good.as_str())
            .collect();
        goods.dedup();
        goods
    }

    /// The rate of all goods together: what a year changes, as a share.
    pub fn of_all(&self) -> Estimate {
        let mut draws = self.all.clone();
        draws.sort_by(f64::total_cmp);
        estimate(&draws, self.all_rate)
    }

    /// Draws of a good's rate, drawn towards that of all goods, and the rate itself; with the series that it has.
    fn rates(&self, good: &str) -> (Vec<f64>, f64, usize) {
        let own: Vec<&Series> = self
            .series
            .iter()
            .filter(|series| series.good == good && tells(series))
            .collect();
        let n = own.len() as f64;
        let weight = n / (n + SHRINKAGE_SERIES);
        let rate = rate_of(own.iter().copied()).map_or(self.all_rate, |rate| {
            weight * rate + (1.0 - weight) * self.all_rate
        });
        let mut draws: Vec<f64> = if own.is_empty() {
            self.all.clone()
        } else {
            // Few series drawn again and again say nothing of how series differ; all goods' do.
            let differ = self.series_differ / n.sqrt();
            drawn(&own, 1 << 60)
                .iter()
                .zip(&self.all)
                .enumerate()
                .map(|(draw, (own_rate, all))| {
                    let noise = if own.len() < 6 {
                        differ * normal(draw as u64)
                    } else {
                        0.0
                    };
                    weight * (own_rate + noise) + (1.0 - weight) * all
                })
                .collect()
        };
        draws.sort_by(f64::total_cmp);
        (draws, rate, own.len())
    }

    /// How the price of a good changes; `None` where no price of it is known.
    pub fn of(&self, good: &str) -> Option<PriceTrend> {
        let all: Vec<&Series> = self
            .series
            .iter()
            .filter(|series| series.good == good)
            .collect();
        let years = || {
            all.iter()
                .flat_map(|series| series.points.iter().map(|point| point.years))
        };
        let (first, last) = (
            years().fold(f64::INFINITY, f64::min),
            years().fold(f64::NEG_INFINITY, f64::max),
        );
        // Of sellers seen within a year of the last price, the cheapest.
        let cheapest = all
            .iter()
            .filter_map(|series| {
                let point = series.points.last()?;
                (point.years > last - 1.0).then_some((point.least_usd, &series.seller))
            })
            .min_by(|a, b| a.0.total_cmp(&b.0))?;
        let (draws, rate, n) = self.rates(good);
        let day = |years: f64| outlay_units::date_of_day((years * YEAR_DAYS).round() as i64);
        Some(PriceTrend {
            good: good.to_owned(),
            yearly_change: estimate(&draws, rate),
            series: n as u32,
            points: all.iter().map(|series| series.points.len() as u32).sum(),
            from: day(first),
            to: day(last),
            last_usd: cheapest.0,
            last_seller: cheapest.1.clone(),
            is_of_all: n == 0,
        })
    }

    /// What a price is multiplied by after so many years: its median, and the range that holds four in five.
    ///
    /// The range joins what the rate leaves open and the changes that single sellers made beyond it over spans from half to
    /// twice as long.
    pub fn factor(&self, good: &str, years: f64) -> Estimate {
        let (draws, rate, _) = self.rates(good);
        let years = years.max(0.0);
        // Further than the longest series reach, their longest spans stand for what is not known.
        let longest = self
            .left_over
            .iter()
            .map(|(span, _)| *span)
            .fold(0.0, f64::max);
        let reach = years.min(longest);
        let mut beyond: Vec<f64> = self
            .left_over
            .iter()
            .filter(|(span, _)| (0.5 * reach..=2.0 * years).contains(span))
            .map(|(span, change)| change * (years / span).sqrt())
            .collect();
        beyond.sort_by(f64::total_cmp);
        let (low, high) = (
            (at(&draws, 0.1) - rate) * years,
            (at(&draws, 0.9) - rate) * years,
        );
        Estimate {
            p10: (rate * years - low.hypot(at(&beyond, 0.1).min(0.0))).exp(),
            p50: (rate * years).exp(),
            p90: (rate * years + high.hypot(at(&beyond, 0.9).max(0.0))).exp(),
        }
    }
}

/// Whether a series spans long enough to tell a rate.
fn tells(series: &Series) -> bool {
    match (series.points.first(), series.points.last()) {
        (Some(first), Some(last)) => last.years - first.years >= LEAST_SPAN_YEARS,
        _ => false,
    }
}

fn estimate(sorted_draws: &[f64], rate: f64) -> Estimate {
    Estimate {
        p10: share_of(at(sorted_draws, 0.1).min(rate)),
        p50: share_of(rate),
        p90: share_of(at(sorted_draws, 0.9).max(rate)),
    }
}

/// The least price in force in each quarter, over all goods, and the rate at which it changes; `unit` turns an offer into
/// US dollars for a unit of what it gives (a PFLOP/s-hour). A price is in force for a year from its day.
pub fn frontier<'a>(
    offers: impl Iterator<Item = &'a Offer>,
    unit: impl Fn(&Offer) -> Option<f64>,
) -> Option<FrontierTrend> {
    let dated: Vec<(i64, f64)> = offers
        .filter_map(|offer| Some((day_of_date(&offer.as_of)?, unit(offer)?)))
        .collect();
    let first = dated.iter().map(|(day, _)| *day).min()?;
    let last = dated.iter().map(|(day, _)| *day).max()?;
    let quarter = (YEAR_DAYS / 4.0) as i64;
    let points: Vec<(i64, f64)> = (0..)
        .map(|step| first + step * quarter)
        .take_while(|day| *day <= last + quarter)
        .filter_map(|day| {
            dated
                .iter()
                .filter(|(of, _)| *of <= day && day - *of <= 366)
                .map(|(_, usd)| *usd)
                .min_by(f64::total_cmp)
                .map(|usd| (day, usd))
        })
        .collect();
    let series = |points: &[(i64, f64)]| Series {
        good: String::new(),
        seller: String::new(),
        points: points
            .iter()
            .map(|(day, usd)| Point {
                years: *day as f64 / YEAR_DAYS,
                ln_price: usd.ln(),
                least_usd: *usd,
            })
            .collect(),
    };
    let whole = series(&points);
    let rate = rate_of(std::iter::once(&whole))?;
    // Moving blocks of a year keep quarters that share a price together (Künsch 1989).
    let block = 4.min(points.len());
    let mut draws: Vec<f64> = (0..DRAWS)
        .filter_map(|draw| {
            let mut picked = Vec::new();
            while picked.len() < points.len() {
                let seed = ((draw as u64) << 20) ^ picked.len() as u64;
                let start = (scattered(seed + 6) * (points.len() - block + 1) as f64) as usize;
                picked.extend_from_slice(&points[start..start + block]);
            }
            rate_of(std::iter::once(&series(&picked)))
        })
        .collect();
    draws.sort_by(f64::total_cmp);
    Some(FrontierTrend {
        yearly_change: estimate(&draws, rate),
        points: points
            .into_iter()
            .map(|(day, usd)| (outlay_units::date_of_day(day), usd))
            .collect(),
    })
}

/// Widens an estimate by a factor that is itself uncertain, as independent shares of the range.
///
/// ```
/// use outlay_plan::widened;
/// use outlay_units::{Estimate, Spread};
/// let cost = Estimate { p10: 80.0, p50: 100.0, p90: 125.0 };
/// let wide = widened(cost, Spread { low: 0.8, high: 1.25 });
/// assert!(wide.p10 < 80.0 && wide.p50 == 100.0 && wide.p90 > 125.0 && wide.p90 < 140.0);
/// ```
pub fn widened(estimate: Estimate, spread: Spread) -> Estimate {
    let join = |ratio: f64, factor: f64| ratio.max(1e-9).ln().hypot(factor.max(1e-9).ln());
    Estimate {
        p10: estimate.p50 * (-join(estimate.p10 / estimate.p50, spread.low)).exp(),
        p50: estimate.p50,
        p90: estimate.p50 * join(estimate.p90 / estimate.p50, spread.high).exp(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(provider: &str, accelerator: &str, day: &str, usd: f64) -> Offer {
        Offer {
            provider: provider.to_owned(),
            instance: String::new(),
            accelerator: accelerator.to_owned(),
            count: 1,
            usd_per_hour: usd,
            pricing: Pricing::OnDemand,
            region: String::new(),
            as_of: day.to_owned(),
            source: String::new(),
            preemptions_per_node_day: None,
            projected: None,
        }
    }

    /// Dear sellers that are seen later do not hide that each of them became cheaper.
    #[test]
    fn the_rate_is_taken_within_sellers() {
        let mut offers = Vec::new();
        for (provider, start, year) in [("a", 1.0, 2022), ("b", 2.0, 2023), ("c", 4.0, 2024)] {
            for step in 0..3 {
                let usd = start * 0.8_f64.powi(step);
                offers.push(offer(provider, "X", &format!("{}-01-01", year + step), usd));
            }
        }
        let trends = Trends::of_offers(offers.iter(), Pricing::OnDemand);
        let trend = trends.of("X").unwrap();
        assert!((trend.yearly_change.p50 + 0.2).abs() < 0.002, "{trend:?}");
        assert_eq!(trend.series, 3);
        let half = trends.factor("X", 0.5);
        assert!((half.p50 - 0.8_f64.sqrt()).abs() < 0.002, "{half:?}");
        // A good that was never seen changes as all do.
        assert!(trends.of("Y").is_none());
        assert!((trends.factor("Y", 1.0).p50 - 0.8).abs() < 0.002);
    }

    #[test]
    fn no_time_changes_nothing_and_more_time_is_less_sure() {
        let offers: Vec<Offer> = outlay_catalog::builtin_price_history().to_vec();
        let trends = Trends::of_offers(offers.iter(), Pricing::OnDemand);
        let now = trends.factor("H100-SXM", 0.0);
        assert!((now.p10, now.p50, now.p90) == (1.0, 1.0, 1.0), "{now:?}");
        let (quarter, year) = (
            trends.factor("H100-SXM", 0.25),
            trends.factor("H100-SXM", 1.0),
        );
        assert!(year.p50 < quarter.p50 && quarter.p50 < 1.0);
        assert!(year.p90 / year.p10 > quarter.p90 / quarter.p10);
    }
}
