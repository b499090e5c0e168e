//! Time on the processor by the scheduler's own count, and on which processors a process may run.

use std::fs;
use std::io;
use std::process::{Command, Stdio};

/// Nanoseconds that all threads of a process have run so far (`/proc/<pid>/task/*/schedstat`, first number). Threads
/// that ended are not counted; the programs measured here keep theirs.
///
/// # Errors
/// The process is not there.
pub fn nanoseconds(id: u32) -> io::Result<u64> {
    let mut sum = 0;
    for thread in fs::read_dir(format!("/proc/{id}/task"))? {
        // A thread may end while we look.
        let Ok(line) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        sum += line.split(' ').next().and_then(|first| first.parse::<u64>().ok()).unwrap_or_default();
    }
    Ok(sum)
}

/// Lets a process, with all its threads, run on this processor alone. Returns whether that was possible.
#[must_use]
pub fn pin(id: u32, processor: usize) -> bool {
    let taskset = ["-a", "-c", "-p", &processor.to_string(), &id.to_string()].map(str::to_owned);
    let status = Command::new("taskset").args(taskset).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
