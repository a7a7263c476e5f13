//! What Prometheus is told of a validator, in its text format, and the port where it asks.

use std::fmt::Write;
use std::io::{self, Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::status::Status;
use crate::vault::Vault;

/// Settlement's and the vault's metrics, and after them those of the engine.
///
/// Batches and bytes that wait; the first batch that is stored, and the bytes of all.
pub fn encode(
    status: &Status,
    (batches, bytes): (usize, usize),
    (first, stored): (u64, u64),
    vault: &Vault,
    engine: &str,
) -> String {
    let finalized = status.finalized();
    let counts = vault.counts();
    let (blobs, log) = vault.extent();
    let mut text = String::new();
    let metrics: [(&str, &str, &str, u64); 14] = [
        ("settlement_height", "gauge", "Number of the last batch that is final and durable here", finalized.height),
        ("settlement_last_seq", "gauge", "Seq of its last record", finalized.last_seq),
        (
            "settlement_fault",
            "gauge",
            "1 if settlement has stopped because of a fault",
            status.fault().is_some().into(),
        ),
        ("inbox_batches", "gauge", "Batches that wait to be settled", batches as u64),
        ("inbox_bytes", "gauge", "Bytes of them", bytes as u64),
        ("store_first_batch", "gauge", "Number of the first batch that is stored", first),
        ("store_bytes", "gauge", "Bytes of all batches that are stored", stored),
        ("vault_flushes_total", "counter", "Writes to the vault's log that were synced", counts.flushes),
        ("vault_written_bytes_total", "counter", "Bytes of them", counts.bytes),
        ("vault_waits_total", "counter", "Waits for the vault's log", counts.waits),
        ("vault_write_nanoseconds_total", "counter", "Time spent in writes and syncs", counts.nanos),
        ("vault_segments_freed_total", "counter", "Segments of the log that were freed", counts.freed),
        ("vault_blob_bytes", "gauge", "Bytes of all blobs, in memory", blobs),
        ("vault_log_bytes", "gauge", "Bytes of the log", log),
    ];
    for (name, kind, help, value) in metrics {
        let name = format!("wirebook_{name}");
        let _ = write!(text, "# HELP {name} {help}.\n# TYPE {name} {kind}\n{name} {value}\n");
    }
    text.push_str(engine);
    text
}

/// How long an asker may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest request that is read; what it asks for is not looked at.
const MAX_REQUEST: usize = 8 << 10;

/// A port that answers every HTTP request with the metrics, one asker after another. Dropping it closes it.
pub struct Port {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Port {
    /// Listens at `address`; port 0 is the system's choice.
    ///
    /// # Errors
    /// When it cannot listen there.
    pub fn start(address: SocketAddr, encode: Box<dyn Fn() -> String + Send>) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = stop.clone();
        let thread = std::thread::Builder::new().name("metrics".into()).spawn(move || {
            for stream in listener.incoming() {
                if stopping.load(Ordering::Acquire) {
                    return;
                }
                // Whoever goes away in between asks again.
                let _ = stream.and_then(|stream| answer(stream, &encode()));
            }
        })?;
        Ok(Self { address, stop, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        drop(TcpStream::connect_timeout(&self.address, Duration::from_secs(1)));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn answer(mut stream: TcpStream, metrics: &str) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut request = [0; MAX_REQUEST];
    let mut length = 0;
    while !request[..length].windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut request[length..])? {
            0 => return Ok(()),
            read => length += read,
        }
    }
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close\r\n";
    write!(stream, "{head}Content-Length: {}\r\n\r\n{metrics}", metrics.len())
}
