//! The line at the bottom of the terminal: kept out of the way of whatever the command draws, progress bars included.

use std::io::Write;

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
