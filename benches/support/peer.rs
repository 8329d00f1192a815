//! A peer that sends the same response to every request, in threads of this process or in a separate process.

use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;

/// The variable that makes this program the peer of the process that started it.
const PEER: &str = "BENCH_PEER";

/// Starts a peer in threads of this process, and returns its URL.
pub fn start(status: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(stream, status));
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

/// A peer in a separate process, whose CPU time is not part of this one's. The program has to call
/// [`serve_until_orphaned`] if [`is_peer`].
pub struct Process {
    pub url: String,
    child: Child,
}

impl Process {
    pub fn start() -> Self {
        let mut command = Command::new(env::current_exe().expect("this program"));
        command.env(PEER, "1").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("a process");
        let mut url = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut url).expect("the URL of the peer");
        Self { url: url.trim_end().to_owned(), child }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        _ = self.child.wait();
    }
}

fn serve(mut stream: TcpStream, status: &str) -> Option<()> {
    let response = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
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
        stream.write_all(response.as_bytes()).ok()?;
    }
}

fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> Option<usize> {
    stream.read(buffer).ok().filter(|read| *read > 0)
}
