//! What only programs have: streams of their own, and the DHT as such.

use std::time::Duration;

use libp2p::PeerId;
use moim_protocol::{provider_key::ProviderKey, record::RecordKey, stream_wire::ProtocolName};
use tokio::sync::oneshot;

use super::Peer;
use crate::{
    command::{Command, ForPrograms},
    error::{AcceptError, GetError, LookupError, OpenError, ProvideError, PutError},
    reason::InvalidValue,
    snapshot::{Stored, Value},
    streams::{Duplex, Incoming, handshake},
};

impl Peer {
    /// Stores a JSON value in the DHT for `lifetime` ([`limits::RECORD_TTL_MIN`](crate::limits::RECORD_TTL_MIN) to
    /// [`limits::RECORD_TTL_MAX`](crate::limits::RECORD_TTL_MAX)). A newer value under the same key takes its place. A peer that is
    /// still on its way into the DHT waits for it for some seconds.
    ///
    /// # Errors
    /// [`PutError`].
    pub async fn put(
        &self,
        key: impl Into<String>,
        value: serde_json::Value,
        lifetime: Duration,
    ) -> Result<Stored, PutError> {
        let key = RecordKey::new(key).map_err(InvalidValue::Key)?;
        self.in_dht().await.map_err(PutError::NotConnected)?;
        self.ask_for(|reply| ForPrograms::Put {
            key,
            value,
            lifetime,
            reply,
        })
        .await
        .unwrap_or(Err(PutError::Stopped))
    }

    /// Looks a JSON value up in the DHT: the newest valid one found, or `None`.
    ///
    /// # Errors
    /// [`GetError`]; a missing value is not one.
    pub async fn get(&self, key: impl Into<String>) -> Result<Option<Value>, GetError> {
        let key = RecordKey::new(key)?;
        self.in_dht().await.map_err(GetError::NotConnected)?;
        self.ask_for(|reply| ForPrograms::Get { key, reply })
            .await
            .unwrap_or(Err(GetError::Stopped))
    }

    /// Has the DHT name this peer to those who look for providers of `key`, from now until
    /// [`stop_providing`](Self::stop_providing) or the end of the peer. Resolves when servers were told first. They are
    /// told again by themselves, because they forget it after [`limits::PROVIDER_TTL`](crate::limits::PROVIDER_TTL).
    /// A key that is provided already is no error.
    ///
    /// # Errors
    /// [`ProvideError`]: then it is not provided.
    pub async fn provide(&self, key: ProviderKey) -> Result<(), ProvideError> {
        self.in_dht().await.map_err(ProvideError::NotConnected)?;
        self.ask_for(|reply| ForPrograms::Provide { key, reply })
            .await
            .unwrap_or(Err(ProvideError::Stopped))
    }

    /// Ends what [`provide`](Self::provide) began. Servers name this peer for
    /// [`limits::PROVIDER_TTL`](crate::limits::PROVIDER_TTL) at most after that.
    pub async fn stop_providing(&self, key: ProviderKey) {
        // A peer that has stopped provides nothing.
        let command = ForPrograms::StopProviding { key };
        let _ = self.commands.send(Command::ForPrograms(command)).await;
    }

    /// Who provides `key` as far as the DHT knows: at most
    /// [`limits::PROVIDERS_FOUND_MAX`](crate::limits::PROVIDERS_FOUND_MAX) others, in no order. Anybody can say that he
    /// does; whether they are there is seen when they are called ([`open`](Self::open), [`send`](Self::send)). Takes as
    /// long as the slowest server that is asked, some seconds at most.
    ///
    /// # Errors
    /// [`LookupError`]; that nobody provides it is not one.
    pub async fn providers(&self, key: ProviderKey) -> Result<Vec<PeerId>, LookupError> {
        self.in_dht().await.map_err(LookupError::NotConnected)?;
        self.ask_for(|reply| ForPrograms::Providers { key, reply })
            .await
            .unwrap_or(Err(LookupError::Stopped))
    }

    /// Opens a stream to another peer, whose program must speak `protocol`, on the best connection that there is: a direct
    /// one, or else one by TURN, or else a relayed one. Where there is none, one is made.
    ///
    /// # Errors
    /// [`OpenError`]. Without a connection after [`limits::STREAM_CONNECT_TIME`](crate::limits::STREAM_CONNECT_TIME),
    /// and without an answer after [`limits::STREAM_HEADER_TIME`](crate::limits::STREAM_HEADER_TIME).
    pub async fn open(&self, to: PeerId, protocol: ProtocolName) -> Result<Duplex, OpenError> {
        if to == self.id {
            return Err(OpenError::ToSelf);
        }
        let raw = self
            .ask_for(|reply| ForPrograms::Open { to, reply })
            .await
            .unwrap_or(Err(OpenError::Stopped))?;
        handshake::open(raw, protocol).await
    }

    /// Takes the streams that others open for `protocol`, whoever they are, for as long as the [`Incoming`] lives. Of
    /// anyone who is not wanted, drop the stream.
    ///
    /// # Errors
    /// [`AcceptError`] when it is accepted already, or the peer has stopped.
    pub fn accept(&self, protocol: ProtocolName) -> Result<Incoming, AcceptError> {
        self.accepted.accept(protocol)
    }

    async fn ask_for<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> ForPrograms,
    ) -> Option<T> {
        self.ask(|reply| Command::ForPrograms(command(reply))).await
    }
}
