//! What can go wrong between a driver and a PCI function.

use std::io;

/// Why a function could not be opened, mapped or told.
#[derive(Debug, thiserror::Error)]
pub enum PciError {
    /// The system refused.
    #[error("{function}: cannot {action}: {source}{hint}")]
    Io {
        /// The function.
        function: String,
        /// What was tried.
        action: &'static str,
        /// The system's answer.
        source: io::Error,
        /// What to do about it, or nothing.
        hint: &'static str,
    },
    /// The function has no such BAR.
    #[error("{function}: has no BAR {index}; check that this is the right function and that its bitstream is loaded")]
    NoBar {
        /// The function.
        function: String,
        /// What was asked for.
        index: usize,
    },
    /// The BAR cannot be mapped into the process.
    #[error("{function}: BAR {index} of {bytes:#x} bytes cannot be mapped; it must be memory of at least one page")]
    NotMappable {
        /// The function.
        function: String,
        /// The BAR.
        index: usize,
        /// Its size.
        bytes: u64,
    },
    /// Fewer interrupt vectors than asked for.
    #[error("{function}: has {found} interrupt vectors, {wanted} are needed")]
    Vectors {
        /// The function.
        function: String,
        /// What it has, MSI or MSI-X.
        found: usize,
        /// What was asked for.
        wanted: usize,
    },
    /// No device addresses are left.
    #[error("{function}: no {bytes:#x} bytes of device addresses are left; drop buffers, or open the function anew")]
    Addresses {
        /// The function.
        function: String,
        /// What was asked for.
        bytes: usize,
    },
}
