//! Values as people and programs write them: what would not come back as it was written is refused.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};
use thiserror::Error;

/// Why a text is not taken for a value.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TypedError {
    /// It begins like JSON.
    #[error("it begins like JSON, but {0}; to put it as text, write it in double quotes")]
    Json(serde_json::Error),
    /// It has more digits than an integer may have, or is closer to 0 than any number that programs know.
    #[error("{0} would come back as another number: put it as text")]
    Number(String),
}

/// Reads JSON in which no field occurs twice and no number becomes another one.
///
/// # Errors
/// What is wrong with it, and where.
pub fn from_json(text: &str) -> Result<Value, TypedError> {
    let Exact(value) = serde_json::from_str(text).map_err(TypedError::Json)?;
    match changing(text) {
        Some(number) => Err(TypedError::Number(number.to_owned())),
        None => Ok(value),
    }
}

/// Reads what somebody has typed: JSON, or else the text itself. What begins like JSON has to be JSON, because it
/// was hardly meant as text.
///
/// # Errors
/// As [`from_json`].
pub fn from_typed(text: &str) -> Result<Value, TypedError> {
    match from_json(text) {
        Err(TypedError::Json(error)) if !looks_like_json(text, &error) => {
            Ok(Value::String(text.to_owned()))
        }
        outcome => outcome,
    }
}

fn looks_like_json(text: &str, error: &serde_json::Error) -> bool {
    let text = text.trim();
    let is_too_large = || {
        let begins = text
            .trim_start_matches('-')
            .starts_with(|c: char| c.is_ascii_digit());
        begins && text.parse().is_ok_and(f64::is_infinite)
    };
    text.starts_with(['{', '[', '"']) || error.is_data() || is_too_large()
}

/// The first number in JSON that is read as another one for sure: an integer of more than 64 bits, or what is not 0 and
/// would be.
fn changing(json: &str) -> Option<&str> {
    let mut parts = json.split('"');
    let mut is_text = false;
    let mut in_escape = false;
    parts.find_map(|part| {
        let outside = if is_text { None } else { Some(part) };
        // An odd number of backslashes before the quote: the text goes on.
        let backslashes = part.bytes().rev().take_while(|byte| *byte == b'\\').count();
        in_escape = is_text && backslashes % 2 == 1;
        is_text = in_escape || !is_text;
        let is_of_number = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 'e' | 'E');
        outside?.split(|c| !is_of_number(c)).find(|token| {
            let mantissa = token.split(['e', 'E']).next().unwrap_or_default();
            let is_zero = !mantissa.contains(|c: char| ('1'..='9').contains(&c));
            let is_integer = token.bytes().skip(1).all(|byte| byte.is_ascii_digit());
            let fits = || token.parse::<i64>().is_ok() || token.parse::<u64>().is_ok();
            !is_zero && (is_integer && !fits() || token.parse() == Ok(0.0_f64))
        })
    })
}

/// A value that was read without a field twice.
struct Exact(Value);

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ExactVisitor).map(Self)
    }
}

struct ExactVisitor;

impl<'de> Visitor<'de> for ExactVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Exact(value)) = list.next_element()? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some((key, Exact(value))) = object.next_entry::<String, _>()? {
            if fields.contains_key(&key) {
                return Err(de::Error::custom(format_args!(
                    "the field {key:?} is there twice"
                )));
            }
            fields.insert(key, value);
        }
        Ok(fields.into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_typed_is_json_or_else_text() {
        for (typed, value) in [
            (
                r#"{"a":[1,-2.5,null,true,"x"]}"#,
                json!({"a": [1, -2.5, null, true, "x"]}),
            ),
            ("-5", json!(-5)),
            (" 0 ", json!(0)),
            ("0e-999", json!(0.0)),
            (r#""1e-999 \" 1e-999""#, json!("1e-999 \" 1e-999")),
            ("null", json!(null)),
            ("hello there", json!("hello there")),
            ("12 apples", json!("12 apples")),
            ("-", json!("-")),
            ("-inf", json!("-inf")),
            ("1.2.3", json!("1.2.3")),
            ("007", json!("007")),
            ("", json!("")),
        ] {
            assert_eq!(from_typed(typed).expect(typed), value, "{typed}");
        }
    }

    #[test]
    fn what_would_come_back_otherwise_is_refused_and_says_why() {
        for (typed, why) in [
            (r#"{"a":1,"a":2}"#, "the field \"a\" is there twice"),
            (r#"[{"b":{"a":1,"a":1}}]"#, "twice"),
            (r#"{"a":1e999}"#, "number out of range"),
            ("1e999", "number out of range"),
            (r#"{"a":1"#, "EOF"),
            ("[draft", "double quotes"),
            (r#""a" b"#, "trailing"),
            ("1e-400", "1e-400 would come back as another number"),
            ("123456789012345678901", "123456789012345678901 would"),
            (r#"{"\"1":[0, -0.0001e-400]}"#, "-0.0001e-400"),
        ] {
            let error = from_typed(typed).expect_err(typed).to_string();
            assert!(error.contains(why), "{typed}: {error}");
        }
    }
}
