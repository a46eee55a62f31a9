//! A client that speaks PostgreSQL's protocol by hand, and psql.
//!
//! libpq hides what a server says while it authenticates: SQLSTATEs, the order of messages, what comes after a refusal.
//! (PostgreSQL documentation, "Frontend/Backend Protocol".)

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

/// How long a test waits for a server that says nothing.
const PATIENCE: Duration = Duration::from_mins(3);

/// Version 3.0 of the protocol.
const PROTOCOL: i32 = 0x0003_0000;
/// The request for TLS.
const SSL_REQUEST: i32 = 80_877_103;

trait Line: Read + Write + Send {}
impl<T: Read + Write + Send> Line for T {}

/// An error as the server reports it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerError {
    /// `S`: FATAL, ERROR, …
    pub severity: String,
    /// `C`.
    pub sqlstate: String,
    /// `M`.
    pub message: String,
    /// `D`.
    pub detail: Option<String>,
    /// `H`.
    pub hint: Option<String>,
}

/// The first column of a query's rows, or the error.
pub type Answer = Result<Vec<Option<String>>, ServerError>;

/// What a login came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Ready for queries.
    Ready,
    /// Refused.
    Refused(ServerError),
    /// The server hung up without a word.
    HungUp,
}

/// What the server wants next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// A password in clear text.
    Password,
    /// A token by OAUTHBEARER (RFC 7628).
    Bearer,
    /// Another method, by its number.
    Other(i32),
    /// Nothing: it has made up its mind.
    Nothing(Outcome),
}

/// A connection.
pub struct RawClient {
    line: Box<dyn Line>,
    /// The server has offered OAUTHBEARER.
    bearer: bool,
    bearer_error: Option<String>,
}

impl RawClient {
    /// Connects by TCP, with TLS if a configuration is given.
    ///
    /// # Errors
    /// When the server cannot be reached or does not do TLS.
    pub fn tcp(port: u16, tls: Option<Arc<ClientConfig>>) -> io::Result<Self> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
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
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self::over(stream))
    }

    fn over(line: impl Line + 'static) -> Self {
        Self { line: Box::new(line), bearer: false, bearer_error: None }
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
        self.line.write_all(bytes)?;
        self.line.flush()
    }

    /// Sends a password message.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn send_password(&mut self, password: &str) -> io::Result<()> {
        self.send(b'p', &[password.as_bytes(), &[0]].concat())
    }

    /// Sends the first message of OAUTHBEARER, whatever is in it.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn send_bearer_message(&mut self, data: &[u8]) -> io::Result<()> {
        let length = i32::try_from(data.len()).map_err(io::Error::other)?;
        self.send(b'p', &[b"OAUTHBEARER\0", &length.to_be_bytes()[..], data].concat())
    }

    /// Sends a token in the way it was asked for.
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

    /// What the server said of a token it refused by OAUTHBEARER: JSON, as RFC 7628 has it in section 3.2.2.
    pub fn bearer_error(&self) -> Option<&str> {
        self.bearer_error.as_deref()
    }

    /// Reads one message; none when the server has hung up.
    fn read(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut head = [0; 5];
        self.line.read_exact(&mut head).ok()?;
        let length = i32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        let mut body = vec![0; usize::try_from(length - 4).ok()?];
        self.line.read_exact(&mut body).ok()?;
        Some((head[0], body))
    }

    /// Reads until the server asks for something or has made up its mind. OAUTHBEARER's error, which comes before the
    /// refusal, is kept and acknowledged.
    pub fn asked(&mut self) -> Asked {
        loop {
            match self.read() {
                None => return Asked::Nothing(Outcome::HungUp),
                Some((b'R', body)) => match body.first_chunk().map(|code| i32::from_be_bytes(*code)) {
                    Some(0) => {}
                    Some(3) => return Asked::Password,
                    Some(10) if body[4..].split(|byte| *byte == 0).any(|name| name == b"OAUTHBEARER") => {
                        self.bearer = true;
                        return Asked::Bearer;
                    }
                    Some(11) if self.bearer => {
                        self.bearer_error = Some(String::from_utf8_lossy(&body[4..]).into_owned());
                        // If it fails, the next message cannot be read either.
                        let _ = self.send(b'p', &[1]);
                    }
                    other => return Asked::Other(other.unwrap_or(-1)),
                },
                Some((b'E', body)) => return Asked::Nothing(Outcome::Refused(parse_error(&body))),
                Some((b'Z', _)) => return Asked::Nothing(Outcome::Ready),
                Some(_) => {}
            }
        }
    }

    /// The data of an authentication message of a given number, as SASL exchanges them.
    pub fn challenge(&mut self, number: i32) -> Vec<u8> {
        match self.read() {
            Some((b'R', body)) if body.first_chunk() == Some(&number.to_be_bytes()) => body[4..].to_vec(),
            other => panic!("no authentication message {number}: {other:?}"),
        }
    }

    /// Starts, gives a password or token if one is asked for, and reads on to the outcome.
    pub fn login(&mut self, parameters: &[(&str, impl AsRef<[u8]>)], password: &str) -> Outcome {
        if self.start(parameters).is_err() {
            return Outcome::HungUp;
        }
        match self.asked() {
            Asked::Password | Asked::Bearer => self.answer(password),
            Asked::Other(method) => panic!("the server asks for authentication by method {method}"),
            Asked::Nothing(outcome) => outcome,
        }
    }

    /// Gives the password or token that was asked for, and reads on to the outcome.
    pub fn answer(&mut self, password: &str) -> Outcome {
        // A server that refuses before it has read it all resets the connection; what it said can still be read.
        let _ = self.send_token(password);
        match self.asked() {
            Asked::Nothing(outcome) => outcome,
            asked => panic!("the server asks again: {asked:?}"),
        }
    }

    /// Runs a query; the first column of its rows, or the error.
    ///
    /// # Errors
    /// The server's.
    pub fn query(&mut self, text: &str) -> Answer {
        let sent = self.ask(text);
        self.answer_to(sent)
    }

    /// Sends a query, and reads nothing.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn ask(&mut self, text: &str) -> io::Result<()> {
        self.send(b'Q', &[text.as_bytes(), &[0]].concat())
    }

    /// Reads until a message of a kind comes. False: the server has hung up.
    pub fn await_message(&mut self, kind: u8) -> bool {
        std::iter::from_fn(|| self.read()).any(|(found, _)| found == kind)
    }

    /// Reads until the server has hung up; the last error it reported.
    pub fn last_words(&mut self) -> Option<ServerError> {
        let messages = std::iter::from_fn(|| self.read());
        messages.filter(|(kind, _)| *kind == b'E').map(|(_, body)| parse_error(&body)).last()
    }

    /// Says goodbye, and waits until the process has gone.
    pub fn leave(mut self) {
        let _ = self.send(b'X', &[]);
        self.last_words();
    }

    /// Runs a query as [`RawClient::query`] does, by the extended protocol: Parse, Bind, Execute, Sync, without parameters.
    ///
    /// # Errors
    /// The server's.
    pub fn query_extended(&mut self, text: &str) -> Answer {
        self.query_bound(text, &[])
    }

    /// The same with parameters, as text.
    ///
    /// # Errors
    /// The server's.
    pub fn query_bound(&mut self, text: &str, parameters: &[&str]) -> Answer {
        let parse = [&[0], text.as_bytes(), &[0; 3]].concat();
        // Unnamed portal and statement; no formats of parameters or results.
        let mut bind = vec![0; 4];
        bind.extend(u16::try_from(parameters.len()).expect("few parameters").to_be_bytes());
        for parameter in parameters {
            bind.extend(u32::try_from(parameter.len()).expect("a length").to_be_bytes());
            bind.extend(parameter.as_bytes());
        }
        bind.extend([0; 2]);
        let messages = [
            message(b'P', &parse),
            message(b'B', &bind),
            // Unnamed portal; every row.
            message(b'E', &[0; 5]),
            message(b'S', &[]),
        ];
        // All at once: a server that ends the session at the first of them takes none after it.
        let sent = self.send_raw(&messages.concat());
        self.answer_to(sent)
    }

    /// Sends Parse, Describe and Sync of a text without parameters, and reads nothing.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn send_parse_and_describe(&mut self, text: &str) -> io::Result<()> {
        let parse = [&[0], text.as_bytes(), &[0; 3]].concat();
        self.send_raw(&[message(b'P', &parse), message(b'D', b"S\0"), message(b'S', &[])].concat())
    }

    /// Reads until the server has hung up or waits for the next command; what kinds of messages there were.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut kinds = Vec::new();
        while let Some((kind, _)) = self.read() {
            kinds.push(kind);
            if kind == b'Z' {
                break;
            }
        }
        kinds
    }

    /// Calls a function by the fast path, without arguments.
    ///
    /// # Errors
    /// The server's.
    pub fn call(&mut self, function: u32) -> Answer {
        let sent = self.send(b'F', &[&function.to_be_bytes()[..], &[0, 0, 0, 0, 0, 0]].concat());
        self.answer_to(sent)
    }

    fn answer_to(&mut self, sent: io::Result<()>) -> Answer {
        sent.ok().and_then(|()| self.rows()).unwrap_or_else(|| {
            Err(ServerError { message: "the server has hung up".to_owned(), ..ServerError::default() })
        })
    }

    fn rows(&mut self) -> Option<Answer> {
        let mut rows = Vec::new();
        let mut error = None;
        loop {
            match self.read() {
                Some((b'D', body)) => rows.push(first_column(&body)),
                Some((b'E', body)) => error = Some(parse_error(&body)),
                Some((b'Z', _)) => return Some(error.map_or(Ok(rows), Err)),
                Some(_) => {}
                None => return error.map(Err),
            }
        }
    }
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = i32::try_from(body.len() + 4).expect("a message of a test");
    [&[kind][..], &length.to_be_bytes(), body].concat()
}

fn first_column(body: &[u8]) -> Option<String> {
    let length = i32::from_be_bytes(*body.get(2..)?.first_chunk()?);
    let value = body.get(6..)?.get(..usize::try_from(length).ok()?)?;
    Some(String::from_utf8_lossy(value).into_owned())
}

fn parse_error(body: &[u8]) -> ServerError {
    let fields: BTreeMap<u8, String> = body
        .split(|byte| *byte == 0)
        .filter_map(|field| field.split_first())
        .map(|(kind, text)| (*kind, String::from_utf8_lossy(text).into_owned()))
        .collect();
    let field = |kind: u8| fields.get(&kind).cloned();
    ServerError {
        severity: field(b'V').or_else(|| field(b'S')).unwrap_or_default(),
        sqlstate: field(b'C').unwrap_or_default(),
        message: field(b'M').unwrap_or_default(),
        detail: field(b'D'),
        hint: field(b'H'),
    }
}

/// What psql said.
#[derive(Debug, Clone)]
pub struct PsqlOutput {
    /// It ended well.
    pub success: bool,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Runs psql with a connection string, an optional password, and a command; values only.
pub fn psql(program: &Path, connection: &str, password: Option<&str>, command: &str) -> PsqlOutput {
    psql_with(program, &["-A", "-t"], connection, password, command)
}

/// Runs psql as [`psql`] does, with options of one's own.
pub fn psql_with(
    program: &Path,
    options: &[&str],
    connection: &str,
    password: Option<&str>,
    command: &str,
) -> PsqlOutput {
    let mut psql = Command::new(program);
    psql.args(["-X", "-w", "-v", "ON_ERROR_STOP=1", "-c", command])
        .args(options)
        .arg(connection)
        .env_remove("PGPASSWORD")
        .env("PGCONNECT_TIMEOUT", "60");
    if let Some(password) = password {
        psql.env("PGPASSWORD", password);
    }
    let output = psql.output().expect("psql");
    PsqlOutput {
        success: output.status.success(),
        stdout: String::from_utf8_lossy(&output.stdout).trim_end().to_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
