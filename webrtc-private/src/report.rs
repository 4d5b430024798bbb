//! What is known of an attempt to connect directly, for people who ask why there is none.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use libp2p_identity::PeerId;

use crate::{
    backend::SelectedPair,
    error::{Error, Step},
};

/// Reports that wait to be fetched.
const REPORTS_MAX: usize = 1024;

/// Which side of a session we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// We have asked for it.
    Offerer,
    /// The other side has.
    Answerer,
}

/// Types of candidates (RFC 8445, section 5.1.1) that a side has named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CandidateTypes {
    /// `host`: an address of an interface.
    pub host: bool,
    /// `srflx` and `prflx`, server-reflexive and peer-reflexive: an address of a NAT, as a STUN server or the other side
    /// sees it.
    pub reflexive: bool,
    /// `relay`: an address of a TURN server.
    pub relayed: bool,
}

impl CandidateTypes {
    /// Takes note of a candidate: `… typ host …` in its JSON.
    pub(crate) fn note(&mut self, json: &str) {
        let mut words = json.split(|c: char| c.is_whitespace() || c == '"');
        while let Some(word) = words.next() {
            if word == "typ" {
                match words.next() {
                    Some("host") => self.host = true,
                    Some("srflx" | "prflx") => self.reflexive = true,
                    Some("relay") => self.relayed = true,
                    _ => {}
                }
            }
        }
    }
}

impl fmt::Display for CandidateTypes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let types = [
            (self.host, "host"),
            (self.reflexive, "reflexive"),
            (self.relayed, "relayed"),
        ];
        let mut named = types.iter().filter(|(named, _)| *named).peekable();
        if named.peek().is_none() {
            return f.write_str("none");
        }
        while let Some((_, name)) = named.next() {
            f.write_str(name)?;
            if named.peek().is_some() {
                f.write_str(", ")?;
            }
        }
        Ok(())
    }
}

/// What an attempt failed of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Failure {
    /// The other side cannot do it.
    Unsupported,
    /// There was no stream to signal on.
    NoSignaling,
    /// The signalling broke, or the other side broke its rules.
    Signaling,
    /// The WebRTC implementation refused.
    Refused,
    /// ICE has failed: no candidate pair works through the networks in between.
    IceFailed,
    /// The other side has ended the attempt.
    GivenUp,
    /// The other side was silent for too long.
    Timeout,
    /// Another attempt at the same time counts instead, ours or the other side's.
    Superseded,
}

/// One attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Which side we were.
    pub role: Role,
    /// How far it came.
    pub step: Step,
    /// The types of our candidates.
    pub local: CandidateTypes,
    /// The types of the other side's.
    pub remote: CandidateTypes,
    /// What an ICE server has refused us with, if one has: an error code of STUN or TURN, such as 401
    /// for credentials that are not good any more and 486 for a quota.
    pub refused: Option<u16>,
    /// The selected candidate pair, if there was one.
    pub selected_pair: Option<SelectedPair>,
    /// What it failed of, if it did.
    pub failure: Option<Failure>,
}

impl Report {
    pub(crate) fn new(role: Role) -> Self {
        Self {
            role,
            step: Step::Signaling,
            local: CandidateTypes::default(),
            remote: CandidateTypes::default(),
            refused: None,
            selected_pair: None,
            failure: None,
        }
    }
}

/// Reports on their way from the transport, which makes them, to the behaviour, which tells.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reports(Arc<Mutex<HashMap<(PeerId, Role), Report>>>);

impl Reports {
    /// Keeps what is known of an attempt that has ended.
    pub(crate) fn put<T>(&self, peer: PeerId, mut report: Report, result: &Result<T, Error>) {
        report.failure = result.as_ref().err().map(Error::failure);
        let mut reports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (peer, report.role);
        if reports.len() < REPORTS_MAX || reports.contains_key(&key) {
            reports.insert(key, report);
        }
    }

    pub(crate) fn take(&self, peer: PeerId, role: Role) -> Option<Report> {
        let mut reports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reports.remove(&(peer, role))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_from_candidates() {
        let candidate = |name: &str| {
            format!(
                r#"{{"candidate":"candidate:1 1 udp 2113937151 192.0.2.1 54321 typ {name} raddr","sdpMid":"0"}}"#
            )
        };
        let mut types = CandidateTypes::default();
        assert_eq!(types.to_string(), "none");
        types.note(&candidate("host"));
        types.note(&candidate("other"));
        types.note("typ");
        assert_eq!(types.to_string(), "host");
        types.note(&candidate("srflx"));
        types.note(r#"{"candidate":"candidate:1 1 udp 1 192.0.2.1 9 typ relay"}"#);
        assert_eq!(types.to_string(), "host, reflexive, relayed");
    }
}
