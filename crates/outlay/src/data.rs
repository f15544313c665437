//! Lengths of the samples of a data file, in tokens.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde_json::Value;
use tokenizers::Tokenizer;

use crate::failure::Failure;

/// Longest line that is read, in bytes.
const LINE_MOST: u64 = 100_000_000;

/// Bytes of UTF-8 for each token where no tokenizer is at hand: English text takes 4.0 to 4.6 with vocabularies of
/// 32,000 to 200,000 tokens, code and other languages 2.5 to 4.
const BYTES_PER_TOKEN: f64 = 4.0;

/// Fields whose texts make one sample, in the order in which they are joined.
const FIELDS: &[&str] = &[
    "system",
    "instruction",
    "input",
    "context",
    "prompt",
    "question",
    "query",
    "text",
    "content",
    "output",
    "completion",
    "response",
    "answer",
];

/// Fields that hold a conversation.
const CONVERSATIONS: &[&str] = &["messages", "conversations", "conversation"];

/// Lengths of all samples.
pub struct Lengths {
    /// Tokens of each sample; a pair of preferred and rejected answers is two samples.
    pub tokens: Vec<u64>,
    /// Whether a tokenizer counted them.
    pub counted: bool,
    /// Whether the samples are pairs of preferred and rejected answers.
    pub pairs: bool,
}

/// Reads a JSON Lines file, and counts tokens with the tokenizer at hand.
///
/// # Errors
/// The line at fault: no JSON, or no field with a text.
pub fn read_lengths(path: &Path, tokenizer: Option<&Path>) -> Result<Lengths, Failure> {
    let name = path.display();
    if !path
        .extension()
        .is_some_and(|extension| extension == "jsonl" || extension == "ndjson")
    {
        return Err(Failure::input(format!(
            "--data `{name}`: allowed: a .jsonl file, one sample a line"
        )));
    }
    let tokenizer = tokenizer
        .map(|path| {
            Tokenizer::from_file(path).map_err(|error| {
                Failure::input(format!("{}: no tokenizer: {error}", path.display()))
            })
        })
        .transpose()?;
    if std::fs::metadata(path).is_ok_and(|data| !data.is_file()) {
        return Err(Failure::input(format!("`{name}` is no regular file")));
    }
    let file = File::open(path)
        .map_err(|error| Failure::input(format!("cannot read `{name}`: {error}")))?;
    let mut reader = BufReader::new(file);
    let mut out = Lengths {
        tokens: Vec::new(),
        counted: tokenizer.is_some(),
        pairs: false,
    };
    let mut line = Vec::new();
    let mut number = 0u64;
    loop {
        line.clear();
        let n = std::io::Read::take(&mut reader, LINE_MOST)
            .read_until(b'\n', &mut line)
            .map_err(|error| Failure::input(format!("cannot read `{name}`: {error}")))?;
        if n == 0 {
            break;
        }
        number += 1;
        if n as u64 == LINE_MOST {
            return Err(Failure::input(format!(
                "{name}: line {number} has {LINE_MOST} bytes or more; allowed: one sample a line"
            )));
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let value: Value = serde_json::from_slice(&line).map_err(|error| {
            Failure::input(format!("{name}: line {number} is no JSON: {error}"))
        })?;
        let texts = samples(&value).ok_or_else(|| {
            Failure::input(format!(
                "{name}: line {number} has no text; known fields: {}, {}, chosen and rejected",
                FIELDS.join(", "),
                CONVERSATIONS.join(", ")
            ))
        })?;
        out.pairs |= texts.len() == 2;
        for text in texts {
            let length = match &tokenizer {
                Some(tokenizer) => tokenizer
                    .encode_fast(text.as_str(), true)
                    .map_err(|error| Failure::input(format!("{name}: line {number}: {error}")))?
                    .len() as u64,
                None => (text.len() as f64 / BYTES_PER_TOKEN).ceil() as u64,
            };
            out.tokens.push(length.max(1));
        }
    }
    if out.tokens.is_empty() {
        return Err(Failure::input(format!("{name}: holds no samples")));
    }
    Ok(out)
}

/// The texts of one line: one, or two where answers are compared.
fn samples(value: &Value) -> Option<Vec<String>> {
    if let Some(text) = value.as_str() {
        return Some(vec![text.to_owned()]);
    }
    let object = value.as_object()?;
    let mut shared = String::new();
    for field in FIELDS {
        if let Some(text) = object.get(*field).and_then(Value::as_str) {
            shared.push_str(text);
            shared.push('\n');
        } else if let Some(turns) = object.get(*field).and_then(conversation) {
            shared.push_str(&turns);
        }
    }
    for field in CONVERSATIONS {
        if let Some(turns) = object.get(*field).and_then(conversation) {
            shared.push_str(&turns);
        }
    }
    let side = |name: &str| {
        object.get(name).and_then(|answer| {
            answer
                .as_str()
                .map(str::to_owned)
                .or_else(|| conversation(answer))
        })
    };
    if let (Some(chosen), Some(rejected)) = (side("chosen"), side("rejected")) {
        return Some(vec![
            format!("{shared}{chosen}"),
            format!("{shared}{rejected}"),
        ]);
    }
    (!shared.is_empty()).then(|| vec![shared])
}

/// The turns of a conversation, as templates write them: a role and a text each.
fn conversation(value: &Value) -> Option<String> {
    let mut out = String::new();
    for turn in value.as_array()? {
        let get = |names: [&str; 2]| {
            names
                .iter()
                .find_map(|name| turn.get(*name).and_then(Value::as_str))
        };
        out.push_str(get(["role", "from"]).unwrap_or("user"));
        out.push('\n');
        out.push_str(get(["content", "value"])?);
        out.push('\n');
    }
    (!out.is_empty()).then_some(out)
}

impl Lengths {
    /// Tokens, cut at `longest`.
    pub fn total(&self, longest: u64) -> f64 {
        self.tokens
            .iter()
            .map(|&length| length.min(longest) as f64)
            .sum()
    }

    /// Tokens that are computed where `group` samples at a time are padded to the longest among them.
    pub fn padded(&self, longest: u64, group: usize) -> f64 {
        self.tokens
            .chunks(group.max(1))
            .map(|chunk| {
                let most = chunk.iter().copied().max().unwrap_or(0).min(longest);
                (most * chunk.len() as u64) as f64
            })
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_forms_are_read() {
        for (line, expected) in [
            (r#"{"text":"abcd"}"#, vec!["abcd\n"]),
            (
                r#"{"instruction":"a","input":"b","output":"c"}"#,
                vec!["a\nb\nc\n"],
            ),
            (
                r#"{"messages":[{"role":"user","content":"hi"}]}"#,
                vec!["user\nhi\n"],
            ),
            (
                r#"{"conversations":[{"from":"gpt","value":"hi"}]}"#,
                vec!["gpt\nhi\n"],
            ),
            (
                r#"{"prompt":"p","chosen":"c","rejected":"r"}"#,
                vec!["p\nc", "p\nr"],
            ),
        ] {
            let value: Value = serde_json::from_str(line).unwrap();
            assert_eq!(samples(&value).unwrap(), expected, "{line}");
        }
        assert!(samples(&serde_json::json!({"id": 3})).is_none());
        assert!(samples(&serde_json::json!([1])).is_none());
    }

    #[test]
    fn padding_computes_the_longest_of_each_group() {
        let lengths = Lengths {
            tokens: vec![10, 20, 30, 1000],
            counted: true,
            pairs: false,
        };
        assert_eq!(lengths.total(500), 560.0);
        assert_eq!(lengths.padded(500, 2), 2.0 * 20.0 + 2.0 * 500.0);
        assert_eq!(lengths.padded(500, 1), lengths.total(500));
    }
}
