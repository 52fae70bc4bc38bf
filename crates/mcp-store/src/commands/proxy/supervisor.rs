//! Messages of the proxy to systemd, which starts it as a service of `Type=notify`.
//!
//! Without a supervisor, `NOTIFY_SOCKET` is not set and nothing is sent.

/// Tells systemd that the store is open and that all addresses accept requests.
pub(super) fn ready() {
    #[cfg(unix)]
    notify(sd_notify::NotifyState::Ready);
}

/// Tells systemd that the proxy has begun to stop.
pub(super) fn stopping() {
    #[cfg(unix)]
    notify(sd_notify::NotifyState::Stopping);
}

#[cfg(unix)]
fn notify(state: sd_notify::NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!("cannot reach the supervisor at NOTIFY_SOCKET: {error}");
    }
}
