//! The one way to stdout: gathers a command's output and writes it at the end.

use std::io::Write;

use crate::failure::Failure;

/// Output of a command.
pub struct Printer {
    out: String,
}

/// Where a column's text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

impl Printer {
    /// An empty output.
    pub fn new() -> Self {
        Self { out: String::new() }
    }

    /// What was added so far.
    pub fn written(&self) -> &str {
        &self.out
    }

    /// Adds a line.
    pub fn line(&mut self, line: &str) {
        self.out.push_str(line.trim_end());
        self.out.push('\n');
    }

    /// Adds text as it is.
    pub fn text(&mut self, text: &str) {
        self.out.push_str(text);
    }

    /// Adds a heading in bold.
    pub fn heading(&mut self, heading: &str) {
        let bold = anstyle::Style::new().bold();
        for line in wrapped(heading) {
            self.line(&format!("{bold}{line}{bold:#}"));
        }
    }

    /// Adds a JSON value, indented.
    pub fn json<T: serde::Serialize>(&mut self, value: &T) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value).map_err(Failure::outside)?;
        self.line(&text);
        Ok(())
    }

    /// Adds a table: a header and rows, columns as wide as their widest cell, two blanks between.
    pub fn table(&mut self, header: &[(&str, Align)], rows: &[Vec<String>]) {
        let mut widths: Vec<usize> = header
            .iter()
            .map(|(name, _)| name.chars().count())
            .collect();
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        // A line of more than 80 columns breaks on most terminals: the widest texts give way.
        loop {
            let total = widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1);
            let widest = (0..widths.len())
                .filter(|&column| matches!(header[column].1, Align::Left) && widths[column] > 8)
                .max_by_key(|&column| widths[column]);
            match widest {
                Some(column) if total > 80 => widths[column] -= 1,
                _ => break,
            }
        }
        let dim = anstyle::Style::new().dimmed();
        let names: Vec<String> = header.iter().map(|(name, _)| (*name).to_owned()).collect();
        let head = aligned(&names, header, &widths);
        self.line(&format!("{dim}{head}{dim:#}"));
        for row in rows {
            let line = aligned(row, header, &widths);
            self.line(&line);
        }
    }

    /// Adds a table of estimates.
    pub fn ranges(&mut self, ranges: &Ranges) {
        let right = Align::Right;
        self.table(
            &[
                ("", Align::Left),
                ("p10", right),
                ("p50", right),
                ("p90", right),
            ],
            &ranges.0,
        );
    }

    /// Adds a sentence, wrapped at 80 columns.
    pub fn sentence(&mut self, text: &str) {
        for line in wrapped(text) {
            self.line(&line);
        }
    }

    /// Writes everything to stderr: what is said beside the output of a command.
    pub fn finish_on_stderr(self) {
        let mut err = anstream::stderr().lock();
        let _ = err.write_all(self.out.as_bytes());
    }

    /// Writes everything to stdout. A closed pipe is no error.
    pub fn finish(self) -> Result<(), Failure> {
        let mut out = anstream::stdout().lock();
        match out
            .write_all(self.out.as_bytes())
            .and_then(|()| out.flush())
        {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(Failure::outside(format!("cannot write to stdout: {error}")))
            }
            _ => Ok(()),
        }
    }
}

/// The lines of a text, of 80 columns at most.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let mut line = lines.pop().unwrap_or_default();
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > 80 {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        lines.push(line);
    }
    lines
}

/// A table of estimates, one in each row: p10, p50, p90.
#[derive(Default)]
pub struct Ranges(Vec<Vec<String>>);

impl Ranges {
    /// Adds a row.
    pub fn row(
        &mut self,
        name: &str,
        estimate: outlay_units::Estimate,
        write: impl Fn(f64) -> String,
    ) {
        self.0.push(vec![
            name.to_owned(),
            write(estimate.p10),
            write(estimate.p50),
            write(estimate.p90),
        ]);
    }
}

/// Says something on stderr that is no part of the answer.
pub fn aside(text: &str) {
    let mut err = anstream::stderr().lock();
    let _ = writeln!(err, "note: {text}");
}

fn aligned(row: &[String], header: &[(&str, Align)], widths: &[usize]) -> String {
    let mut line = String::new();
    for ((cell, (_, align)), &width) in row.iter().zip(header).zip(widths) {
        let short: String;
        let cell = if cell.chars().count() > width {
            let kept: String = cell.chars().take(width.saturating_sub(2)).collect();
            short = format!("{kept}..");
            &short
        } else {
            cell
        };
        if !line.is_empty() {
            line.push_str("  ");
        }
        let blanks = " ".repeat(width.saturating_sub(cell.chars().count()));
        match align {
            Align::Left => {
                line.push_str(cell);
                line.push_str(&blanks);
            }
            Align::Right => {
                line.push_str(&blanks);
                line.push_str(cell);
            }
        }
    }
    line.trim_end().to_owned()
}
