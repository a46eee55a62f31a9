//! Any text as a name that is asked for: it stays one literal of one filter.
#![no_main]

use entra::directory::name::Sought;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(sought) = Sought::new(text, None) else { return };
    for question in sought.questions() {
        let path = sought.request(question).path;
        assert!(path.bytes().all(|byte| byte.is_ascii_graphic()));
        assert!(!path.contains('#') && path.matches('?').count() == 1);
        let query = path.split_once('?').expect("a query").1;
        let is_filtered = query.starts_with("$filter=");
        assert_eq!(query.matches('&').count(), usize::from(is_filtered));
        assert_eq!(query.matches('=').count(), 1 + usize::from(is_filtered));
    }
    let _ = entra::directory::lookup::questions(text, None);
});
