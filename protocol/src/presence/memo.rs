//! Presences that were decoded before, for simulations: thousands of machines in one thread decode the same envelopes,
//! and each signature is verified once.
//!
//! Decoding depends on its bytes alone, so what is remembered is what would be found again. Nothing is remembered until
//! [`remember`] is called, each thread for itself.

use std::{cell::RefCell, collections::HashMap, mem};

use super::{PresenceError, SignedPresence};

/// What was decoded lately. When `recent` is full, it takes the place of `earlier`.
#[derive(Default)]
struct Memo {
    max: usize,
    recent: HashMap<Box<[u8]>, SignedPresence>,
    earlier: HashMap<Box<[u8]>, SignedPresence>,
}

thread_local! {
    static MEMO: RefCell<Memo> = RefCell::default();
}

/// Remembers the last `max` to `2 * max` presences that were decoded in this thread, from now on; none for 0.
pub fn remember(max: usize) {
    MEMO.with_borrow_mut(|memo| {
        *memo = Memo {
            max,
            ..Memo::default()
        };
    });
}

/// Does what [`SignedPresence::decode`] says.
pub(super) fn decoded(bytes: &[u8]) -> Result<SignedPresence, PresenceError> {
    MEMO.with_borrow_mut(|memo| {
        if let Some(known) = memo.recent.get(bytes).or_else(|| memo.earlier.get(bytes)) {
            return Ok(known.clone());
        }
        let signed = SignedPresence::check(bytes)?;
        if memo.max > 0 {
            if memo.recent.len() >= memo.max {
                memo.earlier = mem::take(&mut memo.recent);
            }
            memo.recent.insert(bytes.into(), signed.clone());
        }
        Ok(signed)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        presence::{Presence, State},
        testing::keypair,
        time::UnixMillis,
        topic::Topic,
    };

    #[test]
    fn what_holds_is_remembered_within_its_bound_and_what_does_not_is_refused_again() {
        remember(2);
        let keypair = keypair(1);
        for sequence in 1..=9 {
            let presence = Presence {
                peer: keypair.public().to_peer_id(),
                topic: Topic::new("global-chat").unwrap().hash(),
                name: "Ada".parse().unwrap(),
                addresses: Vec::new(),
                sequence,
                issued: UnixMillis(1_000),
                expires: UnixMillis(2_000),
                state: State::Here,
            };
            let signed = presence.sign(&keypair).unwrap();
            let again = SignedPresence::decode(signed.as_bytes()).unwrap();
            assert_eq!(again.presence(), &presence);
            assert!(
                std::ptr::eq(again.presence(), signed.presence()),
                "it is the same one"
            );
            let mut broken = signed.as_bytes().to_vec();
            *broken.last_mut().unwrap() ^= 1;
            for _ in 0..2 {
                assert!(SignedPresence::decode(&broken).is_err());
            }
        }
        MEMO.with_borrow(|memo| assert!(memo.recent.len() <= 2 && memo.earlier.len() <= 2));
        remember(0);
    }
}
