//! The committee that a reader believes: a file with each validator's public key, where it serves, and who owns it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;

use super::super::failure::Failure;
use crate::hex::decode32;

/// The most validators of a committee.
const MAX_MEMBERS: usize = 64;

/// Where the committee is written down.
#[derive(Clone, Debug, Args)]
pub(super) struct CommitteeOption {
    /// The committee's public keys and addresses: committee.toml of `wirebook keys`. Whoever is in it is believed, by quorum; get it from who
    /// runs the validators, not from a validator
    #[arg(long, value_name = "FILE")]
    committee: PathBuf,
}

impl CommitteeOption {
    pub(super) fn load(&self) -> Result<Committee, Failure> {
        Committee::load(&self.committee)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    shard: u16,
    #[serde(rename = "member")]
    members: Vec<RawMember>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMember {
    key: String,
    serve: String,
    owner: Option<String>,
}

/// A validator, as a reader knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// Its public key.
    pub key: [u8; 32],
    /// Where it serves.
    pub serve: SocketAddr,
    /// Who runs it; without a name it is its own owner.
    pub owner: Option<String>,
}

/// A shard's validators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Committee {
    /// The shard that they settle.
    pub shard: u16,
    /// All of them.
    pub members: Vec<Member>,
}

impl Committee {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// Names the file, the field, what was found and what is allowed.
    pub(super) fn load(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::io("read the committee", path, &error).next("`wirebook keys DIR` writes DIR/committee.toml")
        })?;
        Self::parse(&path.display().to_string(), &text)
    }

    fn parse(name: &str, text: &str) -> Result<Self, Failure> {
        let raw: Raw = toml::from_str(text)
            .map_err(|error| Failure::bad(format!("the committee cannot be read: {}", error.message())).file(name))?;
        let wrong = |field: String, found: &str, allowed: &str| {
            Failure::bad("the committee cannot be used").file(name).field(field).found(found).allowed(allowed)
        };
        if raw.members.is_empty() || raw.members.len() > MAX_MEMBERS {
            let found = raw.members.len().to_string();
            return Err(wrong("member".into(), &found, "1 to 64 of them"));
        }
        let mut members: Vec<Member> = Vec::new();
        for (at, member) in raw.members.into_iter().enumerate() {
            let key =
                decode32(&member.key).filter(|key| members.iter().all(|other| other.key != *key)).ok_or_else(|| {
                    wrong(format!("member[{at}].key"), &member.key, "a public key of its own: 64 hexadecimal digits")
                })?;
            let serve = member.serve.parse().map_err(|_| {
                wrong(format!("member[{at}].serve"), &member.serve, "an address and port, such as 127.0.0.1:9301")
            })?;
            members.push(Member { key, serve, owner: member.owner });
        }
        Ok(Self { shard: raw.shard, members })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(key: &str, serve: &str) -> String {
        format!("[[member]]\nkey = \"{key}\"\nserve = \"{serve}\"\n")
    }

    #[test]
    fn a_committee_has_keys_of_its_own_and_what_is_wrong_is_named() {
        let (one, two) = ("11".repeat(32), "22".repeat(32));
        let good = format!("shard = 3\n{}{}owner = \"x\"\n", member(&one, "127.0.0.1:1"), member(&two, "127.0.0.1:2"));
        let committee = Committee::parse("x", &good).expect("a good one");
        assert_eq!((committee.shard, committee.members.len()), (3, 2));
        assert_eq!(committee.members[1].owner.as_deref(), Some("x"));
        for (text, field) in [
            (member(&one, "127.0.0.1:1") + &member(&one, "127.0.0.1:2"), "member[1].key"),
            (member("12", "127.0.0.1:1"), "member[0].key"),
            (member(&one, "here"), "member[0].serve"),
            (member(&one, "127.0.0.1:1") + "address = \"x\"\n", "unknown field"),
            ("member = []".into(), "member"),
        ] {
            let failure = Committee::parse("x", &format!("shard = 0\n{text}")).expect_err(&text).to_string();
            assert!(failure.contains(field), "{failure}");
        }
    }
}
