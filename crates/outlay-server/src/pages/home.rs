//! The first page: what is being spent, and whether it is all right.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::fault::PageFault;
use super::frame::{Frame, page};
use super::words;
use crate::App;
use crate::api::{BudgetView, Home, MonthView, home};

/// What the page says first.
struct Verdict {
    tone: &'static str,
    text: String,
}

/// A bar of the picture of days.
struct Day {
    at: f64,
    width: f64,
    top: f64,
    height: f64,
    is_today: bool,
    title: String,
}

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage {
    frame: Frame,
    home: Home,
    verdict: Verdict,
    month_end: String,
    month_name: String,
    first_budget: Option<BudgetView>,
    days: Vec<Day>,
}

impl HomePage {
    fn new(home: Home) -> Self {
        let end_us = crate::api::next_month(home.now_us);
        let month_end = words::day_before(end_us);
        let month_name = month_end.split(' ').nth(1).unwrap_or_default().to_owned();
        let month = home.months.first();
        let first_budget = widest(&home.budgets, month);
        Self {
            frame: Frame::at("/"),
            verdict: verdict(&home, month, first_budget.as_ref(), &month_end),
            days: month
                .map(|month| days(month, &home.month))
                .unwrap_or_default(),
            month_end,
            month_name,
            first_budget,
            home,
        }
    }

    /// The main currency's month.
    fn month(&self) -> Option<&MonthView> {
        self.home.months.first()
    }

    /// A project's share of what was spent in its currency.
    fn share(&self, micro: &i64, currency: &str) -> f64 {
        let all = self
            .home
            .months
            .iter()
            .find(|month| month.currency == currency);
        all.map_or(0.0, |all| *micro as f64 / (all.spent_micro.max(1)) as f64)
    }
}

/// The budget of a month that covers everything, or, where there is none, the only one that there is.
fn widest(budgets: &[BudgetView], month: Option<&MonthView>) -> Option<BudgetView> {
    let of_month = |budget: &&BudgetView| {
        budget.period == "month" && month.is_some_and(|month| month.currency == budget.currency)
    };
    let all = budgets
        .iter()
        .filter(of_month)
        .filter(|budget| budget.project.is_empty() && budget.team.is_empty())
        .min_by_key(|budget| budget.limit_micro);
    all.cloned()
}

fn verdict(
    home: &Home,
    month: Option<&MonthView>,
    budget: Option<&BudgetView>,
    month_end: &str,
) -> Verdict {
    let Some(month) = month else {
        return Verdict {
            tone: "good",
            text: "Nothing is recorded yet.".to_owned(),
        };
    };
    let spent = words::micro(month.spent_micro, &month.currency);
    let mut text = match budget {
        Some(budget) => format!(
            "{spent} spent this month, {:.0}% of the budget of {}.",
            budget.share * 100.0,
            words::micro(budget.limit_micro, &budget.currency)
        ),
        None if home.budgets.is_empty() => {
            format!("{spent} spent this month. No budget is set.")
        }
        None => format!("{spent} spent this month."),
    };
    if let Some(end) = &month.by_month_end {
        let end = words::predicted(end, &month.currency);
        text.push_str(&format!(" At this pace it will be {end} by {month_end}."));
    }
    let n_bad = home
        .attention
        .iter()
        .filter(|one| one.level == "bad")
        .count();
    let n_warn = home.attention.len() - n_bad;
    let (tone, last) = match (n_bad, n_warn) {
        (0, 0) => ("good", "All is well.".to_owned()),
        (0, 1) => ("warn", "One thing needs a look.".to_owned()),
        (0, n) => ("warn", format!("{n} things need a look.")),
        (1, _) if n_warn == 0 => ("bad", "One thing needs you now.".to_owned()),
        (n, more) => ("bad", format!("{} things need you.", n + more)),
    };
    text.push(' ');
    text.push_str(&last);
    Verdict { tone, text }
}

/// A bar for each day of the month until today, in a frame of 100 by 100.
fn days(month: &MonthView, name: &str) -> Vec<Day> {
    let most = month.days_micro.iter().copied().max().unwrap_or(0).max(1) as f64;
    let n_days = month.days_micro.len();
    let width = 100.0 / 31.0;
    let bar = |(at, spent): (usize, &i64)| {
        let height = (*spent as f64 / most * 96.0).clamp(0.0, 96.0);
        Day {
            at: at as f64 * width + width * 0.1,
            width: width * 0.8,
            top: 100.0 - height,
            height,
            is_today: at + 1 == n_days,
            title: format!(
                "{name}-{:02}: {}",
                at + 1,
                words::micro(*spent, &month.currency)
            ),
        }
    };
    month.days_micro.iter().enumerate().map(bar).collect()
}

pub async fn get(State(app): State<App>) -> Response {
    match home(&app).await {
        Ok(home) => page(StatusCode::OK, &HomePage::new(home)),
        Err(fault) => PageFault(fault).into_response(),
    }
}
