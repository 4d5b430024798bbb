//! Why a dial came to nothing.

use std::{error::Error, io};

use libp2p::{TransportError, relay::outbound::hop::ConnectError, swarm::DialError};
use moim_protocol::dials;
use moim_webrtc::{Step, backend::CloseReason, direct};

use crate::{reason::Unreached, swarm};

/// What says most of why none of the addresses led anywhere.
pub(super) fn unreached(error: &DialError) -> Unreached {
    match error {
        DialError::NoAddresses => Unreached::NoAddress,
        DialError::WrongPeerId { .. } => Unreached::OtherPeer,
        DialError::Denied { .. } => Unreached::TooMany,
        DialError::Transport(errors) => {
            let of_each = errors.iter().map(|(_, error)| match error {
                TransportError::MultiaddrNotSupported(_) => Unreached::NoAddress,
                TransportError::Other(error) => of_transport(error),
            });
            of_each.max().unwrap_or(Unreached::Unknown)
        }
        _ => Unreached::Unknown,
    }
}

/// Looks through an error and those below it. Transports box each other's into [`io::Error`]s.
fn of_transport(error: &(dyn Error + 'static)) -> Unreached {
    let mut why = Unreached::Unknown;
    let mut next = Some(error);
    while let Some(error) = next {
        why = why.max(of_one(error));
        let boxed = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        next = match boxed {
            // Its own source would leave this one out.
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    why
}

fn of_one(error: &(dyn Error + 'static)) -> Unreached {
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return error.kind().into();
    }
    match error.downcast_ref::<dials::Refusal>() {
        Some(dials::Refusal::Busy(_)) => return Unreached::Busy,
        Some(_) => return Unreached::Forbidden,
        None => {}
    }
    if error.is::<ConnectError>() {
        return Unreached::Relay;
    }
    match error.downcast_ref::<direct::Error>() {
        Some(direct::Error::Closed {
            step: Step::Connecting,
            reason: CloseReason::Closed,
        }) => Unreached::Certificate,
        Some(direct::Error::Closed {
            reason: CloseReason::IceFailed,
            ..
        })
        | Some(direct::Error::Timeout(_)) => Unreached::NoAnswer,
        Some(_) => Unreached::Broken,
        None => swarm::unreached(error),
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use libp2p::Multiaddr;

    use super::*;

    #[test]
    fn of_several_addresses_the_one_that_says_most_counts() {
        let failed = |kinds: &[ErrorKind]| {
            let each = kinds.iter().map(|kind| {
                let boxed = io::Error::other(io::Error::other(io::Error::from(*kind)));
                (Multiaddr::empty(), TransportError::Other(boxed))
            });
            unreached(&DialError::Transport(each.collect()))
        };
        assert_eq!(failed(&[]), Unreached::Unknown);
        assert_eq!(failed(&[ErrorKind::TimedOut]), Unreached::NoAnswer);
        assert_eq!(
            failed(&[ErrorKind::ConnectionRefused, ErrorKind::TimedOut]),
            Unreached::Refused
        );
        assert_eq!(failed(&[ErrorKind::Other]), Unreached::Unknown);
        assert_eq!(failed(&[ErrorKind::BrokenPipe]), Unreached::Silent);
    }

    #[test]
    fn what_is_not_an_error_of_the_system_is_known_by_its_type() {
        let boxed = |error: Box<dyn Error + Send + Sync>| {
            let error = TransportError::Other(io::Error::other(error));
            unreached(&DialError::Transport(vec![(Multiaddr::empty(), error)]))
        };
        assert_eq!(boxed(Box::new(dials::Refusal::Name)), Unreached::Forbidden);
        let busy = dials::Refusal::Busy([192, 0, 2, 1].into());
        assert_eq!(boxed(Box::new(busy)), Unreached::Busy);
        assert_eq!(
            boxed(Box::new(ConnectError::NoReservation)),
            Unreached::Relay
        );
        let step = Step::Connecting;
        let reason = CloseReason::Closed;
        let closed = direct::Error::Closed { step, reason };
        assert_eq!(boxed(Box::new(closed)), Unreached::Certificate);
        let late = direct::Error::Timeout(step);
        assert_eq!(boxed(Box::new(late)), Unreached::NoAnswer);
        assert_eq!(boxed("what?".into()), Unreached::Unknown);
    }
}
