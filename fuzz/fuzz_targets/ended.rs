//! Any bytes as a snapshot of who is out, and as the content of one whose checksum fits.
#![no_main]

use entra::directory::snapshot::EndedSnapshot;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = EndedSnapshot::parse(bytes);
    if let Ok(snapshot) = EndedSnapshot::parse(&EndedSnapshot::seal(bytes)) {
        assert!(snapshot.principals.len() <= entra::limits::MAX_ENDED);
        assert_eq!(EndedSnapshot::parse(&snapshot.to_bytes()), Ok(snapshot.clone()));
        let tenant = snapshot.tenant;
        let kept = snapshot.of(tenant, 1_700_000_000).expect("of the tenant");
        assert!(kept.principals.iter().all(|(_, known)| known.matters(1_700_000_000)));
    }
});
