//! Reads SkyPilot catalogs: a folder of `<cloud>/vms.csv`.
//!
//! Counts come as floats, prices may be empty, a row stands for each zone, and the memory in `GpuInfo` is GiB under
//! a MiB label in some catalogs. What cannot be told is left out with a finding; a price is never guessed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::hardware::find_accelerator;
use crate::offer::{Finding, Offer, OfferError, Pricing};

/// Reads every `vms.csv` below a folder such as `~/.sky` or `~/.sky/catalogs/v8`.
///
/// # Errors
/// [`OfferError`] where the folder cannot be read, holds no `vms.csv`, or a file is no catalog.
pub fn read_folder(folder: &Path) -> Result<(Vec<Offer>, Vec<Finding>), OfferError> {
    let mut files = Vec::new();
    collect(folder, 4, &mut files)?;
    if files.is_empty() {
        return Err(OfferError::Unreadable {
            file: folder.display().to_string(),
            message: "no vms.csv below it; SkyPilot keeps them in ~/.sky/catalogs".to_owned(),
        });
    }
    files.sort();
    let (mut offers, mut findings) = (Vec::new(), Vec::new());
    for file in files {
        let provider = file
            .parent()
            .and_then(Path::file_name)
            .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let text = std::fs::read_to_string(&file).map_err(|error| OfferError::Unreadable {
            file: file.display().to_string(),
            message: error.to_string(),
        })?;
        let day = std::fs::metadata(&file)
            .and_then(|data| data.modified())
            .ok()
            .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok())
            .map_or_else(String::new, |since| {
                outlay_units::date_of_day((since.as_secs() / 86_400) as i64)
            });
        let (more, found) = parse_vms_csv(&provider, &text, &file.display().to_string(), &day)?;
        offers.extend(more);
        findings.extend(found);
    }
    Ok((offers, findings))
}

fn collect(folder: &Path, depth: u32, out: &mut Vec<std::path::PathBuf>) -> Result<(), OfferError> {
    let entries = std::fs::read_dir(folder).map_err(|error| OfferError::Unreadable {
        file: folder.display().to_string(),
        message: error.to_string(),
    })?;
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() && depth > 0 {
            collect(&path, depth - 1, out)?;
        } else if path.file_name().is_some_and(|name| name == "vms.csv") {
            out.push(path);
        }
    }
    Ok(())
}

/// Reads one catalog. `as_of` is the day of the file, `YYYY-MM-DD`.
///
/// # Errors
/// [`OfferError::Syntax`] where a column that is needed is missing or the text is no CSV.
pub fn parse_vms_csv(
    provider: &str,
    text: &str,
    file: &str,
    as_of: &str,
) -> Result<(Vec<Offer>, Vec<Finding>), OfferError> {
    let fail = |message: String| OfferError::Syntax {
        file: file.to_owned(),
        message,
    };
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .from_reader(text.as_bytes());
    let header = reader
        .headers()
        .map_err(|error| fail(error.to_string()))?
        .clone();
    let column = |name: &str| header.iter().position(|field| field.trim() == name);
    let need =
        |name: &str| column(name).ok_or_else(|| fail(format!("the header has no column `{name}`")));
    let (instance, name, number, price) = (
        need("InstanceType")?,
        need("AcceleratorName")?,
        need("AcceleratorCount")?,
        need("Price")?,
    );
    let (region, spot, info) = (column("Region"), column("SpotPrice"), column("GpuInfo"));
    let mut left_out: BTreeMap<String, usize> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut offers = Vec::new();
    for row in reader.records() {
        let row = row.map_err(|error| fail(error.to_string()))?;
        let cell =
            |index: Option<usize>| index.and_then(|index| row.get(index)).unwrap_or("").trim();
        let accelerator = cell(Some(name));
        if accelerator.is_empty() {
            continue;
        }
        let mut skip = |why: String| *left_out.entry(why).or_default() += 1;
        let count = match cell(Some(number)).parse::<f64>() {
            Ok(count) if (1.0..=1024.0).contains(&count) && count.fract() == 0.0 => count as u32,
            _ => {
                skip(format!(
                    "AcceleratorCount `{}` is no whole number of accelerators",
                    cell(Some(number))
                ));
                continue;
            }
        };
        let Some(id) = identify(accelerator, cell(info), count) else {
            skip(format!("accelerator `{accelerator}` is not known"));
            continue;
        };
        for (index, pricing) in [(Some(price), Pricing::OnDemand), (spot, Pricing::Spot)] {
            let text = cell(index);
            if text.is_empty() {
                if pricing == Pricing::OnDemand {
                    skip(format!("{accelerator} without a price"));
                }
                continue;
            }
            match text.parse::<f64>() {
                Ok(usd_per_hour) if (0.001..=1e6).contains(&usd_per_hour) => {
                    let key = (
                        cell(Some(instance)).to_owned(),
                        cell(region).to_owned(),
                        text.to_owned(),
                        pricing == Pricing::Spot,
                    );
                    if seen.insert(key) {
                        offers.push(Offer {
                            provider: provider.to_owned(),
                            instance: cell(Some(instance)).to_owned(),
                            accelerator: id.to_owned(),
                            count,
                            usd_per_hour,
                            pricing,
                            region: cell(region).to_owned(),
                            as_of: as_of.to_owned(),
                            source: file.to_owned(),
                            preemptions_per_node_day: None,
                            projected: None,
                        });
                    }
                }
                _ => skip(format!("price `{text}` is no price")),
            }
        }
    }
    let findings = left_out
        .into_iter()
        .map(|(message, n_rows)| Finding {
            file: file.to_owned(),
            message,
            n_rows,
        })
        .collect();
    Ok((offers, findings))
}

/// Built-in id of a catalog's accelerator. `A100` is the 40 GB board and `A100-80GB` the 80 GB one in these catalogs;
/// the maker's name in `GpuInfo` tells PCIe from SXM.
fn identify(name: &str, info: &str, count: u32) -> Option<&'static str> {
    let pcie = info.contains("PCIe") || info.contains("PCIE");
    let wanted = match (name, pcie) {
        ("A100", false) => "A100-40GB-SXM",
        ("A100", true) => "A100-40GB-PCIe",
        ("A100-80GB", true) => "A100-80GB-PCIe",
        ("H100", true) => "H100-PCIe",
        ("V100" | "V100-32GB", _) => match memory_gib(info, count) {
            Some(memory) if memory > 24.0 => "V100-32GB-SXM",
            _ if name == "V100-32GB" => "V100-32GB-SXM",
            _ => "V100-16GB-SXM",
        },
        (other, _) => other,
    };
    find_accelerator(wanted)
        .ok()
        .map(|accelerator| accelerator.id.as_str())
}

/// Memory of one board in GiB from `GpuInfo`, whatever its label says: figures of up to 1,024 are GiB; those of a
/// whole instance are divided by the count where they would be too large for a board.
fn memory_gib(info: &str, count: u32) -> Option<f64> {
    let digits = info.split("SizeInMiB").nth(1)?;
    let digits: String = digits
        .chars()
        .skip_while(|c| !c.is_ascii_digit())
        .take_while(char::is_ascii_digit)
        .collect();
    let figure: f64 = digits.parse().ok()?;
    let gib = if figure <= 1024.0 {
        figure
    } else {
        figure / 1024.0
    };
    Some(if gib > 300.0 {
        gib / f64::from(count)
    } else {
        gib
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CATALOG: &str = "InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,Price,Region,GpuInfo,SpotPrice\n\
cpu,,,4.0,16.0,0.2,us-east-1,,\n\
a,A100-80GB,1.0,8,117,1.39,IN,\"{'Gpus': [{'Name': 'A100 PCIe', 'MemoryInfo': {'SizeInMiB': 80}}]}\",0.9\n\
a,A100-80GB,1.0,8,117,1.39,IN,\"{'Gpus': [{'Name': 'A100 PCIe', 'MemoryInfo': {'SizeInMiB': 80}}]}\",0.9\n\
v,V100,8.0,88,448,6.32,us-east-1,\"{'Gpus': [{'Name': 'V100', 'MemoryInfo': {'SizeInMiB': 16384}}]}\",\n\
h,H100,8.0,88,448,,us-east-1,,\n\
x,Quantum9000,1.0,1,1,1.0,us-east-1,,\n";

    #[test]
    fn reads_the_quirks_without_guessing() {
        let (offers, findings) = parse_vms_csv("lambda", CATALOG, "vms.csv", "2026-06-01").unwrap();
        let brief: Vec<(&str, u32, f64, Pricing)> = offers
            .iter()
            .map(|offer| {
                (
                    offer.accelerator.as_str(),
                    offer.count,
                    offer.usd_per_hour,
                    offer.pricing,
                )
            })
            .collect();
        assert_eq!(
            brief,
            [
                ("A100-80GB-PCIe", 1, 1.39, Pricing::OnDemand),
                ("A100-80GB-PCIe", 1, 0.9, Pricing::Spot),
                ("V100-16GB-SXM", 8, 6.32, Pricing::OnDemand),
            ]
        );
        let said: Vec<String> = findings.iter().map(ToString::to_string).collect();
        assert!(
            said.iter()
                .any(|line| line.contains("H100 without a price")),
            "{said:?}"
        );
        assert!(
            said.iter().any(|line| line.contains("Quantum9000")),
            "{said:?}"
        );
    }

    #[test]
    fn a_missing_column_is_named() {
        let error = parse_vms_csv(
            "x",
            "InstanceType,AcceleratorName,AcceleratorCount\n",
            "my/vms.csv",
            "",
        )
        .unwrap_err();
        assert!(
            error.to_string().contains("my/vms.csv") && error.to_string().contains("`Price`"),
            "{error}"
        );
    }

    proptest::proptest! {
        #[test]
        fn any_rows_are_no_panic(rows in "([a-zA-Z0-9.,'{}:-]{0,60}\\n){0,5}") {
            let text = format!("InstanceType,AcceleratorName,AcceleratorCount,Price,GpuInfo,SpotPrice\n{rows}");
            let _ = parse_vms_csv("x", &text, "x", "");
        }
    }
}
