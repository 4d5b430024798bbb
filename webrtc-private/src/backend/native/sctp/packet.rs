//! Where what is in a packet of SCTP (RFC 9260, section 3).

/// Bytes before the first chunk.
const PACKET_HEADER: usize = 12;

/// Bytes before the value of a chunk or of a parameter; the last two are its length.
const HEADER: usize = 4;

/// A chunk or a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// Type and flags of a chunk, the type of a parameter.
    pub(super) kind: [u8; 2],
    /// Where its value begins.
    pub(super) value: usize,
    /// And where it ends.
    pub(super) end: usize,
}

/// The chunks of a packet. What is cut off is left out.
pub(super) fn chunks(packet: &[u8]) -> impl Iterator<Item = Item> {
    items(packet, PACKET_HEADER, packet.len())
}

/// The parameters of a chunk that has nothing else.
pub(super) fn parameters(packet: &[u8], chunk: Item) -> impl Iterator<Item = Item> {
    items(packet, chunk.value, chunk.end)
}

fn items(bytes: &[u8], at: usize, end: usize) -> impl Iterator<Item = Item> {
    let mut next = at;
    std::iter::from_fn(move || {
        let at = next;
        let &[first, second, high, low] = bytes.get(..end)?.get(at..)?.first_chunk::<HEADER>()?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let item_end = at.checked_add(length.max(HEADER))?;
        next = item_end.checked_next_multiple_of(4)?;
        let item = Item {
            kind: [first, second],
            value: at + HEADER,
            end: item_end,
        };
        (item_end <= end).then_some(item)
    })
}
