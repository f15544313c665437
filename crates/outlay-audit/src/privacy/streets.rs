//! Addresses of streets: by the words that streets are called by in a dozen languages, or by what is said before them.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use regex::Regex;

use super::{Private, PrivateKind};

/// Ends of English names of streets that hardly anything else has behind a number and a name.
///
/// United States Postal Service, *Publication 28, Postal Addressing Standards*, appendix C1, with British and Indian ones.
const STRONG: &str = "Street St Avenue Ave Road Rd Boulevard Blvd Lane Ln Drive Dr Court Ct Way Place Pl Square Sq Highway Hwy Parkway Pkwy \
    Terrace Ter Circle Cir Alley Causeway Close Crescent Cres Crossing Cove Cul-de-Sac Expressway Freeway Gardens Grove Mews Motorway Nagar \
    Marg Chowk Ganj Overpass Rue Stravenue Throughway Trafficway Turnpike Underpass Viaduct Cruiseway";

/// Ends that many other things have: they count with a unit of a house beside them, or where an address is said to come.
const WEAK: &str = "Annex Arcade Bayou Beach Bend Bluff Bottom Branch Bridge Brook Burg Bypass Camp Canyon Cape Center Centre Cliff Club Common \
    Corner Course Creek Crest Crossroad Curve Dale Dam Divide Estate Extension Fall Falls Ferry Field Flat Ford Forest Forge Fork Fort \
    Garden Gateway Glen Green Harbor Haven Heights Hill Hollow Inlet Island Isle Junction Key Knoll Lake Land Landing Light Loaf Lock Lodge \
    Loop Mall Manor Meadow Mill Mission Motorway Mount Mountain Neck Orchard Oval Park Pass Passage Path Pike Pine Plain Plaza Point Port \
    Prairie Radial Ramp Ranch Rapid Reach Rest Ridge River Row Run Shoal Shore Skyway Spring Spur Station Stream Summit Trace Track Trail \
    Tunnel Union Valley Via View Village Ville Vista Walk Wall Well";

/// Units of a house.
const UNITS: &str = r"(?:Apt|Apartment|Suite|Ste|Unit|Flat|Floor|Fl|Studio|Level|Room|Rm|#)\.?\s?[0-9]{1,5}[A-Za-z]?";

/// Words behind which an address stands, in small letters.
const SAID: [&str; 31] = [
    "address:",
    "address is",
    "addresses:",
    "lives at",
    "live at",
    "living at",
    "lived at",
    "located at",
    "residing at",
    "resides at",
    "home at",
    "house at",
    "adresse:",
    "adresse ist",
    "anschrift:",
    "wohnt in der",
    "wohnhaft in",
    "dirección:",
    "direccion:",
    "domicilio:",
    "domicile :",
    "domicilié au",
    "indirizzo:",
    "adres:",
    "adress:",
    "endereço:",
    "endereco:",
    "zamieszkały przy",
    "zamieszkała przy",
    "ship to:",
    "deliver to:",
];

/// Words before `address` that speak of another kind.
const OTHER_ADDRESSES: [&str; 14] = [
    "ip", "email", "e-mail", "mail", "mac", "memory", "web", "base", "start", "virtual",
    "physical", "bus", "wallet", "server",
];

/// A form of addresses: the words that tell of it, and what stands around them.
struct Form {
    words: Vec<String>,
    address: Regex,
}

/// The forms, and the words of all.
struct Forms {
    words: AhoCorasick,
    /// The form of each word.
    form_of: Vec<usize>,
    forms: Vec<Form>,
}

static FORMS: LazyLock<Option<Forms>> = LazyLock::new(|| {
    let forms = forms()?;
    let form_of = (0..forms.len())
        .flat_map(|form| std::iter::repeat_n(form, forms[form].words.len()))
        .collect();
    let words = forms.iter().flat_map(|form| &form.words);
    // The larger automaton, which is the faster one.
    let words = AhoCorasick::builder()
        .kind(Some(AhoCorasickKind::DFA))
        .build(words)
        .ok()?;
    Some(Forms {
        words,
        form_of,
        forms,
    })
});

fn forms() -> Option<Vec<Form>> {
    let listed = |words: &str| words.split_whitespace().map(str::to_owned).collect();
    let each = |words: &str, before: &str, after: &str| -> Vec<String> {
        let around = |word: &str| format!("{before}{word}{after}");
        words.split_whitespace().map(around).collect()
    };
    let or = |words: &str| words.split_whitespace().collect::<Vec<_>>().join("|");
    let strong = or(STRONG);
    let any = format!("{strong}|{}", or(WEAK));
    let name = r"(?:(?:[A-Z][a-zA-Z'.-]+|[0-9]{1,3}(?:st|nd|rd|th))\s)";
    let number =
        r"[0-9]{1,6}[A-Za-z]?(?:[/-][0-9]{1,4})?,?\s(?:[NSEW]\.?\s|North\s|South\s|East\s|West\s)?";
    let latin = r"[A-ZÀ-ÖØ-ÞŁŚŻŹĆ][\p{L}0-9_'’-]+";
    let house = r"[0-9]{1,4}(?:\s?[-/]\s?[0-9]{1,4})?[a-zA-Z]?";
    let german = "straße strasse str. gasse allee Allee platz Platz weg damm ufer steig";
    let northern =
        "straat laan plein steeg gracht kade dijk singel gatan vägen gränd stigen torget";
    let polish = "ul. ulica al. aleja pl. plac";
    let french = "rue avenue boulevard chemin impasse allée quai place route";
    let southern = "Calle Avenida Avda Avda. Paseo Glorieta Pasadizo Vial Ronda Carretera Callejón Pasaje Rambla Travesía Via Viale Piazza \
                    Piazzale Vicolo Corso Largo Rua Travessa Praça Rodovia Estrada Alameda";
    let of = "(?:(?:de|del|la|los|las|della|dei|da|do|dos|das)\\s)*";
    let all = [
        (
            each(STRONG, " ", ""),
            format!(r"{number}{name}{{1,4}}(?:(?:{any})s?\.?,?\s{UNITS}|(?:{strong})(?-u:\b)\.?)"),
        ),
        (
            listed("Apt Suite Flat Studio Unit Level"),
            format!(
                r"{number}{name}{{1,4}}(?:{any})s?\.?,?\s{UNITS}|{UNITS},?\s(?:[0-9]{{1,5}}\s)?{name}{{1,3}}(?:{any})s?(?-u:\b)"
            ),
        ),
        (
            each(german, "", " "),
            format!(
                r"[A-ZÄÖÜ][\p{{L}}.-]*(?:{})\s{house}",
                or(german).replace('.', r"\.")
            ),
        ),
        (
            each(northern, "", " "),
            format!(r"[A-ZÅÄÖ][\p{{L}}-]*(?:{})\s{house}", or(northern)),
        ),
        (
            each(polish, "", " "),
            format!(
                r"(?:{})\s{latin}(?:\s{latin}){{0,2}}\s{house}",
                or(polish).replace('.', r"\.")
            ),
        ),
        (
            each(french, " ", " "),
            format!(
                r"[0-9]{{1,4}}(?:\s?bis|\s?ter)?,?\s(?:{})\s(?:(?:de|du|des|la|le|les)\s|d'|l')*{latin}(?:\s{latin}){{0,2}}",
                or(french)
            ),
        ),
        (
            each(southern, "", " "),
            format!(
                r"(?:{})\s{of}{latin}(?:\s{latin}){{0,3}},?\s{house}(?:\s(?:Piso|Puerta|Apt\.?|Appartamento)\s?[0-9]{{1,4}})?",
                or(southern).replace('.', r"\.")
            ),
        ),
        (
            ["P.O. Box", "PO Box", "P. O. Box"]
                .map(str::to_owned)
                .into(),
            r"P\.?\s?O\.?\sBox\s[0-9]{1,6}".to_owned(),
        ),
    ];
    all.into_iter()
        .map(|(words, address)| {
            let address = Regex::new(&address).ok()?;
            Some(Form { words, address })
        })
        .collect()
}

static LABELS: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .build(SAID)
        .ok()
});

/// Bytes around a word in which its address is sought.
const AROUND: (usize, usize) = (64, 56);

pub(super) fn find(text: &str, found: &mut Vec<Private>) {
    let private = |place| Private {
        kind: PrivateKind::StreetAddress,
        form: "street",
        place,
    };
    let n_before = found.len();
    if let Some(forms) = &*FORMS {
        let bytes = text.as_bytes();
        let is_part = |byte: Option<&u8>| {
            byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte >= 128)
        };
        let mut next = 0;
        for word in forms.words.find_overlapping_iter(text) {
            // Part of another word.
            let is_end = bytes[word.start()] == b' ' && bytes[word.end() - 1] != b' ';
            let after = bytes.get(word.end());
            if word.start() < next || (is_end && is_part(after) && after != Some(&b's')) {
                continue;
            }
            let from = text
                .floor_char_boundary(word.start().saturating_sub(AROUND.0))
                .max(next);
            let to = text.ceil_char_boundary((word.end() + AROUND.1).min(text.len()));
            let around = &text[from..to];
            if !around.bytes().any(|byte| byte.is_ascii_digit()) {
                continue;
            }
            // The address around this very word.
            let form = &forms.forms[forms.form_of[word.pattern().as_usize()]];
            for one in form.address.find_iter(around) {
                let place = from + one.start()..from + one.end();
                let is_around = place.start <= word.start() + 1 && word.end() <= place.end + 1;
                let is_cut = is_part(place.start.checked_sub(1).map(|at| &bytes[at]))
                    || (is_part(bytes.get(place.end)) && is_part(Some(&bytes[place.end - 1])));
                // `et al. Nature 2019`.
                if is_around
                    && !is_cut
                    && !text[..place.start].ends_with("et ")
                    && !has_years(&text[place.clone()])
                {
                    next = place.end;
                    found.push(private(place));
                    break;
                }
            }
        }
    }
    let n_streets = found.len() - n_before;
    if let Some(labels) = &*LABELS {
        for label in labels.find_iter(text) {
            let place = said(text, label.start(), label.end());
            // What is known by its form is known where it ends, too.
            let is_new = |place: &std::ops::Range<usize>| {
                let streets = &found[n_before..n_before + n_streets];
                let next = streets.partition_point(|one| one.place.end <= place.start);
                streets
                    .get(next)
                    .is_none_or(|one| place.end <= one.place.start)
            };
            found.extend(place.filter(is_new).map(private));
        }
    }
}

/// Whether the number of an address is a year or a span of years, as beside the names of authors.
fn has_years(address: &str) -> bool {
    let is_year =
        |text: &str| text.len() == 4 && text.parse().is_ok_and(|year| (1900..2100).contains(&year));
    let is_span = |text: &str| {
        text.split_once('-')
            .is_some_and(|(from, to)| is_year(from) && is_year(to))
    };
    let is_part = |sign: char| sign.is_ascii_digit() || sign == '-';
    let first = &address[..address.len() - address.trim_start_matches(is_part).len()];
    let last = &address[address.trim_end_matches(is_part).len()..];
    is_span(first)
        || is_span(last)
        || (is_year(first) && address[first.len()..].starts_with(','))
        || (is_year(last) && address[..address.len() - last.len()].ends_with(", "))
}

/// Words of an address that is said to come, at most.
const SAID_WORDS: usize = 9;

/// Small words within names of streets.
const SMALL: [&str; 16] = [
    "de", "del", "della", "dei", "di", "da", "do", "dos", "das", "du", "des", "la", "las", "los",
    "van", "den",
];

/// The address that follows a word which says so: names and numbers, with one of each at least.
fn said(text: &str, label: usize, from: usize) -> Option<std::ops::Range<usize>> {
    let bytes = text.as_bytes();
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    if label > 0 && is_word(&bytes[label - 1]) {
        return None;
    }
    if text[label..from].to_ascii_lowercase().starts_with("addr") {
        let before = text[..label].trim_end();
        let word = before
            .rsplit(|letter: char| !(letter.is_ascii_alphabetic() || letter == '-'))
            .next()
            .unwrap_or_default();
        if OTHER_ADDRESSES
            .iter()
            .any(|other| word.eq_ignore_ascii_case(other))
        {
            return None;
        }
    }
    let begin = from + text[from..].len() - text[from..].trim_start().len();
    if begin - from > 3 {
        return None;
    }
    let (mut end, mut n_names, mut n_numbers, mut at) = (begin, 0, 0, begin);
    for word in text[begin..].split_inclusive([' ', '\n']).take(SAID_WORDS) {
        let whole = word.trim_end();
        let bare = whole.trim_end_matches([',', ';', '.']);
        let Some(first) = bare.chars().next() else {
            break;
        };
        let is_number = first.is_ascii_digit()
            && bare.len() <= 9
            && bare.chars().filter(char::is_ascii_digit).count() <= 6
            && bare
                .chars()
                .all(|sign| sign.is_ascii_alphanumeric() || matches!(sign, '/' | '-'));
        let is_plain = bare
            .chars()
            .all(|sign| sign.is_alphabetic() || matches!(sign, '.' | '-' | '\'' | '’' | '/'));
        if !is_number && !is_plain {
            break;
        }
        let is_name = first.is_uppercase()
            || (first.is_lowercase() && STREET_BEGINS.contains(&bare))
            || matches!(bare, "H.No" | "ul" | "al" | "pl");
        if is_number {
            n_numbers += 1;
        } else if is_name {
            n_names += 1;
        } else if !(SMALL.contains(&bare) && n_names > 0) {
            break;
        }
        if is_number || is_name {
            end = at + bare.len();
        }
        at += word.len();
        // A sentence ends.
        let is_short = bare.chars().count() <= 4;
        if whole.ends_with([';']) || word.ends_with('\n') || (whole.ends_with('.') && !is_short) {
            break;
        }
        if whole.ends_with('.') && is_number {
            break;
        }
    }
    (n_names > 0 && n_numbers > 0 && end > begin).then_some(begin..end)
}

/// Words in small letters that names of streets begin with.
const STREET_BEGINS: [&str; 14] = [
    "rue",
    "avenue",
    "boulevard",
    "chemin",
    "impasse",
    "allée",
    "quai",
    "place",
    "route",
    "ulica",
    "aleja",
    "plac",
    "calle",
    "via",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<&str> {
        let mut found = Vec::new();
        find(text, &mut found);
        found.sort_by_key(|one| one.place.start);
        found.iter().map(|one| &text[one.place.clone()]).collect()
    }

    #[test]
    fn streets_of_many_lands_are_found() {
        for (text, address) in [
            ("at 12 Elm Street, near", "12 Elm Street"),
            (
                "to 549 John Bypass Suite 004 today",
                "549 John Bypass Suite 004",
            ),
            ("in 221B Baker St. now", "221B Baker St."),
            ("He came to Flat 9, West Way once", "Flat 9, West Way"),
            ("zur Goethestraße 5a, Ulm", "Goethestraße 5a"),
            ("am Stiebitzplatz 35-56 dort", "Stiebitzplatz 35-56"),
            ("naar Ninasteeg 497 toe", "Ninasteeg 497"),
            ("på Kvarngatan 7 idag", "Kvarngatan 7"),
            ("przy ul. Cisowa 326/4 w", "ul. Cisowa 326/4"),
            (
                "au 6, chemin Suzanne Clément demain",
                "6, chemin Suzanne Clément",
            ),
            ("en Avenida Rubén Bernad 61 hoy", "Avenida Rubén Bernad 61"),
            ("in Vicolo Atenulf, 947 ora", "Vicolo Atenulf, 947"),
            ("na Rua Augusta, 1508 hoje", "Rua Augusta, 1508"),
            (
                "She lives at 8138 Richardson Shoals, near the park.",
                "8138 Richardson Shoals",
            ),
            (
                "She lives at Camino de Georgina Corral 89 Apt. 45 , near it",
                "Camino de Georgina Corral 89 Apt. 45",
            ),
            ("Address: Fleurbaan 617. Then", "Fleurbaan 617"),
            ("Adresse: avenue Hélène Joseph 4", "avenue Hélène Joseph 4"),
            ("by P.O. Box 1234 only", "P.O. Box 1234"),
        ] {
            assert_eq!(found(text).first(), Some(&address), "{text}");
        }
    }

    #[test]
    fn what_only_sounds_like_one_is_none() {
        for text in [
            "In 2019 Toyota Camp was full and Spring 2019 was wet.",
            "the 2012 Summer Park and 1066 Battle Hill",
            "Zhang et al. Nature 2019",
            "Engineering 101 and Monitoring 24",
            "The IP address is Zone 7 of it",
            "The memory address: Page 12",
            "Read Notepad 5 and iPad 2",
            "the 3 Great Ways and 5 Good Places to be",
            "Copyright: 1991-1997, Thomas G. Lane.",
            "Copyright 2003, North Carolina State Highway Patrol",
            "Copyright Calle Rosenquist, 2016-2018",
            "It moved to Python 3 and Rust 2018.",
            "address: Ipv4Addr::new(192, 168, 0, 1)",
        ] {
            assert_eq!(found(text), [""; 0], "{text}");
        }
    }
}
