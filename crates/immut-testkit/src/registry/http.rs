//! Just enough HTTP/1.1 for a registry: requests in, responses out, one connection at a time.

use std::io::{self, BufRead, Read, Write};
use std::thread;
use std::time::Duration;

/// A request with its whole body.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    /// Path and query as they were sent.
    pub(super) target: String,
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    /// The next request of a connection, without its body; none when the client is done.
    pub(super) fn head(stream: &mut dyn BufRead) -> io::Result<Option<Self>> {
        let first = line(stream)?;
        let mut words = first.split(' ');
        let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(None) };
        let (method, target) = (method.to_owned(), target.to_owned());
        let mut headers = Vec::new();
        while let Some((name, value)) = line(stream)?.split_once(':') {
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Ok(Some(Self { method, target, headers, body: Vec::new() }))
    }

    /// The first bytes of the body.
    pub(super) fn read_part(&self, stream: &mut dyn BufRead, count: usize) -> io::Result<Vec<u8>> {
        let mut part = vec![0; count.min(self.size())];
        stream.read_exact(&mut part)?;
        Ok(part)
    }

    pub(super) fn read_body(&self, stream: &mut dyn BufRead) -> io::Result<Vec<u8>> {
        if self.header("transfer-encoding") == Some("chunked") {
            return read_chunks(stream);
        }
        self.read_part(stream, usize::MAX)
    }

    /// What is announced of the body.
    fn size(&self) -> usize {
        self.header("content-length").and_then(|size| size.parse().ok()).unwrap_or(0)
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The path beneath `/v2/`, or beneath where [`super::Sessions::OtherPath`] lies.
    pub(super) fn route(&self) -> &str {
        let path = self.path();
        ["/v2/", "/elsewhere/"].iter().find_map(|root| path.strip_prefix(root)).unwrap_or(path)
    }

    pub(super) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// All values of a parameter of the query.
    pub(super) fn parameters(&self, name: &str) -> Vec<String> {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        parameters(query, name)
    }

    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        self.parameters(name).into_iter().next()
    }
}

/// The decoded values of `name` in a query or a form.
pub(super) fn parameters(query: &str, name: &str) -> Vec<String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(own, _)| *own == name).map(|(_, value)| decode(value)).collect()
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = (*first == b'%').then(|| tail.get(..2).and_then(|hex| hex::decode(hex).ok()));
        if let Some(byte) = escaped.flatten() {
            bytes.extend(byte);
            rest = &tail[2..];
        } else {
            bytes.push(if *first == b'+' { b' ' } else { *first });
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn read_chunks(stream: &mut dyn BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = usize::from_str_radix(&line(stream)?, 16).unwrap_or(0);
        stream.take(size as u64).read_to_end(&mut body)?;
        line(stream)?;
        if size == 0 {
            return Ok(body);
        }
    }
}

fn line(stream: &mut dyn BufRead) -> io::Result<String> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    line.truncate(line.trim_end().len());
    Ok(line)
}

/// A response with its whole body.
#[derive(Debug, Default)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// How much of the body is sent before the connection breaks.
    pub(super) cut: Option<usize>,
    /// In pieces of how many bytes the body is sent, and the pause between them.
    pub(super) drip: Option<(usize, Duration)>,
}

impl Response {
    pub(super) fn new(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    /// An error as the distribution specification has it.
    pub(super) fn error(status: u16, code: &str) -> Self {
        Self::refusal(status, code, "said the test")
    }

    /// An error with a message of its own.
    pub(super) fn refusal(status: u16, code: &str, message: &str) -> Self {
        let body = serde_json::json!({ "errors": [{ "code": code, "message": message }] });
        Self::new(status).with("Content-Type", "application/json").body(body.to_string())
    }

    pub(super) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(super) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Writes it; an error ends the connection, as a cut does.
    pub(super) fn write(&self, stream: &mut dyn Write, head_only: bool) -> io::Result<()> {
        let mut head = Vec::new();
        write!(head, "HTTP/1.1 {} Said\r\n", self.status)?;
        for (name, value) in &self.headers {
            write!(head, "{name}: {value}\r\n")?;
        }
        write!(head, "Content-Length: {}\r\n\r\n", self.body.len())?;
        stream.write_all(&head)?;
        if head_only {
            return Ok(());
        }
        let body = &self.body[..self.cut.unwrap_or(self.body.len())];
        let (size, pause) = self.drip.unwrap_or((body.len().max(1), Duration::ZERO));
        for piece in body.chunks(size) {
            stream.write_all(piece)?;
            stream.flush()?;
            thread::sleep(pause);
        }
        if self.cut.is_some() { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}
