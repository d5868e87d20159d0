#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gillnet_fuzz::kfl::run(data));
