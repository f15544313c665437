//! Personal data and secrets in texts: where, of what kind, and how sure.
//!
//! Every kind is found by its form and then checked by what its issuer checks it by (checksums, prefixes, lengths); forms that
//! ordinary numbers have too count only where a word before them says what they are.

mod checks;
mod numbers;
mod secrets;
mod streets;
mod web;

use serde::{Deserialize, Serialize};

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrivateKind {
    /// An e-mail address.
    Email,
    /// A telephone number.
    Phone,
    /// An address of the internet protocol, version 4 or 6, other than those of every machine.
    IpAddress,
    /// An international bank account number.
    Iban,
    /// A number of a payment card.
    PaymentCard,
    /// A number by which a state knows a person: of social security, taxes, health or identity.
    NationalId,
    /// A street with a number.
    StreetAddress,
    /// A key, token or password.
    Secret,
}

impl PrivateKind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Email,
        Self::Phone,
        Self::IpAddress,
        Self::Iban,
        Self::PaymentCard,
        Self::NationalId,
        Self::StreetAddress,
        Self::Secret,
    ];

    /// What it is called in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::IpAddress => "ip_address",
            Self::Iban => "iban",
            Self::PaymentCard => "payment_card",
            Self::NationalId => "national_id",
            Self::StreetAddress => "street_address",
            Self::Secret => "secret",
        }
    }
}

/// A place of something private.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Private {
    /// What it is.
    pub kind: PrivateKind,
    /// Which of its kind: `us_ssn`, `github_token`.
    pub form: &'static str,
    /// Where, in bytes of the text.
    pub place: std::ops::Range<usize>,
}

/// Everything private in a text, in order; where forms overlap, the longest.
///
/// ```
/// use outlay_audit::{PrivateKind, private};
/// let text = "Write to ann@example.org or call +44 20 7946 0958; IBAN GB82 WEST 1234 5698 7654 32.";
/// let found: Vec<_> = private(text).into_iter().map(|one| (one.kind, &text[one.place])).collect();
/// assert_eq!(found, [
///     (PrivateKind::Email, "ann@example.org"),
///     (PrivateKind::Phone, "+44 20 7946 0958"),
///     (PrivateKind::Iban, "GB82 WEST 1234 5698 7654 32"),
/// ]);
/// ```
#[must_use]
pub fn private(text: &str) -> Vec<Private> {
    let mut found = Vec::new();
    web::find(text, &mut found);
    numbers::find(text, &mut found);
    streets::find(text, &mut found);
    secrets::find(text, &mut found);
    found.sort_by_key(|one| (one.place.start, std::cmp::Reverse(one.place.end), one.kind));
    let mut kept: Vec<Private> = Vec::with_capacity(found.len());
    for one in found {
        match kept.last_mut() {
            Some(last) if one.place.start < last.place.end => {
                if one.place.len() > last.place.len() {
                    *last = one;
                }
            }
            _ => kept.push(one),
        }
    }
    kept
}

/// What may be shown of something private: its form, and no more of it than its first letter.
///
/// ```
/// use outlay_audit::{masked, private};
/// let text = "ann@example.org";
/// assert_eq!(masked(&private(text)[0], text), "a**@*******.***");
/// ```
#[must_use]
pub fn masked(private: &Private, text: &str) -> String {
    let shown = if private.kind == PrivateKind::Secret {
        0
    } else {
        1
    };
    let whole = &text[private.place.clone()];
    let mut n_seen = 0;
    whole
        .chars()
        .take(60)
        .map(|letter| {
            if letter.is_alphanumeric() {
                n_seen += 1;
                if n_seen > shown { '*' } else { letter }
            } else {
                letter
            }
        })
        .collect()
}

/// A text with a word for each private thing in it: `<EMAIL>`.
///
/// ```
/// assert_eq!(outlay_audit::redacted("Ask ann@example.org."), "Ask <EMAIL>.");
/// ```
#[must_use]
pub fn redacted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for one in private(text) {
        out.push_str(&text[at..one.place.start]);
        out.push('<');
        out.push_str(&one.kind.name().to_ascii_uppercase());
        out.push('>');
        at = one.place.end;
    }
    out.push_str(&text[at..]);
    out
}

/// Whether one of some words stands within forty bytes before a place, and no number or address of mail between.
fn is_said_before(text: &str, place: usize, words: &[&str]) -> bool {
    let from = text.floor_char_boundary(place.saturating_sub(40));
    // What is said before another number, or an address of mail, is said of that.
    let own = text[from..place]
        .rfind(|letter: char| letter.is_ascii_digit() || letter == '@')
        .map_or(from, |at| from + at + 1);
    let before = text[own..place].to_ascii_lowercase();
    words.iter().any(|word| {
        before.match_indices(word).any(|(at, _)| {
            let is_letter = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
            !is_letter(before.as_bytes().get(at.wrapping_sub(1)))
                && !is_letter(before.as_bytes().get(at + word.len()))
        })
    })
}
