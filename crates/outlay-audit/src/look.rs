//! Looking at the records of a chunk: whatever can be seen of each by itself.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use tokenizers::Tokenizer;

use crate::audit::{Benchmarks, Settings};
use crate::chunks::{Chunk, Skipped};
use crate::leaks::{Finder, Leak};
use crate::near::{Near, Sketches};
use crate::origin::{OriginLook, OriginSeen};
use crate::pictures::{PictureSeen, pictures};
use crate::places::Sighting;
use crate::privacy::{PrivateKind, masked, private, redacted};
use crate::quality::{Broken, Judge};
use crate::record::{Field, Fields, Named};
use crate::rows::{Sample, cells};
use crate::schema::Schema;
use crate::source::Source;

/// What one chunk gave.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Looked {
    pub sketches: Sketches,
    pub records: Vec<RecordSeen>,
    /// How many of them are rows of tables.
    pub n_rows: u64,
    /// Tokens of all texts, where there is a tokenizer.
    pub n_tokens: u64,
    /// Of each record, the fields that were asked for, in the order of `Wanted`.
    pub values: Vec<Option<String>>,
    pub leaks: Vec<LeakSeen>,
    /// Runs of words of the benchmarks that were seen.
    pub sightings: Vec<Sighting>,
    pub private: Vec<PrivateSeen>,
    /// Of each record, the rules that it breaks.
    pub broken: Vec<Broken>,
    pub skipped: Vec<Skipped>,
    pub origins: OriginSeen,
    /// The images, with the record of each.
    pub pictures: Vec<(u32, PictureSeen)>,
    pub schema: Schema,
    pub sample: Sample,
}

/// A record.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RecordSeen {
    pub line: u64,
    /// Bytes of its text.
    pub n_bytes: u64,
    /// Its own id, or nothing.
    pub id: String,
}

/// An item of a benchmark within a record.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LeakSeen {
    /// The record within the chunk.
    pub at: u32,
    pub leak: Leak,
    pub passage: String,
}

/// Something private within a record.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PrivateSeen {
    /// The record within the chunk.
    pub at: u32,
    pub kind: PrivateKind,
    pub form: Cow<'static, str>,
    /// Where, in characters.
    pub place: (u64, u64),
    /// What may be shown of it.
    pub shown: String,
}

/// The fields that an audit reads beside texts, and where they are among a record's others.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    pub fields: Fields,
    pub label: Option<usize>,
    pub time: Option<usize>,
    /// Where the groups begin.
    pub groups: usize,
    pub n_all: usize,
}

impl Wanted {
    pub(crate) fn new(settings: &Settings) -> Self {
        let mut fields = settings.fields.clone();
        let mut add = |name: &Option<String>| {
            let name = name.as_ref()?;
            fields.others.push(name.clone());
            Some(fields.others.len() - 1)
        };
        let (label, time) = (add(&settings.label), add(&settings.time));
        fields.groups.clone_from(&settings.groups);
        Self {
            label,
            time,
            groups: fields.others.len(),
            n_all: fields.others.len() + fields.groups.len(),
            fields,
        }
    }
}

/// What looks at chunks; the same for all threads.
#[derive(Clone, Copy)]
pub(crate) struct Looker<'a> {
    pub settings: &'a Settings,
    pub wanted: &'a Wanted,
    pub near: Option<&'a Near>,
    pub benchmarks: Option<&'a Benchmarks>,
    pub tokenizer: Option<&'a Tokenizer>,
}

/// Bytes of a field that are kept.
const VALUE_BYTES: usize = 256;

impl Looker<'_> {
    /// Looks at every record of a chunk; of data that is only compared with, no more than that needs.
    pub(crate) fn look(self, source: &Source, chunk: &Chunk, is_compared: bool) -> Looked {
        let settings = self.settings;
        let mut looked = Looked::default();
        let mut sketcher = self.near.map(Near::sketcher);
        let mut finder = Finder::default();
        let mut judge = Judge::default();
        let mut row = Vec::new();
        let mut origin = OriginLook::default();
        let is_sampled = settings.is_sampled();
        let mut pictures = pictures(chunk, &source.path, is_sampled).map(Vec::into_iter);
        chunk.each(&self.wanted.fields, |seen| {
            let (record, named) = match seen {
                Ok(seen) => seen,
                Err(skipped) => {
                    looked.skipped.push(skipped);
                    return;
                }
            };
            let at = looked.records.len() as u32;
            let mut n_bytes = record.text.len() as u64;
            let (mut class, mut sampled) = (None, None);
            if let Some(pictures) = &mut pictures {
                match pictures.next() {
                    Some(Ok(picture)) => {
                        looked.pictures.push((at, picture.seen));
                        class = picture.label;
                        sampled = picture.sampled;
                        n_bytes = picture.n_bytes;
                    }
                    Some(Err(skipped)) => {
                        looked.skipped.push(skipped);
                        return;
                    }
                    None => return,
                }
            }
            let is_picture = pictures.is_some();
            let is_row = cells(&self.wanted.fields, named, &mut row);
            looked.n_rows += u64::from(is_row);
            if let Some(sketcher) = &mut sketcher {
                if is_row {
                    sketcher.add_row(&mut row, &mut looked.sketches);
                } else {
                    sketcher.add(&record.text, &mut looked.sketches);
                }
            }
            looked.schema.add(named);
            if is_sampled {
                let key = Sample::key(&source.path, record.line);
                let text = if is_row { "" } else { &record.text };
                // The label of an image is none of its fields.
                let labelled = settings.label.as_deref().zip(class.as_deref());
                let labelled: Option<Named<'_>> =
                    labelled.map(|(name, class)| vec![(name.into(), Field::Text(class.into()))]);
                let named = labelled.as_ref().unwrap_or(named);
                looked.sample.add(key, at, named, text, sampled);
            }
            if !is_compared {
                if let Some(tokenizer) = self.tokenizer {
                    let tokens = tokenizer.encode_fast(&*record.text, false);
                    looked.n_tokens += tokens.map_or(0, |tokens| tokens.len()) as u64;
                }
                if let Some(benchmarks) = self.benchmarks {
                    benchmarks
                        .reference
                        .find(&record.text, &mut finder, |leak| {
                            let passage = passage(&record.text, &leak);
                            looked.leaks.push(LeakSeen { at, leak, passage });
                        });
                    let runs = finder.runs();
                    if !runs.is_empty() {
                        let text = finder.fingerprint();
                        looked.sightings.extend(runs.iter().map(|run| (*run, text)));
                    }
                }
                if settings.quality {
                    // The rules are of texts.
                    looked.broken.push(if is_row || is_picture {
                        Broken::default()
                    } else {
                        judge.judge(&record.text)
                    });
                }
                if settings.rights {
                    origin.look(
                        &record.text,
                        named,
                        is_row || is_picture,
                        &mut looked.origins,
                    );
                }
                if settings.privacy {
                    look_for_private(&record.text, at, &mut looked.private);
                }
            }
            let label = self.wanted.label.filter(|_| class.is_some());
            looked
                .values
                .extend(record.others.iter().enumerate().map(|(place, value)| {
                    // The label of an image is its folder's name, or stands beside it.
                    let value = if label == Some(place) {
                        class.as_deref()?
                    } else {
                        value.as_deref()?
                    };
                    Some(value[..value.floor_char_boundary(VALUE_BYTES)].to_owned())
                }));
            looked.records.push(RecordSeen {
                line: record.line,
                n_bytes,
                id: record.id.as_deref().unwrap_or_default().to_owned(),
            });
        });
        looked.sample.cut();
        looked
    }
}

fn look_for_private(text: &str, at: u32, into: &mut Vec<PrivateSeen>) {
    let (mut byte, mut character) = (0, 0);
    for one in private(text) {
        character += text[byte..one.place.start].chars().count() as u64;
        let begin = character;
        character += text[one.place.clone()].chars().count() as u64;
        byte = one.place.end;
        into.push(PrivateSeen {
            at,
            kind: one.kind,
            form: one.form.into(),
            place: (begin, character),
            shown: masked(&one, text),
        });
    }
}

/// Bytes of a passage that are shown.
const PASSAGE: usize = 300;

/// A passage as it may be shown: what is private in it is not.
fn passage(text: &str, leak: &Leak) -> String {
    let whole = redacted(text.get(leak.place.clone()).unwrap_or_default());
    if whole.len() <= PASSAGE {
        return whole;
    }
    format!("{}…", &whole[..whole.floor_char_boundary(PASSAGE)])
}
