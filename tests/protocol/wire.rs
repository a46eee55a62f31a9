//! A connection, in clear text or by TLS, that can be closed for writing alone.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

/// How long a server may take to answer, or to hang up.
const PATIENCE: Duration = Duration::from_secs(100);

/// The longest message of a server that is read.
const LONGEST: usize = 1 << 20;

/// A message of the server.
pub(crate) struct Message {
    pub(crate) kind: u8,
    pub(crate) body: Vec<u8>,
}

/// A connection.
pub(crate) enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Wire {
    pub(crate) fn new(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self::Plain(stream))
    }

    /// Begins TLS, for which the server is ready.
    pub(crate) fn encrypt(self, tls: &Arc<ClientConfig>) -> io::Result<Self> {
        let Self::Plain(stream) = self else { return Err(io::Error::other("TLS within TLS")) };
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let session = ClientConnection::new(Arc::clone(tls), name).map_err(io::Error::other)?;
        Ok(Self::Tls(Box::new(StreamOwned::new(session, stream))))
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes),
            Self::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }

    pub(crate) fn read_byte(&mut self) -> Option<u8> {
        let mut byte = [0];
        self.read_exact(&mut byte).ok().map(|()| byte[0])
    }

    /// Reads a message. Returns none if there is none, or something else.
    pub(crate) fn message(&mut self) -> Option<Message> {
        let kind = self.read_byte()?;
        let mut length = [0; 4];
        self.read_exact(&mut length).ok()?;
        let length = usize::try_from(i32::from_be_bytes(length)).ok()?.checked_sub(4)?;
        if length > LONGEST {
            return None;
        }
        let mut body = vec![0; length];
        self.read_exact(&mut body).ok()?;
        Some(Message { kind, body })
    }

    fn read_exact(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.read_exact(bytes),
            Self::Tls(stream) => stream.read_exact(bytes),
        }
    }

    /// Tells the server that nothing more will come, and reads until it has hung up. Returns false
    /// if it does not.
    pub(crate) fn finish(mut self) -> bool {
        if let Self::Tls(stream) = &mut self {
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
        let socket = match &self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref(),
        };
        let _ = socket.shutdown(Shutdown::Write);
        let mut rest = [0; 4_096];
        loop {
            let read = match &mut self {
                Self::Plain(stream) => stream.read(&mut rest),
                Self::Tls(stream) => stream.read(&mut rest),
            };
            match read {
                Ok(0) => return true,
                Ok(_) => {}
                Err(fault) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&fault.kind()) => {
                    return false;
                }
                // The server has hung up without a last word.
                Err(_) => return true,
            }
        }
    }
}
