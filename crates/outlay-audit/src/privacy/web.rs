//! Addresses of mail and of machines.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Private, PrivateKind};

pub(super) fn find(text: &str, found: &mut Vec<Private>) {
    let bytes = text.as_bytes();
    for at in memchr::memchr_iter(b'@', bytes) {
        found.extend(email(text, at));
    }
    let mut next = 0;
    for at in memchr::memchr2_iter(b'.', b':', bytes) {
        if at < next {
            continue;
        }
        let address = if bytes[at] == b'.' {
            ipv4(text, at)
        } else {
            ipv6(text, at)
        };
        if let Some(address) = address {
            next = address.place.end;
            found.push(address);
        }
    }
}

/// What may stand in the local part without quotes: RFC 5322, section 3.2.3, less what ends links and code.
fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'.' | b'_' | b'%' | b'+' | b'-' | b'\'' | b'&' | b'~')
}

/// Ends of the names of files, and of names in programs, that follow an `@` as well.
const NO_DOMAINS: [&str; 32] = [
    "png",
    "jpg",
    "jpeg",
    "gif",
    "svg",
    "webp",
    "ico",
    "css",
    "js",
    "mjs",
    "cjs",
    "ts",
    "tsx",
    "jsx",
    "json",
    "html",
    "htm",
    "xml",
    "txt",
    "zip",
    "gz",
    "tar",
    "exe",
    "dll",
    "local",
    "localhost",
    "localdomain",
    "internal",
    "lan",
    "test",
    "invalid",
    "class",
];

fn email(text: &str, at: usize) -> Option<Private> {
    let bytes = text.as_bytes();
    let mut begin = at;
    while begin > 0 && at - begin < 64 && is_local(bytes[begin - 1]) {
        begin -= 1;
    }
    while begin < at && !bytes[begin].is_ascii_alphanumeric() {
        begin += 1;
    }
    if begin == at || bytes[at - 1] == b'.' {
        return None;
    }
    let mut end = at + 1;
    while end < bytes.len()
        && (bytes[end].is_ascii_alphanumeric() || matches!(bytes[end], b'.' | b'-'))
    {
        end += 1;
    }
    while end > at && matches!(bytes[end - 1], b'.' | b'-') {
        end -= 1;
    }
    let domain = text.get(at + 1..end)?;
    if domain.len() > 253
        || domain
            .split('.')
            .any(|label| label.is_empty() || label.len() > 63 || label.starts_with('-'))
    {
        return None;
    }
    let (_, top) = domain.rsplit_once('.')?;
    let is_top =
        (2..=24).contains(&top.len()) && top.bytes().all(|byte| byte.is_ascii_alphabetic());
    // `git@github.com:…` is how a program is fetched.
    let is_repository = &text[begin..at] == "git" && bytes.get(end) == Some(&b':');
    if !is_top
        || is_repository
        || NO_DOMAINS
            .iter()
            .any(|other| top.eq_ignore_ascii_case(other))
    {
        return None;
    }
    // The password within a link.
    if text[..begin].ends_with("://")
        || (begin > 0 && bytes[begin - 1] == b':' && is_in_link(text, begin))
    {
        return None;
    }
    Some(Private {
        kind: PrivateKind::Email,
        form: "email",
        place: begin..end,
    })
}

/// Whether what stands before a place is the name within `scheme://name:`.
fn is_in_link(text: &str, place: usize) -> bool {
    let before = &text[..place - 1];
    let name = before
        .rsplit(|letter: char| letter.is_whitespace() || letter == '/')
        .next()
        .unwrap_or_default();
    before[..before.len() - name.len()].ends_with("://")
}

/// An address of version 4 whose first point is at a place, and no version of a program.
fn ipv4(text: &str, point: usize) -> Option<Private> {
    let bytes = text.as_bytes();
    let mut begin = point;
    while begin > 0 && bytes[begin - 1].is_ascii_digit() && point - begin < 4 {
        begin -= 1;
    }
    let mut end = point;
    while end < bytes.len()
        && (bytes[end].is_ascii_digit() || bytes[end] == b'.')
        && end - begin < 17
    {
        end += 1;
    }
    while end > begin && bytes[end - 1] == b'.' {
        end -= 1;
    }
    let before = begin.checked_sub(1).map(|at| bytes[at]);
    let after = bytes.get(end).copied();
    let is_apart = |byte: Option<u8>| {
        byte.is_none_or(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'.' | b'_' | b'-'))
    };
    if begin == point || !is_apart(before) || !(is_apart(after) || after == Some(b'.')) {
        return None;
    }
    let address: Ipv4Addr = text[begin..end].parse().ok()?;
    // Those that mean this machine, or everyone, tell of nobody.
    let tells = !(address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_multicast()
        || address.octets()[0] == 0
        || address.octets()[0] >= 240);
    // A version, or the number of a section, stands right behind the word that says so.
    let word = text[..begin]
        .trim_end()
        .rsplit(|letter: char| !letter.is_ascii_alphabetic())
        .next()
        .unwrap_or("");
    let is_version = [
        "version", "v", "release", "build", "section", "chapter", "oid", "clause",
    ]
    .iter()
    .any(|one| word.eq_ignore_ascii_case(one));
    // Two small numbers or more in a row are parts of a numbering, sooner than a machine.
    let n_small = address.octets().iter().filter(|octet| **octet < 10).count();
    (tells && !is_version && n_small < 3).then_some(Private {
        kind: PrivateKind::IpAddress,
        form: "ipv4",
        place: begin..end,
    })
}

/// An address of version 6 around the first colon.
fn ipv6(text: &str, colon: usize) -> Option<Private> {
    let bytes = text.as_bytes();
    let is_part = |byte: u8| byte.is_ascii_hexdigit() || byte == b':';
    let mut begin = colon;
    while begin > 0 && bytes[begin - 1].is_ascii_hexdigit() && colon - begin < 5 {
        begin -= 1;
    }
    let mut end = colon;
    while end < bytes.len() && is_part(bytes[end]) && end - begin < 40 {
        end += 1;
    }
    let is_apart = |byte: Option<u8>| {
        byte.is_none_or(|byte| !byte.is_ascii_alphanumeric() && byte != b':' && byte != b'_')
    };
    if !is_apart(begin.checked_sub(1).map(|at| bytes[at])) || !is_apart(bytes.get(end).copied()) {
        return None;
    }
    let written = &text[begin..end];
    // Names in programs have two colons as well.
    if written.bytes().filter(|byte| *byte == b':').count() < 3
        || !written.bytes().any(|byte| byte.is_ascii_digit())
    {
        return None;
    }
    let address: Ipv6Addr = written.parse().ok()?;
    let first = address.segments()[0];
    // Global unicast is 2000::/3, and unique local fc00::/7; what is written out in eight parts is nothing else either way.
    // Fingerprints are pairs of digits.
    let is_written_out =
        !written.contains("::") && first != 0 && written.split(':').any(|part| part.len() != 2);
    let tells = is_written_out || first & 0xe000 == 0x2000 || first & 0xfe00 == 0xfc00;
    tells.then_some(Private {
        kind: PrivateKind::IpAddress,
        form: "ipv6",
        place: begin..end,
    })
}
