//! Lines from standard input, of bounded length.
//!
//! A line that is too long is thrown away as it is read and never held in memory, and what comes
//! after it is read as if it had not been there.

use std::{
    io::{self, BufRead},
    thread,
};

use tokio::sync::mpsc;

/// Longest line taken, without its end. The largest command there is, a room message of 16 KiB
/// with every character escaped as `\u0000`, has 96 KiB.
pub(crate) const LINE_BYTES_MAX: usize = 128 * 1024;

/// Lines read ahead of what was done with them.
const LINES_AHEAD_MAX: usize = 16;

/// One line, or why it is none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// It is not UTF-8.
    NotUtf8,
    /// It is UTF-8 and not too long.
    Text(String),
    /// It was longer than [`LINE_BYTES_MAX`] and is gone.
    TooLong {
        /// Its length.
        bytes: u64,
    },
}

/// What comes from whoever gives the commands.
#[derive(Debug)]
pub(crate) enum Input {
    /// There will be no more lines.
    End,
    /// Standard input cannot be read any more.
    Failed(io::Error),
    /// Ctrl-C at the prompt.
    Interrupted,
    /// A line.
    Line(Line),
}

/// Reads standard input on a thread of its own: a blocking read cannot be cancelled, and the
/// program must be able to end while it waits.
pub(crate) fn from_stdin() -> io::Result<mpsc::Receiver<Input>> {
    let (sender, receiver) = mpsc::channel(LINES_AHEAD_MAX);
    thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(move || {
            let mut stdin = io::stdin().lock();
            loop {
                let (input, last) = match read_line(&mut stdin, LINE_BYTES_MAX) {
                    Ok(Some(line)) => (Input::Line(line), false),
                    Ok(None) => (Input::End, true),
                    Err(error) => (Input::Failed(error), true),
                };
                if sender.blocking_send(input).is_err() || last {
                    return;
                }
            }
        })?;
    Ok(receiver)
}

/// The next line without its `\n` or `\r\n`, or `None` at the end. Holds at most `max` bytes.
fn read_line(reader: &mut impl BufRead, max: usize) -> io::Result<Option<Line>> {
    let mut line = Vec::new();
    let mut bytes: u64 = 0;
    let mut any = false;
    loop {
        let chunk = match reader.fill_buf() {
            Ok(chunk) => chunk,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if chunk.is_empty() {
            break;
        }
        any = true;
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let part = &chunk[..end.unwrap_or(chunk.len())];
        // One byte over `max` may be the `\r` of the line's end.
        line.extend_from_slice(&part[..part.len().min((max + 1).saturating_sub(line.len()))]);
        bytes = bytes.saturating_add(part.len() as u64);
        let read = part.len() + usize::from(end.is_some());
        reader.consume(read);
        if end.is_some() {
            break;
        }
    }
    if !any {
        return Ok(None);
    }
    if bytes == line.len() as u64 && line.last() == Some(&b'\r') {
        line.pop();
        bytes -= 1;
    }
    Ok(Some(if bytes > max as u64 {
        Line::TooLong { bytes }
    } else {
        String::from_utf8(line).map_or(Line::NotUtf8, Line::Text)
    }))
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Read};

    use super::*;

    fn lines(input: &[u8], max: usize) -> Vec<Line> {
        // A small buffer, so that lines come in pieces.
        let mut reader = BufReader::with_capacity(3, input);
        let mut lines = Vec::new();
        while let Some(line) = read_line(&mut reader, max).unwrap() {
            lines.push(line);
        }
        lines
    }

    fn text(text: &str) -> Line {
        Line::Text(text.to_owned())
    }

    #[test]
    fn lines_end_with_lf_or_crlf_or_the_end() {
        assert_eq!(lines(b"", 8), []);
        assert_eq!(lines(b"\n", 8), [text("")]);
        assert_eq!(
            lines(b"one\ntwo\r\nthree", 8),
            [text("one"), text("two"), text("three")]
        );
        assert_eq!(lines(b"a\rb\n", 8), [text("a\rb")]);
    }

    #[test]
    fn a_line_of_the_longest_length_is_taken_and_one_byte_more_is_not() {
        assert_eq!(lines(b"12345678\n", 8), [text("12345678")]);
        assert_eq!(lines(b"12345678\r\n", 8), [text("12345678")]);
        assert_eq!(
            lines(b"123456789\nok", 8),
            [Line::TooLong { bytes: 9 }, text("ok")]
        );
        assert_eq!(lines(b"123456789\r\nok", 8)[1], text("ok"));
    }

    #[test]
    fn an_endless_line_takes_no_memory_and_the_next_line_is_read() {
        let endless = io::repeat(b'x').take(50_000_000).chain(&b"\nnext\n"[..]);
        let mut reader = BufReader::new(endless);
        assert_eq!(
            read_line(&mut reader, 8).unwrap(),
            Some(Line::TooLong { bytes: 50_000_000 })
        );
        assert_eq!(read_line(&mut reader, 8).unwrap(), Some(text("next")));
        assert_eq!(read_line(&mut reader, 8).unwrap(), None);
    }

    #[test]
    fn other_encodings_are_told_apart_and_skipped() {
        assert_eq!(lines(b"\xff\xfe\nok\n", 8), [Line::NotUtf8, text("ok")]);
    }
}
