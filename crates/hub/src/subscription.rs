//! One reader: a selection and a cursor over this node's windows.
//!
//! Invariant: all that it is, is a place in each of its shards; whatever it has not taken stays in the
//! windows that everybody shares.

use std::{sync::Arc, time::Duration};

use halley_shard::{Budget, Cursor, Gap, GapReason, Interest, Item, Retained, Revision, ShardId};
use metrics::{counter, gauge};
use tracing::error;

use crate::{
    Delivery, EndReason, SharedEvent,
    cluster_copy::ClusterCopy,
    entry::Signal,
    hub::Shared,
    limits::ASKING_PART,
    part::{Part, Standing, Taken},
};

/// A reader's place. Dropping it ends the interest.
#[derive(Debug)]
pub struct Subscription {
    shared: Arc<Shared>,
    copy: Arc<ClusterCopy>,
    parts: Box<[Part]>,
    signal: Signal,
    /// The parts' positions, as they were given out last.
    cursor: Cursor,
    /// The notice that is still to be told.
    foreign: Option<Box<Foreign>>,
    /// Since when this node has been behind one of the parts.
    behind_since: Option<Duration>,
    end: Option<EndReason>,
    /// The part that is read first next time, so that none starves.
    first: u8,
    /// Nothing was left at the last reading; what has come since is on `signal`.
    dry: bool,
    /// It came with a cursor and has not been given anything yet.
    recovers: bool,
}

/// A cursor that was foreign or unreadable.
#[derive(Debug)]
pub(crate) struct Foreign {
    /// What it was for.
    pub(crate) subjects: Vec<Interest>,
    /// It, if it could be read.
    pub(crate) own: Option<Cursor>,
}

impl Subscription {
    pub(crate) fn new(
        shared: Arc<Shared>,
        copy: Arc<ClusterCopy>,
        parts: Box<[Part]>,
        signal: Signal,
        foreign: Option<Box<Foreign>>,
        recovers: bool,
    ) -> Self {
        let cursor = Cursor::new(copy.cluster().id, []);
        gauge!("halley_subscriptions").increment(1.0);
        Self {
            shared,
            copy,
            parts,
            signal,
            cursor,
            foreign,
            behind_since: None,
            end: None,
            first: 0,
            dry: false,
            recovers,
        }
    }

    pub(crate) fn signal(&self) -> &Signal {
        &self.signal
    }

    pub(crate) fn parts_mut(&mut self) -> &mut [Part] {
        &mut self.parts
    }

    /// Takes the cursor over from the parts.
    pub(crate) fn note_positions(&mut self) {
        let places = self
            .parts
            .iter()
            .map(|part| (part.shard(), part.position()));
        self.cursor = Cursor::new(self.copy.cluster().id, places);
        for part in &self.parts {
            self.cursor
                .set_as_of(part.shard(), part.as_of(part.position()));
        }
    }

    /// The cursor now: everything up to here has been given by `take`/`next`. In quiet channels it moves on
    /// with the node's progress; while this node is behind the client's own cursor, it is the client's own.
    /// It names all shards of the subscription, except while a foreign cursor has not been told yet: then
    /// it is that one.
    pub fn cursor(&mut self) -> Cursor {
        if let Some(foreign) = &self.foreign {
            return foreign.own.as_ref().unwrap_or(&self.cursor).clone();
        }
        for part in &mut self.parts {
            part.settle();
            self.cursor.set(part.shard(), part.position());
            self.cursor
                .set_as_of(part.shard(), part.as_of(part.position()));
        }
        self.cursor.clone()
    }

    /// What there is right now, at most `budget` but at least one item if there is one; empty when caught
    /// up. Never waits. The notice of a foreign cursor comes whole, whatever the budget.
    ///
    /// # Errors
    /// [`EndReason`], then and ever after; the cursor stays good.
    pub fn take(&mut self, budget: Budget) -> Result<Vec<Delivery>, EndReason> {
        if let Some(end) = self.ended() {
            return Err(end);
        }
        let mut given = Vec::new();
        self.tell_foreign(&mut given);
        let mut left = budget;
        let mut behind = false;
        let mut more = false;
        let mut seen = 0;
        let count = self.parts.len();
        for step in 0..count {
            let index = (usize::from(self.first) + step) % count;
            if step > 0 && (left.items == 0 || left.bytes == 0) {
                self.start_with(index);
                more = true;
                break;
            }
            seen += 1;
            match self.parts[index].take(left, &self.signal) {
                Taken::Behind => behind = true,
                Taken::Items { before, items, .. } if overdraws(&items, budget, left) => {
                    self.parts[index].put_back(before);
                    self.start_with(index);
                    more = true;
                    break;
                }
                Taken::Items {
                    before,
                    items,
                    more: cut,
                } => {
                    more |= cut;
                    self.deliver(index, before, items, &mut left, &mut given);
                }
            }
        }
        self.dry = !more;
        if behind || seen == count {
            self.note_standing(behind, &given);
        }
        Ok(given)
    }

    /// Waits until `take` may have something (or an end). Cancel-safe.
    pub async fn ready(&mut self) {
        if !self.dry || self.ended().is_some() {
            return;
        }
        let Some(since) = self.behind_since else {
            self.signal.notified().await;
            self.dry = false;
            return;
        };
        let patience = self.shared.config().patience;
        let clock = &self.shared.env().clock;
        let asking_at = since + (patience - patience / ASKING_PART);
        let left = asking_at.saturating_sub(clock.monotonic());
        tokio::select! {
            biased;
            () = self.signal.notified() => {}
            () = clock.sleep(left) => {
                self.end = self.verdict().await;
                if let Some(end) = self.end {
                    self.count_recovery(end_label(end));
                }
            }
        }
        self.dry = false;
    }

    /// `ready` and `take` until there is something. Cancel-safe.
    ///
    /// # Errors
    /// As `take`.
    pub async fn next(&mut self, budget: Budget) -> Result<Vec<Delivery>, EndReason> {
        loop {
            let given = self.take(budget)?;
            if !given.is_empty() {
                return Ok(given);
            }
            self.ready().await;
        }
    }

    /// What to say to a reader that will wait no longer: `None` when this node is not behind its cursor,
    /// else why it must be sent away, having asked the leaders (a tenth of the hub's patience each).
    /// Cancel-safe.
    pub async fn verdict(&mut self) -> Option<EndReason> {
        let mut verdict = None;
        for part in &self.parts {
            match part.standing() {
                Standing::Level => continue,
                Standing::NotHeld => {
                    verdict = verdict.or(Some(EndReason::Behind));
                    continue;
                }
                Standing::Ahead => {}
            }
            let deadline = self.shared.config().patience / ASKING_PART;
            match self.shared.log().barrier(part.shard(), deadline).await {
                Ok(head) if head < part.wanted() => {
                    report_ahead(part.shard(), part.wanted(), head);
                    return Some(EndReason::CursorAhead);
                }
                _ if part.standing() == Standing::Level => {}
                Ok(_) => verdict = verdict.or(Some(EndReason::Behind)),
                Err(_) => verdict = Some(EndReason::NoLeader),
            }
        }
        verdict
    }

    /// Whether all of it lies in one shard: then its frames are the same for every such subscriber, cursor
    /// included.
    #[must_use]
    pub fn single_shard(&self) -> bool {
        self.parts.len() == 1
    }

    fn ended(&self) -> Option<EndReason> {
        self.copy.ended().or(self.end)
    }

    fn start_with(&mut self, index: usize) {
        self.first = u8::try_from(index).expect("a subscription has at most 16 parts");
    }

    /// One gap for each channel and pattern asked for; a reader coming back with its cursor is not told
    /// again and reads from the oldest retained event on.
    fn tell_foreign(&mut self, given: &mut Vec<Delivery>) {
        let Some(foreign) = self.foreign.take() else {
            return;
        };
        given.extend(foreign.subjects.into_iter().map(|subject| Delivery::Gap {
            gap: Gap {
                subject,
                next: None,
                reason: GapReason::ForeignCursor,
                revision: Revision::ZERO,
            },
            cursor: self.cursor.clone(),
        }));
    }

    /// Gives `items` of a part, each with the whole cursor behind it. Of items at one revision only the
    /// last one's cursor says so: whoever comes back from between them is told all of them again.
    fn deliver(
        &mut self,
        index: usize,
        before: Revision,
        items: Vec<Item<SharedEvent>>,
        left: &mut Budget,
        given: &mut Vec<Delivery>,
    ) {
        let shard = self.parts[index].shard();
        let mut place = before;
        let mut items = items.into_iter().peekable();
        while let Some(item) = items.next() {
            let revision = revision_of(&item);
            if items.peek().map(revision_of) != Some(revision) {
                place = revision;
            }
            self.cursor.set(shard, place);
            self.cursor.set_as_of(shard, self.parts[index].as_of(place));
            let cursor = self.cursor.clone();
            left.items = left.items.saturating_sub(1);
            left.bytes = left.bytes.saturating_sub(bytes_of(&item));
            given.push(match item {
                Item::Event(event) => Delivery::Event { event, cursor },
                Item::Gap(gap) => Delivery::Gap { gap, cursor },
            });
        }
        let position = self.parts[index].position();
        self.cursor.set(shard, position);
        self.cursor
            .set_as_of(shard, self.parts[index].as_of(position));
    }

    fn note_standing(&mut self, behind: bool, given: &[Delivery]) {
        self.behind_since = match self.behind_since {
            _ if !behind => None,
            None => Some(self.shared.env().clock.monotonic()),
            since => since,
        };
        if !behind {
            let gap = given
                .iter()
                .any(|delivery| matches!(delivery, Delivery::Gap { .. }));
            self.count_recovery(if gap { "gap" } else { "ok" });
        }
    }

    /// Counts, once, how a reader that came with a cursor was received.
    fn count_recovery(&mut self, result: &'static str) {
        if std::mem::take(&mut self.recovers) {
            counter!("halley_recover_total", "result" => result).increment(1);
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        gauge!("halley_subscriptions").decrement(1.0);
    }
}

/// Whether `items`, of a part that is not the first, begin with more than is left: they wait for the next
/// reading then.
fn overdraws(items: &[Item<SharedEvent>], budget: Budget, left: Budget) -> bool {
    let spent = left.items < budget.items;
    spent
        && items
            .first()
            .is_some_and(|item| bytes_of(item) > left.bytes)
}

fn bytes_of(item: &Item<SharedEvent>) -> usize {
    match item {
        Item::Event(event) => event.event().retained_bytes(),
        Item::Gap(_) => 0,
    }
}

fn revision_of(item: &Item<SharedEvent>) -> Revision {
    match item {
        Item::Event(event) => event.event().revision(),
        Item::Gap(gap) => gap.revision,
    }
}

fn end_label(end: EndReason) -> &'static str {
    match end {
        EndReason::Draining => "draining",
        EndReason::Behind => "behind",
        EndReason::CursorAhead => "ahead",
        EndReason::NoLeader => "no_leader",
    }
}

/// A cursor beyond the leader's head is evidence of a lost history, or of a forged cursor.
fn report_ahead(shard: ShardId, cursor: Revision, head: Revision) {
    counter!("halley_cursor_ahead_total").increment(1);
    error!(%shard, %cursor, %head, "a reader has seen more than the shard's leader has");
}
