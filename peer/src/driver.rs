//! The one task that owns the swarm.
//!
//! A command comes in from the handle, or an event from the swarm, or a deadline passes; the
//! handler, a plain function, feeds the machines and applies what they decide. Nothing is awaited
//! but the next of these three. Answers go out by the command's own channel, state by `watch`
//! channels, and what happened by the bounded event queue.

mod act;
mod addresses;
mod announcing;
mod asks;
mod circuits;
mod clock;
mod closing;
mod commands;
mod connections;
mod dht;
mod dial;
mod dial_error;
mod dialling;
mod direct;
mod doubt;
mod entering;
mod entry;
mod joining;
mod kept;
mod lifetimes;
mod liveness;
mod losing;
mod lost;
mod messages;
mod network;
#[cfg(feature = "programs")]
mod opening;
#[cfg(feature = "programs")]
mod operations;
mod overview;
#[cfg(feature = "programs")]
mod programs;
#[cfg(not(feature = "programs"))]
#[path = "driver/without_programs.rs"]
mod programs;
#[cfg(feature = "programs")]
mod providers;
#[cfg(feature = "programs")]
mod providing;
mod publish;
mod putting_away;
mod queries;
mod reach;
mod relays;
mod requests;
mod restart;
mod revision;
mod rooms;
mod run;
mod scores;
mod seldom;
#[cfg(feature = "programs")]
mod serving;
mod shares;
mod shown;
mod start;
mod state;
mod stopping;
#[cfg(feature = "programs")]
mod streams;
mod thrift;
mod time;
#[cfg(feature = "programs")]
mod values;
mod view;
mod ways;

pub(crate) use self::state::Driver;
