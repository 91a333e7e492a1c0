//! Bytes of a journal: whatever a crash or a bad disk has left, whole frames are read and the rest is not.

use hallpass_audit::journal::whole_events;

/// Bytes as a segment of the journal.
pub(crate) fn entry(data: &[u8]) {
    let (events, taken) = whole_events(data);
    assert!(taken <= data.len());
    assert!(events == 0 || taken > 0, "events without bytes");
    // What was read stays what it is, whatever is torn off behind it.
    assert_eq!(whole_events(&data[..taken]), (events, taken));
}
