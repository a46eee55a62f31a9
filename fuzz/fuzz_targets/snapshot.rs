//! Any bytes as a snapshot, and as the content of one whose checksum fits.
#![no_main]

use entra::Snapshot;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = Snapshot::parse(bytes);
    if let Ok(snapshot) = Snapshot::parse(&Snapshot::seal(bytes)) {
        assert!((1..=entra::limits::MAX_KEYS).contains(&snapshot.keys.len()));
        assert_eq!(Snapshot::parse(&snapshot.to_bytes()), Ok(snapshot.clone()));
        let _ = snapshot.age("", 1_700_000_000, 86_400_000);
    }
});
