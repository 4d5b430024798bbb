//! Why a dial came to nothing, in the words that people are shown.

use libp2p::swarm::DialError;

/// What a browser's failed WebSocket means: it hides the reason from pages.
const UNREACHABLE: &str = "nobody answers there, or the connection was dropped";

/// The innermost reasons, by address, for people.
pub(super) fn describe_dial_error(error: &DialError) -> String {
    match error {
        DialError::NoAddresses => "no address is known".to_owned(),
        DialError::WrongPeerId { obtained, .. } => {
            format!("another peer ({obtained}) answers at that address")
        }
        DialError::Transport(errors) => {
            let mut reasons: Vec<String> = Vec::new();
            for (address, error) in errors {
                let text = innermost(error);
                // Transports name the address or not, and a browser does not tell why.
                let address = address.to_string();
                let text = text.replace(&format!("{address}: "), "");
                let text = if text == "broken pipe" {
                    UNREACHABLE
                } else {
                    text.as_str()
                };
                let reason = format!("{address}: {text}");
                if !reasons.contains(&reason) {
                    reasons.push(reason);
                }
            }
            reasons.join("; ")
        }
        other => innermost(other),
    }
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}
