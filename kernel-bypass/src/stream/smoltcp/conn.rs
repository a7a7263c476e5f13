//! One connection: its TCP socket, the application's buffers, and how far it has come.

use super::super::hub::{RecvBuffer, SendBuffer};
use super::config::SmoltcpConfig;
use super::parting::ACK_FRAME;
use super::peek::Key;
use crate::stream::CloseReason;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp;
use smoltcp::time::Duration;

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// The number is free.
    Free,
    /// Asked for from here, not up.
    Connecting,
    /// Asked for by a peer, not up; the application does not know it.
    Accepting,
    /// Up, as far as the application has not ended a direction.
    Open,
    /// The application has closed it; what is queued is still being handed to TCP.
    Flushing,
    /// TCP has everything, and the end; the peer's is awaited.
    Draining,
    /// Over; to be told.
    Over(CloseReason),
    /// Told; free at the next poll.
    Told,
}

pub(super) struct Conn {
    pub generation: u32,
    pub state: State,
    /// A set for this socket alone: smoltcp looks at every socket of a set, so nobody else's may be in it.
    pub sockets: SocketSet<'static>,
    pub handle: SocketHandle,
    pub key: Key,
    /// Which listener it came by.
    pub listener: u32,
    pub recv: RecvBuffer,
    pub send: SendBuffer,
    /// The peer has reset it.
    pub reset: bool,
    /// The number of the last bare acknowledgement that came while only our end was unacknowledged.
    pub last_ack: Option<i32>,
    /// The last bare acknowledgement that was sent while it was being closed.
    pub parting: Option<[u8; ACK_FRAME]>,
    /// The peer's end was told, or would have been if the application still cared.
    pub peer_closed: bool,
    /// The application wants to hear of room.
    pub wants_room: bool,
    /// The application wants to hear of what it left.
    pub rearmed: bool,
    /// The application has closed it.
    pub closed: bool,
    /// The application sends nothing more.
    pub write_closed: bool,
    /// TCP was told so.
    pub write_shut: bool,
    /// In the port's list of that name.
    pub in_ready: bool,
    pub in_dirty: bool,
    pub in_notify: bool,
    pub in_starved: bool,
    /// Bytes dropped since it was closed.
    pub drained: usize,
    /// When it is given up: not up in time, or lingering for too long. On the port's clock.
    pub deadline: Option<u64>,
}

impl Conn {
    pub fn new(config: &SmoltcpConfig) -> Self {
        let buffer = |bytes: usize| tcp::SocketBuffer::new(vec![0; bytes]);
        let mut socket = tcp::Socket::new(buffer(config.tcp_recv_buffer), buffer(config.tcp_send_buffer));
        // Orders do not wait for company.
        socket.set_nagle_enabled(false);
        let delay = config.ack_delay.as_micros() as u64;
        socket.set_ack_delay((delay > 0).then(|| Duration::from_micros(delay)));
        let mut sockets = SocketSet::new(Vec::with_capacity(1));
        let handle = sockets.add(socket);
        Self {
            generation: 0,
            state: State::Free,
            sockets,
            handle,
            key: Key::NOBODY,
            listener: 0,
            recv: RecvBuffer::new(config.recv_buffer),
            send: SendBuffer::new(config.send_buffer),
            reset: false,
            last_ack: None,
            parting: None,
            peer_closed: false,
            wants_room: false,
            rearmed: false,
            closed: false,
            write_closed: false,
            write_shut: false,
            in_ready: false,
            in_dirty: false,
            in_notify: false,
            in_starved: false,
            drained: 0,
            deadline: None,
        }
    }

    /// Begins a new life. The flags `in_*` stay: the number may still stand in a list, where it does no harm.
    pub fn start(&mut self, key: Key, state: State, deadline: u64) {
        debug_assert_eq!(self.state, State::Free);
        // Put back, so that the set forgets what the last life's neighbor was.
        let socket = self.sockets.remove(self.handle);
        let smoltcp::socket::Socket::Tcp(socket) = socket;
        self.handle = self.sockets.add(socket);
        self.key = key;
        self.state = state;
        self.recv.clear();
        self.send.clear();
        self.reset = false;
        self.last_ack = None;
        self.parting = None;
        self.peer_closed = false;
        self.wants_room = false;
        self.rearmed = false;
        self.closed = false;
        self.write_closed = false;
        self.write_shut = false;
        self.drained = 0;
        self.deadline = Some(deadline);
    }

    #[inline]
    pub fn socket(&self) -> &tcp::Socket<'static> {
        self.sockets.get(self.handle)
    }

    #[inline]
    pub fn socket_mut(&mut self) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(self.handle)
    }

    /// Our end was sent, or will be at once, and is all that the peer has not acknowledged.
    pub fn awaits_ack_of_end(&self) -> bool {
        use tcp::State as Tcp;
        let sent = matches!(self.socket().state(), Tcp::FinWait1 | Tcp::Closing | Tcp::LastAck);
        sent && self.socket().send_queue() == 0
    }

    /// It was closed from here, and ends here with an acknowledgement of the peer's end.
    pub fn is_parting(&self) -> bool {
        use tcp::State as Tcp;
        matches!(self.socket().state(), Tcp::FinWait1 | Tcp::FinWait2 | Tcp::Closing | Tcp::TimeWait)
    }

    /// Whether TCP still has to do with it.
    pub fn is_live(&self) -> bool {
        !matches!(self.state, State::Free | State::Over(_) | State::Told)
    }

    /// Whether the application knows it, and it is not over.
    pub fn is_known(&self) -> bool {
        self.is_live() && self.state != State::Accepting
    }

    /// Whether the application may send.
    pub fn may_send(&self) -> bool {
        matches!(self.state, State::Connecting | State::Open) && !self.write_closed
    }

    /// Whether bytes can be taken from TCP.
    pub fn may_receive(&self) -> bool {
        match self.state {
            State::Open => !self.recv.is_full(),
            State::Flushing | State::Draining => true,
            _ => false,
        }
    }

    /// TCP's handshake is done.
    pub fn is_up(&self) -> bool {
        use tcp::State as Tcp;
        !matches!(self.socket().state(), Tcp::Closed | Tcp::Listen | Tcp::SynSent | Tcp::SynReceived)
    }

    /// The peer has sent its end, and everything before it was taken.
    pub fn is_ended(&self) -> bool {
        use tcp::State as Tcp;
        let ended = match self.socket().state() {
            Tcp::CloseWait | Tcp::LastAck | Tcp::Closing | Tcp::TimeWait => true,
            // Closed without a reset: both directions had ended.
            Tcp::Closed => !self.reset && self.write_shut,
            _ => false,
        };
        ended && self.socket().recv_queue() == 0
    }

    /// Moves what TCP has into the application's buffer; how much.
    pub fn receive(&mut self) -> usize {
        let socket = self.sockets.get_mut::<tcp::Socket>(self.handle);
        let mut count = 0;
        // Twice: TCP's buffer is a circle.
        for _ in 0..2 {
            let space = self.recv.space();
            let some = socket.recv_slice(space).unwrap_or(0);
            self.recv.filled(some);
            count += some;
            if some == 0 || self.recv.is_full() {
                break;
            }
        }
        count
    }

    /// Throws away what TCP has; how much.
    pub fn discard(&mut self) -> usize {
        let socket = self.socket_mut();
        let mut count = 0;
        while socket.can_recv() {
            count += socket.recv(|bytes| (bytes.len(), bytes.len())).unwrap_or(0);
        }
        count
    }

    /// Hands what is queued to TCP, as much as it takes; how much.
    pub fn hand_over(&mut self) -> usize {
        let socket = self.sockets.get_mut::<tcp::Socket>(self.handle);
        let mut count = 0;
        for slice in self.send.slices() {
            if slice.is_empty() {
                break;
            }
            let some = socket.send_slice(&slice).unwrap_or(0);
            count += some;
            if some < slice.len() {
                break;
            }
        }
        self.send.sent(count);
        count
    }

    /// Everything that was queued has been acknowledged.
    pub fn is_delivered(&self) -> bool {
        self.send.len() == 0 && self.socket().send_queue() == 0
    }
}
