//! One port that a client has on the server, and whom it may hear there. RFC 8656, section 3.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use moim_protocol::rate::Bucket;

use super::credentials::Client;
use crate::{limits, stun::wire::Transaction};

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Allocation {
    pub(super) client: Client,
    pub(super) relayed: SocketAddr,
    /// Name, peer and key of who has it.
    pub(super) username: String,
    pub(super) peer: String,
    pub(super) key: [u8; 16],
    /// That of the request that made it, which may come again.
    pub(super) transaction: Transaction,
    expires: Instant,
    /// Seconds that it was last prolonged by.
    pub(super) lifetime: u32,
    /// It is not prolonged beyond this.
    ends: Instant,
    pub(super) bucket: Bucket,
    pub(super) bytes_left: u64,
    /// At most [`limits::TURN_PERMISSIONS_MAX`].
    permissions: Vec<Permission>,
    /// At most [`limits::TURN_CHANNELS_MAX`].
    channels: Vec<Channel>,
}

#[derive(Clone, Copy, Debug)]
struct Permission {
    ip: IpAddr,
    expires: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Channel {
    number: u16,
    peer: SocketAddr,
    expires: Instant,
}

/// Why a channel is not bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoChannel {
    /// There are enough of them.
    Full,
    /// Its number or its peer is bound already, otherwise.
    Taken,
}

/// Who opens an allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) client: Client,
    pub(super) username: String,
    pub(super) peer: String,
    pub(super) key: [u8; 16],
    pub(super) transaction: Transaction,
}

impl Allocation {
    pub(super) fn new(owner: Owner, relayed: SocketAddr, bucket: Bucket, now: Instant) -> Self {
        Self {
            client: owner.client,
            relayed,
            username: owner.username,
            peer: owner.peer,
            key: owner.key,
            transaction: owner.transaction,
            expires: now,
            lifetime: 0,
            ends: now + limits::TURN_ALLOCATION_LIFE_MAX,
            bucket,
            bytes_left: limits::TURN_ALLOCATION_BYTES_MAX,
            permissions: Vec::new(),
            channels: Vec::new(),
        }
    }

    /// Prolongs it and says by how many seconds (section 7.2: no less than the default, so that
    /// nobody has to ask every second).
    pub(super) fn prolong(&mut self, wanted: Option<u32>, now: Instant) -> u32 {
        let default = limits::TURN_LIFETIME.as_secs() as u32;
        let most = limits::TURN_LIFETIME_MAX.as_secs() as u32;
        let left = self.ends.saturating_duration_since(now).as_secs();
        let left = u32::try_from(left).unwrap_or(u32::MAX);
        let seconds = wanted.unwrap_or(default).clamp(default, most).min(left);
        self.expires = now + Duration::from_secs(seconds.into());
        self.lifetime = seconds;
        seconds
    }

    pub(super) fn has_expired(&self, now: Instant) -> bool {
        self.expires <= now
    }

    pub(super) fn permits(&self, ip: IpAddr, now: Instant) -> bool {
        let mut all = self.permissions.iter();
        all.any(|one| one.ip == ip && one.expires > now)
    }

    /// Permits all of these, or none and says so.
    pub(super) fn permit(&mut self, ips: &[IpAddr], now: Instant) -> bool {
        self.permissions.retain(|one| one.expires > now);
        let mut permissions = self.permissions.clone();
        let expires = now + limits::TURN_PERMISSION_LIFETIME;
        for ip in ips {
            match permissions.iter_mut().find(|one| one.ip == *ip) {
                Some(known) => known.expires = expires,
                None => permissions.push(Permission { ip: *ip, expires }),
            }
        }
        let fits = permissions.len() <= limits::TURN_PERMISSIONS_MAX;
        if fits {
            self.permissions = permissions;
        }
        fits
    }

    /// Binds a channel, or prolongs it; and permits its peer.
    pub(super) fn bind(
        &mut self,
        number: u16,
        peer: SocketAddr,
        now: Instant,
    ) -> Result<(), NoChannel> {
        self.channels.retain(|one| one.expires > now);
        let found = self.channels.iter().position(|one| one.number == number);
        let is_taken = match found {
            Some(index) => self.channels[index].peer != peer,
            None => self.channels.iter().any(|one| one.peer == peer),
        };
        if is_taken {
            return Err(NoChannel::Taken);
        }
        if found.is_none() && self.channels.len() >= limits::TURN_CHANNELS_MAX
            || !self.permit(&[peer.ip()], now)
        {
            return Err(NoChannel::Full);
        }
        let channel = Channel {
            number,
            peer,
            expires: now + limits::TURN_CHANNEL_LIFETIME,
        };
        match found {
            Some(index) => self.channels[index] = channel,
            None => self.channels.push(channel),
        }
        Ok(())
    }

    pub(super) fn peer_of(&self, number: u16, now: Instant) -> Option<SocketAddr> {
        let mut all = self.channels.iter();
        all.find(|one| one.number == number && one.expires > now)
            .map(|one| one.peer)
    }

    pub(super) fn channel_of(&self, peer: SocketAddr, now: Instant) -> Option<u16> {
        let mut all = self.channels.iter();
        all.find(|one| one.peer == peer && one.expires > now)
            .map(|one| one.number)
    }
}
