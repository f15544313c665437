//! Sets of records, their fields, and where the values come from.

use std::collections::HashSet;

use super::super::context::{At, Vocabulary};
use super::super::{Version, forms};
use super::{Checker, DEPTH_MAX, Kind, shown};

/// Types of a single value that every reader knows.
const ATOMIC: [&str; 9] = [
    "Boolean", "Date", "DateTime", "Float", "Integer", "Number", "Text", "Time", "URL",
];

/// Types of the content of a file.
const MEDIA: [&str; 4] = ["AudioObject", "GeoShape", "ImageObject", "VideoObject"];

/// Other classes of schema.org that are used as types of fields and of sets of records.
const SEMANTIC: [&str; 28] = [
    "Airport",
    "Article",
    "Book",
    "City",
    "Country",
    "CreativeWork",
    "DefinedTerm",
    "Enumeration",
    "Event",
    "GeoCoordinates",
    "ItemList",
    "Language",
    "MediaObject",
    "Message",
    "Movie",
    "Organization",
    "Person",
    "Place",
    "PostalAddress",
    "Product",
    "PropertyValue",
    "QuantitativeValue",
    "Question",
    "Answer",
    "Review",
    "StructuredValue",
    "Thing",
    "Comment",
];

/// Types of the vocabulary itself: those of the specification, and the numbers of a width that its reference reader knows.
const OWN: [&str; 20] = [
    "BoundingBox",
    "Float16",
    "Float32",
    "Float64",
    "Int16",
    "Int32",
    "Int64",
    "Int8",
    "Label",
    "RecordSet",
    "SegmentationMask",
    "Split",
    "TestSplit",
    "TrainingSplit",
    "UInt16",
    "UInt32",
    "UInt64",
    "UInt8",
    "ValidationSplit",
    "Field",
];

const FILE_PROPERTIES: [&str; 5] = ["fullpath", "filename", "content", "lines", "lineNumbers"];

/// What a transformation does to a text. Those from `format` on are in none of the lists of the specification, but in its context or
/// its examples, and the reference reader has them.
const OF_TEXT: [&str; 8] = [
    "delimiter",
    "separator",
    "regex",
    "jsonQuery",
    "format",
    "jsonPath",
    "replace",
    "samplingRate",
];

/// A field whose identifier has been remembered.
struct Named<'a> {
    at: At<'a>,
    id: Option<&'a str>,
    within: Vec<Named<'a>>,
    is_annotation: bool,
}

impl<'a> Checker<'a> {
    pub(super) fn record_sets(&mut self, at: &At<'a>) {
        let mut named = Vec::new();
        for record_set in at.all("recordSet") {
            if !record_set.value.is_object() {
                let required = format!("has to be a cr:RecordSet, not {}", shown(record_set.value));
                self.error(&record_set.path, "recordSet", required);
                continue;
            }
            self.class(&record_set, Kind::RecordSet);
            let id = self.name_part(&record_set, Kind::RecordSet);
            let fields = self.name_fields(&record_set, "field", 0);
            let annotations = self.name_fields(&record_set, "annotation", 0);
            named.push((record_set, id, fields, annotations));
        }
        for (record_set, id, fields, annotations) in &named {
            self.record_set(record_set, *id, fields, annotations);
        }
    }

    /// Remembers the identifiers of fields, before any reference to them is looked up.
    fn name_fields(&mut self, at: &At<'a>, property: &str, depth: usize) -> Vec<Named<'a>> {
        let mut named = Vec::new();
        for field in at.all(property) {
            if !field.value.is_object() {
                let required = format!("has to be a cr:Field, not {}", shown(field.value));
                self.error(&field.path, property, required);
                continue;
            }
            if depth == DEPTH_MAX {
                self.error(
                    &field.path,
                    property,
                    "lies too deep for anybody to read it",
                );
                continue;
            }
            let is_annotation = property == "annotation";
            // Annotations are written without a class and an identifier in the specification itself.
            if !is_annotation || field.get("@type").is_some() {
                self.class(&field, Kind::Field);
            }
            let id = if is_annotation && field.get("@id").is_none() {
                None
            } else {
                self.name_part(&field, Kind::Field)
            };
            let mut within = self.name_fields(&field, "subField", depth + 1);
            within.extend(self.name_fields(&field, "annotation", depth + 1));
            named.push(Named {
                at: field,
                id,
                within,
                is_annotation,
            });
        }
        named
    }

    fn record_set(
        &mut self,
        at: &At<'a>,
        id: Option<&'a str>,
        fields: &[Named<'a>],
        annotations: &[Named<'a>],
    ) {
        self.one_in_languages(at, "name");
        self.one_in_languages(at, "description");
        if at.all("field").is_empty() {
            let required = "a set of records says what fields they have";
            self.warning(&at.path, "field", required);
        }
        let types = self.types(at);
        let is_enumeration = types.contains(&(Vocabulary::SchemaOrg, "Enumeration".to_owned()));
        let has_data = at.get("data").is_some();
        for field in fields.iter().chain(annotations) {
            self.field(field, has_data);
            if let (Some(field), Some(id)) = (field.id, id) {
                // A record set that its own fields come from is a circle as well.
                self.edges.push((id, field, at.path.clone(), "field"));
            }
        }
        self.key(at, fields, is_enumeration);
        if is_enumeration {
            self.enumeration(at, fields);
        }
        self.data(at, fields);
    }

    fn key(&mut self, at: &At<'a>, fields: &[Named<'a>], is_enumeration: bool) {
        let keys = at.all("key");
        if keys.is_empty() && is_enumeration {
            self.error(&at.path, "key", "an enumeration has to have a key");
        }
        let mut own = HashSet::new();
        note_ids(fields, &mut own);
        for key in keys {
            // The introduction of the specification writes `hash` for `images/hash`.
            let short = key.text().or_else(|| key.id()).and_then(|name| {
                let is_short_of = |id: &&str| id.rsplit('/').next() == Some(name);
                let is_known = self.parts.contains_key(name);
                fields
                    .iter()
                    .filter_map(|field| field.id)
                    .find(is_short_of)
                    .filter(|_| !is_known)
            });
            if let Some(id) = short {
                self.warning(&key.path, "key", format!("is written `{id}`"));
                continue;
            }
            if let Some(id) = self.reference(&key, "key", &[Kind::Field])
                && !own.contains(id)
            {
                let required = format!("has to be a field of this set of records, not `{id}`");
                self.error(&key.path, "key", required);
            }
        }
    }

    fn enumeration(&mut self, at: &At<'a>, fields: &[Named<'a>]) {
        let stands_for = |field: &Named, property: &str| {
            let end = field.id.and_then(|id| id.rsplit(['/', '#']).next());
            let means = |name: &str| {
                field.at.all(name).iter().any(|value| {
                    value
                        .text()
                        .and_then(|text| field.at.context.known(text))
                        .is_some_and(|(of, name)| of == Vocabulary::SchemaOrg && name == property)
                })
            };
            end == Some(property)
                || field
                    .at
                    .get("name")
                    .is_some_and(|name| name.text() == Some(property))
                || means("equivalentProperty")
                || means("dataType")
        };
        if !fields.iter().any(|field| stands_for(field, "name")) {
            self.error(
                &at.path,
                "field",
                "an enumeration has to have a field `name`",
            );
        }
        if !fields.iter().any(|field| stands_for(field, "url")) {
            let required = "an enumeration is recommended to have a field `url`";
            self.warning(&at.path, "field", required);
        }
    }

    /// Records that stand in the datasheet.
    fn data(&mut self, at: &At<'a>, fields: &[Named<'a>]) {
        let mut known = HashSet::new();
        note_ids(fields, &mut known);
        for property in ["data", "examples"] {
            let Some(records) = at.get(property) else {
                continue;
            };
            if property == "data" && records.value.as_array().is_some_and(Vec::is_empty) {
                self.error(&records.path, property, "is empty");
            }
            for record in records.each() {
                let Some(object) = record.value.as_object() else {
                    // Examples may be elsewhere.
                    if property == "data" || !record.value.is_string() {
                        let required =
                            format!("a record has to be an object, not {}", shown(record.value));
                        self.error(&record.path, property, required);
                    }
                    continue;
                };
                let refers =
                    property == "examples" && object.keys().any(|key| key.starts_with('@'));
                if refers {
                    continue;
                }
                for key in object.keys().filter(|key| !known.contains(key.as_str())) {
                    let required = format!("`{key}` is the identifier of no field of the records");
                    let path = record.within(key, record.value).path;
                    if property == "data" {
                        self.error(&path, property, required);
                    } else {
                        self.warning(&path, property, required);
                    }
                }
                if property == "data" {
                    let lacks = fields
                        .iter()
                        .filter_map(|field| field.id)
                        .filter(|id| !object.contains_key(*id));
                    for id in lacks.collect::<Vec<_>>() {
                        let required = format!("the record has no value of `{id}`");
                        self.warning(&record.path, property, required);
                    }
                }
            }
        }
    }

    fn field(&mut self, field: &Named<'a>, has_data: bool) {
        let at = &field.at;
        if self.one_in_languages(at, "name").is_none() && !field.is_annotation {
            self.warning(&at.path, "name", "each field has a name");
        }
        self.one_in_languages(at, "description");
        let types = self.types(at);
        let has_sub_fields = at.get("subField").is_some();
        let has_source = at.get("source").is_some();
        let has_value = at.get("value").is_some();
        let refers = at.get("references").is_some();
        if types.is_empty() && at.all("dataType").is_empty() && !has_sub_fields {
            let comes_from_field = at.get("source").is_some_and(|source| {
                source.get("field").is_some() || source.id().is_some() || source.text().is_some()
            });
            if !refers && !comes_from_field {
                self.warning(&at.path, "dataType", "each field has a type");
            }
        }
        self.array(at);
        if has_source && has_value {
            let required = "a field has a source or a value, not both";
            self.error(&at.path, "value", required);
        }
        if !has_source && !has_value && !has_sub_fields && !has_data && !field.is_annotation {
            let required = "a field has to have a source or a value";
            self.error(&at.path, "source", required);
        }
        if let Some(source) = self.one(at, "source") {
            self.source(&source, field.id);
        }
        for target in at.all("references") {
            self.references(&target, field.id);
        }
        for parent in at.all("parentField") {
            for target in parent.all("references") {
                self.references(&target, None);
            }
            if let Some(source) = parent.get("source") {
                self.source(&source, None);
            }
        }
        for (value, text) in self.texts(at, "equivalentProperty") {
            if !forms::is_free_of_spaces(text) || text.is_empty() {
                let required = format!("has to be an address, not {}", shown(value.value));
                self.error(&value.path, "equivalentProperty", required);
            }
        }
        for inner in &field.within {
            self.field(inner, has_data);
        }
    }

    fn array(&mut self, at: &At<'a>) {
        let repeated = self.one_boolean(at, "repeated");
        let is_array = self.one_boolean(at, "isArray");
        match self.version {
            Version::V1_1 if repeated.is_some() => {
                let path = at.get("repeated").map_or_else(String::new, |at| at.path);
                self.warning(&path, "repeated", "is written `isArray` since version 1.1");
            }
            Version::V1_0 if is_array.is_some() => {
                let path = at.get("isArray").map_or_else(String::new, |at| at.path);
                self.warning(&path, "isArray", "is written `repeated` in version 1.0");
            }
            _ => {}
        }
        if let Some((value, shape)) = self.one_text(at, "arrayShape") {
            if is_array != Some(true) {
                let required = "is for an array: `isArray` has to be true";
                self.error(&value.path, "arrayShape", required);
            }
            if forms::array_shape(shape).is_none() {
                let required = format!(
                    "has to be lengths parted by commas, `-1,3`, not {}",
                    shown(value.value)
                );
                self.error(&value.path, "arrayShape", required);
            }
        }
    }

    /// The types of a field or a set of records.
    fn types(&mut self, at: &At<'a>) -> Vec<(Vocabulary, String)> {
        let mut known = Vec::new();
        let mut n_others = 0;
        for value in at.all("dataType") {
            // Also a term that is described there.
            let Some(name) = value.text().or_else(|| value.id()) else {
                if value.get("@type").is_none() {
                    let required = format!("has to be a type, not {}", shown(value.value));
                    self.error(&value.path, "dataType", required);
                }
                n_others += 1;
                continue;
            };
            match at.context.known(name) {
                Some((Vocabulary::Croissant, class)) => {
                    if !OWN.contains(&&*class) {
                        let required = format!("the vocabulary has no type `{name}`");
                        self.error(&value.path, "dataType", required);
                    }
                    known.push((Vocabulary::Croissant, class.into_owned()));
                }
                Some((Vocabulary::SchemaOrg, class)) => {
                    let is_property = class.starts_with(|first: char| first.is_ascii_lowercase());
                    let is_known = [&ATOMIC[..], &MEDIA, &SEMANTIC]
                        .iter()
                        .any(|classes| classes.contains(&&*class));
                    if !is_known && !is_property {
                        let required = format!(
                            "`{name}` is no type that readers know; they know sc:{}",
                            ATOMIC.join(", sc:")
                        );
                        self.warning(&value.path, "dataType", required);
                    }
                    known.push((Vocabulary::SchemaOrg, class.into_owned()));
                }
                Some(_) => n_others += 1,
                None if forms::is_url(name) && at.context.expand(name).is_some() => n_others += 1,
                // `wd` is among the namespaces of the specification.
                None if name.starts_with("wd:") || name.starts_with("wdt:") => n_others += 1,
                None if !at.context.is_whole => n_others += 1,
                None => {
                    let required = match name.split_once(':') {
                        Some((prefix, _)) => {
                            format!(
                                "the prefix `{prefix}` of {} is not in the context",
                                shown(value.value)
                            )
                        }
                        None => format!("{} is no type", shown(value.value)),
                    };
                    self.error(&value.path, "dataType", required);
                    n_others += 1;
                }
            }
        }
        let can_be_read = known.iter().any(|(_, class)| {
            ATOMIC.contains(&&**class) || MEDIA.contains(&&**class) || is_number(class)
        });
        let is_field = at.is_a(Vocabulary::Croissant, "Field");
        if known.len() + n_others > 1
            && !can_be_read
            && is_field
            && at.get("subField").is_none()
            && !known.iter().any(|(_, class)| class == "BoundingBox")
        {
            let path = at.get("dataType").map_or_else(String::new, |at| at.path);
            let required = "one of several types has to be that of a single value, `sc:Text`";
            self.error(&path, "dataType", required);
        }
        known
    }

    /// Where the values of a field come from.
    fn source(&mut self, at: &At<'a>, id: Option<&'a str>) {
        let is_plain_reference = at.text().is_some()
            || (at.id().is_some() && at.value.as_object().is_some_and(|object| object.len() == 1));
        if !is_plain_reference {
            self.source_of(at, id, "source");
            return;
        }
        let kinds = [
            Kind::Field,
            Kind::FileObject,
            Kind::FileSet,
            Kind::RecordSet,
        ];
        if let (Some(target), Some(id)) = (self.reference(at, "source", &kinds), id) {
            self.edges.push((id, target, at.path.clone(), "source"));
        }
    }

    /// A source with what is taken of it and how it is changed.
    pub(super) fn source_of(&mut self, at: &At<'a>, id: Option<&'a str>, property: &'static str) {
        if !at.value.is_object() {
            let required = format!("has to be a source, not {}", shown(at.value));
            self.error(&at.path, property, required);
            return;
        }
        let origins = [
            ("fileObject", Kind::FileObject),
            ("fileSet", Kind::FileSet),
            ("recordSet", Kind::RecordSet),
            ("field", Kind::Field),
        ];
        let mut n_origins = 0;
        let mut is_of_files = false;
        for (origin, kind) in origins {
            let Some(target) = self.one(at, origin) else {
                continue;
            };
            n_origins += 1;
            is_of_files |= matches!(kind, Kind::FileObject | Kind::FileSet);
            if let (Some(to), Some(from)) = (self.reference(&target, origin, &[kind]), id) {
                self.edges.push((from, to, target.path, property));
            }
        }
        if n_origins != 1 {
            let required = format!(
                "has to have one of fileObject, fileSet, recordSet and field, not {n_origins}"
            );
            self.error(&at.path, property, required);
        }
        if let Some(extract) = self.one(at, "extract") {
            self.extract(&extract);
        } else if is_of_files && property == "source" && at.get("transform").is_none() {
            let required = "says what of the file the value is: a column, a path or a property";
            self.warning(&at.path, "extract", required);
        }
        for transform in at.all("transform") {
            self.transform(&transform);
        }
        if let Some((value, "")) = self.one_text(at, "format") {
            self.error(&value.path, "format", "is empty");
        }
    }

    fn extract(&mut self, at: &At<'a>) {
        if !at.value.is_object() {
            let required = format!("has to be an object, not {}", shown(at.value));
            self.error(&at.path, "extract", required);
            return;
        }
        let mut n_ways = 0;
        if at.get("column").is_some() {
            n_ways += 1;
            if let Some((value, "")) = self.one_text(at, "column") {
                self.error(&value.path, "column", "is empty");
            }
        }
        if at.get("fileProperty").is_some() {
            n_ways += 1;
            if let Some((value, name)) = self.one_text(at, "fileProperty")
                && !FILE_PROPERTIES.contains(&name)
            {
                let required = format!(
                    "has to be one of {}, not {}",
                    FILE_PROPERTIES.join(", "),
                    shown(value.value)
                );
                self.error(&value.path, "fileProperty", required);
            }
        }
        if at.get("jsonPath").is_some() {
            n_ways += 1;
            self.json_path(at, "jsonPath");
        }
        if n_ways != 1 {
            let required =
                format!("has to have one of column, jsonPath and fileProperty, not {n_ways}");
            self.error(&at.path, "extract", required);
        }
    }

    fn json_path(&mut self, at: &At<'a>, property: &str) {
        if let Some((value, path)) = self.one_text(at, property)
            && let Some(why) = forms::json_path_fault(path)
        {
            let required = format!("is no path into JSON, {why}: {}", shown(value.value));
            self.error(&value.path, property, required);
        }
    }

    fn transform(&mut self, at: &At<'a>) {
        if !at.value.is_object() {
            let required = format!("has to be an object, not {}", shown(at.value));
            self.error(&at.path, "transform", required);
            return;
        }
        let ways: Vec<&str> = OF_TEXT
            .into_iter()
            .filter(|way| at.get(way).is_some())
            .collect();
        let n_of_files = ["readLines", "unArchive"]
            .into_iter()
            .filter(|way| self.one_boolean(at, way).is_some() || at.get(way).is_some())
            .count();
        if ways.is_empty() && n_of_files == 0 {
            let required = "has to have one of separator, regex, readLines and unArchive";
            self.error(&at.path, "transform", required);
        }
        if ways.len() > 1 {
            let required = format!(
                "one change at a time, as their order is not said: {}",
                ways.join(", ")
            );
            self.warning(&at.path, "transform", required);
        }
        for way in ways {
            match way {
                "regex" => self.regex(at),
                "jsonPath" => self.json_path(at, way),
                "samplingRate" => {
                    if let Some(value) = self.one(at, way)
                        && !value.plain().is_u64()
                    {
                        let required = format!("has to be a number, not {}", shown(value.value));
                        self.error(&value.path, way, required);
                    }
                }
                _ => {
                    if let Some((value, "")) = self.one_text(at, way) {
                        self.error(&value.path, way, "is empty");
                    }
                }
            }
        }
    }

    fn regex(&mut self, at: &At<'a>) {
        let Some((value, pattern)) = self.one_text(at, "regex") else {
            return;
        };
        match fancy_regex::Regex::new(pattern) {
            Ok(regex) => {
                let n_groups = regex.captures_len() - 1;
                if n_groups != 1 {
                    let required = format!("one group is the value that it finds, not {n_groups}");
                    self.warning(&value.path, "regex", required);
                }
            }
            Err(error) => {
                let required = format!("does not compile: {}", first_line(&error.to_string()));
                self.error(&value.path, "regex", required);
            }
        }
    }

    /// The field whose values these are.
    fn references(&mut self, at: &At<'a>, id: Option<&'a str>) {
        // As a source: older files name the field within, or a column of a file.
        let is_source = ["field", "fileObject", "fileSet", "recordSet"]
            .iter()
            .any(|property| at.get(property).is_some());
        if is_source {
            self.source_of(at, None, "references");
            return;
        }
        let target = self.reference(at, "references", &[Kind::Field]);
        if target.is_some() && target == id {
            self.error(&at.path, "references", "is the field itself");
        }
    }
}

fn note_ids<'a>(fields: &[Named<'a>], ids: &mut HashSet<&'a str>) {
    for field in fields {
        ids.extend(field.id);
        note_ids(&field.within, ids);
    }
}

fn is_number(class: &str) -> bool {
    class
        .trim_start_matches('U')
        .strip_prefix("Int")
        .or_else(|| class.strip_prefix("Float"))
        .is_some_and(|width| matches!(width, "8" | "16" | "32" | "64"))
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
