//! Compression of artifacts: the same bytes always compress to the same bytes, and nothing unpacks beyond a bound.

use std::io::{self, Read as _, Write as _};

use bytes::Bytes;
use flate2::{Compression as Level, GzBuilder, bufread::MultiGzDecoder};
use scrapefleet_api::store::Compression;

/// Why bytes cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// More than the bound came out.
    #[error("it unpacks to more than {limit} bytes")]
    TooLarge {
        /// The bound.
        limit: usize,
    },
    /// The bytes are not what the encoding says.
    #[error("it is not whole gzip data: {0}")]
    Malformed(String),
    /// The encoding is not one that this program knows.
    #[error("content encoding `{0}` is not known, there is `gzip`")]
    Unknown(String),
}

/// Bytes as they are to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The bytes.
    pub bytes: Bytes,
    /// Their content encoding, for [`Metadata::encoded`](crate::Metadata::encoded).
    pub encoding: Option<&'static str>,
}

/// Encodes `bytes` as `store.compression` says. The same bytes give the same answer on every machine and at any time.
#[must_use]
pub fn encode(compression: Compression, bytes: Bytes) -> Encoded {
    match compression {
        Compression::None => Encoded { bytes, encoding: None },
        Compression::Gzip => Encoded { bytes: gzip(&bytes), encoding: Some("gzip") },
    }
}

/// Decodes what [`encode`] made; `limit` is the most bytes that may come out.
pub fn decode(encoding: Option<&str>, bytes: Bytes, limit: usize) -> Result<Bytes, DecodeError> {
    match encoding {
        None if bytes.len() > limit => Err(DecodeError::TooLarge { limit }),
        None => Ok(bytes),
        Some("gzip") => gunzip(&bytes, limit),
        Some(other) => {
            Err(DecodeError::Unknown(other.chars().take(80).collect::<String>().escape_debug().to_string()))
        }
    }
}

/// Neither time nor operating system is in the header: 0 and 255 (unknown).
fn gzip(bytes: &[u8]) -> Bytes {
    let mut encoder = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Level::default());
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    #[expect(clippy::expect_used)]
    // cannot fail: the encoder writes into a Vec, which never answers an error.
    Bytes::from(written.expect("writing into a Vec"))
}

fn gunzip(bytes: &[u8], limit: usize) -> Result<Bytes, DecodeError> {
    let mut out = Vec::new();
    // One byte more than the bound tells "exactly the bound" from "more".
    let mut bounded = MultiGzDecoder::new(bytes).take(limit as u64 + 1);
    bounded.read_to_end(&mut out).map_err(|error: io::Error| DecodeError::Malformed(error.to_string()))?;
    if out.len() > limit { Err(DecodeError::TooLarge { limit }) } else { Ok(Bytes::from(out)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_same_bytes_compress_to_the_same_bytes() {
        let once = encode(Compression::Gzip, Bytes::from_static(b"|win|a\n"));
        assert_eq!(once, encode(Compression::Gzip, Bytes::from_static(b"|win|a\n")));
        assert_eq!(once.bytes[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
    }

    #[test]
    fn a_bomb_stops_at_the_bound() {
        let bomb = gzip(&vec![0; 10_000_000]);
        assert!(bomb.len() < 20_000);
        assert_eq!(
            decode(Some("gzip"), bomb.clone(), 9_999_999),
            Err(DecodeError::TooLarge { limit: 9_999_999 })
        );
        assert_eq!(decode(Some("gzip"), bomb, 10_000_000).map(|bytes| bytes.len()), Ok(10_000_000));
    }

    #[test]
    fn nothing_behind_the_bound_is_even_looked_at() {
        let bytes = [&gzip(&vec![0; 100_000])[..], b"rubbish"].concat();
        assert_eq!(decode(Some("gzip"), bytes.into(), 50_000), Err(DecodeError::TooLarge { limit: 50_000 }));
    }

    #[test]
    fn half_a_file_a_wrong_sum_and_rubbish_are_not_decoded() {
        let whole = gzip(b"some text that is long enough");
        let mut wrong = whole.to_vec();
        let sum = wrong.len() - 6;
        wrong[sum] ^= 1;
        let trailing = [&whole[..], b"rubbish"].concat();
        for bytes in
            [whole.slice(..whole.len() - 1), wrong.into(), trailing.into(), Bytes::from_static(b"no gzip")]
        {
            assert!(matches!(decode(Some("gzip"), bytes, 1_000), Err(DecodeError::Malformed(_))));
        }
    }

    #[test]
    fn an_encoding_that_is_not_known_is_named() {
        let error = decode(Some("br\n"), Bytes::new(), 10).unwrap_err().to_string();
        assert_eq!(error, "content encoding `br\\n` is not known, there is `gzip`");
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(bytes: Vec<u8>, gzip: bool) {
            let compression = if gzip { Compression::Gzip } else { Compression::None };
            let encoded = encode(compression, Bytes::from(bytes.clone()));
            prop_assert_eq!(decode(encoded.encoding, encoded.bytes, bytes.len()), Ok(Bytes::from(bytes)));
        }
    }
}
