//! What fails: one thing at a time, chosen by the dice, each written down with its beginning and its end.

use std::io;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::peers::{emulator, redis};
use crate::process::{Process, Signal};
use crate::soak::dice::Dice;
use crate::soak::history::{Dependency, Jump, Manner, Outage};
use crate::soak::recorder::Recorder;
use crate::soak::replicas::Replica;
use crate::stopwatch::{Millis, pass};

/// WorkOS' clock is moved at most this far in all: less than the minute that Vestibule forgives.
const MOST_AHEAD: Millis = 40_000;

/// So often in a hundred outages a replica ends in the middle of it.
const TOGETHER_PERCENT: usize = 40;

/// Everything that can be made to fail.
#[derive(Debug)]
pub struct Chaos<'a> {
    /// The replicas.
    pub replicas: &'a [Replica],
    /// How the emulator is started.
    pub emulator: &'a emulator::Plan,
    /// The emulator.
    pub workos: Process,
    /// Redis, when there is one.
    pub redis: Option<(redis::Plan, Process)>,
    /// Does WorkOS now and then take longer for its answers than Vestibule waits?
    pub slow_workos: bool,
    /// Who writes it down.
    pub recorder: Recorder,
    /// Who chooses.
    pub dice: Dice,
}

#[derive(Debug, Clone, Copy)]
enum Trouble {
    WorkOsStandsStill,
    WorkOsIsKilled,
    WorkOsMisbehaves,
    WorkOsClockJumps,
    WorkOsIsSlow,
    RedisStandsStill,
    RedisIsKilled,
    ReplicaEnds(Manner),
}

impl Chaos<'_> {
    /// Lets things fail until this moment.
    ///
    /// # Errors
    /// Something that was ended does not start again.
    pub async fn rage(&mut self, until: Millis) -> io::Result<usize> {
        let mut count = 0;
        loop {
            let rest = self.dice.between(500, 3_000);
            pass(rest).await;
            if self.recorder.now() >= until {
                return Ok(count);
            }
            let trouble = self.choose();
            self.strike(trouble).await?;
            count += 1;
        }
    }

    fn choose(&mut self) -> Trouble {
        let mut troubles = vec![
            Trouble::WorkOsStandsStill,
            Trouble::WorkOsMisbehaves,
            Trouble::WorkOsMisbehaves,
            Trouble::ReplicaEnds(Manner::Asked),
            Trouble::ReplicaEnds(Manner::Killed),
        ];
        if self.slow_workos {
            troubles.extend([Trouble::WorkOsIsSlow; 4]);
        }
        if self.emulator.survives_restarts() {
            troubles.push(Trouble::WorkOsIsKilled);
        }
        let ahead: Millis = self.recorder.history().jumps.iter().map(|jump| jump.by).sum();
        if ahead < MOST_AHEAD / 2 {
            troubles.push(Trouble::WorkOsClockJumps);
        }
        if self.redis.is_some() {
            troubles.extend([Trouble::RedisIsKilled, Trouble::RedisIsKilled, Trouble::RedisStandsStill]);
        }
        let chosen = self.dice.below(troubles.len());
        troubles.get(chosen).copied().unwrap_or(Trouble::WorkOsStandsStill)
    }

    async fn strike(&mut self, trouble: Trouble) -> io::Result<()> {
        match trouble {
            Trouble::WorkOsStandsStill => {
                let span = self.dice.between(500, 7_000);
                self.workos.signal(Signal::Stop)?;
                self.during(Dependency::WorkOs, "stands still", span).await?;
                self.workos.signal(Signal::Continue)
            }
            Trouble::WorkOsIsKilled => {
                let span = self.dice.between(100, 3_000);
                self.workos.signal(Signal::Kill)?;
                self.during(Dependency::WorkOs, "is killed", span).await?;
                self.workos = self.emulator.start()?;
                Ok(())
            }
            Trouble::WorkOsMisbehaves => self.misbehave().await,
            Trouble::WorkOsClockJumps => self.jump().await,
            Trouble::WorkOsIsSlow => {
                let fault = json!({ "delay_reply_ms": u64::try_from(self.dice.between(5_200, 8_000).as_millis()).unwrap_or_default() });
                let span = self.dice.between(15_000, 40_000);
                self.fault_for(&fault, &Value::Null, span).await
            }
            Trouble::RedisStandsStill => {
                let span = self.dice.between(500, 4_000);
                if let Some((_, process)) = &self.redis {
                    process.signal(Signal::Stop)?;
                }
                self.during(Dependency::Redis, "stands still", span).await?;
                self.redis.as_ref().map_or(Ok(()), |(_, process)| process.signal(Signal::Continue))
            }
            Trouble::RedisIsKilled => {
                let span = self.dice.between(0, 3_000);
                if let Some((_, process)) = &self.redis {
                    process.signal(Signal::Kill)?;
                }
                self.during(Dependency::Redis, "is killed", span).await?;
                if let Some((plan, process)) = &mut self.redis {
                    *process = plan.start()?;
                }
                Ok(())
            }
            Trouble::ReplicaEnds(manner) => {
                let chosen = self.dice.below(self.replicas.len());
                let after = self.dice.between(0, 1_500);
                let Some(replica) = self.replicas.get(chosen) else { return Ok(()) };
                replica.restart(manner, after, &self.recorder).await
            }
        }
    }

    /// The emulator does something else than it should with some calls.
    async fn misbehave(&mut self) -> io::Result<()> {
        let faults = [
            json!({ "drop_before": true }),
            json!({ "drop_reply": true }),
            json!({ "drop_reply": true, "delay_ms": 200 }),
            json!({ "delay_ms": 1_500 }),
            json!({ "delay_reply_ms": 1_500 }),
            json!({ "status": 503 }),
            json!({ "status": 429, "headers": { "retry-after": "1" } }),
            json!({ "status": 500, "body": "an internal error" }),
            json!({ "truncate": 40 }),
        ];
        let fault = faults.get(self.dice.below(faults.len())).cloned().unwrap_or_default();
        let times = json!(1 + self.dice.below(30));
        let span = self.dice.between(500, 4_000);
        self.fault_for(&fault, &times, span).await
    }

    async fn fault_for(&mut self, fault: &Value, times: &Value, span: Duration) -> io::Result<()> {
        let rule = json!({ "path": "/user_management/authenticate", "times": times, "fault": fault });
        self.tell_workos(Method::POST, "faults", &rule).await?;
        self.during(Dependency::WorkOs, &format!("{times} times {fault}"), span).await?;
        self.tell_workos(Method::DELETE, "faults", &Value::Null).await
    }

    async fn jump(&mut self) -> io::Result<()> {
        let by = u64::try_from(self.dice.between(500, 8_000).as_millis()).unwrap_or_default();
        // Noted first: what happens meanwhile may be judged by either clock.
        self.recorder.history().jumps.push(Jump { at: self.recorder.now(), by });
        self.tell_workos(Method::POST, "clock", &json!({ "advance_ms": by })).await
    }

    async fn tell_workos(&self, method: Method, path: &str, body: &Value) -> io::Result<()> {
        self.emulator.control(method, path, body).await.map(drop).map_err(io::Error::other)
    }

    async fn during(&mut self, of: Dependency, what: &str, span: Duration) -> io::Result<()> {
        let mut dice = self.dice.fork(self.recorder.number());
        let index = {
            let from = self.recorder.now();
            let mut history = self.recorder.history();
            // Open until it is over: whoever looks meanwhile sees that it goes on.
            history.outages.push(Outage { of, what: what.to_owned(), from, until: Millis::MAX });
            history.outages.len() - 1
        };
        let together = async {
            pass(span / 2).await;
            self.also_end_a_replica(&mut dice).await
        };
        let ((), ended) = tokio::join!(pass(span), together);
        let until = self.recorder.now();
        if let Some(outage) = self.recorder.history().outages.get_mut(index) {
            outage.until = until;
        }
        ended
    }

    /// Troubles seldom come alone.
    async fn also_end_a_replica(&self, dice: &mut Dice) -> io::Result<()> {
        if !dice.happens(TOGETHER_PERCENT) {
            return Ok(());
        }
        let manner = if dice.happens(50) { Manner::Killed } else { Manner::Asked };
        let (chosen, after) = (dice.below(self.replicas.len()), dice.between(0, 1_000));
        match self.replicas.get(chosen) {
            Some(replica) => replica.restart(manner, after, &self.recorder).await,
            None => Ok(()),
        }
    }
}
