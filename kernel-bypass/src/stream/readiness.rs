//! One epoll set for the sockets of a port, its listeners, its waker and what its caller watches: what a token names.

use super::epoll::{self, Epoll};
use super::hub::{MAX_LISTENERS, Note, Ready, refused};
use super::kernel::raise_descriptor_limit;
use super::wake::Sleeper;
use super::{ConnId, StreamError};

/// Epoll's token of the waker.
const WAKER_TOKEN: u64 = u64::MAX;
/// Epoll's token of what the caller watches.
pub(super) const WATCH_TOKEN: u64 = u64::MAX - 1;
/// A token whose low half is this plus the listener's number; connection numbers end below.
const LISTENER_SLOT: u32 = 1 << 24;

/// A set for so many connections, with its waker in it; raises the process's soft limit of open files if they need it.
///
/// # Errors
/// What the system refuses.
pub(super) fn set(connections: usize) -> Result<(Epoll, Sleeper), StreamError> {
    raise_descriptor_limit(connections)?;
    let epoll = Epoll::new(connections + MAX_LISTENERS + 1).map_err(refused("make an epoll set"))?;
    let sleeper = Sleeper::new().map_err(refused("make an eventfd"))?;
    epoll.add(sleeper.fd(), epoll::LEVEL, WAKER_TOKEN).map_err(refused("watch the eventfd"))?;
    Ok((epoll, sleeper))
}

/// The token of a listener.
pub(super) fn listener_token(number: u32) -> u64 {
    u64::from(LISTENER_SLOT + number)
}

/// What epoll told, as a port notes it; of a connection `ready` says what it is ready for. Nothing of what the caller watches: it has ended
/// the wait, which is all that it is for.
pub(super) fn note(told: epoll::Ready, ready: impl FnOnce(ConnId, epoll::Ready) -> Ready) -> Option<Note> {
    let (slot, generation) = (told.token as u32, (told.token >> 32) as u32);
    let conn = ConnId { slot, generation };
    match told.token {
        WAKER_TOKEN => Some(Note::Woken),
        WATCH_TOKEN => None,
        _ if slot >= LISTENER_SLOT => Some(Note::Listener(slot - LISTENER_SLOT)),
        _ => Some(Note::Ready { conn, ready: ready(conn, told) }),
    }
}
