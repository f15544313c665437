//! Scaling laws: the loss that a model of so many parameters reaches on so many tokens.
//!
//! `L(N, D) = E + A / N^alpha + B / D^beta`, in nats for each token (arXiv:2203.15556, equation 2). N counts all
//! parameters, embeddings included.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Coefficients of a loss law.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LossLaw {
    /// Loss that no size and no amount of data goes below.
    pub floor: f64,
    /// Weight of the term of parameters.
    pub parameter_weight: f64,
    /// Weight of the term of tokens.
    pub token_weight: f64,
    /// Exponent of parameters.
    pub parameter_exponent: f64,
    /// Exponent of tokens.
    pub token_exponent: f64,
    /// Standard error of the floor; the other coefficients move together, and have no error of their own to use.
    pub floor_error: f64,
}

/// Hoffmann et al.'s measurements fitted anew by Besiroglu et al. 2024 (arXiv:2404.10102, table 1), who show that the
/// published fit contradicts the published rule of about 20 tokens for each parameter.
pub const BESIROGLU_2024: LossLaw = LossLaw {
    floor: 1.8172,
    parameter_weight: 482.01,
    token_weight: 2085.43,
    parameter_exponent: 0.3478,
    token_exponent: 0.3658,
    floor_error: 0.03,
};

/// Hoffmann et al. 2022 as printed (arXiv:2203.15556, equation 10). No standard errors are published: the
/// floor's is that of the refit.
pub const HOFFMANN_2022: LossLaw = LossLaw {
    floor: 1.69,
    parameter_weight: 406.4,
    token_weight: 410.7,
    parameter_exponent: 0.34,
    token_exponent: 0.28,
    floor_error: 0.03,
};

/// Epochs after which repeated tokens have lost most of their worth (R*_D of arXiv:2305.16264, appendix A).
const REPETITION_SCALE: f64 = 15.387_756;

impl LossLaw {
    /// Loss of `parameters` trained on `tokens`, in nats for each token.
    ///
    /// ```
    /// let loss = outlay_plan::BESIROGLU_2024.loss(70e9, 1.4e12);
    /// assert!((loss - 1.973882).abs() < 1e-6);
    /// ```
    pub fn loss(&self, parameters: f64, tokens: f64) -> f64 {
        self.floor
            + self.parameter_weight / parameters.powf(self.parameter_exponent)
            + self.token_weight / tokens.powf(self.token_exponent)
    }

    /// The size and the tokens of least loss at so many FLOPs, `C = 6 N D` (arXiv:2203.15556, equation 4).
    ///
    /// ```
    /// let (parameters, tokens) = outlay_plan::BESIROGLU_2024.optimum(5.76e23);
    /// assert!((parameters / 7.2249e10 - 1.0).abs() < 1e-4 && (tokens / 1.3287e12 - 1.0).abs() < 1e-4);
    /// ```
    pub fn optimum(&self, flops: f64) -> (f64, f64) {
        let (a, b) = (self.parameter_exponent, self.token_exponent);
        let ratio = (a * self.parameter_weight / (b * self.token_weight)).powf(1.0 / (a + b));
        let parameters = ratio * (flops / 6.0).powf(b / (a + b));
        (parameters, flops / 6.0 / parameters)
    }

    /// Tokens on which a model of so many parameters reaches a loss; `None` where no number of them does.
    ///
    /// ```
    /// let law = outlay_plan::BESIROGLU_2024;
    /// let tokens = law.tokens_for(35e9, law.loss(70e9, 1.4e12)).unwrap();
    /// assert!((tokens / 3.64725e+12 - 1.0).abs() < 1e-3);
    /// assert!(law.tokens_for(1e9, law.loss(70e9, 1.4e12)).is_none());
    /// ```
    pub fn tokens_for(&self, parameters: f64, loss: f64) -> Option<f64> {
        let left =
            loss - self.floor - self.parameter_weight / parameters.powf(self.parameter_exponent);
        (left > 0.0).then(|| (self.token_weight / left).powf(1.0 / self.token_exponent))
    }

    /// The size and the tokens that reach `loss` with the least training and inference together,
    /// `6 N D + 2 N D_inference` (Sardana et al. 2024, arXiv:2401.00448); `None` where no size reaches it.
    pub fn optimum_with_inference(&self, loss: f64, inference_tokens: f64) -> Option<(f64, f64)> {
        let tokens_for = |parameters: f64| self.tokens_for(parameters, loss);
        let flops = |log_parameters: f64| {
            let parameters = log_parameters.exp();
            tokens_for(parameters).map_or(f64::INFINITY, |tokens| {
                parameters * (6.0 * tokens + 2.0 * inference_tokens)
            })
        };
        // One valley: a scan finds it, and thirds close in.
        let (least, most) = (1e5f64.ln(), 1e15f64.ln());
        let step = (most - least) / 400.0;
        let start = (0..=400)
            .map(|index| least + f64::from(index) * step)
            .min_by(|a, b| flops(*a).total_cmp(&flops(*b)))?;
        let (mut low, mut high) = (start - step, start + step);
        for _ in 0..80 {
            let (a, b) = (low + (high - low) / 3.0, high - (high - low) / 3.0);
            if flops(a) <= flops(b) {
                high = b;
            } else {
                low = a;
            }
        }
        let parameters = f64::midpoint(low, high).exp();
        tokens_for(parameters).map(|tokens| (parameters, tokens))
    }
}

/// Fresh tokens that `tokens` are worth where only `unique` different ones exist: repeated ones lose their worth
/// exponentially (Muennighoff et al. 2023, arXiv:2305.16264, equation 5).
///
/// ```
/// // Four epochs are worth 3.73 times the data.
/// assert!((outlay_plan::effective_tokens(4e9, 1e9) / 1e9 - 3.7257).abs() < 1e-4);
/// ```
pub fn effective_tokens(tokens: f64, unique: f64) -> f64 {
    if tokens <= unique {
        return tokens;
    }
    let repeats = tokens / unique - 1.0;
    unique * (1.0 + REPETITION_SCALE * (1.0 - (-repeats / REPETITION_SCALE).exp()))
}

/// One row of Ludziejewski et al. 2025 (arXiv:2502.05172, appendix B, table 4):
/// `L = m N^mu + n D^nu + 1.3637` for so many experts, one of which each token visits; N counts active parameters.
struct ExpertLaw {
    m: f64,
    mu: f64,
    n: f64,
    nu: f64,
}

const EXPERT_FLOOR: f64 = 1.3637;
const DENSE: ExpertLaw = ExpertLaw {
    m: 30.3640,
    mu: -0.1817,
    n: 53.9838,
    nu: -0.1965,
};
const EIGHT_EXPERTS: ExpertLaw = ExpertLaw {
    m: 21.8330,
    mu: -0.1676,
    n: 119.9126,
    nu: -0.2338,
};

/// Active parameters of a mixture of eight experts that reaches the loss of a dense model on the same tokens;
/// `None` where the law says that none does.
///
/// The law was fitted on up to 2.7B active parameters; beyond them it is carried on.
///
/// ```
/// // 1.7556B dense parameters on 20B tokens equal 1B active ones.
/// let active = outlay_plan::mixture_of_eight(1.7556e9, 2e10).unwrap();
/// assert!((active / 1e9 - 1.0).abs() < 1e-3);
/// ```
pub fn mixture_of_eight(dense_parameters: f64, tokens: f64) -> Option<f64> {
    mixture_of_eight_off_by(dense_parameters, tokens, 0.0)
}

/// As [`mixture_of_eight`], were mixtures so many nats worse than the law says (better, where negative).
pub(crate) fn mixture_of_eight_off_by(
    dense_parameters: f64,
    tokens: f64,
    error_nats: f64,
) -> Option<f64> {
    let loss =
        EXPERT_FLOOR + DENSE.m * dense_parameters.powf(DENSE.mu) + DENSE.n * tokens.powf(DENSE.nu);
    let left = loss - error_nats - EXPERT_FLOOR - EIGHT_EXPERTS.n * tokens.powf(EIGHT_EXPERTS.nu);
    (left > 0.0).then(|| (left / EIGHT_EXPERTS.m).powf(1.0 / EIGHT_EXPERTS.mu))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worse_mixtures_have_to_be_larger() {
        let active = |error| mixture_of_eight_off_by(1.7556e9, 2e10, error);
        let (better, as_said, worse) = (
            active(-0.04).unwrap(),
            active(0.0).unwrap(),
            active(0.04).unwrap(),
        );
        assert!(better < as_said && as_said < worse);
        // So bad that no size makes up for it.
        assert!(active(10.0).is_none());
    }

    /// The coefficients that Sardana et al. 2024 use, and the two examples that they print: a model of Chinchilla's
    /// quality for 13B at 2T tokens served is 7B, and saves 17%; for 7B at 100B tokens it is 6B with 1.18 times the data.
    #[test]
    fn serving_makes_models_smaller_as_published() {
        let law = LossLaw {
            parameter_exponent: 0.336,
            token_exponent: 0.283,
            ..HOFFMANN_2022
        };
        for (parameters, served, smaller, more_data, saved) in [
            (13e9, 2e12, 6.97e9, None, Some(0.1745)),
            (7e9, 1e11, 6.0e9, Some(1.1756), None),
        ] {
            // The compute that makes `parameters` optimal.
            let (mut low, mut high) = (1e15f64.ln(), 1e30f64.ln());
            for _ in 0..200 {
                let middle = f64::midpoint(low, high);
                if law.optimum(middle.exp()).0 < parameters {
                    low = middle;
                } else {
                    high = middle;
                }
            }
            let (n, d) = law.optimum(low.exp());
            let (n2, d2) = law.optimum_with_inference(law.loss(n, d), served).unwrap();
            assert!((n2 / smaller - 1.0).abs() < 0.01, "{n2:e}");
            if let Some(more) = more_data {
                assert!((d2 / d / more - 1.0).abs() < 0.01, "{}", d2 / d);
            }
            if let Some(saved) = saved {
                let flops = |n: f64, d: f64| n * (6.0 * d + 2.0 * served);
                assert!((1.0 - flops(n2, d2) / flops(n, d) - saved).abs() < 0.002);
            }
        }
    }

    /// Appendix A of arXiv:2305.16264 and the authors' published notebook: 2, 4 and 16 epochs.
    #[test]
    fn repeated_tokens_lose_their_worth_as_published() {
        for (epochs, worth) in [(1.0, 1.0), (2.0, 1.9682), (16.0, 10.5825), (1e9, 16.3878)] {
            assert!((effective_tokens(epochs * 1e9, 1e9) / 1e9 - worth).abs() < 1e-3);
        }
    }
}
