use std::io::Write;

use proptest::prelude::*;

use super::message::{
    AnyValue, Data, Gauge, Histogram, HistogramPoint, Metric, Number, NumberPoint, Plain, Quantile,
    Resource, ScopeMetrics, Sum, Summary, SummaryPoint,
};
use super::*;

fn text(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(Plain::String(value.to_owned())),
        }),
    }
}

fn of(metrics: Vec<Metric>) -> ResourceMetrics {
    ResourceMetrics {
        resource: Some(Resource {
            attributes: vec![text("service.name", "train")],
        }),
        scope_metrics: vec![ScopeMetrics { metrics }],
    }
}

fn metric(name: &str, data: Data) -> Metric {
    Metric {
        name: name.to_owned(),
        data: Some(data),
    }
}

fn number(at_s: u64, value: Number, attributes: Vec<KeyValue>) -> NumberPoint {
    NumberPoint {
        time_unix_nano: at_s * 1_000_000_000,
        value: Some(value),
        attributes,
        flags: 0,
    }
}

/// Names with their values, steps and seconds.
fn seen(mapped: &Mapped) -> Vec<(String, f64, i64, i64)> {
    let points = |(key, points): (&String, &Vec<outlay_ledger::Point>)| {
        let key = key.clone();
        points
            .iter()
            .map(|point| {
                (
                    key.clone(),
                    point.value,
                    point.step,
                    point.at_us / 1_000_000,
                )
            })
            .collect::<Vec<_>>()
    };
    mapped.series.iter().flat_map(points).collect()
}

fn at(key: &str, value: f64) -> (String, f64, i64, i64) {
    (key.to_owned(), value, 0, 5)
}

#[test]
fn each_kind_of_metric_becomes_points() {
    let step = KeyValue {
        key: "step".to_owned(),
        value: Some(AnyValue {
            value: Some(Plain::Int(7)),
        }),
    };
    let gauge = Gauge {
        data_points: vec![
            number(
                5,
                Number::Double(0.5),
                vec![text("gpu", "0"), text("a", "x/y")],
            ),
            number(5, Number::Int(3), vec![step]),
        ],
    };
    let sum = Sum {
        data_points: vec![number(5, Number::Int(9), Vec::new())],
        aggregation_temporality: message::DELTA,
    };
    let histogram = Histogram {
        data_points: vec![HistogramPoint {
            time_unix_nano: 5_000_000_000,
            count: 6,
            sum: Some(1.5),
            bucket_counts: vec![1, 2, 3],
            explicit_bounds: vec![0.1, 1.0],
            ..HistogramPoint::default()
        }],
        aggregation_temporality: 2,
    };
    let summary = Summary {
        data_points: vec![SummaryPoint {
            time_unix_nano: 5_000_000_000,
            count: 4,
            sum: 2.0,
            quantile_values: vec![Quantile {
                quantile: 0.99,
                value: 0.7,
            }],
            ..SummaryPoint::default()
        }],
    };
    let mapped = mapped(
        &of(vec![
            metric("util", Data::Gauge(gauge)),
            metric("tokens", Data::Sum(sum)),
            metric("time", Data::Histogram(histogram)),
            metric("wait", Data::Summary(summary)),
        ]),
        0,
    );
    assert_eq!(
        (mapped.n_taken, mapped.n_rejected),
        (5, 0),
        "{:?}",
        mapped.why
    );
    assert_eq!(
        seen(&mapped),
        [
            at("time.count", 6.0),
            at("time.sum", 1.5),
            at("time/le:0.1", 1.0),
            at("time/le:1", 3.0),
            at("tokens.delta", 9.0),
            ("util".to_owned(), 3.0, 7, 5),
            at("util/a:x_y/gpu:0", 0.5),
            at("wait.count", 4.0),
            at("wait.sum", 2.0),
            at("wait/quantile:0.99", 0.7),
        ]
    );
}

#[test]
fn json_says_the_same_as_protobuf() {
    let as_json = br#"{"resourceMetrics": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "train"}}]},
        "scopeMetrics": [{"metrics": [{"name": "loss", "gauge": {"dataPoints": [
            {"timeUnixNano": "5000000000", "asDouble": 0.5, "attributes": [{"key": "step", "value": {"intValue": "7"}}]},
            {"timeUnixNano": 5000000000, "asInt": "-3"}, {"timeUnixNano": "5000000000", "asDouble": "NaN", "flags": 1}]}}]}]}]}"#;
    let read = json::read(as_json).expect("is a request");
    let points = &read.resource_metrics[0];
    assert_eq!(
        seen(&mapped(points, 0)),
        [
            ("loss".to_owned(), 0.5, 7, 5),
            ("loss".to_owned(), -3.0, 0, 5)
        ]
    );
    let packed = read.encode_to_vec();
    let again = Request::decode(&packed[..]).expect("is a request");
    assert_eq!(seen(&mapped(&again.resource_metrics[0], 0)).len(), 2);
    for bad in [
        &b"[]"[..],
        b"{",
        br#"{"resourceMetrics": 3}"#,
        br#"{"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": 3}]}]}]}"#,
        br#"{"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"gauge": {"dataPoints": [{"asInt": "x"}]}}]}]}]}"#,
    ] {
        assert!(json::read(bad).is_err(), "{}", String::from_utf8_lossy(bad));
    }
}

#[test]
fn points_that_cannot_be_kept_are_counted() {
    let no_value = NumberPoint {
        value: None,
        ..number(5, Number::Int(1), Vec::new())
    };
    let long = number(5, Number::Int(1), vec![text("a", &"x".repeat(300))]);
    let uneven = HistogramPoint {
        bucket_counts: vec![1],
        explicit_bounds: vec![1.0, 2.0],
        ..HistogramPoint::default()
    };
    let gauge = Gauge {
        data_points: vec![no_value, long, number(5, Number::Int(1), Vec::new())],
    };
    let histogram = Histogram {
        data_points: vec![uneven],
        aggregation_temporality: 2,
    };
    let mapped = mapped(
        &of(vec![
            metric("a", Data::Gauge(gauge)),
            metric("b", Data::Histogram(histogram)),
            metric(
                "../c",
                Data::Gauge(Gauge {
                    data_points: vec![number(5, Number::Int(1), Vec::new())],
                }),
            ),
        ]),
        0,
    );
    assert_eq!((mapped.n_taken, mapped.n_rejected), (1, 4));
    assert!(mapped.why.is_some_and(|why| why.contains("no value")));
}

#[test]
fn a_bomb_is_refused_before_it_fills_the_memory() {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_ENCODING, "gzip".parse().expect("a value"));
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let zeros = vec![0; 1 << 20];
    for _ in 0..65 {
        packer.write_all(&zeros).expect("packs");
    }
    let packed = packer.finish().expect("packs");
    let error = unpacked(&headers, packed.into())
        .err()
        .map(|error| error.status);
    assert_eq!(error, Some(StatusCode::PAYLOAD_TOO_LARGE));
    let error = unpacked(&headers, Bytes::from_static(b"no gzip"))
        .err()
        .map(|error| error.status);
    assert_eq!(error, Some(StatusCode::BAD_REQUEST));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        for form in [Form::Protobuf, Form::Json] {
            if let Ok(request) = read(form, &bytes) {
                for resource in &request.resource_metrics {
                    let _ = mapped(resource, 7);
                }
            }
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_ENCODING, "gzip".parse().expect("a value"));
        let _ = unpacked(&headers, bytes.into());
    }

    #[test]
    fn changed_requests_are_read_or_refused(at in 0_usize..200, byte in any::<u8>(), nano in any::<u64>(), value in any::<f64>(), bounds in proptest::collection::vec(any::<f64>(), 0..5), counts in proptest::collection::vec(any::<u64>(), 0..6)) {
        let point = HistogramPoint { time_unix_nano: nano, count: u64::MAX, sum: Some(value), bucket_counts: counts, explicit_bounds: bounds, ..HistogramPoint::default() };
        let request = Request { resource_metrics: vec![of(vec![metric("h", Data::Histogram(Histogram { data_points: vec![point], aggregation_temporality: 1 }))])] };
        let _ = mapped(&request.resource_metrics[0], 7);
        let mut bytes = request.encode_to_vec();
        if let Some(one) = bytes.get_mut(at) {
            *one = byte;
        }
        if let Ok(request) = read(Form::Protobuf, &bytes) {
            for resource in &request.resource_metrics {
                let _ = mapped(resource, 7);
            }
        }
    }
}
