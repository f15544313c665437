//! Self-hosting against APIs that sell the same model by the token.

use outlay_catalog::ApiPrice;
use outlay_units::Estimate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::serving::answer::ServeAnswer;
use crate::serving::plan::{HOURS_PER_MONTH, MOST_UTILISATION};

/// An API beside the chosen plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ApiComparison {
    /// Name of the model at the provider.
    pub name: String,
    /// Provider.
    pub provider: String,
    /// Whether the API sells this very model; otherwise another one, for reference.
    pub is_same_model: bool,
    /// US dollars for a million prompt tokens.
    pub usd_per_million_input: f64,
    /// US dollars for a million output tokens.
    pub usd_per_million_output: f64,
    /// US dollars a month for the demand.
    pub usd_per_month: f64,
    /// The same for work that may wait, sent in batches; `None` where the API does not offer it.
    pub usd_per_month_in_batches: Option<f64>,
    /// Requests a month from which self-hosting on the chosen plan's hardware costs less; `None`: at no volume.
    pub break_even_requests_per_month: Option<BreakEven>,
    /// Day of the price.
    pub as_of: String,
    /// Where the price was read.
    pub source: String,
}

/// Volumes at which self-hosting wins, in requests a month.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BreakEven {
    /// Where one replica costs as much as the API. A little above a whole number of replicas' capacity the API may be
    /// cheaper again.
    pub first: f64,
    /// From here on at every volume, at the predicted capacity of a replica.
    pub always: f64,
    /// As `always`, at a capacity that one time in ten is reached; `None`: at no volume.
    pub always_p10: Option<f64>,
    /// As `always`, at a capacity that nine times in ten is reached; `None`: at no volume.
    pub always_p90: Option<f64>,
}

/// A month of the chosen plan's replicas for so many requests a month: replicas are whole.
pub fn self_hosting_usd(answer: &ServeAnswer, requests_per_month: f64) -> Option<f64> {
    let (replica, capacity) = replica(answer)?;
    Some((requests_per_month / capacity.p50).ceil().max(1.0) * replica)
}

/// What a replica costs a month, and the requests a month that it takes: its capacity at the utilisation planned for, over
/// the daily shape of the load.
fn replica(answer: &ServeAnswer) -> Option<(f64, Estimate)> {
    let plan = &answer.best;
    let usd = plan.usd_per_accelerator_hour?
        * f64::from(plan.layout.accelerators())
        * HOURS_PER_MONTH
        * plan.mean_replicas
        / f64::from(plan.replicas.max(1));
    let capacity = plan
        .capacity_requests_per_s
        .scaled(MOST_UTILISATION * answer.demand.mean_over_peak * HOURS_PER_MONTH * 3600.0);
    Some((usd, capacity))
}

/// Requests a month from which whole replicas at `replica_usd` a month that take `capacity` requests each cost less than
/// `api_usd` a request, for good.
///
/// `n` replicas are dearest just above what `n - 1` take, and cost no more than the API there once
/// `(n - 1) * capacity * api_usd >= n * replica_usd`. For the least such `n`, `n - 1` replicas win from
/// `(n - 1) * replica_usd / api_usd` requests on, and more of them at every volume beyond.
///
/// ```
/// use outlay_plan::serving::break_even;
/// // A replica of $1,000 that takes a million requests against $2 for a thousand: from half a million on.
/// assert_eq!(break_even(1000.0, 1e6, 0.002), Some(5e5));
/// // At $0.90 for a thousand it never pays.
/// assert_eq!(break_even(1000.0, 1e6, 0.0009), None);
/// ```
pub fn break_even(replica_usd: f64, capacity: f64, api_usd: f64) -> Option<f64> {
    let share = replica_usd / (capacity * api_usd);
    if !(0.0..1.0).contains(&share) {
        return None;
    }
    let replicas = (1.0 / (1.0 - share) - 1e-9).ceil().max(2.0);
    Some((replicas - 1.0) * replica_usd / api_usd)
}

/// Compares the chosen plan with APIs; `is_same` says whether an API's name is this model. Cheapest first, other models last.
pub fn compare_api(
    answer: &ServeAnswer,
    prices: &[ApiPrice],
    is_same: impl Fn(&str) -> bool,
    for_reference: &[&str],
) -> Vec<ApiComparison> {
    let demand = &answer.demand;
    let requests = demand.requests_per_s * demand.mean_over_peak * HOURS_PER_MONTH * 3600.0;
    let mut out: Vec<ApiComparison> = prices
        .iter()
        .filter_map(|price| {
            let is_same_model = is_same(&price.name);
            if !is_same_model && !for_reference.contains(&price.name.as_str()) {
                return None;
            }
            // A prompt that the API does not take cannot be compared.
            if price
                .max_input_tokens
                .is_some_and(|most| demand.input_tokens > most as f64)
            {
                return None;
            }
            let one = price.usd_per_request(
                demand.input_tokens,
                demand.cached_prefix,
                demand.output_tokens,
            );
            let break_even_requests_per_month = replica(answer).and_then(|(usd, capacity)| {
                Some(BreakEven {
                    first: usd / one,
                    always: break_even(usd, capacity.p50, one)?,
                    // More capacity pays sooner.
                    always_p10: break_even(usd, capacity.p90, one),
                    always_p90: break_even(usd, capacity.p10, one),
                })
            });
            Some(ApiComparison {
                name: price.name.clone(),
                provider: price.provider.clone(),
                is_same_model,
                usd_per_million_input: price.usd_per_input_token * 1e6,
                usd_per_million_output: price.usd_per_output_token * 1e6,
                usd_per_month: one * requests,
                usd_per_month_in_batches: price
                    .usd_per_batched_request(demand.input_tokens, demand.output_tokens)
                    .map(|one| one * requests),
                break_even_requests_per_month,
                as_of: price.as_of.clone(),
                source: price.source.clone(),
            })
        })
        .collect();
    out.sort_by(|a, b| {
        (!a.is_same_model)
            .cmp(&!b.is_same_model)
            .then(a.usd_per_month.total_cmp(&b.usd_per_month))
            .then(a.name.cmp(&b.name))
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Beyond the volume whole replicas never cost more, and just below it they do somewhere.
    #[test]
    fn self_hosting_wins_for_good_from_there() {
        for (usd, capacity, api) in [
            (1000.0, 1e6, 0.0021),
            (1000.0, 1e6, 0.0013),
            (1000.0, 1e6, 0.00105),
            (37.0, 5e4, 0.00091),
        ] {
            let from = break_even(usd, capacity, api).unwrap();
            let hosting = |requests: f64| (requests / capacity).ceil().max(1.0) * usd;
            for step in 0..2000 {
                let requests = from * (1.0 + 0.002 * f64::from(step)) + 1.0;
                assert!(
                    hosting(requests) <= requests * api * 1.000_01,
                    "{usd} {capacity} {api}: {requests}"
                );
            }
            let before = from * 0.999;
            assert!(hosting(before) > before * api);
        }
    }
}
