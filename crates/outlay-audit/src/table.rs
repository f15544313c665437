//! Which record is where: some bytes for each, so that findings of a hundred million can be named.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Every record that was read, by its number from 0.
#[derive(Debug)]
pub struct Table {
    paths: Vec<PathBuf>,
    /// The first record of each file.
    first: Vec<u32>,
    lines: Vec<u32>,
    n_bytes: Vec<u32>,
    /// Where each record's own id ends, in the file of ids.
    ids: Vec<u64>,
    id_file: File,
}

/// Collects records, file after file.
#[derive(Debug)]
pub(crate) struct TableWriter {
    table: Table,
    ids: BufWriter<File>,
    n_id_bytes: u64,
}

impl TableWriter {
    pub(crate) fn new(folder: &Path) -> io::Result<Self> {
        let file = tempfile::tempfile_in(folder)?;
        Ok(Self {
            ids: BufWriter::with_capacity(1 << 16, file.try_clone()?),
            table: Table {
                paths: Vec::new(),
                first: Vec::new(),
                lines: Vec::new(),
                n_bytes: Vec::new(),
                ids: Vec::new(),
                id_file: file,
            },
            n_id_bytes: 0,
        })
    }

    /// How many records were taken.
    pub(crate) fn len(&self) -> u32 {
        self.table.lines.len() as u32
    }

    pub(crate) fn begin_file(&mut self, path: &Path) {
        self.table.paths.push(path.to_owned());
        self.table.first.push(self.table.lines.len() as u32);
    }

    /// Takes a record: its line, which is counted up to 4,294,967,295, the bytes of its text, and its own id.
    pub(crate) fn push(&mut self, line: u64, n_bytes: usize, id: &str) -> io::Result<()> {
        self.table
            .lines
            .push(u32::try_from(line).unwrap_or(u32::MAX));
        self.table
            .n_bytes
            .push(u32::try_from(n_bytes).unwrap_or(u32::MAX));
        self.ids.write_all(id.as_bytes())?;
        self.n_id_bytes += id.len() as u64;
        self.table.ids.push(self.n_id_bytes);
        Ok(())
    }

    pub(crate) fn end(mut self) -> io::Result<Table> {
        self.ids.flush()?;
        Ok(self.table)
    }
}

impl Table {
    /// How many records there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// A record's file and its line, row or entry there.
    #[must_use]
    pub fn place(&self, record: u32) -> (&Path, u64) {
        let file = self.first.partition_point(|first| *first <= record) - 1;
        (&self.paths[file], u64::from(self.lines[record as usize]))
    }

    /// The bytes of a record's text.
    #[must_use]
    pub fn n_bytes(&self, record: u32) -> u64 {
        u64::from(self.n_bytes[record as usize])
    }

    /// What a record is called: its own id, or its file and line.
    ///
    /// # Errors
    ///
    /// When the working file cannot be read.
    pub fn name(&self, record: u32) -> io::Result<String> {
        let at = record as usize;
        let begin = if at == 0 { 0 } else { self.ids[at - 1] };
        let n_bytes = (self.ids[at] - begin) as usize;
        if n_bytes == 0 {
            let (path, line) = self.place(record);
            return Ok(format!("{}:{line}", path.display()));
        }
        let mut id = vec![0; n_bytes];
        self.id_file.read_exact_at(&mut id, begin)?;
        Ok(String::from_utf8_lossy(&id).into_owned())
    }
}
