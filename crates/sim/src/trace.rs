//! What happened, one line an event, as a running hash; shown only when asked for.

use std::{cell::Cell, fmt, rc::Rc};

/// The trace of one run; clones write to the same.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    shown: bool,
    hash: Rc<Cell<u64>>,
    start: Rc<Cell<Option<tokio::time::Instant>>>,
}

impl Trace {
    /// An empty trace.
    pub(crate) fn new(shown: bool) -> Self {
        let hash = Rc::new(Cell::new(0xcbf2_9ce4_8422_2325));
        Self {
            shown,
            hash,
            start: Rc::new(Cell::new(None)),
        }
    }

    /// One event: when (virtual milliseconds), who, what.
    pub(crate) fn say(&self, who: fmt::Arguments<'_>, what: fmt::Arguments<'_>) {
        let now = tokio::time::Instant::now();
        let start = self.start.get().unwrap_or(now);
        self.start.set(Some(start));
        let line = format!("{:>8} {who} {what}", (now - start).as_millis());
        if self.shown {
            println!("{line}");
        }
        // FNV-1a, 64 bits: the lines are short and nobody attacks them.
        let hash = line.bytes().fold(self.hash.get(), |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        self.hash.set(hash);
    }

    /// The hash of everything said.
    pub(crate) fn hash(&self) -> u64 {
        self.hash.get()
    }
}
