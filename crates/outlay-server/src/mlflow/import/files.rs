//! The files of what is imported: copied to where the server keeps files, or left where they are.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use axum::body::Bytes;
use futures_util::stream;
use tokio::io::AsyncReadExt;

use super::super::files::kept_path;
use super::ImportError;
use crate::artifacts::{ArtifactError, Artifacts, ByteStream, names};

/// Bytes read at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// How deep folders are followed.
const DEPTH: usize = 64;

/// Addresses that were given new ones.
#[derive(Debug, Default)]
pub(super) struct Moved(HashMap<String, String>);

impl Moved {
    pub(super) fn add(&mut self, from: &str, to: &str) {
        let from = from.trim_end_matches('/');
        if !from.is_empty() && from != to {
            self.0.insert(from.to_owned(), to.to_owned());
        }
    }

    /// The new address of one that was moved, or that lies below one that was.
    pub(super) fn address(&self, uri: &str) -> Option<String> {
        let mut end = uri.len();
        loop {
            if let Some(to) = self.0.get(&uri[..end]) {
                return Some(format!("{to}{}", &uri[end..]));
            }
            end = uri[..end].rfind('/')?;
        }
    }
}

/// The folder of this machine that an address means; `None` where the files are elsewhere.
pub(super) fn local(uri: &str, base: &Path, mlartifacts: Option<&Path>) -> Option<PathBuf> {
    let plain = |text: &str| {
        percent_encoding::percent_decode_str(text)
            .decode_utf8_lossy()
            .into_owned()
    };
    let is_scheme = |text: &str| {
        text.len() > 1
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    };
    match uri.split_once(':') {
        Some(("mlflow-artifacts", _)) => {
            let path = kept_path(uri).ok()?;
            Some(mlartifacts?.join(path))
        }
        Some(("file", rest)) => {
            let path = match rest.strip_prefix("//") {
                Some(rest) => rest.strip_prefix("localhost").unwrap_or(rest),
                None => rest,
            };
            // Another machine's.
            (!rest.starts_with("//") || path.starts_with('/')).then(|| base.join(plain(path)))
        }
        Some((scheme, _)) if is_scheme(scheme) => None,
        _ if uri.is_empty() => None,
        _ => Some(base.join(uri)),
    }
}

/// Files and bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Copied {
    pub files: u64,
    pub bytes: u64,
}

/// Copies a folder with all that is in it; with `only_count`, nothing is written.
///
/// A file that is there with as many bytes was copied before. Links are not followed.
pub(super) async fn copy(
    store: &Artifacts,
    from: &Path,
    to: &str,
    only_count: bool,
    findings: &mut Vec<String>,
) -> Result<Copied, ImportError> {
    let mut copied = Copied::default();
    let mut left = vec![(from.to_path_buf(), to.trim_matches('/').to_owned(), 0)];
    while let Some((folder, path, depth)) = left.pop() {
        let fail = |error: std::io::Error| ImportError::Source {
            path: folder.display().to_string(),
            why: error.to_string(),
        };
        let there: HashMap<String, Option<u64>> = match store.list(&path).await {
            Ok(entries) => entries
                .into_iter()
                .map(|entry| (entry.name, entry.n_bytes))
                .collect(),
            Err(_) => HashMap::new(),
        };
        let mut entries = tokio::fs::read_dir(&folder).await.map_err(fail)?;
        while let Some(entry) = entries.next_entry().await.map_err(fail)? {
            let kind = entry.file_type().await.map_err(fail)?;
            let place = entry.path();
            let mut skip =
                |why: &str| findings.push(format!("{}: not copied: {why}", place.display()));
            let Ok(name) = entry.file_name().into_string() else {
                skip("its name is no text");
                continue;
            };
            let to = format!("{path}/{name}");
            if names(&to).is_err() {
                skip("its name cannot be kept");
            } else if kind.is_dir() && depth < DEPTH {
                left.push((place, to, depth + 1));
            } else if kind.is_file() {
                let n_bytes = entry.metadata().await.map_err(fail)?.len();
                copied.files += 1;
                copied.bytes += n_bytes;
                if !only_count && there.get(&name) != Some(&Some(n_bytes)) {
                    write(store, &place, &to).await?;
                }
            } else {
                skip("it is a link, or no file");
            }
        }
    }
    Ok(copied)
}

async fn write(store: &Artifacts, from: &Path, to: &str) -> Result<(), ImportError> {
    let fail = |why: ArtifactError| ImportError::File {
        path: from.display().to_string(),
        why,
    };
    let file = tokio::fs::File::open(from)
        .await
        .map_err(|error| fail(ArtifactError::Failed(error.to_string())))?;
    let bytes = stream::unfold(Some(file), |file| async move {
        let mut file = file?;
        let mut chunk = vec![0; CHUNK_BYTES];
        match file.read(&mut chunk).await {
            Ok(0) => None,
            Ok(n_bytes) => {
                chunk.truncate(n_bytes);
                Some((Ok(Bytes::from(chunk)), Some(file)))
            }
            Err(error) => Some((Err(error), None)),
        }
    });
    let bytes: ByteStream = Box::pin(bytes);
    store.write(to, bytes).await.map_err(fail)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_this_machine_are_folders() {
        let at = |uri: &str| {
            local(uri, Path::new("/base"), Some(Path::new("/kept")))
                .map(|path| path.display().to_string())
        };
        assert_eq!(at("/a/b").as_deref(), Some("/a/b"));
        assert_eq!(at("./mlruns/0").as_deref(), Some("/base/./mlruns/0"));
        assert_eq!(at("file:///a/b%20c").as_deref(), Some("/a/b c"));
        assert_eq!(
            at("mlflow-artifacts:/0/r/artifacts").as_deref(),
            Some("/kept/0/r/artifacts")
        );
        assert_eq!(
            at("mlflow-artifacts://host:5000/0/r").as_deref(),
            Some("/kept/0/r")
        );
        for elsewhere in [
            "s3://b/x",
            "file://nas/x",
            "mlflow-artifacts:/../x",
            "",
            "dbfs:/x",
        ] {
            assert_eq!(at(elsewhere), None, "{elsewhere}");
        }
    }

    #[test]
    fn what_lies_below_a_moved_place_moves_with_it() {
        let mut moved = Moved::default();
        moved.add("/m/0/r/artifacts", "mlflow-artifacts:/0/r/artifacts");
        assert_eq!(
            moved.address("/m/0/r/artifacts").as_deref(),
            Some("mlflow-artifacts:/0/r/artifacts")
        );
        assert_eq!(
            moved.address("/m/0/r/artifacts/model/x").as_deref(),
            Some("mlflow-artifacts:/0/r/artifacts/model/x")
        );
        assert_eq!(moved.address("/m/0/r/artifacts2"), None);
        assert_eq!(moved.address("models:/m-1"), None);
    }
}
