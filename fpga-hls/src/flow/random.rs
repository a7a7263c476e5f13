//! A small seeded generator, the same on every machine: xoshiro256++ seeded by splitmix64, after the public-domain code of
//! Blackman and Vigna (<https://prng.di.unimi.it/>). Not for secrets.

/// xoshiro256++.
#[derive(Clone, Debug)]
pub struct Random {
    state: [u64; 4],
}

impl Random {
    /// The generator of a seed. Seeds that are near give streams that are not.
    pub fn new(seed: u64) -> Self {
        let mut mix = seed;
        let mut splitmix = || {
            mix = mix.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (mix ^ mix >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ z >> 31
        };
        Self { state: [splitmix(), splitmix(), splitmix(), splitmix()] }
    }

    /// The next 64 bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        let s = &mut self.state;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// A number below `n`, 0 when `n` is 0. The bias, below `n` / 2^64, does not matter to any flow.
    #[inline]
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(n)) >> 64) as u64
    }

    /// A number of `low..=high`; `low` when the range is empty.
    #[inline]
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low).saturating_add(1))
    }

    /// True `numerator` times in `denominator`.
    #[inline]
    pub fn chance(&mut self, numerator: u64, denominator: u64) -> bool {
        self.below(denominator) < numerator
    }

    /// An element.
    ///
    /// # Panics
    /// When there is none.
    #[inline]
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }

    /// How often a coin of `numerator` in `denominator` comes up in a row, at most `most`: a geometric distance.
    #[inline]
    pub fn run(&mut self, numerator: u64, denominator: u64, most: u64) -> u64 {
        let mut length = 0;
        while length < most && self.chance(numerator, denominator) {
            length += 1;
        }
        length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The authors' C code, seeded by their splitmix64 at 0: the first of both streams.
    #[test]
    fn the_stream_is_the_published_one() {
        let mut random = Random { state: [1, 2, 3, 4] };
        let first: Vec<u64> = (0..4).map(|_| random.next_u64()).collect();
        assert_eq!(first, [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386]);
        assert_eq!(Random::new(0).state[0], 0xe220_a839_7b1d_cdaf, "splitmix64 of seed 0");
    }

    #[test]
    fn ranges_are_kept_and_reached() {
        let mut random = Random::new(7);
        let mut seen = [0u32; 6];
        (0..6000).for_each(|_| seen[random.between(0, 5) as usize] += 1);
        assert!(seen.iter().all(|n| (800..1200).contains(n)), "{seen:?}");
        assert_eq!(random.below(0), 0);
        assert_eq!(random.between(9, 9), 9);
        assert!((0..100).all(|_| random.run(1, 2, 3) <= 3));
    }
}
