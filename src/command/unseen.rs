//! A terminal that does not show what is typed, for as long as a secret is.

use std::io;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// Standard input's terminal, if it is one, shows nothing until this is dropped.
pub(super) struct Unseen(Option<Termios>);

impl Unseen {
    /// From now on.
    pub(super) fn begin() -> Self {
        let before = tcgetattr(io::stdin()).ok();
        let hidden = before.clone().is_some_and(|mut modes| {
            modes.local_modes.remove(LocalModes::ECHO);
            // What was typed ahead is thrown away: it was seen.
            tcsetattr(io::stdin(), OptionalActions::Flush, &modes).is_ok()
        });
        Self(before.filter(|_| hidden))
    }

    /// Is nothing shown? Not where standard input is no terminal.
    pub(super) const fn holds(&self) -> bool {
        self.0.is_some()
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}
