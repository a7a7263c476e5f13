//! What is armed in the kernel, and what its completions come to.

#![allow(unsafe_code)]

use super::{Of, RESERVE_GROUP, SCARCE, SHARED_GROUP, STARVED_FOR, Uring, conn_tag, tag};
use crate::stream::ConnId;
use crate::stream::hub::{Note, Ready, Received};
use io_uring::types::{Fd, Fixed};
use io_uring::{cqueue, opcode, squeue};
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::time::Instant;

impl Uring {
    pub(super) fn arm_accept(&mut self, number: u32) -> io::Result<()> {
        let Some(Some(listening)) = self.listening.get_mut(number as usize) else {
            return Ok(());
        };
        listening.armed = true;
        let accept = opcode::AcceptMulti::new(Fd(listening.fd)).flags(libc::SOCK_CLOEXEC);
        self.push(accept.build().user_data(tag(Of::Accept, number, 0)))
    }

    /// Asks starved listeners again whose time has come.
    #[cold]
    pub(super) fn feed_starved(&mut self) -> io::Result<()> {
        let now = Instant::now();
        self.starved = false;
        for number in 0..self.listening.len() {
            let Some(listening) = &mut self.listening[number] else { continue };
            match listening.again {
                Some(again) if again <= now => {
                    listening.again = None;
                    self.arm_accept(number as u32)?;
                }
                Some(_) => self.starved = true,
                None => {}
            }
        }
        Ok(())
    }

    pub(super) fn arm_later(&mut self, slot: u32) {
        let place = &mut self.slots[slot as usize];
        if !place.to_arm && !place.armed && place.end.is_none() {
            place.to_arm = true;
            self.to_arm.push(slot);
        }
    }

    /// Queues the receives that are due.
    pub(super) fn arm(&mut self) -> io::Result<()> {
        while let Some(slot) = self.to_arm.pop() {
            let place = &mut self.slots[slot as usize];
            place.to_arm = false;
            // One whose reserve is full is armed when that is consumed.
            if !place.open || place.armed || place.end.is_some() || place.reserve.count > 0 {
                continue;
            }
            place.armed = true;
            place.stopped = false;
            let conn = ConnId { slot, generation: place.generation };
            let reserve = std::mem::take(&mut place.ran_out);
            let request = if !reserve && self.shared.free() > self.shared.count() / SCARCE {
                opcode::RecvMulti::new(Fixed(slot), SHARED_GROUP).build().user_data(conn_tag(Of::Receive, conn))
            } else {
                opcode::Recv::new(Fixed(slot), std::ptr::null_mut(), self.config.shared_buffer_bytes as u32)
                    .buf_group(RESERVE_GROUP)
                    .build()
                    .flags(squeue::Flags::BUFFER_SELECT)
                    .user_data(conn_tag(Of::ReceiveOnce, conn))
            };
            self.push(request)?;
        }
        Ok(())
    }

    /// Takes what is done off the ring; whether something was received.
    pub(super) fn reap(&mut self, notes: &mut Vec<Note>) -> io::Result<bool> {
        let mut received = false;
        // One by one, as what is found may queue requests; and not for ever, as with a submission thread more may come meanwhile.
        for _ in 0..self.ring.most_completions() {
            let Some((result, flags, data)) = self.ring.completion() else { break };
            let (of, number, generation) = ((data >> 56) as u8, (data >> 32) as u32 & 0xff_ffff, data as u32);
            let more = cqueue::more(flags);
            let conn = ConnId { slot: number, generation };
            if of == Of::Receive as u8 || of == Of::ReceiveOnce as u8 {
                received = true;
                let shared = of == Of::Receive as u8;
                self.received(conn, result, cqueue::buffer_select(flags), shared, more, notes)?;
            } else if of == Of::Send as u8 {
                if self.is_open(conn) {
                    notes.push(Note::Sent { conn, result });
                }
            } else if of == Of::Connect as u8 {
                if self.is_open(conn) {
                    self.slots[number as usize].connected = Some(result);
                    let ready = Ready { writable: true, ..Ready::default() };
                    notes.push(Note::Ready { conn, ready });
                    self.arm_later(number);
                }
            } else if of == Of::Hangup as u8 {
                if self.is_open(conn) && result >= 0 {
                    notes.push(Note::Ready { conn, ready: Ready { failed: true, ..Ready::default() } });
                }
            } else if of == Of::Accept as u8 {
                self.accepted(number, result, more, notes)?;
            } else if of == Of::Waker as u8 {
                notes.push(Note::Woken);
                if !more {
                    self.await_readable(self.sleeper.fd(), data)?;
                }
            } else if of == Of::Watch as u8 && !more && result >= 0 {
                // A descriptor that another ring signals is told once at a time.
                self.await_readable(self.watched[number as usize], data)?;
            }
        }
        Ok(received)
    }

    fn is_open(&self, conn: ConnId) -> bool {
        self.slots.get(conn.index()).is_some_and(|place| place.open && place.generation == conn.generation)
    }

    fn received(
        &mut self,
        conn: ConnId,
        result: i32,
        buffer: Option<u16>,
        shared: bool,
        more: bool,
        notes: &mut Vec<Note>,
    ) -> io::Result<()> {
        let open = self.is_open(conn);
        let pool = if shared { &mut self.shared } else { &mut self.reserve };
        let Some(place) = self.slots.get_mut(conn.index()).filter(|_| open) else {
            buffer.into_iter().for_each(|buffer| pool.pass(buffer));
            return Ok(());
        };
        let chain = if shared { &mut place.held } else { &mut place.reserve };
        match (result, buffer) {
            (1.., Some(buffer)) => pool.hold(chain, buffer, result as usize),
            (_, Some(buffer)) => pool.pass(buffer),
            _ => {}
        }
        place.armed = more;
        match -result {
            ..0 => {}
            0 => {
                place.end = Some(Received::End);
                // Nothing is received any more that would tell of a reset.
                let hangup = opcode::PollAdd::new(Fixed(conn.slot), libc::POLLERR as u32).build();
                self.push(hangup.user_data(conn_tag(Of::Hangup, conn)))?;
            }
            libc::ENOBUFS if shared => {
                place.ran_out = true;
                self.ran_out = true;
            }
            libc::ENOBUFS | libc::ECANCELED | libc::EINTR | libc::EAGAIN => {}
            error => place.end = Some(Received::Failed(io::Error::from_raw_os_error(error).kind())),
        }
        let place = &mut self.slots[conn.index()];
        if result >= 0 || place.end.is_some() {
            notes.push(Note::Ready { conn, ready: Ready { readable: true, ..Ready::default() } });
        }
        if place.held.count >= self.share {
            if place.armed && !place.stopped {
                place.stopped = true;
                let cancel = opcode::AsyncCancel::new(conn_tag(Of::Receive, conn)).build();
                self.push(cancel.user_data(conn_tag(Of::Cancel, conn)))?;
            }
        } else if !place.armed {
            self.arm_later(conn.slot);
        }
        Ok(())
    }

    fn accepted(&mut self, number: u32, result: i32, more: bool, notes: &mut Vec<Note>) -> io::Result<()> {
        // SAFETY: a descriptor that the kernel has just made for us, and that nobody else owns.
        let socket = (result >= 0).then(|| unsafe { OwnedFd::from_raw_fd(result) });
        let Some(Some(listening)) = self.listening.get_mut(number as usize) else {
            // Unlistened meanwhile: the socket is closed here.
            return Ok(());
        };
        listening.armed = more;
        match socket {
            Some(socket) => listening.accepted.push_back(socket),
            None if result == -libc::ECANCELED || result == -libc::ECONNABORTED => {}
            None => {
                listening.error = Some(-result);
                listening.again = Some(Instant::now() + STARVED_FOR);
                self.starved = true;
            }
        }
        notes.push(Note::Listener(number));
        let again = !more && listening.again.is_none();
        if again { self.arm_accept(number) } else { Ok(()) }
    }
}
