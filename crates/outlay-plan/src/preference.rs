//! Preference tuning: which passes each way adds to a step of supervised tuning.

use outlay_model::Model;

/// Ways of tuning on what people prefer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preference {
    /// Direct preference optimization (arXiv:2305.18290): pairs, and a reference model that sees each answer.
    Dpo,
    /// Identity preference optimization (arXiv:2310.12036): the same passes under another loss.
    Ipo,
    /// Kahneman-Tversky optimization (arXiv:2402.01306): single answers, a reference model, and for its estimate of the
    /// divergence both models once more on mismatched answers, without gradients (section 4.1).
    Kto,
    /// Odds-ratio preference optimization (arXiv:2403.07691): pairs alone.
    Orpo,
    /// Simple preference optimization (arXiv:2405.14734): pairs alone.
    Simpo,
}

impl Preference {
    /// Every way, in the order of help texts.
    pub const ALL: [Self; 5] = [Self::Dpo, Self::Ipo, Self::Kto, Self::Orpo, Self::Simpo];

    /// The name that people type.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dpo => "dpo",
            Self::Ipo => "ipo",
            Self::Kto => "kto",
            Self::Orpo => "orpo",
            Self::Simpo => "simpo",
        }
    }

    /// Reads a name; `None` where it is not one of [`Self::ALL`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|preference| preference.name().eq_ignore_ascii_case(name.trim()))
    }

    /// Whether its data are pairs of a preferred and a rejected answer.
    pub fn compares(self) -> bool {
        self != Self::Kto
    }

    /// Adds the passes of a step that run forward alone; gives a sentence about them. `held` says whether the reference has
    /// weights of its own: with adapters it is the same weights without them.
    ///
    /// ```
    /// let base = outlay_model::find("llama-3.1-8b").unwrap().model().unwrap();
    /// let blocks = |preference: outlay_plan::Preference| {
    ///     let mut model = base.clone();
    ///     preference.add_passes(&mut model, true);
    ///     model.blocks.len() / base.blocks.len()
    /// };
    /// // The model itself; with its reference; with that twice and itself once more.
    /// assert_eq!(blocks(outlay_plan::Preference::Simpo), 1);
    /// assert_eq!(blocks(outlay_plan::Preference::Dpo), 2);
    /// assert_eq!(blocks(outlay_plan::Preference::Kto), 4);
    /// ```
    pub fn add_passes(self, model: &mut Model, held: bool) -> String {
        let weights = if held {
            ", and its weights are held"
        } else {
            ": the same weights without their adapters"
        };
        let policy = model.clone();
        match self {
            Self::Orpo | Self::Simpo => {
                format!(
                    "{} compares the answers of a pair, and has no reference model.",
                    self.name().to_uppercase()
                )
            }
            Self::Dpo | Self::Ipo => {
                model.add_forward(&policy, "reference", held);
                let source = if self == Self::Dpo {
                    "arXiv:2305.18290"
                } else {
                    "arXiv:2310.12036"
                };
                format!("A reference model runs forward for every answer ({source}){weights}.")
            }
            Self::Kto => {
                model.add_forward(&policy, "reference", held);
                model.add_forward(&policy, "reference on other answers", false);
                model.add_forward(&policy, "model on other answers", false);
                format!(
                    "A reference model runs forward for every answer{weights}; for the divergence both run once more on answers of other prompts (arXiv:2402.01306)."
                )
            }
        }
    }
}
