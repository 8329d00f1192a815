//! Sending what is in a spool, and removing it. No program may have it open.

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

/// Sends it all, for as long as was said.
pub fn retry(retry: &RetryArguments) -> exit::Result {
    // The key first: it may be missing, and then nothing is to change.
    let client = retry.connection.client()?;
    let mut findings = inspect::report_damage(&retry.dir, ExitStatus::Success)? == ExitStatus::DataError;
    let settings = SpoolOptions::new().max_bytes(u64::MAX).lock_timeout(Duration::from_secs(retry.lock_wait));
    if retry.dead {
        // Room for all of them: they are on this disk already.
        let redriven = Spool::redrive_dead_letters(&retry.dir, settings.clone())?;
        eprint_line(format_args!("{} dead letters are to be sent again", redriven.records));
        if redriven.skipped > 0 {
            eprint_line(format_args!(
                "warning: {} lines were no dead letters: they were skipped and removed",
                redriven.skipped
            ));
            findings = true;
        }
    }
    let uploader = Uploader::builder(client)
        .linger(Duration::ZERO)
        .on_delivery(|report| print_error(report))
        .spool_with(&retry.dir, settings)
        .start()?;
    let stats = uploader.shutdown(Duration::from_secs(retry.wait)).wait();
    let left = stats.spooled + stats.pending;
    match uploader.status() {
        UploaderStatus::Stopped(error) => {
            exit::print_service_messages(&error);
            eprint_line(format_args!("error: {}", exit::message(&error)));
        }
        delivery if left > 0 => {
            let why = delivery.error().map_or_else(String::new, |error| format!(": {}", exit::reason(error)));
            eprint_line(format_args!("the service did not accept all of it within {} seconds{why}", retry.wait));
        }
        _ => {}
    }
    let (delivered, rejected, dropped) = (stats.delivered, stats.rejected, stats.dropped);
    if retry.json {
        let told = json!({ "delivered": delivered, "rejected": rejected, "too_old": dropped, "left": left });
        if let Err(error) = text::print_line(told.to_string()) {
            return CliError::stdout(&error);
        }
    } else {
        eprint_line(format_args!(
            "{delivered} delivered, {rejected} rejected, {dropped} too old, {left} left in the spool"
        ));
    }
    Ok(match () {
        () if left > 0 => ExitStatus::Unavailable,
        () if findings || rejected + dropped > 0 => ExitStatus::DataError,
        () => ExitStatus::Success,
    })
}

/// Tells why a batch was not taken, in the words of whoever did not take it. They stay in the dead letters.
fn print_error(report: &DeliveryReport) {
    let (Some(error), Some(batch)) = (report.error(), report.batch()) else { return };
    eprint_line(format_args!(
        "batch {}: {}",
        printable(batch.source_request_id()),
        printable(&exit::service_message(error))
    ));
}

/// Removes dead letters, or everything, once that is certain to be wanted.
pub fn purge(purge: &PurgeArguments) -> exit::Result {
    let inspector = Inspector::new(&purge.dir);
    let dead_letters = inspector.dead_letters()?.count();
    let mut what = format!("{dead_letters} dead letters");
    if purge.all {
        what = format!("{} batches that were not sent, and {what}", inspector.records()?.count());
    }
    if !purge.yes && !confirm(&format!("Remove {what}, for good?"))? {
        eprint_line("nothing was removed");
        return Ok(ExitStatus::Success);
    }
    if purge.all {
        acknowledge_all(&purge.dir)?;
        Spool::remove_damaged_segments(&purge.dir)?;
    }
    Spool::remove_dead_letters(&purge.dir)?;
    eprint_line(format_args!("removed {what}"));
    Ok(ExitStatus::Success)
}

fn confirm(question: &str) -> exit::Result<bool> {
    if !io::stdin().is_terminal() {
        return Err(CliError::usage("there is no terminal to ask at: --yes removes without asking"));
    }
    write!(io::stderr(), "{question} [y/N] ").map_err(|error| CliError::system("ask", &error))?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(|error| CliError::system("read the answer", &error))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Counts all records as done. Their numbers are not given again, so no record to come is taken for one of them.
fn acknowledge_all(dir: &Path) -> exit::Result<()> {
    // None is too old to be given up.
    let spool = Spool::open(dir, SpoolOptions::new().max_age(Duration::MAX).max_bytes(u64::MAX))?;
    while let Some(record) = spool.next_record()? {
        spool.acknowledge(record.number);
    }
    Ok(())
}
