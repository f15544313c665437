//! The hash by which a data set is known, wherever it lies.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::error::AuditError;
use crate::remote::{fetched, is_remote};
use crate::source::Source;

/// The content of some files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Content {
    /// SHA-256, in hexadecimal, of a line for each file, sorted by name: its own hash, two blanks, its name within the folder that was given, as `sha256sum` writes them.
    pub sha256: String,
    /// The files.
    pub files: Vec<ContentFile>,
}

/// A file and its hash.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ContentFile {
    /// Its name within the folder that was given, or its name where it was given itself.
    pub name: String,
    /// Bytes, as it lies there.
    pub n_bytes: u64,
    /// SHA-256 of these, in hexadecimal.
    pub sha256: String,
}

/// Hashes files and folders, files of no known kind included.
///
/// # Errors
///
/// When one cannot be read.
pub fn content(paths: &[PathBuf]) -> Result<Content, AuditError> {
    let mut named = Vec::new();
    for path in paths {
        let listing = Source::at(path)?;
        let sources = listing.sources.into_iter().map(|source| source.path);
        for file in sources.chain(listing.others.into_iter().map(|(path, _)| path)) {
            let own = file
                .strip_prefix(path)
                .ok()
                .filter(|own| !own.as_os_str().is_empty());
            let name = own.or(file.file_name().map(Path::new)).unwrap_or(&file);
            named.push((name.display().to_string(), file.clone()));
        }
    }
    let mut files: Vec<ContentFile> = named
        .into_par_iter()
        .map(|(name, path)| {
            let (sha256, n_bytes) = hashed(&path).map_err(|error| AuditError::Read {
                path,
                why: error.to_string(),
            })?;
            Ok(ContentFile {
                name,
                n_bytes,
                sha256,
            })
        })
        .collect::<Result<_, AuditError>>()?;
    files.sort();
    let lines: String = files
        .iter()
        .map(|file| format!("{}  {}\n", file.sha256, file.name))
        .collect();
    Ok(Content {
        sha256: hex(&Sha256::digest(lines.as_bytes())),
        files,
    })
}

fn hashed(path: &Path) -> std::io::Result<(String, u64)> {
    let mut file = if is_remote(path) {
        fetched(path, &std::env::temp_dir())?
    } else {
        File::open(path)?
    };
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    let mut n_bytes = 0;
    loop {
        let n_read = file.read(&mut buffer)?;
        if n_read == 0 {
            return Ok((hex(&hash.finalize()), n_bytes));
        }
        hash.update(&buffer[..n_read]);
        n_bytes += n_read as u64;
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hashes are those of `sha256sum`.
    #[test]
    fn is_the_same_wherever_it_lies() {
        let folder = tempfile::tempdir().expect("a folder");
        let of = |place: &str, text: &str| {
            let data = folder.path().join(place);
            std::fs::create_dir_all(data.join("sub")).expect("is made");
            std::fs::write(data.join("b.txt"), "abc").expect("writes");
            std::fs::write(data.join("sub/a.bin"), text).expect("writes");
            content(&[data]).expect("reads")
        };
        let one = of("here", "");
        assert_eq!(
            one.files[0].sha256,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(
            one.files[1].sha256,
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(
            (one.files[0].name.as_str(), one.files[1].name.as_str()),
            ("b.txt", "sub/a.bin")
        );
        assert_eq!(one, of("there", ""));
        assert_ne!(one.sha256, of("there", "x").sha256);
    }
}
