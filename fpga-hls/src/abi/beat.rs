//! What both beats are made of: 32 bytes as four little-endian words.

/// Bytes of a beat.
pub const BEAT_BYTES: usize = 32;

/// The bit of the last byte that belongs to the ring.
pub const RING_BIT: u8 = 0x80;

/// The words' bytes.
#[inline]
pub(super) fn bytes_of(words: [u64; 4]) -> [u8; BEAT_BYTES] {
    let mut bytes = [0; BEAT_BYTES];
    for (chunk, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(words) {
        *chunk = word.to_le_bytes();
    }
    bytes
}

/// The bytes' words.
#[inline]
pub(super) fn words_of(bytes: &[u8; BEAT_BYTES]) -> [u64; 4] {
    let mut words = [0; 4];
    for (word, chunk) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*chunk);
    }
    words
}
