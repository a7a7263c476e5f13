//! The host's side of `ivshmem`: the product's device model behind a mailbox, its DMA in a memory file.
//!
//! The memory file is what the guest sees as a BAR. Host memory, in the device's sense, is that file behind its first page; the device
//! reaches it by positioned reads and writes of one dword each, so that a beat really arrives in eight pieces, while the guest looks.

use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use wirebook_bypass::pci::bus::{DeviceModel, DmaFault, HostMemory};
use wirebook_matcher::device::{DeviceFault, Model};
use wirebook_matcher::{Queued, Software};

use crate::{DMA_BASE, SHARED_BYTES, limits, mailbox};

/// Turns without work before the device yields the processor, of which this machine may have few.
const EAGER_TURNS: u32 = 200;
/// How long it then sleeps.
const NAP: Duration = Duration::from_micros(20);

/// The memory that host and guest share.
pub struct Shared(File);

impl Shared {
    /// Zeroed memory.
    ///
    /// # Errors
    /// When the system has none.
    pub fn new() -> io::Result<Self> {
        let fd = rustix::fs::memfd_create("wirebook-device", rustix::fs::MemfdFlags::CLOEXEC)?;
        let file = File::from(fd);
        file.set_len(SHARED_BYTES as u64)?;
        Ok(Self(file))
    }

    fn load(&self, at: u64) -> io::Result<u32> {
        let mut bytes = [0; 4];
        self.0.read_exact_at(&mut bytes, at)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn store(&self, at: u64, value: u32) -> io::Result<()> {
        self.0.write_all_at(&value.to_le_bytes(), at)
    }
}

/// Where `dwords` dwords at a device address lie in the file.
fn place(address: u64, dwords: usize) -> Result<u64, DmaFault> {
    let bytes = dwords * 4;
    let room = (SHARED_BYTES - mailbox::BYTES) as u64;
    let offset = address.checked_sub(DMA_BASE).filter(|offset| offset.is_multiple_of(4));
    match offset.filter(|offset| offset + bytes as u64 <= room) {
        Some(offset) => Ok(mailbox::BYTES as u64 + offset),
        None => Err(DmaFault { address, bytes }),
    }
}

impl HostMemory for Shared {
    fn read(&mut self, address: u64, into: &mut [u32]) -> Result<(), DmaFault> {
        let at = place(address, into.len())?;
        let fault = DmaFault { address, bytes: into.len() * 4 };
        // From the last to the first: nothing orders a device's reads.
        for (at_dword, dword) in into.iter_mut().enumerate().rev() {
            *dword = self.load(at + 4 * at_dword as u64).map_err(|_| fault)?;
        }
        Ok(())
    }

    fn write(&mut self, address: u64, from: &[u32]) -> Result<(), DmaFault> {
        let at = place(address, from.len())?;
        let fault = DmaFault { address, bytes: from.len() * 4 };
        from.iter()
            .zip((0u64..).step_by(4))
            .try_for_each(|(dword, offset)| self.store(at + offset, *dword))
            .map_err(|_| fault)
    }

    fn interrupt(&mut self, _: usize) {}
}

/// Answers one request of the guest's, if there is one.
fn serve(shared: &Shared, model: &mut Model<Queued<Software>>) -> io::Result<bool> {
    let asked = shared.load(mailbox::ASKED as u64)?;
    if asked == shared.load(mailbox::ANSWERED as u64)? {
        return Ok(false);
    }
    let word = |at: usize| shared.load(at as u64);
    let (offset, value) = (word(mailbox::OFFSET)? as usize, word(mailbox::VALUE)?);
    match word(mailbox::KIND)? {
        mailbox::READ => shared.store(mailbox::RESULT as u64, model.read(0, offset))?,
        mailbox::WRITE => model.write(0, offset, value),
        mailbox::DRILL => model.inject(DeviceFault::Stall, value),
        other => return Err(io::Error::other(format!("the guest asks for {other}, which is no request"))),
    }
    shared.store(mailbox::ANSWERED as u64, asked)?;
    Ok(true)
}

/// Waits for QEMU, shares the memory with it, and is the device until `over`.
///
/// # Errors
/// When QEMU does not connect or goes, or the memory fails.
pub fn run(listener: &UnixListener, over: &AtomicBool) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let stream = loop {
        match listener.accept() {
            Ok((stream, _)) => break stream,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && !over.load(Ordering::Relaxed) => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(error) => return Err(error),
        }
    };
    let mut shared = Shared::new()?;
    let _events = introduce(&stream, &shared)?;
    let mut model = Model::new(|| Queued::<Software>::new(limits()));
    let mut idle = 0;
    while !over.load(Ordering::Relaxed) {
        let served = serve(&shared, &mut model)?;
        model.step(&mut shared);
        idle = if served { 0 } else { idle + 1 };
        if idle > EAGER_TURNS {
            std::thread::sleep(NAP);
        }
    }
    Ok(())
}

/// What an ivshmem server says to a client (QEMU documentation, "Device Specification for Inter-VM shared memory device"): version 0,
/// the client's id, the memory, then for each peer its id with an event descriptor per vector.
fn introduce(stream: &UnixStream, shared: &Shared) -> io::Result<[OwnedFd; 2]> {
    const GUEST: i64 = 0;
    const HOST: i64 = 1;
    let event = || rustix::event::eventfd(0, rustix::event::EventfdFlags::NONBLOCK);
    let events = [event()?, event()?];
    send(stream, 0, None)?;
    send(stream, GUEST, None)?;
    send(stream, -1, Some(shared.0.as_fd()))?;
    send(stream, HOST, Some(events[0].as_fd()))?;
    send(stream, GUEST, Some(events[1].as_fd()))?;
    Ok(events)
}

fn send(mut stream: &UnixStream, number: i64, with: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let bytes = number.to_le_bytes();
    let Some(with) = with else { return stream.write_all(&bytes) };
    let with = [with];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&with)), "there is space for one");
    let sent = sendmsg(stream, &[IoSlice::new(&bytes)], &mut control, SendFlags::empty())?;
    if sent == bytes.len() { Ok(()) } else { Err(io::Error::from(io::ErrorKind::WriteZero)) }
}
