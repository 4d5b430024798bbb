//! What programs provide and look for in the DHT: keys of their own, apart from those of topics.

use std::fmt;

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use crate::names::PROVIDER_KEY_PREFIX;

/// How a sha2-256 multihash begins: its code and its length.
const SHA2_256: [u8; 2] = [0x12, 0x20];

/// Under what a program tells the DHT that it has something: the hash of any bytes, such as a name with a version in it, or
/// the hash of a file.
///
/// ```
/// use moim_protocol::provider_key::ProviderKey;
///
/// let key = ProviderKey::of("my-program/1/mirror");
/// assert_eq!(key, ProviderKey::of(b"my-program/1/mirror"));
/// assert_ne!(key, ProviderKey::of("my-program/2/mirror"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProviderKey([u8; 32]);

impl ProviderKey {
    /// The key of these bytes, however many.
    #[must_use]
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        let mut hash = Sha256::new();
        hash.update(PROVIDER_KEY_PREFIX);
        hash.update(bytes);
        Self(hash.finalize().into())
    }

    /// The key as kad has it: a sha2-256 multihash, 34 bytes.
    #[must_use]
    pub fn to_multihash(self) -> Vec<u8> {
        [&SHA2_256[..], &self.0].concat()
    }
}

impl fmt::Debug for ProviderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProviderKey({self})")
    }
}

/// Its hash in hex.
impl fmt::Display for ProviderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{limits::PROVIDER_KEY_BYTES_MAX, topic::Topic};

    #[test]
    fn a_key_is_a_multihash_that_is_no_topics() {
        let topic = Topic::new("global-chat").unwrap();
        let key = ProviderKey::of(topic.as_str());
        let multihash = key.to_multihash();
        assert_eq!(multihash.len(), 34);
        assert!(multihash.len() <= PROVIDER_KEY_BYTES_MAX);
        assert!(multihash.starts_with(&SHA2_256));
        assert_ne!(multihash, topic.hash().provider_key());
    }
}
