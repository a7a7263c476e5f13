//! `[matcher]`, checked.

use super::super::raw::RawMatcher;
use super::super::{MatcherKind, Matching};
use super::{Path, Wrong, within};

/// Lengths of the hexadecimal parts of a PCI address: domain, bus, device; behind a point, the function.
const PARTS: [usize; 3] = [4, 2, 2];

/// Reads a PCI address as `lspci -D` writes it.
fn is_address(text: &str) -> bool {
    let hexadecimal = |part: &str, length: usize| part.len() == length && part.bytes().all(|b| b.is_ascii_hexdigit());
    let Some((place, function)) = text.split_once('.') else { return false };
    let parts: Vec<&str> = place.split(':').collect();
    parts.len() == PARTS.len()
        && parts.iter().zip(PARTS).all(|(part, length)| hexadecimal(part, length))
        && matches!(function.as_bytes(), [b'0'..=b'7'])
}

pub(super) fn matching(raw: &RawMatcher) -> Result<Matching, Wrong> {
    let top = Path::top("matcher");
    let kind = match raw.kind.as_str() {
        "software" => MatcherKind::Software,
        "device-model" => MatcherKind::DeviceModel,
        "device" => MatcherKind::Device,
        other => {
            let allowed = "software, device or device-model";
            return Err(Wrong::new(top.key("kind"), "the matcher is not known", other, allowed));
        }
    };
    let fits = if kind == MatcherKind::Device { is_address(&raw.address) } else { raw.address.is_empty() };
    if !fits {
        let allowed = match kind {
            MatcherKind::Device => "where the board is, such as 0000:01:00.0; lspci -D shows it",
            MatcherKind::Software | MatcherKind::DeviceModel => "nothing, unless kind is \"device\"",
        };
        return Err(Wrong::new(top.key("address"), "the address does not fit", &raw.address, allowed));
    }
    if raw.drill_after_events > 0 && kind != MatcherKind::DeviceModel {
        return Err(Wrong::new(
            top.key("drill_after_events"),
            "only a model can be made to fail",
            raw.drill_after_events,
            "0, unless kind is \"device-model\"",
        ));
    }
    Ok(Matching {
        kind,
        address: raw.address.clone(),
        late_us: within(&top.key("late_us"), raw.late_us, 10, 1_000_000)?,
        drill_after_events: raw.drill_after_events,
    })
}
