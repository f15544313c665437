//! Fields that people fill with a text or a number: `"20B"`, `"4096"` and `4096` say the same to a program.

use serde::Deserialize;
use serde::de::{Deserializer, Error};
use serde_json::Value;

/// Reads a text; a number becomes the text that says it.
pub fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    match Option::<Value>::deserialize(from)? {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.len() <= 4096 => Ok(Some(text)),
        Some(Value::Number(number)) => Ok(Some(match number.as_f64() {
            // What the readers of quantities know has no exponent beyond these.
            Some(value) if number.as_u64().is_none() && value.abs() < 1e19 => value.to_string(),
            _ => number.to_string(),
        })),
        Some(_) => Err(D::Error::custom(
            "allowed: a text of up to 4096 bytes, or a number",
        )),
    }
}

/// Reads a number; a text may say it.
pub fn number<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    let wrong = || D::Error::custom("allowed: a number");
    match Option::<Value>::deserialize(from)? {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => number.as_f64().map(Some).ok_or_else(wrong),
        Some(Value::String(text)) => text.trim().parse().map(Some).map_err(|_| wrong()),
        Some(_) => Err(wrong()),
    }
}

/// Reads yes or no; a text may say it, as links and forms do.
pub fn flag<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    match Value::deserialize(from)? {
        Value::Null => Ok(false),
        Value::Bool(flag) => Ok(flag),
        Value::String(text) if text == "true" || text == "on" || text == "1" => Ok(true),
        Value::String(text) if text == "false" || text == "0" || text.is_empty() => Ok(false),
        _ => Err(D::Error::custom("allowed: true, false")),
    }
}

/// Reads texts: a list of them, or one.
pub fn texts<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let wrong = || D::Error::custom("allowed: up to 64 texts of up to 4096 bytes");
    let list = match Value::deserialize(from)? {
        Value::Null => Vec::new(),
        Value::String(text) => vec![text],
        Value::Array(list) if list.len() <= 64 => list
            .into_iter()
            .map(|value| match value {
                Value::String(text) => Ok(text),
                _ => Err(wrong()),
            })
            .collect::<Result<_, _>>()?,
        _ => return Err(wrong()),
    };
    if list.iter().any(|text| text.len() > 4096) {
        return Err(wrong());
    }
    Ok(list)
}

/// Reads numbers: a list of them, or a text that has them apart by commas.
pub fn numbers<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f64>, D::Error> {
    let wrong = || D::Error::custom("allowed: up to 20000 numbers");
    let list: Vec<Option<f64>> = match Value::deserialize(from)? {
        Value::Null => Vec::new(),
        Value::String(text) if text.trim().is_empty() => Vec::new(),
        Value::String(text) => text
            .split(',')
            .map(|cell| cell.trim().parse().ok())
            .collect(),
        Value::Array(list) => list.iter().map(Value::as_f64).collect(),
        _ => return Err(wrong()),
    };
    if list.len() > 20_000 {
        return Err(wrong());
    }
    list.into_iter().collect::<Option<_>>().ok_or_else(wrong)
}
