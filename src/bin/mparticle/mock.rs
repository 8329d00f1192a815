//! `mparticle mock`: a service to send to, at a terminal.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use clap::Args;
use mparticle::mock::{self, FaultPlan, MockServer, MockStats, ParseFaultError, ReceivedRequest};

use crate::connect;
use crate::exit::{self, CliError};
use crate::signals;
use crate::text::{eprint_line, print_line, printable};

const EXAMPLES: &str = "\
Examples:
  mparticle mock                              a strict service on a free port, with a live page
  mparticle mock --port 8080 --lenient        takes what the service would, and tells what is wrong
  mparticle mock --rate 270                   answers 429 above 270 batches a second
  mparticle mock --fault 503,503,ok           the first two requests fail
  mparticle mock --fault lost@5% --fault delay=200ms@10%
  mparticle mock --partial-responses          refuses the bad batches of a bulk request alone

Faults: 503 (any status), 429:retry-after=2, 429:limit=acceleration, delay=200ms, stall=before, stall=during,
stall=after, stall=response, reset, lost, truncated, oversized, oversized=10000000, malformed, html, partial=1, partial=0+2,
partial=1:by=position, partial=1:by=none, ok. A list is met one request each, a share by chance. partial refuses batches
by their indices within each request, from 0; a request without these batches is answered as usual.

It ends with Ctrl-C or SIGTERM, and prints a summary then.";

/// Run a local service that holds every request against the API's document
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Port to listen on; 0 takes one that is free
    #[arg(long, default_value_t = 0)]
    port: u16,

    /// Address to listen on. Elsewhere than on loopback whoever reaches this machine can read what is sent
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    bind: IpAddr,

    /// Accept what the service would, and only tell what is wrong
    #[arg(long)]
    lenient: bool,

    /// Store the good batches of a bulk request and name the bad ones in a 202, as the service does, instead of a 400
    #[arg(long)]
    partial_responses: bool,

    /// Answer 429 above this many batches a second; the service's default is 270
    #[arg(long, value_name = "BATCHES", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,

    /// With --rate: by which factor the speed may rise from one second to the next
    #[arg(long, value_name = "FACTOR", requires = "rate")]
    acceleration: Option<f64>,

    /// What goes wrong: a list of faults (503,503,ok) or one by chance (reset@10%); may be given several times
    #[arg(long, value_name = "FAULT")]
    fault: Vec<String>,

    /// What chance starts from: the same seed gives the same faults
    #[arg(long, default_value_t = 0)]
    seed: u64,

    /// API key that is let in
    #[arg(long, default_value = mock::KEY)]
    key: String,

    /// API secret that is let in
    #[arg(long, default_value = mock::SECRET, hide_default_value = true)]
    secret: String,

    /// Print one JSON object a line: where it listens, each request, and the summary
    #[arg(long)]
    json: bool,
}

/// Starts the mock, prints a line a request until it is told to end, and then a summary.
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
    let output = if json { RequestPrinter::Json } else { RequestPrinter::Text };
    eprint_line(format_args!(
        "listening on {} (key {key}, secret {shown_secret}); open it in a browser to watch",
        server.url()
    ));
    let written = connect::runtime()?.block_on(async {
        output.start(&server.url())?;
        let mut requests = server.request_stream();
        let end = signals::wait_for_signal();
        tokio::pin!(end);
        loop {
            tokio::select! {
                request = requests.next() => match request {
                    Some(request) => output.request(&request)?,
                    None => break,
                },
                _ = &mut end => break,
            }
        }
        // What came in until the end is told as well.
        while let Some(request) = requests.try_next() {
            output.request(&request)?;
        }
        output.end(&server.stats(), requests.missed())
    });
    exit::from_write(written)
}

fn parse_faults(texts: &[String]) -> Result<FaultPlan, ParseFaultError> {
    let mut plan = FaultPlan::default();
    texts.iter().try_for_each(|text| plan.add(text))?;
    Ok(plan)
}

/// How requests are told on stdout.
#[derive(Clone, Copy)]
enum RequestPrinter {
    Text,
    Json,
}

impl RequestPrinter {
    fn start(self, url: &str) -> io::Result<()> {
        match self {
            Self::Text => Ok(()),
            Self::Json => print_line(serde_json::json!({ "listening": url }).to_string()),
        }
    }

    fn request(self, request: &ReceivedRequest) -> io::Result<()> {
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

    fn end(self, counts: &MockStats, missed: u64) -> io::Result<()> {
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
                    eprint_line(format_args!("{missed} requests came faster than they could be printed"));
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

/// At most this many violations of a request are printed as text.
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
    let mut add = |count: usize, what: &str| {
        if count > 0 {
            line.push_str(&format!(", {count} {what}"));
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
