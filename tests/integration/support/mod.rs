//! What the stories are told with: a [`World`] in which everything runs, a [`Browser`] to walk through it, and what
//! can be seen and done behind the scenes. Everything is synchronous: a test is a thread that does one thing after
//! the other, and what it does at once it does with further threads.

pub(crate) mod app;
pub(crate) mod browser;
pub(crate) mod by_hand;
pub(crate) mod config;
pub(crate) mod frames;
pub(crate) mod h2;
pub(crate) mod h2_stream;
pub(crate) mod in_process;
pub(crate) mod installation;
pub(crate) mod jar;
pub(crate) mod log;
pub(crate) mod mailbox;
pub(crate) mod operator;
pub(crate) mod patience;
pub(crate) mod program;
pub(crate) mod raw;
pub(crate) mod redis;
pub(crate) mod relay;
pub(crate) mod shared_store;
pub(crate) mod tokens;
pub(crate) mod upstream;
pub(crate) mod wire;
pub(crate) mod workos;
pub(crate) mod world;

pub(crate) use crate::support::browser::{Browser, Visit};
pub(crate) use crate::support::patience::Gate;
pub(crate) use crate::support::upstream::Answer;
pub(crate) use crate::support::wire::Response;
pub(crate) use crate::support::world::{World, minutes, secs};
