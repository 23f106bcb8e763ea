//! An HTTP server inside the test that answers as no receiver should.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

/// What a request gets.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// A status line and further header lines.
    Status(&'static str, String),
    /// Nothing, for ever.
    Hang,
    /// The end of the connection.
    Close,
    /// Success with a body that does not end.
    EndlessBody,
    /// A head that does not end.
    EndlessHead,
}

/// The usual answer.
pub(crate) const OK: Answer = Answer::Status("200 OK", String::new());

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) at: Instant,
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(it, _)| it.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

#[derive(Debug)]
struct Shared {
    answers: Mutex<VecDeque<Answer>>,
    received: Mutex<Vec<Received>>,
    is_over: AtomicBool,
}

/// A receiver that listens until it is dropped.
#[derive(Debug)]
pub(crate) struct FakeReceiver {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

impl FakeReceiver {
    /// Answers one request after the other like this, and all others like the last.
    pub(crate) fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self::listen("127.0.0.1:0".parse().unwrap(), answers, None)
    }

    /// Listens where another has listened.
    pub(crate) fn start_at(address: SocketAddr, answers: impl IntoIterator<Item = Answer>) -> Self {
        Self::listen(address, answers, None)
    }

    /// Speaks TLS.
    pub(crate) fn start_tls(config: ServerConfig, answers: impl IntoIterator<Item = Answer>) -> Self {
        Self::listen("127.0.0.1:0".parse().unwrap(), answers, Some(Arc::new(config)))
    }

    fn listen(address: SocketAddr, answers: impl IntoIterator<Item = Answer>, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            answers: Mutex::new(answers.into_iter().collect()),
            received: Mutex::default(),
            is_over: AtomicBool::new(false),
        });
        let theirs = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming() {
                if theirs.is_over.load(Ordering::SeqCst) {
                    break;
                }
                let (shared, tls) = (Arc::clone(&theirs), tls.clone());
                thread::spawn(move || {
                    let client = client.unwrap();
                    // A client that leaves in the middle is what some tests are about.
                    let _ = match tls {
                        Some(config) => {
                            serve(&shared, StreamOwned::new(ServerConnection::new(config).unwrap(), client))
                        }
                        None => serve(&shared, client),
                    };
                });
            }
        });
        Self { address, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        locked(&self.shared.received).clone()
    }

    /// The alerts of all requests so far, whichever kind of message they are in.
    pub(crate) fn alerts(&self) -> Vec<Value> {
        let alerts = |request: Received| match request.json() {
            Value::Array(alerts) => alerts,
            message => message["alerts"].as_array().unwrap().clone(),
        };
        self.received().into_iter().flat_map(alerts).collect()
    }
}

impl Drop for FakeReceiver {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        // The listener has to notice, so that the port is free.
        drop(TcpStream::connect(self.address));
        while TcpStream::connect(self.address).is_ok() {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(shared: &Shared, stream: impl Read + Write) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let Some(request) = read(&mut stream)? else { return Ok(()) };
        // One that is gone answers on no connection that was kept, either.
        if shared.is_over.load(Ordering::SeqCst) {
            return Ok(());
        }
        let mut answers = locked(&shared.answers);
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        locked(&shared.received).push(request);
        drop(answers);
        let output = stream.get_mut();
        match answer.unwrap_or(OK) {
            Answer::Status(status, headers) => {
                write!(output, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n{headers}\r\n")?;
                output.flush()?;
            }
            Answer::Hang => loop {
                if shared.is_over.load(Ordering::SeqCst) {
                    return Ok(());
                }
                thread::sleep(Duration::from_millis(20));
            },
            Answer::Close => return Ok(()),
            Answer::EndlessBody => {
                write!(output, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")?;
                loop {
                    output.write_all(&[b'x'; 4096])?;
                }
            }
            Answer::EndlessHead => {
                write!(output, "HTTP/1.1 200 OK\r\n")?;
                loop {
                    output.write_all(b"X-More: more\r\n")?;
                }
            }
        }
    }
}

fn read(stream: &mut impl BufRead) -> io::Result<Option<Received>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let pair = |line: &String| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
    let headers: Vec<_> = lines.iter().skip(1).filter_map(pair).collect();
    let line = lines.swap_remove(0);
    let mut received = Received { at: Instant::now(), line, headers, body: Vec::new() };
    let length = received.header("content-length").and_then(|it| it.parse().ok()).unwrap_or(0);
    received.body.resize(length, 0);
    stream.read_exact(&mut received.body)?;
    Ok(Some(received))
}
