//! Cuts the power of a real file system under a log that is being written, and looks for what was promised.
//!
//! Each round mounts an ext4 of its own from a file, has this same program write to it in a second process (`load`)
//! that tells of everything it was promised over a pipe, shuts the file system down without writing back what its
//! journal and caches hold (`FS_IOC_SHUTDOWN`), mounts it again and reads (`judge`). Needs root, loop devices and
//! perl or python3 for the one ioctl; says so and is skipped where they are missing. `HALLEY_POWER_CUTS` is the number
//! of cuts; without it as many as a minute holds, at least ten.
//!
//! Invariant: an honest log loses nothing, one that does not sync loses something (else this proves nothing).

mod cutter;
mod judge;
mod load;
mod machine;
mod promises;
mod rig;
mod value;

use std::{fmt::Arguments, io::Write as _, path::PathBuf, process::ExitCode, time::Duration};

use halley_env::{Clock, SystemClock};

use crate::{
    cutter::{Cutter, Shutdown},
    judge::Verdict,
    load::{LOAD, Load},
    machine::Loader,
    promises::Promises,
    rig::Rig,
    value::Random,
};

/// How long cuts go on when nobody says how many.
const TIME: Duration = Duration::from_secs(60);
/// How many there are at least then.
const CUTS_MIN: u64 = 10;
/// A write to the file system that this tells of is heard within this, whatever else the machine does.
const PATIENCE: Duration = Duration::from_secs(120);

/// How a cut is made fair. A sync that is under way during the shutdown may return success and lose its data on some
/// kernels, so that a log which passes it on would be accused wrongly.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// All threads are stopped before the cut: what they were told is what they were told.
    Stopped,
    /// What is told after a moment just before the cut does not count.
    Deaf,
    /// The process is killed alone; a log opened on what it left has the power cut afterwards.
    Reopened,
}

fn say(line: Arguments<'_>) {
    // Nobody reads: nobody to tell.
    drop(writeln!(std::io::stdout(), "{line}"));
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == LOAD) {
        let load = Load::parse(&arguments[1..]).expect("our own arguments");
        return load.run();
    }
    // What the harness of other tests understands: a list, and a part of a name.
    let filter = arguments.iter().find(|argument| !argument.starts_with('-'));
    let meant = filter.is_none_or(|filter| "power".contains(filter.as_str()));
    if !meant || arguments.iter().any(|argument| argument == "--list") {
        return ExitCode::SUCCESS;
    }
    if let Err(reason) = probe() {
        say(format_args!("power: SKIPPED, nothing was tested: {reason}"));
        return ExitCode::SUCCESS;
    }
    controls();
    cuts();
    ExitCode::SUCCESS
}

/// Whether this machine can do it at all.
fn probe() -> Result<(), String> {
    let mut rig = Rig::new("probe")?;
    Cutter::arm(rig.mount(), Shutdown::Lose)?.cut()?;
    rig.remount()
}

/// A log that never syncs: loses what it promised, unless the file system writes everything at its end.
fn controls() {
    let mut lost = 0;
    let mut rounds = 0;
    // The first moments of a file may survive by luck.
    while lost == 0 && rounds < 5 {
        rounds += 1;
        let verdict = control(rounds, Shutdown::Lose);
        lost += verdict.lost + verdict.wrong.len() as u64;
        say(format_args!(
            "power: control, no sync: {} promised, {} lost, {} otherwise wrong",
            verdict.promised,
            verdict.lost,
            verdict.wrong.len()
        ));
    }
    assert!(
        lost > 0,
        "a log that never syncs lost nothing: the cuts do not cut"
    );
    let verdict = control(0, Shutdown::Flush);
    say(format_args!(
        "power: control, no sync but all written back: {} promised, {} lost",
        verdict.promised, verdict.lost
    ));
    verdict.assert_kept("all was written back");
}

fn control(round: u64, shutdown: Shutdown) -> Verdict {
    let mut rig = Rig::new("control").expect("the probe worked");
    let mut promises = Promises::default();
    let cutter = Cutter::arm(rig.mount(), shutdown).expect("the probe worked");
    let load = Load::new(rig.mount(), 1 << 32, false);
    let mut loader = Loader::start(&load).expect("this program runs");
    hear(&mut loader, &mut promises, 300 + round);
    loader.stop().expect("it can be stopped");
    cutter.cut().expect("the probe worked");
    for line in loader.kill() {
        promises.hear(&line, true);
    }
    rig.remount().expect("its journal is replayed");
    judge::check(rig.mount(), &mut promises, true)
}

/// Takes in `lines` promises from a running load.
fn hear(loader: &mut Loader, promises: &mut Promises, lines: u64) {
    for _ in 0..lines {
        let line = loader.next(PATIENCE);
        promises.hear(&line.expect("the load tells what it was promised"), true);
    }
}

fn cuts() {
    let asked: Option<u64> = std::env::var("HALLEY_POWER_CUTS")
        .ok()
        .map(|text| text.parse().expect("HALLEY_POWER_CUTS is a number"));
    let clock = SystemClock::new();
    let enough = |cuts: u64| match asked {
        Some(asked) => cuts >= asked,
        None => cuts >= CUTS_MIN && clock.monotonic() >= TIME,
    };
    let mut rig = Rig::new("cuts").expect("the probe worked");
    let mut promises = Promises::default();
    let random = Random::new(clock.wall_ms());
    let mut cuts = 0;
    while !enough(cuts) {
        cuts += 1;
        let way = [Way::Stopped, Way::Deaf, Way::Reopened][random.index(3)];
        let lines = 1 + random.below(1_500);
        round(&mut rig, &mut promises, cuts, (way, lines), &random);
    }
    say(format_args!(
        "power: {cuts} cuts, {} acknowledged, 0 lost",
        promises.acknowledged
    ));
}

fn round(
    rig: &mut Rig,
    promises: &mut Promises,
    number: u64,
    (way, lines): (Way, u64),
    random: &Random,
) {
    let told = format!("cut {number}, {way:?} after {lines} promises");
    let cutter = Cutter::arm(rig.mount(), Shutdown::Lose).expect("the probe worked");
    let load = Load::new(rig.mount(), number << 32, true);
    let mut loader = Loader::start(&load).expect("this program runs");
    hear(&mut loader, promises, lines);
    match way {
        Way::Stopped => {
            loader.stop().expect("it can be stopped");
            cutter.cut().expect("the probe worked");
            for line in loader.kill() {
                promises.hear(&line, true);
            }
        }
        Way::Deaf => {
            cutter.cut().expect("the probe worked");
            for line in loader.kill() {
                promises.hear(&line, false);
            }
        }
        Way::Reopened => {
            for line in loader.kill() {
                promises.hear(&line, true);
            }
            let verdict = judge::check(rig.mount(), promises, false);
            verdict.assert_kept(&format!("{told}, before it"));
            cutter.cut().expect("the probe worked");
        }
    }
    rig.remount().expect("its journal is replayed");
    let close = random.below(2) == 0;
    judge::check(rig.mount(), promises, close).assert_kept(&told);
}

/// Where the load and the judge find things beneath the mount.
struct Places {
    log: PathBuf,
    record: PathBuf,
    snapshots: PathBuf,
}

impl Places {
    fn beneath(mount: &std::path::Path) -> Self {
        Self {
            log: mount.join("log"),
            record: mount.join("record"),
            snapshots: mount.join("snapshots"),
        }
    }
}
