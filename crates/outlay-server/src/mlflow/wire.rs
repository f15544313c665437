//! What is answered, as MLflow's clients read it.

use outlay_ledger::{Metric, ModelPoint, Point, Run, RunDetail, RunStatus};
use serde::Serialize;
use serde::ser::{SerializeMap, SerializeSeq, Serializer};
use serde_json::{Value, json};

use super::things::{Experiment, LoggedModel, ModelVersion, RegisteredModel, Tags};

/// A number as JSON, or as the text that stands for what JSON lacks.
#[derive(Clone, Copy, Debug)]
pub struct Number(pub f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            value if value.is_nan() => serializer.serialize_str("NaN"),
            f64::INFINITY => serializer.serialize_str("Infinity"),
            f64::NEG_INFINITY => serializer.serialize_str("-Infinity"),
            value => serializer.serialize_f64(value),
        }
    }
}

/// A point of a metric.
#[derive(Clone, Copy, Debug)]
pub struct MetricPoint<'a> {
    /// The metric's name.
    pub key: &'a str,
    /// The point.
    pub point: Point,
    /// The run, where the answer is about several.
    pub run_id: Option<&'a str>,
}

impl Serialize for MetricPoint<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("key", self.key)?;
        map.serialize_entry("value", &Number(self.point.value))?;
        map.serialize_entry("timestamp", &self.point.at_us.div_euclid(1000))?;
        map.serialize_entry("step", &self.point.step)?;
        if let Some(run_id) = self.run_id {
            map.serialize_entry("run_id", run_id)?;
        }
        map.end()
    }
}

/// Names and values as a list of `{key, value}`.
struct Pairs<'a>(&'a [(String, String)]);

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for (key, value) in self.0 {
            list.serialize_element(&Pair { key, value })?;
        }
        list.end()
    }
}

#[derive(Serialize)]
struct Pair<'a> {
    key: &'a str,
    value: &'a str,
}

/// Tags as a list of `{key, value}`; `None` where there are none, which is then left out.
fn tags(tags: &Tags) -> Option<Value> {
    let pair = |(key, value): (&String, &String)| json!({"key": key, "value": value});
    (!tags.is_empty()).then(|| tags.iter().map(pair).collect())
}

/// How a run stands.
#[must_use]
pub fn status(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Scheduled => "SCHEDULED",
        RunStatus::Running => "RUNNING",
        RunStatus::Finished => "FINISHED",
        RunStatus::Failed | RunStatus::Lost => "FAILED",
        RunStatus::Stopped => "KILLED",
    }
}

/// Reads how a run stands, as a name or a number.
#[must_use]
pub fn read_status(value: &Value) -> Option<RunStatus> {
    let name = match value {
        Value::String(name) => name.as_str(),
        Value::Number(number) => match number.as_i64()? {
            1 => "RUNNING",
            2 => "SCHEDULED",
            3 => "FINISHED",
            4 => "FAILED",
            5 => "KILLED",
            _ => return None,
        },
        _ => return None,
    };
    Some(match name {
        "RUNNING" => RunStatus::Running,
        "SCHEDULED" => RunStatus::Scheduled,
        "FINISHED" => RunStatus::Finished,
        "FAILED" => RunStatus::Failed,
        "KILLED" => RunStatus::Stopped,
        _ => return None,
    })
}

/// The stage of life of what may be put away.
#[must_use]
pub fn stage(deleted: bool) -> &'static str {
    if deleted { "deleted" } else { "active" }
}

/// A run's own fields.
#[derive(Debug)]
pub struct Info<'a>(pub &'a Run);

impl Serialize for Info<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let run = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("run_uuid", &run.id)?;
        map.serialize_entry("experiment_id", &run.experiment_id.to_string())?;
        map.serialize_entry("run_name", &run.name)?;
        map.serialize_entry("user_id", &run.who)?;
        map.serialize_entry("status", status(run.status))?;
        map.serialize_entry("start_time", &run.started_us.div_euclid(1000))?;
        if let Some(ended_us) = run.ended_us {
            map.serialize_entry("end_time", &ended_us.div_euclid(1000))?;
        }
        map.serialize_entry("artifact_uri", &run.artifact_uri)?;
        map.serialize_entry("lifecycle_stage", stage(run.deleted_us.is_some()))?;
        map.serialize_entry("run_id", &run.id)?;
        map.end()
    }
}

struct Metrics<'a>(&'a [Metric]);

impl Serialize for Metrics<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for metric in self.0 {
            list.serialize_element(&MetricPoint {
                key: &metric.key,
                point: metric.last,
                run_id: None,
            })?;
        }
        list.end()
    }
}

struct Data<'a>(&'a RunDetail);

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let detail = self.0;
        let mut map = serializer.serialize_map(None)?;
        if !detail.metrics.is_empty() {
            map.serialize_entry("metrics", &Metrics(&detail.metrics))?;
        }
        if !detail.params.is_empty() {
            map.serialize_entry("params", &Pairs(&detail.params))?;
        }
        if !detail.tags.is_empty() {
            map.serialize_entry("tags", &Pairs(&detail.tags))?;
        }
        map.end()
    }
}

/// A run with all that is known of it.
#[derive(Debug)]
pub struct WireRun<'a>(pub &'a RunDetail);

impl Serialize for WireRun<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let detail = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("info", &Info(&detail.run))?;
        map.serialize_entry("data", &Data(detail))?;
        map.serialize_entry("inputs", &inputs(detail))?;
        map.serialize_entry("outputs", &outputs(detail))?;
        map.end()
    }
}

fn inputs(detail: &RunDetail) -> Value {
    let datasets: Vec<Value> = detail
        .datasets
        .iter()
        .map(|dataset| {
            let pair = |(key, value): &(String, String)| json!({"key": key, "value": value});
            let mut tags: Vec<Value> = dataset.tags.iter().map(pair).collect();
            if tags.is_empty() && !dataset.context.is_empty() {
                tags.push(json!({"key": "mlflow.data.context", "value": dataset.context}));
            }
            let mut body = json!({
                "name": dataset.name,
                "digest": dataset.digest,
                "source_type": dataset.source_type,
                "source": dataset.source,
            });
            for (name, text) in [("schema", &dataset.schema), ("profile", &dataset.profile)] {
                if let Some(text) = text {
                    body[name] = Value::from(text.as_str());
                }
            }
            if tags.is_empty() {
                json!({"dataset": body})
            } else {
                json!({"tags": tags, "dataset": body})
            }
        })
        .collect();
    let models: Vec<Value> = detail
        .models
        .iter()
        .filter(|model| !model.is_output)
        .map(|model| json!({"model_id": model.model_id}))
        .collect();
    without_empty(json!({"dataset_inputs": datasets, "model_inputs": models}))
}

fn outputs(detail: &RunDetail) -> Value {
    let models: Vec<Value> = detail
        .models
        .iter()
        .filter(|model| model.is_output)
        .map(|model| json!({"model_id": model.model_id, "step": model.step}))
        .collect();
    without_empty(json!({"model_outputs": models}))
}

/// An object without its fields that are null or hold nothing.
#[must_use]
pub fn without_empty(mut object: Value) -> Value {
    if let Value::Object(fields) = &mut object {
        fields.retain(|_, value| match value {
            Value::Null => false,
            Value::Array(values) => !values.is_empty(),
            _ => true,
        });
    }
    object
}

/// An experiment.
#[must_use]
pub fn experiment(experiment: &Experiment) -> Value {
    without_empty(json!({
        "experiment_id": experiment.id.to_string(),
        "name": experiment.name,
        "artifact_location": experiment.artifact_location,
        "lifecycle_stage": stage(experiment.deleted),
        "last_update_time": experiment.updated_ms,
        "creation_time": experiment.created_ms,
        "tags": tags(&experiment.tags),
    }))
}

/// A model that a run logged, with what was measured of it.
#[must_use]
pub fn logged_model(model: &LoggedModel, points: &[ModelPoint]) -> Value {
    let metrics: Vec<Value> = points
        .iter()
        .map(|of| {
            let mut value = json!({
                "key": of.key,
                "value": Number(of.point.value),
                "timestamp": of.point.at_us.div_euclid(1000),
                "step": of.point.step,
                "model_id": of.model_id,
                "run_id": of.run_id,
            });
            if !of.dataset_name.is_empty() {
                value["dataset_name"] = Value::from(of.dataset_name.as_str());
                value["dataset_digest"] = Value::from(of.dataset_digest.as_str());
            }
            value
        })
        .collect();
    json!({
        "info": without_empty(json!({
            "model_id": model.id,
            "experiment_id": model.experiment_id.to_string(),
            "name": model.name,
            "creation_timestamp_ms": model.created_ms,
            "last_updated_timestamp_ms": model.updated_ms,
            "artifact_uri": model.artifact_uri,
            "status": model.status,
            "status_message": model.status_message,
            "model_type": (!model.model_type.is_empty()).then_some(&model.model_type),
            "source_run_id": (!model.source_run_id.is_empty()).then_some(&model.source_run_id),
            "tags": tags(&model.tags),
        })),
        "data": without_empty(json!({"params": tags(&model.params), "metrics": metrics})),
    })
}

/// A registered model, with the newest version of each stage.
#[must_use]
pub fn registered_model(model: &RegisteredModel, latest: &[ModelVersion]) -> Value {
    let aliases: Vec<Value> = model
        .aliases
        .iter()
        .map(|(alias, version)| json!({"alias": alias, "version": version.to_string()}))
        .collect();
    let latest: Vec<Value> = latest.iter().map(|one| version(one, model)).collect();
    without_empty(json!({
        "name": model.name,
        "creation_timestamp": model.created_ms,
        "last_updated_timestamp": model.updated_ms,
        "description": model.description,
        "latest_versions": latest,
        "tags": tags(&model.tags),
        "aliases": aliases,
    }))
}

/// A version, with the names that its model gives it.
#[must_use]
pub fn version(version: &ModelVersion, model: &RegisteredModel) -> Value {
    let aliases: Vec<&String> = model
        .aliases
        .iter()
        .filter(|(_, number)| **number == version.version)
        .map(|(alias, _)| alias)
        .collect();
    without_empty(json!({
        "name": version.name,
        "version": version.version.to_string(),
        "creation_timestamp": version.created_ms,
        "last_updated_timestamp": version.updated_ms,
        "user_id": version.user_id,
        "current_stage": version.stage,
        "description": version.description,
        "source": version.source,
        "run_id": version.run_id,
        "status": version.status,
        "status_message": version.status_message,
        "run_link": version.run_link,
        "tags": tags(&version.tags),
        "aliases": aliases,
        "model_id": (!version.model_id.is_empty()).then_some(&version.model_id),
    }))
}

/// JSON with the blanks that Python puts in: clients compare such texts.
#[must_use]
pub fn spaced(value: &Value) -> String {
    struct Spaced;
    impl serde_json::ser::Formatter for Spaced {
        fn begin_array_value<W: ?Sized + std::io::Write>(
            &mut self,
            out: &mut W,
            first: bool,
        ) -> std::io::Result<()> {
            out.write_all(if first { b"" } else { b", " })
        }

        fn begin_object_key<W: ?Sized + std::io::Write>(
            &mut self,
            out: &mut W,
            first: bool,
        ) -> std::io::Result<()> {
            out.write_all(if first { b"" } else { b", " })
        }

        fn begin_object_value<W: ?Sized + std::io::Write>(
            &mut self,
            out: &mut W,
        ) -> std::io::Result<()> {
            out.write_all(b": ")
        }
    }
    let mut out = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, Spaced);
    match value.serialize(&mut serializer) {
        Ok(()) => String::from_utf8(out).unwrap_or_default(),
        Err(_) => value.to_string(),
    }
}
