//! Sessions on a Redis or Valkey server that all replicas share. The browser's cookie holds what finds and opens the
//! record ([`crate::auth::record`]); the server keeps records, who renews which session just now, what was said about
//! sessions, and who asks WorkOS for events. Nothing that stands there opens anything without a browser's cookie.
//!
//! [`link`](RedisLink) is the connection, [`RedisStore`] what is asked over it; a store is made anew whenever the
//! sealing keys change, the link lives as long as the process. Whatever two replicas could do at once is a
//! script that Redis runs in one step.

use std::sync::Arc;

use futures_util::future::{BoxFuture, join, try_join};
use redis::Value;
use tokio::sync::broadcast;

use crate::auth::place::{Place, RecordKey};
use crate::auth::record::Record;
use crate::auth::revocation::{Effect, Revocation, Subject};
use crate::auth::sealed_cookie::{SealedCookie, SealedWith};
use crate::auth::session::{Session, SessionId};
use crate::auth::session_codec::OpenedSession;
use crate::auth::time::{Span, Timestamp};
use crate::entropy;
use crate::store::redis::link::{Bell, RENEWAL, WORDS};
use crate::store::redis::log::MOST_WORDS;
use crate::store::redis::names::hex;
use crate::store::redis::script::{DONE, ELSEWHERE, GONE, NEWER};
use crate::store::{
    Claim, Elsewhere, Loaded, SaveError, Sealer, SessionStore, Settled, Stamp, StoreUnavailable, Stored,
    Ticket, Turn,
};

mod dial;
mod fault;
mod link;
mod log;
mod names;
mod script;
mod settings;
mod tls;
mod words;

pub use crate::store::redis::link::RedisLink;
pub use crate::store::redis::log::Hear;
pub use crate::store::redis::settings::{Address, Credentials, Host, Settings, Transport};
pub use crate::store::redis::tls::TlsError;

/// The right to renew a session ends by itself after this long. A call to WorkOS that hangs may last longer; but
/// whoever takes over from a replica that died has to ask within the 30 s in which WorkOS still answers the spent token
/// with the new pair, and a replica that is merely slow gets that same pair.
const LEASE: Span = Span::from_secs(20);
/// Whoever asks WorkOS for events keeps that turn for so many of its intervals without asking again.
const TURNS: u64 = 3;
/// What a session cookie that opens came in: a record's key always fits into one.
const PARTS: usize = 1;

/// Keeps sessions on a Redis server.
#[derive(Debug)]
pub struct RedisStore {
    sealer: Arc<Sealer>,
    link: Arc<RedisLink>,
}

/// How long a record is kept, in milliseconds: until nobody can come with its session any more.
fn time_left(session: &Session, now: Timestamp) -> Option<String> {
    let left = session.fixed_end().since(now);
    (!left.is_zero()).then(|| left.as_millis().to_string())
}

impl RedisStore {
    /// A store that seals with this and asks over that link.
    #[must_use]
    pub const fn new(sealer: Arc<Sealer>, link: Arc<RedisLink>) -> Self {
        Self { sealer, link }
    }

    fn seal(&self, key: &RecordKey, session: &Session, now: Timestamp) -> Result<Record, SaveError> {
        Ok(self.sealer.context().seal_record(key, session, entropy::draw(), now)?)
    }

    fn seal_key(&self, key: &RecordKey) -> SealedCookie {
        self.sealer.context().seal_record_key(key, entropy::draw())
    }

    async fn load_record(&self, text: &str, known: Option<&Stamp>) -> Result<Loaded, StoreUnavailable> {
        // What is no cookie of ours never gets as far as Redis.
        let Some(place) = self.sealer.context().open_record_key(text) else { return Ok(Loaded::Absent) };
        let Place::Record { key, sealed_with } = &place else { return Ok(Loaded::Absent) };
        let (record, end) = (get(&self.link.names.record(key.id())), self.link.ask_end());
        let (record, end) = try_join(self.link.ask(&record), self.link.ask(&end)).await?;
        self.link.catch_up_with(&end).await?;
        let Value::BulkString(bytes) = record else { return Ok(Loaded::Absent) };
        if let Some(Stamp::Record(known)) = known
            && **known == *bytes
        {
            return Ok(Loaded::Unchanged);
        }
        let Some(session) = self.sealer.context().open_record(key, &bytes) else { return Ok(Loaded::Absent) };
        let opened = OpenedSession { session, sealed_with: *sealed_with, parts: PARTS };
        Ok(Loaded::Session(Box::new(Stored { opened, place, stamp: Stamp::Record(bytes.into()) })))
    }

    async fn open_record(&self, session: &Session, now: Timestamp) -> Result<SealedCookie, SaveError> {
        let key = RecordKey::new(session.id(), entropy::draw());
        let record = self.seal(&key, session, now)?;
        let mut command = redis::cmd("SET");
        let left = time_left(session, now).unwrap_or_else(|| "1".to_owned());
        command.arg(self.link.names.record(session.id())).arg(record.as_bytes()).arg("PX").arg(left);
        self.link.ask(&command).await?;
        Ok(self.seal_key(&key))
    }

    async fn keep_record(
        &self,
        session: &Session,
        place: &Place,
        now: Timestamp,
    ) -> Result<Option<SealedCookie>, SaveError> {
        let Place::Record { key, sealed_with } = place else { return Ok(None) };
        let Some(left) = time_left(session, now) else { return Ok(None) };
        let record = self.seal(key, session, now)?;
        let answer = self
            .link
            .run_script(
                &self.link.scripts.keep,
                &[&self.link.names.record(key.id())],
                &[generation(&record).as_bytes(), record.state(), record.as_bytes(), left.as_bytes()],
            )
            .await?;
        let (outcome, _) = self.outcome(answer)?;
        let outdated = *sealed_with == SealedWith::Older && outcome != GONE;
        Ok(outdated.then(|| self.seal_key(key)))
    }

    async fn claim_record(&self, session: &Session, place: &Place) -> Result<Claim, StoreUnavailable> {
        let Place::Record { key, .. } = place else { return Ok(Claim::Gone) };
        // Listening before asking: what ends between the two is heard.
        let bell = self.link.listen();
        let ticket = u64::from_be_bytes(entropy::draw().into_bytes());
        let (generation, lease) = (session.generation().0.to_string(), LEASE.as_millis().to_string());
        let names = &self.link.names;
        let answer = self
            .link
            .run_script(
                &self.link.scripts.claim,
                &[&names.record(key.id()), &names.lease(key.id())],
                &[generation.as_bytes(), ticket.to_string().as_bytes(), lease.as_bytes()],
            )
            .await?;
        match self.outcome(answer)? {
            (DONE, _) => Ok(Claim::Ours(Ticket(ticket))),
            (ELSEWHERE, _) => Ok(Claim::Elsewhere(Elsewhere(Box::pin(over(bell, key.id()))))),
            (NEWER, record) => {
                let newer = self.sealer.context().open_record(key, &record);
                Ok(newer.map_or(Claim::Gone, |newer| Claim::Newer(Box::new(newer))))
            }
            (GONE, _) => Ok(Claim::Gone),
            _ => Err(self.link.unexpected()),
        }
    }

    async fn settle_record(
        &self,
        renewed: &Session,
        place: &Place,
        ticket: Option<Ticket>,
        now: Timestamp,
    ) -> Result<Settled, StoreUnavailable> {
        let Place::Record { key, .. } = place else { return Ok(Settled::Gone) };
        let Some(left) = time_left(renewed, now) else { return Ok(Settled::Gone) };
        let Ok(record) = self.seal(key, renewed, now) else {
            tracing::error!("a renewed session is too large for a record; it ends here");
            return Ok(Settled::Gone);
        };
        let names = &self.link.names;
        let ticket = ticket.map(|Ticket(number)| number.to_string()).unwrap_or_default();
        let answer = self
            .link
            .run_script(
                &self.link.scripts.settle,
                &[&names.record(key.id()), &names.lease(key.id())],
                &[
                    generation(&record).as_bytes(),
                    record.state(),
                    record.as_bytes(),
                    left.as_bytes(),
                    ticket.as_bytes(),
                    names.news().as_bytes(),
                    renewal(key.id()).as_bytes(),
                ],
            )
            .await?;
        match self.outcome(answer)? {
            (DONE, _) => Ok(Settled::Kept),
            (NEWER, stored) => {
                let newer = self.sealer.context().open_record(key, &stored);
                Ok(newer.map_or(Settled::Gone, |newer| Settled::Superseded(Box::new(newer))))
            }
            (GONE, _) => Ok(Settled::Gone),
            _ => Err(self.link.unexpected()),
        }
    }

    async fn release_lease(&self, place: &Place, Ticket(ticket): Ticket) {
        let Place::Record { key, .. } = place else { return };
        let names = &self.link.names;
        // A lease that is not given back runs out.
        let _ = self
            .link
            .run_script(
                &self.link.scripts.release,
                &[&names.lease(key.id())],
                &[ticket.to_string().as_bytes(), names.news().as_bytes(), renewal(key.id()).as_bytes()],
            )
            .await;
    }

    async fn newest_record(&self, place: &Place) -> Result<Option<Session>, StoreUnavailable> {
        let Place::Record { key, .. } = place else { return Ok(None) };
        let record = self.link.ask(&get(&self.link.names.record(key.id()))).await?;
        let Value::BulkString(bytes) = record else { return Ok(None) };
        Ok(self.sealer.context().open_record(key, &bytes))
    }

    async fn end_record(&self, id: SessionId, now: Timestamp) -> Result<(), StoreUnavailable> {
        let word = Revocation { subject: Subject::Session(id), effect: Effect::End, at: now };
        let mut command = redis::cmd("DEL");
        command.arg(self.link.names.record(id)).arg(self.link.names.lease(id));
        let (removed, told) = join(self.link.ask(&command), self.append(&word)).await;
        removed.map(|_| ()).and(told)
    }

    async fn append(&self, word: &Revocation) -> Result<(), StoreUnavailable> {
        let names = &self.link.names;
        let (most, kept) = (MOST_WORDS.to_string(), self.link.settings.keep_words.as_millis().to_string());
        let (news, fields) = (names.news(), words::to_fields(word));
        let mut arguments: Vec<&[u8]> =
            vec![most.as_bytes(), kept.as_bytes(), news.as_bytes(), WORDS.as_bytes()];
        for (name, value) in &fields {
            arguments.extend([name.as_bytes(), value.as_bytes()]);
        }
        self.link.run_script(&self.link.scripts.tell, &[&names.words()], &arguments).await.map(|_| ())
    }

    async fn take_turn(&self, every: Span) -> Result<Turn, StoreUnavailable> {
        let names = &self.link.names;
        let held = every.as_millis().saturating_mul(TURNS).max(1).to_string();
        let keys = [&*names.poller(), &*names.cursor()];
        let arguments = [self.link.me.as_bytes(), held.as_bytes()];
        let answer = self.link.run_script(&self.link.scripts.turn, &keys, &arguments).await?;
        match self.outcome(answer)? {
            (0, _) => Ok(Turn::Elsewhere),
            (_, cursor) => {
                let after = String::from_utf8(cursor).ok().filter(|cursor| !cursor.is_empty());
                Ok(Turn::Ours { after: after.map(String::into_boxed_str) })
            }
        }
    }

    async fn note_event(&self, event: &str) -> Result<(), StoreUnavailable> {
        let names = &self.link.names;
        let kept = self.link.settings.keep_words.as_millis().to_string();
        let keys = [&*names.poller(), &*names.cursor()];
        let arguments = [self.link.me.as_bytes(), event.as_bytes(), kept.as_bytes()];
        self.link.run_script(&self.link.scripts.passed, &keys, &arguments).await.map(|_| ())
    }

    /// A script's answer: a number and bytes.
    fn outcome(&self, answer: Value) -> Result<(i64, Vec<u8>), StoreUnavailable> {
        redis::from_redis_value(answer).map_err(|_| self.link.unexpected())
    }
}

impl SessionStore for RedisStore {
    fn load<'a>(
        &'a self,
        text: &'a str,
        known: Option<&'a Stamp>,
    ) -> BoxFuture<'a, Result<Loaded, StoreUnavailable>> {
        Box::pin(self.load_record(text, known))
    }

    fn open<'a>(
        &'a self,
        session: &'a Session,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<SealedCookie, SaveError>> {
        Box::pin(self.open_record(session, now))
    }

    fn keep<'a>(
        &'a self,
        session: &'a Session,
        place: &'a Place,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Option<SealedCookie>, SaveError>> {
        Box::pin(self.keep_record(session, place, now))
    }

    fn claim<'a>(
        &'a self,
        session: &'a Session,
        place: &'a Place,
    ) -> BoxFuture<'a, Result<Claim, StoreUnavailable>> {
        Box::pin(self.claim_record(session, place))
    }

    fn settle<'a>(
        &'a self,
        renewed: &'a Session,
        place: &'a Place,
        ticket: Option<Ticket>,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Settled, StoreUnavailable>> {
        Box::pin(self.settle_record(renewed, place, ticket, now))
    }

    fn release<'a>(&'a self, place: &'a Place, ticket: Ticket) -> BoxFuture<'a, ()> {
        Box::pin(self.release_lease(place, ticket))
    }

    fn newest<'a>(&'a self, place: &'a Place) -> BoxFuture<'a, Result<Option<Session>, StoreUnavailable>> {
        Box::pin(self.newest_record(place))
    }

    fn end(&self, id: SessionId, now: Timestamp) -> BoxFuture<'_, Result<(), StoreUnavailable>> {
        Box::pin(self.end_record(id, now))
    }

    fn tell<'a>(&'a self, revocation: &'a Revocation) -> BoxFuture<'a, Result<(), StoreUnavailable>> {
        Box::pin(self.append(revocation))
    }

    fn turn(&self, every: Span) -> BoxFuture<'_, Result<Turn, StoreUnavailable>> {
        Box::pin(self.take_turn(every))
    }

    fn passed<'a>(&'a self, event: &'a str) -> BoxFuture<'a, Result<(), StoreUnavailable>> {
        Box::pin(self.note_event(event))
    }

    fn answers(&self) -> bool {
        self.link.is_up()
    }
}

fn get(key: &str) -> redis::Cmd {
    let mut command = redis::cmd("GET");
    command.arg(key);
    command
}

fn generation(record: &Record) -> String {
    record.generation().0.to_string()
}

fn renewal(id: SessionId) -> String {
    format!("{RENEWAL}{}", hex(id))
}

/// Resolves when the renewal of this session is over, or when that may have been missed.
async fn over(mut bell: broadcast::Receiver<Bell>, id: SessionId) {
    while let Ok(Bell::Renewal(other)) = bell.recv().await {
        if other == id {
            return;
        }
    }
}
