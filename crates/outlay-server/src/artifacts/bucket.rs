//! Files in a bucket of an S3-compatible store.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutPayload};

use super::{ArtifactError, BucketOptions, ByteStream, Entry};

/// Bytes of a part of an upload; a store takes ten thousand at most, and none but the last below 5 MiB.
const PART_BYTES: usize = 16 << 20;

/// How long a store may take to say whether a bucket is there.
const CHECK: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(super) struct Bucket {
    store: AmazonS3,
    prefix: Vec<String>,
    /// Uploads in parts: our name, the file and the store's own name.
    uploads: Mutex<HashMap<String, (Path, String)>>,
}

fn failed(error: Error) -> ArtifactError {
    match error {
        Error::NotFound { path, .. } => ArtifactError::Missing(path),
        other => ArtifactError::Failed(other.to_string()),
    }
}

/// Why a file could not be written: that something was not found is then said of the bucket.
fn not_written(error: &Error) -> ArtifactError {
    ArtifactError::Failed(error.to_string())
}

impl Bucket {
    pub(super) fn new(url: &str, options: BucketOptions) -> Result<Self, ArtifactError> {
        // Once for the process; whoever came first has chosen the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let rest = url.strip_prefix("s3://").ok_or(ArtifactError::Path)?;
        let prefix = rest.split_once('/').map_or("", |(_, prefix)| prefix);
        let prefix = super::names(prefix)?
            .into_iter()
            .map(str::to_owned)
            .collect();
        let mut builder = AmazonS3Builder::new().with_url(url);
        for (name, value) in options {
            let key: AmazonS3ConfigKey = name
                .to_ascii_lowercase()
                .parse()
                .map_err(|error| ArtifactError::Failed(format!("option `{name}`: {error}")))?;
            builder = builder.with_config(key, value);
        }
        Ok(Self {
            store: builder.build().map_err(failed)?,
            prefix,
            uploads: Mutex::new(HashMap::new()),
        })
    }

    /// Asks for the first of its files.
    pub(super) async fn check(&self) -> Result<(), ArtifactError> {
        let path = self.path(&[]);
        let mut listed = self.store.list(Some(&path));
        match tokio::time::timeout(CHECK, listed.next()).await {
            Ok(None | Some(Ok(_))) => Ok(()),
            Ok(Some(Err(error))) => Err(not_written(&error)),
            Err(_) => Err(ArtifactError::Failed(format!(
                "no answer within {} seconds",
                CHECK.as_secs()
            ))),
        }
    }

    fn path(&self, names: &[&str]) -> Path {
        let prefix = self.prefix.iter().map(String::as_str);
        Path::from_iter(prefix.chain(names.iter().copied()))
    }

    pub(super) async fn list(&self, names: &[&str]) -> Result<Vec<Entry>, ArtifactError> {
        let path = self.path(names);
        let listed = self
            .store
            .list_with_delimiter(Some(&path))
            .await
            .map_err(failed)?;
        let plain = |path: &Path| {
            let name = path.filename().unwrap_or_default();
            percent_encoding::percent_decode_str(name)
                .decode_utf8_lossy()
                .into_owned()
        };
        let folders = listed.common_prefixes.iter().map(|path| Entry {
            name: plain(path),
            n_bytes: None,
        });
        let files = listed.objects.iter().map(|object| Entry {
            name: plain(&object.location),
            n_bytes: Some(object.size),
        });
        Ok(folders.chain(files).collect())
    }

    pub(super) async fn read(&self, names: &[&str]) -> Result<(u64, ByteStream), ArtifactError> {
        let found = self.store.get(&self.path(names)).await.map_err(failed)?;
        let n_bytes = found.meta.size;
        let bytes = found.into_stream().map_err(std::io::Error::other);
        Ok((n_bytes, Box::pin(bytes)))
    }

    pub(super) async fn write(
        &self,
        names: &[&str],
        mut bytes: ByteStream,
    ) -> Result<u64, ArtifactError> {
        let path = self.path(names);
        let mut part: Vec<u8> = Vec::new();
        let mut upload: Option<Box<dyn object_store::MultipartUpload>> = None;
        let mut n_bytes = 0;
        let sent = async {
            while let Some(chunk) = bytes.next().await {
                let chunk = chunk.map_err(ArtifactError::BrokenOff)?;
                n_bytes += chunk.len() as u64;
                part.extend_from_slice(&chunk);
                if part.len() >= PART_BYTES {
                    if upload.is_none() {
                        upload = Some(
                            self.store
                                .put_multipart(&path)
                                .await
                                .map_err(|error| not_written(&error))?,
                        );
                    }
                    if let Some(upload) = &mut upload {
                        upload
                            .put_part(std::mem::take(&mut part).into())
                            .await
                            .map_err(|error| not_written(&error))?;
                    }
                }
            }
            match &mut upload {
                None => {
                    let whole = PutPayload::from(std::mem::take(&mut part));
                    self.store
                        .put(&path, whole)
                        .await
                        .map_err(|error| not_written(&error))?;
                }
                Some(upload) => {
                    if !part.is_empty() {
                        upload
                            .put_part(std::mem::take(&mut part).into())
                            .await
                            .map_err(|error| not_written(&error))?;
                    }
                    upload
                        .complete()
                        .await
                        .map_err(|error| not_written(&error))?;
                }
            }
            Ok(n_bytes)
        };
        let sent = sent.await;
        if let (Err(_), Some(upload)) = (&sent, &mut upload) {
            let _ = upload.abort().await;
        }
        sent
    }

    pub(super) async fn remove(&self, names: &[&str]) -> Result<(), ArtifactError> {
        let path = self.path(names);
        let below: Vec<Path> = self
            .store
            .list(Some(&path))
            .map_ok(|object| object.location)
            .try_collect()
            .await
            .map_err(failed)?;
        for file in below.iter().chain([&path]) {
            match self.store.delete(file).await {
                Ok(()) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(())
    }

    fn upload(&self, id: &str) -> Result<(Path, String), ArtifactError> {
        let uploads = self.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        let found = uploads.get(id).cloned();
        found.ok_or_else(|| ArtifactError::NoUpload(id.to_owned()))
    }

    pub(super) async fn begin_parts(
        &self,
        names: &[&str],
        id: String,
    ) -> Result<String, ArtifactError> {
        let path = self.path(names);
        let upload = self
            .store
            .create_multipart(&path)
            .await
            .map_err(|error| not_written(&error))?;
        let mut uploads = self.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        uploads.insert(id.clone(), (path, upload));
        Ok(id)
    }

    pub(super) async fn write_part(
        &self,
        upload: &str,
        number: u32,
        bytes: ByteStream,
    ) -> Result<String, ArtifactError> {
        let (path, multipart) = self.upload(upload)?;
        let index = usize::try_from(number)
            .ok()
            .and_then(|number| number.checked_sub(1));
        let index = index.ok_or_else(|| ArtifactError::NoUpload(upload.to_owned()))?;
        let chunks: Vec<Bytes> = bytes
            .try_collect()
            .await
            .map_err(ArtifactError::BrokenOff)?;
        let payload = PutPayload::from_iter(chunks);
        let part = self
            .store
            .put_part(&path, &multipart, index, payload)
            .await
            .map_err(failed)?;
        Ok(part.content_id)
    }

    pub(super) async fn complete_parts(
        &self,
        names: &[&str],
        upload: &str,
        parts: &[(u32, String)],
    ) -> Result<(), ArtifactError> {
        let (path, multipart) = self.upload(upload)?;
        if path != self.path(names) {
            return Err(ArtifactError::NoUpload(upload.to_owned()));
        }
        let mut parts = parts.to_vec();
        parts.sort();
        let ids = parts
            .into_iter()
            .map(|(_, content_id)| PartId { content_id })
            .collect();
        self.store
            .complete_multipart(&path, &multipart, ids)
            .await
            .map_err(failed)?;
        self.forget(upload);
        Ok(())
    }

    pub(super) async fn abort_parts(&self, upload: &str) -> Result<(), ArtifactError> {
        let (path, multipart) = self.upload(upload)?;
        self.store
            .abort_multipart(&path, &multipart)
            .await
            .map_err(failed)?;
        self.forget(upload);
        Ok(())
    }

    fn forget(&self, upload: &str) {
        let mut uploads = self.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        uploads.remove(upload);
    }
}
