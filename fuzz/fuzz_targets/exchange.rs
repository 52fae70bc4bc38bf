#![no_main]

#[path = "../../tests/corpus/chunks.rs"]
mod chunks;
#[path = "../../tests/corpus/exchange.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
