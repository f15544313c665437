//! Personal data: precision and recall on made texts of which every place is known, and the speed, beside Presidio's.
//!
//! `cargo bench -p outlay-audit --bench privacy`; with `OUTLAY_PRESIDIO`, a Python that has `presidio-analyzer`, beside its
//! default recognisers of forms. A place counts as found where the kind is right and half of it overlaps. Between the places
//! stand numbers that are none: dates, versions, prices, orders, hashes, pages.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench reports to its terminal"
)]

#[path = "../tests/it/draw.rs"]
mod draw;

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Instant;

use draw::Draw;
use outlay_audit::private;

const TEXTS: usize = 2000;

impl Draw {
    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }

    fn digits(&mut self, n: usize) -> String {
        (0..n)
            .map(|_| char::from(b'0' + self.below(10) as u8))
            .collect()
    }
}

fn luhn(mut digits: String) -> String {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(at, byte)| {
            let digit = u32::from(byte - b'0');
            if at % 2 == 1 {
                digit
            } else if digit < 5 {
                2 * digit
            } else {
                2 * digit - 9
            }
        })
        .sum();
    digits.push_str(&((10 - sum % 10) % 10).to_string());
    digits
}

fn iban(draw: &mut Draw) -> String {
    let (country, own) = match draw.below(3) {
        0 => ("DE", draw.digits(18)),
        1 => (
            "GB",
            format!("{}{}", draw.of(&["NWBK", "BARC", "LOYD"]), draw.digits(14)),
        ),
        _ => ("FR", draw.digits(23)),
    };
    let rest = format!("{own}{country}00")
        .bytes()
        .fold(0_u32, |rest, byte| match byte {
            b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
            _ => (rest * 100 + u32::from(byte - b'A') + 10) % 97,
        });
    let whole = format!("{country}{:02}{own}", 98 - rest);
    if draw.below(2) == 0 {
        return whole;
    }
    whole
        .as_bytes()
        .chunks(4)
        .map(|four| String::from_utf8_lossy(four).into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Something private, of a kind, and a sentence with `@` where it stands.
fn value(draw: &mut Draw) -> (&'static str, String, &'static str) {
    const FIRST: &[&str] = &[
        "ann", "bo", "carla", "deniz", "emil", "fatima", "george", "hanna",
    ];
    const LAST: &[&str] = &["lee", "okafor", "smith", "novak", "garcia", "ito", "brown"];
    match draw.below(6) {
        0 => {
            let name = format!(
                "{}{}{}",
                draw.of(FIRST),
                draw.of(&[".", "_", ""]),
                draw.of(LAST)
            );
            let domain = draw.of(&[
                "example.com",
                "mail.uni-koeln.de",
                "corp.co.uk",
                "gmail.com",
                "firm.io",
            ]);
            (
                "email",
                format!("{name}@{domain}"),
                draw.of(&[
                    "Reply to @ by Friday.",
                    "Contact: @",
                    "From <@> it came.",
                    "cc @, please",
                ]),
            )
        }
        1 => {
            let (area, last) = (
                draw.of(&["212", "415", "303", "617", "808"]),
                draw.digits(4),
            );
            let number = match draw.below(6) {
                0 => format!("({area}) 555-{last}"),
                1 => format!("{area}-555-{last}"),
                2 => format!("+1 {area} 555 {last}"),
                3 => format!("{area}.555.{last}"),
                4 => format!("+44 20 7946 {last}"),
                _ => format!("+49 30 9018{last}"),
            };
            (
                "phone",
                number,
                draw.of(&[
                    "Call @ before noon.",
                    "Phone: @",
                    "My number is @.",
                    "reach me at @",
                ]),
            )
        }
        2 => {
            // Below 127, which is every machine itself.
            let parts: Vec<String> = (0..4).map(|_| (11 + draw.below(116)).to_string()).collect();
            (
                "ip_address",
                parts.join("."),
                draw.of(&[
                    "Login from @ failed.",
                    "host @ is down",
                    "client [@] refused",
                ]),
            )
        }
        3 => (
            "iban",
            iban(draw),
            draw.of(&["Pay to @ today.", "IBAN: @", "account @, thanks"]),
        ),
        4 => {
            let digits = match draw.below(3) {
                0 => luhn(format!("4{}", draw.digits(14))),
                1 => luhn(format!("5{}{}", 1 + draw.below(5), draw.digits(13))),
                _ => luhn(format!("37{}", draw.digits(12))),
            };
            let parted = digits.len() == 16 && draw.below(2) == 0;
            let number = if parted {
                format!(
                    "{} {} {} {}",
                    &digits[..4],
                    &digits[4..8],
                    &digits[8..12],
                    &digits[12..]
                )
            } else {
                digits
            };
            (
                "payment_card",
                number,
                draw.of(&["Card @ was declined.", "paid with @", "card number: @"]),
            )
        }
        _ => {
            let area = 100 + draw.below(560);
            let number = format!(
                "{area}-{:02}-{:04}",
                10 + draw.below(89),
                1000 + draw.below(8999)
            );
            (
                "national_id",
                number,
                draw.of(&[
                    "SSN @ on file.",
                    "Her social security number is @.",
                    "ssn: @",
                ]),
            )
        }
    }
}

/// A sentence with numbers that are nobody's.
fn other(draw: &mut Draw) -> String {
    match draw.below(8) {
        0 => format!(
            "Order {} shipped on 2023-0{}-1{}.",
            draw.digits(9),
            1 + draw.below(9),
            draw.below(9)
        ),
        1 => format!(
            "Version {}.{}.{} came out.",
            draw.below(9),
            draw.below(20),
            draw.below(30)
        ),
        2 => format!(
            "It costs ${}.{} for {} pieces.",
            draw.digits(4),
            draw.digits(2),
            draw.digits(5)
        ),
        3 => format!(
            "See pages {}-{} of volume {}.",
            100 + draw.below(99),
            200 + draw.below(99),
            draw.below(40)
        ),
        4 => format!(
            "The hash was {:08x}{:08x}.",
            draw.below(1 << 31),
            draw.below(1 << 31)
        ),
        5 => format!(
            "At 1{}:{}:{} it measured {}.{} units.",
            draw.below(9),
            draw.digits(2),
            draw.digits(2),
            draw.digits(3),
            draw.digits(6)
        ),
        6 => format!(
            "ISBN 978-{}-{}-{}-{}.",
            draw.below(9),
            draw.digits(2),
            draw.digits(6),
            draw.below(9)
        ),
        _ => "Nothing of note happened on the way to the harbour that day.".to_owned(),
    }
}

type Place = (usize, String, usize, usize);

fn main() {
    let mut draw = Draw(5);
    let (mut texts, mut truth): (Vec<String>, Vec<Place>) = (Vec::new(), Vec::new());
    for number in 0..TEXTS {
        let mut text = String::new();
        for _ in 0..3 + draw.below(6) {
            if draw.below(2) == 0 {
                text.push_str(&other(&mut draw));
            } else {
                let (kind, value, around) = value(&mut draw);
                let at = text.len() + around.find('@').unwrap();
                truth.push((number, kind.to_owned(), at, at + value.len()));
                text.push_str(&around.replacen('@', &value, 1));
            }
            text.push(' ');
        }
        texts.push(text);
    }
    let found: Vec<Place> = (0..)
        .zip(&texts)
        .flat_map(|(number, text)| {
            private(text).into_iter().map(move |one| {
                (
                    number,
                    one.kind.name().to_owned(),
                    one.place.start,
                    one.place.end,
                )
            })
        })
        .collect();
    tell("Outlay", &texts, &truth, &found);
    let n_bytes: usize = texts.iter().map(String::len).sum();
    let since = Instant::now();
    let n_times = 20;
    let n_found: usize = (0..n_times)
        .flat_map(|_| &texts)
        .map(|text| private(text).len())
        .sum();
    let own = (n_bytes * n_times) as f64 / since.elapsed().as_secs_f64() / 1e6;
    println!("Outlay: {own:.1} MB/s on one thread ({n_found} places)");
    let Some(python) = std::env::var_os("OUTLAY_PRESIDIO") else {
        println!("Presidio: skipped, OUTLAY_PRESIDIO names no Python");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("texts.jsonl");
    let lines: String = texts
        .iter()
        .map(|text| serde_json::json!({ "text": text }).to_string() + "\n")
        .collect();
    std::fs::write(&path, lines).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/privacy_peer.py");
    let out = Command::new(python)
        .arg(script)
        .arg(&path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    let mut found = Vec::new();
    for line in said.lines() {
        if let Ok((_, seconds)) = serde_json::from_str::<(String, f64)>(line) {
            tell("Presidio", &texts, &truth, &found);
            let peer = n_bytes as f64 / seconds / 1e6;
            println!(
                "Presidio: {peer:.3} MB/s; Outlay is {:.0} times as fast",
                own / peer
            );
        } else {
            found.push(serde_json::from_str::<Place>(line).unwrap());
        }
    }
    if !out.status.success() {
        println!(
            "Presidio: {}",
            String::from_utf8_lossy(&out.stderr)
                .lines()
                .last()
                .unwrap_or_default()
        );
    }
}

/// Prints precision and recall of each kind that the truth has.
fn tell(who: &str, texts: &[String], truth: &[Place], found: &[Place]) {
    let meets = |one: &Place, other: &Place| {
        let common = one.3.min(other.3).saturating_sub(one.2.max(other.2));
        one.0 == other.0 && one.1 == other.1 && 2 * common >= (one.3 - one.2).max(other.3 - other.2)
    };
    let mut by_text: BTreeMap<usize, Vec<&Place>> = BTreeMap::new();
    for one in truth {
        by_text.entry(one.0).or_default().push(one);
    }
    let mut found_by_text: BTreeMap<usize, Vec<&Place>> = BTreeMap::new();
    for one in found {
        found_by_text.entry(one.0).or_default().push(one);
    }
    let any = |one: &Place, within: &BTreeMap<usize, Vec<&Place>>| {
        within
            .get(&one.0)
            .is_some_and(|all| all.iter().any(|other| meets(one, other)))
    };
    if std::env::var_os("OUTLAY_VERBOSE").is_some() {
        for one in found.iter().filter(|one| !any(one, &by_text)) {
            println!(
                "{who}: {} `{}` in {}",
                one.1,
                &texts[one.0][one.2..one.3],
                texts[one.0]
            );
        }
    }
    print!("{who}:");
    let mut totals = [0; 4];
    for kind in [
        "email",
        "phone",
        "ip_address",
        "iban",
        "payment_card",
        "national_id",
    ] {
        let of_kind = truth.iter().filter(|one| one.1 == kind);
        let named = found.iter().filter(|one| one.1 == kind);
        let (n_truth, n_named) = (of_kind.clone().count(), named.clone().count());
        let n_recalled = of_kind.filter(|one| any(one, &found_by_text)).count();
        let n_right = named.filter(|one| any(one, &by_text)).count();
        for (total, n) in totals
            .iter_mut()
            .zip([n_truth, n_recalled, n_named, n_right])
        {
            *total += n;
        }
        print!(
            " {kind} precision {:.3} recall {:.3};",
            n_right as f64 / n_named.max(1) as f64,
            n_recalled as f64 / n_truth.max(1) as f64
        );
    }
    println!(
        " all precision {:.3} recall {:.3}",
        totals[3] as f64 / totals[2].max(1) as f64,
        totals[1] as f64 / totals[0].max(1) as f64
    );
}
