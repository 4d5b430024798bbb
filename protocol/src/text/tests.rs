use super::*;

#[test]
fn names() {
    let long = "x".repeat(NAME_BYTES_MAX);
    for name in ["A", "Ada Lovelace", "모임", "👩‍👩‍👧", " a ", long.as_str()] {
        assert_eq!(check_name(name), Ok(()), "{name:?}");
    }
    let longer = "x".repeat(NAME_BYTES_MAX + 1);
    let table = [
        ("", TextError::EmptyName),
        (" \u{3000}", TextError::EmptyName),
        (longer.as_str(), TextError::NameTooLong(65)),
        ("a\nb", TextError::Forbidden('\n')),
        ("a\tb", TextError::Forbidden('\t')),
        ("\u{1b}[31m", TextError::Forbidden('\u{1b}')),
        ("a\u{85}b", TextError::Forbidden('\u{85}')),
        ("a\u{202e}b", TextError::Forbidden('\u{202e}')),
        ("a\u{2066}b", TextError::Forbidden('\u{2066}')),
        ("a\u{2028}b", TextError::Forbidden('\u{2028}')),
    ];
    for (name, error) in table {
        assert_eq!(check_name(name), Err(error), "{name:?}");
    }
}

#[test]
fn texts() {
    let long = "x".repeat(TEXT_BYTES_MAX);
    for text in ["a", " ", "a\r\n\tb", "\u{202b}שלום", long.as_str()] {
        assert_eq!(check_text(text), Ok(()), "{text:?}");
    }
    let longer = "x".repeat(TEXT_BYTES_MAX + 1);
    let table = [
        ("", TextError::EmptyText),
        (longer.as_str(), TextError::TextTooLong(16_385)),
        ("a\0b", TextError::Forbidden('\0')),
        ("\u{1b}]0;title\u{7}", TextError::Forbidden('\u{1b}')),
        ("a\u{7f}", TextError::Forbidden('\u{7f}')),
        ("a\u{9b}31m", TextError::Forbidden('\u{9b}')),
    ];
    for (text, error) in table {
        assert_eq!(check_text(text), Err(error), "{text:?}");
    }
}

#[test]
fn errors_name_the_character() {
    let error = check_text("\u{1b}").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the character U+001B is not allowed here"
    );
}
