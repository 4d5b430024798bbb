//! Rust source as a list of tokens, without comments: enough to see what code says, as opposed to
//! what it says about itself.

/// A piece of source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// A word or a number.
    Word(String),
    /// The content of a string, escapes as written.
    Text(String),
    /// Any other character.
    Sign(char),
}

/// A token and the line it starts in, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Located {
    pub(crate) token: Token,
    pub(crate) line: usize,
}

impl Located {
    pub(crate) fn is_word(&self, word: &str) -> bool {
        matches!(&self.token, Token::Word(own) if own == word)
    }

    pub(crate) fn is_sign(&self, sign: char) -> bool {
        self.token == Token::Sign(sign)
    }
}

/// Splits source into tokens. Never fails: what is no Rust gives odd tokens.
pub(crate) fn tokens(source: &str) -> Vec<Located> {
    Lexer {
        rest: source.chars().collect(),
        at: 0,
        line: 1,
        found: Vec::new(),
    }
    .run()
}

struct Lexer {
    rest: Vec<char>,
    at: usize,
    line: usize,
    found: Vec<Located>,
}

impl Lexer {
    fn run(mut self) -> Vec<Located> {
        while let Some(character) = self.peek(0) {
            let line = self.line;
            match character {
                '/' if self.peek(1) == Some('/') => self.skip_line(),
                '/' if self.peek(1) == Some('*') => self.skip_block(),
                '"' => {
                    self.step();
                    let text = self.text(0, true);
                    self.push(Token::Text(text), line);
                }
                '\'' => self.quote(),
                _ if character.is_alphanumeric() || character == '_' => self.word(line),
                _ if character.is_whitespace() => self.step(),
                _ => {
                    self.step();
                    self.push(Token::Sign(character), line);
                }
            }
        }
        self.found
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.rest.get(self.at + ahead).copied()
    }

    fn step(&mut self) {
        if self.peek(0) == Some('\n') {
            self.line += 1;
        }
        self.at += 1;
    }

    fn push(&mut self, token: Token, line: usize) {
        self.found.push(Located { token, line });
    }

    fn skip_line(&mut self) {
        while self.peek(0).is_some_and(|character| character != '\n') {
            self.step();
        }
    }

    /// Block comments nest.
    fn skip_block(&mut self) {
        let mut depth = 0_usize;
        while let Some(character) = self.peek(0) {
            let pair = (character, self.peek(1));
            self.step();
            if pair == ('/', Some('*')) {
                depth += 1;
                self.step();
            } else if pair == ('*', Some('/')) {
                depth = depth.saturating_sub(1);
                self.step();
                if depth == 0 {
                    return;
                }
            }
        }
    }

    /// The rest of a string up to its closing quote and `hashes` hash signs.
    fn text(&mut self, hashes: usize, escapes: bool) -> String {
        let mut text = String::new();
        while let Some(character) = self.peek(0) {
            if character == '\\' && escapes {
                text.push(character);
                self.step();
                text.extend(self.peek(0));
                self.step();
                continue;
            }
            self.step();
            let closing = || (0..hashes).all(|ahead| self.peek(ahead) == Some('#'));
            if character == '"' && closing() {
                self.at += hashes;
                return text;
            }
            text.push(character);
        }
        text
    }

    /// A character or a lifetime; neither means anything here.
    fn quote(&mut self) {
        self.step();
        if self.peek(0) == Some('\\') {
            self.step();
            self.step();
            // `\u{…}` and `\x..` are longer.
            while self
                .peek(0)
                .is_some_and(|character| character != '\'' && character != '\n')
            {
                self.step();
            }
            self.step();
        } else if self.peek(1) == Some('\'') {
            self.step();
            self.step();
        }
    }

    fn word(&mut self, line: usize) {
        let mut word = String::new();
        while let Some(character) = self.peek(0).filter(|c| c.is_alphanumeric() || *c == '_') {
            word.push(character);
            self.step();
        }
        let raw = matches!(word.as_str(), "r" | "br" | "cr");
        let prefix = raw || matches!(word.as_str(), "b" | "c");
        let hashes = (0..)
            .take_while(|ahead| self.peek(*ahead) == Some('#'))
            .count();
        if raw && hashes > 0 && self.peek(hashes) == Some('"')
            || prefix && self.peek(0) == Some('"')
        {
            self.at += hashes + 1;
            let text = self.text(hashes, !raw);
            self.push(Token::Text(text), line);
        } else {
            self.push(Token::Word(word), line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, expected: &[&str]) {
        let found: Vec<String> = tokens(source)
            .into_iter()
            .map(|located| match located.token {
                Token::Word(word) => word,
                Token::Text(text) => format!("\"{text}\""),
                Token::Sign(sign) => sign.to_string(),
            })
            .collect();
        assert_eq!(found, expected, "{source}");
    }

    #[test]
    fn comments_are_left_out() {
        check("a // b\nc /* d /* e */ f */ g", &["a", "c", "g"]);
        check("/// #[cfg(x)]\nfn f()", &["fn", "f", "(", ")"]);
    }

    #[test]
    fn strings_are_one_token() {
        check(r#"x = "a \" // b";"#, &["x", "=", r#""a \" // b""#, ";"]);
        check(r###"r#"a " b"# c"###, &[r#""a " b""#, "c"]);
        check("b\"bytes\" r\"raw\\\"", &["\"bytes\"", "\"raw\\\""]);
    }

    #[test]
    fn characters_and_lifetimes_do_not_open_strings() {
        check(r"'\'' '\u{1F600}' a", &["a"]);
        check("'\"' a", &["a"]);
        check("&'static str", &["&", "static", "str"]);
    }

    #[test]
    fn lines_are_counted() {
        let lines: Vec<usize> = tokens("a\n\"two\nlines\"\n/* x\n */ b")
            .into_iter()
            .map(|token| token.line)
            .collect();
        assert_eq!(lines, [1, 2, 5]);
    }

    #[test]
    fn what_never_ends_ends() {
        for source in ["\"open", "/* open", "r##\"open\"#", "'", "'\\", "r#"] {
            tokens(source);
        }
    }
}
