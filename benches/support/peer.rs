//! A peer that sends the same response to every request, in threads of this process or in a separate process, which can also be
//! unavailable for a time.

use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// The variable that makes this program the peer of the process that started it.
const PEER: &str = "BENCH_PEER";

/// Starts a peer in threads of this process, and returns its URL.
pub fn start(status: &'static str) -> String {
    start_with(move |_| status)
}

/// Starts a peer whose response to a body is the status that `respond` returns.
fn start_with(respond: impl Fn(&[u8]) -> &'static str + Send + Sync + 'static) -> String {
    let respond = Arc::new(respond);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let respond = Arc::clone(&respond);
            thread::spawn(move || serve(stream, &*respond));
        }
    });
    format!("http://{address}")
}

/// Returns true if another process started this one as its peer.
pub fn is_peer() -> bool {
    env::var_os(PEER).is_some()
}

/// Prints the URL of a peer that always responds with this status, and serves until standard input is closed, which happens
/// at the latest when the other process ends.
pub fn serve_until_orphaned(status: &'static str) -> ExitCode {
    println!("{}", start(status));
    _ = io::copy(&mut io::stdin(), &mut io::sink());
    ExitCode::SUCCESS
}

/// Does the same, with a peer that accepts every request and passes its body to `accept`, except while the other process makes it
/// [unavailable](Process::set_unavailable).
pub fn serve_with_outages(accept: impl Fn(&[u8]) + Send + Sync + 'static) {
    let is_unavailable = Arc::new(AtomicBool::new(false));
    let unavailable = Arc::clone(&is_unavailable);
    let url = start_with(move |body| {
        if unavailable.load(Ordering::SeqCst) {
            return "503 Service Unavailable";
        }
        accept(body);
        "202 Accepted"
    });
    println!("{url}");
    for line in io::stdin().lines().map_while(Result::ok) {
        is_unavailable.store(line == UNAVAILABLE, Ordering::SeqCst);
        println!("{line}");
    }
}

/// The lines that make a peer unavailable and available.
const UNAVAILABLE: &str = "unavailable";
const AVAILABLE: &str = "available";

/// A peer in a separate process, whose CPU time is not part of this one's. The program has to call
/// [`serve_until_orphaned`] or [`serve_with_outages`] if [`is_peer`].
pub struct Process {
    pub url: String,
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Process {
    pub fn start() -> Self {
        let mut command = Command::new(env::current_exe().expect("this program"));
        command.env(PEER, "1").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("a process");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut process = Self { url: String::new(), child, stdout };
        process.url = process.read_line();
        process
    }

    /// Makes the peer respond with 503, or accept requests again. Works with [`serve_with_outages`].
    pub fn set_unavailable(&mut self, is_unavailable: bool) {
        let line = if is_unavailable { UNAVAILABLE } else { AVAILABLE };
        writeln!(self.child.stdin.as_ref().expect("a pipe"), "{line}").expect("the peer runs");
        assert_eq!(self.read_line(), line);
    }

    /// Ends the peer, and returns the rest of its output.
    pub fn finish(mut self) -> String {
        drop(self.child.stdin.take());
        let mut output = String::new();
        self.stdout.read_to_string(&mut output).expect("text");
        output
    }

    fn read_line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("text");
        line.trim_end().to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        _ = self.child.wait();
    }
}

fn serve(mut stream: TcpStream, respond: &dyn Fn(&[u8]) -> &'static str) -> Option<()> {
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
        let status = respond(&buffer[head..head + length]);
        let response = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        buffer.copy_within(head + length..filled, 0);
        filled -= head + length;
        stream.write_all(response.as_bytes()).ok()?;
    }
}

fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> Option<usize> {
    stream.read(buffer).ok().filter(|read| *read > 0)
}
