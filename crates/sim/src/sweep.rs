//! Many seeds, each in a process of its own, two at a time; the first few also twice, to compare traces.

use std::{
    collections::BTreeMap,
    ops::Range,
    process::{Child, Command, Stdio},
};

/// How many seeds are run a second time: the same seed must give the same trace.
const REPEATED: u64 = 20;
/// Processes at once.
const PROCESSES: usize = 2;

/// Reads `FROM..TO`.
pub(crate) fn range(text: &str) -> Result<Range<u64>, String> {
    let parse = |number: &str| {
        number
            .parse::<u64>()
            .map_err(|error| format!("{number}: {error}"))
    };
    let (from, to) = text.split_once("..").ok_or("seeds are given as FROM..TO")?;
    let range = parse(from)?..parse(to)?;
    if range.is_empty() {
        Err(format!("{text} is empty"))
    } else {
        Ok(range)
    }
}

/// Runs them all; an error names the seeds that failed.
pub(crate) fn run(seeds: Range<u64>) -> Result<String, String> {
    let repeated = REPEATED.min(seeds.end - seeds.start);
    let again = seeds.start..seeds.start + repeated;
    let mut first_lines = BTreeMap::new();
    let mut struck = BTreeMap::new();
    let mut failed = Vec::new();
    let mut running: Vec<(u64, Child)> = Vec::new();
    let mut waiting = seeds.clone().chain(again);
    loop {
        while running.len() < PROCESSES
            && let Some(seed) = waiting.next()
        {
            running.push((seed, start(seed)?));
        }
        if running.is_empty() {
            break;
        }
        let (seed, child) = running.remove(0);
        let output = child
            .wait_with_output()
            .map_err(|error| error.to_string())?;
        let line = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            // At once: a sweep that is ended early has said what it found.
            eprintln!("seed {seed}: {why}");
            failed.push(format!("seed {seed}: {why}"));
            continue;
        }
        if !first_lines.contains_key(&seed) {
            count_faults(&line, &mut struck);
        }
        if let Some(before) = first_lines.insert(seed, line.clone())
            && before != line
        {
            failed.push(format!(
                "seed {seed} is not the same twice:\n  {before}  {line}"
            ));
        }
    }
    let count = seeds.end - seeds.start;
    if failed.is_empty() {
        let struck: Vec<_> = struck
            .iter()
            .map(|(kind, times)| format!("{kind} {times}"))
            .collect();
        Ok(format!(
            "simulation: {count} seeds hold ({seeds:?}), {repeated} of them the same twice\nfaults: {}",
            struck.join(", ")
        ))
    } else {
        Err(format!(
            "{}\nsimulation: {} of {count} seeds failed",
            failed.join("\n"),
            failed.len()
        ))
    }
}

/// Adds up the faults that a run's line names.
fn count_faults(line: &str, struck: &mut BTreeMap<String, u64>) {
    let named = line
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("struck="));
    for fault in named.flat_map(|named| named.split(',')) {
        if let Some((kind, times)) = fault.split_once(':') {
            *struck.entry(kind.to_owned()).or_default() += times.parse::<u64>().unwrap_or(0);
        }
    }
}

fn start(seed: u64) -> Result<Child, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    Command::new(program)
        .args(["--seed", &seed.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())
}
