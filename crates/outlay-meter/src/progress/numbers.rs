//! Numbers as people's programs print them.

/// Reads a number that `text` begins with, and what follows it.
///
/// `12`, `-0.5`, `1.2E+00`, `5e-05`, `nan`, `-inf`, `NaN`.
pub(super) fn leading(text: &str) -> Option<(f64, &str)> {
    let bytes = text.as_bytes();
    let sign = usize::from(matches!(bytes.first(), Some(b'+' | b'-')));
    let rest = text.get(sign..)?;
    for (word, value) in [
        ("infinity", f64::INFINITY),
        ("inf", f64::INFINITY),
        ("nan", f64::NAN),
    ] {
        if let Some(head) = rest.get(..word.len())
            && head.eq_ignore_ascii_case(word)
            && !rest[word.len()..].starts_with(|next: char| next.is_alphanumeric() || next == '_')
        {
            let value = if bytes[0] == b'-' { -value } else { value };
            return Some((value, &rest[word.len()..]));
        }
    }
    let digits = |from: usize| {
        let tail = bytes.get(from..).unwrap_or_default();
        from + tail.iter().take_while(|byte| byte.is_ascii_digit()).count()
    };
    let whole = digits(sign);
    let mut end = whole;
    if bytes.get(end) == Some(&b'.') {
        end = digits(end + 1);
    }
    if end == sign || &text[sign..end] == "." {
        return None;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let from = end + 1 + usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(from);
        if exponent > from {
            end = exponent;
        }
    }
    Some((text[..end].parse().ok()?, &text[end..]))
}

/// Reads a text that is a number and nothing else.
pub(super) fn whole(text: &str) -> Option<f64> {
    let (value, rest) = leading(text)?;
    rest.is_empty().then_some(value)
}

/// Reads a count that `text` begins with, such as the `250` of `250/1000`, and what follows it.
///
/// Counts are whole numbers that are not part of a word, of a version or of a time.
pub(super) fn count(text: &str) -> Option<(f64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (head, rest) = text.split_at(digits);
    let mut next = rest.chars();
    let stuck = match next.next() {
        Some('.') => next.next().is_some_and(|after| after.is_ascii_digit()),
        Some(letter) => letter.is_alphabetic() || letter == '_',
        None => false,
    };
    if digits == 0 || digits > 15 || stuck {
        return None;
    }
    Some((head.parse().ok()?, rest))
}

/// Reads a count that may be scaled, such as `1.20k` or `12.0M`.
pub(super) fn scaled(text: &str) -> Option<f64> {
    let (value, suffix) = leading(text)?;
    let scale = match suffix {
        "" => 1.0,
        "k" | "K" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        _ => return None,
    };
    (value.is_finite() && value >= 0.0).then_some(value * scale)
}

/// Reads seconds from `02:03`, `1:02:03` or `1 day, 2:03:04`'s last part.
pub(super) fn clock(text: &str) -> Option<f64> {
    let mut seconds = 0.0;
    let mut parts = 0;
    for part in text.split(':') {
        if part.is_empty() || part.len() > 6 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        seconds = seconds * 60.0 + part.parse::<f64>().ok()?;
        parts += 1;
    }
    (2..=3).contains(&parts).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_as_programs_print_them() {
        for (text, value) in [
            ("12", 12.0),
            ("-0.5", -0.5),
            (".5", 0.5),
            ("1.234560E+00", 1.23456),
            ("5e-05", 5e-5),
            ("-inf", f64::NEG_INFINITY),
        ] {
            assert_eq!(whole(text), Some(value), "{text}");
        }
        assert!(whole("nan").is_some_and(f64::is_nan));
        assert!(leading("NaN, lr").is_some_and(|(value, rest)| value.is_nan() && rest == ", lr"));
        for text in ["", ".", "-", "nano", "info", "e5", "é"] {
            assert_eq!(leading(text), None, "{text}");
        }
        assert_eq!(leading("2e"), Some((2.0, "e")));
    }

    #[test]
    fn counts_are_not_parts_of_words_or_versions() {
        assert_eq!(count("250/1000"), Some((250.0, "/1000")));
        assert_eq!(count("3. Done"), Some((3.0, ". Done")));
        assert_eq!(count("3.5"), None);
        assert_eq!(count("3d"), None);
        assert_eq!(scaled("1.20k"), Some(1200.0));
        assert_eq!(clock("1:02:03"), Some(3723.0));
        assert_eq!(clock("?"), None);
    }
}
