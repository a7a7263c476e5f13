//! Two network interfaces that are each other's wire, for tests and benches: made and removed by those who use them.
//!
//! Everything happens in network namespaces without a name, which go when the last thread in them does: nothing is left behind,
//! whatever happens. Offloads are switched off, as packets that come by AF_XDP must be whole and have their check sums.
//!
//! **Limits.** Linux, root, the command `ip` (Debian package iproute2).

#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::mpsc;

/// `SIOCETHTOOL` (include/uapi/linux/sockios.h), and the commands that switch offloads (include/uapi/linux/ethtool.h).
const SIOCETHTOOL: libc::c_ulong = 0x8946;
const ETHTOOL_STXCSUM: u32 = 0x17;
const ETHTOOL_STSO: u32 = 0x1f;
const ETHTOOL_SGSO: u32 = 0x24;
const ETHTOOL_SGRO: u32 = 0x2c;

/// A network namespace.
#[derive(Debug)]
pub struct Namespace(File);

impl Namespace {
    /// That of the calling thread.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn current() -> io::Result<Self> {
        File::open("/proc/thread-self/ns/net").map(Self)
    }

    /// A new one, which no thread is in.
    ///
    /// # Errors
    /// What the system refuses: only root may.
    pub fn new() -> io::Result<Self> {
        // A thread of its own makes it, and goes; the open file keeps it.
        let (told, made) = mpsc::sync_channel(1);
        let maker = std::thread::Builder::new().name("namespace".into()).spawn(move || {
            let made = unshare().and_then(|()| Self::current());
            let _ = told.send(made);
        })?;
        let made = made.recv().unwrap_or_else(|_| Err(io::Error::other("the thread ended")));
        let _ = maker.join();
        made
    }

    /// Moves the calling thread there. Sockets that it has stay where they are.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn enter(&self) -> io::Result<()> {
        // SAFETY: the descriptor is open; the calling thread is all that changes.
        let result = unsafe { libc::setns(self.0.as_raw_fd(), libc::CLONE_NEWNET) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Does something there, on the calling thread, which then comes back.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn within<R>(&self, f: impl FnOnce() -> R) -> io::Result<R> {
        let home = Self::current()?;
        self.enter()?;
        let result = f();
        home.enter()?;
        Ok(result)
    }
}

fn unshare() -> io::Result<()> {
    // SAFETY: the calling thread's network namespace is all that changes.
    let result = unsafe { libc::unshare(libc::CLONE_NEWNET) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// One end of a wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End<'a> {
    /// The interface's name, up to 15 bytes.
    pub name: &'a str,
    /// The address that the kernel has there, if any, in a network of 24 bits.
    pub address: Option<Ipv4Addr>,
}

/// Makes a pair of interfaces in the calling thread's namespace, with so many queues each, and brings them up.
///
/// # Errors
/// What `ip` or the system refuse.
pub fn pair(ends: [End<'_>; 2], queues: u32) -> io::Result<()> {
    let count = queues.to_string();
    let many = ["numtxqueues", &count, "numrxqueues", &count];
    let [a, b] = ends.map(|end| end.name);
    let mut line = vec!["link", "add", "name", a];
    line.extend(many);
    line.extend(["type", "veth", "peer", "name", b]);
    line.extend(many);
    ip(&line)?;
    ends.iter().try_for_each(configure)
}

/// Brings up the loopback of the calling thread's namespace: in a new one it is down.
///
/// # Errors
/// What `ip` refuses.
pub fn loopback_up() -> io::Result<()> {
    ip(&["link", "set", "dev", "lo", "up"])
}

/// Moves an interface of the calling thread's namespace to another, and brings it up there.
///
/// # Errors
/// What `ip` or the system refuse.
pub fn move_to(end: End<'_>, namespace: &Namespace) -> io::Result<()> {
    let path = format!("/proc/{}/fd/{}", std::process::id(), namespace.0.as_raw_fd());
    ip(&["link", "set", "dev", end.name, "netns", &path])?;
    namespace.within(|| configure(&end))?
}

/// Tells the kernel at one end who is at the other, so that it never has to ask.
///
/// # Errors
/// What `ip` refuses.
pub fn neighbor(of: &str, address: Ipv4Addr, mac: super::MacAddr) -> io::Result<()> {
    ip(&["neigh", "replace", &address.to_string(), "lladdr", &mac.to_string(), "dev", of, "nud", "permanent"])
}

fn configure(end: &End<'_>) -> io::Result<()> {
    offloads_off(end.name)?;
    if let Some(address) = end.address {
        ip(&["addr", "add", &format!("{address}/24"), "dev", end.name])?;
    }
    ip(&["link", "set", "dev", end.name, "up"])
}

fn ip(arguments: &[&str]) -> io::Result<()> {
    let output = Command::new("ip").args(arguments).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("`ip {}`: {}", arguments.join(" "), said.trim())))
}

fn offloads_off(name: &str) -> io::Result<()> {
    #[repr(C)]
    struct Value {
        command: u32,
        data: u32,
    }
    let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
    for command in [ETHTOOL_STXCSUM, ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_SGRO] {
        let mut value = Value { command, data: 0 };
        // SAFETY: plain data, for which zero is a value.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes().take(libc::IFNAMSIZ - 1)) {
            *to = from as libc::c_char;
        }
        request.ifr_ifru.ifru_data = (&raw mut value).cast();
        // SAFETY: the request holds the address of an `ethtool_value`, which outlives the call.
        if unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &mut request) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}
