//! What the client costs over a bare reqwest post of the same batches, on loopback: `cargo bench --bench upload`.
//!
//! CPU of the sending thread alone: the runtime has one thread, and the peer runs in another.

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread;

use mparticle::{Batch, Client, Credentials, Event};
use reqwest::header::CONTENT_TYPE;
use support::{MinimalBatch, batches, compare, minimal};
use uuid::Uuid;

fn main() -> ExitCode {
    let url = peer();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let client = Client::builder(Credentials::new("key", "secret")).base_url(&url).build().expect("a client");
    let bare = reqwest::Client::new();
    let (ours, rival) = (batches(), minimal());
    let (mut stamped, mut rival_stamped) = (batches(), minimal());
    stamped.iter_mut().for_each(stamp);
    rival_stamped.iter_mut().for_each(MinimalBatch::stamp);
    let endpoint = format!("{url}/bulkevents");
    let post = |body: Vec<u8>| {
        let request = bare.post(&endpoint).basic_auth("key", Some("secret")).header(CONTENT_TYPE, "application/json");
        let response = runtime.block_on(request.body(body).send()).expect("an answer");
        assert_eq!(response.status(), 202);
    };
    let upload = |batches| _ = runtime.block_on(client.upload_bulk::<Batch>(batches)).expect("accepted");

    compare(
        "upload, beside to_vec and a bare post; both stamp ids",
        Some(1.3),
        500,
        (|| ours.clone(), upload),
        (
            || rival.clone(),
            |mut batches| {
                batches.iter_mut().for_each(MinimalBatch::stamp);
                post(serde_json::to_vec(&batches).expect("JSON"));
            },
        ),
    );
    compare(
        "upload, beside to_vec and a bare post; the ids are there before on both sides",
        Some(1.3),
        500,
        (|| stamped.clone(), upload),
        (|| rival_stamped.clone(), |batches| post(serde_json::to_vec(&batches).expect("JSON"))),
    );
    compare(
        "upload that stamps ids, beside to_vec and a bare post of as many bytes that stamps none",
        None,
        500,
        (|| ours.clone(), upload),
        (|| rival_stamped.clone(), |batches| post(serde_json::to_vec(&batches).expect("JSON"))),
    );
    support::verdict()
}

/// What sealing would stamp.
fn stamp(batch: &mut Batch) {
    batch.source_request_id = Some(Uuid::new_v4().to_string());
    for event in &mut batch.events {
        if let Event::CustomEvent(event) = event {
            event.source_message_id = Some(Uuid::new_v4().to_string());
        }
    }
}

/// Takes every request and answers 202.
fn peer() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(stream));
        }
    });
    format!("http://{address}")
}

fn serve(mut stream: TcpStream) -> Option<()> {
    let mut buffer = vec![0; 1 << 20];
    let mut filled = 0;
    loop {
        let (head, length) = loop {
            if let Some(end) = buffer[..filled].windows(4).position(|window| window == b"\r\n\r\n") {
                let head = std::str::from_utf8(&buffer[..end]).ok()?;
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
                break (end + 4, length.unwrap_or(0));
            }
            filled += read(&mut stream, &mut buffer[filled..])?;
        };
        while filled < head + length {
            filled += read(&mut stream, &mut buffer[filled..])?;
        }
        buffer.copy_within(head + length..filled, 0);
        filled -= head + length;
        stream.write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n").ok()?;
    }
}

fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> Option<usize> {
    stream.read(buffer).ok().filter(|read| *read > 0)
}
