//! `outlay trends`: how prices fall, and what waiting would save.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use outlay_catalog::{
    ApiPrice, Offer, Pricing, builtin_api_history, builtin_api_prices, builtin_offers,
    builtin_price_history, find_accelerator, parse_api_history, parse_offers,
};
use outlay_plan::{FrontierTrend, PriceTrend, Trends, frontier};
use outlay_units::{Estimate, price_usd};
use serde::Serialize;

use crate::failure::{Failure, read_text};
use crate::plot::{Picture, Point};
use crate::printer::{Align, Printer};

/// Where `outlay prices --import` keeps what it reads.
pub const SNAPSHOTS: &str = ".outlay/prices";

/// Arguments of `outlay trends`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  outlay trends
  outlay trends h100
  outlay trends --tokens llama-3.1-70b
  outlay prices --import ~/.sky/catalogs && outlay trends")]
pub struct Args {
    /// Show only this accelerator (with --tokens: only models whose name holds this)
    good: Option<String>,
    /// Show prices of tokens at APIs instead of accelerator-hours
    #[arg(long)]
    tokens: bool,
    /// How accelerators are sold (default: on-demand)
    #[arg(long, value_parser = ["on-demand", "spot", "reserved"], conflicts_with = "tokens")]
    pricing: Option<String>,
    /// Folder of price lists kept by `outlay prices --import`
    #[arg(long, value_name = "FOLDER", default_value = SNAPSHOTS)]
    snapshots: PathBuf,
    /// Draw prices against time to an .svg, .png or .html file
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A price list's way of selling, by the name that people type.
fn pricing_of(name: Option<&str>) -> Pricing {
    match name {
        Some("spot") => Pricing::Spot,
        Some("reserved") => Pricing::Reserved,
        _ => Pricing::OnDemand,
    }
}

/// Every dated price: those that ship with Outlay, and snapshots.
pub struct DatedPrices {
    /// Of accelerators.
    pub offers: Vec<Offer>,
    /// Of APIs.
    pub apis: Vec<ApiPrice>,
}

impl DatedPrices {
    /// Reads the snapshots in a folder, where there is one.
    ///
    /// # Errors
    /// A snapshot that is no price list.
    pub fn read(folder: &Path) -> Result<Self, Failure> {
        let kept = Snapshots::read(folder)?;
        Ok(Self {
            offers: [builtin_price_history(), builtin_offers(), &kept.offers].concat(),
            apis: [builtin_api_history(), builtin_api_prices(), &kept.apis].concat(),
        })
    }
}

/// Price lists that `outlay prices --import` kept.
#[derive(Default)]
pub struct Snapshots {
    /// Of accelerators.
    pub offers: Vec<Offer>,
    /// Of APIs.
    pub apis: Vec<ApiPrice>,
}

impl Snapshots {
    /// Reads those in a folder, where there is one.
    ///
    /// # Errors
    /// A snapshot that is no price list.
    pub fn read(folder: &Path) -> Result<Self, Failure> {
        let mut prices = Self::default();
        let Ok(entries) = std::fs::read_dir(folder) else {
            return Ok(prices);
        };
        let mut files: Vec<PathBuf> = entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|end| end == "csv"))
            .collect();
        files.sort();
        for file in files {
            let (text, name) = (read_text(&file)?, file.display().to_string());
            if text.starts_with("as_of,name") {
                prices
                    .apis
                    .extend(parse_api_history(&text, &name).map_err(Failure::input)?);
            } else {
                prices
                    .offers
                    .extend(parse_offers(&text, &name).map_err(Failure::input)?);
            }
        }
        Ok(prices)
    }
}

/// US dollars for an hour of one dense 16-bit PFLOP/s at peak.
fn per_pflops(offer: &Offer) -> Option<f64> {
    let peaks = &find_accelerator(&offer.accelerator).ok()?.peak_tflops;
    let peak = peaks.bf16.or(peaks.fp16)?;
    (offer.pricing == Pricing::OnDemand).then(|| offer.usd_per_accelerator_hour() / peak * 1000.0)
}

/// A row of the answer.
#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    trend: PriceTrend,
    in_three_months_usd: Estimate,
    in_a_year_usd: Estimate,
}

/// Runs the command.
pub fn run(args: &Args, printer: &mut Printer) -> Result<(), Failure> {
    if args.snapshots != Path::new(SNAPSHOTS) && !args.snapshots.is_dir() {
        return Err(Failure::input(format!(
            "--snapshots `{}` is no folder",
            args.snapshots.display()
        )));
    }
    let prices = DatedPrices::read(&args.snapshots)?;
    let trends = if args.tokens {
        Trends::of_apis(prices.apis.iter(), |name| {
            outlay_model::find_served(name).map(|found| found.name.clone())
        })
    } else {
        Trends::of_offers(prices.offers.iter(), pricing_of(args.pricing.as_deref()))
    };
    let wanted = match &args.good {
        Some(text) if !args.tokens => Some(
            find_accelerator(text)
                .map_err(|error| {
                    Failure::input(error).hint("run `outlay hardware` to see them all")
                })?
                .id
                .clone(),
        ),
        other => other.clone().map(|text| text.to_ascii_lowercase()),
    };
    let shown = |good: &str| match &wanted {
        Some(wanted) if args.tokens => good.contains(wanted.as_str()),
        Some(wanted) => good == wanted,
        None => true,
    };
    let rows: Vec<Row> = trends
        .goods()
        .into_iter()
        .filter(|good| shown(good))
        .filter_map(|good| {
            let trend = trends.of(good)?;
            // Without a series of its own a good has nothing to show, unless it was asked for.
            if trend.is_of_all && wanted.is_none() {
                return None;
            }
            let later = |years: f64| trends.factor(good, years).scaled(trend.last_usd);
            Some(Row {
                in_three_months_usd: later(0.25),
                in_a_year_usd: later(1.0),
                trend,
            })
        })
        .collect();
    if rows.is_empty() {
        return Err(Failure::input(format!(
            "no dated price of `{}` is known",
            args.good.as_deref().unwrap_or_default()
        ))
        .hint("run `outlay trends` or `outlay trends --tokens` to see them all"));
    }
    let compute = if args.tokens {
        None
    } else {
        frontier(prices.offers.iter(), per_pflops)
    };
    if let Some(path) = &args.plot {
        draw(args, &prices, &rows, path)?;
    }
    if args.json {
        return printer.json(&serde_json::json!({
            "format": 1,
            "trends": rows,
            "all": trends.of_all(),
            "usd_per_16_bit_pflops_hour": compute,
        }));
    }
    show(args, &trends, &rows, compute.as_ref(), printer);
    Ok(())
}

/// A change as people say it: -13% (-20 to -7).
fn change(yearly: Estimate) -> String {
    format!(
        "{:+.0}% ({:+.0} to {:+.0})",
        yearly.p50 * 100.0,
        yearly.p10 * 100.0,
        yearly.p90 * 100.0
    )
}

fn show(
    args: &Args,
    trends: &Trends,
    rows: &[Row],
    compute: Option<&FrontierTrend>,
    printer: &mut Printer,
) {
    let right = Align::Right;
    printer.heading(&if args.tokens {
        "A million tokens, three of a prompt to one of an answer".to_owned()
    } else {
        format!(
            "An accelerator-hour, {}",
            pricing_of(args.pricing.as_deref()).name()
        )
    });
    let of = |row: &Row| {
        let seller: String = row.trend.last_seller.chars().take(10).collect();
        let mut cells = vec![
            row.trend.good.clone(),
            row.trend.series.to_string(),
            price_usd(row.trend.last_usd),
            change(row.trend.yearly_change),
            price_usd(row.in_three_months_usd.p50),
            price_usd(row.in_a_year_usd.p50),
        ];
        if !args.tokens {
            cells.insert(3, seller);
        }
        cells
    };
    let mut header = vec![
        (if args.tokens { "model" } else { "hardware" }, Align::Left),
        ("series", right),
        ("last", right),
        ("a year changes", right),
        ("3 months on", right),
        ("a year on", right),
    ];
    if !args.tokens {
        header.insert(3, ("at", Align::Left));
    }
    printer.table(&header, &rows.iter().map(of).collect::<Vec<_>>());
    printer.line("");
    printer.sentence(&format!(
        "All together: {} a year within sellers. A series is a seller whose prices are known on days at least five months apart; what has few of them is drawn towards the rate of all. `last` is the last price of the cheapest seller.",
        change(trends.of_all())
    ));
    if let Some(compute) = compute
        && let (Some(first), Some(last)) = (compute.points.first(), compute.points.last())
    {
        printer.line("");
        printer.sentence(&format!(
            "The cheapest hour of one dense 16-bit PFLOP/s at peak, on-demand, whatever the hardware: {} in {}, {} in {}; {} a year.",
            price_usd(first.1),
            &first.0[..7],
            price_usd(last.1),
            &last.0[..7],
            change(compute.yearly_change)
        ));
    }
    if rows.len() == 1 {
        let row = &rows[0];
        let saved = |estimate: Estimate| (1.0 - estimate.p50 / row.trend.last_usd) * 100.0;
        printer.line("");
        printer.sentence(&format!(
            "Waiting three months saves {:.1}% of the price at the median, and a year {:.1}%; in a year it is between {} and {} four times in five. {} prices from {} to {}.",
            saved(row.in_three_months_usd),
            saved(row.in_a_year_usd),
            price_usd(row.in_a_year_usd.p10),
            price_usd(row.in_a_year_usd.p90),
            row.trend.points,
            row.trend.from,
            row.trend.to
        ));
    }
}

/// Prices against years, sellers apart where one good is shown.
fn draw(args: &Args, prices: &DatedPrices, rows: &[Row], path: &Path) -> Result<(), Failure> {
    // The axis is logarithmic, so that exponentials of years are evenly spaced.
    let year =
        |day: &str| outlay_units::day_of_date(day).map(|day| (day as f64 / 365.25 - 50.0).exp());
    let marks: Vec<f64> = (-8..=30).map(|year| f64::from(year).exp()).collect();
    let goods: Vec<&str> = rows
        .iter()
        .map(|row| row.trend.good.as_str())
        .take(6)
        .collect();
    let one = goods.len() == 1;
    let dated: Vec<(String, String, String, f64)> = if args.tokens {
        prices
            .apis
            .iter()
            .filter_map(|price| {
                let family = outlay_model::find_served(&price.name)?.name.clone();
                let usd = 0.75 * price.usd_per_input_token + 0.25 * price.usd_per_output_token;
                Some((
                    family,
                    price.provider.clone(),
                    price.as_of.clone(),
                    usd * 1e6,
                ))
            })
            .collect()
    } else {
        let wanted = pricing_of(args.pricing.as_deref());
        prices
            .offers
            .iter()
            .filter(|offer| offer.pricing == wanted)
            .map(|offer| {
                (
                    offer.accelerator.clone(),
                    offer.provider.clone(),
                    offer.as_of.clone(),
                    offer.usd_per_accelerator_hour(),
                )
            })
            .collect()
    };
    let name_of = |good: &String, seller: &String| if one { seller.clone() } else { good.clone() };
    let drawn: Vec<_> = dated
        .iter()
        .filter(|(good, ..)| goods.contains(&good.as_str()))
        .collect();
    // Those with the most prices have colours of their own.
    let mut n_prices: BTreeMap<String, usize> = BTreeMap::new();
    for (good, seller, ..) in &drawn {
        *n_prices.entry(name_of(good, seller)).or_default() += 1;
    }
    let mut series: Vec<String> = n_prices.keys().cloned().collect();
    series.sort_by_key(|name| std::cmp::Reverse(n_prices[name]));
    let mut points = Vec::new();
    for (good, seller, day, usd) in drawn {
        let Some(x) = year(day) else { continue };
        let name = name_of(good, seller);
        let index = series.iter().position(|of| *of == name).unwrap_or(0);
        points.push(Point {
            x,
            y: usd * outlay_units::in_currency(1.0),
            x_range: None,
            series: index.min(5),
            label: None,
        });
    }
    if series.len() > 6 {
        series.truncate(5);
        series.push("others".to_owned());
    }
    let what = if args.tokens {
        "a million tokens"
    } else {
        "an accelerator-hour"
    };
    Picture {
        title: &if one {
            format!("{}: price of {what}", goods[0])
        } else {
            format!("Price of {what}")
        },
        x_name: "year",
        y_name: "US dollars",
        series: &series,
        points: &points,
        joined: false,
        diagonal: false,
        x_marks: Some(&marks),
        x_text: |x| format!("{:.0}", 2020.0 + x.ln()),
        y_text: |usd| price_usd(usd / outlay_units::in_currency(1.0)),
        panels: &[],
    }
    .write(path)
}
