//! What a request of the message protocol is for.

use moim_protocol::message::MessageId;
use moim_room::RequestId;

use super::rooms::MachineId;

/// See the [module](self).
#[derive(Clone, Copy, Debug)]
pub(super) enum Transmission {
    /// A direct message.
    Direct(MessageId),
    /// What was missed of a room.
    CatchUp(MachineId, RequestId),
}
