//! Ports that nobody uses, below those that the system hands out by itself, so that nobody gets them meanwhile.

use std::{
    net::TcpListener,
    sync::atomic::{AtomicU16, Ordering},
};

const FIRST: u16 = 10_240;
const LAST: u16 = 32_000;
/// Ports of one node in a row, as `dev --base-port` counts.
pub(crate) const NODE: u16 = 10;

static TAKEN: AtomicU16 = AtomicU16::new(0);

/// The first of `nodes` times ten ports in a row that are all free now.
pub(crate) fn free(nodes: u16) -> u16 {
    let width = nodes * NODE;
    let places = (LAST - FIRST) / width;
    let start = u16::try_from(std::process::id() % u32::from(places)).expect("below a u16");
    for _ in 0..places {
        let turn = TAKEN.fetch_add(1, Ordering::Relaxed);
        let base = FIRST + (start.wrapping_mul(7).wrapping_add(turn) % places) * width;
        let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if (base..base + width).all(is_free) {
            return base;
        }
    }
    panic!("no {width} free ports in a row from {FIRST} to {LAST}");
}
