//! What the servers that a get asks have said so far.

use moim_protocol::{
    UnixMillis,
    record::{RecordKey, SignedRecord, record_key},
};

/// Servers that have to say the same for a get to be answered before everybody was asked.
const AGREEING: usize = 2;

/// What is known of a value that is looked up.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) newest: Option<SignedRecord>,
    /// Servers that have it.
    agreeing: usize,
}

impl Found {
    /// Takes what a server has. A server can withhold a value, but not forge one.
    pub(crate) fn take(&mut self, key: &RecordKey, bytes: &[u8], wall: UnixMillis) {
        if let Some(newest) = &self.newest
            && newest.as_bytes() == bytes
        {
            self.agreeing += 1;
            return;
        }
        let signed = match SignedRecord::decode(bytes) {
            Ok(signed) => signed,
            Err(error) => {
                tracing::debug!(%error, "a server returned an invalid value");
                return;
            }
        };
        if record_key(&signed.record().key) != record_key(key) || signed.check_time(wall).is_err() {
            return;
        }
        let is_newer = self.newest.as_ref().is_none_or(|newest| {
            (signed.record().sequence, signed.as_bytes())
                > (newest.record().sequence, newest.as_bytes())
        });
        if is_newer {
            self.newest = Some(signed);
            self.agreeing = 1;
        }
    }

    pub(crate) fn is_enough(&self) -> bool {
        self.agreeing >= AGREEING
    }
}

#[cfg(test)]
mod tests;
