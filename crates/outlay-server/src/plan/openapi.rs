//! The planner's part of the API's description.

use outlay_plan::Answer;
use outlay_plan::request::{ServeReply, ServeRequest, TrainRequest};
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::{MOST_CONFIG_BYTES, Refused, Sizes};

/// `paths` and `components.schemas` of the planner, as OpenAPI 3.1 has them, to be merged into the whole description.
#[must_use]
pub fn openapi() -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .into_generator();
    let mut train = generator.root_schema_for::<TrainRequest>().to_value();
    let mut serve = generator.root_schema_for::<ServeRequest>().to_value();
    let answers = [
        ("train", generator.subschema_for::<Answer>().to_value()),
        ("sizes", generator.subschema_for::<Sizes>().to_value()),
        ("serve", generator.subschema_for::<ServeReply>().to_value()),
    ];
    let refused = generator.subschema_for::<Refused>().to_value();
    let mut schemas: Map<String, Value> = generator.take_definitions(true);
    for (schema, beside) in [(&mut train, false), (&mut serve, true)] {
        add_model(schema, beside);
    }
    schemas.insert("PlanTrainRequest".to_owned(), train);
    schemas.insert("PlanServeRequest".to_owned(), serve);
    let path = |what: &str, request: &str, summary: &str| {
        let answer = answers.iter().find(|(name, _)| *name == what);
        let answer = answer.map_or(Value::Null, |(_, schema)| schema.clone());
        json!({
            "post": {
                "tags": ["planner"],
                "summary": summary,
                "requestBody": {
                    "required": true,
                    "content": { "application/json": {
                        "schema": { "$ref": format!("#/components/schemas/{request}") }
                    }}
                },
                "responses": {
                    "200": {
                        "description": "The answer.",
                        "content": { "application/json": { "schema": answer } }
                    },
                    "400": {
                        "description": "A field is wrong, or nothing considered can run the workload.",
                        "content": { "application/json": { "schema": refused } }
                    },
                    "429": {
                        "description": "The planner is busy; `Retry-After` says when to ask again.",
                        "content": { "application/json": { "schema": refused } }
                    }
                }
            }
        })
    };
    json!({
        "paths": {
            "/api/v1/plan/train": path(
                "train", "PlanTrainRequest",
                "Plans a training run: what `outlay plan train --json` prints."
            ),
            "/api/v1/plan/train/sizes": path(
                "sizes", "PlanTrainRequest",
                "Plans a training run on fewer and on more accelerators than `gpus` gives."
            ),
            "/api/v1/plan/serve": path(
                "serve", "PlanServeRequest",
                "Plans a service: what `outlay plan serve --json` prints."
            ),
            "/api/v1/plan/models": list("Built-in models, by name."),
            "/api/v1/plan/hardware": list("Accelerators, with their figures and the sources of these.")
        },
        "components": { "schemas": schemas }
    })
}

fn list(summary: &str) -> Value {
    json!({
        "get": {
            "tags": ["planner"],
            "summary": summary,
            "responses": {
                "200": {
                    "description": "The list.",
                    "content": { "application/json": { "schema": {
                        "type": "array", "items": { "type": "object" }
                    }}}
                }
            }
        }
    })
}

/// Adds the fields that say which model.
fn add_model(schema: &mut Value, beside: bool) {
    if let Some(object) = schema.as_object_mut() {
        object.remove("$schema");
        object.remove("$defs");
    }
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else {
        return;
    };
    properties.insert(
        "model".to_owned(),
        json!({ "type": "string", "description": "Name of a built-in model; or give `config`." }),
    );
    properties.insert(
        "config".to_owned(),
        json!({
            "type": ["string", "object"],
            "description": format!(
                "A model's `config.json`, as an object or as its text of up to {MOST_CONFIG_BYTES} bytes."
            ),
        }),
    );
    if beside {
        properties.insert(
            "beside".to_owned(),
            json!({
                "type": "array",
                "items": { "type": "string" },
                "description": "Built-in networks that run beside an image or video model.",
            }),
        );
    }
}
