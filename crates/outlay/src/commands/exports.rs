//! `--export`: plans as files of the tools that run them.

use std::path::PathBuf;

use crate::failure::{Failure, write_whole};

/// Writes a plan for the tools asked for, each as `FORMAT=FILE`; all texts are made before the first is written.
///
/// # Errors
/// Where a wish is no such pair, a format is not one of `known`, a tool cannot express the plan, or a file cannot be written.
pub fn write_exports<Format>(
    wishes: &[String],
    known: &[&str],
    from_name: impl Fn(&str) -> Option<Format>,
    text: impl Fn(Format) -> Result<String, String>,
) -> Result<(), Failure> {
    let known = known.join(", ");
    let mut texts = Vec::new();
    for wish in wishes {
        let (format, file) = wish
            .split_once('=')
            .filter(|(_, file)| !file.is_empty())
            .ok_or_else(|| {
                Failure::input(format!(
                    "--export is `{wish}`; allowed: FORMAT=FILE, with a format of {known}"
                ))
            })?;
        let format = from_name(format).ok_or_else(|| {
            Failure::input(format!(
                "--export `{format}` is not known; allowed: {known}"
            ))
        })?;
        let text = text(format)
            .map_err(|message| Failure::input(format!("--export {wish}: {message}")))?;
        texts.push((PathBuf::from(file), text));
    }
    for (path, text) in texts {
        write_whole(&path, &text)?;
    }
    Ok(())
}
