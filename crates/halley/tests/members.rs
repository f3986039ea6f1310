//! Members come and go: disks that are wiped, old or full, nodes of other clusters, formations cut short,
//! networks cut in two, a node that is too slow. Real processes; nothing acknowledged is lost in any of it.
//!
//! `HALLEY_MEMBER_ROUNDS` multiplies the rounds (1 where it is not set). What needs privileges says that it is
//! skipped where there are none.

#[path = "members/book.rs"]
mod book;
#[path = "members/cluster.rs"]
mod cluster;
#[path = "members/disk.rs"]
mod disk;
#[path = "members/formation.rs"]
mod formation;
#[path = "members/laggard.rs"]
mod laggard;
#[path = "members/network.rs"]
mod network;
#[path = "members/old.rs"]
mod old;
#[path = "members/partition.rs"]
mod partition;
#[path = "members/stranger.rs"]
mod stranger;
mod support;
#[path = "members/tls.rs"]
mod tls;
#[path = "members/wiped.rs"]
mod wiped;

/// How many times the usual number of rounds is run.
fn rounds() -> u32 {
    let given = std::env::var("HALLEY_MEMBER_ROUNDS").ok();
    given.map_or(1, |text| {
        text.parse().expect("a number in HALLEY_MEMBER_ROUNDS")
    })
}

/// Says what is not tested here, and why.
#[allow(clippy::print_stderr, reason = "a skipped test must be seen to be one")]
fn skip(why: &str) {
    eprintln!("SKIPPED: {why}");
}

/// Says what was measured.
#[allow(clippy::print_stderr, reason = "figures are read by people")]
fn report(what: &str) {
    eprintln!("{what}");
}
