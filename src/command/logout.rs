//! `vestibule logout`: forgets a person's tokens for an application, and ends their session at WorkOS as far as
//! that is possible without an API key: by the address that ends it for browsers.

use crate::clock::Clock;
use crate::command::terminal::kept::{Kept, KeptError, Place};
use crate::command::terminal::{Application, fail, runtime};
use crate::command::{Console, Exit};
use crate::config::source::Environment;
use crate::workos::terminal::Terminal;

/// Signs out.
pub(super) fn run(
    application: &Application,
    environment: &Environment,
    clock: &Clock,
    console: &mut Console<'_>,
) -> Exit {
    let place = match Place::of(&application.origin(), environment) {
        Ok(place) => place,
        Err(error) => return fail(console, Exit::Configuration, error),
    };
    let forgotten = place.lock().and_then(|lock| {
        let kept = place.read();
        place.remove(&lock)?;
        kept
    });
    match forgotten {
        Ok(Some(kept)) => end(&kept, application, clock, console),
        Ok(None) => {
            console.note(&format!("not signed in to {}\n", application.origin()));
            Exit::Good
        }
        // It is gone all the same, whatever it was.
        Err(KeptError::Content(_)) => {
            console.note(&format!("signed out of {}\n", application.origin()));
            Exit::Good
        }
        Err(error @ (KeptError::File { .. } | KeptError::NoPlace)) => fail(console, Exit::Internal, error),
    }
}

/// Here it is forgotten already; WorkOS is told as well.
fn end(kept: &Kept, application: &Application, clock: &Clock, console: &mut Console<'_>) -> Exit {
    console.note(&format!("signed out of {}\n", application.origin()));
    let Some(session) = &kept.session_id else { return Exit::Good };
    let runtime = match runtime(console) {
        Ok(runtime) => runtime,
        Err(exit) => return exit,
    };
    let Ok(terminal) = Terminal::new(&kept.api_url, &kept.client_id, clock.clone()) else {
        return Exit::Good;
    };
    if let Err(error) = runtime.block_on(terminal.log_out(session)) {
        let url = terminal.logout_url(session);
        console.note(&format!(
            "{error}\nthe session lives on at WorkOS until it ends by itself; to end it, open:\n\n    {url}\n"
        ));
    }
    Exit::Good
}
