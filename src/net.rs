//! What leaves this machine: requests over HTTPS, made in the background.

pub(crate) mod background;
pub(crate) mod https;
