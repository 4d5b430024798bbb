//! New connections.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use futures_timer::Delay;
use rtc_crypto::{RTCCryptoProvider, default_provider};
use rtc_ice::{
    Agent as Ice, AgentConfig, candidate::CandidateType, mdns::MulticastDnsMode,
    network_type::NetworkType,
};

use super::{
    super::{
        super::{BackendError, IceServer},
        budget::{Account, Budget},
        error,
        gather::Gatherer,
        guard::Guard,
        place::Place,
        records::Records,
        server::{Certificate, dialler::Dialler},
        sockets::Sockets,
    },
    Agent, LOST_AFTER, SILENT_AFTER,
};
use crate::config::Reachable;

/// What both kinds of connections have in common.
fn config() -> AgentConfig {
    AgentConfig {
        // A browser that hides its address is found when it tries ours.
        multicast_dns_mode: MulticastDnsMode::Disabled,
        network_types: vec![NetworkType::Udp4, NetworkType::Udp6],
        disconnected_timeout: Some(SILENT_AFTER),
        failed_timeout: Some(LOST_AFTER),
        ..AgentConfig::default()
    }
}

impl Agent {
    pub(in crate::backend::native) fn new(
        ice_servers: &[IceServer],
        reachable: &Reachable,
    ) -> Result<Self, BackendError> {
        let config = AgentConfig {
            // The first valid pair is nominated: there is no relayed one of our own that a better one should be
            // waited for.
            srflx_acceptance_min_wait: Some(Duration::ZERO),
            prflx_acceptance_min_wait: Some(Duration::ZERO),
            ..config()
        };
        let crypto = default_provider().map_err(error)?;
        let certificate = Certificate::generate().map_err(error)?;
        Ok(Self {
            ice_servers: ice_servers.to_vec(),
            gatherer: Gatherer::new(reachable.clone()),
            ..Self::with(config, certificate, crypto, Sockets::new())?
        })
    }

    /// The side of a connection of which the other, who dials, knows the address, the certificate and
    /// nothing else.
    pub(in crate::backend::native) fn serving(
        dialler: &Dialler,
        certificate: Certificate,
        place: Place,
        account: Option<Account>,
    ) -> Result<Self, BackendError> {
        let ufrag = dialler.server_ufrag().to_owned();
        let config = AgentConfig {
            lite: true,
            candidate_types: vec![CandidateType::Host],
            local_ufrag: ufrag.clone(),
            local_pwd: ufrag,
            ..config()
        };
        let crypto = default_provider().map_err(error)?;
        let sockets = Sockets::sharing(place);
        Ok(Self {
            serves: true,
            budget: account.map_or_else(Budget::default, Budget::of),
            ..Self::with(config, certificate, crypto, sockets)?
        })
    }

    fn with(
        config: AgentConfig,
        certificate: Certificate,
        crypto: Arc<dyn RTCCryptoProvider>,
        sockets: Sockets,
    ) -> Result<Self, BackendError> {
        let ice = Ice::new(Instant::now(), Arc::new(config), Arc::clone(&crypto));
        Ok(Self {
            crypto,
            certificate,
            serves: false,
            ice_servers: Vec::new(),
            sockets,
            gatherer: Gatherer::new(Reachable::default()),
            ice: ice.map_err(error)?,
            local: None,
            remote: None,
            dtls: None,
            has_selected_pair: false,
            told: None,
            early: Vec::new(),
            sctp: None,
            channels: BTreeMap::new(),
            streams: HashMap::new(),
            next_channel: 0,
            unread: 0,
            noted: VecDeque::new(),
            closed: None,
            is_end_held: false,
            is_broken: false,
            guard: Guard::default(),
            records: Records::default(),
            budget: Budget::default(),
            is_trusted: false,
            prunes_at: None,
            task: None,
            timer: Delay::new(Duration::ZERO),
            wakes_at: None,
        })
    }
}
