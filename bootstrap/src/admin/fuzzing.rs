//! See [`crate::fuzzing`].

use std::net::SocketAddr;

use axum::http::{Request, header};

use super::access::Access;

const TOKEN: &str = "0123456789abcdef";

/// Who asks in whatever way is let in from this machine or with the token.
pub(crate) fn access(remote: SocketAddr, request: &Request<()>) {
    let given = request.headers().get(header::AUTHORIZATION);
    let has_token = given.is_some_and(|given| given.as_bytes().ends_with(TOKEN.as_bytes()));
    for local in [true, false] {
        let access = Access::with_token(TOKEN.to_owned(), local);
        let from_here = local && remote.ip().to_canonical().is_loopback();
        assert!(!access.allows(remote, request) || has_token || from_here);
    }
}
