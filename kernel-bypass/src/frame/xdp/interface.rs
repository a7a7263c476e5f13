//! What there is to know about a network interface.

#![allow(unsafe_code)]

use crate::frame::MacAddr;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// An interface, by name and number, in the network namespace of the thread that looked it up.
#[derive(Debug, Clone)]
pub(super) struct Interface {
    pub index: u32,
    pub mac: MacAddr,
    /// Bytes of the longest packet in a frame.
    pub mtu: usize,
    /// Receive queues in use.
    pub queues: u32,
    /// Whether the driver says that it can do without copies.
    pub zero_copy: bool,
}

impl Interface {
    pub fn find(name: &str) -> io::Result<Self> {
        let no_such = || io::Error::new(io::ErrorKind::NotFound, "there is no such interface");
        let c_name = CString::new(name).map_err(|_| no_such())?;
        let nic = xdp::nic::NicIndex::lookup_by_name(&c_name)?.ok_or_else(no_such)?;
        let socket = socket()?;
        let address = request(&socket, name, libc::SIOCGIFHWADDR)?;
        // SAFETY: SIOCGIFHWADDR has filled this part of the union.
        let address = unsafe { address.ifr_ifru.ifru_hwaddr.sa_data };
        let mut mac = [0; 6];
        for (to, from) in mac.iter_mut().zip(address) {
            *to = from as u8;
        }
        let mtu = request(&socket, name, libc::SIOCGIFMTU)?;
        // SAFETY: SIOCGIFMTU has filled this part of the union.
        let mtu = unsafe { mtu.ifr_ifru.ifru_mtu };
        // A driver that tells nothing has one queue, and copies.
        let (queues, zero_copy) = match nic.query_capabilities() {
            Ok(told) => (told.queues.rx_count().max(1), told.zero_copy.is_available()),
            Err(_) => (1, false),
        };
        Ok(Self { index: nic.0, mac: MacAddr(mac), mtu: mtu.max(0) as usize, queues, zero_copy })
    }
}

fn socket() -> io::Result<OwnedFd> {
    // SAFETY: no pointers; the result is checked.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor that was just made, and that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn request(socket: &OwnedFd, name: &str, which: libc::c_ulong) -> io::Result<libc::ifreq> {
    // SAFETY: plain data, for which zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes().take(libc::IFNAMSIZ - 1)) {
        *to = from as libc::c_char;
    }
    // SAFETY: `request` is what these requests read and fill, and outlives the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), which, &mut request) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(request) }
}
