//! What is being spent, and whether it is all right.

use axum::Json;
use axum::extract::State;
use outlay_ledger::{
    Condition, Field, Micro, Operand, Order, Period, Run, RunQuery, RunStatus, Test, Wanted,
};
use outlay_units::date_of_day;
use serde::Serialize;
use utoipa::ToSchema;

use super::account::Account;
use super::budgets::{BudgetView, standings};
use super::fault::{ApiFault, Failure, Query};
use super::forecast;
use super::shapes::{Interval, Money, RunView, called};
use crate::App;

/// Microseconds of a day.
const DAY_US: i64 = 86_400_000_000;

/// Minutes after which a metered run that says nothing is said to be silent.
const SILENT_MINUTES: i64 = 10;

/// Most runs, or projects, of a list.
const MOST: usize = 20;

/// What a currency's spending comes to this month.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct MonthView {
    /// The currency.
    pub currency: String,
    /// Spent this month, in millionths.
    pub spent_micro: i64,
    /// Spent by the month's end, in units; absent where too little is known.
    pub by_month_end: Option<Interval>,
    /// Spent on each day of the month until today, in millionths.
    pub days_micro: Vec<i64>,
}

/// A project's spending this month.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ProjectView {
    /// The project; empty for none.
    pub project: String,
    /// What it spent.
    pub spent: Money,
}

/// A run that goes on.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct RunningView {
    /// The run.
    #[serde(flatten)]
    pub run: RunView,
    /// What its meter says.
    pub account: Account,
    /// Whether it is metered and has said nothing for ten minutes.
    pub is_silent: bool,
}

/// Something that someone should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Attention {
    /// How much: `warn` or `bad`.
    pub level: &'static str,
    /// What it is, in a sentence.
    pub text: String,
    /// The page that says more.
    pub link: String,
}

/// How spending stands.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Home {
    /// Now.
    pub now_us: i64,
    /// The month, in UTC, such as `2026-11`.
    pub month: String,
    /// This month's spending, by currency; US dollars first.
    pub months: Vec<MonthView>,
    /// By project, the most first, at most 20 of each currency.
    pub projects: Vec<ProjectView>,
    /// Budgets, the most used first.
    pub budgets: Vec<BudgetView>,
    /// Runs that go on, newest first, at most 20.
    pub running: Vec<RunningView>,
    /// How many go on.
    pub n_running: i64,
    /// Runs that ended, the latest first, at most 8.
    pub ended: Vec<RunView>,
    /// How many runs there are.
    pub n_runs: i64,
    /// What needs someone's attention.
    pub attention: Vec<Attention>,
}

fn status_is(name: &str, test: Test) -> Condition {
    Condition {
        field: Field::Attribute("status".to_owned()),
        test,
        operand: Operand::Text(name.to_owned()),
        datasets: Vec::new(),
    }
}

/// How spending stands now.
///
/// # Errors
///
/// When the ledger cannot be read.
pub async fn home(app: &App) -> Result<Home, ApiFault> {
    let (ledger, now_us) = (app.ledger(), app.now_us());
    let month_us = Period::Month.start(now_us);
    let running = RunQuery {
        conditions: vec![status_is("RUNNING", Test::Equal)],
        limit: MOST as i64,
        ..RunQuery::default()
    };
    let ended = RunQuery {
        conditions: vec![
            status_is("RUNNING", Test::NotEqual),
            status_is("SCHEDULED", Test::NotEqual),
        ],
        order: vec![Order {
            field: Field::Attribute("end_time".to_owned()),
            ascending: false,
            dataset: None,
        }],
        limit: 8,
        ..RunQuery::default()
    };
    let wanted = Wanted {
        metrics: vec![ENERGY.to_owned()],
        spent: true,
        ..Wanted::default()
    };
    let (projects, budgets, runs, rows, n_running, ended, totals) = tokio::try_join!(
        async { Ok(ledger.spent_by_project(month_us).await?) },
        standings(app),
        async { Ok(ledger.find_runs(&running).await?) },
        async { Ok(ledger.run_rows(&running, &wanted).await?) },
        async { Ok(ledger.count_runs(&running).await?) },
        async { Ok(ledger.run_rows(&ended, &wanted).await?) },
        async { Ok::<_, ApiFault>(ledger.totals().await?) },
    )?;
    let months = months(app, month_us).await?;
    let running: Vec<RunningView> = rows
        .into_iter()
        .filter_map(|row| {
            let run = runs.iter().find(|run| run.id == row.id)?;
            Some(running_view(run, row.into(), now_us))
        })
        .collect();
    let ended: Vec<RunView> = ended.into_iter().map(RunView::from).collect();
    let attention = attention(&budgets, &running, &ended, now_us);
    let date = date_of_day(now_us.div_euclid(DAY_US));
    Ok(Home {
        now_us,
        month: date
            .get(..date.len().saturating_sub(3))
            .unwrap_or(&date)
            .to_owned(),
        months,
        projects: most_of_each(projects),
        budgets,
        running,
        n_running,
        ended,
        n_runs: totals.n_runs,
        attention,
    })
}

/// The metric under which a meter keeps a run's energy.
const ENERGY: &str = "system/energy_kwh";

fn running_view(run: &Run, view: RunView, now_us: i64) -> RunningView {
    let mut account = Account::of(run);
    account.fill_in(view.metrics.get(ENERGY).map(|metric| metric.last.0));
    RunningView {
        is_silent: run.status == RunStatus::Running
            && account.is_metered
            && now_us - run.seen_us > SILENT_MINUTES * 60_000_000,
        run: view,
        account,
    }
}

fn most_of_each(projects: Vec<outlay_ledger::ProjectSpending>) -> Vec<ProjectView> {
    let mut views: Vec<ProjectView> = Vec::new();
    for one in projects {
        let n_there = views
            .iter()
            .filter(|view| view.spent.currency == one.currency)
            .count();
        if n_there < MOST {
            views.push(ProjectView {
                project: one.project,
                spent: Money::new(one.currency, one.micro),
            });
        }
    }
    views
}

async fn months(app: &App, month_us: i64) -> Result<Vec<MonthView>, ApiFault> {
    let now_us = app.now_us();
    let from_us = month_us.min(now_us - (forecast::DAYS_BACK + 1) * DAY_US);
    let days = app.ledger().spent_by_day(from_us, "", "").await?;
    let mut currencies: Vec<&str> = days.iter().map(|day| day.currency.as_str()).collect();
    currencies.push("USD");
    currencies.sort_unstable_by_key(|currency| (*currency != "USD", *currency));
    currencies.dedup();
    let (first, today) = (month_us.div_euclid(DAY_US), now_us.div_euclid(DAY_US));
    let n_days = usize::try_from(today - first + 1).unwrap_or(1);
    let view = |currency: &str| {
        let mut days_micro = vec![0_i64; n_days];
        for day in days.iter().filter(|day| day.currency == currency) {
            let place = usize::try_from(day.day - first).ok();
            if let Some(sum) = place.and_then(|at| days_micro.get_mut(at)) {
                *sum = sum.saturating_add(day.micro.0);
            }
        }
        let spent = Micro(
            days_micro
                .iter()
                .fold(0, |sum, day| sum.saturating_add(*day)),
        );
        let end_us = forecast::next_month(now_us);
        MonthView {
            currency: currency.to_owned(),
            spent_micro: spent.0,
            by_month_end: forecast::by_then(spent, &days, currency, now_us, end_us),
            days_micro,
        }
    };
    Ok(currencies.into_iter().map(view).collect())
}

fn attention(
    budgets: &[BudgetView],
    running: &[RunningView],
    ended: &[RunView],
    now_us: i64,
) -> Vec<Attention> {
    let mut all = Vec::new();
    let mut add = |level, text, link: String| all.push(Attention { level, text, link });
    for budget in budgets {
        let limit = Micro(budget.limit_micro).units();
        let link = "/budgets".to_owned();
        let ahead = budget.by_month_end.filter(|end| end.p50 > limit);
        match budget.standing {
            "over" => add("bad", format!("Budget {} is spent.", budget.name), link),
            _ if ahead.is_some() => {
                let text = format!(
                    "Budget {} will be passed before the month ends, at this pace.",
                    budget.name
                );
                add("warn", text, link);
            }
            "warn" => {
                let text = format!(
                    "Budget {} is {:.0}% spent.",
                    budget.name,
                    budget.share * 100.0
                );
                add("warn", text, link);
            }
            _ => {}
        }
    }
    for one in running {
        let link = format!("/runs/{}", one.run.id);
        if let (Some(forecast), Some(budget)) = (one.account.forecast_usd, one.account.budget_usd)
            && forecast.p50 > budget
        {
            let text = format!(
                "Run {} will need more than its budget, at this pace.",
                called(&one.run.name, &one.run.id)
            );
            add("warn", text, link);
        } else if one.is_silent {
            let text = format!(
                "Run {} has said nothing for a while.",
                called(&one.run.name, &one.run.id)
            );
            add("warn", text, link);
        }
    }
    for run in ended {
        let is_recent = run.ended_us.unwrap_or(run.seen_us) > now_us - 2 * DAY_US;
        let how = match run.status {
            "failed" => "failed",
            "lost" => "was lost: nobody saw it end",
            "stopped" => "was stopped",
            _ => continue,
        };
        if is_recent {
            add(
                "warn",
                format!("Run {} {how}.", called(&run.name, &run.id)),
                format!("/runs/{}", run.id),
            );
        }
    }
    all
}

/// How spending stands: this month, budgets, what runs, what ended
#[utoipa::path(get, path = "/api/v1/home", tag = "spending",
    responses((status = 200, body = Home), (status = 400, body = Failure)))]
pub async fn get(State(app): State<App>, query: Query) -> Result<Json<Home>, ApiFault> {
    query.only(&[])?;
    Ok(Json(home(&app).await?))
}
