//! Requests: a model, and the words of the command line.

use outlay_catalog::builtin_api_prices;
use outlay_model::{Input, Model, from_config_json_with};
use outlay_plan::request::{
    Extras, Fleet, Market, ServeReply, ServeRequest, TrainRequest, sample_size, serve, train,
};
use outlay_plan::{Answer, Calibration};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::Refused;

/// Most bytes of a model's file.
pub const MOST_CONFIG_BYTES: usize = 512 * 1024;

/// Most bytes of a model's name.
const MOST_NAME_BYTES: usize = 200;

/// Most networks beside a model.
const MOST_BESIDE: usize = 8;

/// What can be read from the body of a request.
pub trait Asked: Serialize + Sized + Send + 'static {
    /// Reads the body.
    fn read(body: &[u8]) -> Result<Self, Refused>;
}

/// The model of a request: one that is built in, or the text of its file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The name of a built-in model.
    Model(String),
    /// The text of a `config.json`.
    Config(String),
}

/// What a request to plan training asks.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrainAsked {
    /// The model.
    pub source: Source,
    /// The words of the options.
    pub request: TrainRequest,
}

/// What a request to plan serving asks.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServeAsked {
    /// The model.
    pub source: Source,
    /// Names of built-in networks that run beside it.
    pub beside: Vec<String>,
    /// The words of the options.
    pub request: ServeRequest,
}

impl Asked for TrainAsked {
    fn read(body: &[u8]) -> Result<Self, Refused> {
        let mut fields = fields(body)?;
        Ok(Self {
            source: Source::take(&mut fields)?,
            request: words(fields, &["model", "config"])?,
        })
    }
}

impl Asked for ServeAsked {
    fn read(body: &[u8]) -> Result<Self, Refused> {
        let mut fields = fields(body)?;
        let source = Source::take(&mut fields)?;
        let wrong = || {
            Refused::new(
                "beside",
                format!(
                    "beside is no list of names; allowed: up to {MOST_BESIDE} names of built-in models"
                ),
            )
        };
        let beside = match fields.shift_remove("beside") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::String(name)) if name.len() <= MOST_NAME_BYTES => vec![name],
            Some(Value::Array(names)) if names.len() <= MOST_BESIDE => names
                .into_iter()
                .map(|name| match name {
                    Value::String(name) if name.len() <= MOST_NAME_BYTES => Ok(name),
                    _ => Err(wrong()),
                })
                .collect::<Result<_, _>>()?,
            Some(_) => return Err(wrong()),
        };
        Ok(Self {
            source,
            beside,
            request: words(fields, &["model", "config", "beside"])?,
        })
    }
}

impl TrainAsked {
    /// The answer, as `outlay plan train --json` prints it.
    ///
    /// # Errors
    /// A field that is wrong, or hardware on which the workload does not run.
    pub fn answer(&self, market: &Market, calibration: &Calibration) -> Result<Answer, Refused> {
        self.answer_on(&self.request, market, calibration)
    }

    /// The answer to other words about the same model.
    pub(super) fn answer_on(
        &self,
        request: &TrainRequest,
        market: &Market,
        calibration: &Calibration,
    ) -> Result<Answer, Refused> {
        let size = sample_size(request.resolution.as_deref(), request.frames.as_deref())?;
        let model = self.source.model(&size)?;
        let (answer, _) = train(request, model, Extras::default(), market, calibration)?;
        Ok(answer)
    }
}

impl ServeAsked {
    /// The answer, as `outlay plan serve --json` prints it.
    ///
    /// # Errors
    /// A field that is wrong, or hardware that cannot serve the model.
    pub fn answer(
        &self,
        market: &Market,
        calibration: &Calibration,
    ) -> Result<ServeReply, Refused> {
        let request = &self.request;
        let size = sample_size(request.resolution.as_deref(), request.frames.as_deref())?;
        let model = self.source.model(&size)?;
        let beside = self
            .beside
            .iter()
            .map(|name| {
                let found = named(name, &size);
                found.map_err(|refused| Refused::new("beside", refused.message))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let fleet = Fleet {
            model: &model,
            beside: &beside,
            held: None,
            api_prices: builtin_api_prices(),
        };
        Ok(serve(request, fleet, market, calibration)?)
    }
}

impl Source {
    fn take(fields: &mut Map<String, Value>) -> Result<Self, Refused> {
        let model = fields
            .shift_remove("model")
            .filter(|value| !value.is_null());
        let config = fields
            .shift_remove("config")
            .filter(|value| !value.is_null());
        match (model, config) {
            (Some(Value::String(name)), None) if name.len() <= MOST_NAME_BYTES => {
                Ok(Self::Model(name))
            }
            (None, Some(Value::String(text))) if text.len() <= MOST_CONFIG_BYTES => {
                Ok(Self::Config(text))
            }
            (None, Some(object @ Value::Object(_))) => Ok(Self::Config(object.to_string())),
            (None, None) => Err(Refused::new(
                "model",
                "no model is given; allowed: model, the name of a built-in one, or config, the text of its config.json",
            )),
            (Some(_), Some(_)) => Err(Refused::new(
                "config",
                "both model and config are given; allowed: one of them",
            )),
            (Some(_), None) => Err(Refused::new(
                "model",
                format!("model is no name; allowed: a text of up to {MOST_NAME_BYTES} bytes"),
            )),
            (None, Some(_)) => Err(Refused::new(
                "config",
                format!(
                    "config is no model's file; allowed: the text of a config.json of up to {MOST_CONFIG_BYTES} bytes"
                ),
            )),
        }
    }

    /// The model.
    pub(super) fn model(&self, size: &Input) -> Result<Model, Refused> {
        match self {
            Self::Model(name) => named(name, size),
            Self::Config(text) => from_config_json_with(text, "config.json", size)
                .map_err(|error| Refused::new("config", error.to_string())),
        }
    }
}

fn named(name: &str, size: &Input) -> Result<Model, Refused> {
    let refused = |error: outlay_model::Error| Refused::new("model", error.to_string());
    let found = outlay_model::find(name).map_err(refused)?;
    found.model_with(size).map_err(refused)
}

fn fields(body: &[u8]) -> Result<Map<String, Value>, Refused> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(Refused::new(
            "",
            "the body is no JSON object; allowed: {\"model\": \"llama-3.1-8b\", ...}",
        )),
        Err(error) => Err(Refused::new("", format!("the body is no JSON: {error}"))),
    }
}

/// Reads the words of a request, one by one first, so that a refusal names the field.
fn words<Words: DeserializeOwned>(
    fields: Map<String, Value>,
    beside: &[&str],
) -> Result<Words, Refused> {
    for (name, value) in &fields {
        let alone = Map::from_iter([(name.clone(), value.clone())]);
        if let Err(error) = serde_json::from_value::<Words>(Value::Object(alone)) {
            let said = error.to_string();
            // What serde says of an unknown field lists those that there are.
            let message = match said.split_once("expected one of ") {
                Some((_, known)) if said.starts_with(&format!("unknown field `{name}`")) => {
                    let beside: Vec<String> =
                        beside.iter().map(|name| format!("`{name}`")).collect();
                    format!(
                        "there is no field `{name}`; allowed: {}, {known}",
                        beside.join(", ")
                    )
                }
                _ => format!("{name}: {said}"),
            };
            let name: String = name.chars().take(100).collect();
            return Err(Refused::new(&name, message));
        }
    }
    serde_json::from_value(Value::Object(fields))
        .map_err(|error| Refused::new("", error.to_string()))
}
