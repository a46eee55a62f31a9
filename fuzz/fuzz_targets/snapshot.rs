//! Any bytes as a snapshot, and as the content of one whose checksum fits.
#![no_main]

use entra::Snapshot;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = Snapshot::parse(bytes);
    if let Ok(snapshot) = Snapshot::parse(&Snapshot::seal(bytes)) {
        assert!((1..=entra::limits::MAX_KEYS).contains(&snapshot.keys.len()));
        assert_eq!(Snapshot::parse(&snapshot.to_bytes()), Ok(snapshot.clone()));
        let now = 1_700_000_000;
        assert!(snapshot.age("", now, u64::MAX).is_err() || snapshot.origin.is_empty());
        if let Err(fault) = snapshot.age(&snapshot.origin, now, 86_400_000) {
            assert!(!fault.to_string().contains(char::is_control));
        }
        // It is as old as it says, whatever that is.
        assert_eq!(snapshot.age(&snapshot.origin, snapshot.fetched_at, 0), Ok(0));
        assert!(snapshot.is_within(&snapshot));
    }
});
