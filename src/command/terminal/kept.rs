//! Where a person's tokens are kept between commands: a file for each application in the user's state directory
//! (XDG Base Directory Specification), which nobody else can read. It is replaced as a whole, and changed only by
//! whoever holds the lock beside it: a refresh token serves once, and scripts run side by side.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use thiserror::Error;
use url::Url;
use zeroize::Zeroizing;

use crate::auth::identity::OrganizationId;
use crate::auth::secret::Secret;
use crate::auth::session::RefreshToken;
use crate::auth::time::{Span, Timestamp};
use crate::config::source::Environment;
use crate::workos::terminal::Issued;

/// Larger files are not read; an access token has at most 64 KiB.
const MAX_BYTES: u64 = 256 * 1_024;
/// A token that ends sooner is renewed, or one that has less than half of a short life left.
const MARGIN: Span = Span::from_secs(60);
/// What may stand in a file's name as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'-');
/// For the file and for its directory: nobody but their owner.
const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;

/// Why nothing can be kept or read.
#[derive(Debug, Error)]
pub(in crate::command) enum KeptError {
    /// There is no place.
    #[error("neither XDG_STATE_HOME nor HOME says where to keep tokens")]
    NoPlace,
    /// The file system says no.
    #[error("{} cannot be used: {error}", path.display())]
    File {
        /// Where.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file is not what this program writes.
    #[error("{} is not understood; remove it and sign in again", .0.display())]
    Content(PathBuf),
}

/// The place of one application's tokens.
#[derive(Debug)]
pub(in crate::command) struct Place {
    folder: PathBuf,
    file: PathBuf,
    lock: PathBuf,
    origin: String,
}

/// One at a time; ends when it is dropped.
#[derive(Debug)]
pub(in crate::command) struct Lock {
    _file: File,
}

/// What is kept.
pub(in crate::command) struct Kept {
    pub(in crate::command) api_url: Url,
    pub(in crate::command) client_id: String,
    pub(in crate::command) access_token: Secret<String>,
    pub(in crate::command) issued_at: Timestamp,
    pub(in crate::command) expires_at: Timestamp,
    pub(in crate::command) refresh_token: RefreshToken,
    pub(in crate::command) session_id: Option<String>,
    pub(in crate::command) organization_id: Option<OrganizationId>,
}

impl Kept {
    /// What came of a sign-in at this client, or of a renewal.
    pub(in crate::command) fn new(api_url: Url, client_id: String, issued: Issued) -> Self {
        let Issued {
            access_token, issued_at, expires_at, refresh_token, session_id, organization_id, ..
        } = issued;
        Self {
            api_url,
            client_id,
            access_token,
            issued_at,
            expires_at,
            refresh_token,
            session_id,
            organization_id,
        }
    }

    /// Will it be good for a while?
    pub(in crate::command) fn is_fresh(&self, now: Timestamp) -> bool {
        let life = self.expires_at.since(self.issued_at);
        let margin = MARGIN.min(Span::from_millis(life.as_millis() / 2));
        self.is_good(now.plus(margin))
    }

    /// Is it good?
    pub(in crate::command) fn is_good(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }
}

impl Place {
    /// The place of the tokens for this origin.
    ///
    /// # Errors
    /// [`KeptError::NoPlace`].
    pub(in crate::command) fn of(origin: &str, environment: &Environment) -> Result<Self, KeptError> {
        // The specification wants paths that are not absolute to be ignored.
        let named = environment.value("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let home = || environment.value("HOME").map(|home| Path::new(home).join(".local/state"));
        let folder = named.or_else(home).ok_or(KeptError::NoPlace)?.join("vestibule");
        let name = utf8_percent_encode(origin, PLAIN).to_string();
        Ok(Self {
            file: folder.join(format!("{name}.json")),
            lock: folder.join(format!("{name}.lock")),
            folder,
            origin: origin.to_owned(),
        })
    }

    /// Waits until nobody else changes what is kept.
    ///
    /// # Errors
    /// [`KeptError::File`].
    pub(in crate::command) fn lock(&self) -> Result<Lock, KeptError> {
        let folder = DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(&self.folder);
        let folder = folder.and_then(|()| narrow(&self.folder, FOLDER_MODE));
        folder.map_err(|error| KeptError::File { path: self.folder.clone(), error })?;
        let options =
            OpenOptions::new().write(true).create(true).truncate(false).mode(FILE_MODE).open(&self.lock);
        let file = options.and_then(|file| file.lock().map(|()| file));
        file.map(|file| Lock { _file: file })
            .map_err(|error| KeptError::File { path: self.lock.clone(), error })
    }

    /// What is kept, if anything. Needs no lock: the file is always whole.
    ///
    /// # Errors
    /// [`KeptError`].
    pub(in crate::command) fn read(&self) -> Result<Option<Kept>, KeptError> {
        let failed = |error| KeptError::File { path: self.file.clone(), error };
        let mut text = Zeroizing::new(String::new());
        match File::open(&self.file) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
            Ok(file) => file.take(MAX_BYTES).read_to_string(&mut text).map_err(failed)?,
        };
        self.parse(&text).map(Some).ok_or_else(|| KeptError::Content(self.file.clone()))
    }

    fn parse(&self, text: &str) -> Option<Kept> {
        let document: Value = serde_json::from_str(text).ok()?;
        let text = |name: &str| document.get(name).and_then(Value::as_str);
        let time = |name: &str| document.get(name).and_then(Value::as_i64).map(Timestamp::from_unix_seconds);
        if text("origin") != Some(&self.origin) {
            return None;
        }
        Some(Kept {
            api_url: Url::parse(text("workos_api_url")?).ok()?,
            client_id: text("client_id")?.to_owned(),
            access_token: Secret::new(text("access_token")?.to_owned()),
            issued_at: time("issued_at")?,
            expires_at: time("expires_at")?,
            refresh_token: Secret::new(text("refresh_token")?.to_owned()),
            session_id: text("session_id").map(str::to_owned),
            organization_id: text("organization_id").and_then(|id| OrganizationId::parse(id).ok()),
        })
    }

    /// Keeps this instead of whatever was kept.
    ///
    /// # Errors
    /// [`KeptError::File`]; what was kept before is still there then.
    pub(in crate::command) fn write(&self, _lock: &Lock, kept: &Kept) -> Result<(), KeptError> {
        let text = json!({
            "origin": self.origin,
            "workos_api_url": kept.api_url.as_str(),
            "client_id": kept.client_id,
            "access_token": kept.access_token.expose(),
            "issued_at": kept.issued_at.unix_seconds(),
            "expires_at": kept.expires_at.unix_seconds(),
            "refresh_token": kept.refresh_token.expose(),
            "session_id": kept.session_id,
            "organization_id": kept.organization_id.as_ref().map(OrganizationId::as_str),
        });
        let text = Zeroizing::new(text.to_string());
        let beside = self.file.with_extension("new");
        let written = (|| {
            forget(&beside)?;
            let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&beside)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&beside, &self.file)
        })();
        written.map_err(|error| KeptError::File { path: self.file.clone(), error })
    }

    /// Forgets what is kept.
    ///
    /// # Errors
    /// [`KeptError::File`].
    pub(in crate::command) fn remove(&self, _lock: &Lock) -> Result<(), KeptError> {
        forget(&self.file).map_err(|error| KeptError::File { path: self.file.clone(), error })
    }
}

fn forget(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Takes away what others may do there.
fn narrow(path: &Path, mode: u32) -> io::Result<()> {
    let open = fs::metadata(path)?.permissions().mode() & 0o077 != 0;
    if open { fs::set_permissions(path, Permissions::from_mode(mode)) } else { Ok(()) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);
    const ORIGIN: &str = "https://app.example.com:8443";

    fn kept(token: &str) -> Kept {
        Kept {
            api_url: Url::parse("https://api.workos.com").unwrap(),
            client_id: "client_1".to_owned(),
            access_token: Secret::new(token.to_owned()),
            issued_at: NOW,
            expires_at: NOW.plus(Span::from_minutes(5)),
            refresh_token: Secret::new("refresh".to_owned()),
            session_id: Some("session_1".to_owned()),
            organization_id: None,
        }
    }

    fn place(folder: &Path, origin: &str) -> Place {
        let environment = [("XDG_STATE_HOME", folder.to_str().unwrap())].into_iter().collect();
        Place::of(origin, &environment).unwrap()
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_kept_is_read_again_and_is_nobody_elses_to_read() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(folder.path(), ORIGIN);
        assert!(place.read().unwrap().is_none());
        fs::create_dir(folder.path().join("vestibule")).unwrap();
        fs::set_permissions(folder.path().join("vestibule"), Permissions::from_mode(0o755)).unwrap();
        let lock = place.lock().unwrap();
        // A leftover of a run that was killed does not lend its mode.
        fs::write(place.file.with_extension("new"), "half").unwrap();
        for token in ["one", "two"] {
            place.write(&lock, &kept(token)).unwrap();
            assert_eq!(place.read().unwrap().unwrap().access_token.expose(), token);
        }
        assert_eq!((mode(&place.file), mode(&place.folder), mode(&place.lock)), (0o600, 0o700, 0o600));
        place.remove(&lock).unwrap();
        place.remove(&lock).unwrap();
        assert!(place.read().unwrap().is_none());
    }

    #[test]
    fn each_origin_has_a_file_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let [one, other] = [ORIGIN, "https://app.example.com"].map(|origin| place(folder.path(), origin));
        let lock = one.lock().unwrap();
        one.write(&lock, &kept("one")).unwrap();
        assert!(other.read().unwrap().is_none());
        fs::rename(&one.file, &other.file).unwrap();
        assert!(matches!(other.read(), Err(KeptError::Content(_))), "a file says whose it is");
    }

    #[test]
    fn the_place_is_the_users_state_directory() {
        let of = |variables: &[(&str, &str)]| {
            Place::of(ORIGIN, &variables.iter().copied().collect()).map(|place| place.folder)
        };
        let home = ("HOME", "/home/ada");
        assert_eq!(of(&[home]).unwrap(), Path::new("/home/ada/.local/state/vestibule"));
        assert_eq!(of(&[home, ("XDG_STATE_HOME", "/state")]).unwrap(), Path::new("/state/vestibule"));
        let ignored = of(&[home, ("XDG_STATE_HOME", "state")]).unwrap();
        assert_eq!(ignored, Path::new("/home/ada/.local/state/vestibule"));
        assert!(matches!(of(&[]), Err(KeptError::NoPlace)));
    }

    #[test]
    fn a_token_is_fresh_until_a_minute_or_half_of_its_life_is_left() {
        let kept = kept("one");
        assert!(kept.is_fresh(NOW.plus(Span::from_secs(239))));
        assert!(!kept.is_fresh(NOW.plus(Span::from_secs(240))));
        assert!(
            kept.is_good(NOW.plus(Span::from_secs(299))) && !kept.is_good(NOW.plus(Span::from_secs(300)))
        );
        let short = Kept { expires_at: NOW.plus(Span::from_secs(40)), ..kept };
        assert!(
            short.is_fresh(NOW.plus(Span::from_secs(19))) && !short.is_fresh(NOW.plus(Span::from_secs(20)))
        );
    }
}
