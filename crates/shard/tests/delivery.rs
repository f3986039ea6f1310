//! Whoever comes back with the last cursor, to whichever copy, is given every event once and in order, or is
//! told the truth about its loss: random histories against all that was ever published.
#![allow(clippy::unwrap_used, reason = "a test")]

mod model;

use halley_shard::{Budget, GapReason, Revision};
use model::{Copy, ModelReader, World, interests, settings};
use proptest::{collection::vec, prelude::*, test_runner::Config};

/// What happens next.
#[derive(Clone, Debug)]
enum Act {
    Publish {
        channels: Vec<usize>,
        size: usize,
    },
    Delete(usize),
    Wait(u64),
    Configure {
        events: u32,
        bytes: u64,
        channels: u32,
        age: bool,
    },
    /// A reader of these begins, at zero or at the head.
    Begin {
        bits: u16,
        earliest: bool,
    },
    /// A reader reads, of the shard or of the copy.
    Read {
        reader: usize,
        copy: bool,
        budget: Budget,
    },
    /// The copy takes the next changes.
    Follow {
        count: usize,
        filtered: bool,
    },
    /// The copy holds all that a reader reads.
    HoldFor(usize),
    Hold(u16),
    Release(u16),
    /// The copy falls out of its upstream and begins anew at another place, which may be behind.
    BeginAnew(u8),
}

fn budget() -> impl Strategy<Value = Budget> {
    let bytes = prop_oneof![Just(1_usize), 60_usize..400, Just(usize::MAX)];
    let scanned = prop_oneof![1_usize..6, Just(usize::MAX)];
    (1_usize..5, bytes, scanned).prop_map(|(items, bytes, scanned)| Budget {
        items,
        bytes,
        scanned,
    })
}

fn bits() -> impl Strategy<Value = u16> {
    // One interest, or any few.
    prop_oneof![(0_u16..13).prop_map(|bit| 1 << bit), 1_u16..(1 << 13)]
}

fn act() -> impl Strategy<Value = Act> {
    let publish = |batch: std::ops::Range<usize>| {
        (vec(0_usize..8, batch), 0_usize..120)
            .prop_map(|(channels, size)| Act::Publish { channels, size })
    };
    let configure = (0_u32..6, 70_u64..600, 1_u32..9, any::<bool>()).prop_map(
        |(events, bytes, channels, age)| Act::Configure {
            events,
            bytes,
            channels,
            age,
        },
    );
    let read = (0_usize..8, any::<bool>(), budget()).prop_map(|(reader, copy, budget)| Act::Read {
        reader,
        copy,
        budget,
    });
    let follow =
        (1_usize..6, any::<bool>()).prop_map(|(count, filtered)| Act::Follow { count, filtered });
    prop_oneof![
        10 => publish(1..2),
        5 => publish(2..6),
        3 => (0_usize..8).prop_map(Act::Delete),
        2 => (1_u64..80).prop_map(Act::Wait),
        1 => configure,
        3 => (bits(), any::<bool>()).prop_map(|(bits, earliest)| Act::Begin { bits, earliest }),
        12 => read,
        5 => follow,
        4 => (0_usize..8).prop_map(Act::HoldFor),
        2 => bits().prop_map(Act::Hold),
        2 => bits().prop_map(Act::Release),
        1 => any::<u8>().prop_map(Act::BeginAnew),
    ]
}

/// A world, a copy that follows it, and readers of both.
struct Run {
    world: World,
    copy: Copy,
    readers: Vec<ModelReader>,
}

impl Run {
    fn act(&mut self, act: Act) {
        let Self {
            world,
            copy,
            readers,
        } = self;
        let count = readers.len();
        match act {
            Act::Publish { channels, size } => world.publish(&channels, size),
            Act::Delete(channel) => world.delete(channel),
            Act::Wait(ms) => world.wait(ms),
            Act::Configure {
                events,
                bytes,
                channels,
                age,
            } => {
                world.configure(settings(events, bytes, channels, age));
            }
            Act::Begin { bits, earliest } => {
                let start = if earliest {
                    Revision::ZERO
                } else {
                    world.head()
                };
                readers.push(ModelReader::new(interests(bits), start));
            }
            Act::Read {
                reader,
                copy: of_copy,
                budget,
            } if count > 0 => {
                let windows = if of_copy {
                    &copy.windows
                } else {
                    world.shard.windows()
                };
                readers[reader % count].read(world, windows, budget);
            }
            Act::Follow { count, filtered } => copy.follow(world, count, filtered),
            Act::HoldFor(reader) if count > 0 => {
                let selection = readers[reader % count].selection.clone();
                selection
                    .interests()
                    .for_each(|interest| copy.hold(world, &interest));
            }
            Act::Hold(bits) => {
                interests(bits)
                    .iter()
                    .for_each(|interest| copy.hold(world, interest));
            }
            Act::Release(bits) => {
                interests(bits)
                    .iter()
                    .for_each(|interest| copy.release(world, interest));
            }
            Act::BeginAnew(place) => {
                copy.begin_anew(usize::from(place) % world.views.len());
            }
            Act::Read { .. } | Act::HoldFor(_) => {}
        }
    }

    /// Every reader reads to the end, of the shard and of the copy, and has missed nothing in silence.
    fn finish(mut self, budget: Budget) {
        self.copy.follow(&self.world, usize::MAX, true);
        for reader in &self.readers {
            reader
                .clone()
                .finish(&self.world, self.world.shard.windows(), budget);
            for interest in reader.selection.interests() {
                self.copy.hold(&self.world, &interest);
            }
            reader
                .clone()
                .finish(&self.world, &self.copy.windows, budget);
        }
    }
}

proptest! {
    #![proptest_config(Config { cases: 600, failure_persistence: None, ..Config::default() })]

    #[test]
    fn nothing_is_lost_doubled_or_reordered_and_every_loss_is_told(
        acts in vec(act(), 1..90),
        tombstones in 0_usize..5,
        (events, bytes, channels) in (0_u32..6, 70_u64..900, 1_u32..9),
        last in budget(),
    ) {
        let world = World::new(settings(events, bytes, channels, true), tombstones);
        let mut run = Run { world, copy: Copy::new(), readers: Vec::new() };
        acts.into_iter().for_each(|act| run.act(act));
        run.finish(last);
    }

    #[test]
    fn whoever_keeps_up_is_told_of_no_loss(
        acts in vec((0_usize..8, 0_usize..120, 0_u8..12), 1..80),
        tombstones in 0_usize..4,
        channels in 1_u32..9,
    ) {
        let mut world = World::new(settings(1, 200, channels, true), tombstones);
        let reader = |bit: u16| ModelReader::new(interests(1_u16 << bit), Revision::ZERO);
        let mut readers: Vec<_> = [0, 3, 5, 8, 9, 11].map(reader).into();
        for (channel, size, kind) in acts {
            match kind {
                0 => world.delete(channel),
                1 => world.wait(30),
                _ => world.publish(&[channel], size),
            }
            let all = Budget { items: usize::MAX, bytes: usize::MAX, scanned: usize::MAX };
            for reader in &mut readers {
                while reader.read(&world, world.shard.windows(), all) {}
                let mut gaps = reader.gaps.iter();
                prop_assert!(gaps.all(|gap| gap.reason == GapReason::Recreated));
                reader.check_complete(&world);
            }
        }
    }
}

/// A gap stands behind the events that it tells of, so that a reading which the budget ends between them has
/// passed events whose loss it was not told yet. An older copy still has those events and takes them for
/// seen: it must be known that this cursor is not for it.
#[test]
fn an_older_copy_does_not_know_of_a_loss_half_told() {
    let mut world = World::new(settings(100, 10_000, 8, false), 8);
    let mut copy = Copy::new();
    let selection = interests(0b10_0001); // /a/x and /b/x
    selection
        .iter()
        .for_each(|interest| copy.hold(&world, interest));
    for channel in [0, 5, 0] {
        world.publish(&[channel], 1);
    }
    copy.follow(&world, usize::MAX, true);
    world.delete(0);
    let one = Budget {
        items: 1,
        bytes: 1,
        scanned: 1,
    };
    let mut reader = ModelReader::new(selection, Revision::ZERO);
    reader.read(&world, world.shard.windows(), one); // /b/x, past the first of /a/x
    assert_eq!(reader.as_of, world.head());
    assert!(copy.windows.head() >= reader.cursor && copy.windows.head() < reader.as_of);
    copy.follow(&world, usize::MAX, true);
    reader.finish(&world, &copy.windows, one);
}
