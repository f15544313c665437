//! What a command writes: kept in files, so that nothing it writes waits for the meter or is lost with it, and read behind it.
//!
//! The disk gets back what was read long ago, and some room is held beyond the end, so that a command goes on writing on a disk that others have filled.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Bytes read at a time.
const CHUNK: usize = 64 * 1024;

/// Bytes of room that are held beyond the end.
const ROOM: u64 = 4 << 20;

/// Least room that is asked for at once.
const LEAST_ROOM: u64 = 64 << 10;

/// What was read lies on a disk that is full at most so far.
const KEEP_ON_FULL: u64 = 1 << 20;

/// A file that a command writes to, and how far it was read.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    file: File,
    at: u64,
    /// What of it lies on the disk at most once it was read; older parts are given back.
    keep_bytes: u64,
    freed: u64,
    /// Until where there is room on the disk; `None` where the file system cannot hold any.
    held: Option<u64>,
    is_full: bool,
    buffer: Vec<u8>,
}

impl Tail {
    /// Makes an empty file for a command to write to, and reads it from its beginning.
    ///
    /// # Errors
    ///
    /// When the file cannot be made.
    pub fn create(path: &Path, keep_bytes: u64) -> std::io::Result<(Self, File)> {
        // The command's writes go to the end, wherever others have written.
        let for_command = OpenOptions::new()
            .append(true)
            .create_new(true)
            .open(path)?;
        let mut tail = Self::open(path, 0, keep_bytes)?;
        tail.hold_room(0);
        Ok((tail, for_command))
    }

    /// Goes on reading a file from where another stopped, or from behind what that one gave back since.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened.
    pub fn open(path: &Path, at: u64, keep_bytes: u64) -> std::io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let at = after_hole(&file, at);
        Ok(Self {
            path: path.to_path_buf(),
            file,
            at,
            keep_bytes,
            freed: 0,
            held: Some(0),
            is_full: false,
            buffer: vec![0; CHUNK],
        })
    }

    /// How far it was read, in bytes.
    #[must_use]
    pub fn at(&self) -> u64 {
        self.at
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the disk had no more room when it was last asked for some.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// Leaves out what was written since, but for the last of it.
    pub fn skip_all_but(&mut self, n_bytes: u64) {
        let end = self.file.metadata().map_or(0, |data| data.len());
        self.at = self.at.max(end.saturating_sub(n_bytes));
    }

    /// Hands on what was written since, in pieces, until `take` says that it is enough or there is no more.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn read(&mut self, mut take: impl FnMut(&[u8]) -> bool) -> std::io::Result<()> {
        let mut end = self.file.metadata()?.len();
        if end > self.at {
            self.file.seek(SeekFrom::Start(self.at))?;
        }
        while end > self.at {
            let n_bytes = self.file.read(&mut self.buffer)?;
            if n_bytes == 0 {
                break;
            }
            self.at += n_bytes as u64;
            let goes_on = take(&self.buffer[..n_bytes]);
            self.give_back(self.keep_bytes, self.keep_bytes / 4);
            self.hold_room(end);
            if !goes_on {
                return Ok(());
            }
            end = self.file.metadata()?.len();
        }
        // A disk that was full is asked again.
        self.hold_room(end);
        Ok(())
    }

    /// Gives the disk back what was read, but for the last of it; the file keeps its length, and the command its place in it.
    fn give_back(&mut self, keep_bytes: u64, step: u64) {
        let until = self.at.saturating_sub(keep_bytes);
        if until <= self.freed + step {
            return;
        }
        // A file system that cannot make holes keeps it all.
        if make_hole(&self.file, until).is_ok() {
            self.freed = until;
        }
    }

    /// Holds room beyond the end, where there is less than half of what there should be.
    fn hold_room(&mut self, end: u64) {
        let Some(held) = self.held else { return };
        if held >= end + ROOM / 2 {
            return;
        }
        let (mut from, until) = (held.max(end), end + ROOM);
        let mut n_bytes = until - from;
        self.is_full = false;
        while from < until {
            match hold(&self.file, from, n_bytes.min(until - from)) {
                Ok(()) => {
                    from = (from + n_bytes).min(until);
                    self.held = Some(from);
                }
                Err(error) if !is_full(&error) => {
                    self.held = None;
                    return;
                }
                Err(_) if !self.is_full => {
                    self.is_full = true;
                    self.give_back(KEEP_ON_FULL, 0);
                }
                // A part of it is better than none.
                Err(_) if n_bytes > LEAST_ROOM => n_bytes /= 2,
                Err(_) => return,
            }
        }
    }
}

/// Gives back the room that is held beyond a file's end, once nobody writes to it any more.
///
/// # Errors
///
/// When the file cannot be opened or cut.
pub fn give_back_room(path: &Path) -> std::io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(file.metadata()?.len())
}

#[cfg(target_os = "linux")]
mod disk {
    use std::fs::File;
    use std::io;

    use nix::errno::Errno;
    use nix::fcntl::{FallocateFlags, fallocate};
    use nix::unistd::{Whence, lseek};

    pub fn make_hole(file: &File, until: u64) -> io::Result<()> {
        let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        Ok(fallocate(file, flags, 0, until as i64)?)
    }

    pub fn hold(file: &File, from: u64, n_bytes: u64) -> io::Result<()> {
        let flags = FallocateFlags::FALLOC_FL_KEEP_SIZE;
        loop {
            match fallocate(file, flags, from as i64, n_bytes as i64) {
                Err(Errno::EINTR) => {}
                other => return Ok(other?),
            }
        }
    }

    pub fn is_full(error: &io::Error) -> bool {
        matches!(
            error.raw_os_error().map(Errno::from_raw),
            Some(Errno::ENOSPC | Errno::EDQUOT)
        )
    }

    /// The next place, from `at` on, that is not in a hole.
    pub fn after_hole(file: &File, at: u64) -> u64 {
        match lseek(file, at as i64, Whence::SeekData) {
            Ok(found) => (found as u64).max(at),
            // A hole, or nothing, until the end.
            Err(Errno::ENXIO) => file.metadata().map_or(at, |data| data.len().max(at)),
            Err(_) => at,
        }
    }
}

/// Where nothing is known of holes, the file is kept whole.
#[cfg(not(target_os = "linux"))]
mod disk {
    use std::fs::File;
    use std::io;

    pub fn make_hole(_: &File, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub fn hold(_: &File, _: u64, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub fn is_full(_: &io::Error) -> bool {
        false
    }

    pub fn after_hole(_: &File, at: u64) -> u64 {
        at
    }
}

use disk::{after_hole, hold, is_full, make_hole};

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn everything_is_read_once_and_the_disk_is_given_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("output");
        let (mut tail, mut command) = Tail::create(&path, 1 << 20).expect("creates");
        let mut read = 0_u64;
        let line = [b'x'; 1024];
        for round in 0..16 {
            for _ in 0..1024 {
                command.write_all(&line).expect("writes");
            }
            tail.read(|bytes| {
                read += bytes.len() as u64;
                true
            })
            .expect("reads");
            assert_eq!(read, (round + 1) << 20);
        }
        let data = path.metadata().expect("is there");
        assert_eq!(data.len(), 16 << 20);
        assert!(data.blocks() * 512 <= 8 << 20, "{} blocks", data.blocks());
        give_back_room(&path).expect("cuts");
        let data = path.metadata().expect("is there");
        assert_eq!(data.len(), 16 << 20);
        assert!(data.blocks() * 512 <= 2 << 20, "{} blocks", data.blocks());
        // Whoever begins where there is a hole now begins behind it.
        let behind = Tail::open(&path, 5, 1 << 20).expect("opens").at();
        assert!((14 << 20..=16 << 20).contains(&behind), "{behind}");
        // Another goes on from there.
        command.write_all(b"end").expect("writes");
        let mut rest = Vec::new();
        let mut tail = Tail::open(&path, tail.at(), 1 << 20).expect("opens");
        tail.read(|bytes| {
            rest.extend_from_slice(bytes);
            true
        })
        .expect("reads");
        assert_eq!(rest, b"end");
    }
}
