//! `outlay prices`: offers, filtered, sorted and compared.

use std::path::{Path, PathBuf};

use outlay_catalog::{
    ApiPrice, Offer, Pricing, STALE_AFTER_DAYS, age_days, builtin_api_prices, builtin_offers,
    find_accelerator, read_folder, read_litellm, write_api_history, write_offers,
};
use outlay_units::price_usd;

use super::offers::is_date;
use super::trends::SNAPSHOTS;
use crate::failure::{Failure, read_text};
use crate::printer::{Align, Printer};

/// Arguments of `outlay prices`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Show only this accelerator (with --apis: only models whose name holds this)
    accelerator: Option<String>,
    /// Show prices of model APIs instead: the built-in list, or LiteLLM's model_prices_and_context_window.json
    #[arg(long, value_name = "FILE.json", num_args = 0..=1, conflicts_with_all = ["provider", "pricing", "catalog", "compare"])]
    apis: Option<Option<PathBuf>>,
    /// Show only this provider
    #[arg(long)]
    provider: Option<String>,
    /// Show only on-demand, spot or reserved offers
    #[arg(long, value_parser = ["on-demand", "spot", "reserved"])]
    pricing: Option<String>,
    /// Sort by price (of one accelerator-hour), provider, or compute (dollars for each PFLOP/s-hour)
    #[arg(long, default_value = "price", value_parser = ["price", "provider", "compute"])]
    sort: String,
    /// Read more offers from a folder of SkyPilot catalogs
    #[arg(long, value_name = "FOLDER")]
    catalog: Option<PathBuf>,
    /// Compare providers: one line for each accelerator, with the cheapest offer of each way of selling
    #[arg(long)]
    compare: bool,
    /// Keep a price list with its day, for `outlay trends`: a folder of SkyPilot catalogs, a CSV in the columns of
    /// `outlay prices`, or LiteLLM's model_prices_and_context_window.json
    #[arg(long, value_name = "PATH", conflicts_with_all = ["apis", "provider", "pricing", "catalog", "compare", "json"])]
    import: Option<PathBuf>,
    /// Day on which the imported prices held (default: today)
    #[arg(long, value_name = "YYYY-MM-DD", requires = "import")]
    as_of: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// US dollars for an hour of one dense 16-bit PFLOP/s at peak.
fn per_pflops(offer: &Offer) -> f64 {
    find_accelerator(&offer.accelerator)
        .ok()
        .and_then(|accelerator| {
            accelerator
                .peak_tflops
                .bf16
                .or(accelerator.peak_tflops.fp16)
        })
        .map_or(f64::INFINITY, |peak| {
            offer.usd_per_accelerator_hour() / peak * 1000.0
        })
}

/// Prices of APIs, and what could not be read of a list.
fn apis(file: Option<&Path>, args: &Args, printer: &mut Printer) -> Result<(), Failure> {
    let (mut prices, findings) = match file {
        None => (builtin_api_prices().to_vec(), Vec::new()),
        Some(path) => read_litellm(&read_text(path)?, &path.display().to_string(), "")
            .map_err(|error| Failure::input(error.to_string()))?,
    };
    let wanted = args.accelerator.as_deref().map(str::to_ascii_lowercase);
    let named = |name: &str| {
        wanted
            .as_ref()
            .is_none_or(|wanted| name.to_ascii_lowercase().contains(wanted))
    };
    prices.retain(|price| named(&price.name));
    let findings: Vec<_> = findings
        .into_iter()
        .filter(|finding| named(&finding.name))
        .collect();
    if prices.is_empty() && findings.is_empty() {
        return Err(
            Failure::input("no API matches").hint("run `outlay prices --apis` to see them all")
        );
    }
    prices.sort_by(|a, b| {
        let usd = |price: &ApiPrice| price.usd_per_request(1000.0, 0.0, 300.0);
        usd(a).total_cmp(&usd(b)).then(a.name.cmp(&b.name))
    });
    if args.json {
        let findings: Vec<_> = findings
            .iter()
            .map(|finding| {
                serde_json::json!({ "name": finding.name, "what": finding.what, "left_out": finding.left_out })
            })
            .collect();
        return printer
            .json(&serde_json::json!({ "format": 1, "prices": prices, "findings": findings }));
    }
    let right = Align::Right;
    printer.table(
        &[
            ("api", Align::Left),
            ("in, a million", right),
            ("out", right),
            ("cached", right),
            ("as of", Align::Left),
        ],
        &prices
            .iter()
            .map(|price| {
                vec![
                    price.name.clone(),
                    price_usd(price.usd_per_input_token * 1e6),
                    price_usd(price.usd_per_output_token * 1e6),
                    price
                        .usd_per_cached_token
                        .map_or_else(String::new, |usd| price_usd(usd * 1e6)),
                    price.as_of.clone(),
                ]
            })
            .collect::<Vec<_>>(),
    );
    if !findings.is_empty() {
        // What many entries share is said once, with the first of them.
        let mut kinds: std::collections::BTreeMap<&str, Vec<&str>> =
            std::collections::BTreeMap::new();
        for finding in &findings {
            kinds.entry(&finding.what).or_default().push(&finding.name);
        }
        printer.line("");
        printer.heading("Left out, or read with care");
        for (what, names) in kinds {
            printer.sentence(&format!(
                "{} {}: `{}`{}",
                names.len(),
                if names.len() == 1 { "entry" } else { "entries" },
                names[0],
                if names.len() == 1 {
                    format!(" {what}")
                } else {
                    format!(" and others: {what}")
                }
            ));
        }
    }
    Ok(())
}

/// Keeps a price list in [`SNAPSHOTS`], under its day. A list of a day that is there already stays beside it.
fn import(path: &Path, args: &Args, printer: &mut Printer) -> Result<(), Failure> {
    let today = super::plan_train::today();
    let day = args.as_of.clone().unwrap_or_else(|| today.clone());
    let held = |day: &str| is_date(day) && matches!(age_days(day, &today), Some(0..=20_000));
    if !held(&day) {
        return Err(Failure::input(format!(
            "--as-of is `{day}`; allowed: a day such as {today}, not after today"
        )));
    }
    let name = path.display().to_string();
    let source = format!("imported from {name}");
    let (kind, n, text) = if path.extension().is_some_and(|end| end == "json") {
        let (mut prices, _) =
            read_litellm(&read_text(path)?, &name, &day).map_err(Failure::input)?;
        for price in &mut prices {
            price.source.clone_from(&source);
        }
        ("apis", prices.len(), write_api_history(&prices))
    } else {
        let mut offers = if path.is_dir() {
            read_folder(path).map_err(Failure::input)?.0
        } else {
            outlay_catalog::parse_offers(&read_text(path)?, &name).map_err(Failure::input)?
        };
        for offer in &mut offers {
            // A list with days of its own keeps them, unless a day is given.
            if path.is_dir() || args.as_of.is_some() || offer.as_of.is_empty() {
                offer.as_of.clone_from(&day);
            }
            if !held(&offer.as_of) {
                return Err(Failure::input(format!(
                    "{name}: `as_of` is `{}` at {} {}; allowed: a day such as {today}, not after today",
                    offer.as_of, offer.provider, offer.instance
                )));
            }
        }
        let all = offers.len();
        offers.retain(|offer| find_accelerator(&offer.accelerator).is_ok());
        if offers.len() < all {
            crate::printer::aside(&format!(
                "{} of {all} prices are of accelerators that are not known, and were left out",
                all - offers.len()
            ));
        }
        ("offers", offers.len(), write_offers(&offers))
    };
    let text = text.map_err(Failure::outside)?;
    if n == 0 {
        return Err(Failure::input(format!(
            "{name}: no price in it can be read; allowed: a folder of SkyPilot catalogs, a CSV with the columns provider, instance, accelerator, count, usd_per_hour, pricing, region, as_of and source, or LiteLLM's JSON"
        )));
    }
    let folder = Path::new(SNAPSHOTS);
    std::fs::create_dir_all(folder)
        .map_err(|error| Failure::outside(format!("cannot make `{SNAPSHOTS}`: {error}")))?;
    let same_day = |path: &Path| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(&format!("{day}-{kind}")))
    };
    let kept = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .find(|path| same_day(path) && std::fs::read_to_string(path).is_ok_and(|old| old == text));
    if let Some(file) = kept {
        printer.sentence(&format!("It is kept already, in {}.", file.display()));
        return Ok(());
    }
    let file = (1..)
        .map(|copy| {
            let copy = if copy == 1 {
                String::new()
            } else {
                format!("-{copy}")
            };
            folder.join(format!("{day}-{kind}{copy}.csv"))
        })
        .find(|file| !file.exists())
        .unwrap_or_else(|| folder.join(format!("{day}-{kind}.csv")));
    crate::failure::write_whole(&file, text)?;
    printer.sentence(&format!(
        "{n} {} kept in {}; `outlay trends` reads them.",
        if n == 1 { "price is" } else { "prices are" },
        file.display()
    ));
    Ok(())
}

/// Runs the command.
pub fn run(args: &Args, printer: &mut Printer) -> Result<(), Failure> {
    if let Some(path) = &args.import {
        return import(path, args, printer);
    }
    if let Some(file) = &args.apis {
        return apis(file.as_deref(), args, printer);
    }
    let wanted = args
        .accelerator
        .as_deref()
        .map(find_accelerator)
        .transpose()
        .map_err(|error| Failure::input(error).hint("run `outlay hardware` to see them all"))?;
    let mut offers: Vec<Offer> = builtin_offers().to_vec();
    let mut findings = Vec::new();
    if let Some(folder) = &args.catalog {
        let (more, found) = read_folder(folder).map_err(Failure::input)?;
        offers.extend(more);
        findings.extend(found.iter().map(ToString::to_string));
    }
    offers.retain(|offer| {
        wanted.is_none_or(|accelerator| accelerator.id == offer.accelerator)
            && args
                .provider
                .as_ref()
                .is_none_or(|provider| provider.eq_ignore_ascii_case(&offer.provider))
            && args
                .pricing
                .as_ref()
                .is_none_or(|wanted| wanted == offer.pricing.name())
    });
    if offers.is_empty() {
        return Err(Failure::input("no offer matches").hint("run `outlay prices` to see them all"));
    }
    match args.sort.as_str() {
        "provider" => offers.sort_by(|a, b| {
            a.provider
                .cmp(&b.provider)
                .then(a.accelerator.cmp(&b.accelerator))
        }),
        "compute" => offers.sort_by(|a, b| per_pflops(a).total_cmp(&per_pflops(b))),
        _ => offers.sort_by(|a, b| {
            a.usd_per_accelerator_hour()
                .total_cmp(&b.usd_per_accelerator_hour())
        }),
    }
    if args.json {
        return printer.json(&offers);
    }
    let today = super::plan_train::today();
    if args.compare {
        compare(&offers, &today, printer);
        return Ok(());
    }
    let rows: Vec<Vec<String>> = offers
        .iter()
        .map(|offer| {
            let old = age_days(&offer.as_of, &today).is_some_and(|days| days > STALE_AFTER_DAYS);
            let compute = per_pflops(offer);
            vec![
                format!("{}x{}", offer.count, offer.accelerator),
                format!(
                    "{:.3}",
                    outlay_units::in_currency(offer.usd_per_accelerator_hour())
                ),
                if compute.is_finite() {
                    format!("{:.2}", outlay_units::in_currency(compute))
                } else {
                    "-".to_owned()
                },
                offer.provider.chars().take(14).collect(),
                offer.pricing.name().to_owned(),
                offer.region.chars().take(12).collect(),
                format!("{}{}", offer.as_of, if old { " old" } else { "" }),
            ]
        })
        .collect();
    let right = Align::Right;
    let sign = outlay_units::currency_sign().trim_end();
    printer.table(
        &[
            ("hardware", Align::Left),
            (&format!("{sign}/GPU-h"), right),
            (&format!("{sign}/PF-h"), right),
            ("provider", Align::Left),
            ("sold", Align::Left),
            ("region", Align::Left),
            ("price of", Align::Left),
        ],
        &rows,
    );
    for finding in findings {
        printer.sentence(&finding);
    }
    printer.line("");
    printer.sentence(&format!(
        "{sign}/PF-h: for an hour of one dense 16-bit PFLOP/s at peak. `old`: the price is more than {STALE_AFTER_DAYS} days old."
    ));
    Ok(())
}

/// Cheapest offer of each accelerator and way of selling, among prices that are not old where there are any.
fn compare(offers: &[Offer], today: &str, printer: &mut Printer) {
    let old =
        |offer: &Offer| age_days(&offer.as_of, today).is_some_and(|days| days > STALE_AFTER_DAYS);
    let mut accelerators: Vec<&str> = Vec::new();
    for offer in offers {
        if !accelerators.contains(&offer.accelerator.as_str()) {
            accelerators.push(&offer.accelerator);
        }
    }
    let cheapest = |accelerator: &str, sold: Pricing| {
        offers
            .iter()
            .filter(|offer| offer.accelerator == accelerator && offer.pricing == sold)
            .min_by(|a, b| {
                old(a).cmp(&old(b)).then(
                    a.usd_per_accelerator_hour()
                        .total_cmp(&b.usd_per_accelerator_hour()),
                )
            })
    };
    let cell = |offer: Option<&Offer>| {
        offer.map_or_else(
            || "-".to_owned(),
            |offer| {
                let provider: String = offer.provider.chars().take(9).collect();
                format!(
                    "{:.2} {provider}{}",
                    offer.usd_per_accelerator_hour(),
                    if old(offer) { "*" } else { "" }
                )
            },
        )
    };
    let mut any_old = false;
    let rows: Vec<Vec<String>> = accelerators
        .iter()
        .map(|accelerator| {
            let providers: std::collections::BTreeSet<&str> = offers
                .iter()
                .filter(|offer| offer.accelerator == **accelerator)
                .map(|offer| offer.provider.as_str())
                .collect();
            let sold = [Pricing::OnDemand, Pricing::Spot, Pricing::Reserved]
                .map(|sold| cheapest(accelerator, sold));
            any_old |= sold.iter().flatten().any(|offer| old(offer));
            let mut row = vec![(*accelerator).to_owned(), providers.len().to_string()];
            row.extend(sold.map(cell));
            row
        })
        .collect();
    printer.table(
        &[
            ("hardware", Align::Left),
            ("providers", Align::Right),
            ("on-demand", Align::Left),
            ("spot", Align::Left),
            ("reserved", Align::Left),
        ],
        &rows,
    );
    printer.line("");
    printer.sentence(&format!(
        "Dollars for one accelerator-hour, cheapest provider of each way of selling.{}",
        if any_old {
            format!(" *: the price is more than {STALE_AFTER_DAYS} days old.")
        } else {
            String::new()
        }
    ));
}
