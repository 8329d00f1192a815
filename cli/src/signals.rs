//! Ctrl-C and SIGTERM.

use std::fs;
use std::path::PathBuf;
use std::process;
use std::thread;

use crate::connect;
use crate::exit::CliError;

/// Removes an unfinished file on the first signal, and then exits.
pub fn remove_on_signal(path: PathBuf) -> Result<(), CliError> {
    let runtime = connect::runtime()?;
    let listen = move || {
        let signal = runtime.block_on(wait_for_signal());
        let _ = fs::remove_file(path);
        process::exit(128 + i32::from(signal));
    };
    thread::Builder::new().spawn(listen).map_err(|error| CliError::system("start a thread", &error))?;
    Ok(())
}

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
