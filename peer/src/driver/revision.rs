//! Counts the changes of a machine's state, so that whoever shows it knows whether it is news.

/// How often something has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Revision(u64);

impl Revision {
    /// It has changed.
    pub(super) fn bump(&mut self) {
        self.0 = self.0.wrapping_add(1);
    }
}
