//! The trading day: dates from record time, and the names of sessions.
//!
//! A session's name is what SoupBinTCP clients log in to: ten characters, the date and a two-digit generation, as in
//! `2026112101`. A new generation is a new stream from 1: the next day's, the next opening on one date, or the one after a
//! crash that may have taken back what clients were told (ack policy `matched`).

use wirebook_settlement::record::{DayPhase, State};

const DAY_NS: u64 = 86_400 * 1_000_000_000;

/// Openings on one date, at most: what two digits count.
pub const MAX_GENERATION: u32 = 99;

/// The date of a UTC time in nanoseconds since 1970, as in 20261121. Proleptic Gregorian, after Howard Hinnant's
/// `civil_from_days` (chrono-Compatible Low-Level Date Algorithms).
pub fn date(time_ns: u64) -> u32 {
    let days = time_ns / DAY_NS + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year * 10_000 + month * 100 + day) as u32
}

/// The opening of the next session at this time, after the one whose name is `last`. `None`: its date has no generation
/// left.
pub fn open(time_ns: u64, last: Option<[u8; 10]>) -> Option<State> {
    let date = date(time_ns);
    let generation = match last.and_then(parse) {
        Some((last_date, last_generation)) if last_date >= date => last_generation + 1,
        _ => 1,
    };
    if generation > MAX_GENERATION {
        return None;
    }
    // A clock that was set back does not take a date that was used.
    let date = last.and_then(parse).map_or(date, |(last_date, _)| date.max(last_date));
    let mut session_name = [b' '; 10];
    session_name.copy_from_slice(format!("{date:08}{generation:02}").as_bytes());
    Some(State::Day { date, phase: DayPhase::Open, session_name })
}

/// The close of the session of this name.
pub fn close(name: [u8; 10]) -> State {
    let date = parse(name).map_or(0, |(date, _)| date);
    State::Day { date, phase: DayPhase::Close, session_name: name }
}

/// Date and generation of a session's name.
fn parse(name: [u8; 10]) -> Option<(u32, u32)> {
    let text = std::str::from_utf8(&name).ok()?;
    Some((text[..8].parse().ok()?, text[8..].parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, wanted) in [
            (0, 19700101),
            (86_399, 19700101),
            (86_400, 19700102),
            (951_782_400, 20000229),
            (951_868_800, 20000301),
            (1_795_219_199, 20261120),
            (1_795_219_200, 20261121),
            (4_107_542_400, 21000301),
            (4_107_542_399, 21000228),
        ] {
            assert_eq!(date(seconds * 1_000_000_000), wanted, "{seconds} s");
        }
    }

    #[test]
    fn names_only_go_forward() {
        let name = |state| match state {
            Some(State::Day { session_name, .. }) => session_name,
            other => panic!("{other:?}"),
        };
        let noon = 1_795_219_200_000_000_000 + DAY_NS / 2;
        let first = name(open(noon, None));
        assert_eq!(&first, b"2026112101");
        let second = name(open(noon, Some(first)));
        assert_eq!(&second, b"2026112102");
        assert_eq!(&name(open(noon + DAY_NS, Some(second))), b"2026112201");
        assert_eq!(&name(open(noon - 3 * DAY_NS, Some(second))), b"2026112103", "a clock set back");
        assert_eq!(open(noon, Some(*b"2026112199")), None);
        assert_eq!(close(second), State::Day { date: 20261121, phase: DayPhase::Close, session_name: second });
    }
}
