//! Errors as people see them: what happened, hints, and the exit code of its kind.

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

use outlay_plan::request::Refusal;

/// Whose fault it is, which decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// A budget, gate or check failed: 1.
    Check,
    /// The input is wrong: 2.
    Input,
    /// Something outside failed: 3.
    Outside,
    /// `outlay run` ends with the code of its command, or with one of its own.
    Code(u8),
}

/// An error on its way to the terminal.
#[derive(Clone, Debug)]
pub struct Failure {
    cause: Cause,
    message: String,
    hints: Vec<String>,
}

impl Failure {
    /// A budget, gate or check that failed.
    pub fn check(message: impl Display) -> Self {
        Self {
            cause: Cause::Check,
            message: message.to_string(),
            hints: Vec::new(),
        }
    }

    /// Wrong input.
    pub fn input(message: impl Display) -> Self {
        Self {
            cause: Cause::Input,
            message: message.to_string(),
            hints: Vec::new(),
        }
    }

    /// A failure outside of Outlay.
    pub fn outside(message: impl Display) -> Self {
        Self {
            cause: Cause::Outside,
            message: message.to_string(),
            hints: Vec::new(),
        }
    }

    /// What a command that was run ended with, to end with in turn; there is nothing to add.
    pub fn passed(code: u8) -> Self {
        Self::with_code(code, "")
    }

    /// A failure with a code of its own.
    pub fn with_code(code: u8, message: impl Display) -> Self {
        Self {
            cause: Cause::Code(code),
            message: message.to_string(),
            hints: Vec::new(),
        }
    }

    /// Adds something to try.
    pub fn hint(mut self, hint: impl Display) -> Self {
        self.hints.push(hint.to_string());
        self
    }

    /// What happened, in one sentence.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Prints to stderr and gives the exit code.
    pub fn report(&self) -> ExitCode {
        if let Cause::Code(code) = self.cause
            && self.message.is_empty()
        {
            return ExitCode::from(code);
        }
        let mut out = anstream::stderr().lock();
        let red = anstyle::AnsiColor::Red.on_default().bold();
        let cyan = anstyle::AnsiColor::Cyan.on_default().bold();
        // One line, and nothing in it that a terminal would obey: the text may quote a file.
        let message: String = self
            .message
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let _ = writeln!(out, "{red}error:{red:#} {message}");
        for hint in &self.hints {
            let _ = writeln!(out, "{cyan}hint:{cyan:#} {hint}");
        }
        ExitCode::from(match self.cause {
            Cause::Check => 1,
            Cause::Input => 2,
            Cause::Outside => 3,
            Cause::Code(code) => code,
        })
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self {
            cause: Cause::Input,
            message: refusal.message,
            hints: refusal.hints,
        }
    }
}

/// What is wrong with a TOML text, in one line with its place.
pub fn toml_message(error: &toml::de::Error, text: &str) -> String {
    let line = error.span().map_or(1, |span| {
        text[..span.start.min(text.len())].matches('\n').count() + 1
    });
    format!("line {line}: {}", error.message().replace('\n', ", "))
}

/// Reads a text file; the message names it.
pub fn read_text(path: &std::path::Path) -> Result<String, Failure> {
    // A pipe would wait for a writer, and a device may have no end.
    if std::fs::metadata(path).is_ok_and(|data| !data.is_file() || data.len() > 1_000_000_000) {
        return Err(Failure::input(format!(
            "`{}` is no regular file of up to 1 GB",
            path.display()
        )));
    }
    std::fs::read_to_string(path)
        .map_err(|error| Failure::input(format!("cannot read `{}`: {error}", path.display())))
}

/// Writes a file whole or not at all: to a neighbour first, then renamed.
pub fn write_whole(path: &std::path::Path, content: impl AsRef<[u8]>) -> Result<(), Failure> {
    write_whole_with(path, |out| out.write_all(content.as_ref()))
}

/// As [`write_whole`], with what is too much to be held at once.
pub fn write_whole_with(
    path: &std::path::Path,
    write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<(), Failure> {
    // Through links, and never in place of a device.
    let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    if std::fs::metadata(path).is_ok_and(|data| !data.is_file()) {
        return Err(Failure::input(format!(
            "`{}` is no regular file to write to",
            path.display()
        )));
    }
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    std::fs::File::create(&part)
        .and_then(|file| {
            let mut out = std::io::BufWriter::new(file);
            write(&mut out)?;
            out.flush()
        })
        .and_then(|()| std::fs::rename(&part, path))
        .map_err(|error| {
            let _ = std::fs::remove_file(&part);
            Failure::outside(format!("cannot write `{}`: {error}", path.display()))
        })
}
