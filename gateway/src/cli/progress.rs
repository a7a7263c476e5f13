//! Progress on standard error, and only when that is a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// How often a terminal is redrawn by itself.
const TICK: Duration = Duration::from_millis(200);

/// A bar over `total` units, such as `rows` or `orders`; nothing at all when standard error is no terminal.
pub fn bar(what: &'static str, unit: &str, total: u64) -> ProgressBar {
    styled(
        ProgressBar::new(total),
        what,
        &format!("{{msg:12}} {{wide_bar}} {{human_pos}}/{{human_len}} {unit}  {{per_sec}}  {{eta}} left"),
    )
}

/// A bar over the bytes of a file.
pub fn bytes_bar(what: &'static str, total: u64) -> ProgressBar {
    styled(ProgressBar::new(total), what, "{msg:12} {wide_bar} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left")
}

/// A count that runs, of what has no known end.
pub fn counter(what: &'static str, unit: &str) -> ProgressBar {
    styled(ProgressBar::no_length(), what, &format!("{{msg:12}} {{spinner}} {{human_pos}} {unit}  {{per_sec}}"))
}

fn styled(bar: ProgressBar, what: &'static str, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style);
    bar.set_message(what);
    if !bar.is_hidden() {
        bar.enable_steady_tick(TICK);
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_well_formed() {
        let template = "{msg:12} {wide_bar} {human_pos}/{human_len} rows  {per_sec}  {eta} left";
        assert!(ProgressStyle::with_template(template).is_ok());
        let bar = bar("test", "rows", 10);
        bar.inc(10);
        assert_eq!((bar.position(), bar.length()), (10, Some(10)));
        bar.finish_and_clear();
        assert_eq!(bytes_bar("test", 7).length(), Some(7));
    }
}
