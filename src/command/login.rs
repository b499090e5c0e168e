//! `vestibule login`: signs a person at a terminal in to an application, by a code that they confirm in any browser
//! (RFC 8628). What comes of it is kept for `vestibule token`. Opens no browser by itself.

use crate::auth::identity::OrganizationId;
use crate::clock::Clock;
use crate::command::terminal::discovery::{self, DiscoveryError, Installation};
use crate::command::terminal::kept::{Kept, Place};
use crate::command::terminal::{Application, fail, refused, runtime};
use crate::command::{Console, Exit};
use crate::config::source::Environment;
use crate::workos::terminal::{DeviceCode, DeviceError, Issued, Terminal};

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
    console: &mut Console<'_>,
) -> Exit {
    // Before anybody goes to a browser for nothing.
    let place = match Place::of(&application.origin(), environment) {
        Ok(place) => place,
        Err(error) => return fail(console, Exit::Configuration, error),
    };
    let runtime = match runtime(console) {
        Ok(runtime) => runtime,
        Err(exit) => return exit,
    };
    let kept = match runtime.block_on(sign_in(application, wishes, console)) {
        Ok(kept) => kept,
        Err(exit) => return exit,
    };
    match place.lock().and_then(|lock| place.write(&lock, &kept)) {
        Ok(()) => Exit::Good,
        Err(error) => fail(console, Exit::Internal, error),
    }
}

async fn sign_in(
    application: &Application,
    wishes: &Wishes,
    console: &mut Console<'_>,
) -> Result<Kept, Exit> {
    let clock = Clock::system();
    let found = discovery::find(application, wishes.auth_path.as_deref(), &clock).await;
    let Installation { api_url, client_id, organization_id } = found.map_err(|error| {
        let exit = match error {
            DiscoveryError::Address(..) | DiscoveryError::OtherOrigin(_) => Exit::Usage,
            DiscoveryError::Silent(_)
            | DiscoveryError::NotFound(_)
            | DiscoveryError::Document
            | DiscoveryError::NoTokens => Exit::Unavailable,
        };
        fail(console, exit, error)
    })?;
    let terminal = Terminal::new(&api_url, &client_id, clock).map_err(|error| {
        fail(console, Exit::Unavailable, format_args!("WorkOS at {api_url} cannot be asked: {error}"))
    })?;
    let device = terminal.begin().await;
    let device = device.map_err(|error| refused(console, "no code could be had", &error))?;
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
    let somebody = issued.email.as_deref().unwrap_or("somebody");
    let place = issued.organization_id.as_ref().map(|id| format!(", organization {id}")).unwrap_or_default();
    console.note(&format!("signed in to {} as {somebody}{place}\n", application.origin()));
    Ok(Kept::new(api_url, client_id, issued))
}

fn show(device: &DeviceCode, console: &mut Console<'_>) {
    let DeviceCode { user_code, verification_uri, verification_uri_complete, expires_in, .. } = device;
    let page = verification_uri_complete.as_ref().unwrap_or(verification_uri);
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
            // Nobody keeps the tokens, so the session is of no use to anybody. It ends by itself otherwise.
            if let Some(session) = &issued.session_id {
                let _ = terminal.log_out(session).await;
            }
            Err(refused(console, &format!("not signed in to organization {wanted}"), &error))
        }
    }
}
