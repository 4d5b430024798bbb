//! What is known of a put under way: its servers are found, the closest are given the value, and then the others.

use libp2p::{PeerId, identity::Keypair};
use moim_protocol::{
    presence::next_sequence,
    record::{RecordKey, SignedRecord},
};

use crate::{command::Reply, error::PutError, snapshot::Stored};

/// A value on its way into the DHT.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) signed: SignedRecord,
    /// Whether the value that is there has been looked for.
    pub(super) has_read: bool,
    pub(super) reply: Reply<Result<Stored, PutError>>,
}

impl Draft {
    pub(super) fn new(signed: SignedRecord, reply: Reply<Result<Stored, PutError>>) -> Self {
        Self {
            signed,
            has_read: false,
            reply,
        }
    }

    pub(super) fn key(&self) -> &RecordKey {
        &self.signed.record().key
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    /// The put comes to nothing.
    pub(super) fn refuse(self, error: PutError) {
        // Nobody may be waiting any more.
        let _ = self.reply.send(Err(error));
    }

    /// Somebody refused the value, and now it is known what is there: ours has to count as newer, whatever the
    /// clocks say.
    pub(super) fn after(mut self, old: Option<&SignedRecord>, keypair: &Keypair) -> Self {
        self.has_read = true;
        let old = old.map_or(0, |old| old.record().sequence);
        if old >= self.signed.record().sequence {
            let mut record = self.signed.record().clone();
            record.sequence = next_sequence(old, record.issued);
            match record.sign(keypair) {
                Ok(signed) => self.signed = signed,
                // Its time lies further ahead than anybody accepts; so will the servers say.
                Err(error) => tracing::debug!(%error, "the stored value is from the future"),
            }
        }
        self
    }
}

/// A put whose value is being handed over.
#[derive(Debug)]
pub(super) struct Put {
    pub(super) draft: Draft,
    /// Those who are asked now.
    pub(super) asked: Vec<PeerId>,
    /// Those who are asked next.
    pub(super) rest: Vec<PeerId>,
}

/// A value whose put is answered, on its way to the other servers.
#[derive(Debug)]
pub(super) struct Rest {
    pub(super) signed: SignedRecord,
    /// As it was reported, with those who took it since.
    pub(super) stored: Stored,
    pub(super) reported: usize,
    /// How many are asked now.
    pub(super) asked: usize,
    /// Those who are asked next, the closest first.
    pub(super) rest: Vec<PeerId>,
}
