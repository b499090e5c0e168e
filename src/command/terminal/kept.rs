//! Where a person's tokens are kept between commands: a file for each application in the user's state directory
//! (XDG Base Directory Specification), which nobody else can read. It is replaced as a whole, and changed only by
//! whoever holds the lock beside it: a refresh token serves once, and scripts run side by side.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read as _, Seek as _, Write as _};
use std::marker::PhantomData;
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
/// So much room is taken before a token is spent whose successor has to be kept: the largest that are usual.
const ROOM_BYTES: usize = 32 * 1_024;
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
    #[error("{} is damaged, or of another version of this program; sign in again", .0.display())]
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

/// Room for what is to be kept, as long as nobody else changes anything. Given back when it is dropped.
#[derive(Debug)]
pub(in crate::command) struct Room<'a> {
    file: File,
    path: PathBuf,
    _lock: PhantomData<&'a Lock>,
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

    /// Is it for the same client at the same WorkOS?
    pub(in crate::command) fn is_of_client(&self, other: &Self) -> bool {
        (&self.api_url, &self.client_id) == (&other.api_url, &other.client_id)
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
        let home = || {
            let home = environment.value("HOME").map(Path::new).filter(|path| path.is_absolute());
            home.map(|home| home.join(".local/state"))
        };
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

    /// Takes the room for something to keep, so that no token is spent for one that would find none.
    ///
    /// # Errors
    /// [`KeptError::File`].
    pub(in crate::command) fn reserve<'a>(&self, _lock: &'a Lock) -> Result<Room<'a>, KeptError> {
        let beside = self.file.with_extension("new");
        let taken = (|| {
            forget(&beside)?;
            let file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&beside)?;
            let mut room = Room { file, path: beside.clone(), _lock: PhantomData };
            room.file.write_all(&[b' '; ROOM_BYTES])?;
            room.file.sync_all()?;
            Ok(room)
        })();
        taken.map_err(|error| KeptError::File { path: beside, error })
    }

    /// Keeps this instead of whatever was kept.
    ///
    /// # Errors
    /// [`KeptError::File`]; what was kept before is still there then.
    pub(in crate::command) fn write(&self, mut room: Room<'_>, kept: &Kept) -> Result<(), KeptError> {
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
        let written = (|| {
            room.file.rewind()?;
            room.file.write_all(text.as_bytes())?;
            // What is left of the room is white space, which JSON permits, so that nobody ever reads half a file.
            let length = room.file.stream_position()?;
            room.file.set_len(length)?;
            room.file.sync_all()?;
            fs::rename(&room.path, &self.file)
        })();
        written.map_err(|error| KeptError::File { path: self.file.clone(), error })
    }

    /// Forgets what is kept.
    ///
    /// # Errors
    /// [`KeptError::File`].
    pub(in crate::command) fn remove(&self, _lock: &Lock) -> Result<(), KeptError> {
        // Of a run that was killed there may be newer tokens beside the file.
        for path in [&self.file.with_extension("new"), &self.file] {
            forget(path).map_err(|error| KeptError::File { path: path.clone(), error })?;
        }
        Ok(())
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        // Where it became the file there is nothing left.
        let _ = forget(&self.path);
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
            place.write(place.reserve(&lock).unwrap(), &kept(token)).unwrap();
            assert_eq!(place.read().unwrap().unwrap().access_token.expose(), token);
        }
        assert_eq!((mode(&place.file), mode(&place.folder), mode(&place.lock)), (0o600, 0o700, 0o600));
        // Nor does one leave tokens behind when all are forgotten.
        fs::write(place.file.with_extension("new"), "canary").unwrap();
        place.remove(&lock).unwrap();
        place.remove(&lock).unwrap();
        assert!(place.read().unwrap().is_none() && !place.file.with_extension("new").exists());
    }

    #[test]
    fn room_that_is_not_used_is_given_back_and_what_is_kept_stays() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(folder.path(), ORIGIN);
        let lock = place.lock().unwrap();
        place.write(place.reserve(&lock).unwrap(), &kept("one")).unwrap();
        let beside = place.file.with_extension("new");
        let room = place.reserve(&lock).unwrap();
        assert_eq!((fs::metadata(&beside).unwrap().len(), mode(&beside)), (ROOM_BYTES as u64, 0o600));
        drop(room);
        assert!(!beside.exists());
        fs::create_dir(&beside).unwrap();
        assert!(matches!(place.reserve(&lock), Err(KeptError::File { .. })));
        assert_eq!(place.read().unwrap().unwrap().access_token.expose(), "one");
    }

    #[test]
    fn what_is_no_file_of_ours_is_told_from_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(folder.path(), ORIGIN);
        let lock = place.lock().unwrap();
        place.write(place.reserve(&lock).unwrap(), &kept("one")).unwrap();
        let whole = fs::read_to_string(&place.file).unwrap();
        let half = whole.get(..whole.len() / 2).unwrap();
        let strange = whole.replace("\"refresh_token\"", "\"refresh\"");
        for text in ["", "null", "[]", half, "{\"origin\":1}", strange.as_str()] {
            fs::write(&place.file, text).unwrap();
            assert!(matches!(place.read(), Err(KeptError::Content(_))), "{text}");
        }
        // Times at the end of what a number can say are times.
        let far = whole.replace(&NOW.unix_seconds().to_string(), &i64::MAX.to_string());
        fs::write(&place.file, far).unwrap();
        let _ = place.read().unwrap().unwrap().is_fresh(NOW);
    }

    #[test]
    fn each_origin_has_a_file_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let [one, other] = [ORIGIN, "https://app.example.com"].map(|origin| place(folder.path(), origin));
        let lock = one.lock().unwrap();
        one.write(one.reserve(&lock).unwrap(), &kept("one")).unwrap();
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
        for nowhere in
            [&[][..], &[("HOME", "")], &[("HOME", "ada")], &[("HOME", "."), ("XDG_STATE_HOME", "")]]
        {
            assert!(matches!(of(nowhere), Err(KeptError::NoPlace)), "{nowhere:?}");
        }
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
