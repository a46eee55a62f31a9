//! Tests of the test bed's identity provider, asked by a real HTTPS client: what other tests say
//! about the extension holds only as far as it answers as Entra and Graph do.

mod assertions;
mod batches;
mod by_ids;
mod client;
mod identity;
mod keys;
mod lag;
mod lookups;
mod membership;
mod observed;
mod paging;
mod permissions;
mod sign_in;
mod tokens;
mod trouble;
mod trouble_content;
