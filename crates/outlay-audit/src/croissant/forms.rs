//! Forms that values of a datasheet have: dates, versions, addresses, formats and paths.

/// Whether a text is a date or a time of ISO 8601, of a day that there is: `2024`, `2024-02`, `2024-02-29`, `20240229`,
/// `2024-02-29T12:30:00Z`.
pub(super) fn is_date_or_time(text: &str) -> bool {
    match text.split_once('T') {
        None => is_date(text),
        Some((date, time)) => is_day(date) && is_time(time),
    }
}

/// Whether a text is a day, month or year of ISO 8601.
pub(super) fn is_date(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    match text.split('-').map(digits).collect::<Vec<_>>().as_slice() {
        [Some((_, 4))] => true,
        [Some((_, 4)), Some((month, 2))] => (1..=12).contains(month),
        _ => is_day(text),
    }
}

fn is_day(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let parts = match text.split('-').collect::<Vec<_>>().as_slice() {
        [year, month, day] => Some((*year, *month, *day)),
        [all] if all.len() == 8 && all.is_ascii() => Some((&all[..4], &all[4..6], &all[6..])),
        _ => None,
    };
    let Some((Some((year, 4)), Some((month, 2)), Some((day, 2)))) =
        parts.map(|(year, month, day)| (digits(year), digits(month), digits(day)))
    else {
        return false;
    };
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let n_days = match month {
        2 => 28 + u64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => 0,
    };
    (1..=n_days).contains(&day)
}

/// Whether a text is a time of day of ISO 8601, with its zone or without.
pub(super) fn is_time(text: &str) -> bool {
    let (clock, zone) = match text.find(['Z', '+', '-']) {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let zone_is_fine = match zone.as_bytes().first() {
        None => true,
        Some(b'Z') => zone.len() == 1,
        _ => is_clock(&zone[1..], 2, false),
    };
    zone_is_fine && is_clock(clock, 3, true)
}

/// `12:30:59.5`, or the same without its colons.
fn is_clock(text: &str, n_parts_max: usize, may_have_fraction: bool) -> bool {
    let (whole, fraction) = match text.split_once(['.', ',']) {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text, None),
    };
    if fraction.is_some_and(|fraction| !may_have_fraction || digits(fraction).is_none()) {
        return false;
    }
    let parts: Vec<_> = if whole.contains(':') {
        whole.split(':').map(digits).collect()
    } else {
        whole
            .as_bytes()
            .chunks(2)
            .map(|pair| std::str::from_utf8(pair).ok().and_then(digits))
            .collect()
    };
    !parts.is_empty()
        && parts.len() <= n_parts_max
        && parts.iter().zip([24, 59, 60]).all(|(part, most)| {
            part.is_some_and(|(number, n_digits)| n_digits == 2 && number <= most)
        })
}

/// The number that up to eighteen digits write, and how many they are.
fn digits(text: &str) -> Option<(u64, usize)> {
    let is_digits =
        (1..=18).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_digits
        .then(|| text.parse().ok())
        .flatten()
        .map(|number| (number, text.len()))
}

/// Whether a text is a version of [Semantic Versioning 2.0.0](https://semver.org/spec/v2.0.0.html).
pub(super) fn is_semantic_version(text: &str) -> bool {
    let (text, build) = match text.split_once('+') {
        Some((text, build)) => (text, Some(build)),
        None => (text, None),
    };
    let (core, before) = match text.split_once('-') {
        Some((core, before)) => (core, Some(before)),
        None => (text, None),
    };
    let is_number = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_digit())
            && (part == "0" || !part.starts_with('0'))
    };
    let is_word = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    core.split('.').count() == 3
        && core.split('.').all(is_number)
        && before.is_none_or(|before| {
            before.split('.').all(|part| {
                is_word(part)
                    && (is_number(part) || !part.bytes().all(|byte| byte.is_ascii_digit()))
            })
        })
        && build.is_none_or(|build| build.split('.').all(is_word))
}

/// Whether a text is an address with a scheme, `https://example.org/x` or `doi:10.1000/1`.
pub(super) fn is_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else {
        return false;
    };
    let scheme_is_fine = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    let host_is_fine = match scheme.to_ascii_lowercase().as_str() {
        "http" | "https" | "ftp" => rest
            .strip_prefix("//")
            .and_then(|rest| rest.split(['/', '?', '#']).next())
            .is_some_and(|host| !host.is_empty() && !host.starts_with([':', '.'])),
        _ => !rest.is_empty(),
    };
    scheme_is_fine && host_is_fine && is_free_of_spaces(text)
}

/// Whether a text may be an address or a path relative to one.
pub(super) fn is_url_or_path(text: &str) -> bool {
    let has_scheme = text.split_once("://").is_some_and(|(scheme, _)| {
        !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric())
    });
    !text.is_empty() && is_free_of_spaces(text) && (!has_scheme || is_url(text))
}

/// Whether no space and no control sign is in a text.
pub(super) fn is_free_of_spaces(text: &str) -> bool {
    !text.contains(|sign: char| sign.is_whitespace() || sign.is_control())
}

/// Whether a text is a MIME type, with parameters or without, an address, or `git+https`, which the readers of Croissant know
/// for a repository.
pub(super) fn is_encoding_format(text: &str) -> bool {
    let is_token = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+*".contains(&byte))
    };
    let essence = text.split(';').next().unwrap_or_default().trim_end();
    let is_mime = essence
        .split_once('/')
        .is_some_and(|(kind, sub)| is_token(kind) && is_token(sub));
    is_mime || text == "git+https" || is_url(text)
}

/// Whether a text is a size: a number, with a unit of bytes or without.
pub(super) fn is_size(text: &str) -> bool {
    let text = text.trim();
    let n_number = text
        .bytes()
        .take_while(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b','))
        .count();
    let (number, unit) = text.split_at(n_number);
    let unit = unit.trim().to_ascii_lowercase();
    let unit_is_fine = matches!(unit.as_str(), "" | "b" | "byte" | "bytes")
        || unit
            .strip_prefix(['k', 'm', 'g', 't', 'p', 'e'])
            .is_some_and(|rest| matches!(rest, "b" | "ib"));
    number.starts_with(|first: char| first.is_ascii_digit()) && unit_is_fine
}

/// Whether a text has the form of a language's tag, BCP 47: `en`, `pt-BR`, `zh-Hant-TW`.
pub(super) fn is_language(text: &str) -> bool {
    let mut parts = text.split('-');
    parts.next().is_some_and(|first| {
        (2..=8).contains(&first.len()) && first.bytes().all(|byte| byte.is_ascii_alphabetic())
    }) && parts.all(|part| {
        (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// What a checksum is written as: `n_bytes` bytes in hexadecimal digits, or in base64.
pub(super) fn is_checksum(text: &str, n_bytes: usize) -> bool {
    let is_hexadecimal =
        text.len() == 2 * n_bytes && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let n_signs = n_bytes.div_ceil(3) * 4;
    let n_padding = (3 - n_bytes % 3) % 3;
    let is_base64 = text.len() == n_signs
        && text.is_ascii()
        && text[n_signs - n_padding..].bytes().all(|byte| byte == b'=')
        && text[..n_signs - n_padding]
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_'));
    is_hexadecimal || is_base64
}

/// What is wrong with a path into JSON, <https://goessner.net/articles/JsonPath/>: its brackets and quotes have to close, and its
/// names to be there.
pub(super) fn json_path_fault(path: &str) -> Option<&'static str> {
    if path.trim().is_empty() {
        return Some("it is empty");
    }
    let mut open = Vec::new();
    let mut quote = None;
    let mut before = ' ';
    let mut signs = path.chars();
    while let Some(sign) = signs.next() {
        match (quote, sign) {
            (Some(_), '\\') => {
                signs.next();
            }
            (Some(mark), _) if sign == mark => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(sign),
            (None, '[') => open.push(']'),
            (None, '(') => open.push(')'),
            (None, ']' | ')') => {
                if open.pop() != Some(sign) {
                    return Some("a bracket closes that none opened");
                }
                if sign == ']' && before == '[' {
                    return Some("a pair of brackets is empty");
                }
            }
            _ => {}
        }
        before = sign;
    }
    if quote.is_some() {
        return Some("a quote does not close");
    }
    if !open.is_empty() {
        return Some("a bracket does not close");
    }
    if path.ends_with('.') {
        return Some("a name is missing at its end");
    }
    path.contains("...")
        .then_some("a name is missing between dots")
}

/// The lengths of the sides of an array; `None` where a text is no such list. −1 is a length that is not known.
pub(super) fn array_shape(text: &str) -> Option<Vec<i64>> {
    let text = text.trim();
    let text = text
        .strip_prefix('(')
        .and_then(|text| text.strip_suffix(')'))
        .unwrap_or(text);
    let text = text.trim_end().strip_suffix(',').unwrap_or(text);
    text.split(',')
        .map(|side| {
            side.trim()
                .parse()
                .ok()
                .filter(|side| *side == -1 || *side > 0)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_iso_8601() {
        for text in [
            "2024",
            "2024-02",
            "2024-02-29",
            "20240229",
            "2025-10-19T01:06:58Z",
            "2025-10-19T01:06:58.123+02:00",
            "2025-10-19T01:06",
            "2025-10-19T010658-0530",
            "2000-02-29",
        ] {
            assert!(is_date_or_time(text), "{text}");
        }
        for text in [
            "",
            "-",
            "24",
            "2023-02-29",
            "1900-02-29",
            "2024-13-01",
            "2024-00",
            "2024-1-1",
            "01/02/2024",
            "2024-01-01 10:00",
            "2024-01T10:00",
            "2024-01-01T25:00",
            "2024-01-01T10:61",
            "2024-01-01T",
            "2024-01-01T10:00X",
            "March 2024",
            "２０２４",
        ] {
            assert!(!is_date_or_time(text), "{text}");
        }
    }

    #[test]
    fn versions_are_semantic() {
        // Examples of <https://semver.org>, and of its regular expression's tests.
        for text in [
            "1.0.0",
            "0.0.4",
            "1.0.0-alpha.1",
            "1.1.2+meta",
            "1.0.0-0A.is.legal",
        ] {
            assert!(is_semantic_version(text), "{text}");
        }
        for text in [
            "1",
            "1.2",
            "1.2.3-0123",
            "01.1.1",
            "1.2.3.4",
            "1.0.0-",
            "v1.0.0",
            "",
            "1.0.0+",
        ] {
            assert!(!is_semantic_version(text), "{text}");
        }
    }

    #[test]
    fn addresses_have_a_scheme() {
        for text in [
            "https://example.org",
            "doi:10.1/2",
            "s3://bucket/a",
            "http://a.b/c?d=e",
        ] {
            assert!(is_url(text), "{text}");
        }
        for text in [
            "None",
            "",
            "https://",
            "https:///a",
            "http://a b",
            "example.org/a",
            ":a",
            "1a:b",
        ] {
            assert!(!is_url(text), "{text}");
        }
        assert!(is_url_or_path("data/a.csv"));
        assert!(!is_url_or_path("http://"));
        assert!(!is_url_or_path("data/a b.csv"));
    }

    #[test]
    fn other_forms_are_told_apart() {
        for text in [
            "text/csv",
            "git+https",
            "https://ml.cms.waikato.ac.nz/weka/arff.html",
            "application/ld+json; profile=\"x\"",
        ] {
            assert!(is_encoding_format(text), "{text}");
        }
        for text in ["csv", "", "text/", "/csv", "text csv/x"] {
            assert!(!is_encoding_format(text), "{text}");
        }
        for text in ["117743 B", "36.809 KB", "97.73 TiB", "12", "3 bytes"] {
            assert!(is_size(text), "{text}");
        }
        for text in [" B", "", "big", "3 apples"] {
            assert!(!is_size(text), "{text}");
        }
        assert!(is_language("en") && is_language("zh-Hant-TW") && !is_language("English, French"));
        assert!(is_checksum(&"aF".repeat(32), 32) && is_checksum("bc1++XNoIWW685QyDLewsg==", 16));
        assert!(
            !is_checksum("sha256", 32) && !is_checksum(&"g".repeat(64), 32) && !is_checksum("", 16)
        );
        assert_eq!(array_shape("-1,3"), Some(vec![-1, 3]));
        assert_eq!(array_shape("(-1,)"), Some(vec![-1]));
        assert_eq!(array_shape("a"), None);
        assert_eq!(array_shape("0"), None);
    }

    #[test]
    fn paths_into_json_close_what_they_open() {
        for path in [
            "$",
            "a",
            "$.a[*].b",
            "$..a",
            "['a]b']",
            "$[?(@.a < 1)]",
            "a.b['c-d'][0]",
        ] {
            assert_eq!(json_path_fault(path), None, "{path}");
        }
        for path in ["", " ", "$.a[", "$.a]", "$['a", "$.a.", "$...a", "$[]"] {
            assert!(json_path_fault(path).is_some(), "{path}");
        }
    }
}
