//! Datasheets: what is written passes the check and the reference reader, and what is wrong is found.

#![allow(clippy::print_stdout, reason = "a test that is skipped says so")]

use std::path::Path;
use std::process::Command;

use outlay_audit::croissant::{
    Agent, AgentKind, Columns, CroissantFault, DataType, Description, FILE_OBJECTS_MAX,
    FieldDescription, FileDescription, Part, Rai, RecordSetDescription, Severity, Version, check,
    croissant,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

fn errors(sheet: &Value) -> Vec<CroissantFault> {
    let mut faults = check(sheet);
    faults.retain(|fault| fault.severity == Severity::Error);
    faults
}

fn file(name: &str, bytes: &[u8]) -> FileDescription {
    let sha256 = Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    FileDescription {
        name: name.to_owned(),
        n_bytes: Some(bytes.len() as u64),
        sha256: Some(sha256),
        ..FileDescription::default()
    }
}

/// All that can be said of a data set, without its files.
fn description() -> Description {
    let some = |text: &str| Some(text.to_owned());
    let all = |text: &str| vec![text.to_owned()];
    Description {
        name: "birds".to_owned(),
        description: some("Birds at feeders."),
        licence: some("cc-by-4.0"),
        creators: vec![
            Agent {
                kind: AgentKind::Person,
                name: "Ada".to_owned(),
                url: some("https://example.org/ada"),
                email: some("ada@example.org"),
            },
            Agent {
                kind: AgentKind::Organisation,
                name: "Bird Society".to_owned(),
                url: None,
                email: None,
            },
        ],
        publisher: Some(Agent {
            kind: AgentKind::Organisation,
            name: "Bird Society".to_owned(),
            url: None,
            email: None,
        }),
        date_published: some("2026-05-01"),
        date_created: some("2025-01-01"),
        date_modified: some("2026-05-02T10:00:00Z"),
        version: some("1.2.0"),
        url: some("https://example.org/birds"),
        citation: some("@misc{birds}"),
        keywords: vec!["birds".to_owned(), "feeders".to_owned()],
        in_language: all("en"),
        same_as: all("https://example.org/mirror"),
        datasheet_licence: some("CC0-1.0"),
        is_live: Some(false),
        files: Vec::new(),
        record_sets: Vec::new(),
        rai: Rai {
            data_collection: some("Seen at feeders."),
            data_collection_missing_data: some("Nights."),
            data_collection_raw_data: some("Photographs."),
            data_imputation_protocol: some("None."),
            data_manipulation_protocol: some("None."),
            data_annotation_protocol: some("Two people each."),
            data_social_impact: some("Small."),
            annotations_per_item: some("2"),
            data_collection_type: all("Direct measurement"),
            data_collection_timeframe: vec!["2025-01-01".to_owned(), "2025-12-31".to_owned()],
            data_preprocessing_protocol: all("Cropped."),
            data_annotation_platform: all("Paper."),
            data_annotation_analysis: all("They agreed."),
            data_release_maintenance_plan: all("Each year."),
            personal_sensitive_information: vec![
                "12 e-mail addresses were found.".to_owned(),
                "No telephone numbers were found.".to_owned(),
            ],
            data_biases: all("Few owls."),
            data_limitations: all("Feeders only."),
            data_use_cases: all("Training."),
            annotator_demographics: all("Members of the society."),
            machine_annotation_tools: all("None."),
        },
    }
}

/// A small data set with one file of each kind, its bytes, and what is known of it.
fn kinds() -> (Vec<(&'static str, Vec<u8>)>, Description) {
    use std::io::Write;
    let jsonl = concat!(
        r#"{"id": 1, "text": "a tit", "seen": "2025-03-01", "tags": ["blue", "small"], "box": [[0.5, 1.0], [2.0, 3.0]], "answers": [{"text": "tit", "start": 2}, {"text": "it", "start": 3}], "place": {"town": "Ulm", "high-up": true}}"#,
        "\n",
        r#"{"id": 2, "text": "größe 鳥", "seen": "2025-03-02", "tags": [], "box": [[1.5, 1.0]], "answers": [], "place": {"town": "Bonn", "high-up": false}, "note": "late"}"#,
        "\n",
    );
    let csv = "name,n,share,is_owl,page\ntit,3,0.5,False,https://example.org/t\nowl,12,1.25,True,https://example.org/o\n";
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(b"{\"id\": 7, \"text\": \"packed\"}\n")
        .unwrap();
    let files: Vec<(&str, Vec<u8>)> = vec![
        ("birds.jsonl", jsonl.into()),
        ("tables/counts.csv", csv.into()),
        ("tables/counts.tsv", csv.replace(',', "\t").into()),
        ("more.jsonl.gz", gzip.finish().unwrap()),
        (
            "all.json",
            br#"[{"a": 1, "b c": {"d": "x"}}, {"a": 2, "b c": {"d": "y"}}]"#.into(),
        ),
        ("texts/one.txt", "A tit.\nAn owl.\n".into()),
        ("texts/two.txt", "No bird.".into()),
        ("with space/rows 1.csv", "x\n4\n".into()),
        ("notes.md", "# Birds".into()),
        ("packed.csv.zst", vec![0x28, 0xb5, 0x2f, 0xfd]),
        ("pictures/tit.png", PNG.into()),
    ];
    let of_records = |lines: &str| {
        let mut columns = Columns::default();
        for line in lines.lines() {
            columns.add(
                serde_json::from_str::<Value>(line)
                    .unwrap()
                    .as_object()
                    .unwrap(),
            );
        }
        columns.fields()
    };
    let of_rows = |table: &str| {
        let mut columns = Columns::default();
        let mut lines = table
            .lines()
            .map(|line| line.split(',').collect::<Vec<_>>());
        let names = lines.next().unwrap();
        for cells in lines {
            columns.add_row(&names, cells);
        }
        columns.fields()
    };
    let part = |name: &str, data_type, part| FieldDescription {
        part,
        ..FieldDescription::new(name, data_type)
    };
    let record_set = |name: &str, key: &[&str], files: &[&str], fields| RecordSetDescription {
        name: name.to_owned(),
        description: Some(format!("Records of {name}.")),
        fields,
        key: key.iter().map(|&name| name.to_owned()).collect(),
        files: files.iter().map(|&name| name.to_owned()).collect(),
    };
    let mut description = description();
    description.record_sets = vec![
        record_set("birds", &["id"], &["birds.jsonl"], of_records(jsonl)),
        record_set(
            "counts",
            &["name", "n"],
            &["tables/counts.csv"],
            of_rows(csv),
        ),
        record_set("counts", &[], &["tables/counts.tsv"], of_rows(csv)),
        record_set(
            "more",
            &[],
            &["more.jsonl.gz"],
            of_records(r#"{"id": 7, "text": "p"}"#),
        ),
        record_set(
            "all",
            &[],
            &["all.json"],
            of_records(r#"{"a": 1, "b c": {"d": "x"}}"#),
        ),
        record_set(
            "texts",
            &[],
            &["texts/one.txt", "texts/two.txt"],
            vec![
                part("content", DataType::Text, Part::Content),
                part("file name", DataType::Text, Part::FileName),
            ],
        ),
        record_set("rows", &[], &["with space/rows 1.csv"], of_rows("x\n4")),
        record_set(
            "pictures",
            &[],
            &["pictures/tit.png"],
            vec![part("picture", DataType::Image, Part::Content)],
        ),
    ];
    description.files = files
        .iter()
        .map(|(name, bytes)| file(name, bytes))
        .collect();
    (files, description)
}

/// One red pixel.
const PNG: &[u8] = &[
    0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 0x0d, b'I', b'H', b'D', b'R', 0, 0, 0,
    1, 0, 0, 0, 1, 8, 2, 0, 0, 0, 0x90, 0x77, 0x53, 0xde, 0, 0, 0, 0x0c, b'I', b'D', b'A', b'T',
    0x08, 0xd7, 0x63, 0xf8, 0xcf, 0xc0, 0, 0, 0x03, 0x01, 0x01, 0, 0x18, 0xdd, 0x8d, 0xb0, 0, 0, 0,
    0, b'I', b'E', b'N', b'D', 0xae, 0x42, 0x60, 0x82,
];

#[test]
fn all_kinds_are_written_without_a_fault() {
    let (_, description) = kinds();
    for version in [Version::V1_0, Version::V1_1] {
        let sheet = croissant(&description, version);
        let faults: Vec<String> = check(&sheet).iter().map(ToString::to_string).collect();
        assert!(faults.is_empty(), "{faults:#?}");
        assert_eq!(sheet, croissant(&description, version));
    }
    assert_eq!(description.unknown(), Vec::<String>::new());
}

#[test]
fn what_is_written_is_what_the_specification_names() {
    let (_, description) = kinds();
    let sheet = croissant(&description, Version::V1_1);
    assert_eq!(sheet["license"], "https://spdx.org/licenses/CC-BY-4.0");
    assert_eq!(
        sheet["conformsTo"],
        json!([
            "http://mlcommons.org/croissant/1.1",
            "http://mlcommons.org/croissant/RAI/1.0"
        ])
    );
    assert_eq!(
        sheet["rai:personalSensitiveInformation"][0],
        "12 e-mail addresses were found."
    );
    let by_id = |list: &str, id: &str| {
        let values = sheet[list].as_array().unwrap();
        values
            .iter()
            .find(|value| value["@id"] == id)
            .unwrap_or_else(|| panic!("{id}"))
            .clone()
    };
    let packed = by_id("distribution", "more.jsonl.gz");
    assert_eq!(
        packed["encodingFormat"],
        json!(["application/jsonlines", "application/gzip"])
    );
    assert_eq!(
        by_id("distribution", "with_space/rows_1.csv")["contentUrl"],
        "with%20space/rows%201.csv"
    );
    assert_eq!(
        by_id("distribution", "texts/txt-files")["includes"],
        "texts/*.txt"
    );
    let birds = by_id("recordSet", "birds");
    assert_eq!(birds["key"], json!({"@id": "birds/id"}));
    let field = |name: &str| {
        let fields = birds["field"].as_array().unwrap();
        fields
            .iter()
            .find(|field| field["name"] == name)
            .unwrap()
            .clone()
    };
    assert_eq!(field("id")["dataType"], "sc:Integer");
    assert_eq!(field("seen")["dataType"], "sc:Date");
    assert_eq!(field("tags")["isArray"], true);
    assert_eq!(field("box")["arrayShape"], "-1,-1");
    assert_eq!(field("note")["description"], "Some records lack it.");
    assert_eq!(
        field("answers")["subField"][0]["source"],
        json!({
            "fileObject": {"@id": "birds.jsonl"},
            "extract": {"column": "answers"},
            "transform": {"jsonPath": "text"},
        })
    );
    // The second set of that name.
    assert_eq!(
        by_id("recordSet", "counts-2")["field"][0]["@id"],
        "counts-2/name"
    );
    let old = croissant(&description, Version::V1_0);
    assert_eq!(old["recordSet"][0]["field"][3]["repeated"], true);
    assert_eq!(old["recordSet"][0]["field"][3].get("isArray"), None);
}

#[test]
fn nothing_is_invented() {
    for version in [Version::V1_0, Version::V1_1] {
        let sheet = croissant(&Description::default(), version);
        let names: Vec<&String> = sheet.as_object().unwrap().keys().collect();
        assert_eq!(names, ["@context", "@type", "conformsTo"]);
        let missing: Vec<String> = errors(&sheet)
            .into_iter()
            .map(|fault| fault.field)
            .collect();
        assert_eq!(
            missing,
            [
                "name",
                "description",
                "license",
                "url",
                "creator",
                "datePublished",
                "distribution"
            ]
        );
    }
    let licence = Some("our own".to_owned());
    let sheet = croissant(
        &Description {
            licence,
            ..Description::default()
        },
        Version::V1_1,
    );
    assert_eq!(
        sheet["license"],
        json!({"@type": "sc:CreativeWork", "name": "our own"})
    );
}

#[test]
fn many_files_become_sets() {
    let mut description = description();
    let names: Vec<String> = (0..300)
        .map(|at| format!("images/{}/{at}.jpg", at % 3))
        .chain((0..20).map(|at| format!("images/{at}.png")))
        .chain(["README.md".to_owned(), "labels.csv".to_owned()])
        .collect();
    description.files = names.iter().map(|name| file(name, b"x")).collect();
    description.record_sets = vec![RecordSetDescription {
        name: "images".to_owned(),
        fields: vec![FieldDescription {
            part: Part::Content,
            ..FieldDescription::new("image", DataType::Image)
        }],
        files: names[..300].to_vec(),
        ..RecordSetDescription::default()
    }];
    let sheet = croissant(&description, Version::V1_1);
    let resources = sheet["distribution"].as_array().unwrap();
    assert!(resources.len() <= FILE_OBJECTS_MAX);
    let ids: Vec<&str> = resources
        .iter()
        .map(|value| value["@id"].as_str().unwrap())
        .collect();
    // The fewest that have to be in a set are: the group of pictures of the other kind is listed file by file.
    assert_eq!(ids.len(), 23, "{ids:?}");
    assert_eq!(
        resources[22]["includes"],
        json!(["images/0/*.jpg", "images/1/*.jpg", "images/2/*.jpg"])
    );
    assert_eq!(
        sheet["recordSet"][0]["field"][0]["source"]["fileSet"]["@id"],
        resources[22]["@id"]
    );
    assert_eq!(check(&sheet), []);
}

/// A good datasheet by hand, with all that a check looks at.
fn good() -> Value {
    let mut sheet = croissant(&description(), Version::V1_1);
    let sha256 = "0123456789abcdef".repeat(4);
    sheet["distribution"] = json!([
        {"@type": "cr:FileObject", "@id": "all.zip", "name": "all.zip", "contentUrl": "https://example.org/all.zip",
         "encodingFormat": "application/zip", "contentSize": "12 B", "sha256": sha256},
        {"@type": "cr:FileObject", "@id": "table.csv", "contentUrl": "table.csv", "containedIn": {"@id": "all.zip"},
         "encodingFormat": "text/csv"},
        {"@type": "cr:FileSet", "@id": "pictures", "containedIn": {"@id": "all.zip"}, "includes": "*.jpg",
         "encodingFormat": "image/jpeg"},
    ]);
    sheet["recordSet"] = json!([
        {"@type": "cr:RecordSet", "@id": "splits", "name": "splits", "dataType": "sc:Enumeration",
         "key": {"@id": "splits/name"},
         "field": [
            {"@type": "cr:Field", "@id": "splits/name", "name": "name", "dataType": "sc:Text"},
            {"@type": "cr:Field", "@id": "splits/url", "name": "url", "dataType": "cr:Split"},
         ],
         "data": [{"splits/name": "train", "splits/url": "cr:TrainingSplit"}]},
        {"@type": "cr:RecordSet", "@id": "rows", "name": "rows", "key": [{"@id": "rows/id"}],
         "field": [
            {"@type": "cr:Field", "@id": "rows/id", "name": "id", "dataType": "sc:Integer",
             "source": {"fileObject": {"@id": "table.csv"}, "extract": {"column": "id"}}},
            {"@type": "cr:Field", "@id": "rows/split", "name": "split", "dataType": "sc:Text",
             "references": {"@id": "splits/name"},
             "source": {"fileSet": {"@id": "pictures"}, "extract": {"fileProperty": "fullpath"},
                        "transform": {"regex": "^(train|test)(?=/)/.*"}}},
            {"@type": "cr:Field", "@id": "rows/box", "name": "box", "dataType": "cr:BoundingBox", "isArray": true,
             "arrayShape": "4", "source": {"fileObject": {"@id": "table.csv"}, "extract": {"jsonPath": "$[*].box"}}},
            {"@type": "cr:Field", "@id": "rows/again", "name": "again", "dataType": "sc:Integer",
             "source": {"@id": "rows/id"}},
         ]},
    ]);
    sheet
}

/// Changes a value; `null` takes it away.
fn changed(path: &str, to: Value) -> Value {
    let mut sheet = good();
    let (parent, key) = path.rsplit_once('/').unwrap();
    let key = &key.replace("~1", "/");
    let parent = sheet
        .pointer_mut(parent)
        .unwrap_or_else(|| panic!("{path}"));
    match parent {
        Value::Object(object) => {
            if to.is_null() {
                assert!(object.shift_remove(key).is_some(), "{path}");
            } else {
                object.insert(key.to_owned(), to);
            }
        }
        Value::Array(values) => values[key.parse::<usize>().unwrap()] = to,
        _ => panic!("{path}"),
    }
    sheet
}

#[test]
fn each_planted_fault_is_found_alone() {
    assert_eq!(check(&good()), []);
    let none = Value::Null;
    // What is changed, to what, where the one error is, and of which property.
    let table: Vec<(&str, Value, &str, &str)> = vec![
        // Required of a data set.
        ("/@context", none.clone(), "", "@context"),
        ("/@context", json!(7), "/@context", "@context"),
        ("/@type", none.clone(), "", "@type"),
        ("/@type", json!("sc:Person"), "/@type", "@type"),
        (
            "/conformsTo",
            json!([
                "http://mlcommons.org/croissant/9",
                "http://mlcommons.org/croissant/RAI/1.0"
            ]),
            "/conformsTo",
            "conformsTo",
        ),
        ("/name", none.clone(), "", "name"),
        ("/name", json!(" "), "/name", "name"),
        ("/name", json!(7), "/name", "name"),
        ("/name", json!(["a", "b"]), "/name", "name"),
        ("/description", none.clone(), "", "description"),
        ("/license", none.clone(), "", "license"),
        ("/license", json!(7), "/license", "license"),
        (
            "/license",
            json!({"@type": "sc:CreativeWork"}),
            "/license",
            "license",
        ),
        ("/url", none.clone(), "", "url"),
        ("/url", json!("None"), "/url", "url"),
        ("/creator", none.clone(), "", "creator"),
        ("/creator", json!([]), "", "creator"),
        ("/creator", json!("Ada"), "/creator", "creator"),
        ("/creator", json!({"name": "Ada"}), "/creator", "creator"),
        ("/datePublished", none.clone(), "", "datePublished"),
        (
            "/datePublished",
            json!("May 2026"),
            "/datePublished",
            "datePublished",
        ),
        (
            "/datePublished",
            json!("2026-02-30"),
            "/datePublished",
            "datePublished",
        ),
        (
            "/datePublished",
            json!(2026),
            "/datePublished",
            "datePublished",
        ),
        // Recommended, and of the wrong form.
        ("/publisher", json!("Society"), "/publisher", "publisher"),
        (
            "/dateModified",
            json!("yesterday"),
            "/dateModified",
            "dateModified",
        ),
        ("/sameAs", json!("mirror"), "/sameAs", "sameAs"),
        ("/version", json!(true), "/version", "version"),
        (
            "/isLiveDataset",
            json!("no"),
            "/isLiveDataset",
            "isLiveDataset",
        ),
        ("/citeAs", json!(["a", "b"]), "/citeAs", "citeAs"),
        // The vocabulary of responsible use.
        (
            "/rai:dataBiases",
            json!(3),
            "/rai:dataBiases",
            "rai:dataBiases",
        ),
        (
            "/rai:dataCollectionTimeframe",
            json!(["2025", "soon"]),
            "/rai:dataCollectionTimeframe/1",
            "rai:dataCollectionTimeframe",
        ),
        (
            "/conformsTo",
            json!("http://mlcommons.org/croissant/1.1"),
            "/rai:dataCollection",
            "rai:dataCollection",
        ),
        // Names that the context does not define.
        (
            "/@context/recordSet",
            none.clone(),
            "/@context",
            "recordSet",
        ),
        (
            "/@context/column",
            json!("cr:culumn"),
            "/@context",
            "column",
        ),
        // Files.
        (
            "/distribution/0/@type",
            none.clone(),
            "/distribution/0",
            "@type",
        ),
        (
            "/distribution/0/@type",
            json!("sc:FileObject"),
            "/distribution/0/@type",
            "@type",
        ),
        (
            "/distribution/0/contentUrl",
            none.clone(),
            "/distribution/0",
            "contentUrl",
        ),
        (
            "/distribution/0/contentUrl",
            json!(""),
            "/distribution/0/contentUrl",
            "contentUrl",
        ),
        (
            "/distribution/0/encodingFormat",
            none.clone(),
            "/distribution/0",
            "encodingFormat",
        ),
        (
            "/distribution/0/encodingFormat",
            json!("zip"),
            "/distribution/0/encodingFormat",
            "encodingFormat",
        ),
        (
            "/distribution/0/sha256",
            json!("sha256"),
            "/distribution/0/sha256",
            "sha256",
        ),
        (
            "/distribution/0/md5",
            json!("abc"),
            "/distribution/0/md5",
            "md5",
        ),
        (
            "/distribution/0/contentSize",
            json!(12),
            "/distribution/0/contentSize",
            "contentSize",
        ),
        (
            "/distribution/1/containedIn/@id",
            json!("none.zip"),
            "/distribution/1/containedIn",
            "containedIn",
        ),
        (
            "/distribution/1/containedIn/@id",
            json!("table.csv"),
            "/distribution/1/containedIn",
            "containedIn",
        ),
        ("/distribution/2/containedIn", none.clone(), "", ""),
        (
            "/distribution/2/includes",
            json!(7),
            "/distribution/2/includes",
            "includes",
        ),
        // Records.
        ("/recordSet/0/key", none.clone(), "/recordSet/0", "key"),
        (
            "/recordSet/0/field/0/dataType",
            json!("cr:Splitt"),
            "/recordSet/0/field/0/dataType",
            "dataType",
        ),
        ("/recordSet/0/data", json!([]), "/recordSet/0/data", "data"),
        (
            "/recordSet/0/data/0",
            json!("train"),
            "/recordSet/0/data/0",
            "data",
        ),
        (
            "/recordSet/0/data/0/splits~1nam",
            json!("x"),
            "/recordSet/0/data/0/splits~1nam",
            "data",
        ),
        (
            "/recordSet/1/@type",
            json!("cr:Recordset"),
            "/recordSet/1/@type",
            "@type",
        ),
        (
            "/recordSet/1/key/0/@id",
            json!("rows/none"),
            "/recordSet/1/key/0",
            "key",
        ),
        (
            "/recordSet/1/key/0/@id",
            json!("splits/name"),
            "/recordSet/1/key/0",
            "key",
        ),
        (
            "/recordSet/1/field/0/source",
            none.clone(),
            "/recordSet/1/field/0",
            "source",
        ),
        (
            "/recordSet/1/field/0/value",
            json!(3),
            "/recordSet/1/field/0",
            "value",
        ),
        (
            "/recordSet/1/field/0/@type",
            none.clone(),
            "/recordSet/1/field/0",
            "@type",
        ),
        (
            "/recordSet/1/field/0/dataType",
            json!("xx:Thing"),
            "/recordSet/1/field/0/dataType",
            "dataType",
        ),
        (
            "/recordSet/1/field/0/dataType",
            json!(["wd:Q1", "wd:Q2"]),
            "/recordSet/1/field/0/dataType",
            "dataType",
        ),
        (
            "/recordSet/1/field/0/source/fileObject/@id",
            json!("pictures"),
            "/recordSet/1/field/0/source/fileObject",
            "fileObject",
        ),
        (
            "/recordSet/1/field/0/source/fileSet",
            json!({"@id": "pictures"}),
            "/recordSet/1/field/0/source",
            "source",
        ),
        (
            "/recordSet/1/field/0/source/extract",
            json!({"col": "id"}),
            "/recordSet/1/field/0/source/extract",
            "extract",
        ),
        (
            "/recordSet/1/field/0/source/extract/jsonPath",
            json!("$.a"),
            "/recordSet/1/field/0/source/extract",
            "extract",
        ),
        (
            "/recordSet/1/field/1/source/extract/fileProperty",
            json!("fullPath"),
            "/recordSet/1/field/1/source/extract/fileProperty",
            "fileProperty",
        ),
        (
            "/recordSet/1/field/1/source/transform/regex",
            json!("(a"),
            "/recordSet/1/field/1/source/transform/regex",
            "regex",
        ),
        (
            "/recordSet/1/field/1/source/transform",
            json!({}),
            "/recordSet/1/field/1/source/transform",
            "transform",
        ),
        (
            "/recordSet/1/field/1/references/@id",
            json!("splits/nam"),
            "/recordSet/1/field/1/references",
            "references",
        ),
        (
            "/recordSet/1/field/1/references/@id",
            json!("rows/split"),
            "/recordSet/1/field/1/references",
            "references",
        ),
        (
            "/recordSet/1/field/2/source/extract/jsonPath",
            json!("$[*"),
            "/recordSet/1/field/2/source/extract/jsonPath",
            "jsonPath",
        ),
        (
            "/recordSet/1/field/2/arrayShape",
            json!("four"),
            "/recordSet/1/field/2/arrayShape",
            "arrayShape",
        ),
        (
            "/recordSet/1/field/2/isArray",
            json!(false),
            "/recordSet/1/field/2/arrayShape",
            "arrayShape",
        ),
        (
            "/recordSet/1/field/3/source/@id",
            json!("rows/again"),
            "/recordSet/1/field/3/source",
            "source",
        ),
        (
            "/recordSet/1/field/3/source/@id",
            json!("rows"),
            "/recordSet/1/field/3/source",
            "source",
        ),
        (
            "/recordSet/1/field/3/@id",
            json!("rows again"),
            "/recordSet/1/field/3/@id",
            "@id",
        ),
        (
            "/recordSet/1/field/3/@id",
            json!("rows/box"),
            "/recordSet/1/field/3/@id",
            "@id",
        ),
        ("/recordSet/1", json!("rows"), "/recordSet/1", "recordSet"),
    ];
    for (path, to, at, field) in table {
        let sheet = changed(path, to.clone());
        let found: Vec<(String, String)> = errors(&sheet)
            .into_iter()
            .map(|fault| (fault.path, fault.field))
            .collect();
        if field.is_empty() {
            // No fault: the control of the table.
            assert_eq!(found, [], "{path} to {to}");
        } else {
            assert_eq!(found, [(at.to_owned(), field.to_owned())], "{path} to {to}");
        }
    }
    // What takes other faults with it.
    let of = |path: &str| errors(&changed(path, Value::Null));
    let fields = |faults: Vec<CroissantFault>| -> Vec<String> {
        faults.into_iter().map(|fault| fault.field).collect()
    };
    // Without a version there is none of the vocabulary of responsible use either.
    assert_eq!(
        fields(of("/conformsTo")),
        ["conformsTo", "rai:dataCollection"]
    );
    assert_eq!(fields(of("/distribution"))[0], "distribution");
    assert_eq!(
        fields(of("/distribution/1/@id")),
        ["@id", "fileObject", "fileObject"]
    );
    assert_eq!(
        fields(errors(&changed("/distribution/2", json!("*.jpg")))),
        ["distribution", "fileSet"]
    );
    // The key and the field that comes from it refer to nothing then.
    assert_eq!(
        fields(of("/recordSet/1/field/0/@id")),
        ["@id", "source", "key"]
    );
}

#[test]
fn what_is_recommended_is_a_warning() {
    let table: Vec<(&str, Value, &str)> = vec![
        ("/keywords", Value::Null, "keywords"),
        ("/publisher", Value::Null, "publisher"),
        ("/version", Value::Null, "version"),
        ("/version", json!("1.0"), "version"),
        ("/version", json!(2), "version"),
        ("/dateCreated", Value::Null, "dateCreated"),
        ("/dateModified", Value::Null, "dateModified"),
        ("/sameAs", Value::Null, "sameAs"),
        ("/sdLicense", Value::Null, "sdLicense"),
        ("/inLanguage", Value::Null, "inLanguage"),
        ("/inLanguage", json!("English and French"), "inLanguage"),
        ("/license", json!("mit"), "license"),
        ("/license", json!("unknown"), "license"),
        (
            "/rai:dataCollectionTimeFrame",
            json!("2025"),
            "rai:dataCollectionTimeFrame",
        ),
        (
            "/rai:dataCollectionType",
            json!("by hand"),
            "rai:dataCollectionType",
        ),
        (
            "/rai:dataSocialImpact",
            json!(["a", "b"]),
            "rai:dataSocialImpact",
        ),
        ("/distribution/0/sha256", Value::Null, "sha256"),
        ("/distribution/0/contentSize", json!("big"), "contentSize"),
        ("/distribution/1/contentUrl", json!("a b.csv"), "contentUrl"),
        ("/distribution/1/contentUrl", Value::Null, "contentUrl"),
        ("/distribution/2/includes", Value::Null, "includes"),
        ("/recordSet/1/key/0/@id", json!("id"), "key"),
        ("/recordSet/1/field/0/name", Value::Null, "name"),
        ("/recordSet/1/field/0/dataType", Value::Null, "dataType"),
        (
            "/recordSet/1/field/0/dataType",
            json!("sc:String"),
            "dataType",
        ),
        ("/recordSet/1/field/0/repeated", json!(true), "repeated"),
        (
            "/recordSet/1/field/0/source/extract",
            Value::Null,
            "extract",
        ),
        (
            "/recordSet/1/field/1/source/transform/regex",
            json!("a"),
            "regex",
        ),
        ("/recordSet/0/data/0/splits~1url", Value::Null, "data"),
    ];
    for (path, to, field) in table {
        let sheet = if path.contains('~') {
            let mut sheet = good();
            let record = sheet.pointer_mut("/recordSet/0/data/0").unwrap();
            record.as_object_mut().unwrap().shift_remove("splits/url");
            sheet
        } else {
            changed(path, to.clone())
        };
        let mut found = check(&sheet);
        // The vocabulary has no term for the repetition of 1.0 in the context of 1.1.
        found.retain(|fault| fault.path != "/@context");
        let found: Vec<(Severity, String)> = found
            .into_iter()
            .map(|fault| (fault.severity, fault.field))
            .collect();
        assert_eq!(
            found,
            [(Severity::Warning, field.to_owned())],
            "{path} to {to}"
        );
    }
}

#[test]
fn other_ways_to_write_the_same_are_read() {
    // Terms with prefixes, a list of contexts, values with their languages, and the data set in a graph.
    let mut sheet = good();
    let object = sheet.as_object_mut().unwrap();
    for (from, to) in [
        ("name", "sc:name"),
        ("recordSet", "cr:recordSet"),
        ("license", "http://schema.org/license"),
    ] {
        let value = object.shift_remove(from).unwrap();
        object.insert(to.to_owned(), value);
    }
    let context = object.shift_remove("@context").unwrap();
    object.insert("@type".to_owned(), json!(["sc:Dataset", "sc:CreativeWork"]));
    object.insert(
        "description".to_owned(),
        json!([{"@value": "a", "@language": "en"}, {"@value": "b", "@language": "de"}]),
    );
    object.insert(
        "datePublished".to_owned(),
        json!({"@value": "2026-05-01", "@type": "sc:Date"}),
    );
    let graph = json!({"@context": [context], "@graph": [{"@type": "sc:Person"}, sheet]});
    assert_eq!(check(&graph), []);
    // The other address of schema.org, which version 1.1 writes.
    let text = serde_json::to_string(&good())
        .unwrap()
        .replace("https://schema.org/", "http://schema.org/");
    assert_eq!(check(&serde_json::from_str(&text).unwrap()), []);
}

#[test]
fn circles_are_found_once() {
    let mut sheet = good();
    sheet["distribution"][0]["containedIn"] = json!({"@id": "pictures"});
    let found = errors(&sheet);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].required.contains("made of"), "{found:?}");
}

#[test]
fn a_persons_facts_go_first() {
    let toml = r#"
name = "gulls"
license = "MIT"
date_published = 2026-06-01
keywords = ["gulls"]
is_live = true
creators = [{ kind = "organization", name = "Gull Club", url = "https://example.org" }]
[rai]
data_biases = ["No terns."]
data_social_impact = "None."
"#;
    let mut known = description();
    known.rai.data_biases = vec!["Few owls.".to_owned()];
    let from_toml = known
        .clone()
        .with_about("about.toml".as_ref(), toml)
        .unwrap();
    assert_eq!(from_toml.name, "gulls");
    assert_eq!(from_toml.date_published.as_deref(), Some("2026-06-01"));
    assert_eq!(from_toml.creators[0].kind, AgentKind::Organisation);
    assert_eq!(from_toml.rai.data_biases, ["No terns.", "Few owls."]);
    assert_eq!(from_toml.rai.data_social_impact.as_deref(), Some("None."));
    assert_eq!(from_toml.version, known.version);
    let json = r#"{"name": "gulls", "licence": "MIT", "date_published": "2026-06-01", "keywords": ["gulls"], "is_live": true,
        "creators": [{"kind": "organisation", "name": "Gull Club", "url": "https://example.org"}],
        "rai": {"data_biases": ["No terns."], "data_social_impact": "None."}}"#;
    assert_eq!(
        known
            .clone()
            .with_about("about.json".as_ref(), json)
            .unwrap(),
        from_toml
    );

    let table = [
        ("nam = 'x'", "`nam`: unknown field `nam`"),
        ("name = 3", "`name`: invalid type: integer `3`"),
        ("[rai]\nbias = 'x'", "`rai.bias`: unknown field `bias`"),
        (
            "[rai]\ndata_biases = 'x'",
            "`rai.data_biases`: invalid type",
        ),
        (
            "creators = [{ name = 'x' }]",
            "`creators[0]`: missing field `kind`",
        ),
        (
            "creators = [{ kind = 'cat', name = 'x' }]",
            "`creators[0].kind`: unknown variant `cat`",
        ),
        (
            "creators = [{ kind = 'person', name = ' ' }]",
            "`creators[0].name`: is empty",
        ),
        (
            "date_created = '1 May'",
            "`date_created`: `1 May` is no date",
        ),
        ("version = '1'", "`version`: `1` is no semantic version"),
        ("url = 'example.org'", "`url`: `example.org` is no address"),
        (
            "same_as = ['https://a.b', 'x']",
            "`same_as[1]`: `x` is no address",
        ),
        (
            "in_language = ['en', 'x, y']",
            "`in_language[1]`: `x, y` is no tag",
        ),
        ("licence = ''", "`licence`: is empty"),
        (
            "[rai]\ndata_collection_timeframe = ['soon']",
            "`rai.data_collection_timeframe[0]`: `soon`",
        ),
        ("name = 'a'\nname = 'b'", "line 2: "),
    ];
    for (text, fault) in table {
        let message = known
            .clone()
            .with_about("about.toml".as_ref(), text)
            .unwrap_err()
            .to_string();
        let start = format!("`about.toml`: {fault}");
        assert!(message.starts_with(&start), "{text}: {message}");
    }
    assert!(known.with_about("about.json".as_ref(), "{").is_err());
}

/// The reference reader, <https://pypi.org/project/mlcroissant/>, 1.1.1.
#[test]
fn the_reference_reader_takes_and_reads_it() {
    let Some(python) = std::env::var_os("OUTLAY_PEERS") else {
        println!("skipped: OUTLAY_PEERS names no Python that has mlcroissant");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (files, mut description) = kinds();
    for (name, bytes) in &files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    // A Parquet file, by its own writer.
    let made = Command::new(&python)
        .args(["-c", "import sys, pandas as pd; pd.DataFrame({'id': [1, 2], 'share': [0.5, 1.5], 'words': [['a', 'b'], ['c']]}).to_parquet(sys.argv[1])"])
        .arg(folder.path().join("rows.parquet"))
        .status();
    assert!(made.unwrap().success());
    let parquet = std::fs::read(folder.path().join("rows.parquet")).unwrap();
    description.files.push(file("rows.parquet", &parquet));
    description.record_sets.push(RecordSetDescription {
        name: "parquet rows".to_owned(),
        fields: vec![
            FieldDescription::new("id", DataType::Integer),
            FieldDescription::new("share", DataType::Float),
            FieldDescription {
                n_dimensions: 1,
                ..FieldDescription::new("words", DataType::Text)
            },
        ],
        files: vec!["rows.parquet".to_owned()],
        ..RecordSetDescription::default()
    });
    for version in [Version::V1_0, Version::V1_1] {
        let path = folder.path().join("croissant.json");
        std::fs::write(&path, croissant(&description, version).to_string()).unwrap();
        let records = read_by_reference(python.as_ref(), &path);
        let expected = json!({
            "birds": [
                {"birds/id": 1, "birds/text": "a tit", "birds/seen": "2025-03-01 00:00:00", "birds/tags": ["blue", "small"],
                 "birds/box": [[0.5, 1.0], [2.0, 3.0]],
                 "birds/answers": [{"birds/answers/text": "tit", "birds/answers/start": 2}, {"birds/answers/text": "it", "birds/answers/start": 3}],
                 "birds/place": {"birds/place/town": "Ulm", "birds/place/high-up": true}, "birds/note": null},
                {"birds/id": 2, "birds/text": "größe 鳥", "birds/seen": "2025-03-02 00:00:00", "birds/tags": [],
                 "birds/box": [[1.5, 1.0]], "birds/answers": [],
                 "birds/place": {"birds/place/town": "Bonn", "birds/place/high-up": false}, "birds/note": "late"},
            ],
            "counts": [
                {"counts/name": "tit", "counts/n": 3, "counts/share": 0.5, "counts/is_owl": false, "counts/page": "https://example.org/t"},
                {"counts/name": "owl", "counts/n": 12, "counts/share": 1.25, "counts/is_owl": true, "counts/page": "https://example.org/o"},
            ],
            "counts-2": [
                {"counts-2/name": "tit", "counts-2/n": 3, "counts-2/share": 0.5, "counts-2/is_owl": false, "counts-2/page": "https://example.org/t"},
                {"counts-2/name": "owl", "counts-2/n": 12, "counts-2/share": 1.25, "counts-2/is_owl": true, "counts-2/page": "https://example.org/o"},
            ],
            "more": [{"more/id": 7, "more/text": "packed"}],
            "all": [
                {"all/a": 1, "all/b_c": {"all/b_c/d": "x"}},
                {"all/a": 2, "all/b_c": {"all/b_c/d": "y"}},
            ],
            "texts": [
                {"texts/content": "A tit.\nAn owl.\n", "texts/file_name": "one.txt"},
                {"texts/content": "No bird.", "texts/file_name": "two.txt"},
            ],
            "rows": [{"rows/x": 4}],
            "pictures": [{"pictures/picture": [1, 1]}],
            "parquet_rows": [
                {"parquet_rows/id": 1, "parquet_rows/share": 0.5, "parquet_rows/words": ["a", "b"]},
                {"parquet_rows/id": 2, "parquet_rows/share": 1.5, "parquet_rows/words": ["c"]},
            ],
        });
        assert_eq!(records, expected, "{version:?}");
    }
}

/// Validates a datasheet as `mlcroissant validate` does, and reads all its records.
fn read_by_reference(python: &std::ffi::OsStr, path: &Path) -> Value {
    const SCRIPT: &str = "
import json, sys
import mlcroissant as mlc
dataset = mlc.Dataset(jsonld=sys.argv[1])
assert not dataset.metadata.ctx.issues.errors, dataset.metadata.ctx.issues.report()
def plain(value):
    if isinstance(value, dict): return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)): return [plain(inner) for inner in value]
    if isinstance(value, bytes): return value.decode()
    if value is None or isinstance(value, (bool, int, float, str)): return value
    if hasattr(value, 'size') and isinstance(value.size, tuple): return list(value.size)
    if hasattr(value, 'tolist'): return plain(value.tolist())
    return str(value)
print(json.dumps({
    records.id: [plain(record) for record in dataset.records(records.id)]
    for records in dataset.metadata.record_sets
}))
";
    let output = Command::new(python)
        .args(["-W", "ignore", "-c", SCRIPT])
        .arg(path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// The examples of the specification's own repository, <https://github.com/mlcommons/croissant> at 401f6fff, folder `datasets`: what
/// is found in them but for what the data set as a whole lacks, which is there or not. All are true faults: checksums that are an
/// address, the word `sha256` or an MD5; the address `None`; enumerations without a key and a name; a key that is no field; files
/// that are named as sets of files.
#[test]
fn the_examples_of_the_specification_have_no_false_errors() {
    let Some(folder) = std::env::var_os("OUTLAY_CROISSANT_EXAMPLES") else {
        println!("skipped: OUTLAY_CROISSANT_EXAMPLES names no folder of examples");
        return;
    };
    let known = [
        ("audio_test", &["url"][..]),
        ("coco2014-mini", &["key", "url"]),
        ("credit-g", &["field", "key"]),
        ("huggingface-tgqa", &["fileSet"]),
        ("pass-mini", &["url"]),
        ("zenodo-head-mri", &["key"]),
    ];
    let placeholder = "https://github.com/mlcommons/croissant/issues/80";
    let mut n_files = 0;
    for entry in walkdir::WalkDir::new(folder).sort_by_file_name() {
        let entry = entry.unwrap();
        let path = entry.path();
        let of = |at: usize| {
            path.iter()
                .rev()
                .nth(at)
                .unwrap_or_default()
                .to_string_lossy()
        };
        // Version 0.8 is another format.
        if of(0) != "metadata.json" || of(2) == "0.8" {
            continue;
        }
        n_files += 1;
        let sheet: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let mut fields = std::collections::BTreeSet::new();
        for fault in errors(&sheet) {
            if fault.path.is_empty() && fault.required == "is required" {
                assert!(sheet.get(&fault.field).is_none(), "{path:?}: {fault}");
            } else if fault.field == "sha256" {
                let text = sheet.pointer(&fault.path).and_then(Value::as_str).unwrap();
                let is_no_checksum = text == placeholder || text == "sha256" || text.len() == 32;
                assert!(is_no_checksum, "{path:?}: {fault}");
            } else {
                fields.insert(fault.field);
            }
        }
        let expected = known.iter().find(|(name, _)| *name == of(1));
        let fields: Vec<String> = fields.into_iter().collect();
        assert_eq!(
            fields,
            expected.map_or(&[][..], |(_, fields)| fields),
            "{path:?}"
        );
    }
    assert!(n_files > 0);
}

fn any_json() -> impl Strategy<Value = Value> {
    let words = prop::sample::select(vec![
        "@context",
        "@type",
        "@id",
        "@value",
        "@list",
        "@graph",
        "@language",
        "name",
        "description",
        "license",
        "creator",
        "url",
        "conformsTo",
        "distribution",
        "recordSet",
        "field",
        "subField",
        "source",
        "extract",
        "transform",
        "regex",
        "key",
        "data",
        "dataType",
        "references",
        "containedIn",
        "fileObject",
        "fileSet",
        "includes",
        "sha256",
        "isArray",
        "arrayShape",
        "datePublished",
        "version",
        "rai:dataBiases",
        "annotation",
        "parentField",
        "column",
        "jsonPath",
        "fileProperty",
        "examples",
        "sc:Dataset",
        "cr:Field",
        "cr:RecordSet",
        "cr:FileObject",
        "cr:FileSet",
        "http://mlcommons.org/croissant/1.1",
        "a",
        "a/b",
        "~",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        "[-0-9T:Z.+]{0,20}".prop_map(Value::from),
        "[a-z$.\\[\\]'()?*\\\\]{0,12}".prop_map(Value::from),
        words.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 5, move |inner| {
        let key = prop_oneof![4 => words.clone().prop_map(str::to_owned), 1 => "\\PC{0,6}"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..5)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

/// All places of a value.
fn places(value: &Value, path: &str, into: &mut Vec<String>) {
    into.push(path.to_owned());
    match value {
        Value::Array(values) => {
            for (at, value) in values.iter().enumerate() {
                places(value, &format!("{path}/{at}"), into);
            }
        }
        Value::Object(object) => {
            for (key, value) in object {
                let key = key.replace('~', "~0").replace('/', "~1");
                places(value, &format!("{path}/{key}"), into);
            }
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever is checked, nothing panics, and each fault is at a place that is there.
    #[test]
    fn any_json_can_be_checked(any in any_json(), at in any::<prop::sample::Index>()) {
        let mut sheet = good();
        let mut all = Vec::new();
        places(&sheet, "", &mut all);
        *sheet.pointer_mut(&all[at.index(all.len())]).unwrap() = any.clone();
        for sheet in [any, sheet] {
            for fault in check(&sheet) {
                let is_there = sheet.pointer(&fault.path).is_some();
                // A context that stands beside a graph is found from within it.
                prop_assert!(is_there || fault.path.ends_with("/@context"), "{}", fault);
            }
        }
    }

    /// Whatever is known is written without an error, but for what is missing.
    #[test]
    fn any_description_is_written_well(
        names in prop::collection::vec(prop_oneof!["\\PC{0,12}", "[ \u{a0}\u{2000}/.]{0,2}"], 0..6),
        records in prop::collection::vec(any_json(), 0..4),
        version in prop_oneof![Just(Version::V1_0), Just(Version::V1_1)],
    ) {
        let mut columns = Columns::default();
        for record in records.iter().filter_map(Value::as_object) {
            columns.add(record);
        }
        let mut description = description();
        description.files = names.iter().map(|name| file(&format!("d/{name}"), b"x")).collect();
        description.files.push(file("x.csv", b"x"));
        let of = |files: Vec<String>| RecordSetDescription {
            name: names.first().cloned().unwrap_or_default(),
            fields: columns.fields(),
            key: columns.fields().into_iter().map(|field| field.name).take(1).collect(),
            files,
            ..RecordSetDescription::default()
        };
        description.record_sets = vec![
            of(vec!["x.csv".to_owned()]),
            of(description.files.iter().map(|file| file.name.clone()).collect()),
        ];
        let sheet = croissant(&description, version);
        let found = errors(&sheet);
        prop_assert!(found.is_empty(), "{:#?}", found);
    }
}
