//! Looks after the sealing keys while the process runs: reads their files again every few seconds, lets a new key
//! seal when its time has come, and keeps the keys in use when what it reads is no good. It reads and compares
//! instead of being told of changes, because that works on every file system and for every way of replacing a
//! file, Kubernetes' swapped links included.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::app::switch::LiveSwitch;
use crate::auth::keyring::{KeyId, Keyring};
use crate::auth::time::{Span, Timestamp};
use crate::config::session_keys::{KeyFault, SessionKeys};
use crate::telemetry::{Action, AuditLine, AuditOutcome, ReloadOutcome};

/// How often the files are read: soon enough for an operator who watches, and nothing beside what a second of
/// requests costs.
const READ_EVERY: Span = Span::from_secs(5);
/// What audit lines about keys are about.
const REASON: &str = "sealing_keys";

/// The keys of a running process, to be looked after.
#[derive(Debug)]
pub(super) struct KeyWatch {
    keys: SessionKeys,
    trouble: Option<Trouble>,
    unproven: Option<Outline>,
}

/// What was wrong at the last reading; said once, and again when it is something else.
#[derive(Debug, PartialEq, Eq)]
enum Trouble {
    Faults(Vec<KeyFault>),
    Panicked,
}

impl KeyWatch {
    /// A watch over these keys, which are in use; none is needed where they cannot change.
    pub(super) fn new(keys: SessionKeys) -> Option<Self> {
        keys.may_change().then_some(Self { keys, trouble: None, unproven: None })
    }

    /// Watches until `stop`.
    pub(super) async fn run(mut self, switch: Arc<LiveSwitch>, stop: CancellationToken) {
        let mut ticker = switch.shared().clock.ticker(READ_EVERY);
        loop {
            tokio::select! {
                () = ticker.tick() => {}
                () = stop.cancelled() => return,
            }
            let keys = self.keys.clone();
            // Not on the control thread: a disk that hangs must not keep renewals waiting.
            let reading = tokio::task::spawn_blocking(move || keys.read_again());
            let read = tokio::select! {
                read = reading => read,
                () = stop.cancelled() => return,
            };
            match read {
                Ok(Ok(keys)) => self.take(keys, &switch).await,
                Ok(Err(faults)) => self.refuse(Trouble::Faults(faults), &switch).await,
                Err(_) => self.refuse(Trouble::Panicked, &switch).await,
            }
        }
    }

    /// Good keys were read; perhaps they are others, or it is another one's time to seal.
    async fn take(&mut self, keys: SessionKeys, switch: &LiveSwitch) {
        let shared = switch.shared();
        let now = shared.clock.now();
        if self.trouble.take().is_some() {
            tracing::info!("the sealing keys can be read again");
        }
        let ring = match keys.ring(now) {
            Ok(ring) => ring,
            Err(error) => {
                return self.refuse(Trouble::Faults(vec![KeyFault::Ring(error)]), switch).await;
            }
        };
        let (before, after) = (outline(shared.live.load().sealer.context().keyring), outline(&ring));
        if before == after {
            self.unproven = None;
            return;
        }
        if after.has_unproven_beside(&before) && self.unproven.as_ref() != Some(&after) {
            // The file of a key without a checksum may still be being written: it has to stay as it is.
            self.unproven = Some(after);
            return;
        }
        self.unproven = None;
        if let Err(error) = switch.use_keys(ring) {
            tracing::error!(%error, "the sealing keys were not changed");
            shared.metrics.key_reload(ReloadOutcome::Refused);
            return;
        }
        self.keys = keys;
        after.announce(&before);
        shared.metrics.key_reload(ReloadOutcome::Applied);
        let line = AuditLine::new(now, Action::Reload, AuditOutcome::Success, REASON.into());
        shared.audit.record(line).await;
    }

    /// What was read is no good: the keys in use stay, all of them.
    async fn refuse(&mut self, trouble: Trouble, switch: &LiveSwitch) {
        let shared = switch.shared();
        shared.metrics.key_reload(ReloadOutcome::Refused);
        self.unproven = None;
        if self.trouble.as_ref() == Some(&trouble) {
            return;
        }
        match &trouble {
            Trouble::Faults(faults) => {
                for fault in faults {
                    tracing::error!(%fault, "the sealing keys cannot be read: those in use stay");
                }
            }
            Trouble::Panicked => tracing::error!("reading the sealing keys failed: those in use stay"),
        }
        self.trouble = Some(trouble);
        let line = AuditLine::new(shared.clock.now(), Action::Reload, AuditOutcome::Failure, REASON.into());
        shared.audit.record(line).await;
    }
}

/// What tells one ring from another: its keys, and which one seals.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Outline {
    sealing: KeyId,
    keys: BTreeMap<KeyId, Option<Timestamp>>,
}

fn outline(ring: &Keyring) -> Outline {
    let keys = ring.keys().map(|key| (key.id(), key.created_at())).collect();
    Outline { sealing: ring.sealing().id(), keys }
}

impl Outline {
    /// Is there a new key whose text does not prove that it is whole? A printed key does, by its id.
    fn has_unproven_beside(&self, before: &Self) -> bool {
        self.keys.iter().any(|(id, created)| created.is_none() && !before.keys.contains_key(id))
    }

    /// Tells the operator what changed.
    fn announce(&self, before: &Self) {
        let beyond = |some: &Self, others: &Self| {
            let ids = some.keys.keys().filter(|id| !others.keys.contains_key(id));
            ids.map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        tracing::info!(
            seals = %self.sealing,
            sealed_before = %before.sealing,
            added = beyond(self, before),
            removed = beyond(before, self),
            "the sealing keys changed"
        );
    }
}
