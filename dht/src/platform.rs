//! What depends on the platform.

/// Whether a peer on this platform may be a DHT server. A page may not: nobody can open a connection to it unannounced. So its
/// store keeps nothing of others, and what would is not even compiled into it.
pub const SERVES: bool = cfg!(not(target_arch = "wasm32"));
