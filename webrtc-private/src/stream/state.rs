//! How far the two directions of a stream are closed. Pure.
//!
//! [libp2p/specs, webrtc/README.md](https://github.com/libp2p/specs/blob/master/webrtc/README.md#multiplexing):
//! a side that has sent all it has sends `FIN` and waits for `FIN_ACK`; one that will read no more sends
//! `STOP_SENDING`; `RESET` ends both.

use super::frame::Flag;

/// The direction from the other side to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    Open,
    /// We have said that we read no more; what still comes is thrown away.
    Stopped,
    /// The other side has sent everything.
    Ended,
}

/// The direction from us to the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Write {
    Open,
    /// We have sent everything.
    Finished,
    /// And the other side has it.
    Acknowledged,
    /// The other side reads no more.
    Refused,
}

/// Both directions of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    read: Read,
    write: Write,
    /// Either side has given up.
    reset: bool,
}

/// What to make of an attempt to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writable {
    Yes,
    /// We have closed this direction.
    Closed,
    /// The other side reads no more.
    Refused,
    /// The stream was reset.
    Reset,
}

impl State {
    pub(crate) const fn new() -> Self {
        Self {
            read: Read::Open,
            write: Write::Open,
            reset: false,
        }
    }

    /// A flag arrived. Returns what to answer.
    pub(crate) const fn receive(&mut self, flag: Flag) -> Option<Flag> {
        match flag {
            Flag::Fin => {
                // Also a second time: the first answer may not have been understood.
                self.read = Read::Ended;
                return Some(Flag::FinAck);
            }
            Flag::FinAck => {
                if matches!(self.write, Write::Finished) {
                    self.write = Write::Acknowledged;
                }
            }
            Flag::StopSending => {
                if matches!(self.write, Write::Open) {
                    self.write = Write::Refused;
                }
            }
            Flag::Reset => self.reset = true,
        }
        None
    }

    /// We will send no more. Returns what to send, if that is news.
    pub(crate) fn finish(&mut self) -> Option<Flag> {
        // Somebody who reads no more still wants to know that the direction is closed.
        if self.reset || !matches!(self.write, Write::Open | Write::Refused) {
            return None;
        }
        self.write = Write::Finished;
        Some(Flag::Fin)
    }

    /// We will read no more. Returns what to send, if that is news.
    pub(crate) fn stop_reading(&mut self) -> Option<Flag> {
        if self.reset || self.read != Read::Open {
            return None;
        }
        self.read = Read::Stopped;
        Some(Flag::StopSending)
    }

    /// We give up. Returns what to send, if that is news.
    pub(crate) fn reset(&mut self) -> Option<Flag> {
        if self.reset || self.is_over() {
            return None;
        }
        self.reset = true;
        Some(Flag::Reset)
    }

    /// Data that arrives goes to the reader.
    pub(crate) fn takes_data(&self) -> bool {
        !self.reset && self.read == Read::Open
    }

    /// The other side has sent everything.
    pub(crate) fn is_read_ended(&self) -> bool {
        self.read == Read::Ended
    }

    pub(crate) const fn is_reset(&self) -> bool {
        self.reset
    }

    pub(crate) const fn writable(&self) -> Writable {
        if self.reset {
            return Writable::Reset;
        }
        match self.write {
            Write::Open => Writable::Yes,
            Write::Finished | Write::Acknowledged => Writable::Closed,
            Write::Refused => Writable::Refused,
        }
    }

    /// Neither side has anything more to say: the channel can be closed.
    pub(crate) fn is_over(&self) -> bool {
        self.reset || self.is_finished()
    }

    /// Both sides have said all, and know it of each other.
    pub(crate) fn is_finished(&self) -> bool {
        self.read == Read::Ended && self.write == Write::Acknowledged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_finish() {
        let mut state = State::new();
        assert_eq!(state.finish(), Some(Flag::Fin));
        assert_eq!(state.finish(), None, "once");
        assert_eq!(state.writable(), Writable::Closed);
        assert!(state.takes_data() && !state.is_over());
        assert_eq!(state.receive(Flag::FinAck), None);
        assert!(!state.is_over());
        assert_eq!(state.receive(Flag::Fin), Some(Flag::FinAck));
        assert!(state.is_over() && state.is_read_ended());
        assert_eq!(state.reset(), None, "there is nothing left to give up");
    }

    #[test]
    fn the_other_side_finishes_first() {
        let mut state = State::new();
        assert_eq!(state.receive(Flag::Fin), Some(Flag::FinAck));
        assert!(!state.takes_data());
        assert_eq!(state.writable(), Writable::Yes);
        assert_eq!(state.finish(), Some(Flag::Fin));
        assert!(!state.is_over());
        state.receive(Flag::FinAck);
        assert!(state.is_over());
    }

    #[test]
    fn the_other_side_reads_no_more() {
        let mut state = State::new();
        assert_eq!(state.receive(Flag::StopSending), None);
        assert_eq!(state.writable(), Writable::Refused);
        assert_eq!(state.finish(), Some(Flag::Fin));
        state.receive(Flag::FinAck);
        state.receive(Flag::Fin);
        assert!(state.is_over());
    }

    #[test]
    fn we_read_no_more() {
        let mut state = State::new();
        assert_eq!(state.stop_reading(), Some(Flag::StopSending));
        assert_eq!(state.stop_reading(), None, "once");
        assert!(!state.takes_data());
        // Flags still count.
        assert_eq!(state.finish(), Some(Flag::Fin));
        state.receive(Flag::FinAck);
        assert_eq!(state.receive(Flag::Fin), Some(Flag::FinAck));
        assert!(state.is_over());
    }

    #[test]
    fn either_side_gives_up() {
        let mut ours = State::new();
        assert_eq!(ours.reset(), Some(Flag::Reset));
        assert_eq!(ours.reset(), None, "once");
        let mut theirs = State::new();
        assert_eq!(theirs.receive(Flag::Reset), None);
        for mut state in [ours, theirs] {
            assert!(state.is_over() && state.is_reset() && !state.takes_data());
            assert_eq!(state.writable(), Writable::Reset);
            assert_eq!(state.finish(), None);
            assert_eq!(state.stop_reading(), None);
        }
    }

    #[test]
    fn flags_that_make_no_sense_change_nothing() {
        let mut state = State::new();
        state.receive(Flag::FinAck);
        assert_eq!(state, State::new());
        state.finish();
        state.receive(Flag::StopSending);
        assert_eq!(state.writable(), Writable::Closed);
    }
}
