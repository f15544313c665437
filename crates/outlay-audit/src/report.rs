//! What an audit says, in numbers and names.

use std::collections::HashMap;
use std::io::{self, Seek, SeekFrom, Write};

use outlay_units::Estimate;
use serde::Serialize;

use crate::audit::{Audit, Benchmarks};
use crate::crossing::Crossing;
use crate::fields::{FieldsSeen, Lengths};
use crate::fix::Fixed;
use crate::judged::Judged;
use crate::leaks::{Grade, Leak};
use crate::near::NearSettings;
use crate::origin::{LanguageView, RightsView, languages};
use crate::pictures::PicturesView;
use crate::rights::Policy;
use crate::shingles::Shingle;
use crate::suspicions::Suspicions;

/// Clusters, items and files that a report lists; all of them are in the files that an audit writes.
const LISTED: usize = 10;

/// An audit's answer.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The hash by which the data is known, where it was asked for.
    pub content_sha256: Option<String>,
    /// Files that were read.
    pub n_files: usize,
    /// Records that were read.
    pub n_records: u64,
    /// How many of them are rows of tables, which are compared by their cells, and not by words.
    pub n_rows: u64,
    /// Bytes of their texts.
    pub n_text_bytes: u64,
    /// Tokens of their texts, where a tokenizer was given.
    pub n_tokens: Option<u64>,
    /// Records that could not be read.
    pub n_skipped: u64,
    /// Bytes of these, as far as they are known.
    pub n_skipped_bytes: u64,
    /// The first that were skipped.
    pub skipped: Vec<SkippedView>,
    /// Files of no kind that is read.
    pub n_unread_files: usize,
    /// Bytes of these.
    pub n_unread_bytes: u64,
    /// The first of these.
    pub unread_files: Vec<String>,
    /// Records that are there more than once, where they were looked for.
    pub duplicates: Option<Duplicates>,
    /// Items of benchmarks within the records, where some were given.
    pub leaks: Option<Leaks>,
    /// What the records share with files of the same form that they are compared with, where there are such.
    pub crossing: Option<Crossing>,
    /// What is said of labels and groups, where such fields are named.
    pub labels: Option<Judged>,
    /// What is said of images, where there are some.
    pub images: Option<PicturesView>,
    /// What looks as if somebody had put it there.
    pub suspicions: Option<Suspicions>,
    /// Whose the data is, where it was looked for and a policy was given.
    pub rights: Option<RightsView>,
    /// The languages of the texts, where they were looked for; nothing for those that are in none.
    pub languages: Vec<LanguageView>,
    /// The fields of the records, where they have any.
    pub fields: FieldsSeen,
    /// How long the texts are.
    pub lengths: Lengths,
    /// Personal data and secrets, where they were looked for.
    pub privacy: Option<Privacy>,
    /// Texts that break rules of quality, where they were held against them.
    pub quality: Option<Quality>,
    /// What the clean copy has, where one was written.
    pub copy: Option<Fixed>,
    /// What training on it would cost in vain, where a plan was given.
    pub bill: Option<Bill>,
}

/// What training on data that is twice, leaked or junk would cost: of a plan's cost, the share that this data has of the text.
///
/// The plan's tokens are taken to be of this data, so that a share of its text is the same share of every step.
#[derive(Clone, Debug, Serialize)]
pub struct Bill {
    /// Each kind of it.
    pub lines: Vec<BillLine>,
}

/// One kind of data that is paid for in vain.
#[derive(Clone, Debug, Serialize)]
pub struct BillLine {
    /// `duplicates`, `leaked` or `low_quality`.
    pub what: &'static str,
    /// Share of the text.
    pub share: f64,
    /// US dollars, where the plan knows a price.
    pub usd: Option<Estimate>,
    /// Hours of accelerators.
    pub accelerator_hours: Estimate,
}

impl Bill {
    /// The bill, for the cost of training in dollars and in hours of accelerators.
    ///
    /// An example: of a plan of $1,000 and 400 hours, data of which 5% are duplicates costs $50 and 20 hours for these.
    #[must_use]
    pub fn new(
        audit: &Audit,
        report: &Report,
        usd: Option<Estimate>,
        accelerator_hours: Estimate,
    ) -> Self {
        let leaked = audit
            .leaked
            .iter()
            .map(|record| audit.table.n_bytes(*record))
            .sum();
        let parts = [
            (
                "duplicates",
                report
                    .duplicates
                    .as_ref()
                    .map(|duplicates| duplicates.n_near_bytes),
            ),
            ("leaked", report.leaks.as_ref().map(|_| leaked)),
            (
                "low_quality",
                report.quality.as_ref().map(|quality| quality.n_bytes),
            ),
        ];
        let line = |(what, n_bytes): (&'static str, Option<u64>)| {
            let share = n_bytes? as f64 / (report.n_text_bytes as f64).max(1.0);
            Some(BillLine {
                what,
                share,
                usd: usd.map(|usd| usd.scaled(share)),
                accelerator_hours: accelerator_hours.scaled(share),
            })
        };
        Self {
            lines: parts.into_iter().filter_map(line).collect(),
        }
    }
}

/// Texts that break rules of quality.
#[derive(Clone, Debug, Serialize)]
pub struct Quality {
    /// Records that break any.
    pub n_records: u64,
    /// Bytes of their texts.
    pub n_bytes: u64,
    /// Each rule that is broken.
    pub rules: Vec<RuleView>,
}

/// A rule that is broken.
#[derive(Clone, Debug, Serialize)]
pub struct RuleView {
    /// The rule.
    pub rule: &'static str,
    /// Whose it is: `Gopher`, `C4`, or nobody's.
    pub source: &'static str,
    /// Records that break it.
    pub n_records: u64,
    /// The first of these.
    pub first: String,
}

/// Personal data and secrets.
#[derive(Clone, Debug, Serialize)]
pub struct Privacy {
    /// Records with any.
    pub n_records: u64,
    /// Each kind and form that was found.
    pub found: Vec<PrivacyView>,
}

/// Personal data or secrets of one form.
#[derive(Clone, Debug, Serialize)]
pub struct PrivacyView {
    /// The kind, such as `email`.
    pub kind: &'static str,
    /// Which of its kind, such as `us_ssn`.
    pub form: String,
    /// Places.
    pub n_places: u64,
    /// Records with any.
    pub n_records: u64,
}

/// A place of something private.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PrivateView<'a> {
    /// The record: its own id, or its file and line.
    pub record: &'a str,
    /// The kind.
    pub kind: &'static str,
    /// Which of its kind.
    pub form: &'a str,
    /// Where in the record's text it begins, in characters.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
    /// What may be shown of it.
    pub masked: &'a str,
}

/// Bytes of which no record was made.
#[derive(Clone, Debug, Serialize)]
pub struct SkippedView {
    /// The file.
    pub file: String,
    /// The line, row or entry; 0 for a whole file or the rest of it.
    pub line: u64,
    /// How many bytes.
    pub n_bytes: u64,
    /// Why.
    pub why: String,
}

/// Records that are there more than once.
#[derive(Clone, Debug, Serialize)]
pub struct Duplicates {
    /// The least Jaccard similarity of near duplicates.
    pub threshold: f64,
    /// What is compared: `words:5`, `characters:9`.
    pub shingle: String,
    /// Bands of a signature.
    pub n_bands: usize,
    /// Numbers of a band.
    pub n_rows: usize,
    /// Share of the pairs right at the threshold that may be missed.
    pub missed_at_threshold: f64,
    /// Records that say the same words as an earlier one.
    pub n_exact: u64,
    /// Bytes of their texts.
    pub n_exact_bytes: u64,
    /// Records that are exact or near duplicates, one of each cluster not counted.
    pub n_near: u64,
    /// Bytes of their texts, where the longest of each cluster is kept.
    pub n_near_bytes: u64,
    /// Clusters of two records or more.
    pub n_clusters: u64,
    /// The largest clusters.
    pub largest: Vec<Cluster>,
    /// Pairs of records whose sets of shingles were compared.
    pub n_compared: u64,
    /// Pairs that would have been, had fewer records shared a key.
    pub n_not_compared: u64,
    /// Records without any word, which are compared with nothing.
    pub n_without_words: u64,
    /// Records that say the same as an earlier one and have another label, where labels are known.
    pub n_label_conflicts: Option<u64>,
}

/// Records with another label than the first that says the same.
fn n_label_conflicts(audit: &Audit, exact: &[u32]) -> Option<u64> {
    audit.counts.label.as_ref()?;
    let of = |record: u32| audit.counts.label_of.get(record as usize).copied();
    let conflicts = (0..audit.n_records).filter(|record| {
        let first = exact[*record as usize];
        first != *record && of(first) != of(*record)
    });
    Some(conflicts.count() as u64)
}

/// Records that belong together.
#[derive(Clone, Debug, Serialize)]
pub struct Cluster {
    /// The number of its first record, which is its id.
    pub id: u32,
    /// How many there are.
    pub n_records: u64,
    /// The longest, the first of these.
    pub kept: String,
    /// The first few.
    pub records: Vec<String>,
}

/// Items of benchmarks within the records.
#[derive(Clone, Debug, Serialize)]
pub struct Leaks {
    /// Files of benchmarks.
    pub n_files: usize,
    /// Items of more than a dozen words, which can be told from chance.
    pub long: Graded,
    /// Shorter ones, which are found only whole, and are leaked where their answer stands behind them.
    pub short: Graded,
    /// Items without any word, or whose every run of words many others have too: they cannot be looked for.
    pub n_unfindable: u64,
    /// Items of which nothing was found but what 20 and more different texts share; they are among the clean ones.
    pub n_common: u64,
    /// Lines of the benchmarks that could not be read.
    pub n_skipped: u64,
    /// Those that are there, the surest first.
    pub items: Vec<ItemView>,
}

/// Items by how surely they are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Graded {
    /// All.
    pub n_items: u64,
    /// Those of which nothing says so.
    pub n_clean: u64,
    /// Those worth a look.
    pub n_suspect: u64,
    /// Those that are there.
    pub n_leaked: u64,
}

/// An item that is there, by the place with most of it.
#[derive(Clone, Debug, Serialize)]
pub struct ItemView {
    /// That place.
    #[serde(flatten)]
    pub most: LeakView,
    /// Records in which it was found.
    pub n_records: u64,
}

/// A place of an item.
#[derive(Clone, Debug, Serialize)]
pub struct LeakView {
    /// The record: its own id, or its file and line.
    pub record: String,
    /// The item: its own id, or its file and line.
    pub item: String,
    /// `suspect` or `leaked`.
    pub grade: &'static str,
    /// Share of the item, its words weighed by their rarity.
    pub share: f32,
    /// Most words that follow each other exactly.
    pub longest_run: u32,
    /// Whether a run of 13 words is there, as GPT-3's authors counted.
    pub has_13_gram: bool,
    /// Share of its words in runs of eight or more, as Llama 2's authors counted tokens.
    pub in_runs_of_8: f32,
    /// Whether the answer stands behind it.
    pub is_answered: bool,
    /// The passage.
    pub passage: String,
}

impl LeakView {
    /// A place as it is written.
    pub(crate) fn new(item: String, record: String, leak: &Leak, passage: String) -> Self {
        // Three digits say enough, and are the same wherever they are computed.
        let rounded = |share: f32| (share.min(1.0) * 1000.0).round() / 1000.0;
        Self {
            record,
            item,
            grade: match leak.grade {
                Grade::Clean => "clean",
                Grade::Suspect => "suspect",
                Grade::Leaked => "leaked",
            },
            share: rounded(leak.share),
            longest_run: leak.longest_run,
            has_13_gram: leak.longest_run >= 13,
            in_runs_of_8: rounded(leak.in_runs_of_8),
            is_answered: leak.is_answered,
            passage,
        }
    }
}

impl Shingle {
    /// As it is written in settings and reports.
    #[must_use]
    pub fn to_text(self) -> String {
        match self {
            Self::Words(n) => format!("words:{n}"),
            Self::Characters(n) => format!("characters:{n}"),
        }
    }

    /// Reads `words:5` or `characters:9`.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let (kind, n) = text.split_once(':')?;
        let n = n.parse().ok().filter(|n| (1..=64).contains(n))?;
        match kind {
            "words" => Some(Self::Words(n)),
            "characters" => Some(Self::Characters(n)),
            _ => None,
        }
    }
}

impl Report {
    /// What an audit says.
    ///
    /// # Errors
    ///
    /// When a working file cannot be read.
    pub fn new(
        audit: &Audit,
        near: Option<&NearSettings>,
        benchmarks: Option<&Benchmarks>,
    ) -> io::Result<Self> {
        let skipped = audit.files.iter().flat_map(|file| {
            file.skipped.iter().map(|skipped| SkippedView {
                file: file.path.display().to_string(),
                line: skipped.line,
                n_bytes: skipped.n_bytes,
                why: skipped.why.clone(),
            })
        });
        let sum = |of: fn(&crate::drive::FileCount) -> u64| audit.files.iter().map(of).sum();
        Ok(Self {
            content_sha256: None,
            n_files: audit.files.len(),
            n_records: sum(|file| file.n_records),
            n_rows: audit.n_rows,
            n_tokens: audit.n_tokens,
            n_text_bytes: sum(|file| file.n_text_bytes),
            n_skipped: sum(|file| file.n_skipped),
            n_skipped_bytes: sum(|file| file.n_skipped_bytes),
            skipped: skipped.take(2 * LISTED).collect(),
            n_unread_files: audit.others.len(),
            n_unread_bytes: audit.others.iter().map(|(_, n_bytes)| n_bytes).sum(),
            unread_files: audit
                .others
                .iter()
                .take(LISTED)
                .map(|(path, _)| path.display().to_string())
                .collect(),
            duplicates: near
                .map(|near| Duplicates::new(audit, near))
                .transpose()?
                .flatten(),
            leaks: benchmarks
                .filter(|benchmarks| !benchmarks.reference.is_empty())
                .map(|benchmarks| Leaks::new(audit, benchmarks)),
            crossing: Crossing::new(audit)?,
            labels: None,
            images: PicturesView::new(&audit.pictures, |record| audit.table.name(record))?,
            suspicions: None,
            rights: None,
            languages: audit.origins.as_ref().map(languages).unwrap_or_default(),
            fields: FieldsSeen::new(audit),
            lengths: Lengths::new(audit),
            copy: None,
            bill: None,
            quality: audit.quality.as_ref().map(|quality| Quality {
                n_records: quality.n_records,
                n_bytes: quality.n_bytes,
                rules: quality
                    .rules
                    .iter()
                    .map(|(rule, (n_records, first))| RuleView {
                        rule: rule.name(),
                        source: rule.source(),
                        n_records: *n_records,
                        first: first.clone(),
                    })
                    .collect(),
            }),
            privacy: audit.privacy.as_ref().map(|privacy| Privacy {
                n_records: privacy.n_records,
                found: privacy
                    .forms
                    .iter()
                    .map(|((kind, form), (n_places, n_records))| PrivacyView {
                        kind: kind.name(),
                        form: form.to_string(),
                        n_places: *n_places,
                        n_records: *n_records,
                    })
                    .collect(),
            }),
        })
    }
}

impl Report {
    /// Adds whose the data is, as a policy judges it.
    ///
    /// # Errors
    ///
    /// When a working file cannot be read.
    pub fn judge_rights(&mut self, audit: &Audit, policy: &Policy) -> io::Result<()> {
        if let Some(origins) = &audit.origins {
            let view = RightsView::new(origins, policy, |record| audit.table.name(record))?;
            self.rights = Some(view);
        }
        Ok(())
    }

    /// What a ledger keeps of it: every figure, and no name or passage of the data.
    #[must_use]
    pub fn figures(&self) -> serde_json::Value {
        let mut figures = serde_json::to_value(self).unwrap_or_default();
        for (part, lists) in [
            ("", &["skipped", "unread_files"][..]),
            ("/duplicates", &["largest"]),
            ("/leaks", &["items"]),
            ("/crossing", &["first"]),
            ("/labels/errors", &["first"]),
            ("/suspicions/triggers", &["triggers", "pure"]),
            ("/suspicions", &["source_shifts", "label_shifts"]),
            ("/fields", &["drift"]),
        ] {
            if let Some(serde_json::Value::Object(fields)) = figures.pointer_mut(part) {
                for list in lists {
                    fields.remove(*list);
                }
            }
        }
        for list in [
            "/quality/rules",
            "/rights/licences",
            "/rights/notices",
            "/images/flags",
        ] {
            if let Some(serde_json::Value::Array(views)) = figures.pointer_mut(list) {
                for view in views {
                    if let Some(fields) = view.as_object_mut() {
                        fields.remove("first");
                        // What is said of a licence that is not known may be anything.
                        fields.remove("reason");
                        if let Some(licence) = fields.get_mut("licence")
                            && licence
                                .as_str()
                                .is_some_and(|text| text.starts_with("unknown ("))
                        {
                            *licence = "unknown".into();
                        }
                    }
                }
            }
        }
        figures
    }
}

impl Duplicates {
    fn new(audit: &Audit, near: &NearSettings) -> io::Result<Option<Self>> {
        let Some(found) = &audit.near else {
            return Ok(None);
        };
        let bands = found.bands;
        let table = &audit.table;
        let numbers = 0..audit.n_records;
        let mut clusters: HashMap<u32, (u64, u32)> = HashMap::new();
        let (mut n_near_bytes, mut n_exact, mut n_exact_bytes) = (0, 0, 0);
        for record in numbers {
            if found.exact[record as usize] != record {
                n_exact += 1;
                n_exact_bytes += table.n_bytes(record);
            }
            let least = found.clusters.least(record);
            if least == record {
                continue;
            }
            let (n_records, longest) = clusters.entry(least).or_insert((1, least));
            *n_records += 1;
            let loser = if table.n_bytes(record) > table.n_bytes(*longest) {
                std::mem::replace(longest, record)
            } else {
                record
            };
            n_near_bytes += table.n_bytes(loser);
        }
        let mut largest: Vec<(u32, (u64, u32))> =
            clusters.iter().map(|(id, of)| (*id, *of)).collect();
        largest.sort_unstable_by_key(|(id, (n_records, _))| (std::cmp::Reverse(*n_records), *id));
        largest.truncate(LISTED);
        let mut firsts: HashMap<u32, Vec<u32>> =
            largest.iter().map(|(id, _)| (*id, Vec::new())).collect();
        for record in 0..audit.n_records {
            if let Some(first) = firsts.get_mut(&found.clusters.least(record))
                && first.len() < 3
            {
                first.push(record);
            }
        }
        let largest = largest.iter().map(|(id, (n_records, longest))| {
            let records = firsts[id].iter().map(|record| table.name(*record));
            Ok(Cluster {
                id: *id,
                n_records: *n_records,
                kept: table.name(*longest)?,
                records: records.collect::<io::Result<_>>()?,
            })
        });
        Ok(Some(Self {
            threshold: near.threshold,
            shingle: near.shingle.to_text(),
            n_bands: bands.n_bands,
            n_rows: bands.n_rows,
            missed_at_threshold: 1.0 - bands.meeting(near.threshold),
            n_exact,
            n_exact_bytes,
            n_near: clusters.values().map(|(n_records, _)| n_records - 1).sum(),
            n_near_bytes,
            n_clusters: clusters.len() as u64,
            largest: largest.collect::<io::Result<_>>()?,
            n_compared: found.n_compared,
            n_not_compared: found.n_not_compared,
            n_without_words: u64::from(found.n_empty),
            n_label_conflicts: n_label_conflicts(audit, &found.exact),
        }))
    }
}

impl Leaks {
    fn new(audit: &Audit, benchmarks: &Benchmarks) -> Self {
        let reference = &benchmarks.reference;
        let (mut long, mut short, mut n_unfindable) = (Graded::default(), Graded::default(), 0);
        for item in 0..reference.len() as u32 {
            match reference.is_short(item) {
                None => n_unfindable += 1,
                Some(true) => short.n_items += 1,
                Some(false) => long.n_items += 1,
            }
        }
        for found in &audit.items {
            let class = if reference.is_short(found.item) == Some(true) {
                &mut short
            } else {
                &mut long
            };
            match found.leak.grade {
                Grade::Leaked => class.n_leaked += 1,
                _ => class.n_suspect += 1,
            }
        }
        for class in [&mut long, &mut short] {
            class.n_clean = class.n_items - class.n_suspect - class.n_leaked;
        }
        let mut surest: Vec<_> = audit.items.iter().collect();
        surest.sort_by(|one, other| {
            let weight = |leak: &Leak| (leak.grade, leak.is_answered);
            weight(&other.leak)
                .cmp(&weight(&one.leak))
                .then(other.leak.share.total_cmp(&one.leak.share))
                .then(one.item.cmp(&other.item))
        });
        let items = surest.iter().take(LISTED);
        Self {
            n_files: benchmarks.files.len(),
            long,
            short,
            n_unfindable,
            n_common: audit.n_common_items,
            n_skipped: benchmarks.files.iter().map(|file| file.n_skipped).sum(),
            items: items
                .map(|found| ItemView {
                    most: found.view.clone(),
                    n_records: found.n_records,
                })
                .collect(),
        }
    }
}

impl Audit {
    /// Writes every record of a cluster, and its cluster's id, parted by a tab; blanks in ids are written as they are, tabs and ends of lines as blanks.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn write_clusters(&self, out: &mut impl Write) -> io::Result<()> {
        let Some(found) = &self.near else {
            return Ok(());
        };
        let n_records = self.n_records;
        let mut is_cluster = vec![false; n_records as usize];
        for record in 0..n_records {
            let least = found.clusters.least(record);
            is_cluster[least as usize] |= least != record;
        }
        writeln!(out, "record\tcluster")?;
        for record in 0..n_records {
            let least = found.clusters.least(record);
            if is_cluster[least as usize] {
                let name = self.table.name(record)?.replace(['\t', '\n', '\r'], " ");
                writeln!(out, "{name}\t{least}")?;
            }
        }
        Ok(())
    }

    /// Writes every place of every item that is suspect or leaked, in the order of the records, as a line of JSON: a `LeakView`; then every record of files of the same form that the data has too: a `CrossingView`.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn write_leaks(&self, out: &mut impl Write) -> io::Result<()> {
        copied(&self.leaks, out)?;
        self.write_crossing(out)
    }

    /// Writes every place of personal data or a secret, in the order of the records, as a line of JSON: `record`, `kind`, `form`, `start` and `end` in characters of the record's text, and `masked`, which shows no more than one letter of it.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn write_private(&self, out: &mut impl Write) -> io::Result<()> {
        copied(&self.private, out)
    }
}

fn copied(mut from: &std::fs::File, out: &mut impl Write) -> io::Result<()> {
    from.seek(SeekFrom::Start(0))?;
    io::copy(&mut from, out)?;
    Ok(())
}
