//! Icons, drawn in the colour of the text beside them. Never the only sign of something.

use leptos::prelude::*;
use moim_peer::{Path, Reach};

/// One of the page's icons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Icon {
    Away,
    Chat,
    Check,
    Close,
    Copy,
    Cross,
    Direct,
    Down,
    Leave,
    Link,
    Network,
    People,
    Plus,
    Relayed,
    Room,
    Send,
    Unconnected,
    Wait,
}

impl Icon {
    /// The sign of how a member is reached.
    pub(crate) fn of_reach(reach: Option<Reach>) -> Self {
        match reach {
            Some(Reach::Connected(Path::Direct(_))) => Self::Direct,
            Some(Reach::Connected(Path::Relayed { .. } | Path::Turn)) => Self::Relayed,
            Some(Reach::Connecting) => Self::Wait,
            Some(Reach::Unconnected) => Self::Unconnected,
            None => Self::Away,
        }
    }

    /// Strokes on a grid of 16 by 16.
    fn path(self) -> &'static str {
        match self {
            Self::Away => "M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 1 0 0 -11M4.2 11.8L11.8 4.2",
            Self::Chat => "M2.5 3.5h11v7.5h-6l-3 2.5v-2.5h-2z",
            Self::Check => "M3 8.5l3.2 3.2L13 4.8",
            Self::Close => "M4 4l8 8M12 4l-8 8",
            Self::Copy => "M5.5 5.5h7.5v8h-7.5zM10.5 5.5v-3h-7.5v8h2.5",
            Self::Cross => "M8 1.8l6.6 11.7H1.4zM8 6.3v3.4M8 11.4v.3",
            Self::Direct => {
                "M3 6.3a1.7 1.7 0 1 0 0 3.4a1.7 1.7 0 1 0 0 -3.4\
                 M13 6.3a1.7 1.7 0 1 0 0 3.4a1.7 1.7 0 1 0 0 -3.4M4.7 8h6.6"
            }
            Self::Down => "M8 3v10M3.5 8.5L8 13l4.5 -4.5",
            Self::Leave => "M6.5 2.5h-4v11h4M6 8h8M11 5l3 3l-3 3",
            Self::Link => {
                "M6.5 9.5a3 3 0 0 0 4.3 0l2.2 -2.2a3 3 0 0 0 -4.3 -4.3l-.9 .9\
                 M9.5 6.5a3 3 0 0 0 -4.3 0l-2.2 2.2a3 3 0 0 0 4.3 4.3l.9 -.9"
            }
            Self::Network => {
                "M8 1.8a1.7 1.7 0 1 0 0 3.4a1.7 1.7 0 1 0 0 -3.4\
                 M3 10.8a1.7 1.7 0 1 0 0 3.4a1.7 1.7 0 1 0 0 -3.4\
                 M13 10.8a1.7 1.7 0 1 0 0 3.4a1.7 1.7 0 1 0 0 -3.4M7.2 5l-3.4 6M8.8 5l3.4 6\
                 M4.7 12.5h6.6"
            }
            Self::People => {
                "M6 3a2.2 2.2 0 1 0 0 4.4a2.2 2.2 0 1 0 0 -4.4M1.8 13.2c0 -5.2 8.4 -5.2 8.4 0\
                 M10.6 3.3a2 2 0 0 1 0 3.9M12 9.6c1.5 .6 2.3 1.8 2.3 3.6"
            }
            Self::Plus => "M8 3v10M3 8h10",
            Self::Relayed => {
                "M2.7 9.8a1.6 1.6 0 1 0 0 3.2a1.6 1.6 0 1 0 0 -3.2\
                 M13.3 9.8a1.6 1.6 0 1 0 0 3.2a1.6 1.6 0 1 0 0 -3.2\
                 M8 2.8a1.6 1.6 0 1 0 0 3.2a1.6 1.6 0 1 0 0 -3.2M3.6 10.1L6.9 5.6\
                 M12.4 10.1L9.1 5.6"
            }
            Self::Room => "M6.3 2.5l-1.6 11M11.3 2.5l-1.6 11M3 6h10.5M2.5 10h10.5",
            Self::Send => "M2.5 8L13.5 3L10.5 13.5L7.5 9.3zM7.5 9.3L13.5 3",
            Self::Unconnected => {
                "M3 6.3a1.7 1.7 0 1 0 0 3.4a1.7 1.7 0 1 0 0 -3.4\
                 M13 6.3a1.7 1.7 0 1 0 0 3.4a1.7 1.7 0 1 0 0 -3.4M6.6 8h.3M9.1 8h.3"
            }
            Self::Wait => "M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 1 0 0 -11M8 5v3.2l2 1.4",
        }
    }
}

/// Draws an icon that says nothing to a screen reader: the words are beside it.
#[component]
pub(crate) fn Drawn(#[prop(into)] icon: Signal<Icon>) -> impl IntoView {
    view! {
        <svg class="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">
            <path d=move || icon.get().path() />
        </svg>
    }
}
