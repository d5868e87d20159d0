//! Letters without regard to their case, eight at a time.

/// Eight bytes with ASCII letters in lower case.
#[inline]
pub(crate) fn lower(eight: u64) -> u64 {
    const EACH: u64 = u64::MAX / 0xff;
    let seven = eight & (EACH * 0x7f);
    let from_a = seven + EACH * (0x80 - b'A' as u64);
    let above_z = seven + EACH * (0x7f - b'Z' as u64);
    let is_upper = from_a & !above_z & !eight & (EACH * 0x80);
    eight | is_upper >> 2
}

/// Whether some bytes are a name that is written in lower case.
#[inline]
pub(crate) fn is(bytes: &[u8], name: &[u8]) -> bool {
    if bytes.len() != name.len() {
        return false;
    }
    let same = |bytes: &[u8; 8], name: &[u8; 8]| {
        lower(u64::from_le_bytes(*bytes)) == u64::from_le_bytes(*name)
    };
    let (Some(last), Some(last_of_name)) = (bytes.last_chunk(), name.last_chunk()) else {
        return bytes.eq_ignore_ascii_case(name);
    };
    if !same(last, last_of_name) {
        return false;
    }
    // the last eight overlap those before them
    match (bytes.as_chunks().0, name.as_chunks().0) {
        ([bytes], [name]) => same(bytes, name),
        (bytes, name) => (bytes.iter().zip(name)).all(|(bytes, name)| same(bytes, name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_letters_have_a_case() {
        for byte in 0..=u8::MAX {
            for place in 0..8 {
                let mut eight = [b'Z'; 8];
                eight[place] = byte;
                let lowered = lower(u64::from_le_bytes(eight));
                assert_eq!(lowered.to_le_bytes(), eight.map(|b| b.to_ascii_lowercase()));
            }
        }
    }

    #[test]
    fn names_are_found_in_any_case() {
        let name = b"transfer-encoding";
        for len in 0..=name.len() {
            let name = &name[..len];
            assert!(is(name, name) && is(&name.to_ascii_uppercase(), name));
            assert!(!is(b"transfer-encoding ", name));
            for place in 0..len {
                let mut other = name.to_vec();
                other[place] ^= 1;
                assert!(!is(&other, name), "{len} {place}");
            }
        }
    }
}
