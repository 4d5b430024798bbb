//! What a person types.

use serde_json::Value;

/// What `/help` shows.
pub(super) const HELP: &str = "\
What you type is said in the room. Besides:
  /members            who is here, and how each is reached
  /to PEER TEXT       a direct message; PEER is a name (\"in quotes\" if it has spaces), the start
                      or end of a peer id, or a whole peer id
  /put KEY VALUE      keep a value (JSON, or else text) in the DHT for a day
  /get KEY            look a value up
  /connections        the network: its state, bootstrap nodes, addresses, connections
  /leave              leave and end; so do Ctrl-D and Ctrl-C
  //TEXT              say something that starts with a slash";

/// A line, understood.
#[derive(Debug, PartialEq)]
pub(super) enum Command {
    Connections,
    Get {
        key: String,
    },
    Help,
    Leave,
    Members,
    /// An empty line.
    Nothing,
    Put {
        key: String,
        value: Value,
    },
    Say {
        text: String,
    },
    To {
        reference: String,
        text: String,
    },
}

/// Reads one line. The error is a hint for the person.
pub(super) fn parse(line: &str) -> Result<Command, String> {
    let line = line.trim();
    if line.is_empty() {
        return Ok(Command::Nothing);
    }
    let Some(command) = line.strip_prefix('/') else {
        return Ok(Command::Say {
            text: line.to_owned(),
        });
    };
    if command.starts_with('/') {
        return Ok(Command::Say {
            text: command.to_owned(),
        });
    }
    let (word, rest) = split(command);
    let alone = |command| {
        if rest.is_empty() {
            Ok(command)
        } else {
            Err(format!(
                "/{word} stands alone; //{word} … says it in the room"
            ))
        }
    };
    match word {
        "connections" => alone(Command::Connections),
        "get" => match argument(rest)? {
            (key, "") if !key.is_empty() => Ok(Command::Get { key }),
            _ if rest.is_empty() => Err("/get KEY looks a value up".to_owned()),
            _ => Err("/get takes one key; one with spaces goes \"in quotes\"".to_owned()),
        },
        "help" => alone(Command::Help),
        "leave" | "quit" | "exit" => alone(Command::Leave),
        "members" => alone(Command::Members),
        "put" => match argument(rest)? {
            (key, text) if !key.is_empty() && !text.is_empty() => match moim_peer::from_typed(text)
            {
                Ok(value) => Ok(Command::Put { key, value }),
                Err(error) => Err(format!("this is no value: {error}")),
            },
            _ => Err("/put KEY VALUE keeps a value, for example /put lunch \"12:30\"".to_owned()),
        },
        "to" => match argument(rest)? {
            (reference, text) if !reference.is_empty() && !text.is_empty() => Ok(Command::To {
                reference,
                text: text.to_owned(),
            }),
            _ => Err("/to PEER TEXT sends a direct message; /members lists the peers".to_owned()),
        },
        _ => Err(format!(
            "there is no command /{word}; /help lists them, //{word} says it in the room"
        )),
    }
}

/// The first word, and the rest without the white space between.
fn split(text: &str) -> (&str, &str) {
    text.split_once(char::is_whitespace)
        .map_or((text, ""), |(word, rest)| (word, rest.trim_start()))
}

/// The first argument, which may be in double quotes, and the rest.
fn argument(text: &str) -> Result<(String, &str), String> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (word, rest) = split(text);
        return Ok((word.to_owned(), rest));
    };
    match quoted.split_once('"') {
        Some((argument, rest)) => Ok((argument.to_owned(), rest.trim_start())),
        None => Err("the closing \" is missing".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lines_are_understood() {
        let say = |text: &str| Command::Say {
            text: text.to_owned(),
        };
        let to = |reference: &str, text: &str| Command::To {
            reference: reference.to_owned(),
            text: text.to_owned(),
        };
        let put = |key: &str, value| Command::Put {
            key: key.to_owned(),
            value,
        };
        for (line, command) in [
            ("", Command::Nothing),
            ("   ", Command::Nothing),
            (" hello there ", say("hello there")),
            ("//help me", say("/help me")),
            ("/members", Command::Members),
            ("/members ", Command::Members),
            ("/connections", Command::Connections),
            ("/help", Command::Help),
            ("/leave", Command::Leave),
            ("/quit", Command::Leave),
            ("/to Ada  hi there", to("Ada", "hi there")),
            ("/to \"Ada L\" hi \"you\"", to("Ada L", "hi \"you\"")),
            (
                "/get k",
                Command::Get {
                    key: "k".to_owned(),
                },
            ),
            (
                "/get \"a b\"",
                Command::Get {
                    key: "a b".to_owned(),
                },
            ),
            ("/put k {\"a\": 1}", put("k", json!({"a": 1}))),
            ("/put k some text", put("k", json!("some text"))),
            ("/put \"a b\" 7", put("a b", json!(7))),
        ] {
            assert_eq!(parse(line), Ok(command), "{line}");
        }
    }

    #[test]
    fn hints_say_what_would_be_right() {
        for (line, hint) in [
            ("/", "no command /;"),
            ("/dance now", "no command /dance; /help"),
            ("/to", "/to PEER TEXT"),
            ("/to Ada", "/to PEER TEXT"),
            ("/to \"Ada hi", "closing \""),
            ("/put k", "/put KEY VALUE"),
            ("/get", "/get KEY"),
            ("/get a b", "one key"),
            ("/leave now", "stands alone"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(hint), "{line}: {error}");
        }
    }
}
