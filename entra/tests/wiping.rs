//! The parts of a token are wiped: no block of memory is freed with the signature or the claims in
//! it.

#![allow(clippy::disallowed_types, reason = "an allocator can use a static only")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use entra::Unverified;
use support::*;

/// An allocator that searches every block before it is freed.
struct Watchful;

static WATCHED: OnceLock<[Vec<u8>; 2]> = OnceLock::new();
static FOUND: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Watchful = Watchful;

#[expect(unsafe_code, reason = "an allocator")]
// SAFETY: every call goes to the system's allocator.
unsafe impl GlobalAlloc for Watchful {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps this function's contract, which is the same.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the block has not been freed yet, and was zeroed when it was allocated.
        let block = unsafe { std::slice::from_raw_parts(pointer, layout.size()) };
        let held = |secret: &Vec<u8>| block.windows(secret.len()).any(|part| part == secret.as_slice());
        if WATCHED.get().is_some_and(|secrets| secrets.iter().any(held)) {
            FOUND.fetch_add(1, Ordering::SeqCst);
        }
        // SAFETY: the caller keeps this function's contract, which is the same.
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn decoded(part: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(part).unwrap()
}

#[test]
fn nothing_of_a_token_is_left_behind() {
    let token = SIGNER.token(&user_v1());
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (_, claims) = signed.split_once('.').unwrap();
    let (signature, claims) = (decoded(signature), decoded(claims));
    let (keys, policy) = (Keys::usual(), policy());
    // Half a signature, and several claims with the text between them, are long enough to be found
    // nowhere else.
    let secrets = [signature[..128].to_vec(), claims[..100].to_vec()];
    WATCHED.set(secrets).unwrap();

    let found = || FOUND.swap(0, Ordering::SeqCst);
    let unverified = Unverified::parse(token.as_bytes()).unwrap();
    assert_eq!(found(), 0, "taken apart");
    assert!(could_open(&unverified, &persons_label()).is_ok());
    assert_eq!(found(), 0, "read");
    assert!(unverified.verify(&keys.0[0], &policy, NOW).is_ok());
    assert_eq!(found(), 0, "verified");
    drop(unverified);
    assert_eq!(found(), 0, "dropped");
    // A token whose last character is not base64url is decoded up to there.
    let broken = format!("{}!", &token[..token.len() - 1]);
    assert!(Unverified::parse(broken.as_bytes()).is_err());
    assert_eq!(found(), 0, "refused");

    // The test would have found a copy: these two are found.
    drop(signature);
    drop(claims);
    assert_eq!(found(), 2);
}
