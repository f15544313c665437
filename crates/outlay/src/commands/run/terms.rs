//! What an hour and a kWh cost, and what they emit.

use outlay_catalog::{
    OwnedHardware, Pricing, builtin_offers, carbon_intensity, country_intensity, parse_price,
};
use outlay_meter::Quality;
use outlay_units::{parse_money_usd, usd};
use serde::{Deserialize, Serialize};

use crate::commands::offers::old_price;
use crate::failure::Failure;

/// Price, as the options give it
#[derive(clap::Args, Debug, Default)]
pub struct PriceArgs {
    /// Price of an hour of everything that the command holds, such as 2.49/h
    #[arg(long, value_name = "PRICE", group = "paid")]
    price: Option<String>,
    /// Listed offer to price by, such as lambda/H100-SXM; `outlay prices` lists them
    #[arg(long, value_name = "PROVIDER/GPU", group = "paid")]
    offer: Option<String>,
    /// What the machine cost, where it is yours, such as 30000usd: its share by the hour, and electricity as metered
    #[arg(long, value_name = "MONEY", group = "paid")]
    owned: Option<String>,
    /// Accelerators of the offer that the command holds [default: those that it can see, or 1]
    #[arg(long, value_name = "N", requires = "offer")]
    gpus: Option<u32>,
    /// Price the offer as spot capacity
    #[arg(long, requires = "offer")]
    spot: bool,
    /// Years over which owned hardware is written off [default: 4]
    #[arg(long, value_name = "YEARS", requires = "owned")]
    lifetime: Option<f64>,
    /// Share of the time in which owned hardware is used [default: 0.7]
    #[arg(long, value_name = "SHARE", requires = "owned")]
    utilisation: Option<f64>,
    /// Dollars for a kWh, for owned hardware [default: 0.12]
    #[arg(long, value_name = "USD", requires = "owned")]
    electricity: Option<f64>,
    /// Power usage effectiveness of the building
    #[arg(long, value_name = "FACTOR", default_value_t = 1.2)]
    pue: f64,
    /// Where the electricity comes from: a country or PROVIDER/REGION, such as DEU or aws/us-east-1
    #[arg(long, value_name = "PLACE")]
    grid: Option<String>,
}

impl PriceArgs {
    /// Whether the price depends on how many accelerators the command can see.
    pub fn needs_gpus(&self) -> bool {
        self.offer.is_some() && self.gpus.is_none()
    }
}

/// How the time and energy of a run are paid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Terms {
    /// Dollars for an hour, whatever it is used for; `None` where no price was given.
    pub usd_per_hour: Option<f64>,
    /// Dollars for a kWh, where it is paid by itself.
    pub usd_per_kwh: Option<f64>,
    /// Energy that the building takes for each that the machine does.
    pub pue: f64,
    /// Grams of CO2 equivalent for each kWh.
    pub g_co2e_per_kwh: f64,
    /// Where the price comes from.
    pub price_source: String,
    /// Where the emissions come from.
    pub grid_source: String,
}

/// A part of what a run costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// What for.
    pub kind: &'static str,
    /// Dollars.
    pub usd: f64,
    /// How it was come by.
    pub quality: Quality,
}

impl Terms {
    /// Reads the options; `visible_gpus` is how many accelerators the command can see.
    pub fn read(args: &PriceArgs, visible_gpus: Option<u32>) -> Result<Self, Failure> {
        if !(1.0..=5.0).contains(&args.pue) {
            return Err(Failure::input(format!(
                "--pue is {}; allowed: 1 to 5",
                args.pue
            )));
        }
        let grid = match &args.grid {
            None => carbon_intensity("", ""),
            Some(place) => match place.split_once('/') {
                Some((provider, region)) => carbon_intensity(provider, region),
                None => country_intensity(place).ok_or_else(|| {
                    Failure::input(format!("--grid `{place}` is no country that is known"))
                        .hint("a code of three letters such as DEU, or PROVIDER/REGION such as aws/us-east-1")
                })?,
            },
        };
        let mut terms = Self {
            usd_per_hour: None,
            usd_per_kwh: None,
            pue: args.pue,
            g_co2e_per_kwh: grid.g_co2e_per_kwh,
            price_source: "no price was given".to_owned(),
            grid_source: grid.basis,
        };
        if let Some(text) = &args.price {
            let price =
                parse_price(text).map_err(|error| Failure::input(format!("--price: {error}")))?;
            terms.usd_per_hour = Some(price);
            terms.price_source = format!("{} an hour, as given", usd(price));
        } else if let Some(text) = &args.offer {
            terms.price_by_offer(text, args, visible_gpus)?;
        } else if let Some(text) = &args.owned {
            let within = |option: &str, value: f64, least: f64, most: f64| {
                if value >= least && value <= most {
                    Ok(value)
                } else {
                    Err(Failure::input(format!(
                        "--{option} is {value}; allowed: {least} to {most}"
                    )))
                }
            };
            let purchase_usd = parse_money_usd(text)
                .map_err(|error| Failure::input(format!("--owned: {error}")))?;
            let years = within("lifetime", args.lifetime.unwrap_or(4.0), 0.1, 30.0)?;
            let share = within("utilisation", args.utilisation.unwrap_or(0.7), 0.01, 1.0)?;
            let electricity = within("electricity", args.electricity.unwrap_or(0.12), 0.0, 5.0)?;
            // Electricity is paid as metered, so that no watts are supposed.
            let owned = OwnedHardware {
                purchase_usd,
                lifetime_years: years,
                utilisation: share,
                electricity_usd_per_kwh: electricity,
                pue: args.pue,
                watts: 0.0,
            };
            terms.usd_per_hour = Some(owned.usd_per_accelerator_hour());
            terms.usd_per_kwh = Some(electricity);
            terms.price_source = format!(
                "owned: {} over {years} years in use {:.0}% of the time, and {} a kWh as metered, PUE {}",
                usd(purchase_usd),
                share * 100.0,
                usd(electricity),
                args.pue
            );
        }
        Ok(terms)
    }

    fn price_by_offer(
        &mut self,
        text: &str,
        args: &PriceArgs,
        visible_gpus: Option<u32>,
    ) -> Result<(), Failure> {
        let (provider, gpu) = text.split_once('/').ok_or_else(|| {
            Failure::input(format!(
                "--offer is `{text}`; allowed: PROVIDER/GPU, such as lambda/H100-SXM"
            ))
        })?;
        let accelerator = outlay_catalog::find_accelerator(gpu)
            .map_err(|error| Failure::input(format!("--offer: {error}")))?;
        let wanted = if args.spot {
            Pricing::Spot
        } else {
            Pricing::OnDemand
        };
        // An old price is better than none for someone who names the offer; its day is said.
        let offer = builtin_offers()
            .iter()
            .filter(|offer| offer.accelerator == accelerator.id && offer.pricing == wanted)
            .filter(|offer| offer.provider.eq_ignore_ascii_case(provider))
            .min_by(|a, b| {
                a.usd_per_accelerator_hour()
                    .total_cmp(&b.usd_per_accelerator_hour())
            })
            .ok_or_else(|| {
                Failure::input(format!(
                    "--offer `{text}`: {provider} has no {} offer of {} in the lists",
                    wanted.name(),
                    accelerator.id
                ))
                .hint(format!("`outlay prices {}` lists who has", accelerator.id))
            })?;
        let n_gpus = args.gpus.or(visible_gpus.filter(|n| *n > 0)).unwrap_or(1);
        if !(1..=100_000).contains(&n_gpus) {
            return Err(Failure::input(format!(
                "--gpus is {n_gpus}; allowed: 1 to 100000"
            )));
        }
        if let Some(old) = old_price(&offer.accelerator, &offer.provider, &offer.as_of) {
            crate::printer::aside(&old);
        }
        let per_gpu = offer.usd_per_accelerator_hour();
        self.usd_per_hour = Some(per_gpu * f64::from(n_gpus));
        self.price_source = format!(
            "{n_gpus} {} of {} at {} an hour each ({}, {})",
            accelerator.id,
            offer.provider,
            usd(per_gpu),
            wanted.name(),
            offer.as_of
        );
        Ok(())
    }

    /// Whether there is a price.
    pub fn has_price(&self) -> bool {
        self.usd_per_hour.is_some()
    }

    /// What a time and the energy used in it cost.
    pub fn costs(&self, seconds: f64, joules: Option<outlay_meter::Figure>) -> Vec<Cost> {
        let mut costs = Vec::new();
        if let Some(price) = self.usd_per_hour {
            costs.push(Cost {
                kind: "compute",
                usd: price * seconds / 3600.0,
                quality: Quality::Counter,
            });
        }
        if let (Some(price), Some(joules)) = (self.usd_per_kwh, joules) {
            costs.push(Cost {
                kind: "electricity",
                usd: price * self.pue * joules.value / 3.6e6,
                quality: joules.quality,
            });
        }
        costs
    }

    /// Kilograms of CO2 equivalent of an energy.
    pub fn co2e_kg(&self, joules: f64) -> f64 {
        joules / 3.6e6 * self.pue * self.g_co2e_per_kwh / 1000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owned_machine_pays_for_its_time_and_its_electricity() {
        let args = PriceArgs {
            owned: Some("35040usd".to_owned()),
            utilisation: Some(0.5),
            electricity: Some(0.10),
            pue: 1.2,
            ..PriceArgs::default()
        };
        let terms = Terms::read(&args, None).expect("reads");
        let joules = outlay_meter::Figure {
            value: 3.6e6,
            quality: Quality::Modelled,
        };
        let costs = terms.costs(3600.0, Some(joules));
        assert!((costs[0].usd - 2.0).abs() < 1e-9 && costs[0].quality == Quality::Counter);
        assert!((costs[1].usd - 0.12).abs() < 1e-9 && costs[1].quality == Quality::Modelled);
    }

    #[test]
    fn prices_and_offers_are_read() {
        let with = |price: &str| PriceArgs {
            price: Some(price.to_owned()),
            pue: 1.2,
            ..PriceArgs::default()
        };
        assert_eq!(
            Terms::read(&with("2.49/h"), None)
                .expect("reads")
                .usd_per_hour,
            Some(2.49)
        );
        assert!(Terms::read(&with("free"), None).is_err());
        let offer = |offer: &str| PriceArgs {
            offer: Some(offer.to_owned()),
            pue: 1.2,
            ..PriceArgs::default()
        };
        let one = Terms::read(&offer("lambda/H100-SXM"), None).expect("reads");
        let four = Terms::read(&offer("Lambda/H100-SXM"), Some(4)).expect("reads");
        assert_eq!(one.usd_per_hour.map(|usd| usd * 4.0), four.usd_per_hour);
        assert!(Terms::read(&offer("nobody/H100-SXM"), None).is_err());
        assert!(Terms::read(&offer("lambda"), None).is_err());
    }
}
