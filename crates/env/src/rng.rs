//! Randomness, asked for by name, so that a simulation can draw it from its seed.

use std::{cell::RefCell, fmt::Debug};

/// A source of random numbers, safe for identities: unpredictable on a real machine.
pub trait Rng: Debug + Send + Sync + 'static {
    /// Fills `bytes` with random bytes.
    fn fill(&self, bytes: &mut [u8]);

    /// 64 random bits.
    fn next_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// A number in `0..bound`; `bound` is at least 1. Its bias is below `bound / 2^64`.
    fn below(&self, bound: u64) -> u64 {
        self.next_u64() % bound.max(1)
    }
}

/// The operating system's generator. Small draws share its calls, which cost more than what they bring.
#[derive(Clone, Copy, Debug)]
pub struct SystemRng;

/// Bytes asked of the kernel at a time; larger draws ask for themselves.
const DRAWN_BYTES: usize = 512;

/// What a thread has asked for and not given out yet; none of it is given twice.
struct Drawn {
    bytes: [u8; DRAWN_BYTES],
    left: usize,
}

thread_local! {
    static DRAWN: RefCell<Drawn> = const {
        RefCell::new(Drawn { bytes: [0; DRAWN_BYTES], left: 0 })
    };
}

impl Rng for SystemRng {
    fn fill(&self, bytes: &mut [u8]) {
        if bytes.len() > DRAWN_BYTES {
            return fill_from_kernel(bytes);
        }
        DRAWN.with_borrow_mut(|drawn| {
            if drawn.left < bytes.len() {
                fill_from_kernel(&mut drawn.bytes);
                drawn.left = DRAWN_BYTES;
            }
            let rest = drawn.left - bytes.len();
            bytes.copy_from_slice(&drawn.bytes[rest..drawn.left]);
            drawn.left = rest;
        });
    }
}

fn fill_from_kernel(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the kernel's generator works once the machine has booted");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn draws_differ_and_stay_below_their_bound() {
        assert_ne!(SystemRng.next_u64(), SystemRng.next_u64());
        // Across many calls of the kernel, and draws larger than one.
        let drawn: BTreeSet<u64> = (0..1_000).map(|_| SystemRng.next_u64()).collect();
        assert_eq!(drawn.len(), 1_000);
        let mut large = [0; 2 * DRAWN_BYTES];
        SystemRng.fill(&mut large);
        assert_ne!(large[..DRAWN_BYTES], large[DRAWN_BYTES..]);
        for bound in [0, 1, 2, 7, 1_000] {
            assert!(SystemRng.below(bound) < bound.max(1));
        }
    }
}
