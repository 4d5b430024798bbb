//! JSON bodies: read strictly where it matters, leniently where later versions may grow.
//!
//! Unknown fields are ignored; a body must be an object, a field may occur only once, integers must
//! be exact in JavaScript too.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::value::RawValue;

use crate::wire::body::{BodyError, VERSION};

/// A `T` that is written as a JSON object. Serde's derived structs would take an array too.
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

/// A list whose entries are read one by one, so that a bad one does not spoil the others.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct List<'a>(#[serde(borrow)] Vec<&'a RawValue>);

impl<'a> List<'a> {
    /// How many entries there are, bad ones included.
    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    /// The entries that are objects of this kind.
    pub(crate) fn entries<T: Deserialize<'a>>(self) -> impl Iterator<Item = T> {
        self.values().map(|Object(entry)| entry)
    }

    /// The entries that are values of this kind.
    pub(crate) fn values<T: Deserialize<'a>>(self) -> impl Iterator<Item = T> {
        let entries = self.0.into_iter();
        entries.filter_map(|entry| serde_json::from_str(entry.get()).ok())
    }
}

/// What every body starts with.
#[derive(Deserialize)]
struct Head<'a> {
    v: serde_json::Number,
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
}

/// Reads version and type of a body of at most `max` bytes; returns the type.
pub(crate) fn head(bytes: &[u8], max: usize) -> Result<Cow<'_, str>, BodyError> {
    if bytes.len() > max {
        return Err(BodyError::TooLarge {
            bytes: bytes.len(),
            max,
        });
    }
    let Head { v, kind } = fields(bytes)?;
    if v.as_u64() != Some(VERSION) {
        return Err(BodyError::UnsupportedVersion(v.to_string()));
    }
    Ok(kind)
}

/// Reads the fields of a body whose [`head`] has been read.
pub(crate) fn fields<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, BodyError> {
    // Serde would not look at the text of fields that it ignores.
    let text = std::str::from_utf8(bytes).map_err(BodyError::NotUtf8)?;
    serde_json::from_str::<Object<T>>(text)
        .map(|Object(fields)| fields)
        .map_err(classify)
}

fn classify(error: serde_json::Error) -> BodyError {
    if error.is_data() {
        BodyError::Invalid(error)
    } else {
        BodyError::InvalidJson(error)
    }
}

/// A body to be written: version and type, then the fields.
#[derive(Serialize)]
struct Body<'a, T> {
    v: u64,
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(flatten)]
    fields: T,
}

/// Writes a body as compact JSON, `v` and `type` first.
pub(crate) fn encode(kind: &str, fields: impl Serialize) -> Vec<u8> {
    // Our bodies are structs of strings, numbers and `serde_json::Value`: none of them can fail,
    // and writing to memory does not either.
    serde_json::to_vec(&Body {
        v: VERSION,
        kind,
        fields,
    })
    .unwrap_or_default()
}

/// How many bytes something takes in a body.
pub(crate) fn len(value: &impl Serialize) -> usize {
    // See `encode`.
    serde_json::to_vec(value).unwrap_or_default().len()
}

/// Integers of at most [`INTEGER_MAX`](crate::limits::INTEGER_MAX).
pub(crate) mod integer {
    use serde::{Deserialize, Deserializer, de::Error};

    use crate::limits::INTEGER_MAX;

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let integer = u64::deserialize(deserializer)?;
        check(integer)
    }

    /// The same for a field that may be absent.
    pub(crate) fn optional<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<u64>, D::Error> {
        Option::<u64>::deserialize(deserializer)?
            .map(check)
            .transpose()
    }

    fn check<E: Error>(integer: u64) -> Result<u64, E> {
        if integer > INTEGER_MAX {
            return Err(E::custom(format_args!("{integer} is more than 2^53 - 1")));
        }
        Ok(integer)
    }
}

/// Peer ids as base 58 text.
pub(crate) mod peer {
    use libp2p_identity::PeerId;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::limits::PEER_TEXT_BYTES_MAX;

    pub(crate) fn serialize<S: Serializer>(
        peer: &PeerId,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(peer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<PeerId, D::Error> {
        parse(&String::deserialize(deserializer)?)
    }

    pub(crate) fn parse<E: Error>(text: &str) -> Result<PeerId, E> {
        if text.len() > PEER_TEXT_BYTES_MAX {
            return Err(E::custom("peer id is too long"));
        }
        text.parse()
            .map_err(|error| E::custom(format_args!("peer id: {error}")))
    }

    /// The same for a field that may be absent.
    pub(crate) mod optional {
        use super::*;

        pub(crate) fn serialize<S: Serializer>(
            peer: &Option<PeerId>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            match peer {
                Some(peer) => serializer.collect_str(peer),
                None => serializer.serialize_none(),
            }
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<PeerId>, D::Error> {
            Option::<String>::deserialize(deserializer)?
                .map(|text| parse(&text))
                .transpose()
        }
    }
}

/// Bytes as base64url without padding.
pub(crate) mod base64 {
    use data_encoding::BASE64URL_NOPAD;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// How many characters `bytes` bytes take.
    pub(crate) fn text_len(bytes: usize) -> usize {
        BASE64URL_NOPAD.encode_len(bytes)
    }

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64URL_NOPAD.encode(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        parse(&String::deserialize(deserializer)?)
    }

    fn parse<E: Error>(text: &str) -> Result<Vec<u8>, E> {
        BASE64URL_NOPAD
            .decode(text.as_bytes())
            .map_err(|error| E::custom(format_args!("base64url without padding: {error}")))
    }

    /// The same for a field that may be absent.
    pub(crate) mod optional {
        use super::*;

        pub(crate) fn serialize<B: AsRef<[u8]>, S: Serializer>(
            bytes: &Option<B>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            match bytes {
                Some(bytes) => super::serialize(bytes.as_ref(), serializer),
                None => serializer.serialize_none(),
            }
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<Vec<u8>>, D::Error> {
            Option::<String>::deserialize(deserializer)?
                .map(|text| parse(&text))
                .transpose()
        }
    }
}

#[cfg(test)]
mod tests;
