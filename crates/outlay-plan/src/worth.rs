//! Whether the rest of a run is worth its money, and rules that stop it where it is not.

use std::str::FromStr;

use outlay_units::Estimate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Forecast, LossCurve};

/// What more spending buys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Worth {
    /// Work that it pays for, from the last step logged.
    pub steps: f64,
    /// US dollars that it takes; `None` where no cost is known.
    pub spend_usd: Option<Estimate>,
    /// Seconds that it takes.
    pub spend_s: Option<Estimate>,
    /// Share by which the smooth loss falls: 0.01 from 2.0 to 1.98.
    pub gain_relative: Estimate,
    /// The loss after it.
    pub loss: Estimate,
}

/// What a share of the whole run's budget buys next, or what is left of it where that is less; 0.1 for a tenth.
///
/// Takes steps as the unit of the forecast's work. `None` where the run's length is not known, or nothing is left.
pub fn worth(
    curve: &LossCurve,
    forecast: &Forecast,
    total_steps: f64,
    share: f64,
) -> Option<Worth> {
    let now = curve.now();
    let steps = (share * total_steps).min(total_steps - now);
    if steps.is_nan() || steps <= 0.0 {
        return None;
    }
    Some(Worth {
        steps,
        spend_usd: forecast.usd_per_unit.map(|rate| rate.scaled(steps)),
        spend_s: forecast.s_per_unit.map(|rate| rate.scaled(steps)),
        gain_relative: curve.gain_between(now, now + steps),
        loss: curve.at(now + steps),
    })
}

/// A rule that ends a run: `gain < 0.1% per 10usd`.
///
/// Met only where even the p90 of what the amount buys is below the limit: noise that hides a gain, a curve that few points
/// tell of, or a learning rate that may still decay all make the p90 larger, and keep the run going.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StopRule {
    /// Relative gain below which the run ends.
    pub gain: f64,
    /// For how much.
    pub per: Per,
}

/// An amount that a gain is set against.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// US dollars.
    Usd(f64),
    /// Hours.
    Hours(f64),
    /// Steps.
    Steps(f64),
}

/// A unit of an amount as it is written, and what it makes.
type Unit = (&'static str, fn(f64) -> Per);

/// Why a rule cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StopRuleError {
    /// Not of the form.
    #[error("`{0}` is not a rule: write `gain < 0.1% per 10usd` (or per `2h`, per `500 steps`)")]
    Form(String),
    /// The limit is not a share of more than none and less than all.
    #[error("`{0}` is not a gain: write a percentage between 0% and 100%, such as `0.1%`")]
    Gain(String),
    /// The amount cannot be read, or is not above 0.
    #[error("`{0}` is not an amount to set a gain against: write `10usd`, `2h` or `500 steps`")]
    Amount(String),
}

impl StopRule {
    /// Reads `gain < 0.1% per 10usd`, `gain < 1% per 2h` or `gain < 0.5% per 500 steps`; case and spaces do not matter.
    ///
    /// ```
    /// use outlay_plan::{Per, StopRule};
    /// let rule = StopRule::parse("gain < 0.1% per 10usd")?;
    /// assert_eq!((rule.gain, rule.per), (0.001, Per::Usd(10.0)));
    /// assert!(StopRule::parse("loss < 2").is_err());
    /// # Ok::<(), outlay_plan::StopRuleError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Says which part cannot be read, and how to write it.
    pub fn parse(text: &str) -> Result<Self, StopRuleError> {
        let form = || StopRuleError::Form(text.trim().to_owned());
        let squeezed: String = text
            .to_lowercase()
            .chars()
            .filter(|c| !c.is_whitespace())
            .collect();
        let rest = squeezed.strip_prefix("gain<").ok_or_else(form)?;
        let (gain, amount) = rest.split_once("per").ok_or_else(form)?;
        let share = gain
            .strip_suffix('%')
            .and_then(|number| number.parse::<f64>().ok())
            .map(|percent| percent / 100.0)
            .filter(|share| *share > 0.0 && *share < 1.0)
            .ok_or_else(|| StopRuleError::Gain(gain.to_owned()))?;
        let units: [Unit; 9] = [
            ("usd", Per::Usd),
            ("dollars", Per::Usd),
            ("dollar", Per::Usd),
            ("$", Per::Usd),
            ("hours", Per::Hours),
            ("hour", Per::Hours),
            ("h", Per::Hours),
            ("steps", Per::Steps),
            ("step", Per::Steps),
        ];
        let amount = match amount.strip_prefix('$') {
            Some(number) => format!("{number}usd"),
            None => amount.to_owned(),
        };
        let per = units
            .iter()
            .find_map(|(name, of)| {
                let number = amount.strip_suffix(name)?;
                // `per usd` is per one.
                let number = if number.is_empty() {
                    Ok(1.0)
                } else {
                    number.parse::<f64>()
                };
                number.ok().filter(|n| n.is_finite() && *n > 0.0).map(of)
            })
            .ok_or(StopRuleError::Amount(amount))?;
        Ok(Self { gain: share, per })
    }

    /// Steps that the amount pays for; `None` where the rate is not known.
    pub fn steps(&self, usd_per_step: Option<f64>, s_per_step: Option<f64>) -> Option<f64> {
        let steps = match self.per {
            Per::Usd(usd) => usd / usd_per_step?,
            Per::Hours(hours) => hours * 3600.0 / s_per_step?,
            Per::Steps(steps) => steps,
        };
        (steps.is_finite() && steps > 0.0).then_some(steps)
    }

    /// Whether the run should end here: whether even the p90 of the gain that the amount buys next is below the limit.
    ///
    /// `None` where the amount's steps are not known. Where less is left of the run than the amount pays for, the limit
    /// shrinks with it, so that a run does not end for having little left.
    pub fn met(
        &self,
        curve: &LossCurve,
        usd_per_step: Option<f64>,
        s_per_step: Option<f64>,
        total_steps: Option<f64>,
    ) -> Option<bool> {
        let steps = self.steps(usd_per_step, s_per_step)?;
        let left = total_steps.map_or(steps, |total| steps.min(total - curve.now()));
        if left <= 0.0 {
            return Some(false);
        }
        let gain = curve.gain_between(curve.now(), curve.now() + left);
        Some(gain.p90 < self.gain * left / steps)
    }
}

impl FromStr for StopRule {
    type Err = StopRuleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl std::fmt::Display for StopRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let percent = 100.0 * self.gain;
        match self.per {
            Per::Usd(usd) => write!(f, "gain < {percent}% per {usd}usd"),
            Per::Hours(hours) => write!(f, "gain < {percent}% per {hours}h"),
            Per::Steps(steps) => write!(f, "gain < {percent}% per {steps} steps"),
        }
    }
}
