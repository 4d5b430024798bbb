//! Ways to cut what is given into pieces.

use arbitrary::{Arbitrary, Unstructured};

/// Steps that a machine is taken through: more make runs slow and find little that fewer do not.
const STEPS_MAX: usize = 256;

/// The steps in `data`, one after the other.
pub(crate) fn steps<'a, T: Arbitrary<'a> + 'a>(data: &'a [u8]) -> impl Iterator<Item = T> + 'a {
    let mut data = Unstructured::new(data);
    let next = move || {
        let next = (!data.is_empty()).then(|| data.arbitrary());
        next.and_then(Result::ok)
    };
    std::iter::from_fn(next).take(STEPS_MAX)
}

/// `data` in pieces whose lengths the first byte decides: the same bytes with another first byte come in
/// other pieces.
pub(crate) fn pieces(data: &[u8]) -> Vec<&[u8]> {
    let Some((length, data)) = data.split_first() else {
        return Vec::new();
    };
    // From one byte at a time to all at once.
    let length = match *length {
        0 => usize::MAX,
        length => usize::from(length).pow(2),
    };
    data.chunks(length).collect()
}
