//! What a supervisor is told, where there is one that asks by `NOTIFY_SOCKET` (sd_notify(3)).

/// The node listens: whoever waits for it may start now.
pub(crate) fn ready() {
    #[cfg(target_os = "linux")]
    notify(sd_notify::NotifyState::Ready);
}

/// The node stops, which may take some seconds.
pub(crate) fn stopping() {
    #[cfg(target_os = "linux")]
    notify(sd_notify::NotifyState::Stopping);
}

#[cfg(target_os = "linux")]
fn notify(state: sd_notify::NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "can't tell the supervisor (NOTIFY_SOCKET)");
    }
}
