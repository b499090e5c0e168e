//! One soak from its beginning to its verdict.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::browser::Site;
use crate::peers::vestibule::{Deployment, Plan, Store};
use crate::peers::{emulator, redis};
use crate::soak::application;
use crate::soak::chaos::Chaos;
use crate::soak::checker::{Contract, Kept, Verdict, check};
use crate::soak::dice::Dice;
use crate::soak::history::History;
use crate::soak::options::{Options, StoreWord};
use crate::soak::people::{Spread, World, live};
use crate::soak::recorder::Recorder;
use crate::soak::replicas::Replica;
use crate::stopwatch::{Millis, pass};

/// The last part of a run is calm: whatever was broken has time to mend.
const CALM_END: Millis = 12_000;
/// Sign-ins are spread over this part of the run, in hundredths.
const SIGN_IN_PART: u64 = 85;
/// How long after an outage a `503` is still right: a call to WorkOS that began in it, with its rest.
const RECOVERY: Millis = 6_000;

/// What came out.
#[derive(Debug)]
pub struct Findings {
    /// What was seen.
    pub history: History,
    /// What it means.
    pub verdict: Verdict,
    /// People who could not sign in at all.
    pub never_in: usize,
}

/// Runs it.
///
/// # Errors
/// Something does not start.
pub async fn run(options: &Options, seed: u64, directory: &std::path::Path) -> io::Result<Findings> {
    let recorder = Recorder::default();
    let dice = Dice::new(seed);
    let upstream = application::start(recorder.clone(), dice.fork(1)).await?;
    let workos = emulator::Plan::new(directory, options.sign_ins, options.token_seconds)?;
    let workos_process = workos.start()?;
    let redis = match options.store {
        StoreWord::Cookie => None,
        StoreWord::Redis => {
            let plan = redis::Plan::new(directory)?;
            let process = plan.start()?;
            Some((plan, process))
        }
    };
    let store = redis.as_ref().map_or(Store::Cookie, |(plan, _)| Store::Redis(plan.url()));
    let public = crate::places::free_address()?.port();
    let site = Site { origin: format!("http://localhost:{public}") };
    let (public_url, workos_url) = (site.origin.as_str(), workos.url());
    let deployment = Deployment { public_url, workos: &workos_url, upstream, store, threads: 2 };
    let mut replicas = Vec::new();
    for number in 0..options.replicas {
        let plan = Plan::new(directory, &format!("replica-{number}"), &deployment)?;
        replicas.push(Replica::start(plan, number).await?);
    }
    let length = options.seconds * 1_000;
    let until = recorder.now() + length.saturating_sub(CALM_END / 4);
    let spread = if options.sticky { Spread::Sticky } else { Spread::Any };
    let recorder_of_world = recorder.clone();
    let active = options.active;
    let world = Arc::new(World { site, replicas, spread, recorder: recorder_of_world, until, active });
    let everybody = tokio::spawn(arrive(Arc::clone(&world), options.clone(), dice.fork(2)));
    let chaos_until = recorder.now() + length.saturating_sub(CALM_END);
    let mut chaos = Chaos {
        replicas: &world.replicas,
        emulator: &workos,
        workos: workos_process,
        redis,
        slow_workos: options.slow_workos,
        recorder: recorder.clone(),
        dice: dice.fork(3),
    };
    if !options.calm {
        chaos.rage(chaos_until).await?;
    }
    let never_in = everybody.await.map_err(io::Error::other)?;
    drop(chaos);
    let history = std::mem::take(&mut *recorder.history());
    let kept = match options.store {
        StoreWord::Cookie => Kept::InCookies,
        StoreWord::Redis => Kept::InRedis,
    };
    let token_life = options.token_seconds * 1_000;
    let verdict = check(&history, &Contract { kept, token_life, recovery: RECOVERY });
    Ok(Findings { history, verdict, never_in })
}

/// People arrive one after the other. Gives how many could not sign in.
async fn arrive(world: Arc<World>, options: Options, dice: Dice) -> usize {
    let arrival = Duration::from_millis(options.seconds * 10 * SIGN_IN_PART);
    let people = u32::try_from(options.sign_ins.max(1)).unwrap_or(u32::MAX);
    let started = world.recorder.now();
    let mut tasks = JoinSet::new();
    for person in 0..options.sign_ins {
        let number = u32::try_from(person).unwrap_or(u32::MAX);
        let due = started + u64::try_from((arrival * number / people).as_millis()).unwrap_or_default();
        let wait = due.saturating_sub(world.recorder.now());
        if wait > 0 {
            pass(Duration::from_millis(wait)).await;
        }
        let dice = dice.fork(u64::from(number) + 100);
        tasks.spawn(live(Arc::clone(&world), person, dice));
    }
    let mut never_in = 0;
    while let Some(came_in) = tasks.join_next().await {
        never_in += usize::from(!came_in.unwrap_or(false));
    }
    never_in
}
