//! Runs that record one trial of a prompt, as MLflow's page makes them.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use outlay_ledger::{Batch, Label, RunChange, RunStatus};
use serde_json::{Value, json};

use super::ask::Ask;
use super::error::ApiError;
use super::{Reply, files, limits, runs, wire};
use crate::App;
use crate::artifacts::ByteStream;

/// The table of what went in and what came out.
const TABLE: &str = "eval_results_table.json";

/// Names and values; a value that is no text is taken as JSON writes it.
fn pairs(ask: &Ask, name: &str) -> Result<Vec<(String, String)>, ApiError> {
    let text = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    ask.objects(name)?
        .iter()
        .map(|pair| {
            let key = pair.text("key")?.unwrap_or_default();
            Ok((key, pair.get("value").map(text).unwrap_or_default()))
        })
        .collect()
}

pub async fn create(State(app): State<App>, ask: Ask) -> Reply {
    let must = |name: &str| {
        if ask.has(name) {
            return Ok(());
        }
        Err(ApiError::invalid(format!(
            "CreatePromptlabRun request must specify {name}."
        )))
    };
    for name in [
        "experiment_id",
        "prompt_template",
        "prompt_parameters",
        "model_route",
        "model_input",
        "mlflow_version",
    ] {
        must(name)?;
    }
    let inputs = pairs(&ask, "prompt_parameters")?;
    let outputs = pairs(&ask, "model_output_parameters")?;
    let mut params = pairs(&ask, "model_parameters")?;
    params.push(("model_route".to_owned(), ask.required("model_route")?));
    params.push((
        "prompt_template".to_owned(),
        ask.required("prompt_template")?,
    ));
    let new = runs::NewRun {
        experiment_id: limits::experiment_id(&ask.required("experiment_id")?)?,
        user_id: match ask.text("user_id")? {
            Some(user_id) => user_id,
            None if app.who().is_empty() => "unknown".to_owned(),
            None => app.who(),
        },
        start_ms: ask.integer("start_time")?.unwrap_or_else(|| app.now_ms()),
        run_name: ask.text("run_name")?.unwrap_or_default(),
        tags: ask.pairs("tags")?,
    };
    let detail = runs::make(&app, new).await?;
    let run_id = detail.run.id;
    let columns = inputs.iter().map(|(key, _)| key.as_str());
    let columns: Vec<&str> = columns
        .chain(["prompt", "output"])
        .chain(outputs.iter().map(|(key, _)| key.as_str()))
        .collect();
    let (input, output) = (
        ask.required("model_input")?,
        ask.text("model_output")?.unwrap_or_default(),
    );
    let row = inputs.iter().map(|(_, value)| value.as_str());
    let row: Vec<&str> = row
        .chain([input.as_str(), output.as_str()])
        .chain(outputs.iter().map(|(_, value)| value.as_str()))
        .collect();
    let table = Bytes::from(json!({"columns": columns, "data": [row]}).to_string());
    let bytes: ByteStream = Box::pin(futures_util::stream::once(async { Ok(table) }));
    let written = files::write_to(&app, &detail.run.artifact_uri, TABLE, bytes).await;
    let truncate = app.settings().truncate_long_values;
    let label = |key: &str, value: String| Label {
        run_id: run_id.clone(),
        key: key.to_owned(),
        value,
    };
    let mut batch = Batch {
        active: vec![run_id.clone()],
        changes: vec![RunChange {
            id: run_id.clone(),
            status: Some(if written.is_ok() {
                RunStatus::Finished
            } else {
                RunStatus::Failed
            }),
            ended_us: Some(app.now_us()),
            ..RunChange::default()
        }],
        tags: vec![
            label(
                "mlflow.loggedArtifacts",
                format!("[{{\"path\": \"{TABLE}\", \"type\": \"table\"}}]"),
            ),
            label("mlflow.runSourceType", "PROMPT_ENGINEERING".to_owned()),
        ],
        ..Batch::default()
    };
    for (at, (key, value)) in params.into_iter().enumerate() {
        let value = limits::param(&key, value, &format!("params[{at}]"), truncate)?;
        batch.params.push(label(&key, value));
    }
    app.ledger().write(batch).await?;
    app.tell(&run_id, "run");
    let detail = app.ledger().run_detail(&run_id).await?;
    Ok(Json(json!({"run": wire::WireRun(&detail)})))
}
