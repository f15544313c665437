//! Queries of addresses and bodies of forms, read in one way; and parts of addresses, written in one way.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// What a part of an address need not escape, wherever it stands, besides letters and digits.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');

/// The names and values of a query or of a form, in their order; what is no UTF-8 is replaced.
pub(crate) fn pairs(query: &str) -> impl Iterator<Item = (String, String)> + '_ {
    form_urlencoded::parse(query.as_bytes()).into_owned()
}

/// A part of a query in plain characters.
pub(crate) fn plain(text: &str) -> String {
    let text = text.replace('+', " ");
    percent_decode_str(&text).decode_utf8_lossy().into_owned()
}

/// A text as a part of an address: a name of its path, or a name or a value of its query.
pub(crate) fn escaped(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read_as_browsers_write_them() {
        let read: Vec<(String, String)> =
            pairs("a=1+2&&b&=c&a=%C3%A9%FF&d=x=y&e%20f=%2B").collect();
        let expected = [
            ("a", "1 2"),
            ("b", ""),
            ("", "c"),
            ("a", "é\u{fffd}"),
            ("d", "x=y"),
            ("e f", "+"),
        ];
        assert_eq!(
            read,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        assert_eq!(pairs("").count(), 0);
    }

    #[test]
    fn what_is_escaped_is_read_again() {
        let text = "a b/c?d=e&f#g+h%20\"é\u{0}";
        let written = escaped(text);
        assert_eq!(written, "a%20b%2Fc%3Fd%3De%26f%23g%2Bh%2520%22%C3%A9%00");
        assert_eq!(plain(&written), text);
        assert_eq!(escaped("v1.0_final-2"), "v1.0_final-2");
    }
}
