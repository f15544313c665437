//! What a keeper writes down, for those who come later.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::ProcessId;

/// Bytes of room for an ending, which most take less than.
const ROOM: usize = 4096;

/// How a command ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ending {
    /// The command's own process.
    pub pid: u32,
    /// What it said at its end; `None` where a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Why it could not be started.
    pub fault: Option<String>,
    /// When it ended, in microseconds since 1970.
    pub ended_us: i64,
    /// Processor seconds of the command and of everything of it that was waited for.
    pub cpu_seconds: Option<f64>,
    /// Processes that the command left behind, and that came to the keeper.
    #[serde(default)]
    pub left: Vec<ProcessId>,
}

impl Ending {
    /// The code that a shell would give: the command's own, or 128 and the signal's number.
    #[must_use]
    pub fn shell_code(&self) -> u8 {
        match (self.code, self.signal) {
            (Some(code), _) => code as u8,
            (None, Some(signal)) => 128_u8.wrapping_add(signal as u8),
            (None, None) => 127,
        }
    }

    /// Reads what a keeper wrote; `None` while the command has not ended.
    #[must_use]
    pub fn read(path: &Path) -> Option<Self> {
        serde_json::from_str(&fs::read_to_string(path).ok()?).ok()
    }

    /// Takes the disk's room for an ending while there is some.
    pub(crate) fn make_room(path: &Path) -> std::io::Result<()> {
        fs::write(path.with_extension("part"), [b' '; ROOM])
    }

    /// Writes it where room was taken for it.
    pub(crate) fn write(&self, path: &Path) -> std::io::Result<()> {
        let part = path.with_extension("part");
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&part)?;
        let text = serde_json::to_vec(self)?;
        file.write_all(&text)?;
        file.set_len(text.len() as u64)?;
        file.sync_all()?;
        fs::rename(part, path)
    }
}

/// Who keeps what, for those who look for a run whose meter is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The keeper.
    pub keeper: ProcessId,
    /// The command, once it was started.
    pub command: Option<ProcessId>,
}

impl Kept {
    /// What the keeper said that is to write an ending to this file; `None` where none has begun.
    #[must_use]
    pub fn read(ending_at: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(keeper_file(ending_at)).ok()?).ok()
    }

    /// Nothing waits for the disk here: the file is for those who outlive this process, not the machine.
    pub(crate) fn write(self, ending_at: &Path) -> std::io::Result<()> {
        let file = keeper_file(ending_at);
        let part = file.with_extension("part");
        fs::write(&part, serde_json::to_vec(&self)?)?;
        fs::rename(part, file)
    }
}

fn keeper_file(ending_at: &Path) -> PathBuf {
    ending_at.with_file_name("keeper.json")
}
