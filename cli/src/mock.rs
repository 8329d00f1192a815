//! `mparticle mock`: the mock server at a terminal.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};

use clap::Args;
use mparticle::mock::{self, FaultPlan, MockServer, MockStats, ParseFaultError, ReceivedRequest};

use crate::connect;
use crate::exit::{self, CliError, ExitStatus};
use crate::signals;
use crate::text::{eprint_line, print_line, printable};

const EXAMPLES: &str = "\
Examples:
  mparticle mock                              a strict server on a free port, with a live page
  mparticle mock --port 8080 --lenient        accept what the service accepts; report violations
  mparticle mock --rate 270                   respond 429 above 270 batches per second
  mparticle mock --fault 503,503,ok           fail the first two requests
  mparticle mock --fault lost@5% --fault delay=200ms@10%
  mparticle mock --partial-responses          reject only the invalid batches of a bulk request

Faults: 503 (any status), 429:retry-after=2, 429:limit=acceleration, delay=200ms, stall=before, stall=during,
stall=after, stall=response, reset, lost, truncated, oversized, oversized=10000000, malformed, html, partial=1, partial=0+2,
partial=1:by=position, partial=1:by=none, ok. A list applies one fault to each request, in order; a percentage applies the
fault at random. partial rejects batches by their index within each request, from 0; other requests are unaffected.

Ctrl-C or SIGTERM stops the server, which then prints a summary.";

/// Run a local mock server that validates every request against the API's document
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Port to listen on; 0 picks a free port
    #[arg(long, default_value_t = 0)]
    port: u16,

    /// Address to listen on. Beyond loopback, anyone who can reach this machine can read the data sent to it
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1", value_parser = parse_address)]
    bind: IpAddr,

    /// Accept what the service accepts, and report violations without rejecting
    #[arg(long)]
    lenient: bool,

    /// Store the valid batches of a bulk request and list the invalid ones in a 202, as the service does, instead of a 400
    #[arg(long)]
    partial_responses: bool,

    /// Respond 429 above this many batches per second; the default of the service is 270
    #[arg(long, value_name = "BATCHES", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,

    /// With --rate: factor by which the rate may grow from one second to the next
    #[arg(long, value_name = "FACTOR", requires = "rate", value_parser = parse_factor)]
    acceleration: Option<f64>,

    /// Inject faults: a list, for example 503,503,ok, or a random one, for example reset@10%; can be repeated
    #[arg(long, value_name = "FAULT")]
    fault: Vec<String>,

    /// Seed of random faults; the same seed gives the same faults
    #[arg(long, default_value_t = 0)]
    seed: u64,

    /// API key to accept
    #[arg(long, default_value = mock::KEY)]
    key: String,

    /// API secret to accept
    #[arg(long, default_value = mock::SECRET, hide_default_value = true)]
    secret: String,

    /// Print one JSON object per line: the address, each request, and the summary
    #[arg(long)]
    json: bool,
}

/// Starts the mock, prints each request until a signal arrives, and then prints a summary.
pub fn run(arguments: Arguments) -> exit::Result {
    let Arguments { port, bind, lenient, partial_responses, rate, acceleration, fault, seed, key, secret, json } =
        arguments;
    let faults = parse_faults(&fault).map_err(|error| CliError::usage(error.to_string()))?;
    let shown_secret = if secret == mock::SECRET { mock::SECRET } else { "(as given)" };
    let mut builder = MockServer::builder().listen((bind, port)).credentials(&key, secret).faults(faults).seed(seed);
    builder = builder.partial_responses(partial_responses);
    if lenient {
        builder = builder.lenient();
    }
    if let Some(rate) = rate {
        builder = builder.rate_limit(rate);
    }
    if let Some(factor) = acceleration {
        builder = builder.acceleration_limit(factor);
    }
    let server =
        builder.try_start().map_err(|error| CliError::system(&format!("listen on {bind}, port {port}"), &error))?;
    let printer = if json { RequestPrinter::Json } else { RequestPrinter::Text };
    let url = local_url(&server.url());
    eprint_line(format_args!("listening on {url} (key {key}, secret {shown_secret}); open it in a browser to watch"));
    if !bind.is_loopback() {
        eprint_line(format_args!(
            "warning: listening on {bind}: anyone who can reach this machine can read the data sent to it"
        ));
    }
    let written = connect::runtime()?.block_on(async {
        printer.print_address(&url)?;
        let mut requests = server.request_stream();
        let end = signals::wait_for_signal();
        tokio::pin!(end);
        loop {
            tokio::select! {
                request = requests.next() => match request {
                    Some(request) => printer.print_request(&request)?,
                    None => break,
                },
                _ = &mut end => break,
            }
        }
        // Requests that arrived before the signal are printed too.
        while let Some(request) = requests.try_next() {
            printer.print_request(&request)?;
        }
        printer.print_summary(&server.stats(), requests.missed())
    });
    exit::from_write(written)?;
    Ok(ExitStatus::Success)
}

/// Parses an address, or the name of one, for example `localhost`.
fn parse_address(text: &str) -> Result<IpAddr, String> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = bare.parse() {
        return Ok(address);
    }
    let addresses = (text, 0).to_socket_addrs().map_err(|error| format!("it is no address, and as a name: {error}"))?;
    let addresses: Vec<_> = addresses.map(|address| address.ip()).collect();
    let preferred = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first());
    preferred.copied().ok_or_else(|| "the name has no address".into())
}

/// Returns the URL for programs on this machine: no program can connect to the address that stands for all interfaces.
fn local_url(url: &str) -> String {
    url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
}

fn parse_faults(texts: &[String]) -> Result<FaultPlan, ParseFaultError> {
    let mut plan = FaultPlan::default();
    texts.iter().try_for_each(|text| plan.add(text))?;
    Ok(plan)
}

/// Prints requests to stdout.
#[derive(Clone, Copy)]
enum RequestPrinter {
    Text,
    Json,
}

impl RequestPrinter {
    fn print_address(self, url: &str) -> io::Result<()> {
        match self {
            Self::Text => Ok(()),
            Self::Json => print_line(serde_json::json!({ "listening": url }).to_string()),
        }
    }

    fn print_request(self, request: &ReceivedRequest) -> io::Result<()> {
        match self {
            Self::Json => print_line(request.to_json().to_string()),
            Self::Text => {
                let mut lines = format_request(request);
                for violation in request.violations.iter().take(MAX_PRINTED_VIOLATIONS) {
                    lines.push_str(&format!(
                        "\n  {}: {}",
                        violation.severity.name(),
                        printable(&violation.to_string())
                    ));
                }
                let more = request.violations.len().saturating_sub(MAX_PRINTED_VIOLATIONS);
                if more > 0 {
                    lines.push_str(&format!("\n  and {more} more"));
                }
                print_line(&lines)
            }
        }
    }

    fn print_summary(self, counts: &MockStats, missed: u64) -> io::Result<()> {
        let MockStats {
            requests,
            refused,
            batches,
            events,
            duplicates,
            ignored,
            refused_batches,
            errors,
            warnings,
            ..
        } = counts;
        match self {
            Self::Json => print_line(
                serde_json::json!({ "summary": {
                    "requests": requests, "refused": refused, "batches": batches, "events": events,
                    "duplicates": duplicates, "ignored": ignored, "refused_batches": refused_batches, "errors": errors,
                    "warnings": warnings, "not_printed": missed,
                } })
                .to_string(),
            ),
            Self::Text => {
                if missed > 0 {
                    eprint_line(format_args!("{missed} requests arrived faster than they could be printed"));
                }
                let refused_batches =
                    if *refused_batches > 0 { format!(" (and {refused_batches} refused)") } else { String::new() };
                eprint_line(format_args!(
                    "{requests} requests ({refused} refused), {batches} batches{refused_batches}, {events} events, {duplicates} duplicates, \
                     {ignored} ignored, {errors} errors, {warnings} warnings"
                ));
                Ok(())
            }
        }
    }
}

/// The maximum number of violations printed as text for each request.
const MAX_PRINTED_VIOLATIONS: usize = 10;

fn format_request(request: &ReceivedRequest) -> String {
    let status = request.status.map_or("---".to_owned(), |status| status.to_string());
    let mut line = format!(
        "{} {status} {} {} {} bytes",
        request.time.format("%H:%M:%S%.3f"),
        request.method,
        printable(&request.path),
        request.body.len()
    );
    let mut add = |count: usize, noun: &str| {
        if count > 0 {
            line.push_str(&format!(", {count} {noun}"));
        }
    };
    let batches = request.batches();
    add(batches.len(), "batches");
    add(batches.iter().map(|batch| batch["events"].as_array().map_or(0, Vec::len)).sum(), "events");
    add(request.duplicates.len(), "duplicates");
    add(request.ignored.len(), "ignored");
    add(request.refused.len(), "batches refused");
    if let Some(fault) = &request.fault {
        line.push_str(&format!(", fault {fault}"));
    }
    line
}

/// Parses the factor of `--acceleration`.
fn parse_factor(text: &str) -> Result<f64, String> {
    let factor = text.parse().ok().filter(|factor: &f64| factor.is_finite() && *factor > 0.0);
    factor.ok_or_else(|| "expected a number above 0, for example 1.5".into())
}
