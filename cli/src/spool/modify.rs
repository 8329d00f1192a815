//! Sends or removes the contents of a spool, which no other program may have open.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use mparticle::spool::{Inspector, Spool, SpoolOptions};
use mparticle::{DeliveryReport, Uploader, UploaderStatus};
use serde_json::json;

use super::arguments::{PurgeArguments, RetryArguments};
use super::inspect;
use crate::exit::{self, CliError, ExitStatus};
use crate::text::{self, eprint_line, printable};

/// Sends all batches until they are sent or the time is up.
pub fn retry(retry: &RetryArguments) -> exit::Result {
    // Reads the credentials first, so that nothing changes if they are missing.
    let client = retry.connection.client()?;
    let mut skipped_lines = 0;
    let mut has_findings = inspect::report_damage(&retry.dir, ExitStatus::Success)? == ExitStatus::DataError;
    let settings = SpoolOptions::new().max_bytes(u64::MAX).lock_timeout(Duration::from_secs(retry.lock_wait));
    if retry.dead {
        // The spool is not limited, since the dead letters are on this disk already.
        let redriven = Spool::redrive_dead_letters(&retry.dir, settings.clone())?;
        eprint_line(format_args!("sending {} again", text::format_count(redriven.records, "dead letter")));
        skipped_lines = redriven.skipped;
        if skipped_lines > 0 {
            eprint_line(format_args!(
                "warning: {} without a dead letter {} in {}",
                text::format_count(skipped_lines, "line"),
                if skipped_lines == 1 { "stays" } else { "stay" },
                printable(&retry.dir.join("dead-letters.ndjson").to_string_lossy())
            ));
            has_findings = true;
        }
    }
    let uploader = Uploader::builder(client)
        .linger(Duration::ZERO)
        .on_delivery(|report| print_error(report))
        .spool_with(&retry.dir, settings)
        .start()?;
    let stats = uploader.shutdown(Duration::from_secs(retry.wait)).wait();
    let remaining = stats.spooled + stats.pending;
    match uploader.status() {
        UploaderStatus::Stopped(error) => {
            exit::print_service_messages(&error);
            eprint_line(format_args!("error: {}", exit::message(&error)));
        }
        delivery if remaining > 0 => {
            let reason = delivery.error().map_or_else(String::new, |error| format!(": {}", exit::reason(error)));
            eprint_line(format_args!(
                "not everything was accepted within {}{reason}",
                text::format_count(retry.wait, "second")
            ));
        }
        _ => {}
    }
    let (delivered, rejected, expired) = (stats.delivered, stats.rejected, stats.dropped);
    if retry.json {
        let result = json!({ "delivered": delivered, "rejected": rejected, "expired": expired, "remaining": remaining,
            "skipped_lines": skipped_lines });
        exit::from_write(text::print_line(result.to_string()))?;
    } else {
        eprint_line(format_args!(
            "{delivered} delivered, {rejected} rejected, {expired} expired, {remaining} remaining in the spool"
        ));
    }
    Ok(match () {
        () if remaining > 0 => ExitStatus::Unavailable,
        () if has_findings || rejected + expired > 0 => ExitStatus::DataError,
        () => ExitStatus::Success,
    })
}

/// Prints the reason why a batch was not delivered, which its dead letter keeps.
fn print_error(report: &DeliveryReport) {
    let (Some(error), Some(batch)) = (report.error(), report.batch()) else { return };
    eprint_line(format_args!(
        "batch {}: {}",
        printable(batch.source_request_id()),
        printable(&exit::service_message(error))
    ));
}

/// Removes dead letters or everything, after confirmation.
pub fn purge(purge: &PurgeArguments) -> exit::Result {
    let inspector = Inspector::new(&purge.dir);
    let mut contents = inspect::count_dead_letters(&purge.dir)?;
    if purge.all {
        contents =
            format!("{} and {contents}", text::format_count(inspector.records()?.count() as u64, "unsent batch"));
    }
    if !purge.yes && !confirm(&format!("Permanently remove {contents}?"))? {
        eprint_line("nothing was removed");
        return Ok(ExitStatus::Success);
    }
    if purge.all {
        acknowledge_all(&purge.dir)?;
        Spool::remove_damaged_segments(&purge.dir)?;
    }
    Spool::remove_dead_letters(&purge.dir)?;
    eprint_line(format_args!("removed {contents}"));
    Ok(ExitStatus::Success)
}

fn confirm(question: &str) -> exit::Result<bool> {
    if !io::stdin().is_terminal() {
        return Err(CliError::usage("confirmation needs a terminal; use --yes to skip it"));
    }
    write!(io::stderr(), "{question} [y/N] ").map_err(|error| CliError::system("ask for confirmation", &error))?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(|error| CliError::system("read the answer", &error))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Acknowledges all records. Their numbers are never reused, so that no later record is mistaken for one of them.
fn acknowledge_all(dir: &Path) -> exit::Result<()> {
    // Without a maximum age, no record is dead-lettered meanwhile.
    let spool = Spool::open(dir, SpoolOptions::new().max_age(Duration::MAX).max_bytes(u64::MAX))?;
    while let Some(record) = spool.next_record()? {
        spool.acknowledge(record.number);
    }
    Ok(())
}
