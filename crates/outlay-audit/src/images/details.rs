//! What thumbnails show in detail, a kilobyte of each image: in memory as far as it goes, and in a working file beyond.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::hash::{Detail, N_SAMPLES};

/// Details that are written at once.
const TOGETHER: usize = 256;

/// The details of images, by their numbers.
#[derive(Debug)]
pub(super) struct Details {
    near: Vec<Detail>,
    n_near_most: usize,
    folder: PathBuf,
    file: Option<File>,
    /// How many are in the file.
    n_far: usize,
    /// What comes next there.
    waiting: Vec<u8>,
    fault: Mutex<Option<io::Error>>,
}

impl Details {
    /// All in memory.
    pub fn in_memory() -> Self {
        Self::within(usize::MAX, Path::new(""))
    }

    /// So many bytes in memory, the rest in a file of this folder.
    pub fn within(memory_bytes: usize, folder: &Path) -> Self {
        Self {
            near: Vec::new(),
            n_near_most: memory_bytes / size_of::<Detail>(),
            folder: folder.to_owned(),
            file: None,
            n_far: 0,
            waiting: Vec::new(),
            fault: Mutex::new(None),
        }
    }

    /// Adds one to memory.
    pub fn keep(&mut self, detail: Detail) {
        self.near.push(detail);
    }

    /// Adds one.
    pub fn push(&mut self, detail: Detail) -> io::Result<()> {
        if self.near.len() < self.n_near_most {
            self.near.push(detail);
            return Ok(());
        }
        self.waiting.extend(detail.samples.map(i8::cast_unsigned));
        if self.waiting.len() == TOGETHER * N_SAMPLES {
            let file = match &self.file {
                Some(file) => file,
                None => self.file.insert(tempfile::tempfile_in(&self.folder)?),
            };
            file.write_all_at(&self.waiting, (self.n_far * N_SAMPLES) as u64)?;
            self.n_far += TOGETHER;
            self.waiting.clear();
        }
        Ok(())
    }

    /// One of them; where it cannot be read, one without any detail, and the fault is kept.
    #[inline(always)]
    pub fn get(&self, at: usize) -> Cow<'_, Detail> {
        match self.near.get(at) {
            Some(detail) => Cow::Borrowed(detail),
            None => Cow::Owned(self.far(at - self.near.len())),
        }
    }

    #[inline(never)]
    fn far(&self, at: usize) -> Detail {
        let mut bytes = [0; N_SAMPLES];
        let waiting = at
            .checked_sub(self.n_far)
            .and_then(|at| self.waiting.get(at * N_SAMPLES..(at + 1) * N_SAMPLES));
        if let Some(waiting) = waiting {
            bytes.copy_from_slice(waiting);
        } else if let Some(file) = &self.file
            && let Err(error) = file.read_exact_at(&mut bytes, (at * N_SAMPLES) as u64)
        {
            bytes = [0; N_SAMPLES];
            if let Ok(mut fault) = self.fault.lock() {
                fault.get_or_insert(error);
            }
        }
        Detail::from_samples(bytes.map(u8::cast_signed))
    }

    /// What went wrong in reading.
    pub fn fault(self) -> Option<io::Error> {
        self.fault.into_inner().ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_the_same_near_and_far() {
        let of = |n: u8| Detail::of(&std::array::from_fn(|at| (at as u8).wrapping_mul(n)));
        for n_near in [0, 5, 1000] {
            let mut details = Details::within(n_near * size_of::<Detail>(), &std::env::temp_dir());
            for n in 0..=255 {
                details.push(of(n)).unwrap();
            }
            for n in 0..=80 {
                details.push(of(n)).unwrap();
            }
            for n in 0..336_usize {
                let expected = of((n % 256) as u8);
                assert_eq!(details.get(n).samples, expected.samples, "{n} of {n_near}");
                let own = expected.correlation(&details.get(n), &expected.samples);
                assert!(own == 0.0 || (own - 1.0).abs() < 1e-9, "{own}");
            }
            assert!(details.fault().is_none());
        }
    }
}
