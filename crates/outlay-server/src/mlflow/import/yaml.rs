//! The `meta.yaml` files of MLflow's folders: a bounded tree of texts, as they stand in the file.
//!
//! Nothing is turned into a number here: a digest such as `12e45678` is a text, whatever YAML 1.2 takes it for.

use saphyr_parser::{Event, Parser, ScalarStyle};

/// Bytes of one file; the profile of a dataset may have 16 MB.
pub const BYTES: u64 = 64 << 20;

/// How deep lists and maps may lie in each other.
const DEPTH: usize = 16;

/// How many values a file may have.
const NODES: usize = 100_000;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A text; `plain` where it stands without quotes.
    Text {
        /// What it says.
        text: String,
        /// Whether it stands without quotes, and so may mean nothing at all, or a number.
        plain: bool,
    },
    /// Values in order.
    List(Vec<Self>),
    /// Names and values.
    Map(Vec<(String, Self)>),
}

impl Node {
    /// Reads a file's text.
    ///
    /// # Errors
    ///
    /// What is no YAML, or more than any `meta.yaml` holds.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut open: Vec<Open> = Vec::new();
        let mut n_nodes = 0;
        for event in Parser::new_from_str(text) {
            let (event, _) = event.map_err(|error| error.to_string())?;
            let done = match event {
                Event::SequenceStart(..) => {
                    open.push(Open::List(Vec::new()));
                    None
                }
                Event::MappingStart(..) => {
                    open.push(Open::Map(Vec::new(), None));
                    None
                }
                Event::Scalar(text, style, ..) => Some(Self::Text {
                    plain: style == ScalarStyle::Plain,
                    text: text.into_owned(),
                }),
                Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                    Some(Open::List(values)) => Some(Self::List(values)),
                    Some(Open::Map(pairs, _)) => Some(Self::Map(pairs)),
                    None => return Err("it ends more than it begins".to_owned()),
                },
                Event::Alias(_) => {
                    return Err("it refers to itself (`*`), which is not read".to_owned());
                }
                _ => None,
            };
            n_nodes += 1;
            if open.len() > DEPTH || n_nodes > NODES {
                return Err(format!(
                    "it holds more than {NODES} values, or they lie more than {DEPTH} deep"
                ));
            }
            let Some(node) = done else {
                continue;
            };
            match open.last_mut() {
                // The first document counts.
                None => return Ok(node),
                Some(Open::List(values)) => values.push(node),
                Some(Open::Map(pairs, key)) => match (key.take(), node) {
                    (Some(name), node) => pairs.push((name, node)),
                    (None, Self::Text { text, .. }) => *key = Some(text),
                    (None, _) => return Err("a name within it is no text".to_owned()),
                },
            }
        }
        Ok(Self::Map(Vec::new()))
    }

    /// What a map says under a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Map(pairs) => pairs
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, node)| node),
            _ => None,
        }
    }

    /// A text under a name; `None` where there is none, or it says `null`.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        match self.get(name)? {
            Self::Text { text, plain }
                if *plain && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL") =>
            {
                None
            }
            Self::Text { text, .. } => Some(text.clone()),
            _ => None,
        }
    }

    /// A whole number under a name.
    #[must_use]
    pub fn integer(&self, name: &str) -> Option<i64> {
        let text = self.text(name)?;
        let text = text.trim();
        text.parse().ok().or_else(|| {
            let number: f64 = text.parse().ok()?;
            (number.fract() == 0.0 && number.abs() < 9e18).then_some(number as i64)
        })
    }

    /// The names and texts of a map under a name.
    #[must_use]
    pub fn pairs(&self, name: &str) -> Vec<(String, String)> {
        match self.get(name) {
            Some(map @ Self::Map(pairs)) => pairs
                .iter()
                .map(|(key, _)| (key.clone(), map.text(key).unwrap_or_default()))
                .collect(),
            _ => Vec::new(),
        }
    }
}

/// A list or a map whose end has not come.
enum Open {
    List(Vec<Node>),
    Map(Vec<(String, Node)>, Option<String>),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_looks_like_a_number_stays_a_text() {
        let text = "digest: 12e45678\nname: 0o17\nstart_time: 1700000000001\nend_time: null\nquoted: 'null'\n\
            tags:\n  a: 'true'\n  b: ''\nempty: []\nlong: \"one\n  two\\n\"\n";
        let node = Node::read(text).expect("is YAML");
        assert_eq!(node.text("digest").as_deref(), Some("12e45678"));
        assert_eq!(node.text("name").as_deref(), Some("0o17"));
        assert_eq!(node.integer("start_time"), Some(1_700_000_000_001));
        assert_eq!(node.text("end_time"), None);
        assert_eq!(node.text("quoted").as_deref(), Some("null"));
        assert_eq!(node.text("long").as_deref(), Some("one two\n"));
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(node.pairs("tags"), [pair("a", "true"), pair("b", "")]);
    }

    #[test]
    fn bombs_are_refused() {
        let laughs = "a: &a [x, x, x]\nb: [*a, *a, *a]\n";
        assert!(Node::read(laughs).is_err_and(|why| why.contains('*')));
        assert!(Node::read(&"[".repeat(100_000)).is_err());
        assert!(Node::read(&format!("[{}]", "x,".repeat(200_000))).is_err());
        assert!(Node::read("a: [b").is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC*") {
            let _ = Node::read(&text);
        }

        #[test]
        fn any_yaml_like_text_is_read_or_refused(text in "([a-z]{0,3}|: |- |\\n|  |\\[|\\]|\\{|\\}|'|\"|&a|\\*a|!!x|\\||>|#|,|%|@|`|\\t|\\?){0,60}") {
            let _ = Node::read(&text);
        }
    }
}
