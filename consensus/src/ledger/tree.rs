//! The tree over all balances: its root commits to each of them, and a path of hashes proves one, or that there is none.
//!
//! A binary tree of fixed depth, [`DEPTH`]: the 16 bits of the account lead from the root to the account's row, the 8 bits of the
//! asset from there to the leaf, most significant bit first. A balance of nothing, and one that nobody registered, is the
//! empty leaf, 32 zero bytes; so a path proves absence as it proves presence, and the root does not know how much room
//! was made. Hashes are BLAKE3 with a first byte that tells leaves (0) from nodes (1), so that neither passes for the
//! other:
//!
//! ```text
//! leaf = H(0 | account u32 | asset u16 | available i128 | reserved i128)      little-endian
//! node = H(1 | left | right)
//! ```
//!
//! The upper 16 levels are kept; an account whose balances have changed is marked, and [`Tree::root`] hashes anew only the rows
//! that were, and what is above them. A row of 256 leaves is hashed when it is needed.

use std::cell::RefCell;
use std::sync::LazyLock;

use super::{Balance, MAX_ACCOUNTS, MAX_ASSETS};

/// A BLAKE3 digest.
pub type Digest = [u8; 32];

/// Levels below the root.
pub const DEPTH: usize = ACCOUNT_BITS + ASSET_BITS;

const ACCOUNT_BITS: usize = MAX_ACCOUNTS.trailing_zeros() as usize;
const ASSET_BITS: usize = MAX_ASSETS.trailing_zeros() as usize;

/// Bits of a word of marks.
const WORD: usize = 64;

/// Roots of empty subtrees, by height: 0 is the empty leaf.
static EMPTY: LazyLock<[Digest; DEPTH + 1]> = LazyLock::new(|| {
    let mut empty = [[0; 32]; DEPTH + 1];
    for height in 1..=DEPTH {
        empty[height] = node(&empty[height - 1], &empty[height - 1]);
    }
    empty
});

/// The leaf of a balance.
pub(crate) fn leaf(account: u32, asset: u16, balance: &Balance) -> Digest {
    if *balance == Balance::default() {
        return EMPTY[0];
    }
    let mut row = [0; 39];
    row[1..5].copy_from_slice(&account.to_le_bytes());
    row[5..7].copy_from_slice(&asset.to_le_bytes());
    row[7..23].copy_from_slice(&balance.available.to_le_bytes());
    row[23..39].copy_from_slice(&balance.reserved.to_le_bytes());
    *blake3::hash(&row).as_bytes()
}

/// The node over two.
pub(crate) fn node(left: &Digest, right: &Digest) -> Digest {
    let mut pair = [1; 65];
    pair[1..33].copy_from_slice(left);
    pair[33..65].copy_from_slice(right);
    *blake3::hash(&pair).as_bytes()
}

/// The root of an empty subtree of this height.
pub(crate) fn empty(height: usize) -> &'static Digest {
    &EMPTY[height]
}

/// The root above a leaf, by the siblings on its way up, the leaf's own first.
pub(crate) fn climb(account: u32, asset: u16, leaf: Digest, siblings: &[Digest; DEPTH]) -> Digest {
    let place = (account as usize) << ASSET_BITS | usize::from(asset);
    siblings.iter().enumerate().fold(leaf, |below, (height, sibling)| match place >> height & 1 {
        0 => node(&below, sibling),
        _ => node(sibling, &below),
    })
}

fn sibling(level: &[Digest], at: usize, height: usize) -> Digest {
    level.get(at ^ 1).copied().unwrap_or(EMPTY[height])
}

fn top(levels: &[Vec<Digest>], height: usize) -> Digest {
    levels.last().and_then(|level| level.first()).copied().unwrap_or(EMPTY[height])
}

#[derive(Clone, Debug, Default)]
struct Kept {
    /// From the rows' roots to the root.
    levels: Vec<Vec<Digest>>,
    /// A bit for each account whose row's root is out of date.
    marks: Vec<u64>,
}

/// The tree's upper levels. It is a cache of the balances: two trees are always equal.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    kept: RefCell<Kept>,
}

impl PartialEq for Tree {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl Eq for Tree {}

impl Tree {
    /// There are this many accounts from here on.
    pub(super) fn grow(&mut self, accounts: u32) {
        let kept = self.kept.get_mut();
        kept.marks.resize((accounts as usize).div_ceil(WORD), 0);
        // Who is new has nothing, and so has every node that stands over new accounts alone.
        kept.levels.resize(ACCOUNT_BITS + 1, Vec::new());
        for (step, level) in kept.levels.iter_mut().enumerate() {
            level.resize((accounts as usize).div_ceil(1 << step), EMPTY[ASSET_BITS + step]);
        }
    }

    /// A balance of this account changes.
    #[inline]
    pub(super) fn mark(&mut self, account: u32) {
        self.kept.get_mut().marks[account as usize / WORD] |= 1 << (account as usize % WORD);
    }

    /// The root; `row` gives the balances of an account, by asset.
    pub(super) fn root<'a>(&self, row: impl Fn(u32) -> &'a [Balance]) -> Digest {
        self.refresh(row);
        top(&self.kept.borrow().levels, DEPTH)
    }

    /// The siblings on the way from a leaf to the root, the leaf's own first.
    pub(super) fn path<'a>(&self, account: u32, asset: u16, row: impl Fn(u32) -> &'a [Balance]) -> [Digest; DEPTH] {
        self.refresh(&row);
        let mut siblings = [[0; 32]; DEPTH];
        let own = row_levels(account, row(account));
        for (height, sibling_at) in siblings[..ASSET_BITS].iter_mut().enumerate() {
            *sibling_at = sibling(&own[height], usize::from(asset) >> height, height);
        }
        let kept = self.kept.borrow();
        for (step, sibling_at) in siblings[ASSET_BITS..].iter_mut().enumerate() {
            let level = kept.levels.get(step).map_or(&[][..], Vec::as_slice);
            *sibling_at = sibling(level, account as usize >> step, ASSET_BITS + step);
        }
        siblings
    }

    /// Hashes anew the rows that are marked, and each node above them once.
    fn refresh<'a>(&self, row: impl Fn(u32) -> &'a [Balance]) {
        let kept = &mut *self.kept.borrow_mut();
        let mut changed: Vec<usize> = Vec::new();
        for (word_at, word) in kept.marks.iter_mut().enumerate() {
            while *word != 0 {
                let account = word_at * WORD + word.trailing_zeros() as usize;
                *word &= *word - 1;
                kept.levels[0][account] = top(&row_levels(account as u32, row(account as u32)), ASSET_BITS);
                changed.push(account);
            }
        }
        for step in 0..ACCOUNT_BITS {
            if changed.is_empty() {
                return;
            }
            changed.iter_mut().for_each(|at| *at /= 2);
            changed.dedup();
            let (below, above) = kept.levels.split_at_mut(step + 1);
            for &at in &changed {
                let pair = [2 * at, 2 * at + 1].map(|at| below[step].get(at).unwrap_or(&EMPTY[ASSET_BITS + step]));
                above[0][at] = node(pair[0], pair[1]);
            }
        }
    }
}

/// The levels of an account's row, leaves first.
fn row_levels(account: u32, row: &[Balance]) -> Vec<Vec<Digest>> {
    let mut levels: Vec<Vec<Digest>> = Vec::with_capacity(ASSET_BITS + 1);
    levels.push(row.iter().zip(0..).map(|(balance, asset)| leaf(account, asset, balance)).collect());
    for height in 0..ASSET_BITS {
        let above = levels[height].chunks(2).map(|pair| node(&pair[0], pair.get(1).unwrap_or(&EMPTY[height])));
        let above = above.collect();
        levels.push(above);
    }
    levels
}
