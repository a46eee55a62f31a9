//! Who does not get in: every code, each seen by the client, in the log, and with no token anywhere.
