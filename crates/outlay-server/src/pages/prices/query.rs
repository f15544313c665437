//! What of the prices is shown, and in which order, as the address says.

use crate::query::{escaped, pairs};

/// Most bytes of a field.
const MOST_BYTES: usize = 200;

/// The fields.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Words that must all be in a row.
    pub words: String,
    /// `on-demand`, `spot` or `reserved`; empty: all.
    pub pricing: String,
    /// The column to sort by; empty: the usual one.
    pub sort: String,
    /// What trends are of: `tokens`, or accelerators.
    pub what: String,
}

impl Query {
    pub fn read(text: Option<&str>) -> Self {
        let mut query = Self::default();
        for (name, value) in pairs(text.unwrap_or_default()) {
            let value = value.trim().to_owned();
            let slot = match name.as_str() {
                "q" => &mut query.words,
                "pricing" => &mut query.pricing,
                "sort" => &mut query.sort,
                "what" => &mut query.what,
                _ => continue,
            };
            if value.len() <= MOST_BYTES {
                *slot = value;
            }
        }
        query
    }

    /// Whether every word is in one of the texts.
    pub fn finds(&self, texts: &[&str]) -> bool {
        let row = texts.join(" ").to_lowercase();
        self.words
            .to_lowercase()
            .split_whitespace()
            .all(|word| row.contains(word))
    }

    /// The address of the same list in another order.
    pub fn sorted_by(&self, column: &str) -> String {
        let mut out = format!("?sort={column}");
        for (name, value) in [("q", &self.words), ("pricing", &self.pricing)] {
            if !value.is_empty() {
                out.push_str(&format!("&{name}={}", escaped(value)));
            }
        }
        out
    }

    /// Whether a way of selling is chosen.
    pub fn sells(&self, pricing: &str) -> bool {
        self.pricing == pricing
    }
}

/// Where a figure was read: the address, where it begins with one, and the words.
#[derive(Clone, Debug)]
pub struct Origin {
    pub address: Option<String>,
    pub words: String,
}

impl Origin {
    pub fn of(source: &str) -> Self {
        let address = source
            .split_whitespace()
            .next()
            .filter(|word| word.starts_with("https://"));
        let words = match address {
            Some(address) => {
                let host = address.trim_start_matches("https://");
                let host = host.split(['/', '?']).next().unwrap_or(host);
                let rest = source[address.len()..].trim();
                format!("{host} {rest}").trim().to_owned()
            }
            None => source.to_owned(),
        };
        Self {
            address: address.map(str::to_owned),
            words,
        }
    }
}
