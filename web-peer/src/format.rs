//! How ids, times and sizes are shown. Pure: no clock, no DOM.

use std::time::Duration;

use moim_peer::PeerId;

/// Colours that peers are told apart by; `styles/people.css` has one rule for each.
const HUES: u8 = 8;

/// Characters of a peer id that are shown where the whole does not fit. The start of an id is the
/// same for everybody, so it is the end that tells peers apart.
const SHORT_ID_CHARS: usize = 6;

/// How far an author's clock may be from ours before its time is not shown.
const CLOCK_AHEAD_MAX_MS: f64 = 10.0 * 60.0 * 1000.0;

/// How old a message that arrives now may claim to be: a conversation lasts a session.
const MESSAGE_AGE_MAX_MS: f64 = 24.0 * 60.0 * 60.0 * 1000.0;

/// Characters of a text that its direction is found in.
const DIRECTION_CHARS: usize = 256;

/// Messages of one author stand under one name for this time from the first of them.
const GROUP_MS: f64 = 5.0 * 60.0 * 1000.0;

/// The end of a peer id.
pub(crate) fn short_id(peer: &PeerId) -> String {
    let id = peer.to_base58();
    let end = id
        .get(id.len().saturating_sub(SHORT_ID_CHARS)..)
        .unwrap_or_default();
    format!("…{end}")
}

/// The number of the colour that stands for a peer.
pub(crate) fn hue(peer: &PeerId) -> u8 {
    // The last bytes of an id are those of its key, so they are as good as random.
    peer.to_bytes()
        .iter()
        .rev()
        .take(4)
        .fold(0_u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(*byte))
        % HUES
}

/// What stands in the circle for a name: its first character.
pub(crate) fn initial(name: &str) -> String {
    name.trim()
        .chars()
        .find(|c| c.is_alphanumeric())
        .map_or_else(|| "?".to_owned(), |c| c.to_uppercase().collect())
}

/// The time to show for a message: the author's word while it is believable, else when it came.
/// Both in Unix milliseconds; a number from a remote may be anything.
#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds stay exact for 285,000 years"
)]
pub(crate) fn shown_time(sent: u64, now: f64) -> f64 {
    let sent = sent as f64;
    if sent <= now + CLOCK_AHEAD_MAX_MS && sent >= now - MESSAGE_AGE_MAX_MS {
        sent
    } else {
        now
    }
}

/// Whether a message stands under the name of the one before it; `before` is that one's author, and when its
/// group began.
pub(crate) fn continues(before: Option<(PeerId, f64)>, from: PeerId, time: f64) -> bool {
    before.is_some_and(|(author, began)| author == from && (time - began).abs() < GROUP_MS)
}

/// The direction of a text by the first letter that has one, as `dir="auto"` finds it (HTML, section 3.2.6.4), but
/// from its beginning alone: a browser looks through all of it at every key. Left to right while there is no such letter.
pub(crate) fn direction(text: &str) -> &'static str {
    let is_rtl = |c: char| {
        matches!(
            c,
            '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}' | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}'
        )
    };
    let mut letters = text
        .chars()
        .take(DIRECTION_CHARS)
        .filter(|c| c.is_alphabetic());
    match letters.next() {
        Some(letter) if is_rtl(letter) => "rtl",
        _ => "ltr",
    }
}

/// How many bytes the characters from `start` to `end` take, places that are counted as browsers do it: in UTF-16.
pub(crate) fn bytes_between(text: &str, start: u32, end: u32) -> usize {
    let mut at = 0;
    text.chars()
        .filter(|c| {
            let is_between = (start..end).contains(&at);
            at += if c.len_utf16() > 1 { 2 } else { 1 };
            is_between
        })
        .map(char::len_utf8)
        .sum()
}

/// A round trip as text: `0.4 ms`, `31 ms`, `1.2 s`.
pub(crate) fn round_trip(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1000.0;
    if ms < 10.0 {
        format!("{ms:.1} ms")
    } else if ms < 1000.0 {
        format!("{ms:.0} ms")
    } else {
        format!("{:.1} s", ms / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo";

    fn peer() -> PeerId {
        ID.parse().expect("valid")
    }

    #[test]
    fn ids_are_shortened_to_what_tells_them_apart() {
        assert_eq!(short_id(&peer()), "…CVe2Xo");
        assert!(hue(&peer()) < HUES);
    }

    #[test]
    fn initials_are_whole_characters() {
        for (name, expected) in [
            ("ada", "A"),
            ("민준", "민"),
            ("  zoë", "Z"),
            ("👋 hi", "H"),
            ("!?", "?"),
            ("", "?"),
        ] {
            assert_eq!(initial(name), expected);
        }
    }

    #[test]
    fn an_unbelievable_clock_is_not_shown() {
        let now = 1_800_000_000_000.0;
        for (sent, expected) in [
            (1_799_999_990_000, 1_799_999_990_000.0),
            (1_800_000_060_000, 1_800_000_060_000.0),
            (1_800_001_000_000, now),
            (0, now),
            (u64::MAX, now),
        ] {
            assert!((shown_time(sent, now) - expected).abs() < 1.0, "{sent}");
        }
    }

    #[test]
    fn messages_of_one_author_stand_together_for_a_while() {
        assert!(!continues(None, peer(), 0.0));
        assert!(continues(Some((peer(), 0.0)), peer(), 60_000.0));
        assert!(!continues(Some((peer(), 0.0)), peer(), 600_000.0));
        assert!(!continues(Some((PeerId::random(), 0.0)), peer(), 1.0));
    }

    #[test]
    fn a_text_runs_as_its_first_letter_does() {
        for (text, expected) in [
            ("", "ltr"),
            ("1. 안녕", "ltr"),
            ("12: שלום hello", "rtl"),
            ("«سلام»", "rtl"),
            ("hello שלום", "ltr"),
        ] {
            assert_eq!(direction(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_selected_is_measured_in_bytes() {
        for (start, end, expected) in [(0, 0, 0), (0, 1, 1), (1, 4, 7), (1, 2, 3), (0, 99, 9)] {
            assert_eq!(bytes_between("a가👋b", start, end), expected, "{start}");
        }
    }

    #[test]
    fn round_trips_read_well() {
        for (micros, expected) in [(420, "0.4 ms"), (31_400, "31 ms"), (1_234_000, "1.2 s")] {
            assert_eq!(round_trip(Duration::from_micros(micros)), expected);
        }
    }
}
