//! STUN: tells whoever asks under which address its question arrived, so that two peers behind NATs
//! can find a direct way to each other. The sockets are those of [`turn`](crate::turn).
//!
//! RFC 8489. What a page's WebRTC asks is 20 bytes, the shortest request there is. The shortest
//! answer to it, which holds the address and nothing else, is 32 bytes (IPv6: 44). With the headers
//! of IP and UDP an answer is a quarter larger than the question, and [`Limiter`] bounds how many
//! there are: of no use to anybody who sends in another's name.

mod limiter;
pub(crate) mod message;
pub(crate) mod wire;

pub(crate) use self::limiter::Limiter;
