//! What was decoded before, for simulations: thousands of machines in one thread decode the same envelopes, and each
//! signature is verified once.
//!
//! Decoding depends on its bytes alone, so what is remembered is what would be found again.

use std::{collections::HashMap, mem};

/// What was decoded lately. When `recent` is full, it takes the place of `earlier`.
#[derive(Debug)]
pub(super) struct Memo<T> {
    max: usize,
    recent: HashMap<Box<[u8]>, T>,
    earlier: HashMap<Box<[u8]>, T>,
}

impl<T: Clone> Memo<T> {
    /// Remembers the last `max` to `2 * max`; none for 0.
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            recent: HashMap::new(),
            earlier: HashMap::new(),
        }
    }

    /// What these bytes were decoded to, by `decode` where that is not remembered.
    pub(super) fn decoded<E>(
        &mut self,
        bytes: &[u8],
        decode: impl FnOnce(&[u8]) -> Result<T, E>,
    ) -> Result<T, E> {
        if let Some(known) = self.recent.get(bytes).or_else(|| self.earlier.get(bytes)) {
            return Ok(known.clone());
        }
        let decoded = decode(bytes)?;
        if self.max > 0 {
            if self.recent.len() >= self.max {
                self.earlier = mem::take(&mut self.recent);
            }
            self.recent.insert(bytes.into(), decoded.clone());
        }
        Ok(decoded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_is_remembered_within_its_bound_and_what_does_not_is_refused_again() {
        let mut memo = Memo::new(2);
        let mut decodes = 0;
        let mut decode = |bytes: &[u8]| {
            memo.decoded(bytes, |bytes| {
                decodes += 1;
                if bytes[0] == 0 { Err(()) } else { Ok(bytes[0]) }
            })
        };
        for number in 1..=9 {
            assert_eq!(decode(&[number]), Ok(number));
            assert_eq!(decode(&[number]), Ok(number));
            assert_eq!(decode(&[0]), Err(()));
        }
        assert_eq!(decodes, 2 * 9, "each good one once, the bad one every time");
        assert!(memo.recent.len() <= 2 && memo.earlier.len() <= 2);
    }
}
