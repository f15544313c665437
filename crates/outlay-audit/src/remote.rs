//! Files that lie elsewhere: in buckets, and at addresses of the web. They are copied to a working file, one at a time.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use futures_util::{StreamExt, TryStreamExt};
use object_store::path::Path as Key;
use object_store::{Error, ObjectMeta, ObjectStore, ObjectStoreExt};
use url::Url;

use crate::error::AuditError;
use crate::source::{Listing, Source};

/// What addresses of files elsewhere begin with.
const SCHEMES: [&str; 7] = [
    "s3://", "gs://", "az://", "abfs://", "abfss://", "https://", "http://",
];

/// Whether a path is the address of something elsewhere.
pub(crate) fn is_remote(path: &Path) -> bool {
    path.to_str()
        .is_some_and(|text| SCHEMES.iter().any(|scheme| text.starts_with(scheme)))
}

/// A store, and what an address names in it.
struct Place {
    store: Box<dyn ObjectStore>,
    key: Key,
    /// What stands before keys in addresses.
    before: String,
    is_web: bool,
}

impl Place {
    fn of(address: &str) -> Result<Self, String> {
        // Once for the process; whoever came first has chosen the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let url = Url::parse(address).map_err(|error| error.to_string())?;
        let is_plain = url.scheme() == "http"
            || std::env::var("AWS_ENDPOINT_URL").is_ok_and(|url| url.starts_with("http://"));
        // Keys and regions, under the names that the stores' own tools read; a store passes over those of others.
        let mut options: Vec<(String, String)> = std::env::vars()
            .filter(|(name, _)| {
                ["AWS_", "AZURE_", "GOOGLE_"]
                    .iter()
                    .any(|prefix| name.starts_with(prefix))
            })
            .collect();
        if is_plain {
            options.push(("allow_http".to_owned(), "true".to_owned()));
        }
        let is_web = matches!(url.scheme(), "http" | "https");
        let (store, key) =
            object_store::parse_url_opts(&url, options).map_err(|error| error.to_string())?;
        let before = match address.split_once("://") {
            Some((scheme, rest)) => {
                let host = rest.split('/').next().unwrap_or_default();
                format!("{scheme}://{host}/")
            }
            None => String::new(),
        };
        Ok(Self {
            store,
            key,
            before,
            is_web,
        })
    }
}

fn ask<T>(question: impl Future<Output = T>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(runtime.block_on(question))
}

/// The files that an address names: itself, or those whose names begin with it and a slash, or those of its pattern.
///
/// # Errors
///
/// When the store does not answer, nothing is there, or one file of no known kind is.
pub(crate) fn listing(path: &Path) -> Result<Listing, AuditError> {
    let address = path.to_str().unwrap_or_default();
    let fault = |why: String| AuditError::Read {
        path: path.to_owned(),
        why,
    };
    let is_pattern = address.contains(['*', '[']);
    // A pattern's folder is listed.
    let folder = match address.find(['*', '[']) {
        Some(at) => &address[..=address[..at].rfind('/').unwrap_or(0)],
        None => address,
    };
    let place = Place::of(folder).map_err(fault)?;
    if place.is_web && is_pattern {
        return Err(fault(
            "the web has no lists of files; allowed: the address of each".to_owned(),
        ));
    }
    let found = ask(async {
        if !is_pattern && !folder.ends_with('/') {
            match place.store.head(&place.key).await {
                Ok(one) => return Ok((true, vec![one])),
                Err(Error::NotFound { .. }) if !place.is_web => {}
                Err(error) => return Err(error),
            }
        }
        let mut all: Vec<ObjectMeta> = place.store.list(Some(&place.key)).try_collect().await?;
        all.sort_by(|one, other| one.location.cmp(&other.location));
        Ok((false, all))
    });
    let (is_one, found) = found
        .map_err(|error| fault(error.to_string()))?
        .map_err(|error| fault(error.to_string()))?;
    if is_one && Source::by_name(path).is_none() {
        return Err(AuditError::Kind(path.to_owned()));
    }
    let pattern = glob::Pattern::new(address).map_err(|error| fault(error.to_string()))?;
    let options = glob::MatchOptions {
        require_literal_separator: true,
        ..glob::MatchOptions::default()
    };
    let mut listing = Listing::default();
    for object in found {
        let own = if is_one {
            path.to_owned()
        } else {
            PathBuf::from(format!("{}{}", place.before, object.location))
        };
        if is_pattern && !pattern.matches_path_with(&own, options) {
            continue;
        }
        match Source::by_name(&own) {
            Some((kind, packing)) => listing.sources.push(Source {
                path: own,
                kind,
                packing,
                n_bytes: object.size,
                modified_ns: object
                    .last_modified
                    .timestamp_nanos_opt()
                    .and_then(|at| u64::try_from(at).ok())
                    .unwrap_or(0),
            }),
            None => listing.others.push((own, object.size)),
        }
    }
    if listing.sources.is_empty() && listing.others.is_empty() {
        return Err(fault("nothing is there".to_owned()));
    }
    Ok(listing)
}

/// A copy of a file in a working file without a name.
///
/// # Errors
///
/// When it cannot be fetched, or the disk is full.
pub(crate) fn fetched(path: &Path, folder: &Path) -> io::Result<File> {
    let place = Place::of(path.to_str().unwrap_or_default()).map_err(io::Error::other)?;
    let mut file = tempfile::tempfile_in(folder)?;
    ask(async {
        let mut parts = place
            .store
            .get(&place.key)
            .await
            .map_err(io::Error::other)?
            .into_stream();
        while let Some(part) = parts.next().await {
            file.write_all(&part.map_err(io::Error::other)?)?;
        }
        Ok::<_, io::Error>(())
    })??;
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}
