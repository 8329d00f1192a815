//! Prints the cost of each step of an event's way as a ratio to a bare rival that does the same: `just costs`. `benches/COSTS.md`
//! is a copy of its output.
//!
//! Each rival writes what a program without this crate would: hand-written structs, serde_json, reqwest, a bounded channel, a
//! plain file. All steps measure CPU time. `COSTS_STEP=seal COSTS_SIDE=ours` runs one side of one step alone, for 10,000 events,
//! which `just instructions` uses to count instructions.

mod support;

use std::env;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::{Read, Seek, SeekFrom, Write};
use std::process::ExitCode;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use cpu_time::ProcessTime;
use mparticle::spool::{Endpoint, Fsync, Spool, SpoolOptions};
use mparticle::{Batch, Client, Credentials, SealedBatch, Uploader, WhenFull};
use reqwest::header::CONTENT_TYPE;
use support::{Measured, MinimalBatch, Rotation, batches, batches_of, minimal, peer, seconds};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// The number of runs of a step that handle 10,000 events: each run has 100 batches of 5.
const RUNS: usize = 20;
/// The number of times that both sides of a step are measured.
const ROUNDS: usize = 300;

/// One step of the way: both sides return the CPU seconds of a run of 100 batches.
struct Step {
    name: &'static str,
    /// The step and its rival, as a text for the table.
    compared: &'static str,
    limit: Option<f64>,
    ours: Box<dyn FnMut() -> f64>,
    rival: Box<dyn FnMut() -> f64>,
}

fn main() -> ExitCode {
    let steps = [build, seal, pack, attempt, bulk, upload, enqueue, spool_append, spool_read];
    if let Ok(name) = env::var("COSTS_STEP") {
        let mut step = steps.into_iter().map(|step| step()).find(|step| step.name == name).expect("a step");
        let run = if env::var("COSTS_SIDE").as_deref() == Ok("rival") { &mut step.rival } else { &mut step.ours };
        (0..RUNS).for_each(|_| _ = run());
        return ExitCode::SUCCESS;
    }
    println!("| step | what it does, and the bare rival | ratio | at most | cost, relative to build |");
    println!("| --- | --- | ---: | ---: | ---: |");
    let mut of_build = None;
    for step in steps {
        let Step { name, compared, limit, mut ours, mut rival } = step();
        let Measured { ratio, ours, .. } = support::measure(ROUNDS, &mut ours, &mut rival);
        let limit = match limit {
            None => "-".to_owned(),
            Some(limit) if support::keep_limit(ratio, limit) => format!("{limit:.2}"),
            Some(limit) => format!("{limit:.2}: EXCEEDED"),
        };
        let relative = ours / *of_build.get_or_insert(ours);
        println!("| {name} | {compared} | {ratio:.2} | {limit} | {relative:.2} |");
    }
    support::exit_code()
}

fn build() -> Step {
    Step {
        name: "build",
        compared: "events and batches; minimal structs with the same data",
        limit: None,
        ours: Box::new(|| seconds(batches)),
        rival: Box::new(|| seconds(minimal)),
    }
}

fn seal() -> Step {
    let (mut ours, mut rival) = (Rotation::batches_with_ids(), Rotation::minimal_with_ids());
    let to_json = |batch: MinimalBatch| serde_json::to_vec(&batch).expect("JSON");
    Step {
        name: "seal",
        compared: "batches with ids; `serde_json::to_vec` of minimal structs with ids",
        limit: Some(1.3),
        ours: Box::new(move || {
            let batches = ours.next();
            seconds(|| sealed(batches))
        }),
        rival: Box::new(move || {
            let batches = rival.next();
            seconds(|| batches.into_iter().map(to_json).collect::<Vec<_>>())
        }),
    }
}

/// A disabled client packs the batches and accounts for them, but makes no request. Unlike the rival it also keeps the batches of
/// a user in order while it fills requests that have room left.
fn pack() -> Step {
    const BATCHES: i64 = 10_000;
    let sealed = sealed(batches_of(0..BATCHES));
    let bodies = bodies(&sealed);
    let (runtime, client) = (runtime(), Client::disabled().expect("a client"));
    let per_run = f64::from(u32::try_from(sealed.len() / 100).expect("a small number"));
    Step {
        name: "pack",
        compared: "10,000 sealed batches into requests, by user, and their results; the same in the order given",
        limit: None,
        ours: Box::new(move || {
            let sealed = sealed.clone();
            seconds(|| runtime.block_on(client.upload_bulk(sealed)).expect("accepted")) / per_run
        }),
        rival: Box::new(move || {
            let bodies = bodies.clone();
            let pack = |bodies: Vec<Bytes>| pack_in_order(&bodies);
            seconds(|| pack(bodies)) / per_run
        }),
    }
}

/// Puts bodies into requests of at most 100 batches and 256,000 bytes, "sends" each, and returns the number that was delivered.
fn pack_in_order(bodies: &[Bytes]) -> usize {
    let mut results: Vec<Option<Result<(), String>>> = vec![None; bodies.len()];
    let (mut request, mut size) = (Vec::new(), 2);
    let mut send = |request: &mut Vec<(usize, &Bytes)>| {
        black_box(&*request);
        request.drain(..).for_each(|(index, _)| results[index] = Some(Ok(())));
    };
    for (index, body) in bodies.iter().enumerate() {
        if size + body.len() + 1 > 256_000 || request.len() == 100 {
            send(&mut request);
            size = 2;
        }
        size += body.len() + 1;
        request.push((index, body));
    }
    send(&mut request);
    results.iter().filter(|result| matches!(result, Some(Ok(())))).count()
}

fn attempt() -> Step {
    let (runtime, client, mut post) = http();
    let sealed = sealed(batches());
    let bodies = bodies(&sealed);
    Step {
        name: "attempt",
        compared: "a request for each sealed batch; a post of its bytes with reqwest",
        limit: Some(1.2),
        ours: Box::new(move || {
            seconds(|| {
                runtime.block_on(async {
                    for batch in &sealed {
                        client.upload(batch).await.expect("accepted");
                    }
                });
            })
        }),
        rival: Box::new(move || seconds(|| bodies.iter().for_each(|body| post(body.clone())))),
    }
}

/// `benches/uploader.rs` has the limit of this one. The client joins the batches, the rival's body is joined already.
fn bulk() -> Step {
    let (runtime, client, mut post) = http();
    let sealed = sealed(batches());
    let body = joined(&sealed);
    Step {
        name: "attempt, in bulk",
        compared: "a request for 100 sealed batches, which are joined; a post of the joined body with reqwest",
        limit: None,
        ours: Box::new(move || {
            let sealed = sealed.clone();
            seconds(|| runtime.block_on(client.upload_bulk(sealed)).expect("accepted"))
        }),
        rival: Box::new(move || seconds(|| post(body.clone()))),
    }
}

/// `benches/upload.rs` has the limit of this one, and compares batches without ids as well.
fn upload() -> Step {
    let (runtime, client, mut post) = http();
    let (mut ours, mut rival) = (Rotation::batches_with_ids(), Rotation::minimal_with_ids());
    Step {
        name: "upload",
        compared: "a request for 100 batches with ids, which are sealed first; `serde_json::to_vec` of minimal structs, and a post",
        limit: None,
        ours: Box::new(move || {
            let batches = ours.next();
            seconds(|| runtime.block_on(client.upload_bulk::<Batch>(batches)).expect("accepted"))
        }),
        rival: Box::new(move || {
            let batches = rival.next();
            let to_json = |batches: Vec<MinimalBatch>| serde_json::to_vec(&batches).expect("JSON");
            seconds(|| post(to_json(batches).into()))
        }),
    }
}

fn enqueue() -> Step {
    let sealed = sealed(batches());
    let bare = sealed.clone();
    let uploader = Uploader::builder(client(&peer::start("202 Accepted")))
        .when_full(WhenFull::DropOldest)
        .initial_rate(1_000_000)
        .start()
        .expect("a thread");
    let channel = channel();
    Step {
        name: "enqueue",
        compared: "sealed batches to an uploader, counted by bytes and user, each with a completion; a push into a bounded channel",
        limit: None,
        ours: Box::new(move || seconds(|| sealed.iter().for_each(|batch| _ = uploader.try_send(batch)))),
        rival: Box::new(move || seconds(|| bare.iter().for_each(|batch| _ = channel.try_send(batch.clone())))),
    }
}

/// Without fsync, which takes the same time on both sides.
fn spool_append() -> Step {
    let sealed = sealed(batches());
    let bodies = bodies(&sealed);
    let dir = TempDir::new().expect("a directory");
    let spool = spool(&dir);
    let mut log = File::create(dir.path().join("log")).expect("a file");
    Step {
        name: "spool append",
        compared: "sealed batches to the spool, confirmed, without fsync; a write of each to a file",
        limit: None,
        ours: Box::new(move || {
            let time = ProcessTime::now();
            append(&spool, &sealed);
            time.elapsed().as_secs_f64()
        }),
        rival: Box::new(move || {
            let _ = &dir;
            let time = ProcessTime::now();
            for body in &bodies {
                log.write_all(body).expect("the disk accepts writes");
            }
            time.elapsed().as_secs_f64()
        }),
    }
}

fn spool_read() -> Step {
    let sealed = sealed(batches());
    let dir = TempDir::new().expect("a directory");
    let spool = spool(&dir);
    let path = dir.path().join("log");
    fs::write(&path, joined(&sealed)).expect("the disk accepts writes");
    let lengths: Vec<_> = sealed.iter().map(SealedBatch::len).collect();
    let mut log = File::open(path).expect("a file");
    Step {
        name: "spool read",
        compared: "records, checked, as sealed batches; a read of as many bytes for each from a file",
        limit: None,
        ours: Box::new(move || {
            append(&spool, &sealed);
            seconds(|| {
                let read = || spool.next_record().expect("a record").map(|record| record.to_sealed().expect("a batch"));
                let read: Vec<_> = std::iter::from_fn(read).collect();
                assert_eq!(read.len(), sealed.len());
                read
            })
        }),
        rival: Box::new(move || {
            let _ = &dir;
            log.seek(SeekFrom::Start(0)).expect("a position");
            seconds(|| {
                let read = |length: &usize| {
                    let mut bytes = vec![0; *length];
                    log.read_exact(&mut bytes).expect("the disk has them");
                    Bytes::from(bytes)
                };
                lengths.iter().map(read).collect::<Vec<_>>()
            })
        }),
    }
}

fn sealed(batches: Vec<Batch>) -> Vec<SealedBatch> {
    batches.into_iter().map(|batch| batch.seal().expect("a batch")).collect()
}

fn bodies(sealed: &[SealedBatch]) -> Vec<Bytes> {
    sealed.iter().map(|batch| batch.json().clone()).collect()
}

fn joined(sealed: &[SealedBatch]) -> Bytes {
    let joined: Vec<_> = sealed.iter().map(|batch| batch.json().as_ref()).collect();
    Bytes::from([b"[", joined.join(&b","[..]).as_slice(), b"]"].concat())
}

fn client(url: &str) -> Client {
    Client::builder(Credentials::new("key", "secret")).base_url(url).build().expect("a client")
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Returns a client of a peer in another thread, and a post of a body to the same peer with reqwest alone, each in a runtime
/// that has this thread alone. Both limit the time of a request.
fn http() -> (Runtime, Client, impl FnMut(Bytes)) {
    let url = peer::start("202 Accepted");
    let bare = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().expect("a client");
    let (post_runtime, endpoint) = (runtime(), format!("{url}/events"));
    let post = move |body: Bytes| {
        let request = bare.post(&endpoint).basic_auth("key", Some("secret")).header(CONTENT_TYPE, "application/json");
        // The timeout needs the runtime when the request is created.
        let response = post_runtime.block_on(async { request.body(body).send().await }).expect("a response");
        assert_eq!(response.status(), 202);
    };
    (runtime(), client(&url), post)
}

/// Returns a bounded channel whose receiver drops the batches.
fn channel() -> SyncSender<SealedBatch> {
    let (sender, receiver) = sync_channel(10_000);
    thread::spawn(move || receiver.into_iter().for_each(drop));
    sender
}

fn spool(dir: &TempDir) -> Spool {
    let options = SpoolOptions::new().fsync(Fsync::Never).segment_bytes(64 << 20).max_bytes(2 << 30);
    Spool::open(dir.path().join("spool"), options).expect("a spool")
}

/// Appends batches, and waits until all are confirmed.
fn append(spool: &Spool, sealed: &[SealedBatch]) {
    let append = |batch: &SealedBatch| spool.append(Endpoint::BulkEvents, batch.json().clone()).expect("there is room");
    let receipts: Vec<_> = sealed.iter().map(append).collect();
    for receipt in receipts {
        receipt.wait().expect("the disk accepts writes");
    }
}
