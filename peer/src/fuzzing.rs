//! Ways in for the fuzz targets of this repository (`fuzz/`). Only built with `--cfg fuzzing`.

use crate::bootstrap::{BootstrapSource, DOCUMENT_ADDRESSES_MAX, Target};

/// What was fetched as `bootstrap.json`, or typed as a source.
pub fn bootstrap_document(body: &[u8]) {
    if let Ok(target) = Target::from_document(body, "http://localhost:8470/bootstrap.json") {
        assert!(target.peer.is_some());
        assert!((1..=DOCUMENT_ADDRESSES_MAX).contains(&target.addresses.len()));
    }
    if let Ok(text) = std::str::from_utf8(body)
        && let Ok(source) = text.parse::<BootstrapSource>()
    {
        let again = source.to_string().parse().expect("it was written so");
        assert_eq!(source, again);
    }
}
