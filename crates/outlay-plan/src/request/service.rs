//! What every kind of service is asked: load, formats, and hardware with its offers.

use outlay_catalog::{Accelerator, Offer, accelerators, find_accelerator};
use outlay_units::parse_rate_per_second;

use super::values::{accelerators_of, number};
use super::{At, Market, Refusal, ServeRequest, Terms};
use crate::serving::{NumberFormat, is_measured};
use crate::train::Choice;

/// Hardware and offers to consider.
pub(super) struct Hardware {
    offers: Vec<Offer>,
    fixed: Vec<(Option<u32>, &'static Accelerator)>,
    /// A sentence where prices are projected.
    pub(super) projection: Option<String>,
}

impl Hardware {
    fn read(request: &ServeRequest, market: &Market) -> Result<Self, Refusal> {
        let fixed = request
            .gpu
            .iter()
            .map(|text| {
                let counted = text.trim().starts_with(|c: char| c.is_ascii_digit())
                    && text.contains(['x', 'X', '*'])
                    && find_accelerator(text).is_err();
                let (n, accelerator) = accelerators_of("--gpu", text)?;
                Ok((counted.then_some(n), accelerator))
            })
            .collect::<Result<Vec<_>, Refusal>>()?;
        if request.price.is_some() && fixed.len() != 1 {
            return Err(Refusal::new(
                "price",
                "--price needs one --gpu: a price belongs to an accelerator",
            ));
        }
        let one = match fixed.as_slice() {
            [(count, accelerator)] => Some((count.unwrap_or(1), *accelerator)),
            _ => None,
        };
        let terms = Terms {
            price: request.price.as_deref(),
            spot: request.spot,
            reserved: request.reserved,
            ..Terms::default()
        };
        let mut offers = market.gather(&terms, one)?;
        let at = At::read(&request.at, &market.today)?;
        let projection = at.apply(&mut offers, one, &market.dated)?;
        Ok(Self {
            offers,
            fixed,
            projection,
        })
    }

    /// What is considered. Where hardware is searched, `measured_only` keeps the generations whose engines were measured.
    pub(super) fn choices(&self, measured_only: bool) -> Vec<Choice<'_>> {
        let of = |accelerator: &Accelerator| -> Vec<&Offer> {
            self.offers
                .iter()
                .filter(|offer| offer.accelerator == accelerator.id)
                .collect()
        };
        if !self.fixed.is_empty() {
            return self
                .fixed
                .iter()
                .map(|&(count, accelerator)| Choice {
                    accelerator,
                    count,
                    offers: of(accelerator),
                })
                .collect();
        }
        accelerators()
            .iter()
            .filter_map(|accelerator| {
                let offers = of(accelerator);
                let known = !measured_only || is_measured(&accelerator.generation);
                (!offers.is_empty() && accelerator.vendor == "NVIDIA" && known).then_some(Choice {
                    accelerator,
                    count: None,
                    offers,
                })
            })
            .collect()
    }
}

/// What the request says of every kind of service.
pub(super) struct Common {
    /// Requests each second in the busiest hour.
    pub requests_per_s: f64,
    /// Mean rate over the month, relative to the busiest hour.
    pub mean_over_peak: f64,
    /// Rate of each hour relative to the busiest; empty where no load was given.
    pub hours: Vec<f64>,
    /// Whether limits hold for 99 in 100 requests.
    pub for_99_in_100: bool,
    /// Number formats; empty where none were given.
    pub formats: Vec<NumberFormat>,
    /// Power usage effectiveness.
    pub pue: f64,
    /// Hardware.
    pub hardware: Hardware,
}

impl Common {
    pub(super) fn read(request: &ServeRequest, market: &Market) -> Result<Self, Refusal> {
        let requests = request.requests.as_deref().unwrap_or("1/s");
        let requests_per_s = parse_rate_per_second(requests)
            .map_err(|error| Refusal::new("requests", format!("--requests: {error}")))?;
        if requests_per_s > 1e6 {
            return Err(Refusal::new(
                "requests",
                format!("--requests is `{requests}`; allowed: up to 1000000/s"),
            ));
        }
        let formats = request
            .precision
            .iter()
            .map(|name| {
                NumberFormat::from_name(name).ok_or_else(|| {
                    Refusal::new(
                        "precision",
                        format!(
                            "--precision `{name}` is not known; allowed: {}",
                            NumberFormat::ALL.map(NumberFormat::name).join(", ")
                        ),
                    )
                })
            })
            .collect::<Result<_, _>>()?;
        let hours = hours_of(&request.load)?;
        if request.autoscale && hours.is_empty() {
            return Err(Refusal::new(
                "autoscale",
                "--autoscale needs --load: the requests of each hour",
            ));
        }
        let mean = request.mean_over_peak.as_deref().unwrap_or("1");
        Ok(Self {
            requests_per_s,
            mean_over_peak: if hours.is_empty() {
                number("mean-over-peak", mean, 0.01, 1.0)?
            } else {
                hours.iter().sum::<f64>() / hours.len() as f64
            },
            hours,
            for_99_in_100: match request.percentile.as_deref() {
                None | Some("99" | "p99") => true,
                Some("50" | "p50") => false,
                Some(other) => {
                    return Err(Refusal::new(
                        "percentile",
                        format!("--percentile is `{other}`; allowed: 50, 99"),
                    ));
                }
            },
            formats,
            pue: number("pue", request.pue.as_deref().unwrap_or("1.2"), 1.0, 10.0)?,
            hardware: Hardware::read(request, market)?,
        })
    }
}

/// The rate of each hour relative to the busiest.
fn hours_of(load: &[f64]) -> Result<Vec<f64>, Refusal> {
    if load.is_empty() {
        return Ok(Vec::new());
    }
    let most = load.iter().copied().fold(0.0, f64::max);
    let sound = load.iter().all(|hour| hour.is_finite() && *hour >= 0.0);
    if !sound || load.len() < 24 || load.len() > 20_000 || most <= 0.0 {
        return Err(Refusal::new(
            "load",
            format!(
                "--load has {} hours, of which the busiest has {most} requests; allowed: 24 to 20000 hours, not all of them without requests",
                load.len()
            ),
        ));
    }
    Ok(load.iter().map(|hour| hour / most).collect())
}
