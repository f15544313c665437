//! Single values of a request.

use outlay_catalog::{Accelerator, carbon_intensity, find_accelerator};
use outlay_model::Input;
use outlay_units::{parse_count, parse_duration_seconds, parse_latency_seconds};

use super::Refusal;
use crate::workload::Precision;

/// Reads a number between limits.
///
/// # Errors
/// Anything else.
pub fn number(option: &str, text: &str, least: f64, most: f64) -> Result<f64, Refusal> {
    match text.trim().parse::<f64>() {
        Ok(value) if (least..=most).contains(&value) => Ok(value),
        _ => Err(Refusal::new(
            option,
            format!("--{option} is `{text}`; allowed: {least} to {most}"),
        )),
    }
}

/// Reads a whole number from 1, written in digits.
///
/// # Errors
/// Anything else.
pub fn whole_number(option: &str, text: &str, most: f64) -> Result<f64, Refusal> {
    match number(option, text, 1.0, most)? {
        value if value.fract() == 0.0 => Ok(value),
        _ => Err(Refusal::new(
            option,
            format!("--{option} is `{text}`; allowed: whole numbers from 1 to {most}"),
        )),
    }
}

/// Reads a whole number from 1, also as `4k`.
///
/// # Errors
/// Anything else.
pub fn whole(option: &str, text: Option<&str>, most: u64) -> Result<Option<u64>, Refusal> {
    let Some(text) = text else { return Ok(None) };
    match parse_count(text) {
        Ok(value) if value.fract() == 0.0 && value <= most as f64 => Ok(Some(value as u64)),
        _ => Err(Refusal::new(
            option,
            format!("--{option} is `{text}`; allowed: whole numbers from 1 to {most}"),
        )),
    }
}

/// Reads the tokens of a prompt or an answer.
///
/// # Errors
/// Anything but 1 to 10 million.
pub fn tokens(option: &str, text: &str) -> Result<f64, Refusal> {
    match parse_count(text) {
        Ok(value) if (1.0..=1e7).contains(&value) => Ok(value),
        _ => Err(Refusal::new(
            option,
            format!("--{option} is `{text}`; allowed: 1 to 10000000 tokens"),
        )),
    }
}

/// Reads a latency, in seconds.
///
/// # Errors
/// A missing or unknown unit.
pub fn latency(option: &str, text: Option<&str>) -> Result<Option<f64>, Refusal> {
    text.map(parse_latency_seconds)
        .transpose()
        .map_err(|error| Refusal::new(option, format!("--{option}: {error}")))
}

/// Reads a deadline, in seconds.
///
/// # Errors
/// A missing or unknown unit.
pub fn deadline_seconds(text: Option<&str>) -> Result<Option<f64>, Refusal> {
    text.map(parse_duration_seconds)
        .transpose()
        .map_err(|error| Refusal::new("deadline", format!("--deadline: {error}")))
}

/// Reads one of several names.
///
/// # Errors
/// A name that is not among them.
pub fn choice<T>(
    text: Option<&str>,
    option: &str,
    read: fn(&str) -> Option<T>,
    allowed: &[&str],
) -> Result<Option<T>, Refusal> {
    match text {
        None => Ok(None),
        Some(text) => read(text).map(Some).ok_or_else(|| {
            Refusal::new(
                option,
                format!(
                    "--{option} `{text}` is not known; allowed: {}",
                    allowed.join(", ")
                ),
            )
        }),
    }
}

/// Reads the number format of training; where nothing is said, the usual one of the accelerator.
///
/// # Errors
/// A format that is not known.
pub fn precision_or_usual(
    text: Option<&str>,
    fixed: Option<(u32, &Accelerator)>,
) -> Result<Precision, Refusal> {
    let given = choice(
        text,
        "precision",
        Precision::from_name,
        &Precision::ALL.map(Precision::name),
    )?;
    Ok(given.unwrap_or_else(|| {
        fixed.map_or(Precision::Bf16, |(_, accelerator)| {
            Precision::usual(accelerator)
        })
    }))
}

/// Reads `64xH100-SXM`, or `H100-SXM` for one; `what` names it in messages, such as `--gpus`.
///
/// # Errors
/// No number from 1 to a million, or an accelerator that is not known.
pub fn accelerators_of(what: &str, text: &str) -> Result<(u32, &'static Accelerator), Refusal> {
    let wrong = |why: String| {
        Refusal::new(
            what.trim_start_matches('-'),
            format!("{what} `{text}`: {why}"),
        )
        .hint("write a number, `x` and an accelerator, such as 64xH100-SXM")
    };
    let (n, name) = match text.split_once(['x', 'X', '*']) {
        Some((n, name)) if n.trim().chars().all(|c| c.is_ascii_digit()) && !n.trim().is_empty() => {
            (n.trim(), name.trim())
        }
        _ => ("1", text.trim()),
    };
    let n = match n.parse::<u32>() {
        Ok(n) if (1..=1_000_000).contains(&n) => n,
        _ => return Err(wrong(format!("{n} accelerators; allowed: 1 to 1,000,000"))),
    };
    if !name.chars().any(|c| c.is_ascii_alphabetic()) {
        return Err(wrong("no accelerator is named".to_owned()));
    }
    let accelerator = find_accelerator(name)
        .map_err(|error| wrong(error.to_string()).hint("run `outlay hardware` to see them all"))?;
    Ok((n, accelerator))
}

/// Reads the size of a sample: `1024` or `1280x720` pixels, and frames of a video.
///
/// # Errors
/// A size that no image has.
pub fn sample_size(resolution: Option<&str>, frames: Option<&str>) -> Result<Input, Refusal> {
    let frames = whole("frames", frames, 100_000)?;
    let Some(text) = resolution else {
        return Ok(Input {
            frames,
            ..Input::default()
        });
    };
    let side = |text: &str| {
        text.trim()
            .parse::<u64>()
            .ok()
            .filter(|side| (1..=65_536).contains(side))
    };
    let sides = match text.split_once(['x', 'X']) {
        Some((width, height)) => side(width).zip(side(height)),
        None => side(text).map(|side| (side, side)),
    };
    let Some((width, height)) = sides else {
        return Err(Refusal::new(
            "resolution",
            format!(
                "--resolution is `{text}`; allowed: a side such as 1024, or width x height such as 1280x720"
            ),
        ));
    };
    Ok(Input {
        height_px: Some(height),
        width_px: Some(width),
        frames,
        caption_tokens: None,
    })
}

/// Carbon intensity of an offer's grid, and where it comes from.
#[must_use]
pub fn carbon(provider: &str, region: &str) -> (f64, String) {
    let intensity = carbon_intensity(provider, region);
    (intensity.g_co2e_per_kwh, intensity.basis)
}
