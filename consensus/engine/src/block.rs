//! A block: what validators vote on. It carries one body, or none.
//!
//! A block without a body is rare. It finalizes what its ancestors left open after a crash, and lets the engine forget the views of a
//! long idle time; it settles nothing.
//!
//! Encoding: parent's digest (32), height (varint), number of the last body that this block and its ancestors settle (8), length of the
//! body (varint; 0 for none), the body. A block has one encoding, and its digest covers all of it.

use bytes::BufMut;
use commonware_codec::{Buf, EncodeSize, Error, RangeCfg, Read, ReadExt, Write};
use commonware_consensus::types::Height;
use commonware_consensus::{BoundedBlock, Heightable, marshal};
use commonware_cryptography::blake3::{Blake3, Digest};
use commonware_cryptography::{Digested, Digestible, Hasher};

use crate::agreement::Body;

/// The longest body in bytes.
pub const MAX_BODY_BYTES: usize = 4 << 20;

/// Hashed ahead of a block's content, so that its digest is never taken for one of something else.
const DIGEST_CONTEXT: &[u8] = b"wirebook consensus block 1";

/// The most bytes that a varint takes here.
const MAX_VARINT_BYTES: usize = 10;

/// One block of the chain that validators agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    parent: Digest,
    height: Height,
    settles: u64,
    body: Body,
}

impl Block {
    /// The block that every validator starts from.
    pub fn genesis() -> Self {
        Self { parent: Digest::from([0; 32]), height: Height::zero(), settles: 0, body: Body::new() }
    }

    /// A child that settles the next body, or nothing.
    ///
    /// # Panics
    /// For a body that is empty or longer than [`MAX_BODY_BYTES`].
    pub fn child(&self, body: Option<Body>) -> Self {
        self.child_of(self.digest(), body)
    }

    /// As [`Block::child`], for who has the digest of this block at hand.
    pub(crate) fn child_of(&self, parent: Digest, body: Option<Body>) -> Self {
        let settles = self.settles + u64::from(body.is_some());
        if let Some(body) = &body {
            assert!((1..=MAX_BODY_BYTES).contains(&body.len()), "a body of {} bytes", body.len());
        }
        Self { parent, height: self.height.next(), settles, body: body.unwrap_or_default() }
    }

    /// Number of the last body that this block and its ancestors settle; 0 before the first.
    pub fn settles(&self) -> u64 {
        self.settles
    }

    /// The body that this block settles, whose number is [`Block::settles`].
    pub fn body(&self) -> Option<&Body> {
        (!self.body.is_empty()).then_some(&self.body)
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
        self.body.write(buffer);
    }
}

impl EncodeSize for Block {
    fn encode_size(&self) -> usize {
        self.parent.encode_size() + self.height.encode_size() + self.settles.encode_size() + self.body.encode_size()
    }
}

impl Read for Block {
    type Cfg = ();

    fn read_cfg(buffer: &mut impl Buf, (): &()) -> Result<Self, Error> {
        Ok(Self {
            parent: Digest::read(buffer)?,
            height: Height::read(buffer)?,
            settles: u64::read(buffer)?,
            body: Body::read_cfg(buffer, &RangeCfg::from(0..=MAX_BODY_BYTES))?,
        })
    }
}

impl Digestible for Block {
    type Digest = Digest;

    fn digest(&self) -> Digest {
        let (height, settles) = (self.height.get().to_le_bytes(), self.settles.to_le_bytes());
        Blake3::hash(&[DIGEST_CONTEXT, self.parent.as_ref(), &height, &settles, &self.body])
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
        size_of::<Digest>() + MAX_VARINT_BYTES + size_of::<u64>() + MAX_VARINT_BYTES + MAX_BODY_BYTES
    }
}

/// The form in which marshal hands blocks around: with their digest.
pub(crate) type DigestedBlock = Digested<Block>;

/// What marshal reports.
pub(crate) type Update = marshal::Update<Block>;
