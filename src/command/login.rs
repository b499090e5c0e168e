//! `vestibule login`: signs a person at a terminal in to an application, by a code that they confirm in any browser
//! (RFC 8628). What comes of it is kept for `vestibule token`. Opens no browser by itself.

use crate::auth::identity::OrganizationId;
use crate::clock::Clock;
use crate::command::terminal::discovery::{self, DiscoveryError, Installation};
use crate::command::terminal::kept::{Kept, Place};
use crate::command::terminal::{Application, fail, refused, runtime};
use crate::command::text::{cut, plain};
use crate::command::{Console, Exit};
use crate::config::source::Environment;
use crate::workos::terminal::{DeviceCode, DeviceError, Issued, Terminal};

/// Longer texts of others are cut.
const LONGEST_SHOWN: usize = 400;

/// What was asked for beside the address.
#[derive(Debug)]
pub(super) struct Wishes {
    /// The organization to sign in to.
    pub(super) organization: Option<OrganizationId>,
    /// Where our endpoints live.
    pub(super) auth_path: Option<String>,
}

/// Signs in.
pub(super) fn run(
    application: &Application,
    wishes: &Wishes,
    environment: &Environment,
    clock: &Clock,
    console: &mut Console<'_>,
) -> Exit {
    let place = match Place::of(&application.origin(), environment) {
        Ok(place) => place,
        Err(error) => return fail(console, Exit::Configuration, error),
    };
    let runtime = match runtime(console) {
        Ok(runtime) => runtime,
        Err(exit) => return exit,
    };
    runtime.block_on(async {
        match sign_in(application, wishes, &place, clock, console).await {
            Ok((terminal, kept, email)) => {
                keep(application, &place, &terminal, (&kept, email.as_deref()), console).await
            }
            Err(exit) => exit,
        }
    })
}

async fn sign_in(
    application: &Application,
    wishes: &Wishes,
    place: &Place,
    clock: &Clock,
    console: &mut Console<'_>,
) -> Result<(Terminal, Kept, Option<String>), Exit> {
    let found = discovery::find(application, wishes.auth_path.as_deref(), clock).await;
    let Installation { api_url, client_id, organization_id } = found.map_err(|error| {
        let exit = match error {
            DiscoveryError::Address(..) | DiscoveryError::OtherOrigin(_) => Exit::Usage,
            DiscoveryError::Silent(..)
            | DiscoveryError::NotFound(..)
            | DiscoveryError::Document
            | DiscoveryError::NoTokens => Exit::Unavailable,
        };
        fail(console, exit, error)
    })?;
    let terminal = Terminal::new(&api_url, &client_id, clock.clone()).map_err(|error| {
        fail(console, Exit::Unavailable, format_args!("WorkOS at {api_url} cannot be asked: {error}"))
    })?;
    let device = terminal.begin().await;
    let device = device.map_err(|error| refused(console, "no code could be had", &error))?;
    // Before anybody goes to a browser for nothing.
    let room = place.lock().and_then(|lock| place.reserve(&lock).map(drop));
    room.map_err(|error| fail(console, Exit::Internal, error))?;
    show(&device, console);
    let issued = terminal.wait(&device).await.map_err(|error| match error {
        DeviceError::Denied => fail(console, Exit::Declined, "not signed in: the request was denied"),
        DeviceError::Expired => {
            fail(console, Exit::Declined, "not signed in: nobody confirmed the code in time; start again")
        }
        DeviceError::WorkOs(error) => refused(console, "not signed in", &error),
    })?;
    let wanted = wishes.organization.as_ref().or(organization_id.as_ref());
    let issued = match wanted {
        Some(wanted) if issued.organization_id.as_ref() != Some(wanted) => {
            switch(&terminal, issued, wanted, console).await?
        }
        Some(_) | None => issued,
    };
    let email = issued.email.clone();
    Ok((terminal, Kept::new(api_url, client_id, issued), email))
}

/// Writes down what came of it, or ends it: a session whose tokens nobody has is of no use to anybody. That goes for
/// one as well whose tokens stood there before.
async fn keep(
    application: &Application,
    place: &Place,
    terminal: &Terminal,
    (kept, email): (&Kept, Option<&str>),
    console: &mut Console<'_>,
) -> Exit {
    let written = place.lock().and_then(|lock| {
        // What cannot be read is nobody's.
        let former = place.read().ok().flatten();
        place.write(place.reserve(&lock)?, kept).map(|()| former)
    });
    let former = match written {
        Ok(former) => former.filter(|former| former.is_of_client(kept)),
        Err(error) => {
            end(terminal, kept.session_id.as_deref()).await;
            return fail(console, Exit::Internal, format_args!("not signed in: {error}"));
        }
    };
    if let Some(former) = former.filter(|former| former.session_id != kept.session_id) {
        end(terminal, former.session_id.as_deref()).await;
    }
    let somebody = email.map_or_else(|| "somebody".to_owned(), shown);
    let place = kept.organization_id.as_ref().map(|id| format!(", organization {id}")).unwrap_or_default();
    console.note(&format!("signed in to {} as {somebody}{place}\n", application.origin()));
    Exit::Good
}

/// Ends a session whose tokens are thrown away. It ends by itself otherwise.
async fn end(terminal: &Terminal, session: Option<&str>) {
    if let Some(session) = session {
        let _ = terminal.log_out(session).await;
    }
}

/// A text of somebody else, as a terminal may be given it.
fn shown(text: &str) -> String {
    cut(&plain(text), LONGEST_SHOWN)
}

fn show(device: &DeviceCode, console: &mut Console<'_>) {
    let DeviceCode { user_code, verification_uri, verification_uri_complete, expires_in, .. } = device;
    let page = shown(verification_uri_complete.as_ref().unwrap_or(verification_uri));
    let user_code = shown(user_code);
    let minutes = expires_in.as_secs().div_ceil(60);
    console.note(&format!(
        "Open this page in a browser:\n\n    {page}\n\nIt must show the code {user_code}. Confirm it within \
         {minutes} minutes.\n"
    ));
}

/// Goes on in another organization.
async fn switch(
    terminal: &Terminal,
    issued: Issued,
    wanted: &OrganizationId,
    console: &mut Console<'_>,
) -> Result<Issued, Exit> {
    match terminal.refresh(&issued.refresh_token, Some(wanted)).await {
        Ok(switched) => Ok(switched),
        Err(error) => {
            end(terminal, issued.session_id.as_deref()).await;
            Err(refused(console, &format!("not signed in to organization {wanted}"), &error))
        }
    }
}
