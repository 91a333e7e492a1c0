//! libFuzzer's bytes for the target `inband` of `hallpass_fuzz_entry`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hallpass_fuzz_entry::run("inband", data));
