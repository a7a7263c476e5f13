//! Why a server's connection ends: every way there is, each fit for a log line.

use thiserror::Error;

use super::login::SessionId;
use super::packet::SoupError;
use crate::session::Alpha;

const MILLISECOND_NS: u64 = 1_000_000;

/// Why a connection ended, for a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum EndReason {
    /// No login came in time.
    #[error("no login in time")]
    LoginTimeout,
    /// The caller refused the credentials.
    #[error("login refused: unknown user or wrong password")]
    NotAuthorized,
    /// The login named a session that is not this one.
    #[error("login refused: session {asked} is not available, {current} is")]
    SessionNotAvailable {
        /// The session named.
        asked: Alpha<10>,
        /// The session there is.
        current: SessionId,
    },
    /// The login named a message that this session does not have.
    #[error("login refused: message {asked} is not available, {next} is the next to be released")]
    NumberNotAvailable {
        /// The number named.
        asked: u64,
        /// The first number that is not released.
        next: u64,
    },
    /// The client's bytes are no packets.
    #[error("bad packet: {0}")]
    Protocol(#[from] SoupError),
    /// A message came before a login.
    #[error("a message before the login")]
    NotLoggedIn,
    /// A login came on a connection that has one.
    #[error("a second login on one connection")]
    SecondLogin,
    /// The layer above cannot read the client's message.
    #[error("a message that the protocol above does not know")]
    BadMessage,
    /// Nothing was heard from the client.
    #[error("nothing heard for {} ms", .silent_ns / MILLISECOND_NS)]
    Silent {
        /// For so long, in nanoseconds.
        silent_ns: u64,
    },
    /// The client did not read.
    #[error("the client has not read for {} ms", .stalled_ns / MILLISECOND_NS)]
    Stalled {
        /// For so long, in nanoseconds.
        stalled_ns: u64,
    },
    /// The client logged out.
    #[error("logged out")]
    Logout,
    /// The peer closed the connection, or it broke.
    #[error("disconnected by the peer")]
    Disconnected,
    /// The session is over, and the client was told.
    #[error("end of session")]
    EndOfSession,
    /// The user logged in on another connection.
    #[error("superseded by a newer login of the same user")]
    Superseded,
    /// The gateway stops.
    #[error("the gateway shuts down")]
    Shutdown,
    /// A released message is missing from the history, or too long for a packet, or the history has lost messages that were sent:
    /// a fault on this side.
    #[error("fault here: the history does not hold message {sequence} as it should")]
    HistoryFault {
        /// Its number.
        sequence: u64,
    },
}
