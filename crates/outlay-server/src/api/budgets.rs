//! Budgets, and how far each is used up.

use axum::Json;
use axum::extract::State;
use outlay_ledger::{Budget, Micro, Period};
use serde::Serialize;
use utoipa::ToSchema;

use super::fault::{ApiFault, Failure, Query};
use super::forecast;
use super::shapes::Interval;
use crate::App;

/// Most budgets that are told.
const MOST: usize = 500;

/// A budget and how it stands.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct BudgetView {
    /// What people call it.
    pub name: String,
    /// The project that it covers; empty for every one.
    pub project: String,
    /// The team that it covers; empty for every one.
    pub team: String,
    /// The time over which it counts: `total`, or `month`, a calendar month in UTC.
    pub period: &'static str,
    /// Its currency.
    pub currency: String,
    /// The limit, in millionths.
    pub limit_micro: i64,
    /// What is spent of it, in millionths.
    pub spent_micro: i64,
    /// The spent share of the limit.
    pub share: f64,
    /// How it stands: `ok`, `warn` beyond the first share at which to warn, `over` at the limit.
    pub standing: &'static str,
    /// Shares at which to warn, in percent.
    pub warn_at_percent: Vec<u32>,
    /// What will be spent by the end of the month, in units, for budgets of months; absent where too little is known.
    pub by_month_end: Option<Interval>,
    /// When it was set.
    pub set_us: i64,
}

impl BudgetView {
    /// The share of the limit that will be spent by the month's end.
    #[must_use]
    pub fn ahead_share(&self) -> Option<f64> {
        let limit = Micro(self.limit_micro).units();
        self.by_month_end.map(|end| end.p50 / limit)
    }

    /// The greatest share at which to warn that was reached, in percent.
    #[must_use]
    pub fn warned_at(&self) -> Option<u32> {
        let passed = |percent: &&u32| self.share * 100.0 >= f64::from(**percent);
        self.warn_at_percent.iter().filter(passed).max().copied()
    }

    /// What is left, in millionths; less than nothing where more is spent.
    #[must_use]
    pub fn left_micro(&self) -> i64 {
        self.limit_micro.saturating_sub(self.spent_micro)
    }
}

fn view(budget: Budget, spent: Micro, by_month_end: Option<Interval>) -> BudgetView {
    let share = spent.units() / budget.limit_micro.units();
    let warned = budget
        .warn_at_percent
        .iter()
        .any(|percent| share * 100.0 >= f64::from(*percent));
    BudgetView {
        standing: match (spent >= budget.limit_micro, warned) {
            (true, _) => "over",
            (false, true) => "warn",
            (false, false) => "ok",
        },
        share,
        period: budget.period.name(),
        name: budget.name,
        project: budget.project,
        team: budget.team,
        currency: budget.currency,
        limit_micro: budget.limit_micro.0,
        spent_micro: spent.0,
        warn_at_percent: budget.warn_at_percent,
        by_month_end,
        set_us: budget.set_us,
    }
}

/// The budgets as they stand: the most used first.
///
/// # Errors
///
/// When the ledger cannot be read.
pub async fn standings(app: &App) -> Result<Vec<BudgetView>, ApiFault> {
    let (ledger, now_us) = (app.ledger(), app.now_us());
    let from_us = now_us - (forecast::DAYS_BACK + 1) * 86_400_000_000;
    let mut views = Vec::new();
    for budget in ledger.budgets().await?.into_iter().take(MOST) {
        let spent = ledger.spent_of(&budget, now_us).await?;
        let by_month_end = if budget.period == Period::Month {
            let days = ledger
                .spent_by_day(from_us, &budget.project, &budget.team)
                .await?;
            let end_us = forecast::next_month(now_us);
            forecast::by_then(spent, &days, &budget.currency, now_us, end_us)
        } else {
            None
        };
        views.push(view(budget, spent, by_month_end));
    }
    views.sort_by(|one, other| {
        other
            .share
            .total_cmp(&one.share)
            .then_with(|| one.name.cmp(&other.name))
    });
    Ok(views)
}

/// All budgets.
#[derive(Serialize, ToSchema)]
pub struct Budgets {
    /// The budgets, the most used first.
    budgets: Vec<BudgetView>,
}

/// Budgets and how they stand, the most used first
#[utoipa::path(get, path = "/api/v1/budgets", tag = "spending",
    responses((status = 200, body = Budgets), (status = 400, body = Failure)))]
pub async fn get(State(app): State<App>, query: Query) -> Result<Json<Budgets>, ApiFault> {
    query.only(&[])?;
    let budgets = standings(&app).await?;
    Ok(Json(Budgets { budgets }))
}
