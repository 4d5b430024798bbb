//! The exchange of descriptions and candidates.

use std::time::Instant;

use rtc_ice::candidate::unmarshal_candidate;
use serde::Deserialize;

use super::{
    super::{
        super::{BackendError, SdpKind},
        description::{self, Description, Setup},
        dtls::Dtls,
        error,
    },
    Agent,
};

/// The only component of our data streams (RFC 8445, section 4), as in the text of a candidate.
const COMPONENT: &str = "1";

/// What is used of the JSON of `RTCIceCandidate.toJSON()`.
#[derive(Deserialize)]
struct CandidateInit {
    candidate: String,
}

impl Agent {
    pub(in crate::backend::native) fn local_description(&self) -> Option<String> {
        let (_, sdp) = self.local.as_ref()?;
        Some(sdp.clone())
    }

    pub(in crate::backend::native) fn create_offer(&self) -> String {
        self.describe(None)
    }

    pub(in crate::backend::native) fn create_answer(&self) -> Result<String, BackendError> {
        let offer = self.remote.as_ref();
        let offer = offer.ok_or_else(|| BackendError("there is no offer to answer".to_owned()))?;
        Ok(self.describe(Some(offer)))
    }

    fn describe(&self, offer: Option<&Description>) -> String {
        let fingerprint = self.certificate.fingerprint();
        let credentials = self.ice.get_local_credentials();
        let (ufrag, password) = (&credentials.ufrag, &credentials.pwd);
        description::own(ufrag, password, fingerprint, offer)
    }

    pub(in crate::backend::native) fn set_local(
        &mut self,
        kind: SdpKind,
        sdp: String,
    ) -> Result<(), BackendError> {
        self.local = Some((kind, sdp));
        let bases = self.sockets.bind()?;
        self.gatherer.begin(bases, &self.ice_servers);
        // Now: what comes to an address that is not known is lost.
        self.add_local_candidates();
        self.begin()
    }

    pub(in crate::backend::native) fn set_remote(
        &mut self,
        kind: SdpKind,
        sdp: &str,
    ) -> Result<(), BackendError> {
        let description = Description::parse(sdp)?;
        if kind == SdpKind::Answer && description.setup == Setup::ActPass {
            return Err(BackendError("an answer leaves a choice".to_owned()));
        }
        let candidates = description.candidates.clone();
        self.remote = Some(description);
        for candidate in candidates {
            if let Err(error) = self.add_remote(&candidate) {
                tracing::debug!(%error, "candidate not taken");
            }
        }
        self.begin()
    }

    pub(in crate::backend::native) fn add_candidate(
        &mut self,
        json: &str,
    ) -> Result<(), BackendError> {
        let CandidateInit { candidate } = serde_json::from_str(json).map_err(error)?;
        // `candidate:FOUNDATION COMPONENT …` (RFC 8839, section 5.1).
        let text = candidate.strip_prefix("candidate:");
        self.add_remote(text.unwrap_or(&candidate))?;
        self.wake_task();
        Ok(())
    }

    fn add_remote(&mut self, candidate: &str) -> Result<(), BackendError> {
        if candidate.split_whitespace().nth(1) != Some(COMPONENT) {
            return Err(BackendError(
                "a candidate of a component that there is not".to_owned(),
            ));
        }
        let candidate = unmarshal_candidate(candidate).map_err(error)?;
        self.ice.add_remote_candidate(candidate).map_err(error)?;
        self.tell_selected_pair();
        Ok(())
    }

    /// Whether we begin with DTLS.
    pub(super) fn is_client(&self) -> bool {
        let answer = |remote: &Description| remote.setup.answer() == Setup::Active;
        self.remote.as_ref().is_some_and(answer)
    }

    /// Begins the connectivity checks once both descriptions are known.
    fn begin(&mut self) -> Result<(), BackendError> {
        let (Some((kind, _)), Some(remote), None) = (&self.local, &self.remote, &self.dtls) else {
            return Ok(());
        };
        // RFC 8445, section 6.1.1.
        let is_controlling = (*kind == SdpKind::Offer || remote.is_lite) && !self.serves;
        // Who dials a server proves who it is by Noise instead.
        let fingerprint = (!self.serves).then_some(remote.fingerprint);
        let dtls = Dtls::new(
            self.is_client(),
            self.certificate.dtls(),
            fingerprint,
            &self.crypto,
        )?;
        let (ufrag, password) = (remote.ufrag.clone(), remote.password.clone());
        self.dtls = Some(dtls);
        self.ice
            .start_connectivity_checks(Instant::now(), is_controlling, ufrag, password)
            .map_err(error)?;
        self.wake_task();
        Ok(())
    }
}
