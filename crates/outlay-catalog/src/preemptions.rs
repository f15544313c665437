//! How often spot nodes are taken away.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::offer::Offer;

/// Preemptions a day that a node is taken to suffer where nothing is known; those measured range from none in days to twelve
/// a day.
pub const USUAL_PREEMPTIONS_PER_NODE_DAY: f64 = 1.0;

/// How often an offer's nodes are taken away.
#[derive(Clone, Debug, PartialEq)]
pub struct Preemptions {
    /// For each node and day in which it is held.
    pub per_node_day: f64,
    /// Accelerators of such a node; `None`: as many as the accelerator's servers hold.
    pub accelerators: Option<u32>,
    /// Where the rate comes from.
    pub basis: String,
}

#[derive(Debug, Deserialize)]
struct Measured {
    provider: String,
    accelerator: String,
    region: String,
    accelerators: u32,
    per_node_day: f64,
    node_days: f64,
    source: String,
}

static MEASURED: LazyLock<Vec<Measured>> = LazyLock::new(|| {
    csv::Reader::from_reader(include_str!("../data/preemptions.csv").as_bytes())
        .deserialize()
        .filter_map(Result::ok)
        .collect()
});

impl Offer {
    /// How often its nodes are taken away: the rate of its own price list, one measured for its provider, accelerator and
    /// region (a zone of which counts, too), or the usual one.
    ///
    /// ```
    /// let mut offer = outlay_catalog::builtin_offers()[0].clone();
    /// offer.preemptions_per_node_day = Some(0.2);
    /// assert_eq!(offer.preemptions().per_node_day, 0.2);
    /// ```
    pub fn preemptions(&self) -> Preemptions {
        if let Some(per_node_day) = self.preemptions_per_node_day {
            return Preemptions {
                per_node_day,
                accelerators: Some(self.count),
                basis: "the price list's own rate".to_owned(),
            };
        }
        let measured = MEASURED.iter().find(|row| {
            row.provider.eq_ignore_ascii_case(&self.provider)
                && row.accelerator == self.accelerator
                && self.region.starts_with(&row.region)
        });
        match measured {
            Some(row) => Preemptions {
                per_node_day: row.per_node_day,
                accelerators: Some(row.accelerators),
                basis: format!("measured over {} node-days: {}", row.node_days, row.source),
            },
            None => Preemptions {
                per_node_day: USUAL_PREEMPTIONS_PER_NODE_DAY,
                accelerators: None,
                basis: "assumed, as no rate of this offer is known".to_owned(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Pricing, parse_offers};

    #[test]
    fn rates_come_from_the_list_a_measurement_or_an_assumption() {
        let head = "provider,instance,accelerator,count,usd_per_hour,pricing,region,as_of,source";
        let row = "AWS,p3.2xlarge,V100-16GB-SXM,1,0.9,spot,us-east-2b,2026-11-01,test";
        let read = |text: String| parse_offers(&text, "mine.csv");
        let plain = read(format!("{head}\n{row}\n")).unwrap();
        assert_eq!(plain[0].pricing, Pricing::Spot);
        assert_eq!(plain[0].preemptions().per_node_day, 1.44);
        assert!(plain[0].preemptions().basis.contains("52.1 node-days"));
        let own = read(format!("{head},preemptions_per_node_day\n{row},0.25\n")).unwrap();
        assert_eq!(own[0].preemptions().per_node_day, 0.25);
        let empty = read(format!("{head},preemptions_per_node_day\n{row},\n")).unwrap();
        assert_eq!(empty[0], plain[0]);
        let mut elsewhere = plain[0].clone();
        elsewhere.region = "eu-west-1".to_owned();
        assert_eq!(
            elsewhere.preemptions().per_node_day,
            USUAL_PREEMPTIONS_PER_NODE_DAY
        );
        for wrong in ["-1", "1001", "often"] {
            let error =
                read(format!("{head},preemptions_per_node_day\n{row},{wrong}\n")).unwrap_err();
            assert!(error.to_string().contains("mine.csv"), "{error}");
        }
        // What is written is read again.
        let written = crate::write_offers(&own).unwrap();
        assert_eq!(parse_offers(&written, "mine.csv").unwrap(), own);
    }
}
