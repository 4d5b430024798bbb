//! A Moim room as one pure state machine: joining, finding the others, talking, leaving. A [`Room`] is told what
//! happens and says what to do; it does no IO, reads no clock, draws nothing at random and waits for nothing. So
//! everything that is decided about a room can be tried by table, by property, and many rooms at a time.
//!
//! # How it is used
//!
//! The caller owns the network. It hands in each [`Input`] with [`Room::handle`], takes every [`Output`] from
//! [`Room::poll_output`] until there is none, and calls [`Room::handle_timeout`] at the time that
//! [`Room::poll_timeout`] names. All three are plain functions; the time is an argument ([`Now`]).
//! Who is in a topic can be found out without joining it: a [`Lookup`] is driven in the same way.
//!
//! The caller decides three things that the room relies on:
//!
//! - how a member is reached, and whether it may be ([`Input::Reachable`]);
//! - how much a peer may ask in all rooms together. It asks its own shares before it hands in [`Input::Asked`] or
//!   [`Input::AskedMissed`];
//! - when a member is lost ([`Input::Lost`]), because that takes connections and dials.
//!
//! # What comes in
//!
//! | from | inputs |
//! |---|---|
//! | the user | [`Say`](Input::Say), [`Leave`](Input::Leave) |
//! | this device | [`AddressesChanged`](Input::AddressesChanged), [`AnnounceNow`](Input::AnnounceNow), [`NetworkChanged`](Input::NetworkChanged), [`LookupAgain`](Input::LookupAgain), [`Restarted`](Input::Restarted) |
//! | the DHT | [`Dht`](Input::Dht), [`Providers`](Input::Providers), [`Announced`](Input::Announced), [`LeftHandedOver`](Input::LeftHandedOver) |
//! | connections | [`Connected`](Input::Connected), [`ConnectionClosed`](Input::ConnectionClosed), [`Disconnected`](Input::Disconnected), [`Reachable`](Input::Reachable), [`Lost`](Input::Lost), [`HeardFrom`](Input::HeardFrom) |
//! | gossip | [`Listens`](Input::Listens), [`ListensNoMore`](Input::ListensNoMore), [`Gossip`](Input::Gossip) |
//! | requests | [`Asked`](Input::Asked), [`AskedMissed`](Input::AskedMissed), [`Answered`](Input::Answered), [`Failed`](Input::Failed) |
//!
//! # What comes out
//!
//! | for | outputs |
//! |---|---|
//! | the user | [`Said`](Output::Said), [`NotSaid`](Output::NotSaid), [`Event`](Output::Event), [`Left`](Output::Left), [`Found`](Output::Found), [`NoAnswer`](Output::NoAnswer) |
//! | requests | [`Ask`](Output::Ask), [`Answer`](Output::Answer) |
//! | gossip | [`Publish`](Output::Publish), [`Verdict`](Output::Verdict), [`Deafen`](Output::Deafen) |
//! | the DHT | [`PutPresence`](Output::PutPresence), [`FindProviders`](Output::FindProviders), [`LookupHasEnough`](Output::LookupHasEnough) |
//! | dialling | [`MembersChanged`](Output::MembersChanged) (then [`Room::wanted`]), [`Met`](Output::Met), [`Stranger`](Output::Stranger), [`Forget`](Output::Forget), [`HasList`](Output::HasList) |
//! | doubts | [`Doubt`](Output::Doubt), [`HeardOf`](Output::HeardOf), [`Spoke`](Output::Spoke), [`ClockDisagrees`](Output::ClockDisagrees), [`ClockAgrees`](Output::ClockAgrees) |
//!
//! # Two rooms that find each other
//!
//! A network in memory: the DHT names Ada to Grace, Grace connects to her, and each answers what the other asks.
//!
//! ```
//! use std::collections::{HashMap, VecDeque};
//!
//! use libp2p_identity::{Keypair, PeerId};
//! use moim_protocol::{
//!     UnixMillis, limits::PRESENCE_TTL, presence_wire, text::Name, topic::Topic,
//! };
//! use moim_room::{AskId, Config, Event, Input, Now, Output, Protocol, RequestId, Room};
//! use web_time::Instant;
//!
//! /// Requests under way: what the answer to each is for.
//! type Asked = HashMap<AskId, RequestId>;
//!
//! /// Does what one of two rooms wants done. What is meant for the other room is an input of that one.
//! fn drain(room: &mut Room, me: PeerId, asked: &mut Asked) -> Vec<Input> {
//!     let mut inputs = Vec::new();
//!     while let Some(output) = room.poll_output() {
//!         match output {
//!             Output::Ask { request, protocol: Protocol::Presence, body, .. } => {
//!                 let ask = AskId(asked.len() as u64);
//!                 asked.insert(ask, request);
//!                 let request = presence_wire::Request::decode(&body).expect("a room asks well");
//!                 inputs.push(Input::Asked { ask, from: me, request });
//!             }
//!             Output::Answer { ask, response } => {
//!                 let (request, body) = (asked[&ask], response.encode());
//!                 inputs.push(Input::Answered { request, body });
//!             }
//!             Output::Event(Event::Joined(member)) => println!("{} is here", member.name),
//!             _ => {}
//!         }
//!     }
//!     inputs
//! }
//!
//! let now = Now { instant: Instant::now(), wall: UnixMillis(1_800_000_000_000) };
//! let join = |name: &str, keypair: Keypair| -> Result<Room, Box<dyn std::error::Error>> {
//!     let config = Config {
//!         keypair,
//!         topic: Topic::new("global-chat")?,
//!         name: Name::new(name)?,
//!         addresses: vec!["/ip4/192.0.2.7/tcp/8468".parse()?],
//!         presence_lifetime: PRESENCE_TTL,
//!         gossip: true,
//!         in_dht: true,
//!         connected: Vec::new(),
//!         listeners: Vec::new(),
//!         after: 0,
//!         seed: 7,
//!     };
//!     let mut room = Room::join(config, now);
//!     // There is something to do at once: say that we are here, and look for others.
//!     assert_eq!(room.poll_timeout(), Some(now.instant));
//!     room.handle_timeout(now);
//!     assert!(std::iter::from_fn(|| room.poll_output()).any(|output| output == Output::FindProviders));
//!     Ok(room)
//! };
//! let keypairs = [Keypair::generate_ed25519(), Keypair::generate_ed25519()];
//! let [ada, grace] = [0, 1].map(|n: usize| keypairs[n].public().to_peer_id());
//! let mut rooms = [join("Ada", keypairs[0].clone())?, join("Grace", keypairs[1].clone())?];
//!
//! // The DHT names Ada to Grace, who connects to her.
//! let providers = vec![(ada, Vec::new())];
//! rooms[1].handle(Input::Providers { providers, is_answer: true }, now);
//! rooms[1].handle_timeout(now);
//! let mut on_its_way: VecDeque<(usize, Input)> =
//!     VecDeque::from([(0, Input::Connected(grace)), (1, Input::Connected(ada))]);
//! let mut asked = Asked::new();
//! while let Some((to, input)) = on_its_way.pop_front() {
//!     rooms[to].handle(input, now);
//!     let other = 1 - to;
//!     let inputs = drain(&mut rooms[to], [ada, grace][to], &mut asked);
//!     on_its_way.extend(inputs.into_iter().map(|input| (other, input)));
//! }
//! assert!(rooms[0].contains(&grace) && rooms[1].contains(&ada));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]
// Remotes choose the numbers and lengths that arrive here.
#![cfg_attr(
    not(test),
    warn(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unreachable,
    )
)]

mod announcing;
mod around;
mod asking;
mod authors;
mod away;
mod catching_up;
mod config;
mod conversation;
mod doubts;
mod hearing;
mod input;
mod leaving;
mod links;
mod lookup;
mod meeting;
mod members;
mod neighbourhood;
mod now;
mod output;
mod room;
mod saying;
mod search;
mod talk;
mod telling;
#[cfg(test)]
mod testing;
mod walk;

pub use self::{
    config::Config,
    input::{AskId, Failure, GossipId, Input, RequestId},
    lookup::{Lookup, LookupConfig},
    now::Now,
    output::{
        Acceptance, Event, LeaveReason, Member, Message, NotSaid, Output, Protocol, Response,
        text_bytes,
    },
    room::Room,
    search::PAGE_BYTES_MAX,
};
