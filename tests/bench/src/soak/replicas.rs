//! The replicas: which process of each is running, and how one is ended and started again.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::peers::vestibule::Plan;
use crate::process::{Process, Signal};
use crate::soak::history::{Incarnation, Manner, Stop};
use crate::soak::recorder::Recorder;
use crate::stopwatch::pass;

/// How often an ending process is looked at.
const GLANCE: Duration = Duration::from_millis(10);
/// How often at most: beyond its `drain_timeout`.
const GLANCES: usize = 2_000;

/// One replica.
#[derive(Debug)]
pub struct Replica {
    plan: Plan,
    number: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    start: u32,
    process: Option<Process>,
}

impl Replica {
    /// Starts its first process.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start(plan: Plan, number: usize) -> io::Result<Self> {
        let process = Some(plan.start().await?);
        Ok(Self { plan, number, state: Mutex::new(State { start: 0, process }) })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.plan.address
    }

    /// Which process stands behind the address now. Ask before and after a request: when both answers are one, that
    /// process was asked.
    #[must_use]
    pub fn incarnation(&self) -> Incarnation {
        let start = self.state.lock().unwrap_or_else(PoisonError::into_inner).start;
        Incarnation { replica: self.number, start }
    }

    /// Ends its process, waits for the end, and starts another one after a while.
    ///
    /// # Errors
    /// It cannot be ended or does not start.
    pub async fn restart(&self, manner: Manner, after: Duration, recorder: &Recorder) -> io::Result<()> {
        let who = self.incarnation();
        let process = self.state.lock().unwrap_or_else(PoisonError::into_inner).process.take();
        let Some(mut process) = process else { return Ok(()) };
        let from = recorder.now();
        process.signal(match manner {
            Manner::Asked => Signal::Term,
            Manner::Killed => Signal::Kill,
        })?;
        for _ in 0..GLANCES {
            if process.has_ended()? {
                break;
            }
            pass(GLANCE).await;
        }
        drop(process);
        recorder.history().stops.push(Stop { who, manner, from, until: recorder.now() });
        self.state.lock().unwrap_or_else(PoisonError::into_inner).start += 1;
        pass(after).await;
        let process = self.plan.start().await?;
        self.state.lock().unwrap_or_else(PoisonError::into_inner).process = Some(process);
        Ok(())
    }

    /// What it printed.
    #[must_use]
    pub fn printed(&self) -> String {
        self.plan.printed()
    }
}
