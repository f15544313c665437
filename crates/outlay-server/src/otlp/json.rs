//! OTLP's messages in JSON: names in camel case, whole numbers of 64 bits as texts or numbers, enumerations as numbers.

use serde_json::Value;

use super::message::{
    AnyValue, Data, ExponentialHistogram, ExponentialPoint, Gauge, Histogram, HistogramPoint,
    KeyValue, Metric, Number, NumberPoint, Plain, Quantile, Request, Resource, ResourceMetrics,
    ScopeMetrics, Sum, Summary, SummaryPoint,
};

type Read<T> = Result<T, String>;

/// Reads a request.
///
/// # Errors
///
/// What is no JSON, or a field that is not as it should be, by its name.
pub fn read(body: &[u8]) -> Read<Request> {
    let value: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if !value.is_object() {
        return Err("it is no JSON object".to_owned());
    }
    Ok(Request {
        resource_metrics: list(&value, "resourceMetrics", resource_metrics)?,
    })
}

fn wrong(name: &str, allowed: &str) -> String {
    format!("`{name}` is not as it should be; allowed: {allowed}")
}

/// A field that is there and not null.
fn field<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    value.get(name).filter(|value| !value.is_null())
}

fn list<T>(value: &Value, name: &str, read: impl Fn(&Value) -> Read<T>) -> Read<Vec<T>> {
    match field(value, name) {
        None => Ok(Vec::new()),
        Some(Value::Array(values)) => values.iter().map(read).collect(),
        Some(_) => Err(wrong(name, "a list")),
    }
}

fn object<'a>(value: &'a Value, name: &str) -> Read<Option<&'a Value>> {
    match field(value, name) {
        None => Ok(None),
        Some(value @ Value::Object(_)) => Ok(Some(value)),
        Some(_) => Err(wrong(name, "an object")),
    }
}

fn text(value: &Value, name: &str) -> Read<String> {
    match field(value, name) {
        None => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(wrong(name, "a text")),
    }
}

fn as_double(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            text => text.parse().ok(),
        },
        _ => None,
    }
}

fn double(value: &Value, name: &str) -> Read<Option<f64>> {
    match field(value, name) {
        None => Ok(None),
        Some(value) => as_double(value)
            .map(Some)
            .ok_or_else(|| wrong(name, "a number")),
    }
}

fn whole<T: TryFrom<i128> + std::str::FromStr>(value: &Value) -> Option<T> {
    match value {
        Value::Number(number) => {
            let wide = number
                .as_u64()
                .map(i128::from)
                .or_else(|| number.as_i64().map(i128::from))?;
            T::try_from(wide).ok()
        }
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

fn unsigned(value: &Value, name: &str) -> Read<u64> {
    field(value, name).map_or(Ok(0), |value| {
        whole(value).ok_or_else(|| wrong(name, "a whole number from 0"))
    })
}

fn flags(value: &Value) -> Read<u32> {
    u32::try_from(unsigned(value, "flags")?).map_err(|_| wrong("flags", "a number of 32 bits"))
}

/// A number, or the name that older clients write.
fn temporality(value: &Value) -> Read<i32> {
    const NAME: &str = "aggregationTemporality";
    match field(value, NAME) {
        None => Ok(0),
        Some(Value::String(text)) if text == "AGGREGATION_TEMPORALITY_DELTA" => Ok(1),
        Some(Value::String(text)) if text == "AGGREGATION_TEMPORALITY_CUMULATIVE" => Ok(2),
        Some(value) => whole::<i32>(value).ok_or_else(|| wrong(NAME, "0, 1 or 2")),
    }
}

fn attributes(value: &Value) -> Read<Vec<KeyValue>> {
    list(value, "attributes", |pair| {
        let value = object(pair, "value")?;
        let plain = match value {
            None => None,
            Some(value) => plain(value)?,
        };
        Ok(KeyValue {
            key: text(pair, "key")?,
            value: Some(AnyValue { value: plain }),
        })
    })
}

fn plain(value: &Value) -> Read<Option<Plain>> {
    if field(value, "stringValue").is_some() {
        return text(value, "stringValue").map(Plain::String).map(Some);
    }
    if let Some(flag) = field(value, "boolValue") {
        return flag
            .as_bool()
            .map(|flag| Some(Plain::Bool(flag)))
            .ok_or_else(|| wrong("boolValue", "true or false"));
    }
    if let Some(number) = field(value, "intValue") {
        return whole(number)
            .map(|number| Some(Plain::Int(number)))
            .ok_or_else(|| wrong("intValue", "a whole number"));
    }
    Ok(double(value, "doubleValue")?.map(Plain::Double))
}

fn resource_metrics(value: &Value) -> Read<ResourceMetrics> {
    let resource = match object(value, "resource")? {
        None => None,
        Some(resource) => Some(Resource {
            attributes: attributes(resource)?,
        }),
    };
    Ok(ResourceMetrics {
        resource,
        scope_metrics: list(value, "scopeMetrics", |scope| {
            Ok(ScopeMetrics {
                metrics: list(scope, "metrics", metric)?,
            })
        })?,
    })
}

fn metric(value: &Value) -> Read<Metric> {
    let data = if let Some(gauge) = object(value, "gauge")? {
        Some(Data::Gauge(Gauge {
            data_points: list(gauge, "dataPoints", number_point)?,
        }))
    } else if let Some(sum) = object(value, "sum")? {
        Some(Data::Sum(Sum {
            data_points: list(sum, "dataPoints", number_point)?,
            aggregation_temporality: temporality(sum)?,
        }))
    } else if let Some(histogram) = object(value, "histogram")? {
        Some(Data::Histogram(Histogram {
            data_points: list(histogram, "dataPoints", histogram_point)?,
            aggregation_temporality: temporality(histogram)?,
        }))
    } else if let Some(histogram) = object(value, "exponentialHistogram")? {
        Some(Data::ExponentialHistogram(ExponentialHistogram {
            data_points: list(histogram, "dataPoints", exponential_point)?,
            aggregation_temporality: temporality(histogram)?,
        }))
    } else if let Some(summary) = object(value, "summary")? {
        Some(Data::Summary(Summary {
            data_points: list(summary, "dataPoints", summary_point)?,
        }))
    } else {
        None
    };
    Ok(Metric {
        name: text(value, "name")?,
        data,
    })
}

fn number_point(value: &Value) -> Read<NumberPoint> {
    let number = match field(value, "asInt") {
        Some(number) => Some(Number::Int(
            whole(number).ok_or_else(|| wrong("asInt", "a whole number"))?,
        )),
        None => double(value, "asDouble")?.map(Number::Double),
    };
    Ok(NumberPoint {
        time_unix_nano: unsigned(value, "timeUnixNano")?,
        value: number,
        attributes: attributes(value)?,
        flags: flags(value)?,
    })
}

fn histogram_point(value: &Value) -> Read<HistogramPoint> {
    let count =
        |value: &Value| whole(value).ok_or_else(|| wrong("bucketCounts", "whole numbers from 0"));
    let bound = |value: &Value| as_double(value).ok_or_else(|| wrong("explicitBounds", "numbers"));
    Ok(HistogramPoint {
        time_unix_nano: unsigned(value, "timeUnixNano")?,
        count: unsigned(value, "count")?,
        sum: double(value, "sum")?,
        bucket_counts: list(value, "bucketCounts", count)?,
        explicit_bounds: list(value, "explicitBounds", bound)?,
        attributes: attributes(value)?,
        flags: flags(value)?,
        min: double(value, "min")?,
        max: double(value, "max")?,
    })
}

fn exponential_point(value: &Value) -> Read<ExponentialPoint> {
    Ok(ExponentialPoint {
        attributes: attributes(value)?,
        time_unix_nano: unsigned(value, "timeUnixNano")?,
        count: unsigned(value, "count")?,
        sum: double(value, "sum")?,
        flags: flags(value)?,
        min: double(value, "min")?,
        max: double(value, "max")?,
    })
}

fn summary_point(value: &Value) -> Read<SummaryPoint> {
    let quantile = |value: &Value| {
        Ok(Quantile {
            quantile: double(value, "quantile")?.unwrap_or(0.0),
            value: double(value, "value")?.unwrap_or(0.0),
        })
    };
    Ok(SummaryPoint {
        time_unix_nano: unsigned(value, "timeUnixNano")?,
        count: unsigned(value, "count")?,
        sum: double(value, "sum")?.unwrap_or(0.0),
        quantile_values: list(value, "quantileValues", quantile)?,
        attributes: attributes(value)?,
        flags: flags(value)?,
    })
}
