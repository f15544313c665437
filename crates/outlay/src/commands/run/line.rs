//! The line at the bottom of the terminal: kept out of the way of whatever the command draws, progress bars included.

use std::io::Write;
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;

use crate::printer::aside;

/// The thread that draws the line and says what is to be said: a terminal that was stopped, or a pipe that nobody empties, holds up nobody else.
pub struct Screen {
    orders: mpsc::Sender<Order>,
    thread: JoinHandle<()>,
}

enum Order {
    Draw(String),
    Say(String),
}

impl Screen {
    /// Begins.
    pub fn begin(line: Arc<Mutex<StatusLine>>) -> Self {
        let (orders, ordered) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            while let Ok(first) = ordered.recv() {
                let mut newest = None;
                for order in std::iter::once(first).chain(ordered.try_iter()) {
                    match order {
                        Order::Draw(text) => newest = Some(text),
                        Order::Say(text) => {
                            let Ok(mut line) = line.lock() else { return };
                            line.clear();
                            aside(&text);
                        }
                    }
                }
                if let (Some(text), Ok(mut line)) = (newest, line.lock()) {
                    line.draw(&text);
                }
            }
            if let Ok(mut line) = line.lock() {
                line.clear();
            }
        });
        Self { orders, thread }
    }

    /// Draws the line, once there is time for it.
    pub fn draw(&self, text: String) {
        let _ = self.orders.send(Order::Draw(text));
    }

    /// Says something on stderr.
    pub fn say(&self, text: &str) {
        let _ = self.orders.send(Order::Say(text.to_owned()));
    }

    /// Says the rest, and gives the terminal back.
    pub fn finish(self) {
        drop(self.orders);
        let _ = self.thread.join();
    }
}

/// Keeps the last row of the terminal for itself, by letting everything else scroll above it.
#[derive(Debug, Default)]
pub struct StatusLine {
    /// Rows of the terminal, as the region above was last set; `None` while there is no line.
    rows: Option<u16>,
}

impl StatusLine {
    /// Draws the line.
    pub fn draw(&mut self, text: &str) {
        let Some((width, height)) = terminal_size::terminal_size_of(std::io::stderr()) else {
            return;
        };
        let (width, height) = (width.0, height.0);
        if height < 4 || width < 20 {
            return;
        }
        let mut err = std::io::stderr().lock();
        if self.rows != Some(height) {
            if self.rows.is_none() {
                // A row of room below the cursor, wherever it stands.
                let _ = write!(err, "\n\x1b[1A");
            }
            let _ = write!(err, "\x1b7\x1b[1;{}r\x1b8", height - 1);
            self.rows = Some(height);
        }
        let shown: String = text.chars().take(usize::from(width) - 1).collect();
        let _ = write!(
            err,
            "\x1b7\x1b[{height};1H\x1b[2K\x1b[2m{shown}\x1b[0m\x1b8"
        );
        let _ = err.flush();
    }

    /// Gives the terminal back as it was.
    pub fn clear(&mut self) {
        if let Some(height) = self.rows.take() {
            let mut err = std::io::stderr().lock();
            let _ = write!(err, "\x1b7\x1b[r\x1b[{height};1H\x1b[2K\x1b8");
            let _ = err.flush();
        }
    }
}
