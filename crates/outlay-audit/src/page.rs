//! A report as a page of HTML by itself, for colleagues: no script, and nothing is loaded from elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::AtomicU64;

use askama::Template;
use outlay_units::whole;

use crate::audit::{Audit, Settings};
use crate::chunks::Chunks;
use crate::document::{Bar, Example, Part, Section, document, share};
use crate::privacy::redacted;
use crate::report::Report;

/// What stands at the top of a page.
struct Tile {
    name: String,
    value: String,
    /// `good`, `warn` or `bad`.
    tone: &'static str,
}

#[derive(Template)]
#[template(path = "audit.html")]
struct Page<'a> {
    name: &'a str,
    date: &'a str,
    version: &'static str,
    tiles: Vec<Tile>,
    sections: Vec<Section>,
    texts: &'a BTreeMap<u32, String>,
}

impl Page<'_> {
    /// What is shown under an example.
    fn text<'a>(&'a self, example: &'a Example) -> Option<&'a str> {
        if !example.text.is_empty() {
            return Some(&example.text);
        }
        let text = self.texts.get(&example.record?)?;
        Some(text.as_str()).filter(|text| !text.is_empty())
    }

    /// A bar's length, in hundredths of the room for it.
    #[expect(clippy::unused_self, reason = "templates call methods")]
    fn width(&self, value: &f64, bars: &[Bar]) -> String {
        let most = bars
            .iter()
            .map(|bar| bar.value)
            .fold(f64::MIN_POSITIVE, f64::max);
        format!("{:.1}", 80.0 * value / most)
    }
}

/// The page of a report. `name` says of what, `date` when; `texts` are the records to be shown, as `Audit::excerpts` gives them.
///
/// # Errors
///
/// None that is known; what the template says.
pub fn page(
    report: &Report,
    name: &str,
    date: &str,
    texts: &BTreeMap<u32, String>,
) -> Result<String, askama::Error> {
    Page {
        name,
        date,
        version: env!("CARGO_PKG_VERSION"),
        tiles: tiles(report),
        sections: document(report),
        texts,
    }
    .render()
}

/// The records that a report's page shows.
#[must_use]
pub fn shown(report: &Report) -> BTreeSet<u32> {
    let mut records = BTreeSet::new();
    for section in document(report) {
        for part in section.parts {
            if let Part::Examples { items, .. } = part {
                records.extend(items.iter().filter_map(|item| item.record));
            }
        }
    }
    records
}

fn tiles(report: &Report) -> Vec<Tile> {
    let tone = |n: u64, bad: &'static str| if n == 0 { "good" } else { bad };
    let mut tiles = Vec::new();
    let mut tile = |name: &str, value: String, tone: &'static str| {
        tiles.push(Tile {
            name: name.to_owned(),
            value,
            tone,
        });
    };
    if let Some(of) = &report.duplicates {
        let is_many = of.n_near * 50 > report.n_records;
        let how = if is_many { "warn" } else { "good" };
        tile(
            "of the records are duplicates",
            share(of.n_near, report.n_records),
            how,
        );
    }
    if let Some(of) = &report.leaks {
        let n = of.long.n_leaked + of.short.n_leaked;
        tile("items of benchmarks leaked", whole(n), tone(n, "bad"));
    }
    if let Some(of) = &report.crossing {
        tile(
            "records of test sets are in the data",
            whole(of.n_near),
            tone(of.n_near, "bad"),
        );
    }
    if let Some(of) = &report.privacy {
        let secrets = of.found.iter().filter(|found| found.kind == "secret");
        let n_secrets = secrets.map(|found| found.n_places).sum();
        tile(
            "of the records have personal data or secrets",
            share(of.n_records, report.n_records),
            tone(of.n_records, "warn"),
        );
        tile(
            "keys, tokens and passwords",
            whole(n_secrets),
            tone(n_secrets, "bad"),
        );
    }
    if let Some(of) = report
        .quality
        .as_ref()
        .filter(|_| report.n_rows < report.n_records)
    {
        tile(
            "of the records break a rule of quality",
            share(of.n_records, report.n_records),
            tone(of.n_records, "warn"),
        );
    }
    tile(
        "records could not be read",
        whole(report.n_skipped),
        tone(report.n_skipped, "bad"),
    );
    if let Some(bill) = &report.bill
        && let Some(most) = bill
            .lines
            .iter()
            .filter_map(|line| line.usd)
            .max_by(|one, other| one.p50.total_cmp(&other.p50))
    {
        tile(
            "the most that one fault costs in training",
            outlay_units::usd(most.p50),
            "warn",
        );
    }
    tiles
}

/// Bytes of a text that are shown.
const EXCERPT: usize = 600;

impl Audit {
    /// The beginnings of the texts of some records, with what is private in them replaced; their files are read once more.
    ///
    /// # Errors
    ///
    /// When a file can no longer be read.
    pub fn excerpts(
        &self,
        settings: &Settings,
        records: &BTreeSet<u32>,
    ) -> io::Result<BTreeMap<u32, String>> {
        let mut texts = BTreeMap::new();
        let mut left: Vec<u32> = records
            .iter()
            .copied()
            .filter(|record| (*record as usize) < self.table.len())
            .collect();
        let n_read = AtomicU64::new(0);
        for source in &self.sources {
            // Lines of this file that are wanted, which come in the order of the records.
            let mut wanted: BTreeMap<u64, u32> = BTreeMap::new();
            left.retain(|record| {
                let (path, line) = self.table.place(*record);
                let is_here = path == source.path;
                if is_here {
                    wanted.insert(line, *record);
                }
                !is_here
            });
            if wanted.is_empty() {
                continue;
            }
            let mut chunks =
                Chunks::open(source, settings.record_bytes_max, &settings.folder, &n_read)?;
            while let Some((chunk, _)) = chunks.next() {
                let Some(chunk) = chunk else { continue };
                chunk.each(&settings.fields, |seen| {
                    if let Ok((record, _)) = seen
                        && let Some(number) = wanted.remove(&record.line)
                    {
                        let text = &record.text[..record.text.floor_char_boundary(2 * EXCERPT)];
                        let text = redacted(text);
                        let end = text.floor_char_boundary(EXCERPT);
                        let more = if end < record.text.len().min(text.len()) {
                            "…"
                        } else {
                            ""
                        };
                        texts.insert(number, format!("{}{more}", &text[..end]));
                    }
                });
                if wanted.is_empty() {
                    break;
                }
            }
        }
        Ok(texts)
    }
}
