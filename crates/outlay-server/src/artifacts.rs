//! The files of runs and models, in a folder or in a bucket of an S3-compatible store.
//!
//! A path is a list of names below one root; nothing that is asked for can lead out of it.
//! A file that is there is there whole: what is uploaded lies aside until its last byte is on the disk.

mod bucket;
mod folder;

use std::path::PathBuf;
use std::pin::Pin;

use axum::body::Bytes;
use futures_util::Stream;

use bucket::Bucket;
use folder::Folder;

/// Bytes as they come or go; an error ends them.
pub type ByteStream = Pin<Box<dyn Stream<Item = std::io::Result<Bytes>> + Send>>;

/// Where files are kept.
#[derive(Debug)]
pub struct Artifacts {
    place: Place,
}

#[derive(Debug)]
enum Place {
    Folder(Folder),
    Bucket(Bucket),
}

/// A file, or a folder of files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name, without those of the folders that it lies in.
    pub name: String,
    /// Bytes; `None` for a folder.
    pub n_bytes: Option<u64>,
}

/// What went wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// A path that leads out of the root, or that no file can have.
    #[error("Invalid path")]
    Path,
    /// There is no such file.
    #[error("No such artifact: '{0}'")]
    Missing(String),
    /// There is no such upload.
    #[error("No such upload: '{0}'")]
    NoUpload(String),
    /// The sender went away before the end.
    #[error("the upload broke off: {0}")]
    BrokenOff(std::io::Error),
    /// The disk is full.
    #[error("the disk that keeps artifacts is full; nothing of the file was kept")]
    Full,
    /// The disk or the store failed.
    #[error("artifacts cannot be read or written: {0}")]
    Failed(String),
}

/// The names of a path, each checked.
///
/// # Errors
///
/// `..`, an absolute path, a backslash, a control character, or a name that is too long for a file.
pub fn names(path: &str) -> Result<Vec<&str>, ArtifactError> {
    if path.starts_with('/') || path.contains(['\\', '\0']) || path.chars().any(char::is_control) {
        return Err(ArtifactError::Path);
    }
    let names: Vec<&str> = path
        .split('/')
        .filter(|name| !name.is_empty() && *name != ".")
        .collect();
    let is_bad =
        |name: &&&str| **name == ".." || name.len() > 255 || name.starts_with(folder::ASIDE);
    // A letter and a colon are a disk in some systems.
    let is_disk = names.first().is_some_and(|first| {
        first.len() >= 2 && first.as_bytes()[1] == b':' && first.as_bytes()[0].is_ascii_alphabetic()
    });
    if is_disk || names.iter().any(|name| is_bad(&name)) || path.len() > 4096 {
        return Err(ArtifactError::Path);
    }
    Ok(names)
}

/// Where a bucket is, and how to sign for it: names and values as the AWS tools call them.
pub type BucketOptions = Vec<(String, String)>;

impl Artifacts {
    /// Files in a folder, which is made when the first one comes.
    #[must_use]
    pub fn folder(root: PathBuf) -> Self {
        Self {
            place: Place::Folder(Folder::new(root)),
        }
    }

    /// Files in a bucket: `s3://bucket/prefix`, with options such as `aws_endpoint` and `aws_access_key_id`.
    ///
    /// # Errors
    ///
    /// An address that is none, or options that do not fit together.
    pub fn bucket(url: &str, options: BucketOptions) -> Result<Self, ArtifactError> {
        Ok(Self {
            place: Place::Bucket(Bucket::new(url, options)?),
        })
    }

    /// Whether the store answers and the bucket is there; a folder is made when the first file comes.
    ///
    /// # Errors
    ///
    /// What the store says, or that it says nothing.
    pub async fn check(&self) -> Result<(), ArtifactError> {
        match &self.place {
            Place::Folder(_) => Ok(()),
            Place::Bucket(bucket) => bucket.check().await,
        }
    }

    /// What lies in a folder, by name. A folder that is not there is empty.
    ///
    /// # Errors
    ///
    /// See [`ArtifactError`].
    pub async fn list(&self, path: &str) -> Result<Vec<Entry>, ArtifactError> {
        let names = names(path)?;
        let mut entries = match &self.place {
            Place::Folder(folder) => folder.list(&names).await?,
            Place::Bucket(bucket) => bucket.list(&names).await?,
        };
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(entries)
    }

    /// A file's size and bytes.
    ///
    /// # Errors
    ///
    /// See [`ArtifactError`].
    pub async fn read(&self, path: &str) -> Result<(u64, ByteStream), ArtifactError> {
        let names = names(path)?;
        match &self.place {
            Place::Folder(folder) => folder.read(&names).await,
            Place::Bucket(bucket) => bucket.read(&names).await,
        }
    }

    /// Writes a file, in place of one of its name; when it returns, the file is on the disk.
    ///
    /// # Errors
    ///
    /// See [`ArtifactError`]; then what was there before still is.
    pub async fn write(&self, path: &str, bytes: ByteStream) -> Result<u64, ArtifactError> {
        let names = names(path)?;
        if names.is_empty() {
            return Err(ArtifactError::Path);
        }
        match &self.place {
            Place::Folder(folder) => folder.write(&names, bytes).await,
            Place::Bucket(bucket) => bucket.write(&names, bytes).await,
        }
    }

    /// Removes a file, or a folder with all that is in it. Nothing happens where there is none.
    ///
    /// # Errors
    ///
    /// See [`ArtifactError`]; the root itself is not removed.
    pub async fn remove(&self, path: &str) -> Result<(), ArtifactError> {
        let names = names(path)?;
        if names.is_empty() {
            return Err(ArtifactError::Path);
        }
        match &self.place {
            Place::Folder(folder) => folder.remove(&names).await,
            Place::Bucket(bucket) => bucket.remove(&names).await,
        }
    }

    /// Begins a file that comes in parts; gives the upload's name.
    ///
    /// # Errors
    ///
    /// See [`ArtifactError`].
    pub async fn begin_parts(&self, path: &str, id: String) -> Result<String, ArtifactError> {
        let names = names(path)?;
        if names.is_empty() {
            return Err(ArtifactError::Path);
        }
        match &self.place {
            Place::Folder(folder) => folder.begin_parts(id).await,
            Place::Bucket(bucket) => bucket.begin_parts(&names, id).await,
        }
    }

    /// Takes a part, counted from 1; gives its mark.
    ///
    /// # Errors
    ///
    /// See [`ArtifactError`].
    pub async fn write_part(
        &self,
        upload: &str,
        number: u32,
        bytes: ByteStream,
    ) -> Result<String, ArtifactError> {
        match &self.place {
            Place::Folder(folder) => folder.write_part(upload, number, bytes).await,
            Place::Bucket(bucket) => bucket.write_part(upload, number, bytes).await,
        }
    }

    /// Puts the parts together, in the order of their numbers.
    ///
    /// # Errors
    ///
    /// See [`ArtifactError`].
    pub async fn complete_parts(
        &self,
        path: &str,
        upload: &str,
        parts: &[(u32, String)],
    ) -> Result<(), ArtifactError> {
        let names = names(path)?;
        if names.is_empty() {
            return Err(ArtifactError::Path);
        }
        match &self.place {
            Place::Folder(folder) => folder.complete_parts(&names, upload, parts).await,
            Place::Bucket(bucket) => bucket.complete_parts(&names, upload, parts).await,
        }
    }

    /// Throws the parts away.
    ///
    /// # Errors
    ///
    /// See [`ArtifactError`].
    pub async fn abort_parts(&self, upload: &str) -> Result<(), ArtifactError> {
        match &self.place {
            Place::Folder(folder) => folder.abort_parts(upload).await,
            Place::Bucket(bucket) => bucket.abort_parts(upload).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below_their_root() {
        for path in [
            "..",
            "a/../../b",
            "/etc/passwd",
            "a\\..\\b",
            "a/\0",
            "c:/windows",
            "C:\\x",
            "a/\n",
            ".outlay-aside-1/x",
        ] {
            assert!(matches!(names(path), Err(ArtifactError::Path)), "{path:?}");
        }
        assert_eq!(
            names("a//b/./c d/é").expect("is a path"),
            ["a", "b", "c d", "é"]
        );
        assert_eq!(names("").expect("is the root"), [""; 0]);
        assert_eq!(names("..a/b..").expect("are names"), ["..a", "b.."]);
    }
}
