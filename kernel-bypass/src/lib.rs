//! How bytes and cache lines move: rings, ports, cores. Knows no order.
//!
//! - [`ring`]: the single-producer single-consumer ring of 32-byte beats, and one of byte messages.
//! - [`pci`]: PCI Express functions: VFIO, and device models in this process.
//! - [`frame`]: Ethernet frames: AF_XDP, and a wire in memory with faults.
//! - [`stream`]: byte streams between the venue and its clients, behind one polled trait.
//! - [`datagram`]: datagrams for market data, behind another.
//! - [`cpu`]: cores, wait strategies, clocks.
//! - [`counters`]: named counters that another process may watch.
//!
//! Everything here is static dispatch on the hot path, allocates only at start, and makes at most one system call per burst and
//! direction. Linux only.

pub mod counters;
pub mod cpu;
pub mod datagram;
pub mod frame;
pub mod pci;
pub mod ring;
pub mod stream;
