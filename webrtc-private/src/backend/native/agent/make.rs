//! New connections.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::{Duration, Instant},
};

use futures_timer::Delay;
use rtc::{
    ice::mdns::MulticastDnsMode,
    peer_connection::{
        RTCPeerConnection, RTCPeerConnectionBuilder,
        certificate::RTCCertificate,
        configuration::{RTCConfigurationBuilder, setting_engine::SettingEngineBuilder},
        transport::RTCDtlsRole,
    },
};

use super::{
    super::{
        super::{BackendError, IceServer},
        error,
        gather::Gatherer,
        guard::Guard,
        place::Place,
        server::dialler::Dialler,
        sockets::Sockets,
    },
    Agent, LOST_AFTER, SILENT_AFTER,
    handshake::Handshake,
};

impl Agent {
    pub(in crate::backend::native) fn new(ice_servers: &[IceServer]) -> Result<Self, BackendError> {
        let now = Instant::now();
        let settings = SettingEngineBuilder::new()
            // A browser that hides its address is found when it tries ours.
            .with_multicast_dns_mode(MulticastDnsMode::Disabled)
            // The first way that works is taken: there is no relayed one that a better one should be
            // waited for.
            .with_srflx_acceptance_min_wait(Some(Duration::ZERO))
            .with_prflx_acceptance_min_wait(Some(Duration::ZERO))
            .with_ice_timeouts(Some(SILENT_AFTER), Some(LOST_AFTER), None)
            .build();
        let rtc = RTCPeerConnectionBuilder::new()
            .with_setting_engine(settings)
            .build(now)
            .map_err(error)?;
        Ok(Self::with(rtc, ice_servers.to_vec(), Sockets::new()))
    }

    /// The side of a connection of which the other, who dials, knows the address, the certificate and
    /// nothing else.
    pub(in crate::backend::native) fn serving(
        dialler: &Dialler,
        certificate: RTCCertificate,
        place: Place,
    ) -> Result<Self, BackendError> {
        let name = dialler.server().to_owned();
        let settings = SettingEngineBuilder::new()
            .with_multicast_dns_mode(MulticastDnsMode::Disabled)
            .with_lite(true)
            .with_ice_credentials(name.clone(), name)
            .with_ice_timeouts(Some(SILENT_AFTER), Some(LOST_AFTER), None)
            .with_answering_dtls_role(RTCDtlsRole::Server)
            // Who it is has to be proven in another way.
            .with_disable_certificate_fingerprint_verification(true)
            .build();
        let configuration = RTCConfigurationBuilder::new()
            .with_certificates(vec![certificate])
            .build();
        let rtc = RTCPeerConnectionBuilder::new()
            .with_configuration(configuration)
            .with_setting_engine(settings)
            .build(Instant::now())
            .map_err(error)?;
        Ok(Self {
            serves: true,
            ..Self::with(rtc, Vec::new(), Sockets::sharing(place))
        })
    }

    fn with(rtc: RTCPeerConnection, ice_servers: Vec<IceServer>, sockets: Sockets) -> Self {
        Self {
            rtc,
            serves: false,
            ice_servers,
            sockets,
            gatherer: Gatherer::new(),
            channels: HashMap::new(),
            closing: HashMap::new(),
            occupied: HashSet::new(),
            unread: 0,
            noted: VecDeque::new(),
            was_connected: false,
            had_association: false,
            closed: None,
            is_end_held: false,
            is_broken: false,
            guard: Guard::default(),
            used: None,
            prunes_at: None,
            handshake: Handshake::new(),
            task: None,
            timer: Delay::new(Duration::ZERO),
            wakes_at: None,
        }
    }
}
