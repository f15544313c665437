//! Audits past one machine: each file is looked at wherever it is near, and what was seen is brought together as of a former audit.
//!
//! A job says what is to be looked at. Workers, on any machine that reads the same paths, see one source each and give bytes; whoever
//! collects them adds the bytes to the folder of `Settings::since`, in any order. The audit then reads no file itself, and says
//! what it says of files that it reads.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tokenizers::Tokenizer;

use crate::audit::{Benchmarks, Settings, all_sources, benchmarks};
use crate::chunks::Chunks;
use crate::drive::Part;
use crate::error::AuditError;
use crate::look::{Looked, Looker, Wanted};
use crate::near::Near;
use crate::saved::{Saved, Segment, packed};
use crate::source::Source;

/// What is to be looked at.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// The version of the program that wrote it, which workers must have as well: `Job::VERSION`.
    pub version: String,
    /// Files and folders of the data.
    pub paths: Vec<PathBuf>,
    /// Test sets and benchmarks.
    pub against: Vec<PathBuf>,
    /// How it is looked at.
    pub settings: Settings,
}

impl Job {
    /// The version of this program.
    pub const VERSION: &str = env!("CARGO_PKG_VERSION");
}

/// Something that looks at the sources of a job.
#[derive(Debug)]
pub struct Worker {
    settings: Settings,
    wanted: Wanted,
    near: Option<Near>,
    tokenizer: Option<Tokenizer>,
    benchmarks: Option<Benchmarks>,
    sources: Vec<Source>,
    n_files: usize,
    hash: String,
}

impl Worker {
    /// Makes ready for a job: its files are listed, and its benchmarks read.
    ///
    /// # Errors
    ///
    /// As `audit`.
    pub fn new(job: Job) -> Result<Self, AuditError> {
        if job.version != Job::VERSION {
            return Err(AuditError::Setting(format!(
                "the job is of version {}, and this is {}; allowed: the same",
                job.version,
                Job::VERSION
            )));
        }
        let Job {
            version: _,
            paths,
            against,
            settings,
        } = job;
        let benchmarks = if against.is_empty() {
            None
        } else {
            Some(benchmarks(&against, &settings, |_| {})?)
        };
        let (sources, n_files, _) = all_sources(&paths, benchmarks.as_ref(), &settings)?;
        let near = settings
            .near
            .map(|near| Near::new(near, &settings.folder))
            .transpose()
            .map_err(|error| AuditError::Setting(error.to_string()))?;
        Ok(Self {
            wanted: Wanted::new(&settings),
            hash: settings.hash(benchmarks.as_ref()),
            near,
            tokenizer: settings.open_tokenizer()?,
            benchmarks,
            sources,
            n_files,
            settings,
        })
    }

    /// The sources, whose numbers `see` takes.
    #[must_use]
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Opens the folder in which what is seen is brought together.
    ///
    /// # Errors
    ///
    /// As `Saved::open`.
    pub fn saved(&self, folder: &std::path::Path) -> Result<Saved, AuditError> {
        Saved::open(folder, &self.hash)
    }

    /// Numbers of the sources that are not in the folder yet.
    #[must_use]
    pub fn missing(&self, saved: &Saved) -> Vec<usize> {
        (0..self.sources.len())
            .filter(|source| !saved.knows(&self.sources[*source]))
            .collect()
    }

    /// Looks at a source: what was seen, for `Saved::bring`. A source that cannot be opened gives nothing, and is left to the audit to say so.
    ///
    /// # Errors
    ///
    /// When there is no such source, or more of it than can be kept.
    pub fn see(&self, source: usize) -> std::io::Result<Option<Vec<u8>>> {
        let of = self.sources.get(source).ok_or_else(|| {
            std::io::Error::other(format!(
                "there is no source {source}; allowed: 0 to {}",
                self.sources.len().saturating_sub(1)
            ))
        })?;
        let looker = Looker {
            settings: &self.settings,
            wanted: &self.wanted,
            near: self.near.as_ref(),
            benchmarks: self.benchmarks.as_ref(),
            tokenizer: self.tokenizer.as_ref(),
        };
        let n_read = std::sync::atomic::AtomicU64::new(0);
        let opened = Chunks::open(
            of,
            self.settings.record_bytes_max,
            &self.settings.folder,
            &n_read,
        );
        let Ok(mut chunks) = opened else {
            return Ok(None);
        };
        let mut segment = Segment::begin(of, &self.hash)?;
        while let Some((chunk, skipped)) = chunks.next() {
            if !skipped.is_empty() {
                segment.add(&packed(&Part::<Looked>::Skipped(skipped))?)?;
            }
            if let Some(chunk) = chunk {
                let looked = looker.look(of, &chunk, source >= self.n_files);
                segment.add(&packed(&Part::Looked(looked))?)?;
            }
        }
        Ok(Some(segment.end()?))
    }
}
