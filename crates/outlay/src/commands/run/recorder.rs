//! The thread that writes to the ledger, so that a slow disk or server never holds up the meter.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use outlay_ledger::{Batch, Budget, Micro, Place};

use crate::failure::Failure;
use crate::ledger::{Books, now_us, of_ledger};
use crate::printer::aside;

/// How long the end of a run waits for the ledger.
const PATIENCE: Duration = Duration::from_secs(15);

/// What the ledger says.
#[derive(Debug, Default)]
pub struct News {
    /// What was spent against each budget that covers the run.
    pub spent: Vec<(Budget, Micro)>,
    /// Money of this run that is recorded, in millionths; what is spent beyond it is not in `spent`.
    pub recorded: i64,
    /// Why it could not be written to, while it cannot.
    pub fault: Option<String>,
}

enum Order {
    Write(Box<Batch>, i64),
    Close,
}

/// A way to the thread.
pub struct Recorder {
    orders: mpsc::Sender<Order>,
    news: mpsc::Receiver<News>,
    thread: Option<JoinHandle<Batch>>,
    waiting_at: PathBuf,
}

impl Recorder {
    /// Begins: the ledger is open, and the budgets that cover this project and team are known.
    ///
    /// What cannot be written by the end is left at `waiting_at`.
    pub fn begin(place: Place, project: &str, team: &str, waiting_at: PathBuf) -> Self {
        let (orders, ordered) = mpsc::channel();
        let (tell, news) = mpsc::channel();
        let (project, team) = (project.to_owned(), team.to_owned());
        let thread = std::thread::spawn(move || write(&place, &project, &team, &ordered, &tell));
        Self {
            orders,
            news,
            thread: Some(thread),
            waiting_at,
        }
    }

    /// Asks for a batch to be written; `recorded` is what this run has spent once it is.
    pub fn write(&self, batch: Batch, recorded: i64) {
        let _ = self.orders.send(Order::Write(Box::new(batch), recorded));
    }

    /// What the ledger said last, if it said anything new.
    pub fn news(&self) -> Option<News> {
        self.news.try_iter().last()
    }

    /// Waits for everything to be written, for a while; what is not is kept in a file. Returns why, if so.
    pub fn finish(mut self) -> Option<String> {
        let _ = self.orders.send(Order::Close);
        let thread = self.thread.take()?;
        let since = Instant::now();
        while !thread.is_finished() && since.elapsed() < PATIENCE + Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let fault = self.news.try_iter().last().and_then(|news| news.fault);
        if !thread.is_finished() {
            return Some(
                "the ledger does not answer; what was recorded last may be missing from it"
                    .to_owned(),
            );
        }
        let left = thread.join().ok()?;
        if left == Batch::default() {
            return None;
        }
        let fault = fault.unwrap_or_else(|| "the ledger did not take it".to_owned());
        let text = serde_json::to_string(&left).unwrap_or_default();
        Some(match crate::failure::write_whole(&self.waiting_at, text) {
            Ok(()) => format!(
                "{fault}; what it lacks is kept in `{}`, and written by the next `outlay run`",
                self.waiting_at.display()
            ),
            Err(_) => fault,
        })
    }
}

/// The thread: writes what it is told, and keeps what it cannot until it can. Returns what is left.
fn write(
    place: &Place,
    project: &str,
    team: &str,
    orders: &mpsc::Receiver<Order>,
    tell: &mpsc::Sender<News>,
) -> Batch {
    let mut books: Option<Books> = None;
    let mut waiting = Batch::default();
    let mut recorded = 0;
    let mut is_recorded = 0;
    let mut is_closing = None;
    loop {
        // With something left over, try again by and by.
        let order = if waiting == Batch::default() && is_closing.is_none() {
            orders
                .recv()
                .map_err(|_| mpsc::RecvTimeoutError::Disconnected)
        } else {
            orders.recv_timeout(Duration::from_millis(500))
        };
        match order {
            Ok(Order::Write(batch, total)) => {
                join(&mut waiting, *batch);
                recorded = total;
            }
            Ok(Order::Close) | Err(mpsc::RecvTimeoutError::Disconnected) => {
                is_closing.get_or_insert_with(Instant::now);
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {}
        }
        // Everything that has come in the meantime goes along.
        for order in orders.try_iter() {
            match order {
                Order::Write(batch, total) => {
                    join(&mut waiting, *batch);
                    recorded = total;
                }
                Order::Close => {
                    is_closing.get_or_insert_with(Instant::now);
                }
            }
        }
        let mut news = News::default();
        match write_once(&mut books, place, &waiting, project, team) {
            Ok(spent) => {
                waiting = Batch::default();
                is_recorded = recorded;
                news.spent = spent;
            }
            Err(failure) => {
                books = None;
                news.fault = Some(failure.message().to_owned());
            }
        }
        news.recorded = is_recorded;
        let _ = tell.send(news);
        if let Some(since) = is_closing
            && (waiting == Batch::default() || since.elapsed() > PATIENCE)
        {
            if let Some(books) = books {
                books.close();
            }
            return waiting;
        }
    }
}

/// Adds a batch to what waits. Of changes of one run the newest counts, so that a long wait takes little memory.
fn join(waiting: &mut Batch, mut batch: Batch) {
    for old in std::mem::take(&mut waiting.changes) {
        match batch.changes.iter_mut().find(|new| new.id == old.id) {
            Some(new) => {
                new.status = new.status.or(old.status);
                new.seen_us = new.seen_us.or(old.seen_us);
                new.ended_us = new.ended_us.or(old.ended_us);
                new.exit_code = new.exit_code.or(old.exit_code);
                new.state = new.state.take().or(old.state);
                new.summary = new.summary.take().or(old.summary);
            }
            None => batch.changes.push(old),
        }
    }
    waiting.append(batch);
}

fn write_once(
    books: &mut Option<Books>,
    place: &Place,
    batch: &Batch,
    project: &str,
    team: &str,
) -> Result<Vec<(Budget, Micro)>, Failure> {
    let books = match books {
        Some(books) => books,
        None => books.insert(Books::open(place, true)?),
    };
    if *batch != Batch::default() {
        books.ask(books.ledger().write(batch.clone()))?;
    }
    spent_of_all(books, project, team)
}

/// What was spent against each budget that covers a project and team, in dollars.
pub fn spent_of_all(
    books: &Books,
    project: &str,
    team: &str,
) -> Result<Vec<(Budget, Micro)>, Failure> {
    let ledger = books.ledger();
    books
        .wait(async {
            let mut all = Vec::new();
            for budget in ledger.budgets().await? {
                if budget.covers(project, team) && budget.currency == "USD" {
                    let spent = ledger.spent_of(&budget, now_us()).await?;
                    all.push((budget, spent));
                }
            }
            Ok(all)
        })
        .map_err(of_ledger)
}

/// Writes what an earlier run could not, and says whether there was anything.
pub fn write_left_over(books: &Books, path: &Path) -> Result<bool, Failure> {
    let Ok(text) = std::fs::read_to_string(path) else {
        return Ok(false);
    };
    let Ok(batch) = serde_json::from_str::<Batch>(&text) else {
        aside(&format!(
            "`{}` is not what a run leaves to be written, and is left out",
            path.display()
        ));
        return Ok(false);
    };
    books.ask(books.ledger().write(batch))?;
    // Left where it is, it is not looked at again: the run is not running any more.
    let _ = std::fs::remove_file(path);
    Ok(true)
}
