//! What can be rented: a price given, hardware owned, or the lists; in a region, or projected to a day.

use std::collections::BTreeSet;

use outlay_catalog::{
    Accelerator, Offer, OwnedHardware, Pricing, STALE_AFTER_DAYS, age_days, builtin_offers,
    builtin_price_history, parse_price,
};
use outlay_units::{Spread, date_of_day, day_of_date, parse_money_usd, percent, usd};

use super::Refusal;
use crate::trends::Trends;

/// Oldest price, in days, that takes part in a ranking where newer ones exist.
const RANKED_DAYS: i64 = 365;

/// Series of prices from which a way of selling has a rate of its own.
const FEW_SERIES: usize = 12;

/// What can be rented, and the day on which someone asks.
#[derive(Clone, Debug)]
pub struct Market {
    /// Offers to consider.
    pub listed: Vec<Offer>,
    /// Every dated price, from which trends are read. Needed only where prices are projected.
    pub dated: Vec<Offer>,
    /// Today, as `YYYY-MM-DD`.
    pub today: String,
}

/// How hardware is had, in the words of a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms<'a> {
    /// Price of one accelerator-hour.
    pub price: Option<&'a str>,
    /// Whether spot offers count.
    pub spot: bool,
    /// Whether reserved offers count.
    pub reserved: bool,
    /// What one accelerator cost that is owned.
    pub owned: Option<&'a str>,
    /// Years over which it is written off.
    pub lifetime: Option<f64>,
    /// Share of those years in which it is in use.
    pub utilisation: Option<f64>,
    /// Dollars for a kWh.
    pub electricity: Option<f64>,
    /// Power usage effectiveness of the data centre.
    pub pue: Option<f64>,
}

/// An accelerator that is given, and how many.
type Fixed<'a> = Option<(u32, &'a Accelerator)>;

impl Market {
    /// The prices that ship with Outlay.
    #[must_use]
    pub fn built_in(today: &str) -> Self {
        Self {
            listed: builtin_offers().to_vec(),
            dated: [builtin_price_history(), builtin_offers()].concat(),
            today: today.to_owned(),
        }
    }

    /// The offers to consider on these terms.
    ///
    /// # Errors
    /// Values that cannot be read, or a price without hardware.
    pub fn gather(&self, terms: &Terms<'_>, fixed: Fixed<'_>) -> Result<Vec<Offer>, Refusal> {
        if terms.price.is_some() && terms.owned.is_some() {
            return Err(Refusal::new(
                "price",
                "both --price and --owned are given; allowed: one of them",
            ));
        }
        if let Some(text) = terms.price {
            let usd_per_hour = parse_price(text)
                .map_err(|error| Refusal::new("price", format!("--price: {error}")))?;
            let Some((_, accelerator)) = fixed else {
                return Err(Refusal::new(
                    "price",
                    "--price needs --gpus: a price belongs to an accelerator",
                ));
            };
            return Ok(vec![Offer {
                provider: "given".to_owned(),
                instance: String::new(),
                accelerator: accelerator.id.clone(),
                count: 1,
                usd_per_hour,
                pricing: Pricing::OnDemand,
                region: String::new(),
                as_of: String::new(),
                source: "--price".to_owned(),
                preemptions_per_node_day: None,
                projected: None,
            }]);
        }
        if let Some(text) = terms.owned {
            let Some((_, accelerator)) = fixed else {
                return Err(Refusal::new(
                    "owned",
                    "--owned needs --gpus: a price belongs to an accelerator",
                ));
            };
            return Ok(vec![owned_offer(terms, text, accelerator)?]);
        }
        Ok(self.sold(terms.spot, terms.reserved, fixed))
    }

    /// The listed offers, as far as they are sold in the ways asked for and not of years ago.
    #[must_use]
    pub fn sold(&self, spot: bool, reserved: bool, fixed: Fixed<'_>) -> Vec<Offer> {
        // A search ranks by price, and a price of years ago would win it; where hardware is fixed, an old price beats none.
        let recent = |offer: &Offer| {
            age_days(&offer.as_of, &self.today).is_none_or(|days| days <= RANKED_DAYS)
        };
        let sold = |offer: &Offer| {
            offer.pricing == Pricing::OnDemand
                || (spot && offer.pricing == Pricing::Spot)
                || (reserved && offer.pricing == Pricing::Reserved)
        };
        let any_recent = fixed.is_none_or(|(_, accelerator)| {
            self.listed
                .iter()
                .any(|offer| offer.accelerator == accelerator.id && sold(offer) && recent(offer))
        });
        self.listed
            .iter()
            .filter(|offer| sold(offer) && (!any_recent || recent(offer)))
            .cloned()
            .collect()
    }
}

/// Whether a text is a day of the calendar.
#[must_use]
pub fn is_date(day: &str) -> bool {
    day_of_date(day).is_some_and(|number| date_of_day(number) == day)
}

/// A sentence where a price is old.
#[must_use]
pub fn old_price(accelerator: &str, provider: &str, as_of: &str, today: &str) -> Option<String> {
    let days = age_days(as_of, today).filter(|days| *days > STALE_AFTER_DAYS)?;
    Some(format!(
        "The price of {accelerator} at {provider} is {days} days old ({as_of}); check it before relying on it, or give --price."
    ))
}

/// Where and when: a region, a day to project prices to, or both.
#[derive(Debug, Default)]
pub struct At {
    region: Option<String>,
    day: Option<String>,
}

impl At {
    /// Reads the values of `at`: a month or a day is a projection, anything else a region.
    ///
    /// # Errors
    /// Two of a kind, or a day that is past or far.
    pub fn read(texts: &[String], today: &str) -> Result<Self, Refusal> {
        let mut at = Self::default();
        for text in texts {
            let text = text.trim();
            let is_day = text.len() >= 6
                && text.chars().all(|c| c.is_ascii_digit() || c == '-')
                && text.contains('-');
            let slot = if is_day { &mut at.day } else { &mut at.region };
            if let Some(before) = slot {
                return Err(Refusal::new(
                    "at",
                    format!(
                        "--at is given as `{before}` and as `{text}`; allowed: one region and one month"
                    ),
                ));
            }
            if !is_day {
                *slot = Some(text.to_owned());
                continue;
            }
            let day = if text.len() == 7 {
                format!("{text}-01")
            } else {
                text.to_owned()
            };
            if !is_date(&day) || !matches!(age_days(today, &day), Some(1..=3660)) {
                return Err(Refusal::new(
                    "at",
                    format!(
                        "--at is `{text}`; allowed: a month such as 2027-06 or a day, after {today} and within ten years of it"
                    ),
                ));
            }
            *slot = Some(day);
        }
        Ok(at)
    }

    /// The day to which prices are projected.
    #[must_use]
    pub fn day(&self) -> Option<&str> {
        self.day.as_deref()
    }

    /// Keeps the offers of the region and projects prices to the day, by the trends of dated prices. Says what was projected,
    /// for the person to see.
    ///
    /// # Errors
    /// A region without offers.
    pub fn apply(
        &self,
        offers: &mut Vec<Offer>,
        fixed: Fixed<'_>,
        dated: &[Offer],
    ) -> Result<Option<String>, Refusal> {
        if let Some(region) = &self.region {
            keep_region(offers, region, fixed)?;
        }
        let Some(day) = &self.day else {
            return Ok(None);
        };
        let trends = [Pricing::OnDemand, Pricing::Spot, Pricing::Reserved]
            .map(|pricing| (pricing, Trends::of_offers(dated.iter(), pricing)));
        let mut n_projected = 0;
        for offer in offers.iter_mut() {
            // A price that was typed, or hardware that is owned, has no day, and stays.
            let Some(days) = age_days(&offer.as_of, day) else {
                continue;
            };
            // Where few sellers' prices of a kind are known, those of on-demand offers stand for them.
            let trends = trends
                .iter()
                .find(|(pricing, own)| *pricing == offer.pricing && own.n_series() >= FEW_SERIES)
                .map_or(&trends[0].1, |(_, own)| own);
            n_projected += 1;
            let from = &offer.as_of;
            let factor = trends.factor(&offer.accelerator, days as f64 / 365.25);
            offer.usd_per_hour *= factor.p50;
            offer.projected = Some(Spread {
                low: factor.p10 / factor.p50,
                high: factor.p90 / factor.p50,
            });
            offer.source = format!("projected from {from} to {day}: {}", offer.source);
            offer.as_of.clone_from(day);
        }
        if n_projected == 0 {
            return Ok(Some(format!(
                "The price given stays as it is at {day}: only listed offers are projected."
            )));
        }
        let all = trends[0].1.of_all();
        Ok(Some(format!(
            "Prices are a projection to {day}, not offers: each is carried on at its hardware's own rate ({:+.0}% a year for all on-demand offers, {:+.0} to {:+.0}, where spot or reserved ones have too few sellers for a rate; `outlay trends` shows them), and the range of the cost holds what that leaves open.",
            all.p50 * 100.0,
            all.p10 * 100.0,
            all.p90 * 100.0
        )))
    }
}

/// Keeps the offers of a region; a refusal names the regions that there are.
fn keep_region(offers: &mut Vec<Offer>, region: &str, fixed: Fixed<'_>) -> Result<(), Refusal> {
    let wanted = region.to_ascii_lowercase();
    let concerns = |offer: &Offer| fixed.is_none_or(|(_, a)| a.id == offer.accelerator);
    let regions: BTreeSet<String> = offers
        .iter()
        .filter(|offer| concerns(offer) && !offer.region.is_empty())
        .map(|offer| offer.region.clone())
        .collect();
    offers.retain(|offer| offer.region.to_ascii_lowercase().contains(&wanted));
    if offers.iter().any(concerns) {
        return Ok(());
    }
    let known: Vec<String> = regions.into_iter().take(12).collect();
    Err(Refusal::new(
        "at",
        format!(
            "--at `{region}`: no offer is there; regions with offers: {}",
            known.join(", ")
        ),
    ))
}

/// What an hour of hardware costs that was bought: its share of the purchase, and electricity.
fn owned_offer(terms: &Terms<'_>, text: &str, accelerator: &Accelerator) -> Result<Offer, Refusal> {
    let within = |option: &str, value: f64, least: f64, most: f64| {
        if value >= least && value <= most {
            Ok(value)
        } else {
            Err(Refusal::new(
                option,
                format!("--{option} is {value}; allowed: {least} to {most}"),
            ))
        }
    };
    let purchase_usd = parse_money_usd(text)
        .map_err(|error| Refusal::new("owned", format!("--owned: {error}")))?;
    let owned = OwnedHardware {
        purchase_usd,
        lifetime_years: within("lifetime", terms.lifetime.unwrap_or(4.0), 0.1, 30.0)?,
        utilisation: within("utilisation", terms.utilisation.unwrap_or(0.7), 0.01, 1.0)?,
        electricity_usd_per_kwh: within(
            "electricity",
            terms.electricity.unwrap_or(0.12),
            0.0,
            5.0,
        )?,
        pue: terms.pue.unwrap_or(1.2),
        watts: crate::train::server_watts(accelerator),
    };
    Ok(Offer {
        provider: "owned".to_owned(),
        instance: String::new(),
        accelerator: accelerator.id.clone(),
        count: 1,
        usd_per_hour: owned.usd_per_accelerator_hour(),
        pricing: Pricing::Owned,
        region: String::new(),
        as_of: String::new(),
        source: format!(
            "owned: {} over {} years in use {} of the time, {:.0} W at {} a kWh, PUE {}",
            usd(owned.purchase_usd),
            owned.lifetime_years,
            percent(owned.utilisation),
            owned.watts,
            usd(owned.electricity_usd_per_kwh),
            owned.pue
        ),
        preemptions_per_node_day: None,
        projected: None,
    })
}
