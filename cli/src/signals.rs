//! Ctrl-C and SIGTERM.

/// Waits for a signal to terminate, and returns its number.
pub async fn wait_for_signal() -> u8 {
    const INTERRUPT: u8 = 2;
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        const TERMINATE: u8 = 15;
        if let Ok(mut terminated) = signal(SignalKind::terminate()) {
            return tokio::select! {
                _ = terminated.recv() => TERMINATE,
                _ = tokio::signal::ctrl_c() => INTERRUPT,
            };
        }
    }
    let _ = tokio::signal::ctrl_c().await;
    INTERRUPT
}
