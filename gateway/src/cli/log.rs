//! Log lines on standard error: time, level, what happened, with fields.

use std::io::IsTerminal;
use std::sync::Once;

use tracing_subscriber::EnvFilter;

static STARTED: Once = Once::new();

/// Starts logging with this filter, as in `info` or `wirebook=debug`; the environment's `WIREBOOK_LOG` goes before it. A second call
/// changes nothing.
pub fn start(filter: &str) {
    STARTED.call_once(|| {
        let filter = std::env::var("WIREBOOK_LOG")
            .ok()
            .and_then(|text| EnvFilter::try_new(text).ok())
            .or_else(|| EnvFilter::try_new(filter).ok())
            .unwrap_or_else(|| EnvFilter::new("warn"));
        let colours = std::io::stderr().is_terminal();
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_ansi(colours)
            .with_target(false)
            .init();
    });
}
