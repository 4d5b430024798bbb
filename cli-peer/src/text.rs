//! Text that others wrote, made safe to show in a terminal.
//!
//! **Invariant:** whatever a remote sends reaches the terminal only through here. No control
//! character and so no escape sequence passes, nothing reorders what stands around it, and nobody
//! can write a line that looks as if it came from somebody else.

/// Lines of one message that are shown; a message of nothing but line breaks must not push
/// everything else off the screen.
const LINES_MAX: usize = 40;

/// Marks the continuation lines of a message, so that none can pose as a message of its own.
const CONTINUATION: &str = "\n      | ";

/// `text` in one line.
pub(crate) fn line(text: &str) -> String {
    text.chars()
        .map(|character| {
            if is_break(character) {
                '\u{23ce}'
            } else {
                visible(character)
            }
        })
        .collect()
}

/// `text` in several lines, of which all but the first are marked as continuations.
pub(crate) fn block(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let mut lines = text.split(is_break);
    let mut shown: Vec<String> = lines
        .by_ref()
        .take(LINES_MAX)
        .map(|line| line.chars().map(visible).collect())
        .collect();
    let more = lines.count();
    if more > 0 {
        shown.push(format!("({more} more lines)"));
    }
    shown.join(CONTINUATION)
}

/// Escapes in a JSON text what is valid there unescaped but is obeyed by a terminal or ends a line
/// for some readers of lines: DEL, the C1 controls, Unicode's own line ends, and what reorders text.
pub(crate) fn json(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(
            character,
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}'
        ) || reorders(character)
        {
            // Each of them is one UTF-16 unit and can only be inside of a JSON string.
            escaped.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            escaped.push(character);
        }
    }
    escaped
}

fn is_break(character: char) -> bool {
    matches!(
        character,
        '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}

/// Marks, embeddings, overrides and isolates of the Unicode bidirectional algorithm (UAX #9).
fn reorders(character: char) -> bool {
    matches!(
        character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

/// The character, or something harmless in its place.
fn visible(character: char) -> char {
    match character {
        '\t' => ' ',
        // Unicode has a picture for each C0 control character.
        '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(character)).unwrap_or('\u{fffd}'),
        '\u{7f}' => '\u{2421}',
        '\u{80}'..='\u{9f}' => '\u{fffd}',
        _ if reorders(character) => '\u{fffd}',
        // Invisible: byte order mark, and tags, which can hide a whole text.
        '\u{feff}' | '\u{e0000}'..='\u{e007f}' => '\u{fffd}',
        _ => character,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_lose_their_power() {
        for (hostile, shown) in [
            ("\x1b[2J\x1b[31mred", "␛[2J␛[31mred"),
            ("\u{9b}2J", "\u{fffd}2J"),
            ("a\x07b\x08c\0", "a␇b␈c␀"),
            ("\x7f", "␡"),
            ("\u{202e}evil\u{2066}", "\u{fffd}evil\u{fffd}"),
            ("one\ntwo\r\nthree", "one⏎two⏎⏎three"),
            ("tab\there", "tab here"),
            ("안녕 👩‍👩‍👧 café", "안녕 👩‍👩‍👧 café"),
        ] {
            assert_eq!(line(hostile), shown, "{hostile:?}");
        }
    }

    #[test]
    fn nothing_that_a_terminal_obeys_passes() {
        let everything: String = (0..0x11_0000).filter_map(char::from_u32).collect();
        assert!(!line(&everything).chars().any(char::is_control));
        assert!(
            !block(&everything)
                .chars()
                .any(|c| c.is_control() && c != '\n')
        );
        assert!(
            !json(&serde_json::to_string(&everything).unwrap())
                .chars()
                .any(char::is_control)
        );
    }

    #[test]
    fn escaping_json_does_not_change_its_meaning() {
        let everything: String = (0..0x1_2000).filter_map(char::from_u32).collect();
        let text = json(&serde_json::to_string(&everything).unwrap());
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), everything);
        assert!(!text.contains(['\u{2028}', '\u{2029}', '\u{85}', '\u{202e}']));
    }

    #[test]
    fn a_second_line_cannot_pose_as_another_message() {
        assert_eq!(
            block("hi\n12:00 Bob: I agree"),
            "hi\n      | 12:00 Bob: I agree"
        );
        assert_eq!(block("a\r\nb"), "a\n      | b");
    }

    #[test]
    fn endless_lines_are_cut() {
        let shown = block(&"\n".repeat(10_000));
        assert_eq!(shown.lines().count(), LINES_MAX + 1);
        assert!(shown.ends_with("(9961 more lines)"), "{shown}");
    }
}
