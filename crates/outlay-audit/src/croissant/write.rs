//! Writes a datasheet.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::description::{
    Agent, AgentKind, Description, FieldDescription, FileDescription, Part, RecordSetDescription,
    encoding_formats,
};
use super::licences::spdx_url;
use super::{CROISSANT, RAI, RAI_VERSION, SCHEMA, TERMS, TERMS_OF_DUBLIN_CORE, Version, forms};

/// More files than these are not listed one by one: folders of files of a kind become sets, named by patterns.
pub const FILE_OBJECTS_MAX: usize = 100;

/// Writes a datasheet as JSON-LD. What is not known is left out; [`check`](super::check) says what is missing by it.
///
/// Identifiers are names without the signs that an address cannot hold, made unique by a number behind them. A file is found by its
/// path from the datasheet's folder unless its address is known. Records that lie in several files come from a set of files, whose
/// patterns match those files alone among all that are described.
///
/// A field's description says where records may lack it, as the vocabulary has no word for that; a field without a name is left
/// out. The licence becomes the address of the SPDX list where it is one of that list, and a work of that name where it is neither
/// that nor an address.
#[must_use]
pub fn croissant(description: &Description, version: Version) -> Value {
    let mut sheet = Map::new();
    let mut put = |name: &str, value: Value| {
        sheet.insert(name.to_owned(), value);
    };
    let text = |text: &Option<String>| text.as_ref().map(|text| Value::from(text.as_str()));

    put("@context", context(version));
    put("@type", "sc:Dataset".into());
    let conforms_to = if description.rai.is_empty() {
        version.url().into()
    } else {
        json!([version.url(), RAI_VERSION])
    };
    put("conformsTo", conforms_to);
    if !description.name.trim().is_empty() {
        put("name", description.name.as_str().into());
    }
    let known = [
        ("description", text(&description.description)),
        ("license", description.licence.as_deref().map(licence_value)),
        ("url", text(&description.url)),
        (
            "creator",
            one_or_all(description.creators.iter().map(agent)),
        ),
        ("publisher", description.publisher.as_ref().map(agent)),
        ("datePublished", text(&description.date_published)),
        ("dateCreated", text(&description.date_created)),
        ("dateModified", text(&description.date_modified)),
        ("version", text(&description.version)),
        ("citeAs", text(&description.citation)),
        ("keywords", texts(&description.keywords)),
        ("inLanguage", texts(&description.in_language)),
        ("sameAs", texts(&description.same_as)),
        (
            "sdLicense",
            description.datasheet_licence.as_deref().map(licence_value),
        ),
        ("isLiveDataset", description.is_live.map(Value::Bool)),
    ];
    for (name, value) in known {
        if let Some(value) = value {
            put(name, value);
        }
    }
    description.rai.write(&mut sheet);

    let mut ids = Ids::default();
    let mut resources = Resources::new(&description.files, version);
    resources.list(&mut ids);
    let record_sets: Vec<Value> = description
        .record_sets
        .iter()
        .map(|record_set| record_set_value(record_set, &mut resources, &mut ids, version))
        .collect();
    if !resources.written.is_empty() {
        sheet.insert("distribution".to_owned(), resources.written.into());
    }
    if !record_sets.is_empty() {
        sheet.insert("recordSet".to_owned(), record_sets.into());
    }
    Value::Object(sheet)
}

/// What the first appendix of the specification recommends.
///
/// For schema.org it is the address with `https` in both versions: that of 1.1 has `http`, which the reference reader (mlcroissant
/// 1.1.1) does not take for schema.org, and the examples that come with 1.1 have `https`.
fn context(version: Version) -> Value {
    let mut context = json!({
        "@language": "en",
        "@vocab": SCHEMA,
        "sc": SCHEMA,
        "cr": CROISSANT,
        "rai": RAI,
        "dct": TERMS_OF_DUBLIN_CORE,
    });
    for (name, since) in TERMS {
        // Of 1.0, and no longer in 1.1.
        let is_over = version == Version::V1_1 && matches!(name, "path" | "repeated" | "replace");
        if since <= version && !is_over {
            context[name] = match name {
                "conformsTo" => "dct:conformsTo".into(),
                "data" | "examples" => json!({"@id": format!("cr:{name}"), "@type": "@json"}),
                "dataType" => json!({"@id": "cr:dataType", "@type": "@vocab"}),
                _ => format!("cr:{name}").into(),
            };
        }
    }
    context
}

fn licence_value(licence: &str) -> Value {
    if forms::is_url(licence) {
        return licence.into();
    }
    match spdx_url(licence) {
        Some(url) => url.into(),
        None => json!({"@type": "sc:CreativeWork", "name": licence}),
    }
}

fn agent(agent: &Agent) -> Value {
    let mut value = json!({
        "@type": match agent.kind {
            AgentKind::Person => "sc:Person",
            AgentKind::Organisation => "sc:Organization",
        },
        "name": agent.name,
    });
    if let Some(url) = &agent.url {
        value["url"] = url.as_str().into();
    }
    if let Some(email) = &agent.email {
        value["email"] = email.as_str().into();
    }
    value
}

fn texts(texts: &[String]) -> Option<Value> {
    one_or_all(texts.iter().map(|text| Value::from(text.as_str())))
}

fn one_or_all(values: impl Iterator<Item = Value>) -> Option<Value> {
    let mut values: Vec<Value> = values.collect();
    match values.len() {
        0 => None,
        1 => values.pop(),
        _ => Some(values.into()),
    }
}

/// Identifiers given out so far.
#[derive(Default)]
struct Ids {
    taken: HashSet<String>,
}

impl Ids {
    /// An identifier like a name that none has yet.
    fn of(&mut self, name: &str) -> String {
        let name = id_of(name);
        let mut id = name.clone();
        let mut n = 1;
        while !self.taken.insert(id.clone()) {
            n += 1;
            id = format!("{name}-{n}");
        }
        id
    }
}

/// A name as an identifier: an IRI relative to the file, so without spaces, schemes, queries, and steps up.
fn id_of(name: &str) -> String {
    let parts: Vec<String> = name
        .split('/')
        .map(|part| {
            let part: String = part
                .chars()
                .map(|sign| match sign {
                    '.' | '-' | '_' | '+' | '=' | ',' => sign,
                    _ if sign.is_alphanumeric() => sign,
                    _ => '_',
                })
                .collect();
            match part.as_str() {
                "." | ".." => "_".repeat(part.len()),
                _ => part,
            }
        })
        .filter(|part| !part.is_empty())
        .collect();
    if parts.is_empty() {
        "unnamed".to_owned()
    } else {
        parts.join("/")
    }
}

/// What is called by a name that shows nothing, as a file `" "` is, is called by its identifier: a name is required.
fn name_or_id<'a>(name: &'a str, id: &'a str) -> &'a str {
    if name.trim().is_empty() { id } else { name }
}

/// Part of a field's or file's name that is one step of an identifier.
fn id_step(name: &str) -> String {
    id_of(&name.replace('/', "_"))
}

/// The files and sets of files.
struct Resources<'a> {
    files: &'a [FileDescription],
    version: Version,
    written: Vec<Value>,
    /// Identifiers of single files, by their names.
    single: HashMap<&'a str, String>,
    /// Identifiers of sets, by the names in them.
    sets: HashMap<BTreeSet<&'a str>, String>,
}

/// Where a record set's values come from.
struct Origin {
    /// `fileObject` or `fileSet`.
    kind: &'static str,
    id: String,
    is_json: bool,
}

impl<'a> Resources<'a> {
    fn new(files: &'a [FileDescription], version: Version) -> Self {
        Self {
            files,
            version,
            written: Vec::new(),
            single: HashMap::new(),
            sets: HashMap::new(),
        }
    }

    /// Lists all files, as files or as sets of them.
    fn list(&mut self, ids: &mut Ids) {
        let mut groups: BTreeMap<(&str, &str), Vec<&'a FileDescription>> = BTreeMap::new();
        for file in self.files {
            let top = file.name.split_once('/').map_or("", |(top, _)| top);
            groups
                .entry((top, ending(&file.name)))
                .or_default()
                .push(file);
        }
        let mut in_sets = HashSet::new();
        let mut n_listed = self.files.len();
        // Small groups last, and only where they have to.
        for n_files_min in [10, 2] {
            for ((top, end), files) in &groups {
                if n_listed > FILE_OBJECTS_MAX
                    && files.len() >= n_files_min
                    && in_sets.insert((*top, *end))
                {
                    n_listed -= files.len();
                }
            }
        }
        for file in self.files {
            let top = file.name.split_once('/').map_or("", |(top, _)| top);
            if !in_sets.contains(&(top, ending(&file.name)))
                && !self.single.contains_key(&*file.name)
            {
                self.add_file(file, ids);
            }
        }
        for (group, files) in groups {
            if in_sets.contains(&group) {
                let names = files.iter().map(|file| file.name.as_str()).collect();
                self.add_set(names, ids);
            }
        }
    }

    fn add_file(&mut self, file: &'a FileDescription, ids: &mut Ids) {
        let id = ids.of(&file.name);
        let name = file.name.rsplit('/').next().unwrap_or(&file.name);
        let name = name_or_id(name, &id);
        let mut value = json!({"@type": "cr:FileObject", "@id": id, "name": name});
        value["contentUrl"] = match &file.content_url {
            Some(url) => url.as_str().into(),
            None => path_as_url(&file.name).into(),
        };
        if let Some(n_bytes) = file.n_bytes {
            value["contentSize"] = format!("{n_bytes} B").into();
        }
        value["encodingFormat"] = self.encoding(&file.name);
        if let Some(sha256) = &file.sha256 {
            value["sha256"] = sha256.to_ascii_lowercase().into();
        }
        self.written.push(value);
        self.single.insert(&file.name, id);
    }

    fn add_set(&mut self, names: BTreeSet<&'a str>, ids: &mut Ids) -> String {
        if let Some(id) = self.sets.get(&names) {
            return id.clone();
        }
        let first = names.first().copied().unwrap_or_default();
        let folder = common_folder(&names);
        let of_kind = ending(first).trim_start_matches('.');
        let name = match (folder.is_empty(), of_kind.is_empty()) {
            (true, true) => "files".to_owned(),
            (true, false) => format!("{of_kind}-files"),
            (false, true) => format!("{folder}/files"),
            (false, false) => format!("{folder}/{of_kind}-files"),
        };
        let id = ids.of(&name);
        let n_files = names.len();
        let mut value = json!({
            "@type": "cr:FileSet",
            "@id": id,
            "name": name,
            "description": format!("{n_files} {}.", if n_files == 1 { "file" } else { "files" }),
            "encodingFormat": self.encoding(first),
        });
        if let Some(includes) = one_or_all(self.patterns(&names).into_iter().map(Value::from)) {
            value["includes"] = includes;
        }
        self.written.push(value);
        self.sets.insert(names, id.clone());
        id
    }

    /// Patterns that match these files, and none else that is described, whether `*` stands for `/` as well, as it does for the
    /// reference reader, or does not.
    fn patterns(&self, names: &BTreeSet<&str>) -> Vec<String> {
        let kinds: BTreeSet<(&str, &str)> = names
            .iter()
            .filter_map(|name| Some((name.rsplit_once('/')?.0, ending(name))))
            .collect();
        let is_in_kind = |name: &str| {
            kinds.iter().any(|(folder, end)| {
                name.strip_prefix(folder)
                    .is_some_and(|rest| rest.starts_with('/') && rest.ends_with(end))
            })
        };
        let takes_others = self
            .files
            .iter()
            .any(|file| !names.contains(file.name.as_str()) && is_in_kind(&file.name));
        let mut patterns = Vec::new();
        let all_have_ends = kinds.iter().all(|(_, end)| !end.is_empty());
        let is_short = kinds.len() < names.len();
        if !takes_others && all_have_ends && is_short {
            patterns.extend(
                kinds
                    .iter()
                    .map(|(folder, end)| format!("{}/*{}", escaped(folder), escaped(end))),
            );
        }
        let is_covered = |name: &str| !patterns.is_empty() && name.contains('/');
        let rest: Vec<String> = names
            .iter()
            .filter(|name| !is_covered(name))
            .map(|name| escaped(name))
            .collect();
        patterns.extend(rest);
        patterns
    }

    fn encoding(&self, name: &str) -> Value {
        let given = self
            .files
            .iter()
            .find(|file| file.name == name)
            .and_then(|file| file.encoding_format.as_deref());
        if let Some(given) = given {
            return given.into();
        }
        let formats = encoding_formats(name);
        match self.version {
            // Any number of formats, the special one first.
            Version::V1_1 => one_or_all(formats.into_iter().map(Value::from)).unwrap_or_default(),
            // One. Readers unpack gzip by what they see of the bytes, and know no Zstandard.
            Version::V1_0 => formats
                .iter()
                .find(|format| matches!(**format, "application/zstd" | "text/plain"))
                .or(formats.first())
                .map(|format| Value::from(*format))
                .unwrap_or_default(),
        }
    }

    /// Where records that lie in some files come from; `None` where they lie in none.
    fn origin(&mut self, names: &'a [String], ids: &mut Ids) -> Option<Origin> {
        let first = names.first()?;
        let is_json = {
            let given = self.files.iter().find(|file| file.name == *first);
            match given.and_then(|file| file.encoding_format.as_deref()) {
                Some(format) => format == "application/json",
                None => encoding_formats(first).first() == Some(&"application/json"),
            }
        };
        let names: BTreeSet<&'a str> = names.iter().map(String::as_str).collect();
        let single = match names.len() {
            1 => self.single.get(&**first).cloned(),
            _ => None,
        };
        // A path that is written otherwise as an address is not found by readers who take it for a path. A pattern is.
        let is_readable = self
            .files
            .iter()
            .any(|file| file.name == *first && file.content_url.is_some())
            || path_as_url(first) == **first;
        match single {
            Some(id) if is_readable => Some(Origin {
                kind: "fileObject",
                id,
                is_json,
            }),
            _ => Some(Origin {
                kind: "fileSet",
                id: self.add_set(names, ids),
                is_json,
            }),
        }
    }
}

/// The end of a name from its dot on, with that of its packing: `.jsonl.gz`.
fn ending(name: &str) -> &str {
    let file = name.rsplit('/').next().unwrap_or(name);
    let lower = file.to_ascii_lowercase();
    let n_packing = [".gz", ".zst"]
        .iter()
        .find(|end| lower.ends_with(*end))
        .map_or(0, |end| end.len());
    let whole = &file[..file.len() - n_packing];
    match whole.rfind('.') {
        Some(at) if at > 0 => &file[at..],
        _ => &file[whole.len()..],
    }
}

fn common_folder(names: &BTreeSet<&str>) -> String {
    let mut folders = names
        .iter()
        .map(|name| name.rsplit_once('/').map_or("", |(folder, _)| folder));
    let mut common: Vec<&str> = folders
        .next()
        .map(|folder| folder.split('/').filter(|step| !step.is_empty()).collect())
        .unwrap_or_default();
    for folder in folders {
        let n_alike = folder
            .split('/')
            .zip(&common)
            .take_while(|(step, alike)| step == *alike)
            .count();
        common.truncate(n_alike);
    }
    common.join("/")
}

/// A path in which no sign is one of a pattern.
fn escaped(path: &str) -> String {
    let mut pattern = String::with_capacity(path.len());
    for sign in path.chars() {
        if matches!(sign, '*' | '?' | '[') {
            pattern.extend(['[', sign, ']']);
        } else {
            pattern.push(sign);
        }
    }
    pattern
}

/// A path as a relative address, RFC 3986.
fn path_as_url(path: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=@".contains(&byte);
    if path.bytes().all(is_plain) {
        return Cow::Borrowed(path);
    }
    let mut url = String::with_capacity(path.len() + 8);
    for byte in path.bytes() {
        if is_plain(byte) {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    Cow::Owned(url)
}

fn record_set_value<'a>(
    record_set: &'a RecordSetDescription,
    resources: &mut Resources<'a>,
    ids: &mut Ids,
    version: Version,
) -> Value {
    let id = ids.of(&id_step(&record_set.name));
    let origin = resources.origin(&record_set.files, ids);
    let name = name_or_id(&record_set.name, &id);
    let mut value = json!({"@type": "cr:RecordSet", "@id": id, "name": name});
    if let Some(description) = &record_set.description {
        value["description"] = description.as_str().into();
    }
    let fields: Vec<(&str, Value)> = named(&record_set.fields)
        .map(|field| {
            let writer = FieldWriter {
                origin: origin.as_ref(),
                version,
                column: field,
            };
            (&*field.name, writer.value(field, &id, &mut Vec::new(), ids))
        })
        .collect();
    let key = record_set.key.iter().filter_map(|name| {
        let (_, field) = fields.iter().find(|(known, _)| known == name)?;
        Some(json!({"@id": field["@id"]}))
    });
    if let Some(key) = one_or_all(key) {
        value["key"] = key;
    }
    value["field"] = fields.into_iter().map(|(_, field)| field).collect();
    value
}

/// Fields that have a name: others cannot be asked for.
fn named(fields: &[FieldDescription]) -> impl Iterator<Item = &FieldDescription> {
    fields.iter().filter(|field| !field.name.trim().is_empty())
}

/// Writes a field of a record and those within it.
struct FieldWriter<'a> {
    origin: Option<&'a Origin>,
    version: Version,
    /// That which they all lie in.
    column: &'a FieldDescription,
}

impl FieldWriter<'_> {
    /// `steps` leads from the column to what the field lies in.
    fn value<'f>(
        &self,
        field: &'f FieldDescription,
        parent_id: &str,
        steps: &mut Vec<&'f str>,
        ids: &mut Ids,
    ) -> Value {
        let id = ids.of(&format!("{parent_id}/{}", id_step(&field.name)));
        let mut value = json!({"@type": "cr:Field", "@id": id, "name": field.name});
        let description = match (&field.description, field.is_optional) {
            (Some(description), true) => Some(format!("{description} Some records lack it.")),
            (Some(description), false) => Some(description.clone()),
            (None, true) => Some("Some records lack it.".to_owned()),
            (None, false) => None,
        };
        if let Some(description) = description {
            value["description"] = description.into();
        }
        if let Some(data_type) = field.data_type.filter(|_| field.sub_fields.is_empty()) {
            value["dataType"] = data_type.class().into();
        }
        if field.n_dimensions > 0 {
            match self.version {
                Version::V1_0 => value["repeated"] = true.into(),
                Version::V1_1 => {
                    value["isArray"] = true.into();
                    value["arrayShape"] = vec!["-1"; field.n_dimensions].join(",").into();
                }
            }
        }
        // A field that others lie in takes the whole value, which they take theirs from.
        if (field.sub_fields.is_empty() || steps.is_empty())
            && let Some(source) = self.source(field, steps)
        {
            value["source"] = source;
        }
        if field.sub_fields.is_empty() {
            return value;
        }
        let sub_fields = named(&field.sub_fields).map(|sub_field| {
            steps.push(&sub_field.name);
            let value = self.value(sub_field, &id, steps, ids);
            steps.pop();
            value
        });
        value["subField"] = sub_fields.collect();
        value
    }

    fn source(&self, field: &FieldDescription, steps: &[&str]) -> Option<Value> {
        let origin = self.origin?;
        let mut source = json!({origin.kind: {"@id": origin.id}});
        let property = match field.part {
            Part::Value => None,
            Part::Content => Some("content"),
            Part::Lines => Some("lines"),
            Part::FileName => Some("filename"),
            Part::FullPath => Some("fullpath"),
        };
        if let Some(property) = property {
            source["extract"] = json!({"fileProperty": property});
        } else {
            source["extract"] = if origin.is_json {
                // A list of records, as files of JSON that hold records are.
                let mut path = "$[*]".to_owned();
                push_step(&mut path, &self.column.name);
                json!({"jsonPath": path})
            } else {
                json!({"column": self.column.name})
            };
            if !steps.is_empty() {
                let mut path = String::new();
                for name in steps {
                    push_step(&mut path, name);
                }
                source["transform"] = json!({"jsonPath": path.trim_start_matches('.')});
            }
        }
        Some(source)
    }
}

/// Adds a name to a path into JSON.
fn push_step(path: &mut String, name: &str) {
    let is_plain = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_plain {
        path.push('.');
        path.push_str(name);
    } else {
        path.push_str("['");
        path.push_str(&name.replace('\\', "\\\\").replace('\'', "\\'"));
        path.push_str("']");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_addresses_and_unique() {
        let mut ids = Ids::default();
        assert_eq!(ids.of("a b:c"), "a_b_c");
        assert_eq!(ids.of("a b:c"), "a_b_c-2");
        assert_eq!(ids.of("../x//y"), "__/x/y");
        assert_eq!(ids.of(" /"), "_");
        assert_eq!(ids.of(""), "unnamed");
        assert_eq!(ids.of("größe.csv"), "größe.csv");
    }

    #[test]
    fn a_blank_name_gives_way_to_the_identifier() {
        assert_eq!(name_or_id("\u{2000}", "_"), "_");
        assert_eq!(name_or_id("", "unnamed"), "unnamed");
        assert_eq!(name_or_id(" a", "_a"), " a");
    }

    #[test]
    fn patterns_match_their_files_alone() {
        let files: Vec<FileDescription> = ["a/1.csv", "a/2.csv", "a/b/3.csv", "x[1].csv"]
            .map(|name| FileDescription {
                name: name.to_owned(),
                ..FileDescription::default()
            })
            .into();
        let resources = Resources::new(&files, Version::V1_1);
        let patterns =
            |names: &[&'static str]| resources.patterns(&names.iter().copied().collect());
        // A star that also stands for `/` would take `a/b/3.csv`.
        assert_eq!(patterns(&["a/1.csv", "a/2.csv"]), ["a/1.csv", "a/2.csv"]);
        assert_eq!(
            patterns(&["a/1.csv", "a/2.csv", "a/b/3.csv"]),
            ["a/*.csv", "a/b/*.csv"]
        );
        assert_eq!(patterns(&["x[1].csv"]), ["x[[]1].csv"]);
    }

    #[test]
    fn ends_of_names_hold_their_packing() {
        assert_eq!(ending("a/b.jsonl.gz"), ".jsonl.gz");
        assert_eq!(ending("a.b/c"), "");
        assert_eq!(ending("x.gz"), ".gz");
        assert_eq!(ending(".hidden"), "");
        assert_eq!(ending("Ü.ZST"), ".ZST");
    }
}
