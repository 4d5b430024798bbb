//! The selected candidate pair, from the browser's statistics (W3C, "Identifiers for WebRTC's Statistics API",
//! `RTCTransportStats.selectedCandidatePairId` and `RTCIceCandidateStats.candidateType`).

use js_sys::{Array, Reflect};
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use web_sys::RtcPeerConnection;

use super::SelectedPair;

/// The pair in use; `None` where the browser does not say.
pub(super) async fn of(connection: RtcPeerConnection) -> Option<SelectedPair> {
    let report = JsFuture::from(connection.get_stats()).await.ok()?;
    // An `RTCStatsReport` is a map of statistics by id.
    let entries = Array::from(&report);
    let statistics: Vec<JsValue> = entries
        .iter()
        .map(|entry| Array::from(&entry).get(1))
        .collect();
    let with_id = |id: &str| statistics.iter().find(|one| text(one, "id") == id);
    let pair = statistics
        .iter()
        .find(|one| text(one, "type") == "transport")
        .and_then(|transport| with_id(&text(transport, "selectedCandidatePairId")))
        // Firefox has no transport among them, and marks the pair.
        .or_else(|| statistics.iter().find(|one| is(one, "selected")))?;
    let is_relayed = |end: &str| {
        with_id(&text(pair, end))
            .is_some_and(|candidate| text(candidate, "candidateType") == "relay")
    };
    let by_turn = is_relayed("localCandidateId") || is_relayed("remoteCandidateId");
    Some(if by_turn {
        SelectedPair::Turn
    } else {
        SelectedPair::Direct
    })
}

fn text(statistic: &JsValue, name: &str) -> String {
    let value = Reflect::get(statistic, &name.into()).ok();
    value
        .and_then(|value| value.as_string())
        .unwrap_or_default()
}

fn is(statistic: &JsValue, name: &str) -> bool {
    Reflect::get(statistic, &name.into()).is_ok_and(|value| value.is_truthy())
}
