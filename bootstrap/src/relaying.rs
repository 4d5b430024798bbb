//! What the relay says, in the words of the metrics.

use libp2p::relay::StatusCode;

/// Why reservations and circuits are denied, as `/metrics` calls it.
pub(crate) const REASONS: [&str; 5] = [
    "connection-failed",
    "no-reservation",
    "permission-denied",
    "resource-limit-exceeded",
    "other",
];

/// One of [`REASONS`].
pub(crate) fn reason(status: StatusCode) -> &'static str {
    match status {
        StatusCode::ConnectionFailed => "connection-failed",
        StatusCode::NoReservation => "no-reservation",
        StatusCode::PermissionDenied => "permission-denied",
        StatusCode::ResourceLimitExceeded => "resource-limit-exceeded",
        // What clients do wrong, or is no denial.
        StatusCode::MalformedMessage
        | StatusCode::OK
        | StatusCode::ReservationRefused
        | StatusCode::UnexpectedMessage => "other",
    }
}
