//! What is known of a data set.

use serde::{Deserialize, Serialize};

use super::Rai;

/// What is known of a data set. What is not known is left out of the datasheet; [`Description::unknown`] lists it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Description {
    /// Its name.
    pub name: String,
    /// What it is.
    pub description: Option<String>,
    /// An SPDX identifier, an address, or the licence's name.
    pub licence: Option<String>,
    /// Who made it.
    pub creators: Vec<Agent>,
    /// Who published it.
    pub publisher: Option<Agent>,
    /// Day of its publication, ISO 8601.
    pub date_published: Option<String>,
    /// Day it was first made, ISO 8601.
    pub date_created: Option<String>,
    /// Day of its last change, ISO 8601.
    pub date_modified: Option<String>,
    /// Its version: semantic, `MAJOR.MINOR.PATCH`, is recommended.
    pub version: Option<String>,
    /// Address of its page.
    pub url: Option<String>,
    /// How to cite it, as BibTeX if possible.
    pub citation: Option<String>,
    /// Words that it is found by.
    pub keywords: Vec<String>,
    /// Languages of its content, as tags of BCP 47: `en`.
    pub in_language: Vec<String>,
    /// Addresses of other pages that are about the same data.
    pub same_as: Vec<String>,
    /// The licence of the datasheet itself: an SPDX identifier or an address.
    pub datasheet_licence: Option<String>,
    /// Whether it goes on changing.
    pub is_live: Option<bool>,
    /// Its files.
    pub files: Vec<FileDescription>,
    /// Sets of records alike.
    pub record_sets: Vec<RecordSetDescription>,
    /// What is said of its responsible use.
    pub rai: Rai,
}

/// A person or an organisation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// Which of both.
    pub kind: AgentKind,
    /// The name.
    pub name: String,
    /// Address of a page.
    #[serde(default)]
    pub url: Option<String>,
    /// Address for mail.
    #[serde(default)]
    pub email: Option<String>,
}

/// What an agent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AgentKind {
    /// A person.
    Person,
    /// An organisation.
    #[serde(alias = "organization")]
    Organisation,
}

/// A file of a data set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FileDescription {
    /// Its path from the data set's folder, with `/`.
    pub name: String,
    /// Where its bytes are; `None` is its path from the datasheet's folder.
    pub content_url: Option<String>,
    /// Its MIME type; `None` is what its name says.
    pub encoding_format: Option<String>,
    /// Its size.
    pub n_bytes: Option<u64>,
    /// SHA-256 of its bytes, in hexadecimal digits.
    pub sha256: Option<String>,
}

/// Records alike, and where they are.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RecordSetDescription {
    /// Its name.
    pub name: String,
    /// What its records are.
    pub description: Option<String>,
    /// What each record holds.
    pub fields: Vec<FieldDescription>,
    /// Names of the fields that together tell each record from the others.
    pub key: Vec<String>,
    /// Names of the files that hold the records, which are all of one kind.
    pub files: Vec<String>,
}

/// What a record holds under one name.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FieldDescription {
    /// Its name in the data: of a column, or of a key.
    pub name: String,
    /// What kind of values it has; `None` where it is not known, or where fields lie within it.
    pub data_type: Option<DataType>,
    /// 0 where it holds one value, 1 for a list of them, 2 for a list of lists.
    pub n_dimensions: usize,
    /// Whether records may lack it.
    pub is_optional: bool,
    /// What it means.
    pub description: Option<String>,
    /// Which part of the source it is.
    pub part: Part,
    /// Fields within it.
    pub sub_fields: Vec<FieldDescription>,
}

impl FieldDescription {
    /// A field that every record has one value of.
    #[must_use]
    pub fn new(name: &str, data_type: DataType) -> Self {
        Self {
            name: name.to_owned(),
            data_type: Some(data_type),
            ..Self::default()
        }
    }
}

/// Kinds of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum DataType {
    /// Any text.
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Float,
    /// True or false.
    Boolean,
    /// A day.
    Date,
    /// A day and a time of it.
    DateTime,
    /// A time of day.
    Time,
    /// An address.
    Url,
    /// A picture.
    Image,
    /// A sound.
    Audio,
    /// A film.
    Video,
}

impl DataType {
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Text => "sc:Text",
            Self::Integer => "sc:Integer",
            Self::Float => "sc:Float",
            Self::Boolean => "sc:Boolean",
            Self::Date => "sc:Date",
            Self::DateTime => "sc:DateTime",
            Self::Time => "sc:Time",
            Self::Url => "sc:URL",
            Self::Image => "sc:ImageObject",
            Self::Audio => "sc:AudioObject",
            Self::Video => "sc:VideoObject",
        }
    }
}

/// Which part of its source a field is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum Part {
    /// The value under its name, in a table or in JSON.
    #[default]
    Value,
    /// All of the file.
    Content,
    /// Each line of the file.
    Lines,
    /// The file's name.
    FileName,
    /// The file's path.
    FullPath,
}

impl Description {
    /// Names of what the specification requires or recommends of a data set, and of what can be said of its responsible use, that
    /// are not known, as a datasheet names them.
    ///
    /// ```
    /// use outlay_audit::croissant::Description;
    /// let unknown = Description { name: "birds".to_owned(), ..Description::default() }.unknown();
    /// assert_eq!(unknown[..3], ["description", "license", "url"]);
    /// assert!(unknown.contains(&"rai:dataBiases".to_owned()));
    /// ```
    #[must_use]
    pub fn unknown(&self) -> Vec<String> {
        let text = |text: &Option<String>| text.is_some();
        let known = [
            ("name", !self.name.trim().is_empty()),
            ("description", text(&self.description)),
            ("license", text(&self.licence)),
            ("url", text(&self.url)),
            ("creator", !self.creators.is_empty()),
            ("datePublished", text(&self.date_published)),
            ("distribution", !self.files.is_empty()),
            ("keywords", !self.keywords.is_empty()),
            ("publisher", self.publisher.is_some()),
            ("version", text(&self.version)),
            ("dateCreated", text(&self.date_created)),
            ("dateModified", text(&self.date_modified)),
            ("sameAs", !self.same_as.is_empty()),
            ("sdLicense", text(&self.datasheet_licence)),
            ("inLanguage", !self.in_language.is_empty()),
            ("citeAs", text(&self.citation)),
            ("isLiveDataset", self.is_live.is_some()),
        ];
        known
            .into_iter()
            .filter(|(_, is_known)| !is_known)
            .map(|(name, _)| name)
            .chain(self.rai.unknown())
            .map(str::to_owned)
            .collect()
    }
}

/// MIME types by the end of a file's name, that of its content first and that of its packing second; `application/octet-stream`
/// where the name says nothing. Names of texts and tables are those that the reference reader of Croissant knows.
///
/// ```
/// use outlay_audit::croissant::encoding_formats;
/// assert_eq!(encoding_formats("train.jsonl.gz"), ["application/jsonlines", "application/gzip"]);
/// assert_eq!(encoding_formats("README.md"), ["text/markdown", "text/plain"]);
/// assert_eq!(encoding_formats("weights"), ["application/octet-stream"]);
/// ```
#[must_use]
pub fn encoding_formats(name: &str) -> Vec<&'static str> {
    let name = name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
    let (name, packing) = match name.rsplit_once('.') {
        Some((rest, "gz")) => (rest, Some("application/gzip")),
        Some((rest, "zst")) => (rest, Some("application/zstd")),
        _ => (name.as_str(), None),
    };
    let mut formats = match name.rsplit_once('.').map_or("", |(_, end)| end) {
        "jsonl" | "ndjson" => vec!["application/jsonlines"],
        "json" => vec!["application/json"],
        "csv" => vec!["text/csv"],
        "tsv" => vec!["text/tab-separated-values"],
        "parquet" => vec!["application/x-parquet"],
        "txt" | "text" => vec!["text/plain"],
        "md" => vec!["text/markdown", "text/plain"],
        "html" | "htm" => vec!["text/html", "text/plain"],
        "xml" => vec!["text/xml", "text/plain"],
        "rst" | "tex" | "rs" | "py" | "js" | "ts" | "c" | "h" | "cc" | "cpp" | "hpp" | "java"
        | "go" | "rb" | "sh" | "sql" | "yaml" | "yml" | "toml" => vec!["text/plain"],
        "jpg" | "jpeg" => vec!["image/jpeg"],
        "png" => vec!["image/png"],
        "gif" => vec!["image/gif"],
        "webp" => vec!["image/webp"],
        "tif" | "tiff" => vec!["image/tiff"],
        "bmp" => vec!["image/bmp"],
        "svg" => vec!["image/svg+xml"],
        "mp3" => vec!["audio/mpeg"],
        "wav" => vec!["audio/wav"],
        "flac" => vec!["audio/flac"],
        "ogg" => vec!["audio/ogg"],
        "mp4" => vec!["video/mp4"],
        "webm" => vec!["video/webm"],
        "pdf" => vec!["application/pdf"],
        "zip" => vec!["application/zip"],
        "tar" => vec!["application/x-tar"],
        _ if packing.is_some() => vec![],
        _ => vec!["application/octet-stream"],
    };
    formats.extend(packing);
    formats
}
