//! Settings of the TURN server.

use std::{num::NonZeroU32, str::FromStr, time::Duration};

use clap::ValueEnum;
use serde::Deserialize;

use super::Settings;
use crate::turn::{self, PortRange, Quotas};

/// `on` or `off`.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    /// It is not there.
    #[default]
    Off,
    /// It is there.
    On,
}

impl FromStr for Switch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        <Self as ValueEnum>::from_str(text, true).map_err(|_| "expected `on` or `off`".into())
    }
}

/// What the TURN server is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnConfig {
    /// Whether there is one.
    pub is_on: bool,
    /// Ports to relay by.
    pub ports: PortRange,
    /// Most allocations.
    pub allocations: NonZeroU32,
    /// Most of one peer.
    pub allocations_per_peer: NonZeroU32,
    /// Most of one IPv4 address or IPv6 network.
    pub allocations_per_address: NonZeroU32,
    /// Most that is carried, in Mbit/s.
    pub mbit: NonZeroU32,
    /// Most that is carried by one allocation, in Mbit/s.
    pub mbit_per_allocation: NonZeroU32,
    /// How long credentials are good, in seconds.
    pub ttl_seconds: NonZeroU32,
    /// Whether it relays to private addresses.
    pub allow_private: bool,
}

impl TurnConfig {
    pub(crate) fn ttl(&self) -> Duration {
        Duration::from_secs(self.ttl_seconds.get().into())
    }

    /// With no more than so many allocations, whatever is set.
    pub(crate) fn settings(&self, allocations_max: u32) -> turn::Settings {
        turn::Settings {
            quotas: Quotas {
                all: self.allocations.get().min(allocations_max),
                per_peer: self.allocations_per_peer.get(),
                per_address: self.allocations_per_address.get(),
            },
            bytes_per_second: bytes(self.mbit),
            allocation_bytes_per_second: bytes(self.mbit_per_allocation),
            allow_private: self.allow_private,
        }
    }
}

/// Bytes in so many Mbit.
fn bytes(mbit: NonZeroU32) -> u32 {
    mbit.get().saturating_mul(1_000_000 / 8)
}

/// Most allocations by default: at some 2 KiB and one socket each.
const DEFAULT_ALLOCATIONS: NonZeroU32 = NonZeroU32::new(1_024).unwrap();
/// Of one peer: in a room where everybody is connected to everybody it makes 23 connections, and
/// asks over UDP and over TCP for each.
const DEFAULT_ALLOCATIONS_PER_PEER: NonZeroU32 = NonZeroU32::new(64).unwrap();
/// Of one address: a class behind one NAT, but not all there is.
const DEFAULT_ALLOCATIONS_PER_ADDRESS: NonZeroU32 = NonZeroU32::new(256).unwrap();
/// A small rented machine has this much, or more.
const DEFAULT_MBIT: NonZeroU32 = NonZeroU32::new(100).unwrap();
/// As much as a good line at home sends.
const DEFAULT_MBIT_PER_ALLOCATION: NonZeroU32 = NonZeroU32::new(10).unwrap();
/// Credentials that leak are of use for an hour; renewing them costs a stream.
const DEFAULT_TTL_SECONDS: NonZeroU32 = NonZeroU32::new(3_600).unwrap();

impl Settings {
    /// The settings of TURN, with the defaults for those that are missing.
    pub(super) fn turn(&self) -> TurnConfig {
        let is_on = |switch: Option<Switch>| switch.unwrap_or_default() == Switch::On;
        TurnConfig {
            is_on: is_on(self.turn),
            ports: self.turn_ports.unwrap_or_default(),
            allocations: self.turn_allocations.unwrap_or(DEFAULT_ALLOCATIONS),
            allocations_per_peer: self
                .turn_allocations_per_peer
                .unwrap_or(DEFAULT_ALLOCATIONS_PER_PEER),
            allocations_per_address: self
                .turn_allocations_per_address
                .unwrap_or(DEFAULT_ALLOCATIONS_PER_ADDRESS),
            mbit: self.turn_mbit.unwrap_or(DEFAULT_MBIT),
            mbit_per_allocation: self
                .turn_mbit_per_allocation
                .unwrap_or(DEFAULT_MBIT_PER_ALLOCATION),
            ttl_seconds: self.turn_ttl.unwrap_or(DEFAULT_TTL_SECONDS),
            allow_private: is_on(self.turn_allow_private),
        }
    }
}
