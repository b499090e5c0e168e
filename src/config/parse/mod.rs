//! From the merged values to the [`Config`]: one file for each section, rules about several keys in
//! [`rules`]. Every section is read whatever happened in the others, so that all problems are found at once.

use crate::auth::claims::WantedClaims;
use crate::config::describe::KeyDescription;
use crate::config::layers::Layers;
use crate::config::listen::Listen;
use crate::config::reader::Cursor;
use crate::config::reading::Reading;
use crate::config::session_keys::SessionKeys;
use crate::config::settings::{AdminConfig, Config, WorkOsConfig};

mod bearer;
mod identity;
mod keys;
mod log;
mod redis;
mod routes;
mod rules;
mod server;
mod session;
mod shadow;
mod sign_in;
mod upstreams;
mod workos;

/// The default of `admin.listen`.
const ADMIN_LISTEN: &str = "\"127.0.0.1:9090\"";

/// Reads everything. `None` only when the reading holds a problem. `redirect_uri` is what WorkOS' own
/// libraries would use as callback, if the environment says so.
pub(super) fn config(reading: &Reading<'_>, redirect_uri: Option<&str>) -> Option<Config> {
    let mut root = Cursor::root(reading);
    let server = server::read(root.table("server"));
    let admin = admin(root.table("admin"));
    let workos = workos::read(root.table("workos"));
    let session = session::read(root.table("session"));
    let sign_in = sign_in::read(root.table("sign_in"), &workos);
    let upstreams = upstreams::read(&mut root);
    let policy = routes::read(&mut root, &upstreams);
    let identity = identity::read(root.table("identity"));
    let bearers = bearer::read(&mut root);
    let log = log::read(root.table("log"));
    root.finish();
    rules::check(reading, &server, &admin, &workos, &session);
    rules::check_redirect_uri(reading, &server, redirect_uri);
    shadow::check(reading, &policy, &server.auth_path);
    let identity = identity?;
    Some(Config {
        server: server.finish()?,
        admin,
        workos: workos.finish()?,
        session: session.finish()?,
        sign_in,
        upstreams: upstreams.finish()?,
        routes: policy.routes.into_iter().map(routes::RouteDraft::finish).collect::<Option<_>>()?,
        default: policy.default,
        wanted: WantedClaims::new(identity.wanted_claims()),
        identity,
        bearers,
        log,
    })
}

/// All keys, in the order in which they are read.
#[must_use]
pub(super) fn all_keys() -> Vec<KeyDescription> {
    let nothing = Layers::nothing();
    let reading = Reading::for_description(&nothing);
    drop(config(&reading, None));
    reading.into_description()
}

/// Reads `admin.listen` alone, for those who only want to ask a running process.
pub(super) fn admin_listen(reading: &Reading<'_>) -> Listen {
    admin(Cursor::root(reading).table("admin")).listen
}

/// Reads the sealing keys alone, for those who only want to look at them.
pub(super) fn session_keys(reading: &Reading<'_>) -> Option<SessionKeys> {
    keys::read(&mut Cursor::root(reading).table("session"))
}

/// Reads `[workos]` alone, for those who only want to talk to WorkOS.
pub(super) fn workos_settings(reading: &Reading<'_>) -> Option<WorkOsConfig> {
    workos::read(Cursor::root(reading).table("workos")).finish()
}

fn admin(mut cursor: Cursor<'_>) -> AdminConfig {
    let config = AdminConfig { listen: cursor.take("listen", ADMIN_LISTEN) };
    cursor.finish();
    config
}
