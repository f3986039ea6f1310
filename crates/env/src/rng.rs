//! Randomness, asked for by name, so that a simulation can draw it from its seed.

use std::fmt::Debug;

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

/// The operating system's generator.
#[derive(Clone, Copy, Debug)]
pub struct SystemRng;

impl Rng for SystemRng {
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the kernel's generator works once the machine has booted");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_differ_and_stay_below_their_bound() {
        assert_ne!(SystemRng.next_u64(), SystemRng.next_u64());
        for bound in [0, 1, 2, 7, 1_000] {
            assert!(SystemRng.below(bound) < bound.max(1));
        }
    }
}
