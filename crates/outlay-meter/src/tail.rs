//! What a command writes: kept in files, so that nothing it writes waits for the meter or is lost with it, and read behind it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Bytes read at a time.
const CHUNK: usize = 64 * 1024;

/// A file that a command writes to, and how far it was read.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    file: File,
    at: u64,
    /// What of it lies on the disk at most; older parts are given back.
    keep_bytes: u64,
    freed: u64,
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
        Ok((Self::open(path, 0, keep_bytes)?, for_command))
    }

    /// Goes on reading a file from where another stopped.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened.
    pub fn open(path: &Path, at: u64, keep_bytes: u64) -> std::io::Result<Self> {
        Ok(Self {
            path: path.to_path_buf(),
            file: OpenOptions::new().read(true).write(true).open(path)?,
            at,
            keep_bytes,
            freed: 0,
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

    /// Hands on what was written since, in pieces, until `take` says that it is enough or there is no more.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn read(&mut self, mut take: impl FnMut(&[u8]) -> bool) -> std::io::Result<()> {
        let mut buffer = vec![0; CHUNK];
        self.file.seek(SeekFrom::Start(self.at))?;
        loop {
            let n_bytes = self.file.read(&mut buffer)?;
            if n_bytes == 0 {
                break;
            }
            self.at += n_bytes as u64;
            if !take(&buffer[..n_bytes]) {
                break;
            }
        }
        self.give_back();
        Ok(())
    }

    /// Gives the disk back what was read long ago; the file keeps its length, and the command its place in it.
    fn give_back(&mut self) {
        let until = self.at.saturating_sub(self.keep_bytes);
        if until < self.freed + self.keep_bytes / 4 {
            return;
        }
        #[cfg(target_os = "linux")]
        {
            let flags = nix::fcntl::FallocateFlags::FALLOC_FL_PUNCH_HOLE
                | nix::fcntl::FallocateFlags::FALLOC_FL_KEEP_SIZE;
            // A file system that cannot make holes keeps it all.
            if nix::fcntl::fallocate(&self.file, flags, 0, until as i64).is_ok() {
                self.freed = until;
            }
        }
    }
}

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
        for round in 0..8 {
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
        assert_eq!(data.len(), 8 << 20);
        assert!(data.blocks() * 512 <= 4 << 20, "{} blocks", data.blocks());
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
