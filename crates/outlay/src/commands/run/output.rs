//! The thread that hands on what the command writes, and reads progress from it.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
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

/// How often what was written is handed on: soon after there was something, more seldom while there is nothing.
const EVERY: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(100));

/// Bytes of what nobody is shown that are still read along at each turn.
const LAST_BYTES: u64 = 256 << 10;

/// Bytes of one output after which the other has its turn.
const TURN_BYTES: u64 = 4 << 20;

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
    /// What is written is still shown.
    is_shown: bool,
    /// Whoever read our side has gone.
    is_broken: bool,
    told: Arc<Told>,
}

/// What is told of an output to other threads.
struct Told {
    path: PathBuf,
    /// How far it was handed on.
    at: AtomicU64,
    /// Whether it was written to after whoever read our side had gone, since it was last asked.
    is_broken: AtomicBool,
    /// What is to be said.
    words: Mutex<Vec<String>>,
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
    told: Vec<Arc<Told>>,
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
        let flows = self.flows.iter();
        let told = flows.map(|flow| Arc::clone(&flow.told)).collect();
        let over = Arc::clone(&is_over);
        let mut flows = self.flows;
        let thread = std::thread::spawn(move || {
            let (mut pause, mut has_said_full) = (EVERY.0, false);
            loop {
                // Asked before reading: what was written before the end is read after it.
                let last = over.load(Ordering::Acquire);
                let mut most = 0;
                for flow in &mut flows {
                    most = most.max(flow.hand_on(&line, &mut listener, &mut has_said_full));
                }
                if most >= TURN_BYTES {
                    continue;
                }
                if last {
                    break;
                }
                pause = if most > 0 {
                    EVERY.0
                } else {
                    EVERY.1.min(pause * 2)
                };
                std::thread::park_timeout(pause);
            }
        });
        Forwarder {
            thread,
            is_over,
            told,
        }
    }
}

impl Forwarder {
    /// How far each output was handed on.
    pub fn at(&self) -> Vec<u64> {
        let told = self.told.iter();
        told.map(|told| told.at.load(Ordering::Relaxed)).collect()
    }

    /// Files that the command writes to although nobody reads them any more.
    pub fn broken(&self) -> impl Iterator<Item = &Path> {
        let told = self.told.iter();
        told.filter(|told| told.is_broken.swap(false, Ordering::AcqRel))
            .map(|told| told.path.as_path())
    }

    /// What is to be said of the outputs, each once.
    pub fn words(&self) -> Vec<String> {
        let told = self.told.iter();
        told.flat_map(|told| {
            let words = told.words.lock();
            words.map_or_else(|_| Vec::new(), |mut words| std::mem::take(&mut *words))
        })
        .collect()
    }

    /// Gives the disk back the room that was held for the command, once nobody of it writes any more.
    pub fn give_back_room(&self) {
        for told in &self.told {
            // What cannot be given back stays as it is.
            let _ = outlay_meter::give_back_room(&told.path);
        }
    }

    /// Hands on the rest, and waits for that for a while.
    pub fn end(&self, patience: Duration) {
        self.is_over.store(true, Ordering::Release);
        self.thread.thread().unpark();
        let since = Instant::now();
        while !self.thread.is_finished() && since.elapsed() < patience {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Hands on the rest, however long it takes, and ends.
    pub fn finish(self) {
        self.is_over.store(true, Ordering::Release);
        self.thread.thread().unpark();
        let _ = self.thread.join();
    }
}

impl Flow {
    fn new(tail: Tail, stream: Stream) -> Self {
        let told = Arc::new(Told {
            path: tail.path().to_path_buf(),
            at: AtomicU64::new(tail.at()),
            is_broken: AtomicBool::new(false),
            words: Mutex::default(),
        });
        Self {
            tail,
            stream,
            is_shown: true,
            is_broken: false,
            told,
        }
    }

    /// Hands on what there is, up to a turn's share; gives how much that was. Tells once that the disk is full.
    fn hand_on(
        &mut self,
        line: &Mutex<StatusLine>,
        listener: &mut Listener,
        has_said_full: &mut bool,
    ) -> u64 {
        if self.is_broken {
            // Who writes for nobody may write more than can be read along; the newest of it tells how far he is.
            self.tail.skip_all_but(LAST_BYTES);
        }
        let (stream, told) = (self.stream, &self.told);
        let (is_shown, is_broken) = (&mut self.is_shown, &mut self.is_broken);
        let mut n_bytes = 0;
        // A failure to read is tried again at the next turn.
        let _ = self.tail.read(|bytes| {
            n_bytes += bytes.len() as u64;
            listener(stream, bytes);
            if *is_shown {
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
                if let Err(error) = written {
                    *is_shown = false;
                    *is_broken = error.kind() == std::io::ErrorKind::BrokenPipe;
                    if *is_broken {
                        told.is_broken.store(true, Ordering::Release);
                        return false;
                    }
                    told.say(format!(
                        "what the command writes cannot be shown any more: {error}; the end of it is kept in `{}`",
                        told.path.display()
                    ));
                }
            }
            if *is_broken {
                told.is_broken.store(true, Ordering::Release);
            }
            n_bytes < TURN_BYTES
        });
        told.at.store(self.tail.at(), Ordering::Relaxed);
        if self.tail.is_full() && !std::mem::replace(has_said_full, true) {
            told.say(format!(
                "the disk of `{}` is full: room that was held, and that of output already shown, still takes what the command prints, but what else it writes to that disk may be lost; make room there, or end it",
                told.path.parent().unwrap_or(&told.path).display()
            ));
        }
        n_bytes
    }
}

impl Told {
    fn say(&self, text: String) {
        if let Ok(mut words) = self.words.lock() {
            words.push(text);
        }
    }
}

/// Whether anyone looks at the terminal, so that a line at its bottom is worth drawing.
pub fn is_watched() -> bool {
    std::io::stderr().is_terminal()
}
