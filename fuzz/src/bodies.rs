//! Bodies of requests, answers and room messages. What is read can be written, and is read again as the same.

use std::fmt::Debug;

use futures::{FutureExt as _, io::Cursor};
use libp2p::{StreamProtocol, request_response::Codec as _};
use moim_protocol::{
    alike, ice_wire,
    limits::{
        BODY_BYTES_MAX, ICE_SERVERS_MAX, ICE_SERVERS_USED, REASON_BYTES_MAX, ROOM_BYTES_MAX,
        STREAM_HEADER_BYTES_MAX,
    },
    message,
    names::MESSAGE_PROTOCOL,
    presence_wire,
    room::{self, RoomMessage},
    stream_wire,
    text::{Name, Text},
    topic::{Topic, TopicHash},
    wire::WireError,
};

use crate::given::{WALL, peer};

/// Reads, writes, and reads again. Returns what was read.
fn there_and_back<T: PartialEq + Debug>(
    bytes: &[u8],
    max: usize,
    decode: impl Fn(&[u8]) -> Result<T, WireError>,
    encode: impl Fn(&T) -> Vec<u8>,
) -> Option<T> {
    let read = decode(bytes).ok()?;
    assert!(bytes.len() <= max);
    let written = encode(&read);
    let again = decode(&written).expect("what is written can be read");
    assert_eq!(again, read);
    assert_eq!(encode(&again), written);
    Some(read)
}

/// `/moim/presence/1.0.0`.
pub fn presence(data: &[u8]) {
    use presence_wire::{Request, Response};
    if let Some(request) = there_and_back(data, BODY_BYTES_MAX, Request::decode, Request::encode) {
        let _ = (request.topic(), request.check_sender(&peer(1)));
    }
    match Response::decode(data) {
        Ok(Response::Members { members, next }) => {
            // Those that do not hold are left out; nobody's age is more than a number can say.
            let again = Response::Members { members, next };
            let written = Response::decode(&again.encode()).expect("as it was written");
            assert_eq!(written, again);
            let Response::Members { members, .. } = again else {
                return;
            };
            let known = |envelope: &[u8]| members.iter().any(|(one, _)| one.as_bytes() == envelope);
            match Response::decode_new(data, known) {
                Ok(Response::Members { members, .. }) => assert_eq!(members, []),
                other => panic!("{other:?}"),
            }
        }
        Ok(Response::Error { reason, code }) => {
            assert!(Response::error(code, &reason).encode().len() <= BODY_BYTES_MAX);
        }
        Ok(Response::Accepted) => {}
        Err(error) => {
            // Whatever is wrong with it, it can be answered.
            let answer = Response::from(&error).encode();
            assert!(
                matches!(Response::decode(&answer), Ok(Response::Error { reason, .. }) if reason.len() <= REASON_BYTES_MAX)
            );
        }
    }
}

/// `/moim/message/1.0.0`, as it comes by a stream.
pub fn message(data: &[u8]) {
    use message::{Request, Response};
    let data = &received(data);
    there_and_back(data, BODY_BYTES_MAX, Request::decode, Request::encode);
    if let Err(error) = Request::decode(data) {
        let answer = Response::from(&error).encode();
        assert!(
            matches!(Response::decode(&answer), Ok(Response::Error { reason, .. }) if reason.len() <= REASON_BYTES_MAX)
        );
    }
    there_and_back(data, BODY_BYTES_MAX, Response::decode, Response::encode);
}

/// What the codec of all these protocols reads of a stream: everything, or one byte more than a body may have.
fn received(data: &[u8]) -> Vec<u8> {
    let protocol = StreamProtocol::new(MESSAGE_PROTOCOL);
    let mut stream = Cursor::new(data);
    let read = moim_rpc::Codec
        .read_request(&protocol, &mut stream)
        .now_or_never();
    let read = read.expect("nothing is waited for").expect("nothing fails");
    assert_eq!(read, data[..data.len().min(BODY_BYTES_MAX + 1)]);
    read
}

/// `/moim/ice-servers/1.0.0`.
pub fn ice(data: &[u8]) {
    use ice_wire::{Request, Response};
    there_and_back(data, BODY_BYTES_MAX, Request::decode, |one| one.encode());
    let answer = there_and_back(data, BODY_BYTES_MAX, Response::decode, Response::encode);
    if let Some(Response::Servers { servers, .. }) = answer {
        assert!(servers.len() <= ICE_SERVERS_MAX);
        for reached in ["192.0.2.1", "localhost", "moim.example"] {
            assert!(ice_wire::choose(servers.clone(), reached).len() <= ICE_SERVERS_USED);
        }
    }
}

/// `/moim/stream/1.0.0`: what comes on a stream, and each of its headers.
pub fn stream(data: &[u8]) {
    use stream_wire::{Request, Response};
    let header = moim_peer::fuzzing::stream(data);
    for data in header.as_deref().into_iter().chain([data]) {
        let max = STREAM_HEADER_BYTES_MAX;
        there_and_back(data, max, Request::decode, Request::encode);
        there_and_back(data, max, Response::decode, Response::encode);
        if let Err(error) = Request::decode(data) {
            let answer = Response::from(&error).encode();
            assert!(answer.len() <= max);
            assert!(Response::decode(&answer).is_ok());
        }
    }
}

/// What is said in a room, and the topics it is said in.
pub fn room(data: &[u8]) {
    let read = there_and_back(
        data,
        ROOM_BYTES_MAX,
        RoomMessage::decode,
        RoomMessage::encode,
    );
    if let Some(RoomMessage::Text(text)) = &read {
        let _ = text.is_young();
    }
    let _ = read.map(|message| message.check_time(WALL));
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Some(hash) = TopicHash::from_gossip_topic(text) {
        assert_eq!(hash.gossip_topic(), text);
    }
    if let Ok(topic) = Topic::new(text) {
        let again = Topic::new(topic.as_str()).expect("a topic is one");
        assert_eq!(again.hash(), topic.hash());
    }
    if let Ok(name) = Name::new(text) {
        assert_eq!(Name::received(name.as_str()), Ok(name));
    }
    if let Ok(said) = Text::new(text) {
        assert_eq!(Text::received(said.as_str()), Ok(said));
    }
    let skeleton = alike::skeleton(text);
    assert_eq!(alike::skeleton(&skeleton), skeleton);
    let one = room::gossip_message_id(text, Some(&peer(1)), data);
    let other = room::gossip_message_id(text, Some(&peer(2)), data);
    let proves_itself = data.starts_with(br#"{"v":1,"type":"presence","#);
    assert_eq!(one == other, proves_itself);
}
