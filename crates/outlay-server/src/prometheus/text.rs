//! The two text forms in which Prometheus reads metrics: its own (0.0.4), and OpenMetrics 1.0.

use std::fmt::Write as _;

/// Characters of a label's value.
const LABEL_CHARACTERS: usize = 256;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Prometheus' own, 0.0.4.
    Plain,
    /// OpenMetrics 1.0.
    Open,
}

impl Form {
    /// The form that a client asks for, by its `Accept`: the one of more weight, and Prometheus' own where it says nothing.
    pub fn of(accept: &str) -> Self {
        let mut best = (0.0, Self::Plain);
        for part in accept.split(',') {
            let mut parts = part.split(';').map(str::trim);
            let form = match parts.next() {
                Some("application/openmetrics-text") => Self::Open,
                Some("text/plain" | "text/*" | "*/*") => Self::Plain,
                _ => continue,
            };
            let mut weight = 1.0;
            let mut is_known = true;
            for parameter in parts {
                match parameter.split_once('=') {
                    Some(("q", text)) => weight = text.parse().unwrap_or(0.0),
                    Some(("version", text)) => {
                        is_known = matches!(text, "1.0.0" | "0.0.1" | "0.0.4");
                    }
                    _ => {}
                }
            }
            if is_known && weight > best.0 {
                best = (weight, form);
            }
        }
        best.1
    }

    /// What a reply in this form says that it is.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Plain => "text/plain; version=0.0.4; charset=utf-8",
            Self::Open => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The kinds of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Goes up and down.
    Gauge,
    /// Only goes up; its name ends in `_total`.
    Counter,
    /// Counts in buckets.
    Histogram,
}

/// A text that grows.
#[derive(Debug)]
pub struct Exposition {
    form: Form,
    out: String,
}

impl Exposition {
    /// An empty one.
    pub fn new(form: Form) -> Self {
        Self {
            form,
            out: String::new(),
        }
    }

    /// Begins a metric. `unit` is what its name ends in, or empty.
    pub fn family(&mut self, name: &str, kind: Kind, unit: &str, help: &str) {
        let name = match (self.form, kind) {
            (Form::Plain, Kind::Counter) => format!("{name}_total"),
            _ => name.to_owned(),
        };
        let kind = match kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
            Kind::Histogram => "histogram",
        };
        let _ = writeln!(self.out, "# HELP {name} {help}");
        let _ = writeln!(self.out, "# TYPE {name} {kind}");
        if self.form == Form::Open && !unit.is_empty() {
            let _ = writeln!(self.out, "# UNIT {name} {unit}");
        }
    }

    /// Adds a value.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.out.push_str(name);
        if !labels.is_empty() {
            self.out.push('{');
            for (at, (label, text)) in labels.iter().enumerate() {
                if at > 0 {
                    self.out.push(',');
                }
                let _ = write!(self.out, "{label}=\"");
                for one in text.chars().take(LABEL_CHARACTERS) {
                    match one {
                        '\\' => self.out.push_str("\\\\"),
                        '"' => self.out.push_str("\\\""),
                        '\n' => self.out.push_str("\\n"),
                        // Some readers take it for the end of a line.
                        '\r' => self.out.push(' '),
                        other => self.out.push(other),
                    }
                }
                self.out.push('"');
            }
            self.out.push('}');
        }
        let _ = writeln!(self.out, " {}", number(value));
    }

    /// The whole text.
    pub fn finish(mut self) -> String {
        if self.form == Form::Open {
            self.out.push_str("# EOF\n");
        }
        self.out
    }
}

/// A value as both forms write it.
pub fn number(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        format!("{value:?}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_form_of_more_weight_is_answered() {
        for (accept, form) in [
            ("", Form::Plain),
            ("*/*", Form::Plain),
            ("application/openmetrics-text", Form::Open),
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                Form::Open,
            ),
            (
                "application/openmetrics-text;version=1.0.0;q=0.1,text/plain;q=0.9",
                Form::Plain,
            ),
            (
                "application/openmetrics-text;version=2.0.0,text/plain;q=0.1",
                Form::Plain,
            ),
            ("application/openmetrics-text;q=0", Form::Plain),
        ] {
            assert_eq!(Form::of(accept), form, "{accept}");
        }
    }

    #[test]
    fn labels_are_escaped() {
        let mut out = Exposition::new(Form::Open);
        out.family("a_seconds", Kind::Gauge, "seconds", "How long.");
        out.sample("a_seconds", &[("x", "a\"b\\c\nd"), ("y", "é")], 0.25);
        assert_eq!(
            out.finish(),
            "# HELP a_seconds How long.\n# TYPE a_seconds gauge\n# UNIT a_seconds seconds\n\
             a_seconds{x=\"a\\\"b\\\\c\\nd\",y=\"é\"} 0.25\n# EOF\n"
        );
    }

    proptest! {
        #[test]
        fn a_sample_is_one_line(text in any::<String>(), value in proptest::num::f64::ANY) {
            let mut out = Exposition::new(Form::Plain);
            out.sample("a", &[("x", &text)], value);
            let out = out.finish();
            prop_assert_eq!(out.matches('\n').count(), 1);
            let read: f64 = out.trim_end_matches('\n').rsplit(' ').next().unwrap_or_default().parse().expect("a number");
            prop_assert!(read == value || (read.is_nan() && value.is_nan()));
        }
    }
}
