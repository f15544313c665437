//! Files of every kind, whole and broken: a record is read or counted as skipped, and nothing is lost in silence.

use std::io::Write;

use outlay_audit::{Audit, Fields};
use proptest::prelude::*;

use crate::audited;

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(content).unwrap();
    out.finish().unwrap()
}

fn counted(audit: &Audit) -> (u64, u64, u64) {
    let file = &audit.files[0];
    (file.n_records, file.n_text_bytes, file.n_skipped)
}

const LINES: &[u8] =
    b"{\"id\": \"a\", \"text\": \"one two\"}\n{\"id\": \"b\", \"text\": \"three\"}\n";

#[test]
fn every_kind_gives_the_same_records() {
    let kinds: [(&str, Vec<u8>); 9] = [
        ("a.jsonl", LINES.to_vec()),
        ("a.ndjson", LINES[..LINES.len() - 1].to_vec()),
        ("a.jsonl.gz", gzip(LINES)),
        ("two.jsonl.gz", [gzip(&LINES[..31]), gzip(&LINES[31..])].concat()),
        ("a.jsonl.zst", zstd::encode_all(LINES, 1).unwrap()),
        ("a.csv", b"id,text\na,one two\n\"b\",\"three\"\n".to_vec()),
        ("a.tsv.gz", gzip(b"\xef\xbb\xbfid\ttext\r\na\tone two\r\nb\tthree\r\n")),
        ("a.json", br#"[{"text": "one two", "id": "a"}, {"id": "b", "text": "three"}]"#.to_vec()),
        ("crlf.jsonl", b"\xef\xbb\xbf{\"id\": \"a\", \"text\": \"one two\"}\r\n\r\n{\"id\": \"b\", \"text\": \"three\"}\r\n".to_vec()),
    ];
    for (name, content) in kinds {
        let audit = audited(name, &content, |_| {});
        assert_eq!(counted(&audit), (2, 12, 0), "{name}");
        assert_eq!(
            [0, 1].map(|record| audit.table.name(record).unwrap()),
            ["a", "b"],
            "{name}"
        );
    }
}

/// A Parquet file of two columns, with a list in the second.
fn parquet(n_rows: usize) -> Vec<u8> {
    use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    let schema = "message schema { REQUIRED INT64 id; OPTIONAL BINARY text (UTF8); }";
    let schema = std::sync::Arc::new(parquet::schema::parser::parse_message_type(schema).unwrap());
    let properties = WriterProperties::builder()
        .set_compression(parquet::basic::Compression::SNAPPY)
        .build();
    let mut out = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut out, schema, properties.into()).unwrap();
    for lot in 0..2 {
        let rows = lot * n_rows / 2..(lot + 1) * n_rows / 2;
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let ids: Vec<i64> = rows.clone().map(|row| row as i64).collect();
        column
            .typed::<Int64Type>()
            .write_batch(&ids, None, None)
            .unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let texts: Vec<ByteArray> = rows
            .clone()
            .filter(|row| row % 5 != 0)
            .map(|row| format!("row {row} says ü").as_str().into())
            .collect();
        let is_there: Vec<i16> = rows.map(|row| i16::from(row % 5 != 0)).collect();
        column
            .typed::<ByteArrayType>()
            .write_batch(&texts, Some(&is_there), None)
            .unwrap();
        column.close().unwrap();
        group.close().unwrap();
    }
    writer.close().unwrap();
    out
}

#[test]
fn parquet_is_read_by_the_row() {
    let audit = audited("a.parquet", &parquet(5000), |_| {});
    assert_eq!(audit.files[0].n_records, 5000);
    assert_eq!(audit.table.name(4999).unwrap(), "4999");
    assert_eq!(audit.table.n_bytes(0), 0);
    assert_eq!(audit.table.n_bytes(4999), "row 4999 says ü".len() as u64);
    assert_eq!(audit.near.unwrap().n_empty, 1000);
}

#[test]
fn a_record_without_an_id_is_called_by_its_place() {
    let audit = audited("a.jsonl", b"\n{\"text\": \"x\"}\n\"y\"\n", |_| {});
    let name = audit.table.name(1).unwrap();
    assert!(name.ends_with("a.jsonl:3"), "{name}");
    let audit = audited("note.txt", b"some words", |_| {});
    assert!(audit.table.name(0).unwrap().ends_with("note.txt:1"));
}

#[test]
fn what_cannot_be_read_is_counted() {
    // A name, a content, how many are read and how many skipped, and why.
    type Case = (&'static str, Vec<u8>, (u64, u64), &'static str);
    let mut torn = parquet(100);
    torn[60..80].fill(0xee);
    let broken: [Case; 13] = [
        ("a.parquet", parquet(100)[..500].to_vec(), (0, 1), ""),
        ("a.parquet", b"PAR1".to_vec(), (0, 1), ""),
        ("a.parquet", torn, (0, 1), "of its 100 rows"),
        (
            "a.jsonl",
            b"{\"text\": \"x\"}\n{broken\n[1]\n{\"text\": \"y\"}\n".to_vec(),
            (2, 2),
            "no JSON object",
        ),
        ("a.jsonl", b"{\"text\": \"\xff\"}\n".to_vec(), (1, 0), ""),
        (
            "a.csv",
            b"id,text\n1,x\n2\n3,y,z\n4,w\n".to_vec(),
            (2, 2),
            "1 values, where 2 columns",
        ),
        ("a.json", b"[{\"text\": 1}, ".to_vec(), (0, 1), "no JSON"),
        (
            "a.jsonl.gz",
            gzip(LINES)[..30].to_vec(),
            (0, 1),
            "the rest of the file",
        ),
        (
            "a.jsonl.gz",
            b"no gzip".to_vec(),
            (0, 1),
            "the rest of the file",
        ),
        (
            "a.jsonl.zst",
            zstd::encode_all(LINES, 1).unwrap()[..20].to_vec(),
            (0, 1),
            "the rest of the file",
        ),
        ("a.json.zst", b"no zstd".to_vec(), (0, 1), ""),
        ("a.jsonl", Vec::new(), (0, 0), ""),
        ("a.csv", Vec::new(), (0, 0), ""),
    ];
    for (name, content, (n_records, n_skipped), why) in broken {
        let audit = audited(name, &content, |_| {});
        let file = &audit.files[0];
        assert_eq!(
            (file.n_records, file.n_skipped),
            (n_records, n_skipped),
            "{name}: {:?}",
            file.skipped
        );
        if !why.is_empty() {
            assert!(
                file.skipped[0].why.contains(why),
                "{name}: {:?}",
                file.skipped
            );
        }
    }
}

/// A stream that breaks off gives the lines that came before.
#[test]
fn lines_before_a_fault_are_read() {
    let mut lines = Vec::new();
    for n in 0..50_000_u64 {
        // Digits that do not pack well.
        writeln!(
            lines,
            "{{\"text\": \"{}\"}}",
            n.wrapping_mul(0x9e37_79b9_7f4a_7c15)
        )
        .unwrap();
    }
    let packed = gzip(&lines);
    let audit = audited("a.jsonl.gz", &packed[..packed.len() / 2], |_| {});
    let file = &audit.files[0];
    assert!(
        file.n_records > 20_000 && file.n_records < 30_000,
        "{}",
        file.n_records
    );
    assert_eq!(file.n_skipped, 1);
    assert!(file.skipped[0].n_bytes < 40, "{:?}", file.skipped);
}

#[test]
fn a_line_beyond_the_limit_is_passed_over() {
    let long = format!(
        "{{\"text\": \"a\"}}\n{{\"text\": \"{}\"}}\n{{\"text\": \"b\"}}\n{{\"text\": \"c\"}}",
        "x".repeat(9_000_000)
    );
    let audit = audited("a.jsonl", long.as_bytes(), |settings| {
        settings.record_bytes_max = 1_000_000;
    });
    let file = &audit.files[0];
    assert_eq!((file.n_records, file.n_skipped), (3, 1));
    assert_eq!(
        (file.skipped[0].line, file.skipped[0].n_bytes),
        (2, 9_000_012)
    );
    assert!(audit.table.place(1).1 == 3 && audit.table.place(2).1 == 4);
    let whole = audited("a.jsonl", long.as_bytes(), |_| {});
    assert_eq!(whole.files[0].n_records, 4);
}

/// A file that unpacks to a hundred times what it is allowed to is left, and takes no room.
#[test]
fn a_bomb_is_left() {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let lot = vec![b' '; 1 << 20];
    for _ in 0..1200 {
        out.write_all(&lot).unwrap();
    }
    let audit = audited("bomb.txt.gz", &out.finish().unwrap(), |_| {});
    assert_eq!((audit.files[0].n_records, audit.files[0].n_skipped), (0, 1));
}

#[test]
fn folders_are_walked_and_others_counted() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    for (name, content) in [
        ("b.jsonl", "\"x\"\n"),
        ("sub/a.txt", "y"),
        ("model.bin", "12345"),
    ] {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    let working = tempfile::tempdir().unwrap();
    let audit = outlay_audit::audit(
        &[folder.path().to_owned()],
        None,
        &crate::settings(working.path()),
        |_| {},
    )
    .unwrap();
    assert_eq!(
        audit.files.iter().map(|file| file.n_records).sum::<u64>(),
        2
    );
    assert_eq!(audit.others.len(), 1);
    assert_eq!(audit.others[0].1, 5);
    for (path, why) in [
        ("model.bin", "of no kind that is known"),
        ("none.jsonl", "cannot be read"),
    ] {
        let error = outlay_audit::audit(
            &[folder.path().join(path)],
            None,
            &crate::settings(working.path()),
            |_| {},
        )
        .unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[test]
fn nothing_to_read_is_no_clean_bill() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("model.bin"), "12345").unwrap();
    let paths = [folder.path().to_owned()];
    let settings = crate::settings(folder.path());
    let error = outlay_audit::audit(&paths, None, &settings, |_| {}).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("no file of a kind that is known"),
        "{error}"
    );
    assert!(outlay_audit::benchmarks(&paths, &settings, |_| {}).is_err());
}

#[test]
fn fields_are_chosen() {
    let content = br#"{"key": 5, "q": "is it", "a": "yes", "text": "no"}"#;
    let audit = audited("a.jsonl", content, |settings| {
        settings.fields = Fields {
            text: vec!["q".to_owned(), "a".to_owned()],
            id: Some("key".to_owned()),
            ..Fields::default()
        };
    });
    assert_eq!(audit.table.name(0).unwrap(), "5");
    assert_eq!(audit.table.n_bytes(0), "is it\nyes".len() as u64);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever is in a file, every line of it is a record, or skipped, or blank.
    #[test]
    fn any_bytes_are_read_without_panic(
        content in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"{}[]\",:\n\\ tnu0x".to_vec())], 0..400),
        which in 0_usize..9,
    ) {
        let name = ["a.jsonl", "a.json", "a.csv", "a.tsv", "a.txt", "a.jsonl.gz", "a.csv.zst", "a.json.gz", "a.parquet"][which];
        let audit = audited(name, &content, |_| {});
        let file = &audit.files[0];
        prop_assert_eq!(file.n_records, audit.table.len() as u64);
        if name == "a.jsonl" {
            let n_lines = content.split(|byte| *byte == b'\n').filter(|line| {
                let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
                !line.trim_ascii().is_empty()
            }).count();
            prop_assert_eq!(file.n_records + file.n_skipped, n_lines as u64);
        }
    }

    /// Whatever is changed in a Parquet file, the audit ends, and counts what it read.
    #[test]
    fn a_damaged_parquet_file_is_no_end(at in 0.0..1.0, with in prop::collection::vec(any::<u8>(), 1..40)) {
        let mut content = parquet(40);
        let begin = (at * content.len() as f64) as usize;
        for (place, byte) in content[begin..].iter_mut().zip(with) {
            *place = byte;
        }
        let audit = audited("a.parquet", &content, |_| {});
        let file = &audit.files[0];
        prop_assert_eq!(file.n_records, audit.table.len() as u64);
    }
}

/// A line of 2 GB is one skipped record, and takes no more memory than the longest that is read.
#[test]
fn a_line_of_two_gigabytes_is_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    let mut file = std::fs::File::create(&path).unwrap();
    file.write_all(b"{\"text\": \"before\"}\n").unwrap();
    // Nothing of it lies on the disk.
    let n_bytes: u64 = 2 << 30;
    file.set_len(19 + n_bytes).unwrap();
    use std::io::{Seek, SeekFrom};
    file.seek(SeekFrom::End(0)).unwrap();
    file.write_all(b"\n{\"text\": \"after\"}\n").unwrap();
    drop(file);
    let mut settings = crate::settings(folder.path());
    settings.record_bytes_max = 8 << 20;
    let audit = outlay_audit::audit(&[path], None, &settings, |_| {}).unwrap();
    let file = &audit.files[0];
    assert_eq!((file.n_records, file.n_skipped), (2, 1));
    assert_eq!(file.n_skipped_bytes, n_bytes);
    assert_eq!(file.skipped[0].line, 2);
    assert_eq!(audit.table.place(1).1, 3);
}

/// Tokens are those of the tokenizer.
#[test]
fn tokens_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let tokenizer = folder.path().join("tokenizer.json");
    let words = serde_json::json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": {"one": 0, "two": 1, "?": 2}, "unk_token": "?"}
    });
    std::fs::write(&tokenizer, words.to_string()).unwrap();
    let count = |tokenizer: &std::path::Path| {
        let path = folder.path().join("a.jsonl");
        std::fs::write(&path, LINES).unwrap();
        let mut settings = crate::settings(folder.path());
        settings.tokenizer = Some(tokenizer.to_owned());
        outlay_audit::audit(&[path], None, &settings, |_| {})
    };
    // "one two" and "three".
    assert_eq!(count(&tokenizer).unwrap().n_tokens, Some(3));
    assert_eq!(audited("a.jsonl", LINES, |_| {}).n_tokens, None);
    std::fs::write(&tokenizer, "{}").unwrap();
    let error = count(&tokenizer).unwrap_err();
    assert!(error.to_string().contains("no tokenizer"), "{error}");
}

/// Twenty thousand files in folders within folders; one has a name that is no UTF-8, and one a line's end in it.
#[test]
fn folders_of_many_files_are_read() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    for part in 0..20 {
        let within = data.join(format!("{part}/x/y"));
        std::fs::create_dir_all(&within).unwrap();
        for file in 0..1000 {
            let number = part * 1000 + file;
            let text: Vec<String> = (1..9)
                .map(|at| format!("word{}", number * at % 7919))
                .collect();
            let text = text.join(" ");
            std::fs::write(within.join(format!("{file}.txt")), text).unwrap();
        }
    }
    let odd = std::ffi::OsStr::from_bytes(b"\xff\xfe.txt");
    std::fs::write(data.join(odd), "a name of bytes").unwrap();
    std::fs::write(data.join("two\nlines.txt"), "a name of two lines").unwrap();
    let settings = outlay_audit::Settings {
        // Languages take a millisecond of each text where nothing is optimised.
        rights: false,
        ..crate::settings(folder.path())
    };
    let audit = outlay_audit::audit(&[data], None, &settings, |_| {}).unwrap();
    let (n_read, n_others) = (audit.n_records as usize, audit.others.len());
    assert_eq!(n_read + n_others, 20_002, "none is passed over in silence");
    assert!(n_read >= 20_001, "{n_read}");
    let report = outlay_audit::Report::new(&audit, settings.near.as_ref(), None).unwrap();
    assert_eq!(report.n_files, n_read);
    let mut clusters = Vec::new();
    audit.write_clusters(&mut clusters).unwrap();
    assert!(
        String::from_utf8(clusters)
            .unwrap()
            .lines()
            .all(|line| line.split('\t').count() == 2)
    );
}
