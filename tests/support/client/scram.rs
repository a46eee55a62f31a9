//! Logins by a password that the client proves without sending it: SCRAM-SHA-256 (RFC 5802),
//! without channel binding.

use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};

use super::message::parse_error;
use super::{AuthRequest, Outcome, RawClient};

/// The number of the authentication message that asks for SASL.
const SASL: i32 = 10;
/// The number of the message that goes on with it.
const SASL_CONTINUE: i32 = 11;
/// The number of the message that ends it.
const SASL_FINAL: i32 = 12;

impl RawClient {
    /// Starts, logs in by SCRAM-SHA-256, and returns the outcome.
    pub fn scram_login(&mut self, parameters: &[(&str, impl AsRef<[u8]>)], password: &str) -> Outcome {
        if self.start(parameters).is_err() {
            return Outcome::HungUp;
        }
        match self.auth_request() {
            AuthRequest::Other(SASL) => self.prove(password).unwrap_or_else(|outcome| outcome),
            AuthRequest::Finished(outcome) => outcome,
            request => panic!("the server does not ask for SCRAM: {request:?}"),
        }
    }

    /// Proves to know a password. Returns the outcome; as an error, if the server ended the
    /// exchange.
    fn prove(&mut self, password: &str) -> Result<Outcome, Outcome> {
        let mut scram = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
        let first = scram.message().to_vec();
        let length = i32::try_from(first.len()).expect("a short message").to_be_bytes();
        self.send_proof(&[SCRAM_SHA_256.as_bytes(), &[0], &length, &first].concat())?;
        scram.update(&self.sasl_data(SASL_CONTINUE)?).expect("the server's first message");
        let last = scram.message().to_vec();
        self.send_proof(&last)?;
        scram.finish(&self.sasl_data(SASL_FINAL)?).expect("the server's signature");
        match self.auth_request() {
            AuthRequest::Finished(outcome) => Ok(outcome),
            request => panic!("the server asks again: {request:?}"),
        }
    }

    fn send_proof(&mut self, body: &[u8]) -> Result<(), Outcome> {
        self.send(b'p', body).map_err(|_| Outcome::HungUp)
    }

    /// Reads the message of a number. Returns its data; as an error, what came in its place.
    fn sasl_data(&mut self, number: i32) -> Result<Vec<u8>, Outcome> {
        match self.read() {
            Some((b'R', body)) if body.first_chunk() == Some(&number.to_be_bytes()) => Ok(body[4..].to_vec()),
            Some((b'E', body)) => Err(Outcome::Refused(parse_error(&body))),
            None => Err(Outcome::HungUp),
            other => panic!("no authentication message {number}: {other:?}"),
        }
    }
}
