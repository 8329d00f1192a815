//! Measures the CPU time and the memory of `mparticle send` for a file of 1,000,000 events:
//! `cargo bench -p mparticle-cli`.
//!
//! The baseline reads the same file, parses each line, checks it against the contract and posts the lines with plain reqwest. Both
//! run as separate processes, as does the mock, and their CPU times, user and system, are compared. `SEND_EVENTS` sets the number
//! of events.

#[path = "support/mod.rs"]
mod child;
#[path = "../tests/support/export.rs"]
mod export;
#[path = "../../tests/support/process.rs"]
mod process;
#[path = "../../benches/support/mod.rs"]
mod support;

use std::env;
use std::error::Error;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};

use child::{mebibytes, run};
use mparticle::contract::check_batch;
use mparticle::limits::{MAX_BATCHES_PER_REQUEST, MAX_REQUEST_BYTES};
use mparticle::mock;
use process::signal;
use serde_json::Value;

/// The variable that makes this program the baseline. Its value is the file.
const BASELINE: &str = "SEND_BENCH_BASELINE";

const ROUNDS: usize = 3;

fn main() -> ExitCode {
    if let Ok(file) = env::var(BASELINE) {
        return match baseline(Path::new(&file)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => panic!("the baseline: {error}"),
        };
    }
    let events: u64 = env::var("SEND_EVENTS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("events.ndjson");
    let batches = write(&file, events);
    let bytes = file.metadata().expect("a file").len();
    println!("{events} events in {batches} batches, {bytes} bytes");

    let mut ratios = Vec::new();
    for round in 0..ROUNDS {
        let both = [round % 2 == 0, round % 2 != 0].map(|ours| {
            let service = Service::start(&[]);
            let mut command = if ours { send(&file, &service) } else { baseline_command(&file, &service) };
            let (seconds, peak) = run(&mut command);
            let summary = service.stop();
            assert_eq!(summary["events"], events, "{summary}");
            let name = if ours { "send" } else { "baseline" };
            println!("  {name}: {seconds:.2} s of CPU, at most {:.1} MiB resident", mebibytes(peak));
            (ours, seconds, peak)
        });
        let result = |wanted| both.iter().find(|(ours, ..)| *ours == wanted).expect("both ran");
        ratios.push(result(true).1 / result(false).1);
        support::check_limit("send: resident memory, in units of 64 MiB", mebibytes(result(true).2) / 64.0, 1.0);
    }
    ratios.sort_by(f64::total_cmp);
    support::check_limit("send: CPU relative to parsing, checking and plain posting", ratios[ratios.len() / 2], 2.0);

    let service = Service::start(&["--fault", "lost@2%", "--fault", "503@2%", "--fault", "reset@1%", "--seed", "7"]);
    fs::remove_file(dir.path().join("events.ndjson.sent.json")).expect("a checkpoint file");
    let (_, peak) = run(&mut send(&file, &service));
    let summary = service.stop();
    println!(
        "with lost responses (2 %), 503 (2 %) and resets (1 %): {} events arrived once, {} duplicate batches were dropped by \
         their ID, at most {:.1} MiB resident",
        summary["events"],
        summary["duplicates"],
        mebibytes(peak)
    );
    support::check_limit("send: events lost or counted twice, per event", lost(&summary, events), 0.0);
    support::exit_code()
}

#[allow(clippy::cast_precision_loss)]
fn lost(summary: &Value, events: u64) -> f64 {
    let arrived = summary["events"].as_u64().expect("a number");
    arrived.abs_diff(events) as f64 / events as f64
}

fn write(file: &Path, events: u64) -> usize {
    let mut out = BufWriter::new(File::create(file).expect("a file"));
    let mut batches = 0;
    for line in export::lines(events, 1) {
        writeln!(out, "{line}").expect("room on the disk");
        batches += 1;
    }
    batches
}

fn send(file: &Path, service: &Service) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mparticle"));
    command.arg("send").arg(file).arg("--quiet");
    command.env("MPARTICLE_BASE_URL", &service.url);
    command.env("MPARTICLE_API_KEY", mock::KEY).env("MPARTICLE_API_SECRET", mock::SECRET);
    command.stderr(Stdio::null());
    command
}

fn baseline_command(file: &Path, service: &Service) -> Command {
    let mut command = Command::new(env::current_exe().expect("this program"));
    command.env(BASELINE, file).env("MPARTICLE_BASE_URL", &service.url);
    command
}

/// The mock, as a separate process.
struct Service {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
    url: String,
}

impl Service {
    fn start(faults: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mparticle"));
        command.args(["mock", "--json"]).args(faults).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("a process");
        let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        out.read_line(&mut line).expect("a line");
        let start: Value = serde_json::from_str(&line).expect("JSON");
        let url = start["listening"].as_str().expect("a URL").to_owned();
        Self { child, out, url }
    }

    /// Stops the mock and returns its summary. Reads the whole output, so that the mock never blocks.
    fn stop(mut self) -> Value {
        signal(&self.child, "TERM");
        let mut last = String::new();
        for line in self.out.by_ref().lines() {
            last = line.expect("text");
        }
        self.child.wait().expect("an exit status");
        serde_json::from_str::<Value>(&last).expect("JSON")["summary"].take()
    }
}

/// Reads, parses, checks and posts the batches with as little work as possible.
fn baseline(file: &Path) -> Result<(), Box<dyn Error>> {
    let url = format!("{}/bulkevents", env::var("MPARTICLE_BASE_URL")?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let post = |body: Vec<u8>| {
        runtime.block_on(async {
            let request = client.post(&url).basic_auth(mock::KEY, Some(mock::SECRET));
            let response = request.header("content-type", "application/json").body(body).send().await?;
            let status = response.status();
            response.bytes().await?;
            if status == 202 { Ok(()) } else { Err(format!("status {status}").into()) }
        })
    };
    let (mut body, mut batches) = (vec![b'['], 0);
    let mut reader = BufReader::with_capacity(128 * 1024, File::open(file)?);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 {
        let text = line.trim_end();
        let value: Value = serde_json::from_str(text)?;
        if !check_batch(&value).is_empty() {
            return Err("invalid batch".into());
        }
        if batches == MAX_BATCHES_PER_REQUEST || body.len() + text.len() + 2 > MAX_REQUEST_BYTES {
            body.push(b']');
            post(std::mem::replace(&mut body, vec![b'[']))?;
            batches = 0;
        }
        if batches > 0 {
            body.push(b',');
        }
        body.extend_from_slice(text.as_bytes());
        batches += 1;
        line.clear();
    }
    body.push(b']');
    let result: Result<(), Box<dyn Error>> = post(body);
    result
}
