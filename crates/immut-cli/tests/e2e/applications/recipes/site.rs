//! A web server with one page, linked statically.

use std::io::{Read, Write};
use std::net::TcpListener;

fn main() -> std::io::Result<()> {
    for connection in TcpListener::bind("0.0.0.0:8080")?.incoming() {
        let mut connection = connection?;
        let mut request = [0; 4096];
        let _ = connection.read(&mut request)?;
        connection.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 7\r\n\r\nstatic\n")?;
    }
    Ok(())
}
