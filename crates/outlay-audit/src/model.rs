//! Models that say what an example's label ought to be, without having learnt from that example.

use serde::{Deserialize, Serialize};

use crate::features::Features;
use crate::labels::{LabelsError, Probabilities, checked};
use crate::logistic::learn;
use crate::neighbours::votes;
use crate::random::Random;

/// A model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Model {
    /// Multinomial logistic regression: a weight for every class and column.
    ///
    /// The weights' squares are penalised, as strongly as leaves the least loss on the first fold. Columns of dense features
    /// are standardised by the folds that are learnt from.
    #[default]
    Logistic,
    /// So many nearest neighbours by the cosine, whose votes fall with the distance; the example itself has none.
    ///
    /// Columns of dense features are standardised, so that units do not count. All pairs of dense rows are compared:
    /// 20,000 rows of 100 columns take some seconds.
    Neighbours(usize),
}

/// How out-of-fold probabilities are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelSettings {
    /// By which model.
    pub model: Model,
    /// Parts of the data, each of which is judged by a model of all others; two at least.
    pub n_folds: u32,
    /// Which example is in which part.
    pub seed: u64,
}

impl Default for ModelSettings {
    /// Logistic regression of five folds, as many as scikit-learn and cleanlab take by default.
    fn default() -> Self {
        Self {
            model: Model::default(),
            n_folds: 5,
            seed: 0,
        }
    }
}

/// Weights of one model, at most: 256 MiB, some ten of which are at work in a fit.
const WEIGHTS: usize = 1 << 26;

/// Probabilities of all examples together, at most: 4 GiB.
const PROBABILITIES: usize = 1 << 30;

/// What a built-in model says.
#[derive(Clone, Debug, PartialEq)]
pub struct OutOfFold {
    /// Of every example, by a model that did not learn from it.
    pub probabilities: Probabilities,
    /// The inverse strength of the penalty that was chosen, as scikit-learn's `C`, of logistic regression.
    pub strength: Option<f64>,
    /// Whether every fit came to its end within the steps that it has.
    pub is_converged: bool,
}

/// Says of every example how likely each class is, by a built-in model that did not learn from it.
///
/// ```
/// use outlay_audit::{Features, ModelSettings, out_of_fold};
/// let texts: Vec<String> = (0..40).map(|n| format!("{} {n}", if n % 2 == 0 { "a good day" } else { "bad luck" })).collect();
/// let labels: Vec<u32> = (0..40).map(|n| n % 2).collect();
/// let made = out_of_fold(&Features::texts(&texts), &labels, 2, ModelSettings::default())?;
/// assert!((0..40).all(|n| made.probabilities.of(n)[n % 2] > 0.9));
/// # Ok::<(), outlay_audit::LabelsError>(())
/// ```
///
/// # Errors
///
/// When there is not one label for each example, one is no class, or there are too many classes for the memory.
pub fn out_of_fold(
    features: &Features,
    labels: &[u32],
    n_classes: usize,
    settings: ModelSettings,
) -> Result<OutOfFold, LabelsError> {
    checked(labels, features.n_examples(), n_classes)?;
    if n_classes == 0 {
        return Err(LabelsError::Shape {
            what: "classes",
            found: 0,
            expected: 1,
        });
    }
    let most = match settings.model {
        Model::Logistic => {
            (WEIGHTS / (features.n_columns() + 1)).min(PROBABILITIES / labels.len().max(1))
        }
        Model::Neighbours(_) => PROBABILITIES / labels.len().max(1),
    };
    if n_classes > most {
        return Err(LabelsError::Classes { n_classes, most });
    }
    let (values, strength, is_converged) = match settings.model {
        Model::Logistic => {
            let n_folds = settings.n_folds.max(2);
            let folds = folds(labels, n_folds, settings.seed);
            let learnt = learn(features, labels, n_classes, &folds, n_folds);
            (learnt.values, Some(learnt.strength), learnt.is_converged)
        }
        Model::Neighbours(n_neighbours) => {
            (votes(features, labels, n_classes, n_neighbours), None, true)
        }
    };
    // An example that is alone has nothing to be judged by: every class is as likely.
    let mut values = values;
    for row in values.chunks_exact_mut(n_classes) {
        if !row.iter().all(|value| value.is_finite()) || row.iter().all(|value| *value <= 0.0) {
            row.fill(1.0 / n_classes as f32);
        }
    }
    Ok(OutOfFold {
        probabilities: Probabilities::new(n_classes, values)?,
        strength,
        is_converged,
    })
}

/// Deals examples out to folds, from 0, so that each has as many of every label, and of all, give or take one.
///
/// ```
/// let folds = outlay_audit::folds(&[7, 7, 7, 9, 9, 9], 3, 0);
/// assert!((0..3).all(|fold| (0..6).filter(|example| folds[*example] == fold).count() == 2));
/// assert!(folds[0] != folds[1] && folds[1] != folds[2] && folds[2] != folds[0]);
/// ```
#[must_use]
pub fn folds(labels: &[u32], n_folds: u32, seed: u64) -> Vec<u32> {
    let mut order: Vec<u32> = (0..labels.len() as u32).collect();
    Random::new(seed).shuffle(&mut order);
    // The sort is stable: within a label, the order stays as it was drawn.
    order.sort_by_key(|example| labels[*example as usize]);
    let mut folds = vec![0; labels.len()];
    for (at, example) in order.into_iter().enumerate() {
        folds[example as usize] = (at % n_folds.max(1) as usize) as u32;
    }
    folds
}
