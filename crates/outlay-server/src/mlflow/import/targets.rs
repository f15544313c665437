//! Which number and name an experiment gets in the ledger.

use outlay_ledger::{Ledger, LedgerError, RunQuery, View};

use super::super::things::{EXPERIMENT, Experiment, all};

/// The kind of the documents that say which experiment of a source became which of the ledger.
pub(super) const IMPORTED: &str = "mlflow import";

/// The number and name of the experiment that is always there.
const DEFAULT: i64 = 0;
const DEFAULT_NAME: &str = "Default";

/// Where an experiment goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub id: i64,
    pub name: String,
    /// Whether it is made by the import; otherwise it is there, and what it lacks is added.
    pub is_new: bool,
}

/// What was given out so far; in a dry run nothing else remembers it.
#[derive(Debug, Default)]
pub(super) struct Planned {
    pub given: Vec<(i64, String)>,
}

/// What tells an experiment of a source from all others, as long as it lives: its number and when it was made.
pub(super) fn identity(experiment: &Experiment) -> String {
    match experiment.created_ms {
        // Before 2022, MLflow did not keep when.
        0 => format!("{}//{}", experiment.id, experiment.name),
        created_ms => format!("{}/{created_ms}", experiment.id),
    }
}

/// What the ledger holds of experiments.
#[derive(Debug, Default)]
pub(super) struct There {
    pub ids_and_names: Vec<(i64, String)>,
    /// The experiment that an earlier import made of this one.
    pub known: Option<i64>,
    /// Whether runs are in the experiment that is always there.
    pub default_is_used: bool,
}

pub(super) async fn there(
    ledger: &Ledger,
    found: &Experiment,
    planned: &Planned,
) -> Result<There, LedgerError> {
    let experiments: Vec<Experiment> = all(ledger, EXPERIMENT, Some(""), None).await?;
    let mut ids_and_names: Vec<(i64, String)> = experiments
        .into_iter()
        .map(|experiment| (experiment.id, experiment.name))
        .collect();
    ids_and_names.extend(planned.given.iter().cloned());
    let known: Vec<i64> = all(ledger, IMPORTED, Some(""), Some(&identity(found))).await?;
    let of_default = RunQuery {
        experiment_ids: Some(vec![DEFAULT]),
        view: View::All,
        limit: 1,
        ..RunQuery::default()
    };
    Ok(There {
        ids_and_names,
        known: known.first().copied(),
        default_is_used: !ledger.find_runs(&of_default).await?.is_empty(),
    })
}

/// The rule: what was imported before is added to; numbers and names are kept where they are free; the experiment
/// that is always there takes in the source's own; any other gets the next free number, or `(imported)` behind its
/// name.
pub(super) fn target(there: &There, found: &Experiment, numbers: &[i64]) -> Target {
    let name_of = |id: i64| {
        let found = there.ids_and_names.iter().find(|(other, _)| *other == id);
        found.map(|(_, name)| name.clone())
    };
    if let Some(id) = there.known {
        let name = name_of(id).unwrap_or_else(|| found.name.clone());
        return Target {
            id,
            name,
            is_new: false,
        };
    }
    let is_free = |id: i64| name_of(id).is_none() && (id != DEFAULT || !there.default_is_used);
    if found.id == DEFAULT && found.name == DEFAULT_NAME && !is_free(DEFAULT) {
        return Target {
            id: DEFAULT,
            name: name_of(DEFAULT).unwrap_or_else(|| DEFAULT_NAME.to_owned()),
            is_new: false,
        };
    }
    let id = if is_free(found.id) {
        found.id
    } else {
        let taken = there.ids_and_names.iter().map(|(id, _)| *id);
        taken
            .chain(numbers.iter().copied())
            .max()
            .unwrap_or(DEFAULT)
            .saturating_add(1)
    };
    let is_taken = |name: &str| {
        // The experiment that is always there has its name, unless it was given another one.
        let is_default = name == DEFAULT_NAME && id != DEFAULT && name_of(DEFAULT).is_none();
        is_default || there.ids_and_names.iter().any(|(_, other)| other == name)
    };
    let mut name = found.name.clone();
    let mut n = 1;
    while is_taken(&name) {
        name = match n {
            1 => format!("{} (imported)", found.name),
            n => format!("{} (imported {n})", found.name),
        };
        n += 1;
    }
    Target {
        id,
        name,
        is_new: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(id: i64, name: &str) -> Experiment {
        Experiment {
            id,
            name: name.to_owned(),
            artifact_location: String::new(),
            deleted: false,
            created_ms: 7,
            updated_ms: 7,
            tags: Default::default(),
        }
    }

    fn goes(
        there: &[(i64, &str)],
        default_is_used: bool,
        id: i64,
        name: &str,
    ) -> (i64, String, bool) {
        let there = There {
            ids_and_names: there
                .iter()
                .map(|(id, name)| (*id, (*name).to_owned()))
                .collect(),
            known: None,
            default_is_used,
        };
        let target = target(&there, &found(id, name), &[0, 1, 5]);
        (target.id, target.name, target.is_new)
    }

    #[test]
    fn numbers_and_names_are_kept_where_they_are_free() {
        let new = |id: i64, name: &str| (id, name.to_owned(), true);
        let empty: &[(i64, &str)] = &[];
        assert_eq!(goes(empty, false, 0, "Default"), new(0, "Default"));
        assert_eq!(goes(empty, false, 0, "renamed"), new(0, "renamed"));
        assert_eq!(
            goes(empty, true, 0, "Default"),
            (0, "Default".to_owned(), false)
        );
        assert_eq!(goes(empty, true, 0, "renamed"), new(6, "renamed"));
        assert_eq!(goes(empty, false, 5, "bert"), new(5, "bert"));
        assert_eq!(
            goes(empty, false, 5, "Default"),
            new(5, "Default (imported)")
        );
        let there = &[(1, "bert"), (9, "bert (imported)")];
        assert_eq!(goes(there, false, 1, "gpt"), new(10, "gpt"));
        assert_eq!(goes(there, false, 5, "bert"), new(5, "bert (imported 2)"));
        assert_eq!(
            goes(&[(0, "mine")], false, 0, "Default"),
            (0, "mine".to_owned(), false)
        );
    }

    #[test]
    fn what_was_imported_before_is_added_to() {
        let there = There {
            ids_and_names: vec![(9, "new name".to_owned())],
            known: Some(9),
            default_is_used: true,
        };
        let target = target(&there, &found(1, "old name"), &[]);
        assert_eq!(
            (target.id, target.name.as_str(), target.is_new),
            (9, "new name", false)
        );
    }
}
