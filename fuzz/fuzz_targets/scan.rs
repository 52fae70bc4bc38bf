#![no_main]

// The room is private to the crate; it depends on nothing outside itself.
#[allow(dead_code, unused_imports)]
#[path = "../../src/wire/mod.rs"]
mod wire;

#[path = "../../tests/corpus/chunks.rs"]
mod chunks;
#[path = "../../tests/corpus/scan.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
