//! `vestibule token`: prints an access token that is good for a while, and nothing else, so that it can stand in a
//! command: `curl -H "Authorization: Bearer $(vestibule token URL)" URL`. Of scripts that run side by side one renews
//! it and the others wait.

use crate::clock::Clock;
use crate::command::terminal::kept::{Kept, KeptError, Place};
use crate::command::terminal::{Application, fail, refused, runtime};
use crate::command::{Console, Exit};
use crate::config::source::Environment;
use crate::workos::WorkOsError;
use crate::workos::terminal::Terminal;

/// When a token is renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Renew {
    /// When it is about to end.
    WhenDue,
    /// In any case: what it says of its person may have changed.
    Now,
}

/// Prints the token.
pub(super) fn run(
    application: &Application,
    renew: Renew,
    environment: &Environment,
    clock: &Clock,
    console: &mut Console<'_>,
) -> Exit {
    let place = match Place::of(&application.origin(), environment) {
        Ok(place) => place,
        Err(error) => return fail(console, Exit::Configuration, error),
    };
    let known = match place.read() {
        Ok(Some(kept)) if kept.is_fresh(clock.now()) && renew == Renew::WhenDue => {
            return print(&kept, console);
        }
        Ok(Some(kept)) => kept,
        Ok(None) => return signed_out(application, console),
        Err(error) => return unreadable(&error, console),
    };
    match renewed(application, &place, known, clock, console) {
        Ok(kept) => print(&kept, console),
        Err(exit) => exit,
    }
}

fn print(kept: &Kept, console: &mut Console<'_>) -> Exit {
    console.print(&format!("{}\n", kept.access_token.expose()));
    Exit::Good
}

fn signed_out(application: &Application, console: &mut Console<'_>) -> Exit {
    let text = format!("not signed in to {}; say: {}", application.origin(), application.login_command());
    fail(console, Exit::Declined, text)
}

fn unreadable(error: &KeptError, console: &mut Console<'_>) -> Exit {
    let exit = match error {
        KeptError::NoPlace => Exit::Configuration,
        KeptError::File { .. } | KeptError::Content(_) => Exit::Internal,
    };
    fail(console, exit, error)
}

/// What is kept after a renewal: our own, or that of whoever held the lock before us.
fn renewed(
    application: &Application,
    place: &Place,
    known: Kept,
    clock: &Clock,
    console: &mut Console<'_>,
) -> Result<Kept, Exit> {
    let lock = match place.lock() {
        Ok(lock) => lock,
        Err(error) => return unkept(known, &error, clock, console),
    };
    let kept = place.read().map_err(|error| unreadable(&error, console))?;
    let Some(kept) = kept else { return Err(signed_out(application, console)) };
    if kept.refresh_token != known.refresh_token && kept.is_fresh(clock.now()) {
        return Ok(kept);
    }
    // A renewal spends the token that is kept: without room for the next one the session would be lost.
    let room = match place.reserve(&lock) {
        Ok(room) => room,
        Err(error) => return unkept(kept, &error, clock, console),
    };
    let runtime = runtime(console)?;
    let Kept { api_url, client_id, refresh_token, organization_id, .. } = &kept;
    let terminal = Terminal::new(api_url, client_id, clock.clone());
    let terminal = terminal.map_err(|error| fail(console, Exit::Internal, error))?;
    let error = match runtime.block_on(terminal.refresh(refresh_token, organization_id.as_ref())) {
        Ok(issued) => {
            let newer = Kept::new(api_url.clone(), client_id.clone(), issued);
            // The older token is spent: whoever cannot write this down has to know it now.
            if let Err(error) = place.write(room, &newer) {
                console.note(&format!("the renewed token is not kept: {error}\n"));
            }
            return Ok(newer);
        }
        Err(error) => error,
    };
    drop(room);
    if error.is_over() {
        let _ = place.remove(&lock);
        let text = format!("the session is over; say: {}", application.login_command());
        return Err(fail(console, Exit::Declined, text));
    }
    still_good(kept, &error, clock, console)
}

/// What could not be renewed serves until its end.
fn still_good(
    kept: Kept,
    error: &WorkOsError,
    clock: &Clock,
    console: &mut Console<'_>,
) -> Result<Kept, Exit> {
    if kept.is_good(clock.now()) {
        console.note(&format!("the token could not be renewed and ends soon: {error}\n"));
        return Ok(kept);
    }
    Err(refused(console, "the token is over and could not be renewed", error))
}

/// What is not renewed, because the next one could not be kept, serves until its end too.
fn unkept(kept: Kept, error: &KeptError, clock: &Clock, console: &mut Console<'_>) -> Result<Kept, Exit> {
    if kept.is_good(clock.now()) {
        console.note(&format!("the token is not renewed and ends soon: {error}\n"));
        return Ok(kept);
    }
    Err(unreadable(error, console))
}
