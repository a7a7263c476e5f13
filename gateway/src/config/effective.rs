//! What a start prints: the configuration in force, and what in it costs latency or safety.

use wirebook_bypass::cpu::{WaitStrategy, allowed_cores, latency_warnings};

use super::raw::RawConfig;
use super::{Ack, Config, EXAMPLE, Pipeline};
use wirebook_bypass::stream::any::PortKind;

/// What stands in place of a password.
const HIDDEN: &str = "(hidden)";

impl Config {
    /// The configuration in force, defaults filled in, as TOML: without the passwords, otherwise what could be given again.
    pub fn effective(&self) -> String {
        let mut shown: RawConfig = self.raw.clone();
        for session in &mut shown.sessions {
            session.password = HIDDEN.into();
        }
        toml::to_string(&shown).unwrap_or_else(|error| format!("# cannot be shown: {error}\n"))
    }

    /// Takes another port than the file says, as the command line may ask.
    pub fn set_port(&mut self, port: PortKind) {
        self.gateway.port = port;
        self.raw.gateway.port = port.to_string();
    }

    /// What in it, and on this machine, costs latency, safety or secrecy.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let cores = allowed_cores();
        if self.gateway.ack == Ack::Matched {
            warnings.push(
                "gateway.ack is \"matched\": a crash may take back what a client was told; \"journaled\" does not"
                    .into(),
            );
        }
        match self.gateway.wait {
            WaitStrategy::Park { max } => warnings.push(format!(
                "gateway.wait parks for up to {} us: waking up costs tens of microseconds; \"spin\" with a core of its own does not",
                max.as_micros()
            )),
            WaitStrategy::Spin | WaitStrategy::SpinYield if cores.len() < 2 => warnings.push(
                "gateway.wait spins on a machine of one core: the loop takes the core from what it waits for".into(),
            ),
            WaitStrategy::Spin | WaitStrategy::SpinYield => {}
        }
        if self.gateway.cores.is_empty() && self.gateway.pipeline != Pipeline::Pipelined {
            warnings.push("gateway.cores pins nothing: the scheduler may move the main loop to a cold core".into());
        }
        if self.gateway.cores.len() == 2 && self.gateway.cores[0] == self.gateway.cores[1] {
            warnings.push("gateway.cores puts settlement on the main loop's core".into());
        }
        warnings.extend(latency_warnings(&self.gateway.cores).iter().map(ToString::to_string));
        if !self.gateway.listen.ip().is_loopback() && self.sessions.iter().any(|s| EXAMPLE.contains(&s.password)) {
            warnings.push(format!(
                "gateway.listen is {}, which others can reach, and a session has the example's password",
                self.gateway.listen
            ));
        }
        if self.settlement.enabled && !cfg!(feature = "settlement") {
            warnings.push(
                "settlement.enabled is true, but this build has no validator (cargo feature `settlement`)".into(),
            );
        }
        warnings
    }
}
