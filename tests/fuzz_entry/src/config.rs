//! `proxy.toml`: any text is a configuration or a list of faults with their places.

use std::path::Path;

use hallpass::config::Config;

/// A file that is not there, so that what a text names beside it is not, either.
const FILE: &str = "/nonexistent/proxy.toml";

/// A text as the file.
pub(crate) fn entry(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // Texts that name files are left to tests that own the files: a fuzzer must not open what it likes.
    if ["file", "statements", "certificate", "key", "ca", "socket", "\\"].iter().any(|word| text.contains(word)) {
        return;
    }
    match Config::parse(Path::new(FILE), text) {
        Ok((_, warnings)) => {
            for warning in warnings {
                assert!(!warning.to_string().is_empty());
            }
        }
        Err(faults) => {
            assert!(!faults.is_empty(), "a file without a fault is a configuration");
            let lines = text.lines().count().max(1);
            for fault in faults {
                assert!(fault.line <= lines + 1, "line {} of {lines}: {fault}", fault.line);
            }
        }
    }
}
