//! Commands on standard input.
//!
//! Read by hand rather than by a derive: a program's author sees which field is wrong and what
//! would be right, and a misspelt optional field is an error instead of being ignored.

use std::time::Duration;

use moim_peer::{
    PeerId,
    json::{Answer, Event},
    limits,
};
use serde_json::{Map, Value};

use super::ToLine as _;

/// What there is, for the error that says that something else is not.
const WORDS: &str = "say, send, put, get, members, connections, leave";

/// Characters of a remote program's own words that an error quotes.
const QUOTE_CHARACTERS_MAX: usize = 64;

/// A command and what its answers shall carry.
#[derive(Debug, PartialEq)]
pub(super) struct Request {
    pub(super) command: Command,
    /// `ref`: given back with every answer to the command.
    pub(super) reference: Option<Value>,
}

/// What to do.
#[derive(Debug, PartialEq)]
pub(super) enum Command {
    Connections,
    Get {
        key: String,
    },
    Leave,
    Members,
    Put {
        key: String,
        value: Value,
        lifetime: Duration,
    },
    Say {
        text: String,
    },
    Send {
        to: PeerId,
        text: String,
    },
}

impl Command {
    /// The word in `cmd`.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Get { .. } => "get",
            Self::Leave => "leave",
            Self::Members => "members",
            Self::Put { .. } => "put",
            Self::Say { .. } => "say",
            Self::Send { .. } => "send",
        }
    }
}

/// Why a line is no command.
#[derive(Debug, PartialEq)]
pub(super) struct Refusal {
    code: &'static str,
    message: String,
    command: Option<String>,
    reference: Option<Value>,
}

impl Refusal {
    /// The error as an event, for the line with this number.
    pub(super) fn to_line(&self, line: u64) -> String {
        let event = Event::Error {
            error: self.code,
            message: self.message.clone(),
            cmd: self.command.clone(),
            line: Some(line),
        };
        Answer {
            event,
            reference: self.reference.clone(),
        }
        .to_line()
    }
}

/// Reads one line.
pub(super) fn parse(line: &str) -> Result<Request, Refusal> {
    let refuse = |code, message| Refusal {
        code,
        message,
        command: None,
        reference: None,
    };
    // Numbers and fields come back as they were written, or not at all.
    let mut fields = match moim_peer::from_json(line) {
        Ok(Value::Object(fields)) => Fields(fields),
        Ok(_) => {
            return Err(refuse(
                "invalid_command",
                "a command is a JSON object such as {\"cmd\":\"members\"}".to_owned(),
            ));
        }
        Err(error) => return Err(refuse("invalid_json", error.to_string())),
    };
    let reference = fields.0.remove("ref");
    let refuse = |code, command, message| Refusal {
        code,
        message,
        command,
        reference: reference.clone(),
    };
    let word = match fields.0.remove("cmd") {
        Some(Value::String(word)) => word,
        Some(_) => {
            return Err(refuse(
                "invalid_command",
                None,
                "`cmd` must be a string".to_owned(),
            ));
        }
        None => {
            return Err(refuse(
                "invalid_command",
                None,
                format!("`cmd` is missing; there are {WORDS}"),
            ));
        }
    };
    match fields.command(&word) {
        Ok(Some(command)) => Ok(Request { command, reference }),
        Ok(None) => {
            let message = format!("there is no command `{}`; there are {WORDS}", quote(&word));
            Err(refuse("unknown_command", Some(quote(&word)), message))
        }
        Err(reason) => Err(refuse(
            "invalid_command",
            Some(quote(&word)),
            format!("`{word}` {reason}"),
        )),
    }
}

/// The start of a text that may be long.
fn quote(text: &str) -> String {
    text.chars().take(QUOTE_CHARACTERS_MAX).collect()
}

/// The fields of a command that were not looked at yet.
struct Fields(Map<String, Value>);

impl Fields {
    /// The command, `None` if there is none of that name.
    fn command(mut self, word: &str) -> Result<Option<Command>, String> {
        let command = match word {
            "connections" => Command::Connections,
            "get" => Command::Get {
                key: self.text("key")?,
            },
            "leave" => Command::Leave,
            "members" => Command::Members,
            "put" => Command::Put {
                key: self.text("key")?,
                value: self.0.remove("value").ok_or("needs `value`, any JSON")?,
                lifetime: self.seconds("ttl")?.unwrap_or(limits::RECORD_TTL_DEFAULT),
            },
            "say" => Command::Say {
                text: self.text("text")?,
            },
            "send" => Command::Send {
                to: self.peer("to")?,
                text: self.text("text")?,
            },
            _ => return Ok(None),
        };
        match self.0.keys().next() {
            Some(unknown) => Err(format!("has no `{}`", quote(unknown))),
            None => Ok(Some(command)),
        }
    }

    fn text(&mut self, name: &str) -> Result<String, String> {
        match self.0.remove(name) {
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(format!("needs `{name}` to be a string")),
            None => Err(format!("needs `{name}`, a string")),
        }
    }

    fn peer(&mut self, name: &str) -> Result<PeerId, String> {
        let text = self.text(name)?;
        text.parse()
            .map_err(|_| format!("needs `{name}` to be a whole peer id such as 12D3KooW…"))
    }

    fn seconds(&mut self, name: &str) -> Result<Option<Duration>, String> {
        match self.0.remove(name) {
            None => Ok(None),
            Some(value) => match value.as_u64() {
                Some(seconds) => Ok(Some(Duration::from_secs(seconds))),
                None => Err(format!("needs `{name}` to be a whole number of seconds")),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PEER: &str = "12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo";

    #[test]
    fn every_command_is_understood() {
        let text = || "hi".to_owned();
        let key = || "k".to_owned();
        for (line, command) in [
            (
                json!({"cmd": "say", "text": "hi"}),
                Command::Say { text: text() },
            ),
            (
                json!({"cmd": "send", "to": PEER, "text": "hi"}),
                Command::Send {
                    to: PEER.parse().unwrap(),
                    text: text(),
                },
            ),
            (
                json!({"cmd": "put", "key": "k", "value": null}),
                Command::Put {
                    key: key(),
                    value: Value::Null,
                    lifetime: limits::RECORD_TTL_DEFAULT,
                },
            ),
            (
                json!({"cmd": "put", "key": "k", "value": [1, {"a": 2}], "ttl": 60}),
                Command::Put {
                    key: key(),
                    value: json!([1, {"a": 2}]),
                    lifetime: Duration::from_secs(60),
                },
            ),
            (
                json!({"cmd": "get", "key": "k"}),
                Command::Get { key: key() },
            ),
            (json!({"cmd": "members"}), Command::Members),
            (json!({"cmd": "connections"}), Command::Connections),
            (json!({"cmd": "leave"}), Command::Leave),
        ] {
            let word = command.word();
            assert_eq!(
                parse(&line.to_string()),
                Ok(Request {
                    command,
                    reference: None
                })
            );
            assert_eq!(line["cmd"], word);
        }
    }

    #[test]
    fn a_reference_is_kept_also_when_the_command_is_wrong() {
        let request = parse(r#"{"cmd":"members","ref":"a1"}"#).unwrap();
        assert_eq!(request.reference, Some(json!("a1")));
        let line = parse(r#"{"cmd":"dance","ref":7}"#).unwrap_err().to_line(3);
        assert_eq!(
            line,
            "{\"type\":\"error\",\"error\":\"unknown_command\",\"message\":\"there is no command `dance`; there are say, send, \
             put, get, members, connections, leave\",\"cmd\":\"dance\",\"line\":3,\"ref\":7}\n"
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, code, reason) in [
            ("", "invalid_json", "EOF"),
            ("{", "invalid_json", "EOF"),
            ("hello", "invalid_json", "expected value"),
            (r#"{"cmd":"say","text":"a"} {"#, "invalid_json", "trailing"),
            ("[]", "invalid_command", "JSON object"),
            ("7", "invalid_command", "JSON object"),
            ("{}", "invalid_command", "`cmd` is missing"),
            (r#"{"cmd":7}"#, "invalid_command", "must be a string"),
            (
                r#"{"cmd":"fly"}"#,
                "unknown_command",
                "there is no command `fly`",
            ),
            (r#"{"cmd":"say"}"#, "invalid_command", "`say` needs `text`"),
            (
                r#"{"cmd":"say","text":7}"#,
                "invalid_command",
                "to be a string",
            ),
            (
                r#"{"cmd":"say","text":"a","txt":"b"}"#,
                "invalid_command",
                "`say` has no `txt`",
            ),
            (
                r#"{"cmd":"send","to":"Ada","text":"a"}"#,
                "invalid_command",
                "whole peer id",
            ),
            (
                r#"{"cmd":"send","text":"a"}"#,
                "invalid_command",
                "needs `to`",
            ),
            (
                r#"{"cmd":"put","key":"a"}"#,
                "invalid_command",
                "needs `value`",
            ),
            (
                r#"{"cmd":"put","key":"a","value":1,"ttl":-1}"#,
                "invalid_command",
                "whole number of seconds",
            ),
            (
                r#"{"cmd":"put","key":"a","value":1,"ttl":"60"}"#,
                "invalid_command",
                "whole number of seconds",
            ),
            (
                r#"{"cmd":"get","key":null}"#,
                "invalid_command",
                "`key` to be a string",
            ),
        ] {
            let refusal = parse(line).unwrap_err();
            assert_eq!(refusal.code, code, "{line}");
            assert!(
                refusal.message.contains(reason),
                "{line}: {}",
                refusal.message
            );
        }
    }

    #[test]
    fn deep_nesting_and_long_words_are_only_errors() {
        assert_eq!(
            parse(&"[".repeat(100_000)).unwrap_err().code,
            "invalid_json"
        );
        let refusal = parse(&json!({"cmd": "x".repeat(100_000)}).to_string()).unwrap_err();
        assert!(refusal.message.len() < 200, "{}", refusal.message.len());
    }
}
