//! Where each side's middle goes: a walk of whole numbers, stretched to exactly the swing that its scenario has.

use super::super::random::Random;
use crate::abi::Side;

/// Points of a path. Orders are priced off any of them, so a path has no pace.
pub(super) const POINTS: usize = 1 << 15;
/// The middle around which every path lies, in ticks: 167.50 dollars in half cents.
pub(super) const START: u32 = 33_500;
/// Swing of a routine day, in thousandths of the price.
const ROUTINE: u32 = 20;
/// Thousandths of a swing that only one side walks: buyers the lowest, sellers the highest. What is placed there stands until
/// it is cancelled; between, the sides meet.
const APART: i64 = 250;

/// The shape of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// The middle stands still.
    Flat,
    /// A walk between two ends that lie so many thousandths of the price apart.
    Walk(u32),
    /// A routine day until the price falls by so many thousandths near its end, and wins back half.
    Crash(u32),
}

/// The middle's ticks along a path, as one side sees it.
pub(super) fn path(shape: Shape, side: Side, random: &mut Random) -> Vec<u32> {
    match shape {
        Shape::Flat => vec![START; POINTS],
        Shape::Walk(swing) => walk(swing, side, random).iter().map(|away| (i64::from(START) + away) as u32).collect(),
        Shape::Crash(fall) => {
            let fallen = i64::from(START * fall / 1000);
            let (begin, length) = (POINTS - POINTS / 8, POINTS / 32);
            let level = |at: usize| match at {
                at if at < begin => 0,
                at if at < begin + length => fallen * (at - begin) as i64 / length as i64,
                at => fallen - fallen / 2 * (at - begin - length) as i64 / (POINTS - begin - length) as i64,
            };
            let day = walk(ROUTINE, side, random);
            day.iter().enumerate().map(|(at, away)| (i64::from(START) + away - level(at)) as u32).collect()
        }
    }
}

/// One side's walk around 0: from end to end of what that side walks of `swing` thousandths of the price.
fn walk(swing: u32, side: Side, random: &mut Random) -> Vec<i64> {
    let span = i64::from(START * swing / 1000);
    let apart = span * APART / 1000;
    let lowest = -span / 2 + if side == Side::Sell { apart } else { 0 };
    let mut at = 0i64;
    let steps: Vec<i64> = (0..POINTS)
        .map(|_| {
            // The sum of four equal chances is near enough to the normal distribution.
            at += (0..4).map(|_| random.below(2001) as i64 - 1000).sum::<i64>();
            at
        })
        .collect();
    let low = *steps.iter().min().expect("a path has points");
    let high = *steps.iter().max().expect("a path has points");
    steps.iter().map(|step| (step - low) * (span - apart) / (high - low).max(1) + lowest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lowest and the highest point of both sides' paths.
    fn ends(shape: Shape, seed: u64) -> (u32, u32) {
        let mut random = Random::new(seed);
        let points: Vec<u32> = Side::ALL.into_iter().flat_map(|side| path(shape, side, &mut random)).collect();
        assert_eq!(points.len(), 2 * POINTS);
        (*points.iter().min().unwrap(), *points.iter().max().unwrap())
    }

    #[test]
    fn a_path_swings_as_far_as_its_shape_says_whatever_the_seed() {
        for seed in 0..20 {
            assert_eq!(ends(Shape::Flat, seed), (START, START));
            for (swing, ticks) in [(20, 670), (250, 8_375), (400, 13_400)] {
                let (low, high) = ends(Shape::Walk(swing), seed);
                let found = i64::from(high - low);
                assert!((ticks - 1..=ticks).contains(&found), "{swing} thousandths of {START}: {found}");
            }
            let (low, high) = ends(Shape::Crash(600), seed);
            assert!((19_400..=20_800).contains(&(high - low)), "{low} to {high}: 20100, more or less a routine day");
        }
    }
}
