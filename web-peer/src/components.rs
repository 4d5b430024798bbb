//! The parts of the page. They read signals and call `actions`; none talks to the peer itself.
//!
//! What comes from other peers is only ever set as text, and isolated from the text around it
//! (`<bdi>`, `dir="auto"`), so that nobody's name can rearrange the page.

#![expect(unreachable_pub, reason = "the component macro makes public items")]

pub(crate) mod announced;
pub(crate) mod composer;
pub(crate) mod connection;
pub(crate) mod direct;
pub(crate) mod frame;
pub(crate) mod icons;
pub(crate) mod join;
pub(crate) mod message_text;
pub(crate) mod people;
pub(crate) mod room;
pub(crate) mod settings_form;
pub(crate) mod talk_log;
