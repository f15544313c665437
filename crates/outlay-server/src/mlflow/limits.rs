//! What MLflow's clients may send: lengths, characters and counts, and the sentences that refuse the rest.

use serde_json::Value;

use super::ask::refused;
use super::error::ApiError;

/// Most characters of the name of a metric, a parameter or a tag.
const KEY_CHARACTERS: usize = 250;
const PARAM_CHARACTERS: usize = 6000;
const TAG_CHARACTERS: usize = 8000;
const EXPERIMENT_TAG_CHARACTERS: usize = 20_000;
const REGISTRY_TAG_CHARACTERS: usize = 100_000;

fn too_long(what: &str, limit: usize) -> ApiError {
    ApiError::invalid(format!(
        "'{what}' exceeds the maximum length of {limit} characters"
    ))
}

fn at_most(what: &str, limit: usize, text: &str) -> Result<(), ApiError> {
    if text.chars().count() > limit {
        return Err(too_long(what, limit));
    }
    Ok(())
}

/// A text cut to a limit.
fn cut(limit: usize, text: String) -> String {
    match text.char_indices().nth(limit) {
        Some((end, _)) => text[..end].to_owned(),
        None => text,
    }
}

/// The path to which a name comes down when `.` and `..` are followed, as in Python's `posixpath.normpath`.
fn normal_path(name: &str) -> String {
    if name.is_empty() {
        return ".".to_owned();
    }
    let root = match name {
        name if name.starts_with("//") && !name.starts_with("///") => "//",
        name if name.starts_with('/') => "/",
        _ => "",
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." if root.is_empty() && parts.last().is_none_or(|last| *last == "..") => {
                parts.push(part);
            }
            ".." => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    let path = format!("{root}{}", parts.join("/"));
    if path.is_empty() {
        ".".to_owned()
    } else {
        path
    }
}

fn path_is_another(name: &str) -> Option<String> {
    let path = normal_path(name);
    (path != name || path == "." || path.starts_with("..") || path.starts_with('/')).then(|| {
        format!(
            "Names may be treated as files in certain cases, and must not resolve to other names when treated \
             as such. This name would resolve to '{path}'"
        )
    })
}

/// A name of a metric, a parameter or a tag.
fn name(path: &str, name: &str) -> Result<(), ApiError> {
    let is_plain = |one: char| one.is_alphanumeric() || "_/.- :".contains(one);
    // Python's `$` lets one line break pass at the end.
    let text = name.strip_suffix('\n').unwrap_or(name);
    if !text.chars().all(is_plain) {
        return Err(refused(
            path,
            &Value::from(name),
            "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), \
             colon(:) and slashes (/).",
        ));
    }
    match path_is_another(name) {
        Some(why) => Err(refused(path, &Value::from(name), &why)),
        None => Ok(()),
    }
}

fn within(path: &str, field: &str) -> String {
    if path.is_empty() {
        field.to_owned()
    } else {
        format!("{path}.{field}")
    }
}

/// A metric's name and time; `path` says which of a batch it is.
pub fn metric(key: &str, value: f64, timestamp: i64, path: &str) -> Result<(), ApiError> {
    name(&within(path, "name"), key)?;
    if !(0..=i64::MAX / 1000).contains(&timestamp) {
        return Err(refused(
            &within(path, "timestamp"),
            &Value::from(timestamp),
            &format!(
                "metric '{key}' (value={value}). Timestamp must be a nonnegative long (64-bit integer) "
            ),
        ));
    }
    at_most("Metric name", KEY_CHARACTERS, key)
}

/// A parameter, its value cut where it is too long and `truncate` allows it.
pub fn param(key: &str, value: String, path: &str, truncate: bool) -> Result<String, ApiError> {
    name(&within(path, "key"), key)?;
    at_most("Param key", KEY_CHARACTERS, key)?;
    if !truncate {
        at_most("Param value", PARAM_CHARACTERS, &value)?;
    }
    Ok(cut(PARAM_CHARACTERS, value))
}

/// A tag of a run, its value cut where it is too long and `truncate` allows it.
pub fn tag(key: &str, value: String, path: &str, truncate: bool) -> Result<String, ApiError> {
    name(&within(path, "key"), key)?;
    at_most(&within(path, "key"), KEY_CHARACTERS, key)?;
    if !truncate {
        at_most(&within(path, "value"), TAG_CHARACTERS, &value)?;
    }
    Ok(cut(TAG_CHARACTERS, value))
}

/// A tag's name alone.
pub fn tag_name(key: &str) -> Result<(), ApiError> {
    name("key", key)
}

/// A tag of an experiment.
pub fn experiment_tag(key: &str, value: &str) -> Result<(), ApiError> {
    name("key", key)?;
    at_most("key", KEY_CHARACTERS, key)?;
    at_most("value", EXPERIMENT_TAG_CHARACTERS, value)
}

/// A tag of a registered model or of a version.
pub fn registry_tag(key: &str, value: &str) -> Result<(), ApiError> {
    name("key", key)?;
    at_most("key", KEY_CHARACTERS, key)?;
    if key == "mlflow.prompt.text" && value.chars().count() > REGISTRY_TAG_CHARACTERS {
        return Err(ApiError::invalid(format!(
            "Prompt text exceeds max length of {REGISTRY_TAG_CHARACTERS} characters."
        )));
    }
    at_most("value", REGISTRY_TAG_CHARACTERS, value)
}

/// A run's id.
pub fn run_id(id: &str) -> Result<(), ApiError> {
    let mut bytes = id.bytes();
    let is_id = bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphanumeric())
        && id.len() <= 256
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    if is_id {
        Ok(())
    } else {
        Err(refused("run_id", &Value::from(id), ""))
    }
}

/// The number of an experiment.
pub fn experiment_id(id: &str) -> Result<i64, ApiError> {
    id.trim().parse().map_err(|_| {
        ApiError::invalid(format!(
            "Invalid experiment ID '{id}'. Experiment ID must be a valid integer."
        ))
    })
}

/// An experiment's name.
pub fn experiment_name(name: &str) -> Result<(), ApiError> {
    if name.is_empty() {
        return Err(ApiError::invalid(format!(
            "Invalid experiment name: '{name}'"
        )));
    }
    at_most("name", 500, name)
}

/// The place of an experiment's files.
pub fn artifact_location(location: &str) -> Result<(), ApiError> {
    if location.starts_with("runs:") {
        return Err(ApiError::invalid(format!(
            "Artifact location cannot be a runs:/ URI. Given: '{location}'"
        )));
    }
    if location.chars().count() > 2048 {
        return Err(ApiError::invalid(
            "Invalid artifact path length. The length of the artifact path cannot be greater than 2048 characters. \
             To configure this limit, please set the MLFLOW_ARTIFACT_LOCATION_MAX_LENGTH environment variable.",
        ));
    }
    storage_uri(location, "artifact_location")
}

/// A place where files lie: `#`, `?` and the like would make it another place.
pub fn storage_uri(uri: &str, field: &str) -> Result<(), ApiError> {
    let invalid = || ApiError::invalid(format!("'{field}' URL can't include fragments or params."));
    let scheme = uri.split_once(':').map(|(scheme, _)| scheme);
    let is_scheme = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    };
    match scheme {
        Some(scheme) if is_scheme(scheme) && uri.contains(['#', '?', ';']) => Err(invalid()),
        _ => Ok(()),
    }
}

/// How much one batch may hold.
pub fn batch(n_metrics: usize, n_params: usize, n_tags: usize) -> Result<(), ApiError> {
    let limit = |what: &str, limit: usize, length: usize| {
        if length > limit {
            return Err(ApiError::invalid(format!(
                "A batch logging request can contain at most {limit} {what}. Got {length} {what}. Please split up \
                 {what} across multiple requests and try again."
            )));
        }
        Ok(())
    };
    limit("metrics", 1000, n_metrics)?;
    limit("params", 100, n_params)?;
    limit("tags", 100, n_tags)?;
    limit(
        "metrics, params, and tags",
        1000,
        n_metrics + n_params + n_tags,
    )
}

/// A dataset that a run used.
pub fn dataset(
    name: &str,
    digest: &str,
    source: &str,
    schema: Option<&str>,
    profile: Option<&str>,
) -> Result<(), ApiError> {
    at_most("name", 500, name)?;
    at_most("digest", 36, digest)?;
    at_most("source", 65_535, source)?;
    at_most("schema", 1_048_575, schema.unwrap_or_default())?;
    at_most("profile", 16_777_215, profile.unwrap_or_default())
}

/// A tag of a dataset's use.
pub fn input_tag(key: &str, value: &str) -> Result<(), ApiError> {
    at_most("key", 255, key)?;
    at_most("value", 500, value)
}

/// The name of a registered model; `field` is what the request calls it.
pub fn model_name(model: &str, field: &str) -> Result<(), ApiError> {
    if model.trim().is_empty() {
        return Err(ApiError::invalid(format!(
            "Missing value for required parameter '{field}'."
        )));
    }
    if model.contains(['/', ':']) {
        return Err(ApiError::invalid(format!(
            "Invalid model name '{model}'. Names cannot contain '/' or ':'."
        )));
    }
    match path_is_another(model) {
        Some(why) => Err(refused("name", &Value::from(model), &why)),
        None => Ok(()),
    }
}

/// The number of a version.
pub fn version(text: &str) -> Result<i64, ApiError> {
    text.trim().parse().map_err(|_| {
        ApiError::invalid(format!(
            "Parameter 'version' must be an integer, got '{text}'."
        ))
    })
}

/// An alias of a version.
pub fn alias(alias: &str) -> Result<(), ApiError> {
    if alias.is_empty() {
        return Err(ApiError::invalid(
            "Registered model alias name cannot be empty.",
        ));
    }
    if !alias
        .chars()
        .all(|one| one.is_alphanumeric() || one == '_' || one == '-')
    {
        return Err(ApiError::invalid(format!(
            "Invalid alias name: '{alias}'. Names may only contain alphanumerics, underscores (_), and dashes (-)."
        )));
    }
    at_most("Registered model alias name", 255, alias)
}

/// An alias that may be set: some names stand for something already.
pub fn new_alias(name: &str) -> Result<(), ApiError> {
    alias(name)?;
    if name.eq_ignore_ascii_case("latest") {
        return Err(ApiError::invalid(
            "'latest' alias name (case insensitive) is reserved.",
        ));
    }
    let number = name.strip_prefix(['v', 'V']);
    if number.is_some_and(|digits| {
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    }) {
        return Err(ApiError::invalid(format!(
            "Version alias name '{name}' is reserved."
        )));
    }
    Ok(())
}

/// The name of a logged model.
pub fn logged_model_name(name: &str) -> Result<(), ApiError> {
    if name.is_empty() || name.contains(['/', ':', '.', '%', '"', '\'']) {
        return Err(ApiError::invalid(format!(
            "Invalid model name ('{name}') provided. Model name must be a non-empty string and cannot contain the \
             following characters: ('/', ':', '.', '%', '\"', \"'\")"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_down_to_paths_as_python_has_it() {
        for (name, path) in [
            ("", "."),
            (".", "."),
            ("a/./b", "a/b"),
            ("a//b", "a/b"),
            ("a/../../b", "../b"),
            ("/..", "/"),
            ("//a", "//a"),
            ("///a", "/a"),
            ("a/", "a"),
            ("../..", "../.."),
        ] {
            assert_eq!(normal_path(name), path, "{name}");
        }
    }

    #[test]
    fn long_values_are_cut_at_characters() {
        let cut = param("k", "é".repeat(7000), "", true).expect("is cut");
        assert_eq!(cut.chars().count(), 6000);
        assert!(param("k", "é".repeat(7000), "", false).is_err());
        assert!(tag("../a", String::new(), "", true).is_err());
        assert!(tag("a b/c:d", String::new(), "", true).is_ok());
    }
}
