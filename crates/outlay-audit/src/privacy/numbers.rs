//! Numbers of telephones, banks, cards and persons.

use super::checks::{luhn, modulo_11_10, modulo_97, verhoeff, weighted};
use super::{Private, PrivateKind, is_said_before};

pub(super) fn find(text: &str, found: &mut Vec<Private>) {
    let bytes = text.as_bytes();
    let mut groups = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        read_groups(bytes, at, &mut groups);
        look(text, &groups, found);
        at = groups.last().map_or(at + 1, |(_, end)| *end);
    }
}

/// Groups of one number, at most.
const GROUPS: usize = 10;

/// Digits that follow each other, and groups of them with a sign or two between, from a place on.
fn read_groups(bytes: &[u8], from: usize, groups: &mut Vec<(usize, usize)>) {
    groups.clear();
    let mut at = from;
    loop {
        let begin = at;
        while at < bytes.len() && bytes[at].is_ascii_digit() {
            at += 1;
        }
        groups.push((begin, at));
        let mut next = at;
        while next < bytes.len()
            && next - at < 3
            && matches!(bytes[next], b' ' | b'-' | b'.' | b'(' | b')' | b'/')
        {
            next += 1;
        }
        if next == at
            || groups.len() == GROUPS
            || next >= bytes.len()
            || !bytes[next].is_ascii_digit()
        {
            return;
        }
        at = next;
    }
}

/// Some groups as one number.
struct Number<'a> {
    text: &'a str,
    groups: &'a [(usize, usize)],
    digits: Vec<u8>,
}

impl Number<'_> {
    fn begin(&self) -> usize {
        self.groups[0].0
    }

    fn end(&self) -> usize {
        self.groups[self.groups.len() - 1].1
    }

    fn lengths(&self) -> Vec<usize> {
        self.groups.iter().map(|(begin, end)| end - begin).collect()
    }

    /// What stands between all groups, where it is everywhere the same.
    fn between(&self) -> Option<&str> {
        let mut all = self
            .groups
            .windows(2)
            .map(|pair| &self.text[pair[0].1..pair[1].0]);
        let first = all.next()?;
        all.all(|other| other == first).then_some(first)
    }

    fn is_said(&self, words: &[&str]) -> bool {
        is_said_before(self.text, self.begin(), words)
    }
}

/// Looks at groups from each of them on.
fn look(text: &str, groups: &[(usize, usize)], found: &mut Vec<Private>) {
    let bytes = text.as_bytes();
    // An account's number that does not check is none, and neither are parts of it.
    let begin = groups[0].0;
    let is_account = begin >= 2
        && text.get(begin - 2..begin).is_some_and(|country| {
            country.bytes().all(|byte| byte.is_ascii_uppercase())
                && IBANS.split(' ').any(|one| one.starts_with(country))
        });
    if is_account && groups.len() > 3 && iban(text, begin - 2).is_none() {
        return;
    }
    let mut first = 0;
    'from: while first < groups.len() {
        if let Some(one) = lettered(text, groups[first]) {
            let end = one.place.end;
            found.push(one);
            while first < groups.len() && groups[first].0 < end {
                first += 1;
            }
            continue;
        }
        for last in (first..groups.len()).rev() {
            let some = &groups[first..=last];
            let n_digits: usize = some.iter().map(|(begin, end)| end - begin).sum();
            if !(7..=19).contains(&n_digits) {
                continue;
            }
            let (begin, end) = (some[0].0, some[some.len() - 1].1);
            // Part of a word, of a name in a program, of a fraction or of a longer number.
            let before = begin.checked_sub(1).map(|at| bytes[at]);
            let extended = extension(text, end);
            let after = bytes.get(extended.unwrap_or(end)).copied();
            let in_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 128;
            let is_fraction = begin >= 2
                && matches!(bytes[begin - 1], b'.' | b',')
                && bytes[begin - 2].is_ascii_digit();
            if before.is_some_and(in_word) || after.is_some_and(in_word) || is_fraction {
                continue;
            }
            let number = Number {
                text,
                groups: some,
                digits: some
                    .iter()
                    .flat_map(|(begin, end)| &bytes[*begin..*end])
                    .map(|byte| byte - b'0')
                    .collect(),
            };
            let is_phone = |kind| kind == PrivateKind::Phone;
            if let Some((kind, form, begin)) = known(&number)
                && (extended.is_none() || is_phone(kind))
            {
                let end = extended.unwrap_or(number.end());
                found.push(Private {
                    kind,
                    form,
                    place: begin..end,
                });
                first = last + 1;
                while first < groups.len() && groups[first].0 < end {
                    first += 1;
                }
                continue 'from;
            }
        }
        first += 1;
    }
}

/// Where the extension of a telephone's number ends that begins right behind it: `x373`, ` ext. 12`.
fn extension(text: &str, end: usize) -> Option<usize> {
    let rest = &text[end..];
    let word = rest.trim_start_matches(' ');
    let digits = ["extension", "ext.", "ext", "x"]
        .iter()
        .find_map(|mark| {
            let head = word.get(..mark.len())?;
            head.eq_ignore_ascii_case(mark)
                .then_some(&word[mark.len()..])
        })?
        .trim_start_matches([' ', '.']);
    let n_digits = digits.bytes().take_while(u8::is_ascii_digit).count();
    let at = text.len() - digits.len() + n_digits;
    let is_end = text
        .as_bytes()
        .get(at)
        .is_none_or(|byte| !byte.is_ascii_alphanumeric());
    ((1..=6).contains(&n_digits) && is_end && at - end < 20).then_some(at)
}

/// What a number is, and where it begins with what stands before its digits.
fn known(number: &Number) -> Option<(PrivateKind, &'static str, usize)> {
    let begin = number.begin();
    let digits = &number.digits;
    if digits.iter().all(|digit| *digit == digits[0]) {
        return None;
    }
    if is_card(number) {
        return Some((PrivateKind::PaymentCard, "payment_card", begin));
    }
    if let Some(form) = national(number) {
        return Some((PrivateKind::NationalId, form, begin));
    }
    phone(number).map(|begin| (PrivateKind::Phone, "phone", begin))
}

/// ISO/IEC 7812: the issuers' ranges and lengths, in the groups in which they are printed, and Luhn's digit.
fn is_card(number: &Number) -> bool {
    let digits = &number.digits;
    let lengths = number.lengths();
    let is_printed = lengths.len() == 1
        || (matches!(number.between(), Some(" " | "-"))
            && matches!(
                lengths[..],
                [4, 4, 4, 4] | [4, 6, 5] | [4, 6, 4] | [4, 4, 4, 4, 3] | [4, 4, 4, 1]
            ));
    if !is_printed || !(12..=19).contains(&digits.len()) || !luhn(digits) {
        return false;
    }
    // Ranges change, and those of Maestro and of old cards of JCB are what other numbers begin with as well.
    let is_card_like = matches!(digits[0], 3..=6)
        || matches!(digits[..4], [2, 1, 3, 1] | [1, 8, 0, 0] | [0, 6, 0, 4]);
    if is_card_like && number.is_said(&CARD_SAID) {
        return true;
    }
    let first = |n: usize| {
        digits[..n]
            .iter()
            .fold(0_u32, |value, digit| value * 10 + u32::from(*digit))
    };
    match digits.len() {
        13 => first(1) == 4,
        14 => first(2) == 36 || first(2) == 38 || (300..=305).contains(&first(3)),
        15 => first(2) == 34 || first(2) == 37 || first(4) == 2131 || first(4) == 1800,
        16 => {
            first(1) == 4
                || (51..=55).contains(&first(2))
                || (2221..=2720).contains(&first(4))
                || (3528..=3589).contains(&first(4))
                || first(4) == 6011
                || first(2) == 65
                || first(2) == 62
                || (644..=649).contains(&first(3))
                || first(2) == 67
                || first(2) == 50
        }
        17..=19 => first(2) == 62 || first(1) == 4 && digits.len() == 19,
        _ => false,
    }
}

/// Words before a card's number.
const CARD_SAID: [&str; 14] = [
    "card",
    "cards",
    "credit",
    "debit",
    "visa",
    "mastercard",
    "amex",
    "maestro",
    "jcb",
    "kreditkarte",
    "karte",
    "carte",
    "tarjeta",
    "carta",
];

/// A number by which a state knows a person.
fn national(number: &Number) -> Option<&'static str> {
    let digits = &number.digits;
    let lengths = number.lengths();
    let between = number.between();
    let value = |range: std::ops::Range<usize>| {
        digits[range]
            .iter()
            .fold(0_u32, |value, digit| value * 10 + u32::from(*digit))
    };
    match (digits.len(), &lengths[..], between) {
        // United States: Social Security, and the tax number of those who have none of it.
        (9, [3, 2, 4], Some("-" | " ")) | (9, [9], _) => {
            let is_plain = between == Some("-");
            let is_named = number.is_said(&["ssn", "social security"]);
            let is_said = is_plain || is_named || number.is_said(&["itin", "taxpayer", "tax id"]);
            let (area, group, serial) = (value(0..3), value(3..5), value(5..9));
            let is_example = matches!(
                (area, group, serial),
                (78, 5, 1120) | (219, 9, 9999) | (123, 45, 6789) | (987, 65, 4320..=4329)
            );
            if !is_said || group == 0 || serial == 0 || is_example {
                None
            } else if is_plain && is_named {
                // One that was never given, and stands where one would.
                Some("us_ssn")
            } else if area >= 900 {
                matches!(group, 50..=65 | 70..=88 | 90..=92 | 94..=99).then_some("us_itin")
            } else {
                (area != 0 && area != 666).then_some("us_ssn")
            }
            .or_else(|| said_nine(number))
        }
        (9, [3, 3, 3], _) => said_nine(number),
        // Brazil: CPF, two sums modulo 11.
        (11, [3, 3, 3, 2], _) | (11, [11], _)
            if is_cpf(digits) && (lengths.len() > 1 || is_person(number, &["cpf"])) =>
        {
            Some("br_cpf")
        }
        (11, [11] | [2, 3, 3, 3], _) => {
            let is_tax = modulo_11_10(digits) && digits[0] != 0;
            let is_pesel = weighted(digits, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]).is_multiple_of(10);
            let is_born = matches!(value(2..4) % 20, 1..=12) && matches!(value(4..6), 1..=31);
            if is_pesel && is_born && is_person(number, &["pesel"]) {
                Some("pl_pesel")
            } else {
                let words = [
                    "steuer-id",
                    "steuer-idnr",
                    "steueridentifikationsnummer",
                    "identifikationsnummer",
                    "idnr",
                    "tax id",
                    "tin",
                ];
                (is_tax && is_person(number, &words)).then_some("de_tax_id")
            }
        }
        // Sweden: a day of birth, and four digits of which the last is Luhn's; of twelve the first two are the century.
        (10, [6, 4], Some("-" | "+")) | (12, [8, 4], Some("-"))
            if is_swedish(&digits[digits.len() - 10..]) =>
        {
            Some("se_personnummer")
        }
        (10 | 12, [_], _)
            if is_swedish(&digits[digits.len() - 10..])
                && number.is_said(&[
                    "personnummer",
                    "personal number",
                    "personal identity number",
                ]) =>
        {
            Some("se_personnummer")
        }
        // India: Aadhaar.
        (12, [4, 4, 4], Some(" " | "-")) if digits[0] >= 2 && verhoeff(digits) => {
            Some("in_aadhaar")
        }
        (12, [12], _)
            if digits[0] >= 2
                && verhoeff(digits)
                && number.is_said(&["aadhaar", "aadhar", "uid", "uidai"]) =>
        {
            Some("in_aadhaar")
        }
        // United Kingdom: National Health Service, a sum modulo 11.
        (10, [3, 3, 4] | [10], _) if number.is_said(&["nhs"]) => {
            let check = 11 - weighted(&digits[..9], &[10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11;
            (check % 11 == u32::from(digits[9])).then_some("uk_nhs")
        }
        // France: the number of the register of persons, with its key.
        (15, [15] | [13, 2] | [1, 2, 2, 2, 3, 3, 2], _)
            if matches!(digits[0], 1 | 2) && (1..=12).contains(&value(3..5)) =>
        {
            let whole = digits[..13]
                .iter()
                .fold(0_u64, |value, digit| value * 10 + u64::from(*digit));
            (97 - whole % 97 == u64::from(value(13..15))).then_some("fr_nir")
        }
        _ => None,
    }
}

/// Whether what is said before a number is one of some words, or speaks of a number of persons.
fn is_person(number: &Number, words: &[&str]) -> bool {
    number.is_said(words)
        || number.is_said(&[
            "national id",
            "national identity",
            "identity number",
            "id number",
            "id no",
            "personal number",
            "social security",
            "ssn",
            "citizen",
        ])
}

fn is_swedish(digits: &[u8]) -> bool {
    let pair = |at: usize| digits[at] * 10 + digits[at + 1];
    // Of coordination numbers the day is greater by sixty.
    matches!(pair(2), 1..=12) && matches!(pair(4), 1..=31 | 61..=91) && luhn(digits)
}

/// Numbers of nine digits that only a word before tells from others.
fn said_nine(number: &Number) -> Option<&'static str> {
    let digits = &number.digits;
    if is_person(number, &["social insurance", "sin"]) && luhn(digits) {
        return Some("ca_sin");
    }
    let is_bsn = (weighted(&digits[..8], &[9, 8, 7, 6, 5, 4, 3, 2]) + 10 * 11
        - u32::from(digits[8]))
    .is_multiple_of(11);
    if is_bsn && is_person(number, &["bsn", "burgerservicenummer"]) {
        return Some("nl_bsn");
    }
    let is_tfn = weighted(digits, &[1, 4, 3, 7, 5, 8, 6, 9, 10]).is_multiple_of(11);
    (number.is_said(&["tfn", "tax file number"]) && is_tfn).then_some("au_tfn")
}

fn is_cpf(digits: &[u8]) -> bool {
    let check = |n: usize| {
        let sum: u32 = digits[..n]
            .iter()
            .enumerate()
            .map(|(at, digit)| u32::from(*digit) * (n as u32 + 1 - at as u32))
            .sum();
        let rest = sum % 11;
        if rest < 2 { 0 } else { 11 - rest }
    };
    check(9) == u32::from(digits[9]) && check(10) == u32::from(digits[10])
}

const SAID: [&str; 23] = [
    "phone",
    "telephone",
    "tel",
    "mobile",
    "cell",
    "fax",
    "call",
    "ph",
    "tel.",
    "whatsapp",
    "telefon",
    "téléphone",
    "tél",
    "mob",
    "handy",
    "contact",
    "sms",
    "dial",
    "hotline",
    "my number",
    "reach me at",
    "text me",
    "ring me",
];

/// Calling codes of the world (ITU-T E.164) of one and two digits; those of three begin with what no shorter one does.
fn is_calling_code(digits: &[u8]) -> bool {
    let two = 10 * u32::from(digits[0]) + u32::from(digits[1]);
    match digits[0] {
        1 | 7 => true,
        0 => false,
        _ => !matches!(two, 28 | 83 | 89 | 69),
    }
}

/// Whether the digits or groups only count on, or are years.
fn is_counted(number: &Number) -> bool {
    let values: Vec<u64> = number
        .groups
        .iter()
        .map(|(begin, end)| number.text[*begin..*end].parse().unwrap_or(0))
        .collect();
    let steps = |values: &[u64]| {
        values
            .windows(2)
            .map(|pair| pair[1].wrapping_sub(pair[0]))
            .collect::<Vec<_>>()
    };
    let is_even = |steps: &[u64]| {
        steps.len() > 2 && steps[0] <= 2 && steps.iter().all(|step| *step == steps[0])
    };
    let digits: Vec<u64> = number
        .digits
        .iter()
        .map(|digit| u64::from(*digit))
        .collect();
    let are_years = number.lengths().iter().all(|length| *length == 4)
        && values.iter().all(|value| (1900..=2100).contains(value));
    is_even(&steps(&values)) || is_even(&steps(&digits)) || are_years
}

/// A telephone number, and where it begins, with the sign of its calling code.
fn phone(number: &Number) -> Option<usize> {
    let mut digits = number.digits.clone();
    let mut lengths = number.lengths();
    let bytes = number.text.as_bytes();
    let begin = number.begin();
    // `+33 (0)4`: the zero is dialled within the country alone.
    let is_optional =
        |(from, to): &(usize, usize)| *from > 0 && number.text.get(from - 1..to + 1) == Some("(0)");
    if begin > 0 && bytes[begin - 1] == b'+' && number.groups.get(1).is_some_and(is_optional) {
        digits.remove(lengths[0]);
        lengths.remove(1);
    }
    let digits = &digits;
    let is_open = begin > 0 && bytes[begin - 1] == b'(';
    let from = begin - usize::from(is_open);
    // A parenthesis that is closed was opened.
    let inside = &number.text[from..number.end()];
    if inside.matches('(').count() != inside.matches(')').count()
        || inside.contains("--")
        || inside.contains("..")
    {
        return None;
    }
    if is_counted(number)
        || number.text[begin..number.end()]
            .parse::<std::net::Ipv4Addr>()
            .is_ok()
    {
        return None;
    }
    let is_plus = from > 0 && bytes[from - 1] == b'+';
    // One digit by itself is a code of a country, or none of a telephone's.
    let mut single = (0..lengths.len()).filter(|at| lengths[*at] == 1);
    let is_code = match (single.next(), single.next()) {
        (None, _) => true,
        // Before an area: +33 1.
        (Some(at), None) => (at == 0 && (is_plus || digits[0] == 1)) || (at == 1 && is_plus),
        _ => false,
    };
    if !is_code {
        return None;
    }
    if is_plus {
        let is_word =
            from >= 2 && (bytes[from - 2].is_ascii_alphanumeric() || bytes[from - 2] == b'+');
        let is_apart = if lengths.len() > 1 {
            lengths[0] <= if number.between() == Some(" ") { 6 } else { 5 }
        } else {
            digits.len() >= 10
        };
        return ((8..=15).contains(&digits.len())
            && !is_word
            && is_apart
            && is_calling_code(digits))
        .then_some(from - 1);
    }
    if digits[..2] == [0, 0]
        && (10..=17).contains(&digits.len())
        && digits[2] != 0
        && is_calling_code(&digits[2..])
        && (lengths.len() > 2 || number.is_said(&SAID))
    {
        return Some(from);
    }
    // North America: neither area nor exchange begins with 0 or 1 (NANPA's rules).
    let (own, own_lengths) = if digits.len() == 11 && digits[0] == 1 {
        (&digits[1..], &lengths[1..])
    } else {
        (&digits[..], &lengths[..])
    };
    let is_american = own.len() == 10
        && own[0] >= 2
        && own[3] >= 2
        && !(own[1] == 9 && own[2] == 9)
        && !(own[4] == 1 && own[5] == 1);
    if is_american {
        let between = number.between();
        let is_printed = own_lengths == [3, 3, 4]
            && (is_open
                || inside.contains(") ")
                || inside.contains(')')
                || matches!(between, Some("-" | "."))
                || number.is_said(&SAID));
        let is_mixed = own_lengths == [3, 3, 4] && inside.contains('-') && !inside.contains('.');
        if is_printed || is_mixed || number.is_said(&SAID) {
            return Some(from);
        }
    }
    // Elsewhere a number within the country begins with 0, and is printed in groups.
    if digits[0] == 0 && digits[1] != 0 && (9..=12).contains(&digits.len()) {
        let is_french = lengths == [2, 2, 2, 2, 2] && number.between().is_some();
        let is_british = matches!(lengths[..], [3, 4, 4] | [4, 3, 4] | [5, 6] | [5, 3, 3])
            && matches!(number.between(), Some(" ") | None);
        if is_french
            || (is_british && digits.len() >= 10 && digits.len() <= 11)
            || number.is_said(&SAID)
        {
            return Some(from);
        }
    }
    // What is said to be one, is one.
    let is_grouped = lengths.len() > 1 && lengths.iter().all(|length| (1..=8).contains(length));
    let is_said = number.is_said(&[
        "phone",
        "telephone",
        "tel",
        "mobile",
        "fax",
        "telefon",
        "whatsapp",
        "call me at",
        "call me on",
        "call us at",
        "my number",
        "reach me at",
        "text me",
        "ring me",
    ]);
    ((8..=13).contains(&digits.len()) && is_said && (is_grouped || digits.len() >= 9))
        .then_some(from)
}

/// What has letters too: bank accounts, and the numbers of some states.
fn lettered(text: &str, (begin, end): (usize, usize)) -> Option<Private> {
    let bytes = text.as_bytes();
    let n_digits = end - begin;
    let mut from = begin;
    while from > 0 && begin - from < 7 && bytes[from - 1].is_ascii_uppercase() {
        from -= 1;
    }
    // British numbers of insurance are printed in pairs.
    if from == begin
        && n_digits == 2
        && begin >= 3
        && bytes[begin - 1] == b' '
        && bytes[begin - 3..begin - 1]
            .iter()
            .all(u8::is_ascii_uppercase)
    {
        let is_begin =
            begin == 3 || !(bytes[begin - 4].is_ascii_alphanumeric() || bytes[begin - 4] == b'_');
        return is_begin.then(|| insurance(text, begin - 3)).flatten();
    }
    let is_apart = |byte: Option<u8>| {
        byte.is_none_or(|byte| !byte.is_ascii_alphanumeric() && byte != b'_' && byte < 128)
    };
    if !is_apart(from.checked_sub(1).map(|at| bytes[at])) {
        return None;
    }
    let found = |kind, form, place: std::ops::Range<usize>| {
        is_apart(bytes.get(place.end).copied()).then_some(Private { kind, form, place })
    };
    let letter = bytes.get(end).copied().filter(u8::is_ascii_uppercase);
    match begin - from {
        0 if n_digits == 8 => {
            // Spain: the letter is that of the number modulo 23.
            let value: u32 = text[begin..end].parse().ok()?;
            let is_right = letter == Some(b"TRWAGMYFPDXBNJZSQVHLCKE"[(value % 23) as usize]);
            is_right
                .then(|| found(PrivateKind::NationalId, "es_dni", begin..end + 1))
                .flatten()
        }
        1 if n_digits == 7 => {
            let value: u32 = text[begin..end].parse().ok()?;
            let first = bytes[from];
            let spanish = matches!(first, b'X' | b'Y' | b'Z')
                && letter
                    == Some(
                        b"TRWAGMYFPDXBNJZSQVHLCKE"
                            [((value + 10_000_000 * u32::from(first - b'X')) % 23) as usize],
                    );
            if spanish {
                return found(PrivateKind::NationalId, "es_nie", from..end + 1);
            }
            let digits: Vec<u8> = bytes[begin..end].iter().map(|byte| byte - b'0').collect();
            let sum = weighted(&digits, &[2, 7, 6, 5, 4, 3, 2]);
            // Singapore: the letter is that of the sum modulo 11.
            let table: &[u8] = match first {
                b'S' | b'T' => b"JZIHGFEDCBA",
                b'F' | b'G' => b"XWUTRQPNMLK",
                _ => return None,
            };
            let sum = sum + if matches!(first, b'T' | b'G') { 4 } else { 0 };
            (letter == Some(table[(sum % 11) as usize]))
                .then(|| found(PrivateKind::NationalId, "sg_nric", from..end + 1))
                .flatten()
        }
        2 if n_digits >= 2 => iban(text, from).or_else(|| insurance(text, from)),
        6 if n_digits == 2 => fiscal(text, from),
        _ => None,
    }
}

/// United Kingdom: National Insurance; two letters, six digits, perhaps in pairs, and a letter from A to D.
fn insurance(text: &str, from: usize) -> Option<Private> {
    let bytes = text.as_bytes();
    let is_first = !matches!(bytes[from], b'D' | b'F' | b'I' | b'Q' | b'U' | b'V')
        && !matches!(
            bytes[from + 1],
            b'D' | b'F' | b'I' | b'O' | b'Q' | b'U' | b'V'
        );
    let is_given = !matches!(
        &text[from..from + 2],
        "BG" | "GB" | "NK" | "KN" | "TN" | "NT" | "ZZ"
    );
    let mut at = from + 2;
    let mut n_digits = 0;
    while n_digits < 6 && at < bytes.len() {
        match bytes[at] {
            b' ' if n_digits % 2 == 0 => {}
            b'0'..=b'9' => n_digits += 1,
            _ => return None,
        }
        at += 1;
    }
    at += usize::from(bytes.get(at) == Some(&b' '));
    let last = *bytes.get(at)?;
    let is_end = bytes
        .get(at + 1)
        .is_none_or(|byte| !byte.is_ascii_alphanumeric());
    (is_first && is_given && n_digits == 6 && matches!(last, b'A'..=b'D') && is_end).then_some(
        Private {
            kind: PrivateKind::NationalId,
            form: "uk_nino",
            place: from..at + 1,
        },
    )
}

/// Italy: six letters, two digits, a letter for the month, two digits, a letter and three digits for the town, and a letter that checks.
fn fiscal(text: &str, from: usize) -> Option<Private> {
    const ODD: [u32; 26] = [
        1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24,
        23,
    ];
    let code = text.get(from..from + 16)?.as_bytes();
    let shape = b"AAAAAA99A99A999A";
    let fits = code.iter().zip(shape).all(|(byte, form)| match form {
        b'A' => byte.is_ascii_uppercase(),
        _ => byte.is_ascii_digit(),
    });
    if !fits || !b"ABCDEHLMPRST".contains(&code[8]) {
        return None;
    }
    let value = |byte: u8| {
        u32::from(if byte.is_ascii_digit() {
            byte - b'0'
        } else {
            byte - b'A'
        })
    };
    let sum: u32 = code[..15]
        .iter()
        .enumerate()
        .map(|(at, byte)| {
            if at % 2 == 0 {
                ODD[value(*byte) as usize]
            } else {
                value(*byte)
            }
        })
        .sum();
    let is_end = text
        .as_bytes()
        .get(from + 16)
        .is_none_or(|byte| !byte.is_ascii_alphanumeric());
    (sum % 26 == value(code[15]) && is_end).then_some(Private {
        kind: PrivateKind::NationalId,
        form: "it_fiscal_code",
        place: from..from + 16,
    })
}

/// Lengths of account numbers by country: the registry of ISO 13616.
const IBANS: &str = "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29 ES24 FI18 FO18 FR27 \
    GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 \
    MR27 MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25 QA29 RO24 RS22 SA24 SC31 SE24 SI19 SK24 SM27 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20";

fn iban(text: &str, from: usize) -> Option<Private> {
    let bytes = text.as_bytes();
    let country = &text[from..from + 2];
    let length: usize = IBANS
        .split(' ')
        .find_map(|one| one.strip_prefix(country)?.parse().ok())?;
    let (mut signs, mut at) = (Vec::with_capacity(34), from);
    while signs.len() < length {
        match *bytes.get(at)? {
            byte if byte.is_ascii_digit() || byte.is_ascii_uppercase() => signs.push(byte),
            b' ' | b'-' if signs.len() >= 4 && !matches!(bytes[at - 1], b' ' | b'-') => {}
            _ => return None,
        }
        at += 1;
    }
    let is_end = bytes
        .get(at)
        .is_none_or(|byte| !byte.is_ascii_alphanumeric());
    (is_end && modulo_97(signs[4..].iter().chain(&signs[..4]).copied())).then_some(Private {
        kind: PrivateKind::Iban,
        form: "iban",
        place: from..at,
    })
}
