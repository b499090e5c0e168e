//! The people: each signs in, looks at a page or browses until the end, and writes down what happened. What a browser
//! is and does is [`browser`]'s matter, signing in and out [`ways`]'.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::browser::Site;
use crate::soak::dice::Dice;
use crate::soak::history::{Outcome, Person};
use crate::soak::people::browser::{Browser, Manners};
use crate::soak::recorder::Recorder;
use crate::soak::replicas::Replica;
use crate::stopwatch::{Millis, pass};

pub mod browser;
pub mod ways;

/// Where people browse.
#[derive(Debug)]
pub struct World {
    /// The site.
    pub site: Site,
    /// Who answers for it.
    pub replicas: Vec<Replica>,
    /// How requests are spread.
    pub spread: Spread,
    /// Who writes down.
    pub recorder: Recorder,
    /// When people stop browsing.
    pub until: Millis,
    /// How many people browse until then, in a hundred.
    pub active: usize,
}

/// How requests are spread over the replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// Each browser stays with one.
    Sticky,
    /// Each request goes to any.
    Any,
}

/// Somebody's whole run. Returns whether a sign-in succeeded.
pub async fn live(world: Arc<World>, person: Person, mut dice: Dice) -> bool {
    let browser = Browser::new(Arc::clone(&world), person);
    if !browser.sign_in(&mut dice).await {
        return false;
    }
    browser.page(Manners::Patient, &mut dice).await;
    if dice.happens(world.active) {
        browse(&browser, &mut dice).await;
    } else if dice.happens(50) {
        let left = world.until.saturating_sub(world.recorder.now());
        let later = dice.between(0, usize::try_from(left).unwrap_or_default());
        pass(later).await;
        browser.page(Manners::Patient, &mut dice).await;
    }
    true
}

async fn browse(browser: &Browser, dice: &mut Dice) {
    let mut later: JoinSet<()> = JoinSet::new();
    while browser.world().recorder.now() < browser.world().until {
        let outcome = match dice.below(100) {
            0..55 => browser.page(Manners::Patient, dice).await,
            55..75 => tabs(browser, dice).await,
            75..87 => browser.page(Manners::HangsUp, dice).await,
            87..93 => {
                browser.leave(dice, &mut later).await;
                None
            }
            _ => {
                // Away for longer than a token lives, or nearly, but back before the end.
                let left = browser.world().until.saturating_sub(browser.world().recorder.now());
                pass(dice.between(8_000, 50_000).min(Duration::from_millis(left))).await;
                browser.page(Manners::Patient, dice).await
            }
        };
        if outcome == Some(Outcome::SentToSignIn) || !browser.is_signed_in() {
            let left = browser.world().until.saturating_sub(browser.world().recorder.now());
            pass(dice.between(10_000, 20_000).min(Duration::from_millis(left))).await;
            if browser.world().recorder.now() < browser.world().until {
                browser.sign_in(dice).await;
            }
        }
        pass(dice.between(300, 6_000)).await;
    }
    // Nothing is broken any more: whoever is signed in is let in.
    pass(dice.between(0, 2_000)).await;
    browser.page(Manners::Patient, dice).await;
    while later.join_next().await.is_some() {}
}

/// Several tabs at the same time.
async fn tabs(browser: &Browser, dice: &mut Dice) -> Option<Outcome> {
    let count = 2 + dice.below(4);
    let mut tabs = JoinSet::new();
    for _ in 0..count {
        let (tab, mut dice) =
            (browser.clone(), dice.fork(dice.clone().roll() ^ browser.world().recorder.number()));
        tabs.spawn(async move {
            pass(dice.between(0, 20)).await;
            tab.page(Manners::Patient, &mut dice).await
        });
    }
    let mut worst = None;
    while let Some(outcome) = tabs.join_next().await {
        let outcome = outcome.ok().flatten();
        if outcome == Some(Outcome::SentToSignIn) || worst.is_none() {
            worst = outcome;
        }
    }
    worst
}

/// How long a browser waits before it asks again where nobody listens.
const AGAIN: Duration = Duration::from_millis(100);
