//! The configuration of `wirebook validator`; `wirebook keys` writes one for each member of a committee.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use wirebook_settlement::batch::VerifyingKey;

use crate::cli::Failure;
use crate::hex::decode32;

/// The longest time that a view may be given.
const MAX_MS: u64 = 600_000;

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    shard: u16,
    dir: String,
    gateway: String,
    listen: String,
    serve: String,
    metrics: Option<String>,
    #[serde(default = "leader_ms")]
    leader_timeout_ms: u64,
    #[serde(default = "certification_ms")]
    certification_timeout_ms: u64,
    #[serde(default = "snapshot_every")]
    snapshot_every_batches: u64,
    #[serde(default)]
    keep_all_batches: bool,
    #[serde(rename = "member")]
    members: Vec<RawMember>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMember {
    key: String,
    address: String,
    serve: Option<String>,
}

fn snapshot_every() -> u64 {
    1_000
}

fn leader_ms() -> u64 {
    1_000
}

fn certification_ms() -> u64 {
    2_000
}

/// A member of the committee.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its public key.
    pub key: [u8; 32],
    /// Where it listens for its peers.
    pub address: SocketAddr,
    /// Where it serves, if that is known.
    pub serve: Option<SocketAddr>,
}

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The shard that is settled.
    pub shard: u16,
    /// The validator's directory.
    pub dir: PathBuf,
    /// Whose batches are settled.
    pub gateway: VerifyingKey,
    /// Where it listens for its peers.
    pub listen: SocketAddr,
    /// Where it serves the gateway and readers.
    pub serve: SocketAddr,
    /// Where it serves Prometheus, if it does.
    pub metrics: Option<SocketAddr>,
    /// How long a leader may take.
    pub leader_timeout: Duration,
    /// How long a view may take.
    pub certification_timeout: Duration,
    /// Batches between two snapshots; 0: none are made.
    pub snapshot_every_batches: u64,
    /// Whether batches stay that snapshots make superfluous.
    pub keep_all_batches: bool,
    /// All members, itself too.
    pub members: Vec<Member>,
}

impl Config {
    /// Reads and checks a file. A relative `dir` counts from the file's directory.
    ///
    /// # Errors
    /// Names the file, the field, what was found and what is allowed.
    pub fn load(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::io("read the configuration", path, &error).next("`wirebook keys DIR` makes a committee's files")
        })?;
        Self::parse(&path.display().to_string(), &text, path.parent().unwrap_or_else(|| Path::new("")))
    }

    fn parse(name: &str, text: &str, base: &Path) -> Result<Self, Failure> {
        let raw: Raw = toml::from_str(text).map_err(|error| {
            Failure::bad(format!("the configuration cannot be read: {}", error.message())).file(name)
        })?;
        let wrong = |field: &str, found: &str, allowed: &str| {
            Failure::bad("the configuration cannot be used").file(name).field(field).found(found).allowed(allowed)
        };
        let key = |field: &str, text: &str| {
            decode32(text).ok_or_else(|| wrong(field, text, "a public key: 64 hexadecimal digits"))
        };
        let address = |field: &str, text: &str| {
            text.parse::<SocketAddr>().map_err(|_| wrong(field, text, "an address and port, such as 127.0.0.1:9301"))
        };
        let gateway = VerifyingKey::from_bytes(&key("gateway", &raw.gateway)?)
            .map_err(|_| wrong("gateway", &raw.gateway, "the gateway's public key"))?;
        let times = (raw.leader_timeout_ms, raw.certification_timeout_ms);
        if times.0 == 0 || times.0 >= times.1 || times.1 > MAX_MS {
            let found = format!("{} after leader_timeout_ms = {}", times.1, times.0);
            return Err(wrong("certification_timeout_ms", &found, "more than leader_timeout_ms, and that not 0"));
        }
        let member = |(at, member): (usize, &RawMember)| {
            let (key_field, address_field) = (format!("member[{at}].key"), format!("member[{at}].address"));
            let serve_field = format!("member[{at}].serve");
            let serve = member.serve.as_deref().map(|text| address(&serve_field, text)).transpose()?;
            Ok(Member { key: key(&key_field, &member.key)?, address: address(&address_field, &member.address)?, serve })
        };
        Ok(Self {
            shard: raw.shard,
            dir: base.join(&raw.dir),
            gateway,
            listen: address("listen", &raw.listen)?,
            serve: address("serve", &raw.serve)?,
            metrics: raw.metrics.as_deref().map(|text| address("metrics", text)).transpose()?,
            leader_timeout: Duration::from_millis(times.0),
            certification_timeout: Duration::from_millis(times.1),
            snapshot_every_batches: raw.snapshot_every_batches,
            keep_all_batches: raw.keep_all_batches,
            members: raw.members.iter().enumerate().map(member).collect::<Result<_, _>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

    fn text(line: &str) -> String {
        let lines = [
            "shard = 0".to_owned(),
            "dir = \"validator-1\"".to_owned(),
            format!("gateway = \"{KEY}\""),
            "listen = \"127.0.0.1:1\"".to_owned(),
            "serve = \"127.0.0.1:2\"".to_owned(),
            "leader_timeout_ms = 10".to_owned(),
        ];
        let key = line.split_once(" =").map_or("", |(key, _)| key);
        let kept: Vec<_> = lines.into_iter().filter(|other| !other.starts_with(&format!("{key} ="))).collect();
        format!("{line}\n{}\n[[member]]\nkey = \"{KEY}\"\naddress = \"127.0.0.1:1\"\n", kept.join("\n"))
    }

    #[test]
    fn what_is_wrong_is_named() {
        let good = Config::parse("x", &text(""), Path::new("/base")).expect("a good one");
        assert_eq!((good.dir, good.members.len(), good.metrics), ("/base/validator-1".into(), 1, None));
        for (line, field) in [
            ("gateway = \"12\"", "gateway"),
            ("listen = \"here\"", "listen"),
            ("serve = \"127.0.0.1\"", "serve"),
            ("metrics = \"9\"", "metrics"),
            ("leader_timeout_ms = 0", "certification_timeout_ms"),
            ("leader_timeout_ms = 2000", "certification_timeout_ms"),
            ("what = 1", "unknown field"),
        ] {
            let failure = Config::parse("x", &text(line), Path::new("")).expect_err(line).to_string();
            assert!(failure.contains(field), "{failure}");
        }
    }
}
