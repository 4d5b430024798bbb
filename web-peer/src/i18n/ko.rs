//! Korean.

use moim_peer::{
    DocumentFault, ErrorCode, Failure, NoDirectWay, Unreached,
    identity::StorageFault,
    limits::{NAME_BYTES_MAX, TEXT_BYTES_MAX, TOPIC_BYTES_MAX},
};

use super::Messages;

pub(super) static MESSAGES: Messages = Messages {
    skip_to_talk: "대화로 건너뛰기",
    views: "화면",
    view_people: "사람",
    view_room: "방",
    view_direct: "개인 대화",
    view_connection: "연결",
    open_connection: "연결 상태 보기",
    close: "닫기",
    unread: |count| format!("안 읽음 {count}개"),
    copy_refused: |text| format!("이 브라우저에서는 복사할 수 없습니다. 직접 복사하세요: {text}"),
    dismiss: "알림 닫기",

    status: "네트워크",
    connecting: "연결 중",
    connected: "연결됨",
    reconnecting: "다시 연결 중",
    offline: "오프라인",
    failed: "연결 안 됨",
    reconnecting_help: "네트워크로 들어가는 길이 끊겼습니다. 모임이 스스로 다시 시도하며, 아직 \
        열려 있는 연결의 대화는 계속됩니다.",
    offline_help: "이 기기에 네트워크가 없습니다. 돌아오는 대로 바로 이어집니다.",
    failed_help: "네트워크에 들어갈 수 없어 계속 시도하고 있습니다. 부트스트랩 노드가 켜져 \
        있는지, 연결 화면의 설정에 있는 주소가 맞는지 확인하세요.",
    try_again: "지금 다시 시도",
    reason: "이유:",
    not_started: "피어를 시작하지 못했습니다. 페이지를 새로 고쳐 다시 시도하세요.",
    no_answer_yet: "아직 응답한 부트스트랩 노드가 없습니다.",
    no_node: "정해진 부트스트랩 노드가 없습니다.",
    no_server: "연결된 DHT 서버가 없습니다.",
    restarting: "네트워크를 맡은 부분이 고장 나서 다시 시작하고 있습니다.",
    connection_lost: "연결이 끊겼습니다.",
    closed_at_once: "노드가 연결을 받자마자 끊었습니다.",
    unreached: |why| match why {
        Unreached::NoAddress => "이 페이지에서 연결할 수 있는 주소를 모릅니다.",
        Unreached::Forbidden => "이 페이지에서 연결해서는 안 되는 주소입니다.",
        Unreached::Busy => "그 호스트로 동시에 시도하는 연결이 너무 많습니다.",
        Unreached::TooMany => "열린 연결이 너무 많습니다.",
        Unreached::NoRoute => "이 기기의 네트워크에서는 그 주소로 갈 수 없습니다.",
        Unreached::Silent => "그 주소에서 응답이 없거나 연결이 끊겼습니다.",
        Unreached::NoAnswer => "시간 안에 응답이 없습니다.",
        Unreached::NoHost => "그런 호스트 이름이 없습니다.",
        Unreached::Broken => "연결하는 도중에 끊겼습니다.",
        Unreached::Relay => "릴레이도 상대에게 닿지 못합니다.",
        Unreached::Refused => "그 주소에서 연결을 받는 프로그램이 없습니다.",
        Unreached::Certificate => {
            "그 주소에서 응답하는 쪽의 인증서가 주소에 적힌 것과 다르거나, 상대가 연결을 그만두었습니다."
        }
        Unreached::OtherPeer => "그 주소에서 다른 피어가 응답합니다.",
        _ => "연결하지 못했습니다.",
    },
    document: |fault| match fault {
        DocumentFault::Status(status) => {
            format!("bootstrap.json을 받지 못했습니다. 서버가 {status}(으)로 응답했습니다.")
        }
        DocumentFault::NoAddress => {
            "bootstrap.json에 이 페이지에서 연결할 수 있는 주소가 없습니다.".to_owned()
        }
        DocumentFault::Redirect => {
            "bootstrap.json이 다른 곳으로 옮겨졌습니다. 옮겨 간 URL을 넣으세요.".to_owned()
        }
        DocumentFault::Json | DocumentFault::PeerId | DocumentFault::TooLarge => {
            "받은 것이 올바른 bootstrap.json이 아닙니다.".to_owned()
        }
        _ => "bootstrap.json을 받지 못했습니다. 그 주소에서 응답이 없거나 브라우저가 막았습니다."
            .to_owned(),
    },
    stopped: "피어가 멈췄습니다. 페이지를 새로 고치면 다시 시작합니다.",
    reload: "새로 고침",

    join_heading: "주제에 참여하기",
    join_intro: "같은 주제에 참여한 사람은 모두 한 방에서 만납니다. 중앙 서버도 계정도 \
        없습니다. 이 탭이 곧 하나의 피어입니다.",
    name: "이름",
    name_hint: "다른 사람에게 보이는 이름",
    topic: "주제",
    topic_hint: "예: global-chat. 대문자와 소문자를 구별합니다.",
    join: "참여하기",
    join_while_connecting: "지금 참여해도 됩니다. 네트워크에 연결되면 다른 사람들이 나타납니다.",

    people: "방과 참여자",
    rooms: "방",
    join_another: "주제에 참여하기",
    members: "참여자",
    you: "나",
    not_in_room: "이 방에 없는 피어",
    looks_like: |name| format!("{name} 님과 이름이 비슷해 보입니다. ID로 구별하세요."),
    looks_like_you: "내 이름과 비슷해 보입니다. ID로 구별하세요.",
    nobody_yet: "아직 다른 사람이 없습니다. 링크를 공유하면 이 방으로 들어올 수 있습니다.",
    others_here: |count| match count {
        0 => "아직 다른 사람이 없음".to_owned(),
        _ => format!("나 말고 {count}명"),
    },
    directs: "개인 대화",
    write_to: "개인 메시지 보내기:",
    reach_direct: "직접",
    reach_turn: "TURN 경유",
    reach_relayed: "중계",
    reach_connecting: "연결 중",
    reach_unconnected: "연결 없음",
    reach_away: "같은 방에 없음",
    reach_direct_help: "이 참여자와 바로 연결되어 있습니다",
    reach_turn_help: "두 네트워크 사이에 직접 길이 없어 TURN 서버를 거쳐 연결되어 있습니다. 내용은 종단간 암호화됩니다",
    reach_relayed_help: "릴레이를 거쳐 연결되어 있습니다. 내용은 종단간 암호화됩니다",
    reach_connecting_help: "이 참여자와 연결하고 있습니다",
    reach_unconnected_help: "바로 이어진 연결은 없습니다. 방의 메시지는 다른 참여자를 거쳐 \
        오고, 개인 메시지를 보낼 때 먼저 연결합니다",
    reach_away_help: "이 피어는 내가 참여한 어느 방에도 없습니다",

    share: "링크 복사",
    link_copied: "이 방의 링크를 복사했습니다",
    leave: "나가기",
    room_log: |topic| format!("{topic} 방의 메시지"),
    room_input: |topic| format!("{topic} 방에 보낼 메시지"),
    room_empty: "아직 아무 말도 없습니다",
    room_empty_help: "여기에 쓴 말은 지금 방에 있는 사람에게만 전달됩니다.",
    room_unreached: "지금은 이 방의 누구와도 연결되어 있지 않습니다. 하는 말이 아무에게도 닿지 \
        않을 수 있습니다.",
    send: "보내기",
    write_here: "메시지 쓰기",
    input_help: "Enter로 보내고 Shift+Enter로 줄을 바꿉니다",
    here: |names, more| format!("{} 참여 중", list(names, more)),
    left: |names, more| format!("{} 나감", list(names, more)),
    gone: |names, more| format!("{} 연결 끊김", list(names, more)),
    newest: "가장 새로운 메시지로",
    unread_from_here: "새 메시지",
    show_all: "모두 보기",
    show_less: "접기",
    heard_by_nobody: "연결된 사람이 없어 아무도 듣지 못했습니다.",
    message_from: |name| format!("{name} 님이 방에 썼습니다"),

    direct_heading: |name| format!("{name} 님과의 개인 대화"),
    direct_input: |name| format!("{name} 님에게 보낼 개인 메시지"),
    direct_empty: "여기에 쓴 것은 두 사람만 읽을 수 있습니다.",
    sending: "보내는 중",
    delivered: "전달됨",
    delivered_direct: "전달됨 · 직접",
    delivered_turn: "전달됨 · TURN 경유",
    delivered_relayed: "전달됨 · 중계",
    not_delivered: "전달되지 않음",
    send_again: "다시 보내기",
    direct_from: |name| format!("{name} 님의 새 개인 메시지"),

    own_id: "내 피어 ID",
    own_id_pending: "준비하는 중",
    copy_id: "내 피어 ID 복사",
    id_copied: "내 피어 ID를 복사했습니다",
    identity_kept: "이 브라우저에 보관됩니다. 새로 고쳐도 바뀌지 않습니다.",
    identity_session: "이번에만 쓰는 ID입니다. 새로 고치면 다른 피어가 됩니다.",
    bootstrap_nodes: "부트스트랩 노드",
    bootstrap_none: "정해진 노드가 없습니다.",
    bootstrap_connected: "연결됨",
    bootstrap_connecting: "연결 중",
    bootstrap_failed: "연결할 수 없음",
    clock_ahead: |by| format!("이 기기의 시계가 부트스트랩 노드보다 {by} 빠릅니다."),
    clock_behind: |by| format!("이 기기의 시계가 부트스트랩 노드보다 {by} 느립니다."),
    clock_unknown: "이 기기의 시계로 표시한 시각을 다른 참여자들이 받아들이지 않습니다.",
    clock_help: "기기의 날짜와 시간을 자동으로 설정하세요. 시각이 10분 넘게 어긋나 있는 동안에는 새로 온 \
        사람이 나를 찾지 못하고, 나와 직접 연결된 사람에게만 내가 보이고 방에 쓴 메시지가 전달됩니다. 이 기기의 \
        시계가 맞다면 노드 운영자에게 알려 주세요.",
    minutes: |count| format!("{count}분"),
    hours: |count| format!("{count}시간"),
    days: |count| format!("{count}일"),
    bootstrap_turned_away: "접속 거부됨",
    turned_away_help: "부트스트랩 노드가 이 페이지의 접속을 받지 않습니다. 간격을 늘려 가며 계속 \
        시도합니다.",
    turned_away_full: "노드가 꽉 찼습니다. 다른 노드를 쓰거나 나중에 다시 시도하세요.",
    turned_away_blocked: "노드 운영자가 이 신원 또는 네트워크를 차단했습니다. 운영자에게 문의하거나 다른 \
        노드를 쓰세요.",
    turned_away_identity: "다른 프로그램이나 탭이 같은 신원을 쓰고 있어 노드가 연결을 더 받지 않습니다. \
        그쪽을 닫으세요.",
    turned_away_address: "이 네트워크에서 노드에 연결할 수 있는 수를 다 썼습니다. 다른 노드를 쓰거나 나중에 \
        다시 시도하세요.",
    turned_away_other: "노드가 접속을 거부했지만, 이 페이지가 모르는 이유입니다.",
    dht: "DHT",
    dht_outside: "참여하지 않음",
    dht_inside: |count| format!("참여 중, 연결된 서버 {count}개"),
    addresses: "내 주소",
    addresses_help: "다른 피어가 릴레이를 거쳐 이 탭에 연결하는 주소입니다.",
    no_addresses: "아직 없습니다. 릴레이에 예약되면 다른 피어가 이 탭에 연결할 수 있습니다.",
    connections: |count| match count {
        0 => "연결".to_owned(),
        _ => format!("연결 {count}개"),
    },
    no_connections: "열린 연결이 없습니다.",
    path: "경로",
    by_turn: "TURN 서버 경유, WebRTC",
    relayed_by: |id| format!("{id} 중계"),
    why_not_direct: "직접 연결되지 않은 이유",
    not_direct: |why| match why {
        NoDirectWay::HolePunching => "NAT에 구멍을 내지 못했습니다.",
        NoDirectWay::WebRtc(failure, _) => match failure {
            Failure::Unsupported => "상대 프로그램은 WebRTC를 쓰지 않습니다.",
            Failure::NoSignaling | Failure::Signaling => {
                "연결에 필요한 정보를 주고받다가 끊겼습니다."
            }
            Failure::Refused => "이 브라우저가 WebRTC 연결을 거절했습니다.",
            Failure::IceFailed => "두 네트워크 사이에 길이 없습니다.",
            Failure::GivenUp => "상대가 연결을 그만두었습니다.",
            Failure::Timeout => "시간이 너무 오래 걸렸습니다.",
            _ => "직접 연결하지 못했습니다.",
        },
        _ => "직접 연결하지 못했습니다.",
    },
    no_way_through: "엄격한(대칭형) NAT나 방화벽이 있으면 그렇습니다. 어느 한쪽이 다른 네트워크를 쓰면 될 수 있습니다.",
    turn_refused: |code| match code {
        401 | 438 | 441 => format!(
            "부트스트랩 노드의 TURN 서버가 발급했던 자격 증명을 더는 받지 않습니다(오류 {code}). 페이지를 새로 고치면 새로 발급받습니다."
        ),
        486 | 508 => format!(
            "부트스트랩 노드의 TURN 서버가 꽉 찼습니다(오류 {code}). 나중에 다시 시도하거나 다른 페이지를 닫아 보세요."
        ),
        _ => format!("부트스트랩 노드의 TURN 서버가 거절했습니다(오류 {code})."),
    },
    kind_host: "기기",
    kind_reflexive: "NAT",
    kind_relayed: "TURN",
    kind_none: "없음",
    candidates: |own, theirs| format!("시도한 주소: 이쪽 {own}, 저쪽 {theirs}."),
    tried_again: |seconds| format!("{seconds}초 뒤에 다시 시도합니다."),
    round_trip: "왕복 시간",
    not_measured: "아직 재지 않음",
    program: "프로그램",
    unknown: "알 수 없음",
    address: "주소",
    bootstrap_node: "부트스트랩 노드",

    settings: "설정",
    sources_label: "다른 부트스트랩 노드",
    sources_hint: "멀티주소(/…/ws 또는 /…/webrtc-direct)나 bootstrap.json의 URL을 한 줄에 \
        하나씩 적습니다. 비워 두면 이 페이지를 보낸 노드를 씁니다.",
    sources_save: "저장하고 다시 연결",
    sources_default: "기본값 쓰기",
    sources_saved: "저장했습니다. 이 부트스트랩 노드로 연결합니다.",
    sources_overridden: "이 페이지의 주소에 부트스트랩 노드가 적혀 있어서(?bootstrap=) 설정 \
        대신 그것을 씁니다.",
    sources_ignored: "다음 부트스트랩 노드는 쓰지 않습니다:",
    sources_unusable: "적힌 부트스트랩 노드를 하나도 쓸 수 없어 네트워크에 들어갈 길이 \
        없습니다. 페이지 주소나 설정에서 고치세요.",
    source_malformed: |entry| format!("“{entry}”: 멀티주소도 URL도 아닙니다."),
    source_not_dialable: |entry| {
        format!(
            "페이지는 “{entry}”에 연결할 수 없습니다. 브라우저에는 TCP나 QUIC을 직접 쓰는 길이 \
             없습니다. 노드의 /ws나 /webrtc-direct 주소, 또는 bootstrap.json의 URL을 쓰세요."
        )
    },
    source_blocked: |entry| {
        format!(
            "이 페이지는 https로 왔는데 “{entry}”은(는) 암호화되지 않아 브라우저가 막습니다. \
             /tls/ws나 https 주소를 쓰세요."
        )
    },
    source_too_many: |max| format!("부트스트랩 노드는 {max}개까지 씁니다."),
    not_kept: "브라우저가 설정 저장을 허락하지 않아, 설정은 페이지를 닫을 때까지만 유지됩니다.",

    identity_unavailable: |reason| {
        format!(
            "이 브라우저에서는 페이지가 ID를 보관할 수 없습니다({reason}). 페이지를 닫을 때까지 \
             새로운 피어로 참여합니다. ID를 보관하려면 일반 창에서 https나 localhost로 여세요."
        )
    },
    storage: |fault| match fault {
        StorageFault::Missing => "페이지가 쓸 수 있는 저장소가 없음",
        StorageFault::Silent => "브라우저의 저장소가 응답하지 않음",
        _ => "브라우저가 저장을 거절함",
    },
    identity_broken: "이 브라우저에 보관된 ID가 손상되어 이 탭은 전과 같은 피어가 될 수 없습니다. 새로운 피어로 \
        시작할 수 있으며, 손상된 것은 지우지 않고 옆에 치워 둡니다.",
    start_anew: "새로운 피어로 시작",

    name_empty: "이름을 적으세요.",
    name_too_long: |bytes| {
        format!("이름이 너무 깁니다: {bytes}바이트이고, {NAME_BYTES_MAX}바이트까지 쓸 수 있습니다.")
    },
    name_forbidden: |code| {
        format!("이름에 {code} 문자를 쓸 수 없습니다. 보이지 않거나 주변 글을 바꾸는 문자입니다.")
    },
    name_marks: "이름의 한 글자에 결합 부호가 너무 많거나, 글자 없이 결합 부호만 있습니다.",
    topic_empty: "주제를 적으세요.",
    topic_too_long: |bytes| {
        format!(
            "주제가 너무 깁니다: {bytes}바이트이고, {TOPIC_BYTES_MAX}바이트까지 쓸 수 있습니다."
        )
    },
    topic_forbidden: |code| {
        format!("주제에 {code} 문자를 쓸 수 없습니다. 보이지 않거나 주변 글을 바꾸는 문자입니다.")
    },
    topic_marks: "주제의 한 글자에 결합 부호가 너무 많거나, 글자 없이 결합 부호만 있습니다.",
    already_joined: "이미 이 방에 있습니다.",
    too_many_rooms: |max| {
        format!("방에는 한 번에 {max}개까지 참여할 수 있습니다. 먼저 하나에서 나가세요.")
    },
    message_empty: "메시지에 읽을 수 있는 글자가 없습니다.",
    message_too_long: |bytes| {
        format!(
            "메시지가 너무 깁니다: {bytes}바이트이고, {TEXT_BYTES_MAX}바이트까지 보낼 수 \
            있습니다. 나누어 보내세요."
        )
    },
    message_forbidden: |code| format!("메시지에 {code} 제어 문자를 쓸 수 없습니다."),
    not_possible: "할 수 없습니다.",
    room_left: "이미 이 방에서 나갔습니다.",
    say_too_fast: "한꺼번에 보낸 메시지가 너무 많습니다. 잠시 후 다시 보내세요.",
    busy: "보내기를 기다리는 메시지가 너무 많습니다. 네트워크가 돌아오면 다시 시도하세요.",
    sent_already: "이미 보내고 있는 메시지입니다.",
    no_receipt: |seconds, reason| {
        format!(
            "{seconds}초 안에 수신 확인이 없었습니다({reason}). 도착했을 수도 있으며, 다시 \
            보내도 됩니다."
        )
    },
    not_connected: "상대와 연결되지 않음",
    no_answer: "상대의 응답이 없음",
    broken: "연결이 끊김",
    nonsense: "수신 확인이 아닌 응답이 옴",
    answered: |code| match code {
        ErrorCode::Busy => "상대가 지금 너무 바쁩니다.",
        ErrorCode::Expired => "두 기기의 시계가 너무 다릅니다.",
        ErrorCode::NotAccepted => "상대가 이쪽의 메시지를 받지 않으려 합니다.",
        ErrorCode::TooLarge => "상대에게는 메시지가 너무 깁니다.",
        _ => "상대 프로그램이 이 메시지를 이해하지 못합니다.",
    },
    refused: |reason| format!("상대가 받지 않았습니다. {reason}"),
    to_self: "자기 자신입니다.",
    unsupported: "상대 프로그램은 개인 메시지를 받지 않습니다.",
    peer_stopped: "피어가 멈췄습니다. 페이지를 새로 고치세요.",
    peer_restarting: "다시 연결하는 중입니다. 잠시 후 다시 시도하세요.",
};

fn list(names: &[String], more: usize) -> String {
    let named = names
        .iter()
        .map(|name| format!("{name} 님"))
        .collect::<Vec<_>>()
        .join(", ");
    match (names, more) {
        ([], _) => format!("{more}명"),
        (_, 0) => named,
        _ => format!("{named} 외 {more}명"),
    }
}
