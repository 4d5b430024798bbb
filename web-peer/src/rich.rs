//! What stands in a message besides plain text: links and code. Pure: no DOM.
//!
//! The marks are those of CommonMark: `` `code` `` within a line, and lines of code between two lines that begin with
//! three backticks. Nothing else is read, and nothing that is read disappears from what a reader sees but the marks
//! themselves.

/// Lines of a message that are shown before it is opened.
const LINES_SHOWN: usize = 12;

/// Columns of a line: that many narrow characters, or half as many wide ones. A longer line is shown as several.
const LINE_COLUMNS: usize = 100;

/// What begins and ends lines of code.
const FENCE: &str = "```";

/// A part of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    Text(&'a str),
    /// The address of a page, as it was written.
    Link(&'a str),
    /// Code within a line.
    Code(&'a str),
    /// Lines of code.
    Block(&'a str),
}

/// The parts of a message, in order.
pub(crate) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, code, after)) = block(rest) {
        // The line end before a block, and that after it, are the block's own.
        inline(before.strip_suffix('\n').unwrap_or(before), &mut pieces);
        pieces.push(Piece::Block(code));
        rest = after;
    }
    inline(rest, &mut pieces);
    pieces
}

/// Whether a message is so long that it is shown in part at first.
pub(crate) fn is_long(text: &str) -> bool {
    let lines = text.lines().map(|line| {
        let columns: usize = line.chars().map(columns).sum();
        columns.div_ceil(LINE_COLUMNS).max(1)
    });
    lines.sum::<usize>() > LINES_SHOWN
}

/// How many columns a character takes: two if it is wide, as Hangul, Chinese characters, kana, emoji and full width forms
/// are (UAX #11, by whole blocks).
fn columns(c: char) -> usize {
    let is_wide = matches!(
        c,
        '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{a960}'..='\u{a97f}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}'
            | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}' | '\u{ffe0}'..='\u{ffe6}' | '\u{1f300}'..='\u{1faff}' | '\u{20000}'..='\u{3fffd}'
    );
    if is_wide { 2 } else { 1 }
}

/// The first lines of code: what comes before them, they themselves, and what comes after them.
fn block(text: &str) -> Option<(&str, &str, &str)> {
    let mut at = 0;
    let mut begin = None;
    for line in text.split_inclusive('\n') {
        let end = at + line.len();
        if line.starts_with(FENCE) {
            match begin {
                // What follows the marks is the language's name; backticks there make it code within a line.
                None if !line.trim_end().trim_start_matches('`').contains('`') => {
                    begin = Some((at, end));
                }
                Some((opened, first)) if line.trim_end().bytes().all(|byte| byte == b'`') => {
                    let code = text.get(first..at)?;
                    let code = code.strip_suffix('\n').unwrap_or(code);
                    return Some((text.get(..opened)?, code, text.get(end..)?));
                }
                _ => {}
            }
        }
        at = end;
    }
    None
}

/// Text with code and links in it.
fn inline<'a>(text: &'a str, pieces: &mut Vec<Piece<'a>>) {
    let mut rest = text;
    while let Some((before, code, after)) = code_in(rest) {
        links(before, pieces);
        pieces.push(Piece::Code(code));
        rest = after;
    }
    links(rest, pieces);
}

/// The first code between two backticks of one line.
fn code_in(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    loop {
        let open = from + text.get(from..)?.find('`')?;
        let inside = text.get(open + 1..)?;
        let line = inside.split('\n').next().unwrap_or_default();
        match line.find('`') {
            Some(close) if close > 0 => {
                let code = inside.get(..close)?;
                return Some((text.get(..open)?, code, inside.get(close + 1..)?));
            }
            // Two in a row, or none that ends it.
            _ => from = open + 1,
        }
    }
}

/// Text with links in it.
fn links<'a>(text: &'a str, pieces: &mut Vec<Piece<'a>>) {
    let mut rest = text;
    let mut from = 0;
    while let Some(at) = next_scheme(rest, from) {
        let (before, tail) = rest.split_at(at);
        match link(tail).filter(|_| !before.ends_with(|c: char| c.is_alphanumeric())) {
            Some(length) => {
                push_text(before, pieces);
                let (address, after) = tail.split_at(length);
                pieces.push(Piece::Link(address));
                (rest, from) = (after, 0);
            }
            None => from = at + 1,
        }
    }
    push_text(rest, pieces);
}

fn push_text<'a>(text: &'a str, pieces: &mut Vec<Piece<'a>>) {
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
}

/// Where `http://` or `https://` stands next.
fn next_scheme(text: &str, from: usize) -> Option<usize> {
    let found = text.get(from..)?.find("http")?;
    Some(from + found)
}

/// How long the address of a page is that `text` begins with.
///
/// Only what everybody reads as the same place is one: no user name before the host (`https://bank.example@evil.example`),
/// and no character that turns the text around or is not seen.
fn link(text: &str) -> Option<usize> {
    let host_at = ["https://", "http://"]
        .into_iter()
        .find(|scheme| text.starts_with(scheme))?
        .len();
    let ends =
        |c: char| c.is_whitespace() || c.is_control() || is_unseen(c) || "<>\"`\\^{}|".contains(c);
    let length = text.find(ends).unwrap_or(text.len());
    let address = without_end(text.get(..length)?);
    let authority = address.get(host_at..)?;
    let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
    let is_host = authority.starts_with(|c: char| c.is_alphanumeric() || c == '[');
    (is_host && !authority.contains('@')).then_some(address.len())
}

/// An address without what belongs to the sentence around it.
fn without_end(address: &str) -> &str {
    let mut address = address;
    while let Some(last) = address.chars().next_back() {
        let is_rest = match last {
            '.' | ',' | ':' | ';' | '!' | '?' | '\'' | '*' | '_' | '…' | '。' | '、' | '”'
            | '’' => true,
            ')' => closes_more(address, '(', ')'),
            ']' => closes_more(address, '[', ']'),
            _ => false,
        };
        if !is_rest {
            break;
        }
        address = &address[..address.len() - last.len_utf8()];
    }
    address
}

/// Whether there are more closing brackets than opening ones.
fn closes_more(text: &str, open: char, close: char) -> bool {
    text.matches(close).count() > text.matches(open).count()
}

/// Marks of direction and characters without width.
fn is_unseen(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        pieces(text)
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => (*text).to_owned(),
                Piece::Link(text) => format!("[{text}]"),
                Piece::Code(text) => format!("<{text}>"),
                Piece::Block(text) => format!("{{{text}}}"),
            })
            .collect()
    }

    #[test]
    fn addresses_of_pages_are_links_without_the_sentence_around_them() {
        for (text, expected) in [
            ("see https://a.example.", "see [https://a.example]."),
            ("(http://a.example/b)", "([http://a.example/b])"),
            (
                "https://a.example/b_(c)?d=e#f, and",
                "[https://a.example/b_(c)?d=e#f], and",
            ),
            ("http://[::1]:8080/", "[http://[::1]:8080/]"),
            ("https://한글.example/가 다", "[https://한글.example/가] 다"),
            ("<https://a.example>", "<[https://a.example]>"),
            ("https://a.example!?", "[https://a.example]!?"),
            (
                "one https://a.b two http://c.d",
                "one [https://a.b] two [http://c.d]",
            ),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_page_or_looks_like_another_one_is_text() {
        for text in [
            "https://",
            "https:///a",
            "http://.",
            "javascript:alert(1)",
            "data:text/html,a",
            "ftp://a.example",
            "xhttps://a.example",
            "https://bank.example@evil.example/",
            "http",
            "https:/a.example",
        ] {
            assert_eq!(pieces(text), [Piece::Text(text)], "{text}");
        }
        assert_eq!(
            shown("https://a.example/\u{202e}gpj"),
            "[https://a.example/]\u{202e}gpj"
        );
        assert_eq!(pieces(""), []);
    }

    #[test]
    fn code_is_told_from_text() {
        for (text, expected) in [
            ("run `ls -l` now", "run <ls -l> now"),
            ("`https://a.example`", "<https://a.example>"),
            ("``", "``"),
            ("a ` b", "a ` b"),
            ("a ` b\nc ` d", "a ` b\nc ` d"),
            ("``` a ``` b", "``< a >`` b"),
            (
                "look:\n```\nlet a;\n\n  b\n```\nyes",
                "look:{let a;\n\n  b}yes",
            ),
            ("```rust\nfn a() {}\n```", "{fn a() {}}"),
            ("```\n```", "{}"),
            ("```\nnever ended", "```\nnever ended"),
            (
                "```\n`a` https://b.example\n````",
                "{`a` https://b.example}",
            ),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn long_messages_are_those_of_more_than_twelve_lines() {
        for (piece, most) in [
            ("a\n", 12),
            ("\n", 12),
            ("a", 1_200),
            ("é", 1_200),
            ("가", 600),
            ("漢", 600),
            ("ａ", 600),
            ("👋", 600),
        ] {
            assert!(!is_long(&piece.repeat(most)), "{piece}");
            assert!(is_long(&piece.repeat(most + 1)), "{piece}");
        }
        // Each of these lines is shown as two.
        let line = "가".repeat(60) + "\n";
        assert!(!is_long(&line.repeat(6)));
        assert!(is_long(&line.repeat(7)));
    }
}
