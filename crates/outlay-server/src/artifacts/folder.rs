//! Files in a folder of this machine.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Bytes;
use futures_util::{StreamExt, stream};
use tokio::fs::{self, File};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{ArtifactError, ByteStream, Entry};

/// How names begin that are not of files, but of what is not whole yet.
pub(super) const ASIDE: &str = ".outlay-aside-";

/// Bytes read at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// Most parts of one upload.
const PARTS: u32 = 10_000;

#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    n_aside: AtomicU64,
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it is what map_err hands over"
)]
fn failed(error: std::io::Error) -> ArtifactError {
    match error.kind() {
        ErrorKind::StorageFull => ArtifactError::Full,
        _ => ArtifactError::Failed(error.to_string()),
    }
}

impl Folder {
    pub(super) fn new(root: PathBuf) -> Self {
        Self {
            root,
            n_aside: AtomicU64::new(0),
        }
    }

    /// The place of a path, as long as no link leads out of the root.
    async fn place(&self, names: &[&str]) -> Result<PathBuf, ArtifactError> {
        let mut place = self.root.clone();
        place.extend(names);
        // The nearest folder that is there says where the path really leads.
        let Ok(root) = fs::canonicalize(&self.root).await else {
            return Ok(place);
        };
        for part in place.ancestors() {
            match fs::canonicalize(part).await {
                Ok(real) if real.starts_with(&root) => return Ok(place),
                Ok(_) => return Err(ArtifactError::Path),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    // A link that leads nowhere is no file either.
                    if fs::symlink_metadata(part).await.is_ok() {
                        return Err(ArtifactError::Path);
                    }
                }
                Err(error) if error.kind() == ErrorKind::NotADirectory => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(place)
    }

    pub(super) async fn list(&self, names: &[&str]) -> Result<Vec<Entry>, ArtifactError> {
        let place = self.place(names).await?;
        let mut folder = match fs::read_dir(&place).await {
            Ok(folder) => folder,
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Ok(Vec::new());
            }
            Err(error) => return Err(failed(error)),
        };
        let mut entries = Vec::new();
        while let Some(entry) = folder.next_entry().await.map_err(failed)? {
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let Ok(metadata) = entry.metadata().await else {
                continue;
            };
            if name.starts_with(ASIDE) || metadata.is_symlink() {
                continue;
            }
            entries.push(Entry {
                name,
                n_bytes: metadata.is_file().then_some(metadata.len()),
            });
        }
        Ok(entries)
    }

    pub(super) async fn read(&self, names: &[&str]) -> Result<(u64, ByteStream), ArtifactError> {
        let place = self.place(names).await?;
        let missing = || ArtifactError::Missing(names.join("/"));
        let file = match File::open(&place).await {
            Ok(file) => file,
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Err(missing());
            }
            Err(error) => return Err(failed(error)),
        };
        let metadata = file.metadata().await.map_err(failed)?;
        if !metadata.is_file() {
            return Err(missing());
        }
        // As many bytes as it has now: one that grows meanwhile would not fit the length that was announced.
        let bytes = stream::unfold(file.take(metadata.len()), |mut file| async move {
            let mut chunk = vec![0; CHUNK_BYTES];
            match file.read(&mut chunk).await {
                Ok(0) => None,
                Ok(n_bytes) => {
                    chunk.truncate(n_bytes);
                    Some((Ok(Bytes::from(chunk)), file))
                }
                Err(error) => Some((Err(error), file)),
            }
        });
        Ok((metadata.len(), Box::pin(bytes)))
    }

    /// Writes bytes aside, on the disk before it returns.
    async fn write_aside(&self, aside: &Path, mut bytes: ByteStream) -> Result<u64, ArtifactError> {
        let written = async {
            let mut file = File::create(aside).await.map_err(failed)?;
            let mut n_bytes = 0;
            while let Some(chunk) = bytes.next().await {
                let chunk = chunk.map_err(ArtifactError::BrokenOff)?;
                n_bytes += chunk.len() as u64;
                file.write_all(&chunk).await.map_err(failed)?;
            }
            file.flush().await.map_err(failed)?;
            file.sync_all().await.map_err(failed)?;
            Ok(n_bytes)
        };
        let written = written.await;
        if written.is_err() {
            let _ = fs::remove_file(aside).await;
        }
        written
    }

    /// A name in the root for what is not whole yet.
    async fn aside(&self) -> Result<PathBuf, ArtifactError> {
        fs::create_dir_all(&self.root).await.map_err(failed)?;
        let n = self.n_aside.fetch_add(1, Ordering::Relaxed);
        Ok(self.root.join(format!("{ASIDE}{}-{n}", std::process::id())))
    }

    /// Gives a file that lies aside its name.
    async fn put_in_place(&self, aside: &Path, names: &[&str]) -> Result<(), ArtifactError> {
        let place = self.place(names).await?;
        let parent = place.parent().unwrap_or(&self.root).to_path_buf();
        let moved = async {
            fs::create_dir_all(&parent).await?;
            fs::rename(aside, &place).await?;
            // The name as well is to outlive the machine's power.
            File::open(&parent).await?.sync_all().await
        };
        let moved: std::io::Result<()> = moved.await;
        if let Err(error) = moved {
            let _ = fs::remove_file(aside).await;
            return Err(match error.kind() {
                ErrorKind::IsADirectory | ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
                    ArtifactError::Path
                }
                _ => failed(error),
            });
        }
        Ok(())
    }

    pub(super) async fn write(
        &self,
        names: &[&str],
        bytes: ByteStream,
    ) -> Result<u64, ArtifactError> {
        self.place(names).await?;
        let aside = self.aside().await?;
        let n_bytes = self.write_aside(&aside, bytes).await?;
        self.put_in_place(&aside, names).await?;
        Ok(n_bytes)
    }

    pub(super) async fn remove(&self, names: &[&str]) -> Result<(), ArtifactError> {
        let place = self.place(names).await?;
        let removed = match fs::symlink_metadata(&place).await {
            Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(&place).await,
            Ok(_) => fs::remove_file(&place).await,
            Err(error) => Err(error),
        };
        match removed {
            Err(error)
                if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                Err(failed(error))
            }
            _ => Ok(()),
        }
    }

    /// The folder of an upload's parts. Its name comes from a client.
    fn parts(&self, upload: &str) -> Result<PathBuf, ArtifactError> {
        if upload.is_empty() || !upload.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(ArtifactError::NoUpload(upload.to_owned()));
        }
        Ok(self.root.join(format!("{ASIDE}{upload}")))
    }

    pub(super) async fn begin_parts(&self, id: String) -> Result<String, ArtifactError> {
        fs::create_dir_all(self.parts(&id)?).await.map_err(failed)?;
        Ok(id)
    }

    pub(super) async fn write_part(
        &self,
        upload: &str,
        number: u32,
        bytes: ByteStream,
    ) -> Result<String, ArtifactError> {
        let folder = self.parts(upload)?;
        if !(1..=PARTS).contains(&number) || fs::metadata(&folder).await.is_err() {
            return Err(ArtifactError::NoUpload(upload.to_owned()));
        }
        let n_bytes = self
            .write_aside(&folder.join(number.to_string()), bytes)
            .await?;
        Ok(format!("{number}-{n_bytes}"))
    }

    pub(super) async fn complete_parts(
        &self,
        names: &[&str],
        upload: &str,
        parts: &[(u32, String)],
    ) -> Result<(), ArtifactError> {
        let folder = self.parts(upload)?;
        let mut numbers: Vec<u32> = parts.iter().map(|(number, _)| *number).collect();
        numbers.sort_unstable();
        let aside = self.aside().await?;
        let joined = async {
            let mut whole = File::create(&aside).await?;
            for number in numbers {
                let mut part = File::open(folder.join(number.to_string())).await?;
                tokio::io::copy(&mut part, &mut whole).await?;
            }
            whole.flush().await?;
            whole.sync_all().await
        };
        let joined: std::io::Result<()> = joined.await;
        if let Err(error) = joined {
            let _ = fs::remove_file(&aside).await;
            return Err(match error.kind() {
                ErrorKind::NotFound => ArtifactError::NoUpload(upload.to_owned()),
                _ => failed(error),
            });
        }
        self.put_in_place(&aside, names).await?;
        self.abort_parts(upload).await
    }

    pub(super) async fn abort_parts(&self, upload: &str) -> Result<(), ArtifactError> {
        match fs::remove_dir_all(self.parts(upload)?).await {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(error)),
            _ => Ok(()),
        }
    }
}
