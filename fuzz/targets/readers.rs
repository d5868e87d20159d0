#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gillnet_fuzz::readers::run(data));
