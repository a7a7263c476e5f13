//! A block: what validators vote on. It carries one body, or none, and notes.
//!
//! A note is 32 bytes that somebody wants to see in a final block: who finds a number there that he has just drawn knows that everything
//! final before is in that block or below it. A block without a body is rare otherwise. It finalizes what its ancestors left open after a
//! crash, and lets the engine forget the views of a long idle time; it settles nothing.
//!
//! Encoding: parent's digest (32), height (varint), number of the last body that this block and its ancestors settle (8), number of notes
//! (varint), the notes (32 each), length of the body (varint; 0 for none), the body. A block has one encoding, and its digest covers all
//! of it: it is the hash of [`Block::head`] and the body, and the head holds the hash of the notes.

use bytes::BufMut;
use commonware_codec::{Buf, EncodeSize, Error, RangeCfg, Read, ReadExt, Write};
use commonware_consensus::types::Height;
use commonware_consensus::{BoundedBlock, Heightable, marshal};
use commonware_cryptography::blake3::{Blake3, Digest};
use commonware_cryptography::{Digested, Digestible, Hasher};

use crate::agreement::{Body, Note};

/// The longest body in bytes.
pub const MAX_BODY_BYTES: usize = 4 << 20;

/// The most notes of one block.
pub const MAX_NOTES: usize = 128;

/// Hashed ahead of a block's content, so that its digest is never taken for one of something else. Layout 1 had no notes.
const DIGEST_CONTEXT: &[u8; 26] = b"wirebook consensus block 2";

/// Hashed ahead of notes.
const NOTES_CONTEXT: &[u8; 16] = b"wirebook notes 1";

/// Bytes of [`Block::head`].
pub const HEAD_BYTES: usize = DIGEST_CONTEXT.len() + 32 + 8 + 8 + 32;

/// What a block is made from, its body apart, as its digest covers it: a context, the parent's digest, the height, the number of the last
/// body settled, the hash of the notes.
pub fn head(parent: &[u8; 32], height: u64, settles: u64, notes: &[Note]) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    let (height, settles, notes) = (height.to_le_bytes(), settles.to_le_bytes(), notes_digest(notes));
    let mut rest = &mut head[..];
    for part in [&DIGEST_CONTEXT[..], parent, &height, &settles, &notes] {
        let (place, after) = rest.split_at_mut(part.len());
        place.copy_from_slice(part);
        rest = after;
    }
    assert!(rest.is_empty());
    head
}

/// The hash of notes; 32 zeros if there are none.
fn notes_digest(notes: &[Note]) -> [u8; 32] {
    if notes.is_empty() {
        return [0; 32];
    }
    let digest = Blake3::hash(&[&NOTES_CONTEXT[..], notes.as_flattened()]);
    digest.as_ref().try_into().expect("a digest has 32 bytes")
}

/// The most bytes that a varint takes here.
const MAX_VARINT_BYTES: usize = 10;

/// One block of the chain that validators agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    parent: Digest,
    height: Height,
    settles: u64,
    notes: Vec<Note>,
    body: Body,
}

impl Block {
    /// The block that every validator starts from.
    pub fn genesis() -> Self {
        Self { parent: Digest::from([0; 32]), height: Height::zero(), settles: 0, notes: Vec::new(), body: Body::new() }
    }

    /// A child that settles the next body, or nothing.
    ///
    /// # Panics
    /// For a body that is empty or longer than [`MAX_BODY_BYTES`], and for more than [`MAX_NOTES`] notes.
    pub fn child(&self, body: Option<Body>, notes: Vec<Note>) -> Self {
        self.child_of(self.digest(), body, notes)
    }

    /// As [`Block::child`], for who has the digest of this block at hand.
    pub(crate) fn child_of(&self, parent: Digest, body: Option<Body>, notes: Vec<Note>) -> Self {
        assert!(notes.len() <= MAX_NOTES, "{} notes", notes.len());
        let settles = self.settles + u64::from(body.is_some());
        if let Some(body) = &body {
            assert!((1..=MAX_BODY_BYTES).contains(&body.len()), "a body of {} bytes", body.len());
        }
        Self { parent, height: self.height.next(), settles, notes, body: body.unwrap_or_default() }
    }

    /// Number of the last body that this block and its ancestors settle; 0 before the first.
    pub fn settles(&self) -> u64 {
        self.settles
    }

    /// The body that this block settles, whose number is [`Block::settles`].
    pub fn body(&self) -> Option<&Body> {
        (!self.body.is_empty()).then_some(&self.body)
    }

    /// The notes in it.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// Whether the block settles what a child of `parent` may settle: the next body, or nothing.
    pub fn follows(&self, parent: &Block) -> bool {
        parent.settles.checked_add(u64::from(!self.body.is_empty())) == Some(self.settles)
    }
}

impl Write for Block {
    fn write(&self, buffer: &mut impl BufMut) {
        self.parent.write(buffer);
        self.height.write(buffer);
        self.settles.write(buffer);
        self.notes.write(buffer);
        self.body.write(buffer);
    }
}

impl EncodeSize for Block {
    fn encode_size(&self) -> usize {
        let head = self.parent.encode_size() + self.height.encode_size() + self.settles.encode_size();
        head + self.notes.encode_size() + self.body.encode_size()
    }
}

impl Read for Block {
    type Cfg = ();

    fn read_cfg(buffer: &mut impl Buf, (): &()) -> Result<Self, Error> {
        Ok(Self {
            parent: Digest::read(buffer)?,
            height: Height::read(buffer)?,
            settles: u64::read(buffer)?,
            notes: Vec::<Note>::read_cfg(buffer, &(RangeCfg::from(0..=MAX_NOTES), ()))?,
            body: Body::read_cfg(buffer, &RangeCfg::from(0..=MAX_BODY_BYTES))?,
        })
    }
}

impl Digestible for Block {
    type Digest = Digest;

    fn digest(&self) -> Digest {
        let parent = self.parent.as_ref().try_into().expect("a digest has 32 bytes");
        Blake3::hash(&[&head(parent, self.height.get(), self.settles, &self.notes)[..], &self.body])
    }
}

impl Heightable for Block {
    fn height(&self) -> Height {
        self.height
    }
}

impl commonware_consensus::Block for Block {
    fn parent(&self) -> Digest {
        self.parent
    }
}

impl BoundedBlock for Block {
    fn max_encode_size((): &()) -> usize {
        let notes = MAX_VARINT_BYTES + MAX_NOTES * size_of::<Note>();
        size_of::<Digest>() + MAX_VARINT_BYTES + size_of::<u64>() + notes + MAX_VARINT_BYTES + MAX_BODY_BYTES
    }
}

/// The form in which marshal hands blocks around: with their digest.
pub(crate) type DigestedBlock = Digested<Block>;

/// What marshal reports.
pub(crate) type Update = marshal::Update<Block>;
