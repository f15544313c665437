//! What training scripts say of their runs: metrics, parameters, tags, data and models.

use std::borrow::Cow;

use axum::extract::State;
use outlay_ledger::{Batch, Dataset, Label, ModelPoint, Point, RunChange, RunModel, Series};
use serde::Deserialize;
use serde_json::Value;

use super::ask::{self, Ask, JsonBody};
use super::error::ApiError;
use super::runs::RUN_NAME;
use super::{Reply, limits, nothing, wire};
use crate::App;

/// The tag that carries the models that a run logged the old way.
const LOGGED_MODELS: &str = "mlflow.log-model.history";

/// A metric as a request gives it.
struct Given {
    key: String,
    point: Point,
    model_id: String,
    dataset_name: String,
    dataset_digest: String,
}

/// Reads a metric. `path` says which of a batch it is.
fn read_metric(ask: &Ask, path: &str) -> Result<Given, ApiError> {
    let missing = |name: &str| {
        if path.is_empty() {
            ask::required(name)
        } else {
            ask::refused_see(&format!(
                "Missing value for required parameter '{path}.{name}'."
            ))
        }
    };
    let key = ask
        .text("key")?
        .filter(|key| !key.is_empty())
        .ok_or_else(|| missing("key"))?;
    let value = ask.number("value")?.ok_or_else(|| missing("value"))?;
    let timestamp = ask
        .integer("timestamp")?
        .ok_or_else(|| missing("timestamp"))?;
    let step = ask.integer("step")?.unwrap_or(0);
    limits::metric(&key, value, timestamp, path)?;
    Ok(Given {
        key,
        point: Point {
            step,
            at_us: timestamp * 1000,
            value,
        },
        model_id: ask.text("model_id")?.unwrap_or_default(),
        dataset_name: ask.text("dataset_name")?.unwrap_or_default(),
        dataset_digest: ask.text("dataset_digest")?.unwrap_or_default(),
    })
}

/// Metrics as the ledger takes them.
fn add_metrics(batch: &mut Batch, run_id: &str, metrics: Vec<Given>) {
    for given in metrics {
        if !given.model_id.is_empty() {
            batch.model_points.push(ModelPoint {
                model_id: given.model_id,
                run_id: run_id.to_owned(),
                key: given.key.clone(),
                point: given.point,
                dataset_name: given.dataset_name,
                dataset_digest: given.dataset_digest,
            });
        }
        match batch
            .series
            .last_mut()
            .filter(|series| series.key == given.key)
        {
            Some(series) => series.points.push(given.point),
            None => batch.series.push(Series {
                run_id: run_id.to_owned(),
                key: given.key,
                points: vec![given.point],
            }),
        }
    }
}

/// Writes what a run says of itself.
async fn write(app: &App, run_id: String, mut batch: Batch, what: &'static str) -> Reply {
    batch.active.push(run_id.clone());
    app.ledger().write(batch).await?;
    app.tell(&run_id, what);
    nothing()
}

pub async fn log_metric(State(app): State<App>, ask: Ask) -> Reply {
    let run_id = ask.run_id()?;
    let given = read_metric(&ask, "")?;
    let mut batch = Batch::default();
    add_metrics(&mut batch, &run_id, vec![given]);
    write(&app, run_id, batch, "metric").await
}

pub async fn log_param(State(app): State<App>, ask: Ask) -> Reply {
    let run_id = ask.run_id()?;
    let key = ask.required("key")?;
    let value = ask.text("value")?.unwrap_or_default();
    let value = limits::param(&key, value, "", app.settings().truncate_long_values)?;
    let batch = Batch {
        params: vec![Label {
            run_id: run_id.clone(),
            key,
            value,
        }],
        ..Batch::default()
    };
    write(&app, run_id, batch, "param").await
}

/// A tag; the one that carries the run's name renames it.
fn add_tag(batch: &mut Batch, run_id: &str, key: String, value: String) {
    if key == RUN_NAME && !value.is_empty() {
        batch.changes.push(RunChange {
            id: run_id.to_owned(),
            name: Some(value.clone()),
            ..RunChange::default()
        });
    }
    batch.tags.push(Label {
        run_id: run_id.to_owned(),
        key,
        value,
    });
}

pub async fn set_tag(State(app): State<App>, ask: Ask) -> Reply {
    let run_id = ask.run_id()?;
    let key = ask.required("key")?;
    let value = ask.text("value")?.unwrap_or_default();
    let value = limits::tag(&key, value, "", app.settings().truncate_long_values)?;
    let mut batch = Batch::default();
    add_tag(&mut batch, &run_id, key, value);
    write(&app, run_id, batch, "tag").await
}

pub async fn delete_tag(State(app): State<App>, ask: Ask) -> Reply {
    let run_id = ask.required("run_id")?;
    let batch = Batch {
        removed_tags: vec![(run_id.clone(), ask.required("key")?)],
        ..Batch::default()
    };
    write(&app, run_id, batch, "tag").await
}

/// A batch as clients write it, field by field as documented and of the documented types.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainBatch<'a> {
    #[serde(borrow)]
    run_id: Cow<'a, str>,
    #[serde(borrow, default)]
    metrics: Vec<PlainMetric<'a>>,
    #[serde(borrow, default)]
    params: Vec<PlainLabel<'a>>,
    #[serde(borrow, default)]
    tags: Vec<PlainLabel<'a>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainMetric<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    value: f64,
    timestamp: i64,
    #[serde(default)]
    step: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainLabel<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(borrow)]
    value: Cow<'a, str>,
}

/// Reads a batch in which all is as documented, without a tree of values between, in a quarter of the time; `None` for any
/// other, which is then read field by field, where it is said what is wrong.
fn plain_batch(body: &[u8], truncate: bool) -> Option<(String, Batch)> {
    if body.len() > ask::BATCH_BYTES {
        return None;
    }
    let plain: PlainBatch<'_> = serde_json::from_slice(body).ok()?;
    let PlainBatch {
        run_id,
        metrics,
        params,
        tags,
    } = plain;
    if run_id.is_empty() {
        return None;
    }
    limits::batch(metrics.len(), params.len(), tags.len()).ok()?;
    let mut batch = Batch::default();
    for metric in metrics {
        if metric.key.is_empty() {
            return None;
        }
        // Points of one metric mostly come together, and its name was looked at.
        let point = Point {
            step: metric.step,
            at_us: metric
                .timestamp
                .checked_mul(1000)
                .filter(|at_us| *at_us >= 0)?,
            value: metric.value,
        };
        match batch.series.last_mut() {
            Some(series) if series.key == metric.key => series.points.push(point),
            _ => {
                limits::metric(&metric.key, metric.value, metric.timestamp, "").ok()?;
                batch.series.push(Series {
                    run_id: run_id.clone().into_owned(),
                    key: metric.key.into_owned(),
                    points: vec![point],
                });
            }
        }
    }
    let mut keys: Vec<&str> = params.iter().map(|one| one.key.as_ref()).collect();
    keys.sort_unstable();
    if keys.windows(2).any(|two| two[0] == two[1]) {
        return None;
    }
    for PlainLabel { key, value } in params {
        let value = limits::param(&key, value.into_owned(), "", truncate).ok()?;
        batch.params.push(Label {
            run_id: run_id.clone().into_owned(),
            key: some(key)?,
            value,
        });
    }
    for PlainLabel { key, value } in tags {
        let value = limits::tag(&key, value.into_owned(), "", truncate).ok()?;
        add_tag(&mut batch, &run_id, some(key)?, value);
    }
    Some((run_id.into_owned(), batch))
}

/// A text that is not empty.
fn some(text: Cow<'_, str>) -> Option<String> {
    (!text.is_empty()).then(|| text.into_owned())
}

pub async fn log_batch(State(app): State<App>, body: JsonBody) -> Reply {
    let truncate = app.settings().truncate_long_values;
    let (run_id, batch) = match plain_batch(&body.0, truncate) {
        Some(plain) => plain,
        None => read_batch(&Ask::from_json(&body.0)?, truncate)?,
    };
    write(&app, run_id, batch, "metric").await
}

/// Reads a batch field by field, and says what is wrong with it.
fn read_batch(ask: &Ask, truncate: bool) -> Result<(String, Batch), ApiError> {
    if ask.n_bytes > ask::BATCH_BYTES {
        return Err(ApiError::invalid(format!(
            "Batched logging API requests must be at most {} bytes, got a request of size {}.",
            ask::BATCH_BYTES,
            ask.n_bytes
        )));
    }
    let run_id = ask.required("run_id")?;
    let asked = (
        ask.objects("metrics")?,
        ask.objects("params")?,
        ask.objects("tags")?,
    );
    let mut metrics = Vec::with_capacity(asked.0.len());
    for (at, one) in asked.0.iter().enumerate() {
        metrics.push(
            read_metric(one, &format!("metrics[{at}]"))
                .map_err(|error| whole(error, ask, "metrics"))?,
        );
    }
    let mut labels = [Vec::new(), Vec::new()];
    for (of, (name, asked)) in [("params", &asked.1), ("tags", &asked.2)]
        .into_iter()
        .enumerate()
    {
        for (at, one) in asked.iter().enumerate() {
            let path = format!("{name}[{at}]");
            let text = |field| one.text(field).map_err(|_| ask.whole(name));
            let key = text("key")?.filter(|key| !key.is_empty()).ok_or_else(|| {
                ask::refused_see(&format!(
                    "Missing value for required parameter '{path}.key'."
                ))
            })?;
            let value = text("value")?.unwrap_or_default();
            let value = if of == 0 {
                limits::param(&key, value, &path, truncate)?
            } else {
                limits::tag(&key, value, &path, truncate)?
            };
            labels[of].push((key, value));
        }
    }
    let [params, tags] = labels;
    limits::batch(metrics.len(), params.len(), tags.len())?;
    let mut keys: Vec<&String> = params.iter().map(|(key, _)| key).collect();
    keys.sort_unstable();
    let twice: Vec<&&String> = keys
        .windows(2)
        .filter(|two| two[0] == two[1])
        .map(|two| &two[0])
        .collect();
    if !twice.is_empty() {
        let twice: Vec<String> = twice.iter().map(|key| format!("'{key}'")).collect();
        return Err(ApiError::invalid(format!(
            "Duplicate parameter keys have been submitted: [{}]. Please ensure the request contains only one param \
             value per param key.",
            twice.join(", ")
        )));
    }
    let mut batch = Batch::default();
    add_metrics(&mut batch, &run_id, metrics);
    for (key, value) in params {
        batch.params.push(Label {
            run_id: run_id.clone(),
            key,
            value,
        });
    }
    for (key, value) in tags {
        add_tag(&mut batch, &run_id, key, value);
    }
    Ok((run_id, batch))
}

/// A field of the wrong type within a batch is said of the batch's list as a whole.
fn whole(error: ApiError, ask: &Ask, name: &str) -> ApiError {
    if error.message.contains("Hint: Value was of type") {
        ask.whole(name)
    } else {
        error
    }
}

pub async fn log_model(State(app): State<App>, ask: Ask) -> Reply {
    let run_id = ask.required("run_id")?;
    let text = ask.required("model_json")?;
    let model: Value = serde_json::from_str(&text).map_err(|_| {
        ApiError::invalid(format!(
            "Malformed model info. \n {text} \n is not a valid JSON."
        ))
    })?;
    let missing: Vec<String> = ["artifact_path", "flavors", "utc_time_created", "run_id"]
        .iter()
        .filter(|name| model.get(**name).is_none())
        .map(|name| format!("'{name}'"))
        .collect();
    if !missing.is_empty() {
        return Err(ApiError::invalid(format!(
            "Model json is missing mandatory fields: {{{}}}",
            missing.join(", ")
        )));
    }
    let mut kept = serde_json::Map::new();
    for name in [
        "artifact_path",
        "flavors",
        "utc_time_created",
        "run_id",
        "model_uuid",
    ] {
        if let Some(value) = model.get(name) {
            let mut value = value.clone();
            // What is too long for a tag, and is in the model's own file.
            if let Some(flavors) = value.as_object_mut().filter(|_| name == "flavors") {
                for flavor in flavors.values_mut().filter_map(Value::as_object_mut) {
                    flavor.remove("config");
                }
            }
            kept.insert(name.to_owned(), value);
        }
    }
    let detail = app.ledger().run_detail(&run_id).await?;
    let before = detail.tags.iter().find(|(key, _)| key == LOGGED_MODELS);
    let mut models: Vec<Value> = before
        .and_then(|(_, value)| serde_json::from_str(value).ok())
        .unwrap_or_default();
    models.push(Value::Object(kept));
    let value = wire::spaced(&Value::Array(models));
    let value = limits::tag(
        LOGGED_MODELS,
        value,
        "",
        app.settings().truncate_long_values,
    )?;
    let mut batch = Batch::default();
    add_tag(&mut batch, &run_id, LOGGED_MODELS.to_owned(), value);
    write(&app, run_id, batch, "tag").await
}

/// Reads the data that a run says that it used.
fn read_dataset(input: &Ask, run_id: &str) -> Result<Dataset, ApiError> {
    let body = input
        .object("dataset")?
        .ok_or_else(|| ApiError::invalid("Dataset cannot be None"))?;
    let text = |name: &str| Ok::<_, ApiError>(body.text(name)?.unwrap_or_default());
    let (name, digest) = (text("name")?, text("digest")?);
    let (source, source_type) = (text("source")?, text("source_type")?);
    let (schema, profile) = (body.text("schema")?, body.text("profile")?);
    limits::dataset(
        &name,
        &digest,
        &source,
        schema.as_deref(),
        profile.as_deref(),
    )?;
    let tags = input.pairs("tags")?;
    for (key, value) in &tags {
        limits::input_tag(key, value)?;
    }
    let context = tags.iter().find(|(key, _)| key == "mlflow.data.context");
    Ok(Dataset {
        run_id: run_id.to_owned(),
        context: context.map(|(_, value)| value.clone()).unwrap_or_default(),
        name,
        digest,
        source,
        source_type,
        schema,
        profile,
        tags,
        added_us: 0,
    })
}

pub async fn log_inputs(State(app): State<App>, ask: Ask) -> Reply {
    let run_id = ask.required("run_id")?;
    limits::run_id(&run_id)?;
    let mut batch = Batch::default();
    let now_us = app.now_us();
    for (added_us, input) in (now_us..).zip(ask.objects("datasets")?) {
        let mut dataset = read_dataset(&input, &run_id)?;
        dataset.added_us = added_us;
        batch.datasets.push(dataset);
    }
    for model in ask.objects("models")? {
        batch.run_models.push(RunModel {
            run_id: run_id.clone(),
            model_id: model.required("model_id")?,
            is_output: false,
            step: 0,
        });
    }
    // The first use of a piece of data by a run is the one that counts.
    let there = app.ledger().datasets(&run_id).await?;
    let mut seen: Vec<(String, String)> = there
        .into_iter()
        .map(|dataset| (dataset.name, dataset.digest))
        .collect();
    batch.datasets.retain(|dataset| {
        let key = (dataset.name.clone(), dataset.digest.clone());
        let is_new = !seen.contains(&key);
        if is_new {
            seen.push(key);
        }
        is_new
    });
    write(&app, run_id, batch, "inputs").await
}

pub async fn log_outputs(State(app): State<App>, ask: Ask) -> Reply {
    let run_id = ask.required("run_id")?;
    let mut batch = Batch::default();
    for model in ask.objects("models")? {
        batch.run_models.push(RunModel {
            run_id: run_id.clone(),
            model_id: model.required("model_id")?,
            is_output: true,
            step: model.integer("step")?.unwrap_or(0),
        });
    }
    if batch.run_models.is_empty() {
        return Err(ask::required("models"));
    }
    write(&app, run_id, batch, "outputs").await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whichever way a batch is read, the same comes out of it.
    #[test]
    fn plain_batches_are_read_as_any_other() {
        let many: Vec<String> = (0..1000)
            .map(|step| {
                format!(
                    r#"{{"key":"k{}","value":{step}.5,"timestamp":{step},"step":{step}}}"#,
                    step / 3
                )
            })
            .collect();
        let bodies = [
            r#"{"run_id":"r","metrics":[{"key":"loss","value":1,"timestamp":17,"step":-3},{"key":"loss","value":2.5e-3,"timestamp":18}]}"#.to_owned(),
            r#"{"run_id":"r","metrics":[],"params":[{"key":"a\u00e9/b","value":"x\ny"}],"tags":[{"key":"mlflow.runName","value":"n"},{"key":"t","value":""}]}"#.to_owned(),
            r#"{"tags":[],"run_id":"r"}"#.to_owned(),
            format!(r#"{{"run_id":"r","metrics":[{}]}}"#, many.join(",")),
            format!(r#"{{"run_id":"r","params":[{{"key":"p","value":"{}"}}]}}"#, "é".repeat(7000)),
        ];
        for body in bodies {
            for truncate in [true, false] {
                let ask = Ask::from_json(body.as_bytes()).unwrap();
                let any = read_batch(&ask, truncate).ok();
                let plain = plain_batch(body.as_bytes(), truncate);
                assert_eq!(format!("{plain:?}"), format!("{any:?}"), "{body:.200}");
            }
        }
        // What is not plain is left to the other way, whether it is wrong or not.
        for body in [
            r#"{"run_id":"r","metrics":[{"key":"loss","value":"NaN","timestamp":17}]}"#,
            r#"{"run_id":"r","metrics":[{"key":"loss","value":1,"timestamp":"17"}]}"#,
            r#"{"run_id":"r","metrics":[{"key":"loss","value":1,"timestamp":-1}]}"#,
            r#"{"run_id":"r","metrics":[{"key":"","value":1,"timestamp":1}]}"#,
            r#"{"run_id":"r","metrics":[{"key":"../x","value":1,"timestamp":1}]}"#,
            r#"{"runId":"r","metrics":[]}"#,
            r#"{"run_id":null,"run_uuid":"r"}"#,
            r#"{"run_id":"r","params":[{"key":"a","value":"1"},{"key":"a","value":"2"}]}"#,
            r#"{"run_id":"r","metrics":[{"key":"a","value":1,"timestamp":1,"model_id":"m-1"}]}"#,
            r#"{"run_id":"r"} x"#,
        ] {
            assert!(plain_batch(body.as_bytes(), true).is_none(), "{body}");
        }
    }
}
