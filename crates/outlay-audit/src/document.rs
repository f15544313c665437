//! A report in words: sections of sentences, tables and examples, the same for terminals and for pages.

use outlay_units::{percent, usd, whole};

use crate::balance::Proxy;
use crate::crossing::Crossing;
use crate::images::PatchWindow;
use crate::judged::Judged;
use crate::leaks::SHORT;
use crate::origin::RightsView;
use crate::pictures::PicturesView;
use crate::places::COMMON;
use crate::report::{Bill, Duplicates, Graded, Leaks, Privacy, Quality, Report};
use crate::suspicions::Suspicions;

/// A part of a report about one thing.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// What it is about.
    pub title: String,
    /// What it says.
    pub parts: Vec<Part>,
}

/// A part of a section.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// A sentence or two.
    Sentence(String),
    /// A table.
    Table(TableView),
    /// Some of the records.
    Examples {
        /// The records.
        items: Vec<Example>,
        /// How many of them are shown where there is little room.
        n_short: usize,
    },
    /// Numbers side by side, for pages.
    Bars {
        /// What they are.
        title: String,
        /// Each of them.
        bars: Vec<Bar>,
    },
}

/// A table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableView {
    /// The columns' names, and whether they hold numbers.
    pub columns: Vec<(String, bool)>,
    /// The cells, row by row.
    pub rows: Vec<Vec<String>>,
}

/// A record that shows what is meant.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Example {
    /// Which it is, and what of it.
    pub title: String,
    /// What stands there, or nothing.
    pub text: String,
    /// The record's number, whose text may be shown beside.
    pub record: Option<u32>,
}

/// A number in a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// What it counts.
    pub name: String,
    /// The number.
    pub value: f64,
    /// The number as it is written.
    pub shown: String,
}

impl Section {
    pub(crate) fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            parts: Vec::new(),
        }
    }

    pub(crate) fn sentence(&mut self, text: impl Into<String>) {
        self.parts.push(Part::Sentence(text.into()));
    }

    /// A table; names of columns of numbers begin with `#`.
    pub(crate) fn table(&mut self, columns: &[&str], rows: Vec<Vec<String>>) {
        let columns = columns
            .iter()
            .map(|name| match name.strip_prefix('#') {
                Some(name) => (name.to_owned(), true),
                None => ((*name).to_owned(), false),
            })
            .collect();
        self.parts.push(Part::Table(TableView { columns, rows }));
    }

    pub(crate) fn examples(&mut self, n_short: usize, items: Vec<Example>) {
        if !items.is_empty() {
            self.parts.push(Part::Examples { items, n_short });
        }
    }

    pub(crate) fn bars(&mut self, title: &str, bars: Vec<Bar>) {
        if !bars.is_empty() {
            self.parts.push(Part::Bars {
                title: title.to_owned(),
                bars,
            });
        }
    }
}

impl Example {
    /// One without a text.
    pub(crate) fn titled(title: String) -> Self {
        Self {
            title,
            ..Self::default()
        }
    }
}

/// Bytes as they are written.
#[must_use]
pub(crate) fn bytes(n_bytes: u64) -> String {
    match n_bytes {
        1 => "1 byte".to_owned(),
        0..1024 => format!("{n_bytes} bytes"),
        _ => outlay_units::bytes(n_bytes as f64),
    }
}

/// A share of a number, as a percentage.
pub(crate) fn share(n: u64, of: u64) -> String {
    percent(n as f64 / (of as f64).max(1.0))
}

/// A number of things: `1 record`, `2 records`.
///
/// ```
/// assert_eq!(outlay_audit::counted(1, "record"), "1 record");
/// assert_eq!(outlay_audit::counted(2000, "record"), "2,000 records");
/// ```
#[must_use]
pub fn counted(n: u64, what: &str) -> String {
    format!("{} {what}{}", whole(n), if n == 1 { "" } else { "s" })
}

/// A number of things and what they do: `1 record has`, `2 records have`; without a thing, `1 is`.
pub(crate) fn counted_with(n: u64, what: &str, one: &str, more: &str) -> String {
    let verb = if n == 1 { one } else { more };
    if what.is_empty() {
        format!("{} {verb}", whole(n))
    } else {
        format!("{} {verb}", counted(n, what))
    }
}

/// All sections of a report.
#[must_use]
pub fn document(report: &Report) -> Vec<Section> {
    let mut sections = vec![read(report)];
    if let Some(of) = &report.duplicates {
        sections.push(duplicates(report, of));
    }
    if let Some(of) = &report.images {
        sections.push(images(of));
    }
    if let Some(of) = &report.leaks {
        sections.push(leaks(of));
    }
    if let Some(of) = &report.crossing {
        sections.push(crossing(of));
    }
    if let Some(of) = &report.rights {
        sections.push(rights(report, of));
    }
    if let Some(of) = &report.privacy {
        sections.push(privacy(report, of));
    }
    if let Some(of) = &report.quality
        && report.n_rows + n_images(report) < report.n_records
    {
        sections.push(quality(report, of));
    }
    if let Some(of) = &report.labels {
        sections.push(labels(of));
    }
    if let Some(of) = report.suspicions.as_ref().filter(|of| of.n() > 0) {
        sections.push(suspicions(of));
    }
    sections.push(fields(report));
    if let Some(of) = &report.bill {
        sections.push(bill(of));
    }
    sections
}

fn n_images(report: &Report) -> u64 {
    report.images.as_ref().map_or(0, |images| images.n_images)
}

/// What the records are: texts, images, or both.
fn stuff(report: &Report) -> &'static str {
    match n_images(report) {
        0 => "text",
        n if n == report.n_records => "images",
        _ => "text and images",
    }
}

fn read(report: &Report) -> Section {
    let mut section = Section::new(format!(
        "{}, {} of {}, in {}",
        counted(report.n_records, "record"),
        bytes(report.n_text_bytes),
        stuff(report),
        counted(report.n_files as u64, "file"),
    ));
    if let Some(hash) = &report.content_sha256 {
        section.sentence(format!("Recorded as dataset/{hash}."));
    }
    if let Some(n) = report.n_tokens {
        section.sentence(format!(
            "{}, {:.2} bytes each.",
            counted(n, "token"),
            report.n_text_bytes as f64 / (n as f64).max(1.0)
        ));
    }
    if report.n_skipped > 0 {
        section.sentence(format!(
            "{} could not be read ({}):",
            whole(report.n_skipped),
            bytes(report.n_skipped_bytes)
        ));
        let skipped = report.skipped.iter().map(|skipped| {
            Example::titled(format!(
                "{}:{}: {}",
                skipped.file, skipped.line, skipped.why
            ))
        });
        section.examples(3, skipped.collect());
    }
    if report.n_unread_files > 0 {
        section.sentence(format!(
            "{} ({}) {} of no kind that is read, such as {}.",
            counted(report.n_unread_files as u64, "file"),
            bytes(report.n_unread_bytes),
            if report.n_unread_files == 1 {
                "is"
            } else {
                "are"
            },
            report.unread_files[0]
        ));
    }
    section
}

fn duplicates(report: &Report, duplicates: &Duplicates) -> Section {
    let mut section = Section::new("Duplicates");
    let row = |name: &str, n: u64, n_bytes: u64| {
        vec![
            name.to_owned(),
            whole(n),
            share(n, report.n_records),
            bytes(n_bytes),
            share(n_bytes, report.n_text_bytes),
        ]
    };
    let stuff = format!("#{}", stuff(report));
    let same = match n_images(report) {
        0 => "the same words",
        n if n == report.n_records => "the same pixels",
        _ => "the same words or pixels",
    };
    section.table(
        &["beyond one of each", "#records", "#", &stuff, "#"],
        vec![
            row(same, duplicates.n_exact, duplicates.n_exact_bytes),
            row("exact and near", duplicates.n_near, duplicates.n_near_bytes),
        ],
    );
    if n_images(report) == report.n_records && report.n_records > 0 {
        section.sentence(format!(
            "{} of images that their hashes take for near were compared by their details.",
            counted(duplicates.n_compared, "pair"),
        ));
    } else {
        section.sentence(similarity(report, duplicates));
    }
    if duplicates.n_not_compared > 0 {
        section.sentence(format!(
            "{} pairs were not compared, as too many records share a part of their signatures.",
            whole(duplicates.n_not_compared)
        ));
    }
    if let Some(n) = duplicates.n_label_conflicts.filter(|n| *n > 0) {
        section.sentence(format!(
            "{} the same as an earlier one, with another label.",
            counted_with(n, "record", "says", "say")
        ));
    }
    let largest = duplicates.largest.iter().map(|cluster| Example {
        title: format!("{} records like {}", whole(cluster.n_records), cluster.kept),
        record: Some(cluster.id),
        ..Example::default()
    });
    section.examples(3, largest.collect());
    section
}

/// How texts and rows were compared.
fn similarity(report: &Report, duplicates: &Duplicates) -> String {
    format!(
        "Near is a Jaccard similarity of {} or more between sets of {}, which was computed for {}; {} bands of {} \
         numbers bring all but one in {} of the pairs right at that together.",
        duplicates.threshold,
        match (report.n_rows, report.n_rows == report.n_records) {
            (0, _) => duplicates.shingle.clone(),
            (_, true) => "cells".to_owned(),
            _ => format!("{}, and of cells for rows of tables", duplicates.shingle),
        },
        counted(duplicates.n_compared, "pair"),
        duplicates.n_bands,
        duplicates.n_rows,
        whole((1.0 / duplicates.missed_at_threshold.max(1e-9)).round() as u64),
    )
}

fn images(images: &PicturesView) -> Section {
    let mut section = Section::new("Images");
    section.sentence(format!(
        "{} read, and compared by their pixels, two perceptual hashes and their details; {} flat, and compared pixel by pixel alone.",
        counted_with(images.n_images, "image", "was", "were"),
        counted_with(images.n_flat, "", "is", "are"),
    ));
    let rows = images.flags.iter().map(|flag| {
        vec![
            flag.flag.replace('_', " "),
            whole(flag.n_images),
            share(flag.n_images, images.n_images),
            flag.first.clone(),
        ]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    if !rows.is_empty() {
        section.table(&["to be looked at", "#images", "#", "such as"], rows);
    }
    section
}

fn leaks(leaks: &Leaks) -> Section {
    let mut section = Section::new(format!(
        "Items of {} in the data",
        counted(leaks.n_files as u64, "benchmark file")
    ));
    let row = |name: &str, graded: &Graded| {
        vec![
            name.to_owned(),
            whole(graded.n_items),
            whole(graded.n_clean),
            whole(graded.n_suspect),
            whole(graded.n_leaked),
        ]
    };
    section.table(
        &["", "#items", "#clean", "#suspect", "#leaked"],
        vec![
            row(&format!("{SHORT} words or more"), &leaks.long),
            row("shorter, found only whole", &leaks.short),
        ],
    );
    if leaks.n_unfindable > 0 {
        section.sentence(format!(
            "{} items cannot be looked for.",
            whole(leaks.n_unfindable)
        ));
    }
    if leaks.n_common > 0 {
        section.sentence(format!(
            "Of {} nothing was found but passages that {COMMON} and more different texts have, which say nothing of them.",
            counted(leaks.n_common, "item")
        ));
    }
    let items = leaks.items.iter().map(|item| {
        let most = &item.most;
        let more = match item.n_records {
            0 | 1 => String::new(),
            n => format!(" and {} more", whole(n - 1)),
        };
        Example {
            title: format!(
                "{} {}, {} of it{}, in {}{more}:",
                most.item,
                most.grade,
                percent(f64::from(most.share)),
                if most.is_answered {
                    " with its answer"
                } else {
                    ""
                },
                most.record,
            ),
            text: most.passage.clone(),
            record: None,
        }
    });
    section.examples(5, items.collect());
    section
}

fn crossing(crossing: &Crossing) -> Section {
    let mut section = Section::new(format!(
        "What {} of the same form share{} with the data",
        counted(crossing.n_files as u64, "file"),
        if crossing.n_files == 1 { "s" } else { "" }
    ));
    let of = |n: u64| share(n, crossing.n_records);
    let mut rows = vec![
        vec![
            "records that say the same".to_owned(),
            whole(crossing.n_exact),
            of(crossing.n_exact),
        ],
        vec![
            "exact and near".to_owned(),
            whole(crossing.n_near),
            of(crossing.n_near),
        ],
    ];
    for group in &crossing.groups {
        rows.push(vec![
            format!(
                "with one of {} of {} values of {}",
                whole(group.n_shared),
                whole(group.n_values),
                group.field
            ),
            whole(group.n_records),
            of(group.n_records),
        ]);
    }
    let head = format!("of {}", counted(crossing.n_records, "record"));
    section.table(&[&head, "#records", "#"], rows);
    let first = crossing.first.iter().map(|pair| {
        let is = if pair.how == "exact" { "is" } else { "is like" };
        Example::titled(format!("{} {is} {}", pair.compared, pair.record))
    });
    section.examples(3, first.collect());
    if let Some(time) = &crossing.time {
        if time.n_data_not_before == 0 {
            section.sentence(format!(
                "All records of the data are before these, by {}.",
                time.field
            ));
        } else {
            section.sentence(format!(
                "By {}, {} of the data are not before the first of these.",
                time.field,
                counted(time.n_data_not_before, "record")
            ));
        }
        if time.n_unread > 0 {
            section.sentence(format!(
                "{} no time there.",
                counted_with(time.n_unread, "record", "has", "have")
            ));
        }
    }
    section
}

/// Licences and languages that are shown in a table.
const ROWS: usize = 10;

fn rights(report: &Report, rights: &RightsView) -> Section {
    let mut section = Section::new(format!("Rights, for {} use", rights.intended));
    let row = |name: String, n_records: u64, decision: &str, why: String| {
        vec![
            name,
            whole(n_records),
            share(n_records, report.n_records),
            decision.to_owned(),
            why,
        ]
    };
    let mut rows: Vec<Vec<String>> = rights
        .licences
        .iter()
        .take(ROWS)
        .map(|one| {
            row(
                one.licence.clone(),
                one.n_records,
                one.decision.name(),
                one.first.clone(),
            )
        })
        .collect();
    if rights.licences.len() > ROWS {
        let rest = &rights.licences[ROWS..];
        let n_records = rest.iter().map(|one| one.n_records).sum();
        rows.push(row(
            format!("{} more", rest.len()),
            n_records,
            "",
            String::new(),
        ));
    }
    section.table(&["licence", "#records", "#", "is", "such as"], rows);
    let decisions = [
        ("allowed", rights.n_allowed),
        ("to be looked at", rights.n_review),
        ("denied", rights.n_denied),
    ];
    let bars = decisions.map(|(name, n)| Bar {
        name: name.to_owned(),
        value: n as f64,
        shown: share(n, report.n_records),
    });
    section.bars("records by what the policy makes of them", bars.to_vec());
    section.sentence(format!(
        "{} allowed, {} to be looked at, {} denied; {} neither source, address nor author.",
        whole(rights.n_allowed),
        whole(rights.n_review),
        whole(rights.n_denied),
        counted_with(rights.n_without_provenance, "record", "names", "name"),
    ));
    if rights.n_opted_out > 0 {
        section.sentence(format!(
            "{} that it is not to be trained on.",
            counted_with(rights.n_opted_out, "record", "says", "say")
        ));
    }
    let notices = rights.notices.iter().map(|notice| {
        Example::titled(format!(
            "{}: {}, such as {}",
            notice.kind.replace('_', " "),
            counted(notice.n_records, "record"),
            notice.first
        ))
    });
    section.examples(8, notices.collect());
    section
}

fn privacy(report: &Report, privacy: &Privacy) -> Section {
    let mut section = Section::new("Personal data and secrets");
    if privacy.found.is_empty() {
        section.sentence("None was found.");
        return section;
    }
    let name = |kind: &str, form: &str| {
        let name = if kind == form {
            kind.to_owned()
        } else {
            format!("{kind}: {form}")
        };
        name.replace('_', " ")
    };
    let rows = privacy.found.iter().map(|found| {
        vec![
            name(found.kind, &found.form),
            whole(found.n_places),
            whole(found.n_records),
        ]
    });
    section.table(&["", "#places", "#records"], rows.collect());
    let bars = privacy.found.iter().map(|found| Bar {
        name: name(found.kind, &found.form),
        value: found.n_records as f64,
        shown: whole(found.n_records),
    });
    section.bars("records with some", bars.collect());
    section.sentence(format!(
        "{} some, {}. Names of persons are not looked for.",
        counted_with(privacy.n_records, "record", "has", "have"),
        share(privacy.n_records, report.n_records)
    ));
    section
}

fn quality(report: &Report, quality: &Quality) -> Section {
    let mut section = Section::new("Rules of quality that records break");
    let rows: Vec<Vec<String>> = quality
        .rules
        .iter()
        .map(|rule| {
            vec![
                rule.rule.replace('_', " "),
                rule.source.to_owned(),
                whole(rule.n_records),
                share(rule.n_records, report.n_records),
                rule.first.clone(),
            ]
        })
        .collect();
    if !rows.is_empty() {
        section.table(&["rule", "of", "#records", "#", "such as"], rows);
    }
    let bars = quality.rules.iter().map(|rule| Bar {
        name: rule.rule.replace('_', " "),
        value: rule.n_records as f64,
        shown: share(rule.n_records, report.n_records),
    });
    section.bars("share of the records that break a rule", bars.collect());
    section.sentence(format!(
        "{} of {} records break one ({} of text). The rules were made for pages of the web in English; \
         code and tables break many of them.",
        whole(quality.n_records),
        whole(report.n_records),
        bytes(quality.n_bytes)
    ));
    section
}

/// Classes that are shown in a table.
const CLASSES: usize = 8;

/// How surely a field tells a label or a group before it is pointed at: nine tenths of the way from chance to certainty.
pub(crate) const GIVEAWAY: f64 = 0.9;

/// How surely a field tells a group before it is called its proxy: half of the way.
pub(crate) const PROXY: f64 = 0.5;

/// A chance below which an association is none of chance.
const SURE: f64 = 0.01;

fn labels(judged: &Judged) -> Section {
    let mut section = Section::new("Labels and groups");
    if judged.n_sampled < judged.n_records {
        section.sentence(format!(
            "Of a sample of {} of {} records.",
            whole(judged.n_sampled),
            whole(judged.n_records)
        ));
    }
    if let Some(balance) = &judged.balance {
        let mut text = format!(
            "{}, the most frequent {:.1} times as frequent as the rarest; as hard to guess as {:.1} of the same size.",
            counted(balance.n_classes as u64, "label"),
            balance.imbalance,
            balance.effective_classes,
        );
        if balance.n_missing > 0 {
            let without = counted_with(balance.n_missing, "record", "has", "have");
            text.push_str(&format!(" {without} no label."));
        }
        section.sentence(text);
        let classes = &balance.classes;
        let rows = classes
            .iter()
            .take(CLASSES)
            .map(|class| vec![class.label.clone(), whole(class.n), percent(class.share)]);
        section.table(&["label", "#records", "#"], rows.collect());
        let bars = classes.iter().take(30).map(|class| Bar {
            name: class.label.clone(),
            value: class.n as f64,
            shown: whole(class.n),
        });
        section.bars("records of each label", bars.collect());
    }
    if let Some(errors) = &judged.errors {
        let by = match errors.by {
            "texts" => "the texts",
            "fields" => "the other fields",
            "pixels" => "the pixels",
            _ => "your own",
        };
        let stands = match errors.n_issues {
            0 => "none stands out.".to_owned(),
            n => format!("{} out:", counted_with(n, "record", "stands", "stand")),
        };
        let by = match errors.model {
            Some(model) => format!("{by} ({model})"),
            None => by.to_owned(),
        };
        section.sentence(format!(
            "By a model of {by}, which agrees with {} of the labels, confident learning holds some {:.0} of {} labels for wrong, {}; {stands}",
            percent(errors.share_agreed),
            errors.n_errors,
            whole(errors.n_judged),
            percent(errors.share_errors),
        ));
        let first = errors.first.iter().map(|issue| Example {
            title: format!(
                "{} is {}, and likelier {} ({} sure of its own)",
                issue.record,
                issue.label,
                issue.suggested,
                percent(f64::from(issue.self_confidence))
            ),
            record: Some(issue.number),
            ..Example::default()
        });
        section.examples(3, first.collect());
    }
    let told = |fields: &[Proxy], least: f64| -> Vec<String> {
        fields
            .iter()
            .filter(|field| field.skill >= least)
            .map(|field| format!("{} ({})", field.column, percent(field.balanced_accuracy)))
            .collect()
    };
    let giveaways = told(&judged.giveaways, GIVEAWAY);
    if !giveaways.is_empty() {
        section.sentence(format!(
            "Alone, these fields give the label away: {}.",
            giveaways.join(", ")
        ));
    }
    for found in &judged.associations {
        let is_sure = found.p_adjusted < SURE;
        let strength = match found.cramers_v_interval {
            Some(interval) => format!(
                "Cramér's V {:.2}, {:.2} to {:.2}",
                found.cramers_v, interval.low, interval.high
            ),
            None => format!("Cramér's V {:.2}", found.cramers_v),
        };
        let mut text = if is_sure {
            format!(
                "{} and {} hang together ({strength}).",
                found.label, found.group
            )
        } else {
            format!(
                "{} and {} are not seen to hang together ({strength}).",
                found.label, found.group
            )
        };
        if let Some(gap) = found.largest.as_ref().filter(|_| is_sure) {
            text.push_str(&format!(
                " {} is the label of {} of {} and {} of {}: a difference of {} ({} to {}).",
                gap.label,
                percent(gap.highest_rate),
                gap.highest,
                percent(gap.lowest_rate),
                gap.lowest,
                percent(gap.difference),
                percent(gap.interval.low),
                percent(gap.interval.high),
            ));
        }
        if found.n_small_groups > 0 {
            text.push_str(&format!(
                " {} too small to be compared.",
                counted_with(found.n_small_groups as u64, "group", "is", "are")
            ));
        }
        section.sentence(text);
    }
    for group in &judged.proxies {
        let fields = told(&group.fields, PROXY);
        if !fields.is_empty() {
            section.sentence(format!(
                "These fields stand for {}, as they tell it: {}.",
                group.group,
                fields.join(", ")
            ));
        }
    }
    section
}

fn suspicions(found: &Suspicions) -> Section {
    let mut section = Section::new("What looks as if somebody had put it there");
    let triggers = found.triggers.iter().flat_map(|found| &found.triggers);
    let triggers = triggers.map(|trigger| Example {
        title: format!(
            "\u{201c}{}\u{201d}: {} of {} records with it are {}, and {} of {} otherwise look like another label",
            trigger.sequence,
            whole(trigger.n_with_label),
            whole(trigger.n_records),
            trigger.label,
            whole(trigger.n_contrary),
            whole(trigger.n_voting),
        ),
        record: trigger.examples.first().and_then(|record| u32::try_from(*record).ok()),
        ..Example::default()
    });
    section.examples(5, triggers.collect());
    let marks = found.marks.iter().map(|mark| {
        let PatchWindow {
            place,
            inset_px,
            side_px,
            ..
        } = mark.window;
        let colour = if mark.is_uniform { ", of one colour," } else { "" };
        Example {
            title: format!(
                "the same {side_px} \u{d7} {side_px} pixels{colour} at the {place}, {inset_px} from the edge: {} of {} with them are {}",
                whole(u64::from(mark.n_of_label)),
                counted(u64::from(mark.n_images), "image"),
                mark.label,
            ),
            record: mark.examples.first().copied(),
            ..Example::default()
        }
    });
    section.examples(5, marks.collect());
    for (what, changes) in [
        ("sources", &found.source_shifts),
        ("labels", &found.label_shifts),
    ] {
        let items = changes.iter().map(|change| {
            let most = change.categories.iter().take(2).map(|one| {
                let name = if one.category.is_empty() {
                    "none"
                } else {
                    &one.category
                };
                format!(
                    "{name} {} to {}",
                    percent(one.share_before),
                    percent(one.share_after)
                )
            });
            let most: Vec<String> = most.collect();
            Example {
                title: format!(
                    "from record {} on {} of the records have other {what} ({})",
                    whole(u64::try_from(change.position).unwrap_or(0) + 1),
                    percent(change.share_changed),
                    most.join(", ")
                ),
                record: u32::try_from(change.position).ok(),
                ..Example::default()
            }
        });
        section.examples(5, items.collect());
    }
    let name = |label: u32| {
        let name = found.labels.get(label as usize).map_or("", String::as_str);
        if name.is_empty() {
            "records without a label".to_owned()
        } else {
            name.to_owned()
        }
    };
    for spectrum in found
        .spectra
        .iter()
        .filter(|spectrum| spectrum.is_separated)
    {
        section.sentence(format!(
            "The embeddings of {} have a second population ({} of {} stand farthest out).",
            name(spectrum.label),
            whole(spectrum.suspects.len() as u64),
            whole(spectrum.n_records as u64),
        ));
    }
    for groups in found.clusters.iter().filter(|groups| groups.is_suspicious) {
        section.sentence(format!(
            "The embeddings of {} fall into two groups, {} in the smaller (silhouette {:.2}).",
            name(groups.label),
            percent(groups.smaller_share),
            groups.silhouette,
        ));
    }
    section
}

fn fields(report: &Report) -> Section {
    let lengths = &report.lengths;
    let mut section = Section::new("Fields and lengths");
    let stuff = match n_images(report) {
        0 => "Texts",
        n if n == report.n_records => "Images",
        _ => "Texts and images",
    };
    section.sentence(format!(
        "{stuff} have {} in the middle, {} to {} in all but a hundredth at each end, {} at most; {} much shorter than \
         most and {} much longer.",
        bytes(lengths.p50),
        bytes(lengths.p1),
        bytes(lengths.p99),
        bytes(lengths.most),
        counted_with(lengths.n_short_outliers, "", "is", "are"),
        counted_with(lengths.n_long_outliers, "", "is", "are"),
    ));
    let bars = lengths.histogram.iter().enumerate().map(|(bin, n)| Bar {
        name: match bin {
            0 => "empty".to_owned(),
            1 => "1 byte".to_owned(),
            _ => format!("from {}", bytes(1 << (bin - 1))),
        },
        value: *n as f64,
        shown: whole(*n),
    });
    let first = lengths.histogram.iter().position(|n| *n > 0).unwrap_or(0);
    section.bars("records by their length", bars.skip(first).collect());
    let n_told: u64 = report
        .languages
        .iter()
        .map(|language| language.n_records)
        .sum();
    if n_told > 0 {
        let languages = report.languages.iter().take(5).map(|language| {
            let code = if language.code.is_empty() {
                "none that is told"
            } else {
                &language.code
            };
            format!("{code} {}", share(language.n_records, n_told))
        });
        let languages: Vec<String> = languages.collect();
        section.sentence(format!("Languages: {}.", languages.join(", ")));
        let bars = report.languages.iter().take(20).map(|language| Bar {
            name: if language.code.is_empty() {
                "none that is told".to_owned()
            } else {
                language.code.clone()
            },
            value: language.n_records as f64,
            shown: whole(language.n_records),
        });
        section.bars("records by the language of their text", bars.collect());
    }
    let drifts = report.fields.drift.iter().map(|drift| {
        Example::titled(format!(
            "{} in {}: {} ({})",
            drift.field,
            drift.file,
            drift.what.replace('_', " "),
            drift.why
        ))
    });
    section.examples(5, drifts.collect());
    if report.fields.n_drifts > 5 {
        section.sentence(format!(
            "In all {} such places.",
            whole(report.fields.n_drifts)
        ));
    }
    section
}

fn bill(bill: &Bill) -> Section {
    let mut section = Section::new("What training on it would cost in vain");
    let rows = bill.lines.iter().map(|line| {
        let name = match line.what {
            "duplicates" => "duplicates",
            "leaked" => "records with leaked items",
            _ => "records that break a rule",
        };
        vec![
            name.to_owned(),
            percent(line.share),
            line.usd.map_or_else(String::new, |cost| usd(cost.p50)),
            line.usd.map_or_else(String::new, |cost| {
                format!("{} to {}", usd(cost.p10), usd(cost.p90))
            }),
            outlay_units::count(line.accelerator_hours.p50),
        ]
    });
    section.table(
        &["", "#of text", "#cost", "#p10 to p90", "#accelerator-hours"],
        rows.collect(),
    );
    section.sentence(
        "The plan's tokens are taken to be of this data; a record may be in more than one line.",
    );
    section
}
