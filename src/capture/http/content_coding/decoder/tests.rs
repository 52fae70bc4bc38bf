use compression_codecs::brotli::params::EncoderParams as BrotliParams;
use compression_codecs::core::Level;
use compression_codecs::{
    BrotliEncoder, DeflateEncoder, EncodeV2, GzipEncoder, ZlibEncoder, ZstdEncoder,
};
use proptest::prelude::*;

use super::*;

const CODINGS: [&str; 5] = ["gzip", "deflate", "bare deflate", "br", "zstd"];

fn encoder(coding: &str) -> Box<dyn EncodeV2> {
    let level = Level::Default;
    match coding {
        "gzip" => Box::new(GzipEncoder::new(level.into())),
        "deflate" => Box::new(ZlibEncoder::new(level.into())),
        "bare deflate" => Box::new(DeflateEncoder::new(level.into())),
        // The default quality is the slowest.
        "br" => Box::new(BrotliEncoder::new(
            BrotliParams::default().quality(Level::Fastest),
        )),
        _ => Box::new(ZstdEncoder::new(1)),
    }
}

fn decoder(coding: &str) -> Decoder {
    let name = coding.trim_start_matches("bare ");
    Decoder::of(name.as_bytes(), true).expect("a known coding")
}

/// Returns each of these parts, encoded and flushed. The last one includes the end
/// of the stream.
fn encoded(coding: &str, parts: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut encoder = encoder(coding);
    let mut out = vec![0; parts.concat().len() * 2 + 1024];
    let mut encode = |index: usize, part: &&[u8]| {
        let mut output = WriteBuffer::new_initialized(&mut out);
        let mut input = PartialBuffer::new(*part);
        while !input.unwritten().is_empty() {
            encoder.encode(&mut input, &mut output).expect("encodes");
        }
        let last = index + 1 == parts.len();
        while !match last {
            true => encoder.finish(&mut output).expect("finishes"),
            false => encoder.flush(&mut output).expect("flushes"),
        } {}
        output.written().to_vec()
    };
    parts
        .iter()
        .enumerate()
        .map(|(index, part)| encode(index, part))
        .collect()
}

fn whole(coding: &str, text: &[u8]) -> Vec<u8> {
    encoded(coding, &[text]).concat()
}

/// Returns the decoded chunks, and whether all of them could be decoded.
fn decoded<'a>(
    decoder: &mut Decoder,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<u8>, bool) {
    let mut text = Vec::new();
    for chunk in chunks {
        let read = decoder.read(chunk, &mut |decoded| {
            text.extend_from_slice(decoded);
            ControlFlow::Continue(())
        });
        if read.is_err() {
            return (text, false);
        }
    }
    (text, true)
}

/// Returns text that hardly compresses.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b'a' + (state >> 24) as u8 % 16
    })
    .take(len)
    .collect()
}

#[test]
fn body_cut_anywhere_decodes_to_the_same() {
    let text =
        br#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"hello hello"}]}}"#;
    for coding in CODINGS {
        let body = whole(coding, text);
        for at in 0..=body.len() {
            let (head, tail) = body.split_at(at);
            let read = decoded(&mut decoder(coding), [head, tail]);
            assert_eq!(read, (text.to_vec(), true), "{coding} cut at {at}");
        }
        let read = decoded(&mut decoder(coding), body.chunks(1));
        assert_eq!(read, (text.to_vec(), true), "{coding} byte by byte");
    }
}

#[test]
fn pieces_that_are_exactly_full_leave_nothing_behind() {
    for coding in CODINGS {
        for len in [PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 5 * PIECE] {
            let text = noise(len);
            let body = whole(coding, &text);
            for tail in [0, 1, 4, 8, 9, 12] {
                let (head, tail) = body.split_at(body.len() - tail);
                let read = decoded(&mut decoder(coding), [head, tail]);
                assert!(read == (text.clone(), true), "{coding} of {len} bytes");
            }
            let read = decoded(&mut decoder(coding), body.chunks(1));
            assert!(read == (text, true), "{coding} of {len} bytes, one by one");
        }
    }
}

#[test]
fn flushed_bytes_are_decoded_at_once() {
    let long = noise(3 * PIECE);
    let parts = [
        b"data: 1\n\n".as_slice(),
        b"data: 2\n\n",
        &long,
        b"data: 3\n\n",
    ];
    for coding in CODINGS {
        let mut decoder = decoder(coding);
        for (chunk, part) in encoded(coding, &parts).iter().zip(parts) {
            let read = decoded(&mut decoder, [chunk.as_slice()]);
            assert!(read == (part.to_vec(), true), "{coding}");
        }
    }
}

#[test]
fn body_may_have_several_streams_if_its_coding_allows_it() {
    for (coding, both) in [
        ("gzip", true),
        ("zstd", true),
        ("deflate", false),
        ("br", false),
    ] {
        let body = [whole(coding, b"one,"), whole(coding, b"two")].concat();
        let text: &[u8] = if both { b"one,two" } else { b"one," };
        for chunk in [1, body.len()] {
            let read = decoded(&mut decoder(coding), body.chunks(chunk));
            assert_eq!(read, (text.to_vec(), true), "{coding} in chunks of {chunk}");
        }
    }
}

#[test]
fn body_that_decodes_to_too_much_is_abandoned_early() {
    let zeros = vec![0; 2 * BURST as usize];
    for coding in CODINGS {
        let body = whole(coding, &zeros);
        for chunk in [1, body.len()] {
            let (read, all) = decoded(&mut decoder(coding), body.chunks(chunk));
            assert!(!all, "{coding}");
            let most = BURST + RATIO * body.len() as u64;
            assert!(read.len() as u64 <= most, "{coding}: {}", read.len());
        }
    }
}

#[test]
fn long_body_of_ordinary_text_is_read_to_its_end() {
    let line = |n| {
        format!(
            r#"{{"name":"tool {n}","description":"Does what it does","inputSchema":{{"type":"object"}}}},"#
        )
    };
    let text: String = (0..2 * BURST / 80).map(line).collect();
    for coding in ["gzip", "zstd"] {
        let body = whole(coding, text.as_bytes());
        let (read, all) = decoded(&mut decoder(coding), body.chunks(64 * 1024));
        assert!(
            all && read == text.as_bytes(),
            "{coding}: {} bytes",
            body.len()
        );
    }
}

/// Returns the beginning of a zstd frame: its magic number and this window
/// descriptor.
fn zstd_frame(window: u8) -> Vec<u8> {
    vec![0x28, 0xb5, 0x2f, 0xfd, 0, window]
}

/// Returns an uncompressed block of 128 KiB.
fn zstd_block() -> Vec<u8> {
    let header = (128_u32 * 1024) << 3;
    let mut block = header.to_le_bytes()[..3].to_vec();
    block.resize(3 + 128 * 1024, b' ');
    block
}

#[test]
fn document_has_a_size_limit_and_an_event_stream_has_none() {
    let (frame, block) = (zstd_frame(8 << 3), zstd_block());
    for endless in [false, true] {
        let mut decoder = Decoder::of(b"zstd", endless).unwrap();
        let mut len = 0;
        let mut read = |chunk: &[u8]| {
            let mut count = |decoded: &[u8]| {
                len += decoded.len() as u64;
                ControlFlow::Continue(())
            };
            decoder.read(chunk, &mut count).is_ok()
        };
        let blocks = DOCUMENT.div_ceil(128 * 1024);
        assert!(read(&frame) && (0..blocks).all(|_| read(&block)));
        assert_eq!(read(&block), endless);
        assert!(len >= DOCUMENT);
    }
}

#[test]
fn window_that_takes_too_much_memory_is_refused() {
    // The upper five bits hold the exponent minus 10.
    for (log, all) in [(23, true), (24, false), (31, false)] {
        let body = [zstd_frame((log - 10) << 3), zstd_block()].concat();
        let (_, read) = decoded(&mut decoder("zstd"), [body.as_slice()]);
        assert_eq!(read, all, "a window of 2^{log} bytes");
    }
    // The mark of a large window; the next byte is its size.
    let (_, read) = decoded(&mut decoder("br"), [[0x11, 30, 0, 0].as_slice()]);
    assert!(!read);
}

#[test]
fn window_of_a_brotli_stream_is_in_its_first_byte() {
    for log in 10..=24 {
        let params = BrotliParams::default().window_size(log);
        let mut encoder = BrotliEncoder::new(params.quality(Level::Precise(5)));
        let mut body = [0; 64];
        let mut output = WriteBuffer::new_initialized(&mut body);
        assert!(encoder.finish(&mut output).expect("finishes"));
        let window = brotli_window(output.written()[0]).expect("a standard window");
        assert_eq!(window, 1 << log);
    }
}

#[test]
fn sink_that_stops_gets_no_more() {
    let body = whole("gzip", &noise(4 * PIECE));
    let mut pieces = 0;
    let read = decoder("gzip").read(&body, &mut |_| {
        pieces += 1;
        ControlFlow::Break(())
    });
    assert!(matches!(read, Ok(ControlFlow::Break(()))));
    assert_eq!(pieces, 1);
}

#[test]
fn other_codings_are_unknown() {
    for name in ["compress", "dcb", "*", "aws-chunked"] {
        assert!(Decoder::of(name.as_bytes(), false).is_err(), "{name}");
    }
    for name in ["GZIP", "x-gzip", "Deflate", "BR", "Zstd"] {
        assert!(Decoder::of(name.as_bytes(), false).is_ok(), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn broken_body_does_no_harm(
        coding in prop::sample::select(&CODINGS),
        text in prop::collection::vec(prop_oneof![Just(b'a'), Just(b'b'), any::<u8>()], 0..2000),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        chunk in 1_usize..200,
    ) {
        let mut body = whole(coding, &text);
        for (at, byte) in changes {
            let at = at.index(body.len());
            body[at] = byte;
        }
        let (read, _) = decoded(&mut decoder(coding), body.chunks(chunk));
        prop_assert!(read.len() as u64 <= BURST + RATIO * body.len() as u64);
    }

    #[test]
    fn noise_does_no_harm(
        coding in prop::sample::select(&CODINGS),
        body in prop::collection::vec(any::<u8>(), 0..2000),
        chunk in 1_usize..200,
    ) {
        let (read, _) = decoded(&mut decoder(coding), body.chunks(chunk));
        prop_assert!(read.len() as u64 <= BURST + RATIO * body.len() as u64);
    }
}
