//! Carbon intensity of electricity by cloud region and country.
//!
//! Collected by CodeCarbon 3.3.2 (MIT) from Ember and Our World in Data (CC BY 4.0) and from the providers.

use std::collections::HashMap;
use std::sync::LazyLock;

/// Carbon intensity and where it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct CarbonIntensity {
    /// Grams of CO2 equivalent for each kWh.
    pub g_co2e_per_kwh: f64,
    /// Which region or country, and the year.
    pub basis: String,
}

struct Grid {
    /// By ISO 3166 alpha-3 code: country, intensity, year.
    countries: HashMap<String, (String, f64, String)>,
    /// By provider and region: country code and own intensity.
    regions: HashMap<(String, String), (String, Option<f64>)>,
}

static GRID: LazyLock<Grid> = LazyLock::new(|| {
    let rows = |text: &'static str| {
        csv::Reader::from_reader(text.as_bytes())
            .into_records()
            .filter_map(Result::ok)
            .collect::<Vec<_>>()
    };
    let countries = rows(include_str!("../data/grid.csv"))
        .iter()
        .filter_map(|row| {
            Some((
                row.get(0)?.to_owned(),
                (
                    row.get(1)?.to_owned(),
                    row.get(2)?.parse().ok()?,
                    row.get(3)?.to_owned(),
                ),
            ))
        })
        .collect();
    let regions = rows(include_str!("../data/regions.csv"))
        .iter()
        .filter_map(|row| {
            let key = (row.get(0)?.to_owned(), row.get(1)?.to_ascii_lowercase());
            Some((key, (row.get(2)?.to_owned(), row.get(3)?.parse().ok())))
        })
        .collect();
    Grid { countries, regions }
});

/// Country codes of two letters that small providers use as regions.
const SHORT: &[(&str, &str)] = &[
    ("us", "USA"),
    ("ca", "CAN"),
    ("gb", "GBR"),
    ("uk", "GBR"),
    ("de", "DEU"),
    ("fr", "FRA"),
    ("nl", "NLD"),
    ("se", "SWE"),
    ("no", "NOR"),
    ("fi", "FIN"),
    ("is", "ISL"),
    ("in", "IND"),
    ("jp", "JPN"),
    ("sg", "SGP"),
    ("au", "AUS"),
    ("cz", "CZE"),
    ("ro", "ROU"),
    ("bg", "BGR"),
    ("pl", "POL"),
    ("es", "ESP"),
    ("it", "ITA"),
    ("ie", "IRL"),
    ("ch", "CHE"),
    ("at", "AUT"),
    ("il", "ISR"),
    ("br", "BRA"),
    ("kr", "KOR"),
    ("fin", "FIN"),
    ("ice", "ISL"),
    ("eu", "DEU"),
];

/// ISO alpha-3 code of a country, by that, its alpha-2 code or its English name.
fn country_code(country: &str) -> Option<&'static str> {
    let wanted = country.trim();
    let lower = wanted.to_ascii_lowercase();
    let code = SHORT.iter().find(|(short, _)| *short == lower).map_or_else(
        || wanted.to_ascii_uppercase(),
        |(_, long)| (*long).to_owned(),
    );
    GRID.countries
        .get_key_value(&code)
        .or_else(|| {
            GRID.countries
                .iter()
                .find(|(_, (name, _, _))| name.eq_ignore_ascii_case(wanted))
        })
        .map(|(code, _)| code.as_str())
}

/// ISO alpha-3 code of the country that a provider's region lies in.
pub(crate) fn country_of(provider: &str, region: &str) -> Option<String> {
    let lower = region.to_ascii_lowercase();
    let key = (provider.to_ascii_lowercase(), lower.clone());
    if let Some((country, _)) = GRID.regions.get(&key) {
        return Some(country.clone());
    }
    let first = lower.split(['-', ' ']).next().unwrap_or("");
    country_code(region)
        .or_else(|| country_code(first))
        .map(str::to_owned)
}

/// Intensity of a country by its ISO alpha-2 or alpha-3 code or English name.
pub fn country_intensity(country: &str) -> Option<CarbonIntensity> {
    let found = GRID.countries.get(country_code(country)?)?;
    Some(CarbonIntensity {
        g_co2e_per_kwh: found.1,
        basis: format!(
            "grid of {}, {} (Ember, Our World in Data)",
            found.0, found.2
        ),
    })
}

/// Intensity of a provider's region: the region's own, else its country's, else the world's average.
pub fn carbon_intensity(provider: &str, region: &str) -> CarbonIntensity {
    let key = (provider.to_ascii_lowercase(), region.to_ascii_lowercase());
    if let Some((_, Some(own))) = GRID.regions.get(&key) {
        return CarbonIntensity {
            g_co2e_per_kwh: *own,
            basis: format!("{provider} {region} (provider, via CodeCarbon)"),
        };
    }
    country_of(provider, region)
        .and_then(|country| country_intensity(&country))
        .unwrap_or_else(|| CarbonIntensity {
            g_co2e_per_kwh: 475.0,
            basis: "world average of 2018, the region is not known (IEA)".to_owned(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_fall_back_to_countries_and_the_world() {
        assert!(carbon_intensity("gcp", "europe-north1").g_co2e_per_kwh < 300.0);
        assert!(carbon_intensity("runpod", "SE").g_co2e_per_kwh < 100.0);
        assert!(
            carbon_intensity("lambda", "us-east-1")
                .basis
                .contains("United States")
        );
        assert_eq!(carbon_intensity("none", "atlantis").g_co2e_per_kwh, 475.0);
        assert!(country_intensity("Poland").is_some_and(|found| found.g_co2e_per_kwh > 300.0));
    }
}
