//! Which peer a person means.

use std::fmt;

use moim_peer::{Member, PeerId};

use crate::{ids::short, text};

/// The shortest part of a peer id that counts as one. Less would match by accident.
const PART_CHARACTERS_MIN: usize = 4;

/// Members named in an error.
const CANDIDATES_SHOWN_MAX: usize = 8;

/// Why a reference names nobody in particular.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ResolveError {
    /// Several members match, these are they (each with name and short id).
    Ambiguous {
        reference: String,
        candidates: Vec<String>,
    },
    /// Nobody matches.
    Nobody { reference: String },
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ambiguous {
                reference,
                candidates,
            } => {
                write!(f, "{reference} could be ")?;
                for (index, candidate) in candidates.iter().take(CANDIDATES_SHOWN_MAX).enumerate() {
                    write!(f, "{}{candidate}", if index == 0 { "" } else { ", " })?;
                }
                if let Some(more) = candidates
                    .len()
                    .checked_sub(CANDIDATES_SHOWN_MAX)
                    .filter(|more| *more > 0)
                {
                    write!(f, " or {more} others")?;
                }
                f.write_str("; say which by the end of its id")
            }
            Self::Nobody { reference } => {
                write!(f, "nobody here is {reference}; /members lists who is")
            }
        }
    }
}

/// The peer that `reference` names: a whole peer id (also of somebody who is not here), a member's
/// name, or the start or end of a member's id.
///
/// Whoever matches by name counts as much as who matches by id: a member who takes another's short
/// id as a name makes it ambiguous, and gets nothing that was meant for the other.
pub(super) fn resolve(reference: &str, members: &[Member]) -> Result<PeerId, ResolveError> {
    if let Ok(peer) = reference.parse() {
        return Ok(peer);
    }
    let plain = reference.strip_prefix('@').unwrap_or(reference);
    let part = plain
        .trim_start_matches(['…', '.'])
        .trim_end_matches(['…', '.']);
    let lower = plain.to_lowercase();
    let exact = members.iter().any(|member| member.name.as_str() == plain);
    let named = |member: &&Member| {
        if exact {
            member.name.as_str() == plain
        } else {
            member.name.as_str().to_lowercase() == lower
        }
    };
    let identified = |member: &&Member| {
        let id = member.peer.to_base58();
        part.len() >= PART_CHARACTERS_MIN && (id.starts_with(part) || id.ends_with(part))
    };
    let found: Vec<&Member> = members
        .iter()
        .filter(|member| named(member) || identified(member))
        .collect();
    match found.as_slice() {
        [] => Err(ResolveError::Nobody {
            reference: text::line(reference),
        }),
        [member] => Ok(member.peer),
        several => Err(ResolveError::Ambiguous {
            reference: text::line(reference),
            candidates: several
                .iter()
                .map(|member| {
                    format!(
                        "{} {}",
                        text::line(member.name.as_str()),
                        short(&member.peer)
                    )
                })
                .collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use moim_peer::{Keypair, Reach};

    use super::*;

    fn member(seed: u8, name: &str) -> Member {
        let keypair = Keypair::ed25519_from_bytes([seed; 32]).unwrap();
        Member {
            peer: keypair.public().to_peer_id(),
            name: name.parse().unwrap(),
            reach: Reach::default(),
            looks_like: None,
        }
    }

    fn end(member: &Member, characters: usize) -> String {
        let id = member.peer.to_base58();
        id[id.len() - characters..].to_owned()
    }

    #[test]
    fn names_ids_and_parts_of_ids_are_found() {
        let members = [
            member(1, "Ada"),
            member(2, "bob"),
            member(3, "Chris van Dyk"),
        ];
        let [ada, bob, chris] = &members;
        let id = bob.peer.to_base58();
        for (reference, who) in [
            ("Ada", ada),
            ("ada", ada),
            ("@Ada", ada),
            ("Chris van Dyk", chris),
            (&id, bob),
            (&id[..20], bob),
            (&end(bob, 6), bob),
            (&short(&bob.peer), bob),
        ] {
            assert_eq!(resolve(reference, &members), Ok(who.peer), "{reference}");
        }
        // A whole id needs no member.
        assert_eq!(
            resolve(&member(9, "x").peer.to_base58(), &members),
            Ok(member(9, "x").peer)
        );
    }

    #[test]
    fn nobody_and_too_little_of_an_id_are_errors() {
        let members = [member(1, "Ada"), member(2, "Bob")];
        for reference in ["Eve", "12D", &end(&members[0], 3), "", "…", "\x1b[2J"] {
            let error = resolve(reference, &members).unwrap_err();
            assert!(matches!(error, ResolveError::Nobody { .. }), "{reference}");
            assert!(!error.to_string().chars().any(char::is_control));
        }
    }

    #[test]
    fn several_are_listed() {
        let members = [member(1, "Ada"), member(2, "Ada"), member(3, "ada")];
        let error = resolve("Ada", &members).unwrap_err().to_string();
        assert!(
            error.contains(&short(&members[0].peer)) && error.contains(&short(&members[1].peer)),
            "{error}"
        );
        assert!(!error.contains(&short(&members[2].peer)), "{error}");
        assert_eq!(resolve("ada", &members), Ok(members[2].peer));
        // Everybody's id starts so.
        assert!(matches!(
            resolve("12D3Koo", &members),
            Err(ResolveError::Ambiguous { .. })
        ));
        let crowd: Vec<_> = (0..20).map(|seed| member(seed, "same")).collect();
        assert!(
            resolve("same", &crowd)
                .unwrap_err()
                .to_string()
                .contains("or 12 others")
        );
    }

    #[test]
    fn nobody_can_take_what_is_meant_for_another_by_a_name() {
        let victim = member(1, "Ada");
        let mallory = member(2, &end(&victim, 6));
        let members = [victim.clone(), mallory];
        assert!(matches!(
            resolve(&end(&victim, 6), &members),
            Err(ResolveError::Ambiguous { .. })
        ));
        assert_eq!(resolve(&end(&victim, 8), &members), Ok(victim.peer));
        let mallory = member(2, &victim.peer.to_base58());
        assert_eq!(
            resolve(&victim.peer.to_base58(), &[victim.clone(), mallory]),
            Ok(victim.peer)
        );
    }
}
