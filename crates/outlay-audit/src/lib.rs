//! Audits of training data: what is in it twice, what has leaked into it, and what that costs.

mod audit;
mod balance;
mod chunks;
mod columns;
mod content;
pub mod croissant;
mod crossing;
mod document;
mod drive;
mod engine;
mod error;
mod features;
mod fields;
mod fix;
mod gate;
pub mod images;
mod judged;
mod labels;
mod language;
mod leaks;
mod logistic;
mod look;
mod minhash;
mod model;
mod near;
mod neighbours;
mod optimise;
mod origin;
mod page;
mod pictures;
mod places;
mod poison;
mod privacy;
mod quality;
mod random;
mod record;
mod remote;
mod report;
mod rights;
mod rows;
mod saved;
mod schema;
mod sheet;
mod shingles;
mod source;
mod splits;
mod statistics;
mod suspicions;
mod table;
mod union;
mod words;

pub use audit::{
    Audit, Benchmarks, ItemFound, PrivacyCount, Progress, QUESTIONS, QualityCount, Settings, audit,
    benchmarks,
};
pub use balance::{
    Association, Balance, BalanceSettings, ChiSquare, ClassCount, CrossTable, GroupRates, Proxy,
    Rate, RateGap, associations, balance, proxies,
};
pub use chunks::Skipped;
pub use columns::Column;
pub use content::{Content, ContentFile, content};
pub use crossing::{Crossing, CrossingView, GroupCrossing, TimeCrossing};
pub use document::{Bar, Example, Part, Section, TableView, counted, document};
pub use drive::FileCount;
pub use engine::{Job, Worker};
pub use error::AuditError;
pub use features::{Dense, Features, Sparse};
pub use fields::{Drift, FieldView, FieldsSeen, Lengths};
pub use fix::{Fix, Fixed, Keep, REMOVED, fix};
pub use gate::Condition;
pub use judged::{ErrorsView, GroupProxies, IssueView, Judged, PairView, classes};
pub use labels::{
    ClassPair, Filter, Issue, LabelErrors, LabelSettings, LabelsError, Probabilities, label_errors,
};
pub use language::{Language, Script, language, scripts};
pub use leaks::{Finder, Grade, Items, Leak, Reference, SHORT};
pub use minhash::{Bands, MinHash};
pub use model::{Model, ModelSettings, OutOfFold, folds, out_of_fold};
pub use near::{Found, Near, NearSettings, Sketcher, Sketches};
pub use origin::{LanguageView, LicenceView, NoticeView, Origins, RightsView};
pub use page::{page, shown};
pub use pictures::{FlagView, Pictures, PicturesView, SampledPicture};
pub use poison::{
    Change, Clusters, Embeddings, LabelAgreement, Labelled, Mixture, NpyError, Responses,
    ResponsesSeen, ShareChange, ShiftSettings, Shifts, Spectrum, Trigger, TriggerCounts,
    TriggerSearch, TriggerSettings, Triggers, clusters, log10_binomial_tail,
    log10_hypergeometric_tail, number_range, spectra,
};
pub use privacy::{Private, PrivateKind, masked, private, redacted};
pub use quality::{Broken, Judge, Rule};
pub use record::{Fields, Record, TEXTS};
pub use report::{
    Bill, BillLine, Cluster, Duplicates, Graded, ItemView, LeakView, Leaks, Privacy, PrivacyView,
    Quality, Report, RuleView, SkippedView,
};
pub use rights::{
    Category, Decision, Evidence, Licence, LicenceFound, Notice, NoticeKind, Obligation, Origin,
    Policy, PolicyError, Rights, Use, Verdict, is_missing, rights,
};
pub use rows::SampleTable;
pub use saved::Saved;
pub use schema::{FieldSeen, Schema, ValueType};
pub use shingles::{Shingle, Shingler, jaccard};
pub use source::{Kind, Listing, Packing, Source};
pub use splits::{FieldCounts, GroupCounts, NO_LABEL, Times, Values, instant};
pub use statistics::{Interval, benjamini_hochberg, chi_square_p, newcombe, wilson};
pub use suspicions::{Mark, Suspicions};
pub use table::Table;
pub use union::Sets;
pub use words::words;
