//! Vestibule stands in front of an existing web application and lets people in through WorkOS.
//!
//! This page is the architecture: what the parts are, how a request goes through them, and what always holds.
//! Operators read `README.md`; the settings are in `config/reference.toml`.
//!
//! # The idea
//!
//! **The pure core returns a value that says what to do; the shell does it and hands the result back.** The
//! core ([`auth`]) never awaits, reads a clock, draws randomness, logs or opens a socket, so every rule about
//! who may do what is a function that a test calls. The shell is everything else, and decides nothing.
//!
//! # The map
//!
//! | module | rank | is |
//! |---|---|---|
//! | [`command`] | 7 | the command line: one file for each command |
//! | [`app`] | 6 | the composition root: from settings to a running proxy and to its end |
//! | [`server`] | 5 | HTTP in: sockets, connections, the tower stack, our endpoints, the way to the application |
//! | [`refresh`], [`lease`], [`revocation`] | 4 | renewing sessions, one call for everyone; streams that end with their session; what WorkOS tells of both |
//! | [`workos`], [`store`], [`upstream`], [`mail`], [`config`], [`standing`], [`activity`] | 3 | peers that never import each other |
//! | [`coarse`], [`pace`] | 2 | deadlines of a data thread, looked at once a second; how often one asker may have WorkOS called |
//! | [`clock`], [`entropy`], [`telemetry`] | 1 | time, random bytes, logs and metrics |
//! | [`auth`] | 0 | the pure core |
//!
//! A module imports modules of lower rank and no others; `tests/integration/architecture.rs` holds this table
//! against the code. [`config`] is further reserved to [`app`] and [`command`], who hand each part its own
//! settings.
//!
//! # The way of a request
//!
//! ```text
//! listener ─ stream ► connection ─ request ► stack (id, log, limits, panics) ► router
//!   ► credential: cookie ► thread's cache, or store ► standing            = Presented
//!   ► or bearer: token ► thread's cache, or key set (and profile) ► standing
//!   ► auth::Gate::assess(facts, presented, now)                           = Decision { verdict, trace }
//!        Forward(Passage) ► upstream::Pool::send ► answer, with a renewed cookie where there is one
//!        Refresh(Stale)   ► refresh actor ► WorkOS ► Gate::settle, which never asks for another
//!        SignIn(Detour)   ► auth::sign_in::Attempt::begin ► 302 to WorkOS, with a sealed cookie
//!        Refuse(Refusal)  ► server::reply: a page for people, a problem document for programs
//!
//! webhook, or poll of the events API ► revocation ► standing, and the store for the other replicas
//! /auth/magic-auth, our own page ► control runtime ► WorkOS ► auth::sign_in::OwnAttempt, sealed, for each step
//! /auth/callback ► auth::sign_in::finish ► control runtime ► WorkOS ► Session::open ► store ► 303
//! /auth/magic-link/callback ► auth::magic_link::finish ► … ► Session::of_profile, which nothing renews
//! ```
//!
//! # Threads
//!
//! One data thread for each core, up to four: a current-thread runtime with a listening socket of its own
//! (`SO_REUSEPORT`), its own upstream connections and its own cache of opened sessions. One control thread for
//! everything that is not a forwarded request: WorkOS, its key set, renewals, sealing keys, probes. They share one
//! [`Shared`](server::live::Shared): the configuration of the moment behind an atomic swap, what is known of
//! sessions ([`standing`]), and channels to the control thread. What a data thread owns is behind mutexes that
//! only it takes, never across an await.
//!
//! [`standing`] is read without waiting and written by one rule: *mark, then answer*. Whoever is told that a
//! session ended is told after every thread can see the mark.
//!
//! What a session holds open on a data thread (WebSockets, event streams, gRPC calls, downloads) is entered among
//! its leases ([`lease`]) and looked at once a second: does the session stand, is its time over, does the policy
//! of the moment let in whom it speaks of now? What people send on it counts as use of their session
//! ([`activity`]).
//!
//! Where replicas share their sessions on a server ([`store`]), its one connection is carried by the control
//! thread and asked by all of them; what another replica has told is heard before a session is served.
//!
//! Time comes from one [`Clock`](clock::Clock). Data threads wait on [`coarse`] deadlines, because a timer of
//! the runtime costs a system call for each request; tests hold a manual clock and move it.
//!
//! # What always holds
//!
//! 1. [`auth`] never awaits, reads a clock, draws randomness, logs or opens a socket.
//! 2. No request reaches an upstream without a [`Passage`](auth::gate::Passage), and only the gate makes one.
//! 3. No identity header that a client sent survives, on any route, public or not.
//! 4. Token, code, key and cookie bytes never appear in a log, metric, error or page.
//! 5. Only `server/reply` chooses a status code; only [`auth::return_to`] makes a redirect target inside the
//!    site; only [`config::source`] reads the environment.
//! 6. A transient failure of WorkOS ([`WorkOsError::Transient`](workos::WorkOsError::Transient)) never ends a
//!    session.
//! 7. The program `vestibule` cannot contain the emulator: it is a dependency of the feature `demo` alone.
//!
//! "Could not decide" is a refusal. A broken cookie is an absent cookie. A broken dependency is a `503`.

pub mod activity;
pub mod app;
pub mod auth;
pub mod clock;
pub mod coarse;
pub mod command;
pub mod config;
pub mod entropy;
pub mod lease;
pub mod mail;
pub mod pace;
pub mod refresh;
pub mod revocation;
pub mod server;
pub mod standing;
pub mod store;
pub mod telemetry;
pub mod upstream;
pub mod workos;
