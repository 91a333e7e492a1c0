//! The compressed protocol: packets inside compressed packets, zlib or zstd. A layer below `codec`: it turns compressed
//! bytes into the plain byte stream and back, and knows nothing of what stands in it.
//! Source: MySQL internals manual, "Compression"; a compressed packet may hold any piece of the plain stream.

use std::io::{Read, Write};

use flate2::{Compression, read::ZlibDecoder, write::ZlibEncoder};
use thiserror::Error;

use super::codec::{FrameError, MAX_PAYLOAD, Order, Sequence};

/// Bytes before a compressed packet's content: the packet header's four, and three of plain length.
pub const HEADER: usize = 7;

/// Shorter pieces are sent as they are (`MIN_COMPRESS_LENGTH` of both servers).
const MIN_LENGTH: usize = 50;

/// How far back zstd may look, as a power of two: all of a packet. Frames that ask for more memory are refused.
const WINDOW: u32 = 24;

/// Which compression was agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// `CLIENT_COMPRESS`.
    Zlib,
    /// `CLIENT_ZSTD_COMPRESSION_ALGORITHM`, MySQL only.
    Zstd {
        /// 1 to 22, as the client asks; servers default to 3.
        level: u8,
    },
}

/// Why compressed bytes are not that. The connection ends.
#[derive(Debug, Error)]
pub enum CompressError {
    /// Packets out of order.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The content is not compressed as agreed.
    #[error("a compressed packet cannot be read: {0}")]
    Content(#[source] std::io::Error),
    /// It holds more or fewer bytes than its header says.
    #[error("a compressed packet does not hold the {expected} bytes it promises")]
    Length {
        /// What its header says.
        expected: usize,
    },
    /// The compressor failed.
    #[error("a packet cannot be compressed: {0}")]
    Compress(#[source] std::io::Error),
}

/// One direction's pair: reads what the other side compressed, compresses what goes there. Both count one sequence.
#[derive(Clone, Debug)]
pub struct Compressed {
    algorithm: Algorithm,
    sequence: Sequence,
    order: Order,
}

impl Compressed {
    /// After a login that agreed on `algorithm`. A reader that does not know where commands begin reads with a loose
    /// order: whatever id comes, what is written next has the one behind it.
    pub fn new(algorithm: Algorithm, order: Order) -> Self {
        Self { algorithm, sequence: Sequence::start(order), order }
    }

    /// A new command begins: sequence ids start at 0. To be called before a command is read or written.
    pub fn command(&mut self) {
        self.sequence = Sequence::start(self.order);
    }

    /// The id that the next packet has; the plain packets written next take it, too, as servers do.
    pub fn next_sequence(&self) -> u8 {
        self.sequence.next()
    }

    /// Reads the compressed packet at the start of `input` and appends its plain bytes to `plain`: how many bytes of
    /// `input` it took, 0 while it is not all there. A packet holds at most 16 MB plain, so a bomb stays small.
    ///
    /// # Errors
    /// [`CompressError`]; `plain` is then to be thrown away.
    pub fn read(&mut self, input: &[u8], plain: &mut Vec<u8>) -> Result<usize, CompressError> {
        let Some(&[a, b, c, sequence, d, e, f]) = input.first_chunk::<HEADER>() else { return Ok(0) };
        let length = usize::from(a) | usize::from(b) << 8 | usize::from(c) << 16;
        let expected = usize::from(d) | usize::from(e) << 8 | usize::from(f) << 16;
        let mut after = self.sequence;
        after.accept(sequence)?;
        let Some(content) = input.get(HEADER..HEADER + length) else { return Ok(0) };
        self.sequence = after;
        if expected == 0 {
            plain.extend_from_slice(content);
            return Ok(HEADER + length);
        }
        let before = plain.len();
        // One byte more than promised is read, so that more than promised is seen.
        let limit = expected as u64 + 1;
        let read = match self.algorithm {
            Algorithm::Zlib => ZlibDecoder::new(content).take(limit).read_to_end(plain),
            Algorithm::Zstd { .. } => zstd::stream::read::Decoder::new(content).and_then(|mut decoder| {
                decoder.window_log_max(WINDOW)?;
                decoder.take(limit).read_to_end(plain)
            }),
        };
        read.map_err(CompressError::Content)?;
        if plain.len() - before != expected {
            return Err(CompressError::Length { expected });
        }
        Ok(HEADER + length)
    }

    /// Appends `plain` as compressed packets to `out`. What is short or does not shrink is sent as it is.
    ///
    /// # Errors
    /// [`CompressError::Compress`].
    pub fn write(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), CompressError> {
        for piece in plain.chunks(MAX_PAYLOAD) {
            let start = out.len();
            out.extend_from_slice(&[0; HEADER]);
            let mut expected = 0;
            if piece.len() >= MIN_LENGTH {
                self.compress(piece, out).map_err(CompressError::Compress)?;
                expected = piece.len();
            }
            if expected == 0 || out.len() - start - HEADER >= piece.len() {
                out.truncate(start + HEADER);
                out.extend_from_slice(piece);
                expected = 0;
            }
            let [a, b, c, ..] = (out.len() - start - HEADER).to_le_bytes();
            let [d, e, f, ..] = expected.to_le_bytes();
            let header = [a, b, c, self.sequence.take(), d, e, f];
            if let Some(place) = out.get_mut(start..start + HEADER) {
                place.copy_from_slice(&header);
            }
        }
        Ok(())
    }

    fn compress(&self, piece: &[u8], out: &mut Vec<u8>) -> std::io::Result<()> {
        match self.algorithm {
            Algorithm::Zlib => {
                let mut encoder = ZlibEncoder::new(out, Compression::fast());
                encoder.write_all(piece)?;
                encoder.finish().map(|_| ())
            }
            Algorithm::Zstd { level } => {
                let mut encoder = zstd::stream::write::Encoder::new(out, i32::from(level.clamp(1, 22)))?;
                encoder.write_all(piece)?;
                encoder.finish().map(|_| ())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn round(algorithm: Algorithm, pieces: &[Vec<u8>], cuts: &[usize]) {
        let (mut writer, mut reader) =
            (Compressed::new(algorithm, Order::Checked), Compressed::new(algorithm, Order::Checked));
        let mut wire = Vec::new();
        for piece in pieces {
            writer.write(piece, &mut wire).unwrap();
        }
        let (mut plain, mut buf, mut at) = (Vec::new(), Vec::new(), 0);
        let mut ends: Vec<_> = cuts.iter().map(|cut| cut % (wire.len() + 1)).collect();
        ends.sort_unstable();
        ends.push(wire.len());
        for end in ends {
            buf.extend_from_slice(&wire[at..end]);
            at = end;
            loop {
                let used = reader.read(&buf, &mut plain).unwrap();
                if used == 0 {
                    break;
                }
                buf.drain(..used);
            }
        }
        assert_eq!(plain, pieces.concat());
        assert!(buf.is_empty());
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_bytes(
            pieces in vec(vec(prop_oneof![9 => Just(b'a'), 1 => any::<u8>()], 0..400), 0..6),
            cuts in vec(any::<usize>(), 0..20),
        ) {
            round(Algorithm::Zlib, &pieces, &cuts);
            round(Algorithm::Zstd { level: 3 }, &pieces, &cuts);
        }

        #[test]
        fn garbage_never_panics(bytes in vec(any::<u8>(), 0..60)) {
            for algorithm in [Algorithm::Zlib, Algorithm::Zstd { level: 3 }] {
                let framed = [&[bytes.len() as u8, 0, 0, 0, 90, 0, 0][..], &bytes].concat();
                let mut plain = Vec::new();
                if let Ok(used) = Compressed::new(algorithm, Order::Checked).read(&framed, &mut plain) {
                    prop_assert_eq!((used, plain.len()), (framed.len(), 90));
                }
            }
        }
    }

    #[test]
    fn sixteen_megabytes_are_two_compressed_packets() {
        round(Algorithm::Zlib, &[vec![7; MAX_PAYLOAD + 10]], &[3, 9]);
    }

    #[test]
    fn a_bomb_or_a_lie_is_refused() {
        let mut wire = Vec::new();
        Compressed::new(Algorithm::Zlib, Order::Checked).write(&vec![0; 100_000], &mut wire).unwrap();
        assert!(wire.len() < 1000);
        wire[4] = wire[4].wrapping_sub(1);
        let (mut plain, mut reader) = (Vec::new(), Compressed::new(Algorithm::Zlib, Order::Checked));
        assert!(matches!(reader.read(&wire, &mut plain), Err(CompressError::Length { expected: 99_999 })));
        wire[3] = 4;
        let mut reader = Compressed::new(Algorithm::Zlib, Order::Checked);
        assert!(matches!(reader.read(&wire, &mut plain), Err(CompressError::Frame(_))));
    }

    #[test]
    fn a_zstd_frame_that_asks_for_much_memory_is_refused() {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(27).unwrap();
        encoder.write_all(&[7; 100]).unwrap();
        let content = encoder.finish().unwrap();
        let wire = [&[content.len() as u8, 0, 0, 0, 100, 0, 0][..], &content].concat();
        let mut reader = Compressed::new(Algorithm::Zstd { level: 3 }, Order::Loose);
        assert!(matches!(reader.read(&wire, &mut Vec::new()), Err(CompressError::Content(_))));
    }

    #[test]
    fn both_sides_count_one_sequence_until_the_next_command() {
        let (mut client, mut server) =
            (Compressed::new(Algorithm::Zlib, Order::Checked), Compressed::new(Algorithm::Zlib, Order::Checked));
        for _ in 0..2 {
            let (mut wire, mut plain) = (Vec::new(), Vec::new());
            client.command();
            server.command();
            client.write(b"\x01\0\0\0\x0e", &mut wire).unwrap();
            assert_eq!(wire[..7], [5, 0, 0, 0, 0, 0, 0]);
            server.read(&wire, &mut plain).unwrap();
            wire.clear();
            assert_eq!(server.next_sequence(), 1);
            server.write(b"answer", &mut wire).unwrap();
            assert_eq!(wire[3], 1);
            client.read(&wire, &mut plain).unwrap();
        }
    }
}
