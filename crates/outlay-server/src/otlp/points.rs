//! OTLP's data points as the points of a run's metrics.
//!
//! A metric's name is its own, with the point's attributes behind it, in the order of their names: `gpu.power/gpu:0`.
//! Sums that count from the point before them (delta) end in `.delta`, and are never mixed with those that count from
//! the start. A histogram is its `.count`, `.sum`, `.min`, `.max` and its buckets, each with what lies at or below its
//! bound: `/le:0.5`; a summary its `.count`, `.sum` and quantiles: `/quantile:0.99`. A point's step is its attribute
//! `step`, or 0.

use std::collections::BTreeMap;

use outlay_ledger::{Microseconds, Point};

use super::message::{
    DELTA, Data, KeyValue, Metric, NO_VALUE, Number, NumberPoint, Plain, ResourceMetrics,
};
use crate::mlflow::limits;

/// Most buckets of a histogram that are kept; those of a wider one are left out, and its other numbers kept.
const BUCKETS: usize = 200;

/// The points of a resource, by metric.
#[derive(Debug, Default)]
pub struct Mapped {
    /// Points, by name.
    pub series: BTreeMap<String, Vec<Point>>,
    /// Data points that were taken.
    pub n_taken: i64,
    /// Data points that were not.
    pub n_rejected: i64,
    /// Why the first of them was not.
    pub why: Option<String>,
}

/// Maps all points of a resource.
pub fn mapped(metrics: &ResourceMetrics, now_us: Microseconds) -> Mapped {
    let mut mapped = Mapped::default();
    for metric in metrics
        .scope_metrics
        .iter()
        .flat_map(|scope| &scope.metrics)
    {
        of_metric(metric, now_us, &mut mapped);
    }
    mapped
}

/// The part of a name that an attribute is: what names of metrics cannot hold becomes `_`.
fn plain_name(text: &str) -> String {
    text.chars()
        .map(|one| {
            if one.is_alphanumeric() || "_.- ".contains(one) {
                one
            } else {
                '_'
            }
        })
        .collect()
}

/// A point's place: what its attributes say, and its instant.
struct Place {
    behind: String,
    step: i64,
    at_us: Microseconds,
}

fn place(attributes: &[KeyValue], time_unix_nano: u64, now_us: Microseconds) -> Place {
    let mut step = 0;
    let mut parts: Vec<String> = Vec::new();
    for attribute in attributes {
        let value = attribute
            .value
            .as_ref()
            .and_then(|value| value.value.as_ref());
        if let ("step", Some(Plain::Int(number))) = (attribute.key.as_str(), value) {
            step = *number;
        } else if let Some(text) = attribute.text() {
            parts.push(format!(
                "/{}:{}",
                plain_name(&attribute.key),
                plain_name(&text)
            ));
        }
    }
    parts.sort_unstable();
    Place {
        behind: parts.concat(),
        step,
        at_us: match i64::try_from(time_unix_nano / 1000) {
            Ok(0) | Err(_) => now_us,
            Ok(at_us) => at_us,
        },
    }
}

impl Mapped {
    /// Takes the values of one data point: all of them or none.
    fn take(&mut self, name: &str, place: &Place, values: Vec<(String, f64)>) {
        let mut named = Vec::with_capacity(values.len());
        for (what, value) in values {
            let key = format!("{name}{what}");
            match limits::metric(&key, value, place.at_us.div_euclid(1000), "") {
                Ok(()) => named.push((key, value)),
                Err(error) => return self.reject(error.message),
            }
        }
        self.n_taken += 1;
        for (key, value) in named {
            self.series.entry(key).or_default().push(Point {
                step: place.step,
                at_us: place.at_us,
                value,
            });
        }
    }

    fn reject(&mut self, why: String) {
        self.n_rejected += 1;
        self.why.get_or_insert(why);
    }

    fn numbers(&mut self, name: &str, points: &[NumberPoint], now_us: Microseconds) {
        for point in points {
            if point.flags & NO_VALUE != 0 {
                self.n_taken += 1;
                continue;
            }
            let place = place(&point.attributes, point.time_unix_nano, now_us);
            match point.value {
                Some(Number::Double(value)) => {
                    self.take(name, &place, vec![(place.behind.clone(), value)]);
                }
                Some(Number::Int(value)) => {
                    self.take(name, &place, vec![(place.behind.clone(), value as f64)]);
                }
                None => self.reject(format!("a point of `{name}` has no value")),
            }
        }
    }
}

/// Numbers of a distribution, as far as they are known.
fn distribution(
    behind: &str,
    count: u64,
    sum: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
) -> Vec<(String, f64)> {
    let mut values = vec![(format!(".count{behind}"), count as f64)];
    for (what, value) in [("sum", sum), ("min", min), ("max", max)] {
        if let Some(value) = value {
            values.push((format!(".{what}{behind}"), value));
        }
    }
    values
}

/// What a bound is called.
fn bound_name(bound: f64) -> String {
    format!("{bound}").replace('+', "")
}

fn of_metric(metric: &Metric, now_us: Microseconds, mapped: &mut Mapped) {
    let name = metric.name.as_str();
    let delta = |temporality: i32| {
        if temporality == DELTA {
            format!("{name}.delta")
        } else {
            name.to_owned()
        }
    };
    match &metric.data {
        None => {}
        Some(Data::Gauge(gauge)) => mapped.numbers(name, &gauge.data_points, now_us),
        Some(Data::Sum(sum)) => mapped.numbers(
            &delta(sum.aggregation_temporality),
            &sum.data_points,
            now_us,
        ),
        Some(Data::Histogram(histogram)) => {
            let name = delta(histogram.aggregation_temporality);
            for point in &histogram.data_points {
                if point.flags & NO_VALUE != 0 {
                    mapped.n_taken += 1;
                    continue;
                }
                let (n_counts, n_bounds) = (point.bucket_counts.len(), point.explicit_bounds.len());
                if n_counts > 0 && n_counts != n_bounds + 1 {
                    mapped.reject(format!("a point of `{name}` has {n_counts} buckets and {n_bounds} bounds; allowed: one more"));
                    continue;
                }
                let place = place(&point.attributes, point.time_unix_nano, now_us);
                let mut values =
                    distribution(&place.behind, point.count, point.sum, point.min, point.max);
                if n_bounds <= BUCKETS {
                    let mut below = 0_u64;
                    for (bound, count) in point.explicit_bounds.iter().zip(&point.bucket_counts) {
                        below = below.saturating_add(*count);
                        values.push((
                            format!("{}/le:{}", place.behind, bound_name(*bound)),
                            below as f64,
                        ));
                    }
                }
                mapped.take(&name, &place, values);
            }
        }
        Some(Data::ExponentialHistogram(histogram)) => {
            let name = delta(histogram.aggregation_temporality);
            for point in &histogram.data_points {
                if point.flags & NO_VALUE != 0 {
                    mapped.n_taken += 1;
                    continue;
                }
                let place = place(&point.attributes, point.time_unix_nano, now_us);
                let values =
                    distribution(&place.behind, point.count, point.sum, point.min, point.max);
                mapped.take(&name, &place, values);
            }
        }
        Some(Data::Summary(summary)) => {
            for point in &summary.data_points {
                if point.flags & NO_VALUE != 0 {
                    mapped.n_taken += 1;
                    continue;
                }
                let place = place(&point.attributes, point.time_unix_nano, now_us);
                let mut values =
                    distribution(&place.behind, point.count, Some(point.sum), None, None);
                for quantile in point.quantile_values.iter().take(BUCKETS) {
                    let what = format!(
                        "{}/quantile:{}",
                        place.behind,
                        bound_name(quantile.quantile)
                    );
                    values.push((what, quantile.value));
                }
                mapped.take(name, &place, values);
            }
        }
    }
}
