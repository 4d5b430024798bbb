//! English.

use moim_peer::{
    DocumentFault, ErrorCode, Failure, NoDirectWay, Unreached,
    identity::StorageFault,
    limits::{NAME_BYTES_MAX, TEXT_BYTES_MAX, TOPIC_BYTES_MAX},
};

use super::Messages;

pub(super) static MESSAGES: Messages = Messages {
    skip_to_talk: "Skip to the conversation",
    views: "Views",
    view_people: "People",
    view_room: "Room",
    view_direct: "Direct",
    view_connection: "Connection",
    open_connection: "Show the connection",
    close: "Close",
    unread: |count| format!("{count} unread"),
    copy_refused: |text| {
        format!("The browser does not allow copying here. Copy it by hand: {text}")
    },
    dismiss: "Dismiss",

    status: "Network",
    connecting: "Connecting",
    connected: "Connected",
    reconnecting: "Reconnecting",
    offline: "Offline",
    failed: "Not connected",
    reconnecting_help: "The way into the network was lost. Moim tries again by itself, and \
        conversations over connections that are still open go on.",
    offline_help: "This device says it has no network. Moim goes on as soon as it is back.",
    failed_help: "Moim cannot get into the network, and goes on trying. Check that the \
        bootstrap node is running and that its address is right (Connection, Settings).",
    try_again: "Try again now",
    reason: "Reason:",
    not_started: "The peer could not be started. Reload the page to try again.",
    no_answer_yet: "No bootstrap node has answered yet.",
    no_node: "No bootstrap node is set.",
    no_server: "No DHT server is connected.",
    restarting: "The part that talks to the network has broken down and is starting again.",
    connection_lost: "The connection was lost.",
    closed_at_once: "The node closed the connection at once.",
    unreached: |why| match why {
        Unreached::NoAddress => "This page knows no address that it can dial.",
        Unreached::Forbidden => "This page must not dial that address.",
        Unreached::Busy => "This page is dialling that host too many times at once.",
        Unreached::TooMany => "Too many connections are open.",
        Unreached::NoRoute => "This device's network does not lead there.",
        Unreached::Silent => "Nobody answers there, or the connection was dropped.",
        Unreached::NoAnswer => "No answer in time.",
        Unreached::NoHost => "There is no such host name.",
        Unreached::Broken => "The connection broke while it was being made.",
        Unreached::Relay => "The relay does not reach the other side either.",
        Unreached::Refused => "Nothing takes connections at that address.",
        Unreached::Certificate => {
            "The other side does not have the certificate that the address names, or gave up."
        }
        Unreached::OtherPeer => "Another peer answers at that address.",
        _ => "No connection could be made.",
    },
    document: |fault| {
        match fault {
        DocumentFault::Status(status) => {
            format!("The bootstrap.json could not be fetched: the server answered {status}.")
        }
        DocumentFault::NoAddress => {
            "The bootstrap.json names no address that this page can dial.".to_owned()
        }
        DocumentFault::Redirect => {
            "The bootstrap.json is elsewhere. Give the URL to which this one redirects.".to_owned()
        }
        DocumentFault::Json | DocumentFault::PeerId | DocumentFault::TooLarge => {
            "What came is not a valid bootstrap.json.".to_owned()
        }
        _ => "The bootstrap.json could not be fetched: nobody answers there, or the browser does not allow it."
            .to_owned(),
    }
    },
    stopped: "The peer has stopped. Reload the page to start it again.",
    reload: "Reload",

    join_heading: "Join a topic",
    join_intro: "Everybody who joins the same topic meets in one room. There is no server in \
        the middle and no account: this tab is a peer of its own.",
    name: "Your name",
    name_hint: "How the others see you",
    topic: "Topic",
    topic_hint: "For example global-chat. Upper and lower case differ.",
    join: "Join",
    join_while_connecting: "You can join already; the others appear once the network is reached.",

    people: "Rooms and members",
    rooms: "Rooms",
    join_another: "Join a topic",
    members: "Members",
    you: "You",
    not_in_room: "Not in this room",
    looks_like: |name| format!("This name looks like that of {name}. Go by the ids."),
    looks_like_you: "This name looks like yours. Go by the ids.",
    nobody_yet: "Nobody else is here yet. Share the link, and they come to this room.",
    others_here: |count| match count {
        0 => "Nobody else here yet".to_owned(),
        1 => "1 other here".to_owned(),
        _ => format!("{count} others here"),
    },
    directs: "Direct conversations",
    write_to: "Write directly to",
    reach_direct: "Direct",
    reach_turn: "By TURN",
    reach_relayed: "Relayed",
    reach_connecting: "Connecting",
    reach_unconnected: "Not connected",
    reach_away: "Not in a room with you",
    reach_direct_help: "Connected straight to this member",
    reach_turn_help: "There is no direct way between the two networks: connected through a TURN server, encrypted \
        end to end",
    reach_relayed_help: "Connected through a relay, encrypted end to end",
    reach_connecting_help: "A connection to this member is being made",
    reach_unconnected_help: "No connection of your own: room messages come through other \
        members, and a direct message connects first",
    reach_away_help: "This peer is in none of the rooms you have joined",

    share: "Copy link",
    link_copied: "The link to this room is copied",
    leave: "Leave",
    room_log: |topic| format!("Messages in {topic}"),
    room_input: |topic| format!("Message to {topic}"),
    room_empty: "Nothing has been said yet",
    room_empty_help: "What is said here reaches everybody in the room, and only those who are \
        here now.",
    room_unreached: "You are connected to nobody in this room right now. What you say may reach \
        nobody.",
    send: "Send",
    write_here: "Write a message",
    input_help: "Enter sends, Shift+Enter starts a new line",
    here: |names, more| {
        let are = if names.len() + more == 1 { "is" } else { "are" };
        format!("{} {are} here", list(names, more))
    },
    left: |names, more| format!("{} left", list(names, more)),
    gone: |names, more| format!("{} lost connection", list(names, more)),
    newest: "Go to the newest message",
    unread_from_here: "New messages",
    show_all: "Show all of it",
    show_less: "Show less",
    heard_by_nobody: "Nobody was connected to hear this.",
    message_from: |name| format!("{name} wrote in the room"),

    direct_heading: |name| format!("Direct conversation with {name}"),
    direct_input: |name| format!("Direct message to {name}"),
    direct_empty: "Only the two of you can read what is written here.",
    sending: "Sending",
    delivered: "Delivered",
    delivered_direct: "Delivered, direct",
    delivered_turn: "Delivered, by TURN",
    delivered_relayed: "Delivered, relayed",
    not_delivered: "Not delivered",
    send_again: "Send again",
    direct_from: |name| format!("New direct message from {name}"),

    own_id: "Your peer id",
    own_id_pending: "being prepared",
    copy_id: "Copy your peer id",
    id_copied: "Your peer id is copied",
    identity_kept: "Kept in this browser: a reload does not change it.",
    identity_session: "For this session only: a reload makes you somebody new.",
    bootstrap_nodes: "Bootstrap nodes",
    bootstrap_none: "None is set.",
    bootstrap_connected: "Connected",
    bootstrap_connecting: "Connecting",
    bootstrap_failed: "Not reached",
    clock_ahead: |by| format!("This device's clock is {by} ahead of the bootstrap node's."),
    clock_behind: |by| format!("This device's clock is {by} behind the bootstrap node's."),
    clock_unknown: "Others refuse what is dated by this device's clock.",
    clock_help: "Let the device set its clock by itself. While it is more than ten minutes off, newcomers do not find \
        you, and only those who are connected to you directly see you and hear what you say in rooms. If the clock is \
        right, tell the node's operator.",
    minutes: |count| format!("{count} minutes"),
    hours: |count| format!("{count} hours"),
    days: |count| format!("{count} days"),
    bootstrap_turned_away: "Does not let this page in",
    turned_away_help: "The bootstrap node does not let this page in. Moim goes on trying, less and \
        less often.",
    turned_away_full: "The node is full. Try another node, or try again later.",
    turned_away_blocked: "The node's operator does not let this identity or network in. Ask the \
        operator, or use another node.",
    turned_away_identity: "Another program or tab uses this identity, and the node takes no more of \
        its connections. Close it.",
    turned_away_address: "The node takes no more connections from this network. Try another \
        node, or try again later.",
    turned_away_other: "The node did not give a reason that this page knows.",
    dht: "DHT",
    dht_outside: "Not in it",
    dht_inside: |count| match count {
        1 => "In it, connected to 1 server".to_owned(),
        _ => format!("In it, connected to {count} servers"),
    },
    addresses: "Your addresses",
    addresses_help: "Where others reach this tab, through a relay.",
    no_addresses: "None yet: a tab can be reached once a relay has a place for it.",
    connections: |count| match count {
        0 => "Connections".to_owned(),
        1 => "1 connection".to_owned(),
        _ => format!("{count} connections"),
    },
    no_connections: "No open connection.",
    path: "Path",
    by_turn: "through a TURN server, WebRTC",
    relayed_by: |id| format!("relayed by {id}"),
    why_not_direct: "Why not direct",
    not_direct: |why| match why {
        NoDirectWay::HolePunching => "Hole punching did not get through.",
        NoDirectWay::WebRtc(failure, _) => match failure {
            Failure::Unsupported => "The other program does not use WebRTC.",
            Failure::NoSignaling | Failure::Signaling => {
                "The exchange of session descriptions broke off."
            }
            Failure::Refused => "This browser refused the WebRTC connection.",
            Failure::IceFailed => "There is no way through the networks in between.",
            Failure::GivenUp => "The other side gave up.",
            Failure::Timeout => "It took too long.",
            _ => "No direct connection could be made.",
        },
        _ => "No direct connection could be made.",
    },
    no_way_through: "Strict (symmetric) NATs and firewalls do this; another network on either side may help.",
    turn_refused: |code| match code {
        401 | 438 | 441 => format!(
            "The bootstrap node's TURN server no longer takes the credentials that it gave (error {code}); reload the page for new ones."
        ),
        486 | 508 => format!(
            "The bootstrap node's TURN server has no room left (error {code}); try later, or close other pages."
        ),
        _ => format!("The bootstrap node's TURN server has refused (error {code})."),
    },
    kind_host: "device",
    kind_reflexive: "NAT",
    kind_relayed: "TURN",
    kind_none: "none",
    candidates: |own, theirs| format!("Addresses tried: {own} here, {theirs} there."),
    tried_again: |seconds| format!("Trying again in {seconds} s."),
    round_trip: "Round trip",
    not_measured: "not measured yet",
    program: "Program",
    unknown: "unknown",
    address: "Address",
    bootstrap_node: "Bootstrap node",

    settings: "Settings",
    sources_label: "Other bootstrap nodes",
    sources_hint: "Multiaddrs (/…/ws or /…/webrtc-direct) or URLs of a bootstrap.json, one per \
        line. Empty: the one that this page came from.",
    sources_save: "Save and reconnect",
    sources_default: "Use the default",
    sources_saved: "Saved. Connecting through these bootstrap nodes.",
    sources_overridden: "The address of this page names its bootstrap nodes (?bootstrap=). They \
        are used instead of these settings.",
    sources_ignored: "These bootstrap nodes are left out:",
    sources_unusable: "None of the given bootstrap nodes can be used, so there is no way into \
        the network. Correct them in the page's address or under Connection, Settings.",
    source_malformed: |entry| format!("“{entry}” is neither a multiaddr nor a URL."),
    source_not_dialable: |entry| {
        format!(
            "A page cannot dial “{entry}”: browsers have no TCP or QUIC of their own. Take the \
             node's /ws or /webrtc-direct address, or the URL of its bootstrap.json."
        )
    },
    source_blocked: |entry| {
        format!(
            "The browser blocks “{entry}”, because this page came over https and that is not \
             encrypted. Take a /tls/ws or https address."
        )
    },
    source_too_many: |max| format!("At most {max} bootstrap nodes are used."),
    not_kept: "The browser does not let this page keep settings; they hold until the page is \
        closed.",

    identity_unavailable: |reason| {
        format!(
            "This browser does not let the page keep an identity ({reason}). You are somebody \
             new until the page is closed. To keep an identity, open the page in a normal \
             window over https or from localhost."
        )
    },
    storage: |fault| match fault {
        StorageFault::Missing => "there is no storage for this page",
        StorageFault::Silent => "the browser's storage does not answer",
        _ => "the browser refuses to store it",
    },
    identity_broken: "The identity kept in this browser is damaged, so this tab cannot be the same peer as before. You \
        can start as a new one; what is damaged is put aside, not deleted.",
    start_anew: "Start as somebody new",

    name_empty: "Type a name.",
    name_too_long: |bytes| {
        format!(
            "This name is too long: it has {bytes} bytes; at most {NAME_BYTES_MAX} are allowed."
        )
    },
    name_forbidden: |code| {
        format!(
            "The character {code} is not allowed in a name: it shows nothing, or changes the text around it."
        )
    },
    name_marks: "This name has too many accents on one letter, or an accent without a letter.",
    topic_empty: "Type a topic.",
    topic_too_long: |bytes| {
        format!(
            "This topic is too long: it has {bytes} bytes; at most {TOPIC_BYTES_MAX} are allowed."
        )
    },
    topic_forbidden: |code| {
        format!(
            "The character {code} is not allowed in a topic: it shows nothing, or changes the text around it."
        )
    },
    topic_marks: "This topic has too many accents on one letter, or an accent without a letter.",
    already_joined: "You are in this room already.",
    too_many_rooms: |max| format!("You can be in {max} rooms at once. Leave one first."),
    message_empty: "There is nothing to be read in this message.",
    message_too_long: |bytes| {
        format!(
            "This message is too long: it has {bytes} bytes; at most {TEXT_BYTES_MAX} are allowed. \
            Send it in parts."
        )
    },
    message_forbidden: |code| format!("A message cannot have the control character {code}."),
    not_possible: "That is not possible.",
    room_left: "You have left this room.",
    say_too_fast: "Too many messages at once. Send this one again in a moment.",
    busy: "Too many messages are waiting to be sent. Try again when the network is back.",
    sent_already: "This message is being sent already.",
    no_receipt: |seconds, reason| {
        format!(
            "No receipt within {seconds} s ({reason}). It may have arrived all the same; \
            sending it again is safe."
        )
    },
    not_connected: "not connected to the other side",
    no_answer: "no answer from the other side",
    broken: "the connection broke",
    nonsense: "the answer was no receipt",
    answered: |code| match code {
        ErrorCode::Busy => "It has too much to do right now.",
        ErrorCode::Expired => "The clocks of the two devices differ too much.",
        ErrorCode::NotAccepted => "It does not want messages from you.",
        ErrorCode::TooLarge => "The message is too long for it.",
        _ => "Its program does not understand the message.",
    },
    refused: |reason| format!("The other side refused it. {reason}"),
    to_self: "That is you.",
    unsupported: "The other side's program takes no direct messages.",
    peer_stopped: "The peer has stopped. Reload the page.",
    peer_restarting: "Moim is reconnecting. Try again in a moment.",
};

fn list(names: &[String], more: usize) -> String {
    match (names, more) {
        ([], _) => format!("{more} members"),
        ([one], 0) => one.clone(),
        ([rest @ .., last], 0) => format!("{} and {last}", rest.join(", ")),
        (_, 1) => format!("{} and 1 other", names.join(", ")),
        _ => format!("{} and {more} others", names.join(", ")),
    }
}
