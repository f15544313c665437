//! What crosses a split: groups that training and test data share, times that overlap, labels that equal records do not share.

use std::collections::{BTreeMap, HashMap};

use outlay_units::day_of_date;

/// Most different values of a field that are told apart.
const VALUES: usize = 1 << 20;

/// A field's values, told apart by numbers.
#[derive(Clone, Debug, Default)]
pub struct Values {
    numbers: HashMap<String, u32>,
    names: Vec<String>,
    n_beyond: u64,
}

impl Values {
    /// The number of a value; none where there are more different ones than are told apart.
    fn number(&mut self, value: &str) -> Option<u32> {
        if let Some(number) = self.numbers.get(value) {
            return Some(*number);
        }
        if self.names.len() >= VALUES {
            self.n_beyond += 1;
            return None;
        }
        let number = self.names.len() as u32;
        self.names.push(value.to_owned());
        self.numbers.insert(value.to_owned(), number);
        Some(number)
    }

    /// The value of a number.
    #[must_use]
    pub fn name(&self, number: u32) -> &str {
        self.names.get(number as usize).map_or("", String::as_str)
    }

    /// All values, by number.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Records whose value was one too many.
    #[must_use]
    pub fn n_beyond(&self) -> u64 {
        self.n_beyond
    }
}

/// How often each value of a field is there in the data, and in what it is compared with.
#[derive(Clone, Debug, Default)]
pub struct GroupCounts {
    /// The field.
    pub field: String,
    /// Its values.
    pub values: Values,
    /// Records of the data and of the other, by value.
    pub counts: Vec<(u64, u64)>,
    /// Records of the data by value and label, where labels are known.
    pub by_label: BTreeMap<(u32, u32), u64>,
    /// Records of the data without a value.
    pub n_missing: u64,
}

/// When the records were made.
#[derive(Clone, Debug, Default)]
pub struct Times {
    /// The field.
    pub field: String,
    /// Of each record of the data, in seconds since 1970 or in whatever numbers the field has; no number where none is told.
    pub data: Vec<f64>,
    /// Of each record that it is compared with.
    pub compared: Vec<f64>,
    /// Records whose value is no time.
    pub n_unread: u64,
}

/// The label of a record without one.
pub const NO_LABEL: u32 = u32::MAX;

/// What the fields say that were asked for.
#[derive(Clone, Debug, Default)]
pub struct FieldCounts {
    /// The labels' field, where one is named.
    pub label: Option<String>,
    /// The labels.
    pub labels: Values,
    /// Of each record of the data, and of what it is compared with, the number of its label, or `NO_LABEL`.
    pub label_of: Vec<u32>,
    /// Each group.
    pub groups: Vec<GroupCounts>,
    /// When records were made, where a field is named.
    pub times: Option<Times>,
}

impl FieldCounts {
    /// The label of a number; none for `NO_LABEL`.
    #[must_use]
    pub fn label_name(&self, label: u32) -> Option<&str> {
        self.labels.names().get(label as usize).map(String::as_str)
    }

    pub(crate) fn new(label: Option<&String>, time: Option<&String>, groups: &[String]) -> Self {
        let group = |field: &String| GroupCounts {
            field: field.clone(),
            ..GroupCounts::default()
        };
        Self {
            label: label.cloned(),
            groups: groups.iter().map(group).collect(),
            times: time.map(|field| Times {
                field: field.clone(),
                ..Times::default()
            }),
            ..Self::default()
        }
    }

    /// Takes a record's label, time and groups.
    pub(crate) fn take(
        &mut self,
        label: Option<&str>,
        time: Option<&str>,
        groups: &[Option<String>],
        is_compared: bool,
    ) {
        let mut own_label = None;
        if self.label.is_some() {
            let label = label.map(str::trim).filter(|label| !label.is_empty());
            own_label = label.and_then(|label| self.labels.number(label));
            self.label_of.push(own_label.unwrap_or(NO_LABEL));
        }
        if let Some(times) = &mut self.times {
            let at = time.and_then(instant);
            times.n_unread += u64::from(time.is_some() && at.is_none());
            let times = if is_compared {
                &mut times.compared
            } else {
                &mut times.data
            };
            times.push(at.unwrap_or(f64::NAN));
        }
        for (group, value) in self.groups.iter_mut().zip(groups) {
            let value = value
                .as_deref()
                .map(str::trim)
                .filter(|value| !value.is_empty());
            let Some(value) = value else {
                group.n_missing += u64::from(!is_compared);
                continue;
            };
            let Some(number) = group.values.number(value) else {
                continue;
            };
            let at = number as usize;
            if group.counts.len() <= at {
                group.counts.resize(at + 1, (0, 0));
            }
            if is_compared {
                group.counts[at].1 += 1;
                continue;
            }
            group.counts[at].0 += 1;
            // A table of more cells than these says nothing.
            if let Some(label) = own_label
                && (group.by_label.len() < VALUES || group.by_label.contains_key(&(number, label)))
            {
                *group.by_label.entry((number, label)).or_default() += 1;
            }
        }
    }
}

/// An instant as people write it: a number, or a date with or without a time (ISO 8601), in seconds since 1970 where no zone is said as of Greenwich.
///
/// ```
/// use outlay_audit::instant;
/// assert_eq!(instant("2001-09-09T01:46:40Z"), Some(1e9));
/// assert_eq!(instant("2001-09-09 03:46:40.5+02:00"), Some(1e9 + 0.5));
/// assert_eq!(instant("2001-09-09"), Some(1e9 - 6400.0));
/// assert_eq!(instant("17"), Some(17.0));
/// assert_eq!(instant("last week"), None);
/// ```
#[must_use]
pub fn instant(text: &str) -> Option<f64> {
    let text = text.trim();
    if let Some(number) = crate::rows::number(text) {
        return Some(number);
    }
    let day = day_of_date(text.get(..10)?)? as f64 * 86_400.0;
    let rest = &text[10..];
    if rest.is_empty() {
        return Some(day);
    }
    let clock = rest.strip_prefix(['T', 't', ' '])?;
    let zone = clock.find(['Z', 'z', '+', '-']).unwrap_or(clock.len());
    let (clock, zone) = clock.split_at(zone);
    let seconds = |clock: &str| {
        let mut parts = clock.trim().splitn(3, ':');
        let hours: f64 = parts.next()?.parse().ok()?;
        let minutes: f64 = parts.next().unwrap_or("0").parse().ok()?;
        let seconds: f64 = parts.next().unwrap_or("0").parse().ok()?;
        let is_clock = (0.0..=24.0).contains(&hours)
            && (0.0..60.0).contains(&minutes)
            && (0.0..=61.0).contains(&seconds);
        is_clock.then_some(hours * 3600.0 + minutes * 60.0 + seconds)
    };
    let shift = match zone.as_bytes().first() {
        None | Some(b'Z' | b'z') => 0.0,
        Some(sign) => {
            let colon;
            let mut shift = &zone[1..];
            if shift.len() == 4 && shift.is_ascii() && !shift.contains(':') {
                colon = format!("{}:{}", &shift[..2], &shift[2..]);
                shift = &colon;
            }
            seconds(shift)? * if *sign == b'-' { -1.0 } else { 1.0 }
        }
    };
    Some(day + seconds(clock)? - shift)
}
