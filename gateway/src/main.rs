//! The `wirebook` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    wirebook::cli::run()
}
