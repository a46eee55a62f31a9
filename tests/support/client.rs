//! A client that speaks PostgreSQL's protocol itself, and psql.
//!
//! libpq hides what a server sends while it authenticates: SQLSTATEs, the order of messages, what
//! comes after a refusal. (PostgreSQL documentation, "Frontend/Backend Protocol".)

mod message;
mod psql;
mod scram;
mod session;

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use message::message;

pub use message::{Answer, ServerError, parse_error};
pub use psql::{PsqlOutput, psql, psql_with};

/// How long a client waits for a server that sends nothing.
const READ_TIMEOUT: Duration = Duration::from_mins(3);

/// Version 3.0 of the protocol.
const PROTOCOL: i32 = 0x0003_0000;
/// The request for TLS.
const SSL_REQUEST: i32 = 80_877_103;

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// What came of a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Ready for queries.
    Ready,
    /// Refused.
    Refused(ServerError),
    /// The server hung up without an error.
    HungUp,
}

/// What the server asks of a client that logs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthRequest {
    /// A password in clear text.
    Password,
    /// A token by OAUTHBEARER (RFC 7628).
    Bearer,
    /// Another method, by its number.
    Other(i32),
    /// Nothing more: the login has succeeded or failed.
    Finished(Outcome),
}

/// A connection.
pub struct RawClient {
    stream: Box<dyn Stream>,
    /// The server has offered OAUTHBEARER.
    bearer: bool,
    bearer_error: Option<String>,
    notices: Vec<ServerError>,
}

impl RawClient {
    /// Connects by TCP, with TLS if a configuration is given.
    ///
    /// # Errors
    /// When the server cannot be reached or does not do TLS.
    pub fn tcp(port: u16, tls: Option<Arc<ClientConfig>>) -> io::Result<Self> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(READ_TIMEOUT))?;
        stream.set_nodelay(true)?;
        let Some(tls) = tls else { return Ok(Self::over(stream)) };
        stream.write_all(&[&8_i32.to_be_bytes()[..], &SSL_REQUEST.to_be_bytes()[..]].concat())?;
        let mut answer = [0];
        stream.read_exact(&mut answer)?;
        if answer != *b"S" {
            return Err(io::Error::other("the server does not do TLS"));
        }
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let session = ClientConnection::new(tls, name).map_err(io::Error::other)?;
        Ok(Self::over(StreamOwned::new(session, stream)))
    }

    /// Connects by a Unix-domain socket.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub fn unix(folder: &Path, port: u16) -> io::Result<Self> {
        let stream = UnixStream::connect(folder.join(format!(".s.PGSQL.{port}")))?;
        stream.set_read_timeout(Some(READ_TIMEOUT))?;
        Ok(Self::over(stream))
    }

    fn over(stream: impl Stream + 'static) -> Self {
        Self { stream: Box::new(stream), bearer: false, bearer_error: None, notices: Vec::new() }
    }

    /// Sends the startup packet.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn start(&mut self, parameters: &[(&str, impl AsRef<[u8]>)]) -> io::Result<()> {
        let mut body = PROTOCOL.to_be_bytes().to_vec();
        for (name, value) in parameters {
            for text in [name.as_bytes(), value.as_ref()] {
                body.extend_from_slice(text);
                body.push(0);
            }
        }
        body.push(0);
        let length = i32::try_from(body.len() + 4).map_err(io::Error::other)?;
        self.send_raw(&[&length.to_be_bytes()[..], &body].concat())
    }

    /// Sends any message.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn send(&mut self, kind: u8, body: &[u8]) -> io::Result<()> {
        self.send_raw(&message(kind, body))
    }

    fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Sends a password message.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn send_password(&mut self, password: &str) -> io::Result<()> {
        self.send(b'p', &[password.as_bytes(), &[0]].concat())
    }

    /// Sends the first message of OAUTHBEARER with any content.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn send_bearer_message(&mut self, data: &[u8]) -> io::Result<()> {
        let length = i32::try_from(data.len()).map_err(io::Error::other)?;
        self.send(b'p', &[b"OAUTHBEARER\0", &length.to_be_bytes()[..], data].concat())
    }

    /// Sends a token by the method that the server asked for.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn send_token(&mut self, token: &str) -> io::Result<()> {
        if self.bearer {
            self.send_bearer_message(format!("n,,\x01auth=Bearer {token}\x01\x01").as_bytes())
        } else {
            self.send_password(token)
        }
    }

    /// Returns the JSON that the server sent about a token it refused by OAUTHBEARER (RFC 7628,
    /// section 3.2.2).
    pub fn bearer_error(&self) -> Option<&str> {
        self.bearer_error.as_deref()
    }

    /// Returns the warnings and notices that the server has sent during the login.
    pub fn notices(&self) -> &[ServerError] {
        &self.notices
    }

    /// Reads one message. Returns none when the server has hung up.
    fn read(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut head = [0; 5];
        self.stream.read_exact(&mut head).ok()?;
        let length = i32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        let mut body = vec![0; usize::try_from(length - 4).ok()?];
        self.stream.read_exact(&mut body).ok()?;
        Some((head[0], body))
    }

    /// Reads until the server asks for something or the login has succeeded or failed. Keeps and
    /// acknowledges the error of OAUTHBEARER, which comes before the refusal.
    pub fn auth_request(&mut self) -> AuthRequest {
        loop {
            match self.read() {
                None => return AuthRequest::Finished(Outcome::HungUp),
                Some((b'R', body)) => match body.first_chunk().map(|code| i32::from_be_bytes(*code)) {
                    Some(0) => {}
                    Some(3) => return AuthRequest::Password,
                    Some(10) if body[4..].split(|byte| *byte == 0).any(|name| name == b"OAUTHBEARER") => {
                        self.bearer = true;
                        return AuthRequest::Bearer;
                    }
                    Some(11) if self.bearer => {
                        self.bearer_error = Some(String::from_utf8_lossy(&body[4..]).into_owned());
                        // If it fails, the next message cannot be read either.
                        let _ = self.send(b'p', &[1]);
                    }
                    other => return AuthRequest::Other(other.unwrap_or(-1)),
                },
                Some((b'E', body)) => return AuthRequest::Finished(Outcome::Refused(parse_error(&body))),
                Some((b'N', body)) => self.notices.push(parse_error(&body)),
                Some((b'Z', _)) => return AuthRequest::Finished(Outcome::Ready),
                Some(_) => {}
            }
        }
    }

    /// Reads an authentication message of a given number, as SASL exchanges them. Returns its data.
    pub fn challenge(&mut self, number: i32) -> Vec<u8> {
        match self.read() {
            Some((b'R', body)) if body.first_chunk() == Some(&number.to_be_bytes()) => body[4..].to_vec(),
            other => panic!("no authentication message {number}: {other:?}"),
        }
    }

    /// Starts, sends a password or token if the server asks for one, and returns the outcome.
    pub fn login(&mut self, parameters: &[(&str, impl AsRef<[u8]>)], password: &str) -> Outcome {
        if self.start(parameters).is_err() {
            return Outcome::HungUp;
        }
        match self.auth_request() {
            AuthRequest::Password | AuthRequest::Bearer => self.answer(password),
            AuthRequest::Other(method) => panic!("the server asks for authentication by method {method}"),
            AuthRequest::Finished(outcome) => outcome,
        }
    }

    /// Sends the password or token that the server asked for, and returns the outcome.
    pub fn answer(&mut self, password: &str) -> Outcome {
        // A server that refuses before it has read everything resets the connection; what it sent
        // before can still be read.
        let _ = self.send_token(password);
        match self.auth_request() {
            AuthRequest::Finished(outcome) => outcome,
            request => panic!("the server asks again: {request:?}"),
        }
    }
}
