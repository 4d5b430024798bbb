//! By which way a connection goes, from the browser's statistics (W3C, "Identifiers for WebRTC's Statistics API").

use js_sys::{Array, Reflect};
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use web_sys::RtcPeerConnection;

use super::Way;

/// The way of the pair of candidates in use; `None` where the browser does not say.
pub(super) async fn of(connection: RtcPeerConnection) -> Option<Way> {
    let report = JsFuture::from(connection.get_stats()).await.ok()?;
    // What is there is a map of statistics by id.
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
    Some(if by_turn { Way::Turn } else { Way::Straight })
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
