//! The words for decisions in access lines and metrics; the same that policy tests are written with, and a few
//! for requests that policy never saw.

/// What was decided about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecisionWord {
    /// It went to the upstream.
    Allow,
    /// It may not.
    Deny,
    /// It lacks an identity: sent to sign in, or told so.
    SignIn,
    /// It needs a fresher or stronger sign-in.
    StepUp,
    /// It could not be decided.
    Unavailable,
    /// It was for one of our own endpoints.
    Own,
    /// It was no request that policy could be asked about.
    Malformed,
}

impl DecisionWord {
    /// How many there are.
    pub(super) const COUNT: usize = 7;

    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::SignIn => "sign_in",
            Self::StepUp => "step_up",
            Self::Unavailable => "unavailable",
            Self::Own => "own",
            Self::Malformed => "malformed",
        }
    }
}
