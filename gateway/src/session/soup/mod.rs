//! SoupBinTCP 3.00, 4.00 and 4.10: numbered messages over a TCP connection that may break.
//!
//! A packet is a length (u16, big-endian, of what follows it), a type byte and a payload. The server's sequenced packets are
//! numbered from 1 by counting, on both sides; a client that lost its connection logs in again with the next number it wants.
//! The client's messages are not numbered and may be lost with the connection: OUCH above copes with that.
//!
//! The versions differ in two things: 4.00 lets a server send unsequenced data, which this venue never does, and a 4.10 login
//! is five bytes longer, by a time-out. Both kinds of login are understood by their length.

mod client;
mod end;
mod history;
mod login;
mod packet;
mod presence;
mod server;

#[cfg(test)]
mod tests;

pub use client::{Client, ClientConfig, ClientEnd, ClientInput, ClientPhase, ClientReceived};
pub use end::EndReason;
pub use history::{History, NoHistory};
pub use login::{LoginAccepted, LoginRequest, RejectReason, SessionId, credentials_match};
pub use packet::{ClientPacket, HEADER_BYTES, LENGTH_BYTES, MAX_PACKET, MAX_PAYLOAD, ServerPacket, SoupError};
pub use presence::Presence;
pub use server::{Input, Phase, Received, Server, ServerConfig};
