//! What a search asks for, once its text has been understood.
//!
//! A search is a list of [`Condition`]s that must all hold, and a list of [`Order`]s that say how
//! the answers are sorted. Nothing here knows how the text was written: names have been resolved
//! to their canonical form, quotes are gone and numbers are numbers.

/// What a condition or an order is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Field {
    /// A column of the entity itself, by its canonical name (for example `start_time`).
    Attribute(String),
    /// The latest value of a metric, by its key.
    Metric(String),
    /// The least value that a metric had, by its key. Runs are sorted by it, and not filtered.
    Least(String),
    /// The greatest value that a metric had, in the same way.
    Greatest(String),
    /// A parameter, by its key.
    Parameter(String),
    /// A tag, by its key.
    Tag(String),
    /// A property of a dataset that is an input of the run: `name`, `digest` or `context`.
    Dataset(String),
    /// Any metric whatever its key. Only [`Test::IsNotNull`] is used with it, and only together
    /// with [`Condition::datasets`]: some metric must have been logged on one of those datasets.
    AnyMetric,
}

/// How a field is compared with the operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Test {
    /// The two are the same.
    Equal,
    /// The two differ. A field that is absent does not satisfy it.
    NotEqual,
    /// The field is smaller than the operand.
    Less,
    /// The field is smaller than the operand or the same.
    LessOrEqual,
    /// The field is greater than the operand.
    Greater,
    /// The field is greater than the operand or the same.
    GreaterOrEqual,
    /// The text matches the pattern, letter case included. See [`matches_like`].
    Like,
    /// The text matches the pattern, ASCII letter case ignored. See [`matches_ilike`].
    ILike,
    /// The text is one of the operand's texts.
    In,
    /// The text is none of the operand's texts.
    NotIn,
    /// There is no such tag or parameter.
    IsNull,
    /// There is such a tag or parameter, whatever its value.
    IsNotNull,
}

/// What a field is compared with.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    /// Nothing: [`Test::IsNull`] and [`Test::IsNotNull`] need no operand.
    Nothing,
    /// An exact whole number, for attributes that hold whole numbers.
    Integer(i64),
    /// A number; may be infinite, and for logged models not a number.
    Number(f64),
    /// A text.
    Text(String),
    /// Several texts, for [`Test::In`] and [`Test::NotIn`]. May be empty for logged models only.
    Texts(Vec<String>),
}

/// A dataset that a metric was measured on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MetricDataset {
    /// The name of the dataset; none means any dataset.
    pub name: Option<String>,
    /// The digest of the dataset; none means any digest.
    pub digest: Option<String>,
}

/// One clause of a filter; a filter holds when all its conditions hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// What is compared.
    pub field: Field,
    /// How it is compared.
    pub test: Test,
    /// What it is compared with.
    pub operand: Operand,
    /// For metrics of logged models: the metric must have been logged on one of these datasets.
    /// Empty means that the dataset does not matter.
    pub datasets: Vec<MetricDataset>,
}

/// One sort key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// What is sorted by.
    pub field: Field,
    /// Whether small values come first. Absent values come last either way.
    pub ascending: bool,
    /// For metrics of logged models: only values logged on this dataset count.
    pub dataset: Option<MetricDataset>,
}

/// Whether `text` matches a `LIKE` pattern the way MLflow's store on SQLite answers it.
///
/// `%` stands for any number of characters and `_` for exactly one (a Unicode scalar value); there
/// is no escape character. Letter case counts, since MLflow opens its SQLite connections with
/// `PRAGMA case_sensitive_like = true`. The whole text must match. The time is at most the product
/// of the two lengths.
#[must_use]
pub fn matches_like(pattern: &str, text: &str) -> bool {
    matches_pattern(pattern, text, |left, right| left == right)
}

/// Whether `text` matches an `ILIKE` pattern the way MLflow's store on SQLite answers it.
///
/// As [`matches_like`], except that the letters A to Z match their small forms. MLflow asks for
/// `lower(column) LIKE lower(pattern)` and SQLite's `lower` leaves other letters alone, so `É` and
/// `é` still differ.
#[must_use]
pub fn matches_ilike(pattern: &str, text: &str) -> bool {
    matches_pattern(pattern, text, |left, right| {
        left.eq_ignore_ascii_case(&right)
    })
}

fn matches_pattern(pattern: &str, text: &str, same: impl Fn(char, char) -> bool) -> bool {
    let mut pattern = pattern.chars();
    let mut text = text.chars();
    // What remains of the pattern after the last `%`, and of the text from where it was tried.
    let mut retry: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        match pattern.next() {
            Some('%') => {
                retry = Some((pattern.clone(), text.clone()));
                continue;
            }
            Some(wanted) => {
                let Some(found) = text.next() else {
                    // Trying later in the text only leaves less of it.
                    return false;
                };
                if wanted == '_' || same(wanted, found) {
                    continue;
                }
            }
            None => {
                if text.as_str().is_empty() {
                    return true;
                }
            }
        }
        let Some((after_percent, mut tried)) = retry.take() else {
            return false;
        };
        if tried.next().is_none() {
            return false;
        }
        pattern = after_percent.clone();
        text = tried.clone();
        retry = Some((after_percent, tried));
    }
}

/// Which of the things that may be put away are looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum View {
    /// Those that are not put away.
    #[default]
    Active,
    /// Those that are put away.
    Deleted,
    /// All.
    All,
}

impl View {
    /// Whether a thing is to be seen.
    #[must_use]
    pub fn shows(self, deleted: bool) -> bool {
        match self {
            Self::Active => !deleted,
            Self::Deleted => deleted,
            Self::All => true,
        }
    }
}

/// Which runs are looked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunQuery {
    /// Their experiments; `None` for every one.
    pub experiment_ids: Option<Vec<i64>>,
    /// Which of those that are put away.
    pub view: View,
    /// What must hold.
    pub conditions: Vec<Condition>,
    /// By what they are sorted; then newest first.
    pub order: Vec<Order>,
    /// How many are passed over.
    pub offset: i64,
    /// How many are wanted at most.
    pub limit: i64,
}

impl Condition {
    /// Whether a text, or its absence, meets the condition.
    #[must_use]
    pub fn holds_for_text(&self, text: Option<&str>) -> bool {
        let Some(text) = text else {
            return self.test == Test::IsNull;
        };
        match (self.test, &self.operand) {
            (Test::IsNull, _) => false,
            (Test::IsNotNull, _) => true,
            (Test::Equal, Operand::Text(other)) => text == other,
            (Test::NotEqual, Operand::Text(other)) => text != other,
            (Test::Less, Operand::Text(other)) => text < other.as_str(),
            (Test::LessOrEqual, Operand::Text(other)) => text <= other.as_str(),
            (Test::Greater, Operand::Text(other)) => text > other.as_str(),
            (Test::GreaterOrEqual, Operand::Text(other)) => text >= other.as_str(),
            (Test::Like, Operand::Text(other)) => matches_like(other, text),
            (Test::ILike, Operand::Text(other)) => matches_ilike(other, text),
            (Test::In, Operand::Texts(others)) => others.iter().any(|other| other == text),
            (Test::NotIn, Operand::Texts(others)) => others.iter().all(|other| other != text),
            _ => false,
        }
    }

    /// Whether a number, or its absence, meets the condition.
    #[must_use]
    pub fn holds_for_number(&self, number: Option<f64>) -> bool {
        let Some(number) = number else {
            return self.test == Test::IsNull;
        };
        let other = match self.operand {
            Operand::Integer(other) => other as f64,
            Operand::Number(other) => other,
            _ => return self.test == Test::IsNotNull,
        };
        match self.test {
            Test::Equal => number == other,
            Test::NotEqual => number != other,
            Test::Less => number < other,
            Test::LessOrEqual => number <= other,
            Test::Greater => number > other,
            Test::GreaterOrEqual => number >= other,
            Test::IsNotNull => true,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_minds_letter_case_and_ilike_does_not() {
        for (pattern, text, like, ilike) in [
            ("", "", true, true),
            ("%", "", true, true),
            ("_", "", false, false),
            ("a%", "abc", true, true),
            ("A%", "abc", false, true),
            ("%c", "abcbc", true, true),
            ("%b", "abc", false, false),
            ("a_c", "aéc", true, true),
            ("É", "é", false, false),
            ("%%", "anything", true, true),
            ("%a%b%", "xxaxxbxx", true, true),
            ("%a%b%", "xxbxxaxx", false, false),
            ("a\\%", "a\\bc", true, true),
            ("a\\%", "a%", false, false),
            ("abc", "abcd", false, false),
            ("[a]", "a", false, false),
            ("%\n%", "a\nb", true, true),
        ] {
            assert_eq!(matches_like(pattern, text), like, "{pattern:?} {text:?}");
            assert_eq!(matches_ilike(pattern, text), ilike, "{pattern:?} {text:?}");
        }
    }
}
