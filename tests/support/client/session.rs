//! What a client does after it has logged in.

use std::io;

use super::RawClient;
use super::message::{Answer, ServerError, first_column, message, parse_error};

impl RawClient {
    /// Runs a query. Returns the first column of its rows.
    ///
    /// # Errors
    /// When the server reports an error.
    pub fn query(&mut self, text: &str) -> Answer {
        let sent = self.send_query(text);
        self.answer_to(sent)
    }

    /// Sends a query without reading the answer.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn send_query(&mut self, text: &str) -> io::Result<()> {
        self.send(b'Q', &[text.as_bytes(), &[0]].concat())
    }

    /// Reads until a message of a kind comes. Returns false if the server hangs up first.
    pub fn await_message(&mut self, kind: u8) -> bool {
        std::iter::from_fn(|| self.read()).any(|(found, _)| found == kind)
    }

    /// Reads until the server has hung up. Returns the last error it reported.
    pub fn last_error(&mut self) -> Option<ServerError> {
        let messages = std::iter::from_fn(|| self.read());
        messages.filter(|(kind, _)| *kind == b'E').map(|(_, body)| parse_error(&body)).last()
    }

    /// Ends the session, and waits until its process has ended.
    pub fn disconnect(mut self) {
        let _ = self.send(b'X', &[]);
        self.last_error();
    }

    /// Runs a query by the extended protocol: Parse, Bind, Execute, Sync, without parameters.
    ///
    /// # Errors
    /// When the server reports an error.
    pub fn query_extended(&mut self, text: &str) -> Answer {
        self.query_bound(text, &[])
    }

    /// Does the same with parameters, as text.
    ///
    /// # Errors
    /// When the server reports an error.
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
        // In one packet, because a server that ends the session at the first message reads none
        // after it.
        let sent = self.send_raw(&messages.concat());
        self.answer_to(sent)
    }

    /// Sends Parse, Describe and Sync of a statement without parameters. Does not read the answer.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn send_parse_and_describe(&mut self, text: &str) -> io::Result<()> {
        let parse = [&[0], text.as_bytes(), &[0; 3]].concat();
        self.send_raw(&[message(b'P', &parse), message(b'D', b"S\0"), message(b'S', &[])].concat())
    }

    /// Reads until the server has hung up or is ready for a query. Returns the kinds of the
    /// messages.
    pub fn read_until_ready(&mut self) -> Vec<u8> {
        let mut kinds = Vec::new();
        while let Some((kind, _)) = self.read() {
            kinds.push(kind);
            if kind == b'Z' {
                break;
            }
        }
        kinds
    }

    /// Calls a function without arguments by a FunctionCall message.
    ///
    /// # Errors
    /// When the server reports an error.
    pub fn call_function(&mut self, function: u32) -> Answer {
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
