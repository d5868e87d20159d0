//! Bodies as someone reads them: chunked framing undone, content codings decoded, within a limit.

use super::chunked::Chunks;
use gillnet_entry::Ctx;
use std::io::Read;

/// Most bytes that decoding makes of a body: what would be longer is cut there.
pub(super) const MAX_DECODED: usize = 8 << 20;

/// Most codings that are undone of one body.
const MAX_CODINGS: usize = 4;

/// A body and what it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Body<'a> {
    pub(super) bytes: &'a [u8],
    /// A content coding could not be undone: the bytes are as they came.
    pub(super) raw: bool,
}

/// Undoes what Transfer-Encoding and Content-Encoding say about the bytes of a body as they came on the wire.
pub(super) fn decode<'a>(
    transfer: &[u8],
    content: &[u8],
    wire: &'a [u8],
    ctx: &Ctx<'a>,
) -> Body<'a> {
    let mut bytes = wire;
    if last_coding(transfer).eq_ignore_ascii_case(b"chunked") {
        bytes = unchunk(wire, ctx);
    }
    let transfer = codings(transfer).filter(|c| !c.eq_ignore_ascii_case(b"chunked"));
    let applied: Vec<&[u8]> = codings(content).chain(transfer).collect();
    let plain = bytes;
    if bytes.is_empty() || applied.len() > MAX_CODINGS {
        return Body {
            bytes,
            raw: !applied.is_empty(),
        };
    }
    for coding in applied.iter().rev() {
        match undo(coding, bytes) {
            Some(decoded) => bytes = ctx.arena.alloc_slice_copy(&decoded),
            None => {
                return Body {
                    bytes: plain,
                    raw: true,
                };
            }
        }
    }
    Body { bytes, raw: false }
}

/// The names in a list of codings, in the order in which they were applied.
fn codings(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|b| *b == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"))
}

fn last_coding(list: &[u8]) -> &[u8] {
    codings(list).last().unwrap_or_default()
}

/// Undoes one coding (RFC 9110 §8.4.1, RFC 7932, RFC 8878): what could be decoded of a body that is cut, `None` where
/// nothing could or the coding is not known.
fn undo(coding: &[u8], bytes: &[u8]) -> Option<Vec<u8>> {
    match coding.to_ascii_lowercase().as_slice() {
        b"gzip" | b"x-gzip" => read(flate2::read::MultiGzDecoder::new(bytes)),
        b"deflate" => read(flate2::read::ZlibDecoder::new(bytes))
            .or_else(|| read(flate2::read::DeflateDecoder::new(bytes))), // what some servers send for it
        b"br" => read(brotli_decompressor::Decompressor::new(bytes, 4096)),
        b"zstd" => read(zstd::Decoder::with_buffer(bytes).ok()?),
        _ => None,
    }
}

fn read(decoder: impl Read) -> Option<Vec<u8>> {
    let mut decoded = Vec::new();
    let whole = decoder
        .take(MAX_DECODED as u64)
        .read_to_end(&mut decoded)
        .is_ok();
    (whole || !decoded.is_empty()).then_some(decoded)
}

/// Undoes chunked framing (RFC 9112 §7.1) as far as it goes; a body of one chunk is not copied.
fn unchunk<'a>(wire: &'a [u8], ctx: &Ctx<'a>) -> &'a [u8] {
    let mut chunks = Chunks(wire);
    let Some(first) = chunks.next() else {
        return &[];
    };
    let Some(second) = chunks.next() else {
        return first;
    };
    let mut body = bumpalo::collections::Vec::with_capacity_in(wire.len(), ctx.arena);
    for chunk in [first, second].into_iter().chain(chunks) {
        body.extend_from_slice(chunk);
    }
    body.into_bump_slice()
}

#[cfg(test)]
mod tests {
    use super::*;
    use gillnet_entry::{Bump, Nothing};
    use std::io::Write;

    fn decoded(head: &str, wire: &[u8]) -> (Vec<u8>, bool) {
        let arena = Bump::new();
        let ctx = Ctx {
            store: &Nothing,
            arena: &arena,
        };
        let header = |name: &[u8]| {
            let headers = super::super::text::Headers::new(head.as_bytes());
            headers.find(u32::MAX, name).unwrap_or_default()
        };
        let (transfer, content) = (header(b"transfer-encoding"), header(b"content-encoding"));
        let body = decode(transfer, content, wire, &ctx);
        (body.bytes.to_vec(), body.raw)
    }

    fn head(fields: &str) -> String {
        format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n")
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    const TEXT: &[u8] = b"hello hello hello hello hello hello";

    #[test]
    fn codings_are_undone() {
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(TEXT).unwrap();
        let mut deflate =
            flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        deflate.write_all(TEXT).unwrap();
        for (coding, wire) in [
            ("gzip", gzip(TEXT)),
            ("X-Gzip", gzip(TEXT)),
            ("deflate", zlib.finish().unwrap()),
            ("deflate", deflate.finish().unwrap()),
            ("zstd", zstd::encode_all(TEXT, 1).unwrap()),
            (
                "br",
                b"\x1b\x22\0\xf8\x8d\x94n\xdeDU\x86\x96l oAO\x1c\xe0q".to_vec(),
            ), // made by node's zlib
            ("identity", TEXT.to_vec()),
            ("zstd, gzip", gzip(&zstd::encode_all(TEXT, 1).unwrap())),
        ] {
            let (body, raw) = decoded(&head(&format!("Content-Encoding: {coding}")), &wire);
            assert_eq!((body.as_slice(), raw), (TEXT, false), "{coding}");
        }
    }

    #[test]
    fn what_cannot_be_undone_stands_as_it_is() {
        for coding in [
            "gzip",
            "deflate",
            "br",
            "zstd",
            "rot13",
            "gzip, gzip, gzip, gzip, gzip",
        ] {
            let (body, raw) = decoded(
                &head(&format!("Content-Encoding: {coding}")),
                b"\xff\xfenot compressed",
            );
            assert_eq!(
                (body.as_slice(), raw),
                (&b"\xff\xfenot compressed"[..], true),
                "{coding}"
            );
        }
        let wire = gzip(&[7; 100_000]);
        let (body, raw) = decoded(&head("Content-Encoding: gzip"), &wire[..wire.len() / 2]);
        assert!(!raw && !body.is_empty() && body.iter().all(|b| *b == 7));
    }

    #[test]
    fn bombs_are_cut() {
        let wire = gzip(&vec![0; MAX_DECODED * 2]);
        assert_eq!(
            decoded(&head("Content-Encoding: gzip"), &wire).0.len(),
            MAX_DECODED
        );
    }

    #[test]
    fn chunks_are_joined() {
        let chunked = head("Transfer-Encoding: chunked");
        for (wire, body) in [
            ("5\r\nhello\r\n0\r\n\r\n", "hello"),
            (
                "5;a=b\r\nhello\r\n6 ; c\r\n world\r\n0\r\nX: y\r\n\r\n",
                "hello world",
            ),
            ("5\nhello\n0\n\n", "hello"),
            ("A\r\nhel", "hel"),
            ("5\r\nhello\r\nz\r\n", "hello"),
            ("ffffffffffffffffff\r\nhello", ""),
            ("", ""),
        ] {
            assert_eq!(
                decoded(&chunked, wire.as_bytes()).0,
                body.as_bytes(),
                "{wire:?}"
            );
        }
        let both = head("Transfer-Encoding: gzip, chunked");
        let zipped = gzip(TEXT);
        let (a, b) = zipped.split_at(9);
        let mut wire = Vec::new();
        for part in [a, b] {
            write!(wire, "{:x}\r\n", part.len()).unwrap();
            wire.extend_from_slice(part);
            wire.extend_from_slice(b"\r\n");
        }
        assert_eq!(decoded(&both, &wire).0, TEXT);
    }
}
