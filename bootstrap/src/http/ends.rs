//! Who asks, and where.

use std::net::SocketAddr;

/// Both ends of the connection a request came on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
}
