//! Datasheets of data sets as Croissant: written from what is known, and checked against the specification.
//!
//! Croissant is JSON-LD on the vocabulary of schema.org: *Croissant Format Specification*, versions 1.0 (2024-03-01) and 1.1
//! (2026-01-29), <http://mlcommons.org/croissant/1.1>, with *Croissant RAI Specification* 1.0 (2024-03-06) for what is said of
//! responsible use, <http://mlcommons.org/croissant/RAI/1.0>.
//!
//! [`croissant`] writes a [`Description`], [`check`] says what a file lacks, its own or anybody's. Nothing here reads or writes a
//! file.
//!
//! ```
//! use outlay_audit::croissant::{Description, Severity, Version, check, croissant};
//! let sheet = croissant(&Description { name: "birds".to_owned(), ..Description::default() }, Version::V1_1);
//! assert_eq!(sheet["conformsTo"], "http://mlcommons.org/croissant/1.1");
//! let missing: Vec<_> = check(&sheet)
//!     .into_iter()
//!     .filter(|fault| fault.severity == Severity::Error)
//!     .map(|fault| fault.field)
//!     .collect();
//! assert_eq!(
//!     missing,
//!     ["description", "license", "url", "creator", "datePublished", "distribution"],
//! );
//! ```

mod about;
mod check;
mod columns;
mod context;
mod description;
mod forms;
mod licences;
mod rai;
mod write;

pub use about::AboutError;
pub use check::{CroissantFault, Severity, check};
pub use columns::Columns;
pub use description::{
    Agent, AgentKind, DataType, Description, FieldDescription, FileDescription, Part,
    RecordSetDescription, encoding_formats,
};
pub use rai::Rai;
pub use write::{FILE_OBJECTS_MAX, croissant};

/// A version of the specification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// 1.0, of 2024-03-01.
    V1_0,
    /// 1.1, of 2026-01-29.
    #[default]
    V1_1,
}

impl Version {
    /// What a file says that keeps to it.
    #[must_use]
    pub fn url(self) -> &'static str {
        match self {
            Self::V1_0 => "http://mlcommons.org/croissant/1.0",
            Self::V1_1 => "http://mlcommons.org/croissant/1.1",
        }
    }
}

/// The names of the vocabulary and what each stands for, as the first appendix of either version gives them; the version says
/// since when.
const TERMS: [(&str, Version); 38] = {
    use Version::{V1_0, V1_1};
    [
        ("annotation", V1_1),
        ("arrayShape", V1_1),
        ("citeAs", V1_0),
        ("column", V1_0),
        ("containedIn", V1_1),
        ("data", V1_0),
        ("dataType", V1_0),
        ("equivalentProperty", V1_1),
        ("examples", V1_0),
        ("excludes", V1_1),
        ("extract", V1_0),
        ("field", V1_0),
        ("fileObject", V1_0),
        ("fileProperty", V1_0),
        ("fileSet", V1_0),
        ("format", V1_0),
        ("includes", V1_0),
        ("isArray", V1_1),
        ("isLiveDataset", V1_0),
        ("jsonPath", V1_0),
        ("key", V1_0),
        ("md5", V1_0),
        ("parentField", V1_0),
        ("path", V1_0),
        ("readLines", V1_1),
        ("recordSet", V1_0),
        ("references", V1_0),
        ("regex", V1_0),
        ("repeated", V1_0),
        ("replace", V1_0),
        ("sdVersion", V1_1),
        ("separator", V1_0),
        ("source", V1_0),
        ("subField", V1_0),
        ("transform", V1_0),
        ("unArchive", V1_1),
        ("value", V1_1),
        ("conformsTo", V1_0),
    ]
};

/// Of schema.org. The specification of 1.1 writes `http`, that of 1.0 `https`, and its reader knows only the latter.
const SCHEMA: &str = "https://schema.org/";
const CROISSANT: &str = "http://mlcommons.org/croissant/";
const RAI: &str = "http://mlcommons.org/croissant/RAI/";
const TERMS_OF_DUBLIN_CORE: &str = "http://purl.org/dc/terms/";
const RAI_VERSION: &str = "http://mlcommons.org/croissant/RAI/1.0";
