//! Measures the CPU time of a request to the mock and the memory of the mock: `cargo bench --bench mock`. Linux only.
//!
//! Compares the CPU time of the mock's thread, including sockets, HTTP and storage, to parsing the same bytes and validating them
//! with the `jsonschema` crate alone against the same strict view of the document.

mod support;

use std::process::ExitCode;
use std::{fs, io};

use mparticle::mock::{self, MockServer};
use mparticle::{Batch, contract};
use serde_json::{Value, json};
use support::batches;

const EVENTS: u64 = 1_000_000;

fn main() -> ExitCode {
    let validator = jsonschema::options()
        .with_draft(jsonschema::Draft::Draft7)
        .should_validate_formats(true)
        .build(&schema())
        .expect("a schema");
    let all = batches();
    for (name, count, limit) in [
        ("a bulk request of 100 batches of 5 events", 100, Some(2.0)),
        ("a bulk request of 10 batches of 5 events", 10, None),
        ("a bulk request of 1 batch of 5 events", 1, None),
    ] {
        let server = MockServer::start_blocking();
        let send = sender(&server);
        let thread = Thread::named("mparticle-mock").expect("the mock's thread in /proc");
        support::compare_seconds(
            &format!("{name}, relative to parsing and bare validation"),
            limit,
            300,
            || {
                let body = sealed(&all[..count]);
                let before = thread.seconds();
                send(body);
                thread.seconds() - before
            },
            || {
                let body = sealed(&all[..count]);
                support::seconds(|| {
                    let value: Value = serde_json::from_slice(&body).expect("JSON");
                    assert!(validator.is_valid(&value));
                    value
                })
            },
        );
    }
    memory(&all);
    support::exit_code()
}

/// Returns the schema of a list of batches in the strict view.
fn schema() -> Value {
    let document: Value = serde_json::from_str(&contract::strict_document()).expect("JSON");
    json!({ "components": document["components"], "type": "array", "items": { "$ref": "#/components/schemas/Batch" } })
}

/// Returns a bulk body with unique ids.
fn sealed(batches: &[Batch]) -> Vec<u8> {
    let sealed = batches.iter().map(|batch| batch.clone().seal().expect("a batch"));
    let texts: Vec<_> = sealed.map(|batch| String::from_utf8(batch.json().to_vec()).expect("UTF-8")).collect();
    format!("[{}]", texts.join(",")).into_bytes()
}

fn sender(server: &MockServer) -> impl Fn(Vec<u8>) + use<> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (client, url) = (reqwest::Client::new(), format!("{}/bulkevents", server.url()));
    move |body| {
        let request = client.post(&url).basic_auth(mock::KEY, Some(mock::SECRET));
        let request = request.header("content-type", "application/json").body(body);
        assert_eq!(runtime.block_on(request.send()).expect("a response").status(), 202);
    }
}

/// Measures the memory of this process while a mock receives a million events.
fn memory(all: &[Batch]) {
    let server = MockServer::start_blocking();
    let send = sender(&server);
    let mut quarters = Vec::new();
    println!("resident memory of a mock that receives events and keeps {} MiB of bodies", mock::KEPT_BYTES >> 20);
    while server.stats().events < EVENTS {
        send(sealed(all));
        let events = server.stats().events;
        if events >= (quarters.len() as u64 + 1) * EVENTS / 4 {
            let resident = support::resident_bytes().expect("/proc");
            println!("  after {events} events: {:.1} MiB", resident / 1024.0 / 1024.0);
            quarters.push(resident);
        }
    }
    support::check_limit("memory after all events, relative to that after a quarter", quarters[3] / quarters[0], 1.1);
}

/// A thread of this process with its CPU time.
struct Thread(std::path::PathBuf);

impl Thread {
    fn named(name: &str) -> io::Result<Self> {
        for task in fs::read_dir("/proc/self/task")? {
            let task = task?.path();
            // The system truncates names to 15 characters.
            if fs::read_to_string(task.join("comm"))?.trim() == &name[..name.len().min(15)] {
                return Ok(Self(task.join("schedstat")));
            }
        }
        Err(io::ErrorKind::NotFound.into())
    }

    fn seconds(&self) -> f64 {
        let text = fs::read_to_string(&self.0).expect("a running thread");
        let nanoseconds = text.split(' ').next().and_then(|number| number.parse().ok());
        nanoseconds.map(std::time::Duration::from_nanos).expect("a number").as_secs_f64()
    }
}
