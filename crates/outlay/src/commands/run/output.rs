//! The thread that hands on what the command writes, and reads progress from it.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use outlay_meter::Tail;

use super::line::StatusLine;
use crate::failure::Failure;

/// What of each output lies on the disk at most.
const KEEP_BYTES: u64 = 64 << 20;

/// How often what was written is handed on.
const EVERY: Duration = Duration::from_millis(30);

/// Where a piece of output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// To standard output; both, where they are one thing.
    Out,
    /// To standard error.
    Err,
}

/// One of the command's outputs.
struct Flow {
    tail: Tail,
    stream: Stream,
    /// Whoever reads our side has gone.
    is_closed: bool,
    at: Arc<AtomicU64>,
}

/// What reads along, such as a reader of progress.
pub type Listener = Box<dyn FnMut(Stream, &[u8]) + Send>;

/// The outputs of a command, before anyone hands them on.
pub struct Outputs {
    flows: Vec<Flow>,
}

/// The thread.
pub struct Forwarder {
    thread: JoinHandle<()>,
    is_over: Arc<AtomicBool>,
    at: Vec<Arc<AtomicU64>>,
}

/// Whether standard output and standard error are one thing, such as the same terminal.
fn is_one() -> bool {
    let link = |number: u8| std::fs::read_link(format!("/proc/self/fd/{number}")).ok();
    link(1).is_some() && link(1) == link(2)
}

impl Outputs {
    /// Makes the files that the command writes to; the two outputs share one where ours do, so that their order is kept.
    pub fn create(folder: &Path) -> Result<(Self, Stdio, Stdio), Failure> {
        let fail = |error: std::io::Error| {
            Failure::outside(format!(
                "cannot make a file in `{}`: {error}",
                folder.display()
            ))
        };
        let (out, for_out) = Tail::create(&folder.join("output"), KEEP_BYTES).map_err(fail)?;
        let out = Flow::new(out, Stream::Out);
        if is_one() {
            let for_err = for_out.try_clone().map_err(fail)?;
            return Ok((Self { flows: vec![out] }, for_out.into(), for_err.into()));
        }
        let (err, for_err) = Tail::create(&folder.join("errors"), KEEP_BYTES).map_err(fail)?;
        let flows = vec![out, Flow::new(err, Stream::Err)];
        Ok((Self { flows }, for_out.into(), for_err.into()))
    }

    /// How far each was read.
    pub fn at(&self) -> Vec<u64> {
        self.flows.iter().map(|flow| flow.tail.at()).collect()
    }

    /// Goes on where another meter stopped.
    pub fn resume(folder: &Path, at: &[u64]) -> Result<Self, Failure> {
        let mut flows = Vec::new();
        for (name, stream, at) in [
            ("output", Stream::Out, at.first()),
            ("errors", Stream::Err, at.get(1)),
        ] {
            let Some(at) = at else { continue };
            let path = folder.join(name);
            let tail = Tail::open(&path, *at, KEEP_BYTES).map_err(|error| {
                Failure::outside(format!("cannot read `{}`: {error}", path.display()))
            })?;
            flows.push(Flow::new(tail, stream));
        }
        Ok(Self { flows })
    }

    /// Begins to hand on.
    pub fn forward(self, line: Arc<Mutex<StatusLine>>, mut listener: Listener) -> Forwarder {
        let is_over = Arc::new(AtomicBool::new(false));
        let at = self.flows.iter().map(|flow| Arc::clone(&flow.at)).collect();
        let over = Arc::clone(&is_over);
        let mut flows = self.flows;
        let thread = std::thread::spawn(move || {
            loop {
                // Asked before reading: what was written before the end is read after it.
                let last = over.load(Ordering::Acquire);
                for flow in &mut flows {
                    flow.hand_on(&line, &mut listener);
                }
                if last {
                    break;
                }
                std::thread::sleep(EVERY);
            }
        });
        Forwarder {
            thread,
            is_over,
            at,
        }
    }
}

impl Forwarder {
    /// How far each output was handed on.
    pub fn at(&self) -> Vec<u64> {
        self.at
            .iter()
            .map(|at| at.load(Ordering::Relaxed))
            .collect()
    }

    /// Hands on the rest, and waits for that for a while.
    pub fn end(&self, patience: Duration) {
        self.is_over.store(true, Ordering::Release);
        let since = Instant::now();
        while !self.thread.is_finished() && since.elapsed() < patience {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Hands on the rest, however long it takes, and ends.
    pub fn finish(self) {
        self.is_over.store(true, Ordering::Release);
        let _ = self.thread.join();
    }
}

impl Flow {
    fn new(tail: Tail, stream: Stream) -> Self {
        let at = Arc::new(AtomicU64::new(tail.at()));
        Self {
            tail,
            stream,
            is_closed: false,
            at,
        }
    }

    fn hand_on(&mut self, line: &Mutex<StatusLine>, listener: &mut Listener) {
        let (stream, is_closed) = (self.stream, &mut self.is_closed);
        // A failure to read is tried again at the next turn.
        let _ = self.tail.read(|bytes| {
            listener(stream, bytes);
            if !*is_closed {
                // While the line at the bottom is drawn, nothing else is.
                let drawing = line.lock();
                let written = match stream {
                    Stream::Out => {
                        let mut out = std::io::stdout().lock();
                        out.write_all(bytes).and_then(|()| out.flush())
                    }
                    Stream::Err => {
                        let mut err = std::io::stderr().lock();
                        err.write_all(bytes).and_then(|()| err.flush())
                    }
                };
                drop(drawing);
                *is_closed = written.is_err();
            }
            true
        });
        self.at.store(self.tail.at(), Ordering::Relaxed);
    }
}

/// Whether anyone looks at the terminal, so that a line at its bottom is worth drawing.
pub fn is_watched() -> bool {
    std::io::stderr().is_terminal()
}
