//! A peer that takes every request and gives the same answer, in threads of its own.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

/// Where it listens.
pub fn answering(status: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(stream, status));
        }
    });
    format!("http://{address}")
}

fn serve(mut stream: TcpStream, status: &str) -> Option<()> {
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
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
        stream.write_all(answer.as_bytes()).ok()?;
    }
}

fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> Option<usize> {
    stream.read(buffer).ok().filter(|read| *read > 0)
}
