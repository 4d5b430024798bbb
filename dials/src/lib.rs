//! Looks at every address just before it is dialled, whoever asks for the dial.
//!
//! What may be dialled is said by [`moim_protocol::dials`]. Here are the two places where it is asked:
//!
//! - [`Checked`] is the outermost transport of a swarm. It sees every address that anybody wants dialled:
//!   the program itself, the DHT, AutoNAT, hole punching, circuits and the relays below them.
//! - [`Resolved`] stands below libp2p's DNS transport and sees every IP address that a name has turned
//!   out to be: a name may stand for a public address at one time and for `127.0.0.1` a moment later.
//!   A browser resolves by itself; there is none in pages.
//!
//! ```
//! use libp2p::{PeerId, core::{muxing::StreamMuxerBox, transport::Boxed}};
//! use moim_dials::{Checked, Dials, Names};
//!
//! /// The outermost transport of a swarm.
//! fn checked(
//!     transport: Boxed<(PeerId, StreamMuxerBox)>,
//! ) -> Checked<(PeerId, StreamMuxerBox)> {
//!     Checked::new(transport, Dials::new(Names::Resolved))
//! }
//! ```
//!
//! Both have the same [`Dials`]: rules, and what has been learnt since. When an address of the settings
//! has been reached, [`Checked`] notes that Moim is run in that network.

#![forbid(unsafe_code)]

pub use crate::{
    checked::Checked,
    resolved::{Dial, Resolved},
};

mod attempt;
mod checked;
#[cfg_attr(target_arch = "wasm32", path = "own/browser.rs")]
#[cfg_attr(not(target_arch = "wasm32"), path = "own/native.rs")]
mod own;
mod pending;
mod resolved;
#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests;

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use libp2p::{Multiaddr, multiaddr::Protocol};
pub use moim_protocol::dials::{Names, Refusal};
use moim_protocol::{
    dials::{Network, Origin, Rules},
    targets::{Scope, scope},
};
use pending::{Pending, Permit};
use thiserror::Error as ThisError;

/// Why there is no connection.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum Error<E> {
    /// The address is not dialled.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// It is, and that failed.
    #[error("{0}")]
    Transport(#[source] E),
}

/// The rules of one node or peer, and what they are applied to. Clones are the same.
#[derive(Clone, Debug)]
pub struct Dials(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    rules: Rules,
    own: own::Networks,
    /// Addresses by which others reach this machine, though no interface of it has them.
    announced: Vec<Network>,
    pending: Pending,
}

/// Addresses that a machine announces at most, of which this takes notice.
const ANNOUNCED_MAX: usize = 64;

impl Dials {
    /// Nothing is named by settings yet. `names` says what becomes of names in the transports below.
    #[must_use]
    pub fn new(names: Names) -> Self {
        Self(Arc::new(Mutex::new(State {
            rules: Rules::new(names),
            own: own::Networks::default(),
            announced: Vec::new(),
            pending: Pending::default(),
        })))
    }

    /// The person's own settings name this address as that of a bootstrap node.
    pub fn name(&self, address: &Multiaddr) {
        self.state().rules.name(address);
    }

    /// The `bootstrap.json` that the settings name at place `number` lists these addresses. `is_local` says that it came
    /// from this machine.
    pub fn document<'a>(
        &self,
        number: usize,
        is_local: bool,
        addresses: impl IntoIterator<Item = &'a Multiaddr>,
    ) {
        self.state().rules.document(number, is_local, addresses);
    }

    /// The settings say to listen at this one address, so Moim is run there. An unspecified address says
    /// nothing.
    pub fn listen(&self, address: &Multiaddr) {
        if let Some(ip) = first_ip(address) {
            self.meet(ip);
        }
    }

    /// Others reach this machine by these addresses.
    pub fn announce<'a>(&self, addresses: impl IntoIterator<Item = &'a Multiaddr>) {
        let ips = addresses.into_iter().filter_map(first_ip);
        self.state().announced = ips
            .take(ANNOUNCED_MAX)
            .map(|ip| Network {
                ip,
                prefix: u8::MAX,
            })
            .collect();
    }

    /// Whether WebRTC may send STUN checks to this address.
    #[must_use]
    pub fn may_check(&self, ip: IpAddr) -> bool {
        let mut state = self.state();
        let own = state.networks();
        state.rules.may_check(ip, &own)
    }

    fn meet(&self, ip: IpAddr) {
        let mut state = self.state();
        let own = state.networks();
        state.rules.meet(ip, &own);
    }

    fn judge(&self, address: &Multiaddr) -> Result<Origin, Refusal> {
        let mut state = self.state();
        let own = state.networks();
        state.rules.judge(address, &own)
    }

    fn judge_ip(&self, ip: IpAddr, origin: Origin) -> Result<(), Refusal> {
        let mut state = self.state();
        let own = state.networks();
        state.rules.judge_ip(ip, origin, &own)
    }

    /// Notes a dial to this address, for as long as what is returned lives. Those that lead to third parties on a
    /// stranger's word are counted.
    fn begin(&self, ip: IpAddr, origin: Origin) -> Result<Option<Permit>, Refusal> {
        if origin != Origin::Stranger || scope(ip.to_canonical()) != Scope::Public {
            return Ok(None);
        }
        let permit = self.state().pending.begin(ip);
        permit.map(Some).ok_or(Refusal::Busy(ip))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done where somebody else panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Networks that this machine is in.
    fn networks(&mut self) -> Vec<Network> {
        let own = self.own.current().iter();
        own.chain(&self.announced).copied().collect()
    }
}

/// The IP address that an address begins with.
fn first_ip(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    }
}
