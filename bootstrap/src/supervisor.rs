//! What a supervisor is told, where there is one that asks by `NOTIFY_SOCKET` (sd_notify(3)).

/// The node listens: whoever waits for it may start now.
pub(crate) fn ready() {
    #[cfg(target_os = "linux")]
    notify(&[sd_notify::NotifyState::Ready]);
}

/// The node takes up other settings, and will say again that it is ready.
pub(crate) fn reloading() {
    #[cfg(target_os = "linux")]
    {
        use sd_notify::NotifyState;
        // The supervisor tells by the time which of its requests this is about.
        let now = NotifyState::monotonic_usec_now().ok();
        notify(
            &[NotifyState::Reloading]
                .into_iter()
                .chain(now)
                .collect::<Vec<_>>(),
        );
    }
}

/// The event loop goes round, if somebody wants to know (`WatchdogSec` of systemd.service(5)).
pub(crate) fn alive() {
    #[cfg(target_os = "linux")]
    if sd_notify::watchdog_enabled().is_some() {
        notify(&[sd_notify::NotifyState::Watchdog]);
    }
}

/// The node stops, which may take some seconds.
pub(crate) fn stopping() {
    #[cfg(target_os = "linux")]
    notify(&[sd_notify::NotifyState::Stopping]);
}

#[cfg(target_os = "linux")]
fn notify(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "can't tell the supervisor (NOTIFY_SOCKET)");
    }
}
