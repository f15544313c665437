//! The process between the meter and the command: it waits, and writes down how the command ended.
//!
//! The meter can be killed at any instant; then someone must still be there to see the end.
//! The keeper does nothing else: it holds no counters and no connection, ignores signals that are meant for the command, and takes in whatever the command leaves behind, so that the kernel counts it.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::{Ending, Kept, ProcessId};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

/// Whether this process was started with a signal ignored, as by `nohup`: then it stays so, also for the command.
#[must_use]
pub fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0);
    signal > 0 && mask.checked_shr(signal as u32 - 1).unwrap_or(0) & 1 == 1
}

/// Makes this process the parent of whatever below it loses its own, where the system can.
pub fn become_foster() {
    #[cfg(target_os = "linux")]
    let _ = nix::sys::prctl::set_child_subreaper(true);
}

/// Runs a command to its end, and writes down how it ended. Returns the code to end with.
///
/// The command inherits everything: its terminal, its files, its process group.
/// `now_us` is asked once, at the end.
pub fn keep(ending_at: &Path, command: &[std::ffi::OsString], now_us: fn() -> i64) -> u8 {
    // Signals to the whole group are for the command. A handler, unlike ignoring, is not passed on to it.
    let seen = Arc::new(AtomicBool::new(false));
    for signal in [
        signal_hook::consts::SIGINT,
        signal_hook::consts::SIGTERM,
        signal_hook::consts::SIGQUIT,
        signal_hook::consts::SIGHUP,
    ] {
        if !is_ignored(signal) {
            let _ = signal_hook::flag::register(signal, Arc::clone(&seen));
        }
    }
    #[cfg(target_os = "linux")]
    {
        become_foster();
        // Whoever kills the meter by its name does not mean this one.
        let _ = nix::sys::prctl::set_name(c"outlay-keeper");
    }
    // Before there is a command: from now on it can be found, whoever is killed.
    let proc = Path::new("/proc");
    let mut kept = ProcessId::of(proc, std::process::id()).map(|keeper| Kept {
        keeper,
        command: None,
    });
    if let Some(kept) = kept {
        let _ = kept.write(ending_at);
    }
    let _ = Ending::make_room(ending_at);
    let mut ending = Ending::default();
    let Some((program, arguments)) = command.split_first() else {
        return 127;
    };
    match Command::new(program).args(arguments).spawn() {
        Err(error) => {
            ending.fault = Some(error.to_string());
            ending.code = Some(match error.kind() {
                std::io::ErrorKind::NotFound => 127,
                _ => 126,
            });
        }
        Ok(child) => {
            ending.pid = child.id();
            if let Some(kept) = &mut kept {
                kept.command = ProcessId::of(proc, child.id());
                let _ = kept.write(ending_at);
            }
            let status = wait_for(child.id());
            ending.code = status.and_then(|status| status.code());
            ending.signal = status.and_then(|status| status.signal());
            ending.cpu_seconds = getrusage(UsageWho::RUSAGE_CHILDREN).ok().map(|usage| {
                let seconds = |time: nix::sys::time::TimeVal| {
                    time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6
                };
                seconds(usage.user_time()) + seconds(usage.system_time())
            });
        }
    }
    ending.ended_us = now_us();
    ending.left = children(proc);
    // Where there never was room for the note, the meter that still runs sees the code.
    let _ = ending.write(ending_at);
    ending.shell_code()
}

/// This process's children.
fn children(proc: &Path) -> Vec<ProcessId> {
    let path = format!("self/task/{}/children", std::process::id());
    fs::read_to_string(proc.join(path))
        .unwrap_or_default()
        .split_ascii_whitespace()
        .filter_map(|pid| ProcessId::of(proc, pid.parse().ok()?))
        .collect()
}

/// Waits for one child, and meanwhile for every orphan that came to this process.
fn wait_for(pid: u32) -> Option<ExitStatus> {
    let wanted = Pid::from_raw(pid as i32);
    loop {
        match waitpid(None::<Pid>, None) {
            Ok(WaitStatus::Exited(of, code)) if of == wanted => {
                return Some(ExitStatus::from_raw(code << 8));
            }
            Ok(WaitStatus::Signaled(of, signal, _)) if of == wanted => {
                return Some(ExitStatus::from_raw(signal as i32));
            }
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return None,
        }
    }
}
