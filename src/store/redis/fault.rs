//! What goes wrong with Redis, in words for logs and metrics. What a server says is not repeated beyond its error
//! code: an old server that does not know a command answers with its arguments, the password among them.

use std::fmt;
use std::io;

use redis::{ErrorKind, RedisError, ServerErrorKind};

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// There is no connection just now.
    Away,
    /// No answer in time.
    Timeout,
    /// The connection failed, or was never made.
    Connection(String),
    /// The server is still loading its data.
    Loading,
    /// The server is a replica by now.
    ReadOnly,
    /// The server does not take our user or password.
    Credentials,
    /// The server does not speak RESP3: it is older than version 6.
    TooOld,
    /// The sentinels know no such server, or name one that is not in charge.
    NoMaster,
    /// A cluster, or the part of it that was asked, is down.
    Cluster,
    /// The server answered with an error of this code.
    Refused(Box<str>),
    /// The answer is none that the command can have.
    Unexpected,
}

impl Fault {
    /// The word for it in a metric's label.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Away => "away",
            Self::Timeout => "timeout",
            Self::Connection(_) => "connection",
            Self::Loading => "loading",
            Self::ReadOnly => "read_only",
            Self::Credentials => "credentials",
            Self::TooOld => "too_old",
            Self::NoMaster => "no_master",
            Self::Cluster => "cluster",
            Self::Refused(_) => "refused",
            Self::Unexpected => "unexpected",
        }
    }

    /// Is the connection of no more use?
    pub(super) const fn is_final(&self) -> bool {
        match self {
            Self::Timeout
            | Self::Connection(_)
            | Self::Loading
            | Self::ReadOnly
            | Self::Credentials
            | Self::TooOld
            | Self::NoMaster => true,
            Self::Away | Self::Cluster | Self::Refused(_) | Self::Unexpected => false,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Away => formatter.write_str("there is no connection"),
            Self::Timeout => formatter.write_str("it did not answer in time"),
            Self::Connection(why) => write!(formatter, "the connection failed: {why}"),
            Self::Loading => formatter.write_str("it is loading its data"),
            Self::ReadOnly => formatter.write_str("it has become a replica"),
            Self::Credentials => formatter.write_str("it does not take the user or the password"),
            Self::TooOld => formatter.write_str("it is older than version 6"),
            Self::NoMaster => formatter.write_str("the sentinels name no server that is in charge"),
            Self::Cluster => formatter.write_str("the cluster, or a part of it, is down"),
            Self::Refused(code) => write!(formatter, "it answered with the error {code}"),
            Self::Unexpected => formatter.write_str("its answer makes no sense"),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::TimedOut {
            Self::Timeout
        } else {
            Self::Connection(error.to_string())
        }
    }
}

impl From<RedisError> for Fault {
    fn from(error: RedisError) -> Self {
        if error.is_timeout() {
            return Self::Timeout;
        }
        // A server that predates RESP3 does not know the command that asks for it.
        match (error.kind(), error.code()) {
            (ErrorKind::RESP3NotSupported, _) => Self::TooOld,
            (_, Some("NOAUTH" | "WRONGPASS")) | (ErrorKind::AuthenticationFailed, _) => Self::Credentials,
            (ErrorKind::Io, _) => Self::Connection(error.to_string()),
            (ErrorKind::Server(ServerErrorKind::BusyLoading), _) => Self::Loading,
            (ErrorKind::Server(ServerErrorKind::ReadOnly), _) => Self::ReadOnly,
            (
                ErrorKind::Server(
                    ServerErrorKind::ClusterDown
                    | ServerErrorKind::MasterDown
                    | ServerErrorKind::Moved
                    | ServerErrorKind::Ask
                    | ServerErrorKind::TryAgain,
                )
                | ErrorKind::ClusterConnectionNotFound,
                _,
            ) => Self::Cluster,
            (_, Some(code)) => Self::Refused(code.into()),
            (_, None) => Self::Unexpected,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_not_repeated() {
        let said = "unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'ada' 'hunter2'";
        let error = redis::make_extension_error("ERR".to_owned(), Some(said.to_owned()));
        let fault = Fault::from(error);
        assert_eq!(fault, Fault::Refused("ERR".into()));
        assert!(!format!("{fault} {fault:?}").contains("hunter2"));
    }

    #[test]
    fn a_refused_password_is_told_from_other_errors() {
        for code in ["NOAUTH", "WRONGPASS"] {
            assert_eq!(Fault::from(redis::make_extension_error(code.to_owned(), None)), Fault::Credentials);
        }
        let timed_out = RedisError::from(io::Error::from(io::ErrorKind::TimedOut));
        assert_eq!(Fault::from(timed_out), Fault::Timeout);
    }
}
