//! `farthing sim`: the whole system in memory, under faults, from one seed.

use crate::failure::{Failure, Result};
use crate::output::{self, Format};
use clap::Args;

const AFTER: &str = "\
Examples:
  farthing sim --seed 42                 one run; the same seed does the same, byte for byte
  farthing sim --seed 1 --seeds 1000     seeds 1 to 1000

A failure names its seed: the seed and the commit reproduce it.";

/// Runs the whole system in memory, under faults, from one seed.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(crate) struct Arguments {
    /// The (first) seed.
    #[arg(long)]
    seed: u64,
    /// How many seeds, counting up.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    #[command(flatten)]
    format: Format,
}

pub(crate) fn run(arguments: &Arguments) -> Result {
    let end =
        arguments.seed.checked_add(arguments.seeds).ok_or_else(|| Failure::usage("--seed + --seeds is too large"))?;
    let mut reports = Vec::new();
    for seed in arguments.seed..end {
        let report =
            simulation::run(seed).map_err(|failure| Failure::refused(format_args!("seed {seed}: {failure}")))?;
        if arguments.format.json {
            reports.push(serde_json::json!({"seed": seed, "report": report}));
        } else {
            output::line(format_args!("seed {seed}: {report}"))?;
        }
    }
    if arguments.format.json { output::json(&serde_json::json!({"runs": reports})) } else { Ok(()) }
}
