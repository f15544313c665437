//! Audits of training data: what is in it twice, what has leaked into it, and what that costs.

mod audit;
mod balance;
mod chunks;
mod columns;
mod content;
mod error;
mod features;
mod fix;
mod gate;
mod labels;
mod leaks;
mod logistic;
mod minhash;
mod model;
mod near;
mod neighbours;
mod optimise;
mod privacy;
mod quality;
mod random;
mod record;
mod report;
mod shingles;
mod source;
mod statistics;
mod table;
mod union;
mod words;

pub use audit::{
    Audit, Benchmarks, FileCount, ItemFound, PrivacyCount, Progress, QUESTIONS, QualityCount,
    Settings, audit, benchmarks,
};
pub use balance::{
    Association, Balance, BalanceSettings, ChiSquare, ClassCount, CrossTable, GroupRates, Proxy,
    Rate, RateGap, associations, balance, proxies,
};
pub use chunks::Skipped;
pub use columns::Column;
pub use content::{Content, ContentFile, content};
pub use error::AuditError;
pub use features::{Dense, Features, Sparse};
pub use fix::{Fix, Fixed, Keep, REMOVED, fix};
pub use gate::Condition;
pub use labels::{
    ClassPair, Filter, Issue, LabelErrors, LabelSettings, LabelsError, Probabilities, label_errors,
};
pub use leaks::{Finder, Grade, Items, Leak, Reference, SHORT};
pub use minhash::{Bands, MinHash};
pub use model::{Model, ModelSettings, OutOfFold, folds, out_of_fold};
pub use near::{Found, Near, NearSettings, Sketcher, Sketches};
pub use privacy::{Private, PrivateKind, masked, private, redacted};
pub use quality::{Broken, Judge, Rule};
pub use record::{Fields, Record, TEXTS};
pub use report::{
    Bill, BillLine, Cluster, Duplicates, Graded, ItemView, LeakView, Leaks, Privacy, PrivacyView,
    Quality, Report, RuleView, SkippedView,
};
pub use shingles::{Shingle, Shingler, jaccard};
pub use source::{Kind, Listing, Packing, Source};
pub use statistics::{Interval, benjamini_hochberg, chi_square_p, newcombe, wilson};
pub use table::Table;
pub use union::Sets;
pub use words::words;
