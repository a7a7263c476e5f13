//! What `wirebook demo` can be asked.

use std::path::PathBuf;

use super::matching::MatcherChoice;
use super::report::JsonOption;

/// Longest demo, in seconds.
const MAX_SECONDS: u64 = 3_600;
/// Highest rate, in orders a second.
const MAX_RATE: u64 = 10_000_000;

/// Run a whole venue on this machine: gateway, client, matcher, journal and settlement
///
/// Starts everything in one process on a loopback port, sends it a realistic flow of orders over SoupBinTCP and OUCH 5.0 by a schedule,
/// and stops when everything is settled. Reports orders, events, fills, and latency percentiles from the scheduled send time to the
/// report that the client heard; verifies the journal; shows the settled height and root.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  wirebook demo
  wirebook demo --seconds 30 --rate 20000
  wirebook demo --seed 7 --dump out
    wirebook match out/orders.csv --matcher reference --fills again.csv && cmp again.csv out/fills.csv
    wirebook journal verify out/journal               prints the root that the demo showed

Exit codes: 0 done and right; 1 something was lost, differs or does not verify; 2 bad use or bad input.")]
pub struct DemoArgs {
    /// How long orders are sent, in seconds
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=MAX_SECONDS))]
    pub seconds: u64,
    /// Orders and changes of orders a second
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=MAX_RATE))]
    pub rate: u64,
    /// Seed of the flow: the same seed, seconds and rate are the same orders
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// What matches
    #[arg(long, value_enum, value_name = "MATCHER", default_value = "software")]
    pub matcher: MatcherChoice,
    /// Port to listen on, on 127.0.0.1; 0 lets the system choose
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub port: u16,
    /// Keep what happened in DIR: orders.csv, fills.csv (what clients were told) and journal/
    #[arg(long, value_name = "DIR")]
    pub dump: Option<PathBuf>,
    /// Where the report goes
    #[command(flatten)]
    pub json: JsonOption,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Alone {
        #[command(flatten)]
        args: DemoArgs,
    }

    #[test]
    fn has_the_options_of_the_design() {
        let line = [
            "demo",
            "--seconds",
            "3",
            "--rate",
            "9",
            "--seed",
            "7",
            "--matcher",
            "reference",
            "--port",
            "1",
            "--dump",
            "D",
        ];
        let args = Alone::try_parse_from(line).map(|alone| alone.args).unwrap();
        assert_eq!((args.seconds, args.rate, args.seed, args.port), (3, 9, 7, 1));
        assert_eq!((args.matcher, args.dump), (MatcherChoice::Reference, Some("D".into())));
        assert!(Alone::try_parse_from(["demo", "--rate", "0"]).is_err());
        assert!(Alone::try_parse_from(["demo", "--matcher", "magic"]).is_err());
    }
}
