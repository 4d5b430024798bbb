//! When something was said.

use moim_peer::PeerId;

use crate::{format, page};

/// When something was said, as it is shown.
#[derive(Clone, Debug)]
pub(crate) struct Stamp {
    /// Unix milliseconds.
    pub(crate) time: f64,
    /// That of the first message of its group.
    pub(super) group: f64,
    /// Stands under the name of the message before it.
    pub(crate) continued: bool,
    /// The date, at the first message of a day that is not the first one shown.
    pub(crate) day: Option<String>,
}

impl Stamp {
    /// `before`: author and beginning of the group of the line above, if it is a message; `last_time`: of the
    /// last message above.
    pub(super) fn new(
        sent: u64,
        before: Option<(PeerId, f64)>,
        last_time: Option<f64>,
        from: PeerId,
    ) -> Self {
        let time = format::shown_time(sent, page::now());
        let day = last_time
            .filter(|last| !page::same_day(*last, time))
            .map(|_| page::day(time));
        let group = before
            .filter(|_| day.is_none() && format::continues(before, from, time))
            .map(|(_, began)| began);
        Self {
            time,
            group: group.unwrap_or(time),
            continued: group.is_some(),
            day,
        }
    }
}
