//! Registered models and their versions.

use outlay_ledger::{Fault, Ledger};

use super::super::things::{
    MODEL_ID, MODEL_VERSION, ModelVersion, REGISTERED_MODEL, RegisteredModel, all, version_id,
};
use super::files::Moved;
use super::{ImportError, RegisteredReport};

/// Brings a model over, with its versions, or refuses it as a whole.
pub(super) async fn import(
    ledger: &Ledger,
    model: RegisteredModel,
    mut versions: Vec<ModelVersion>,
    moved: &Moved,
    dry_run: bool,
) -> Result<RegisteredReport, ImportError> {
    for version in &mut versions {
        for address in [&mut version.source, &mut version.storage_location] {
            if let Some(new) = moved.address(address) {
                *address = new;
            }
        }
    }
    let name = model.name.clone();
    let report = |outcome, why, versions: usize| RegisteredReport {
        name: name.clone(),
        outcome,
        why,
        versions: versions as u64,
    };
    if dry_run {
        let found: Vec<RegisteredModel> =
            all(ledger, REGISTERED_MODEL, Some(&name), Some(MODEL_ID)).await?;
        let there: Vec<ModelVersion> = all(ledger, MODEL_VERSION, Some(&name), None).await?;
        return Ok(match found.first() {
            Some(other) if other.created_ms != model.created_ms => {
                report("refused", Some(is_another(&name)), 0)
            }
            Some(_) => {
                versions.retain(|one| !there.iter().any(|other| other.version == one.version));
                report("there", None, versions.len())
            }
            None => report("new", None, versions.len()),
        });
    }
    let shelves = [
        (REGISTERED_MODEL, name.as_str()),
        (MODEL_VERSION, name.as_str()),
    ];
    let written = ledger.edit(&shelves, move |drawer| {
        let there: Option<RegisteredModel> = drawer.get(REGISTERED_MODEL, &model.name, MODEL_ID)?;
        let is_new = there.is_none();
        let mut kept = there.unwrap_or_else(|| model.clone());
        if kept.created_ms != model.created_ms {
            return Err(Fault::Exists(is_another(&model.name)));
        }
        for (key, value) in model.tags {
            kept.tags.entry(key).or_insert(value);
        }
        for (alias, version) in model.aliases {
            kept.aliases.entry(alias).or_insert(version);
        }
        let mut n_versions = 0;
        for version in versions {
            let id = version_id(version.version);
            let there: Option<ModelVersion> = drawer.get(MODEL_VERSION, &kept.name, &id)?;
            // A number at or below the highest that ever was, and that is not there, was deleted here.
            if there.is_none() && (is_new || version.version > kept.last_version) {
                drawer.put(MODEL_VERSION, &kept.name, &id, &version)?;
                n_versions += 1;
            }
        }
        kept.last_version = kept.last_version.max(model.last_version);
        drawer.put(REGISTERED_MODEL, &kept.name, MODEL_ID, &kept)?;
        Ok((is_new, n_versions))
    });
    match written.await {
        Ok((is_new, n_versions)) => Ok(report(
            if is_new { "new" } else { "there" },
            None,
            n_versions,
        )),
        Err(error) if matches!(error.fault, Fault::Exists(_) | Fault::Input(_)) => {
            Ok(report("refused", Some(error.fault.to_string()), 0))
        }
        Err(error) => Err(error.into()),
    }
}

fn is_another(name: &str) -> String {
    format!(
        "a registered model `{name}` is in the ledger already, and was made at another time: rename one of them"
    )
}
