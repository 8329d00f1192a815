//! Ctrl-C, SIGTERM, and SIGHUP when a terminal is closed.

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
        let signal = runtime.block_on(async {
            tokio::select! {
                signal = wait_for_signal() => signal,
                () = wait_for_hangup() => HANGUP,
            }
        });
        let _ = fs::remove_file(path);
        process::exit(128 + i32::from(signal));
    };
    thread::Builder::new().spawn(listen).map_err(|error| CliError::system("start a thread", &error))?;
    Ok(())
}

/// The number of SIGHUP.
const HANGUP: u8 = 1;

/// Waits until the terminal is closed; forever if the program is to outlive it, as under `nohup`.
async fn wait_for_hangup() {
    #[cfg(unix)]
    if !ignores_hangup()
        && let Ok(mut hangup) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())
        && hangup.recv().await.is_some()
    {
        return;
    }
    std::future::pending::<()>().await;
}

/// Returns whether the program was started with SIGHUP ignored, which a handler would undo. Where the system does not show it, the
/// signal is left alone.
#[cfg(unix)]
fn ignores_hangup() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_none_or(|mask| mask & (1 << (HANGUP - 1)) != 0)
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
