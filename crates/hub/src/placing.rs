//! Where a subscription starts: from what was asked for to a place in each of its shards.
//!
//! Invariant: a subscription that is handed out has a place in all its shards.

use std::{collections::BTreeSet, sync::Arc};

use halley_shard::{Cursor, Interest, Revision, ShardId, Since, Time};
use metrics::counter;

use crate::{
    SubscribeError, SubscribeRequest, Subscription, cluster_copy::ClusterCopy, entry::Signal,
    hub::Shared, part::Part, subscription::Foreign,
};

/// Where one shard's reading starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// Behind this revision.
    After(Revision),
    /// At this copy's head.
    Head,
}

/// Opens a subscription, within the hub's patience.
pub(crate) async fn open(
    shared: &Arc<Shared>,
    request: SubscribeRequest,
) -> Result<Subscription, SubscribeError> {
    let mut patience = shared.env().clock.sleep(shared.config().patience);
    let copy = tokio::select! {
        biased;
        copy = shared.formed() => copy.ok_or(SubscribeError::Draining)?,
        () = &mut patience => return Err(SubscribeError::NotReady),
    };
    let since = Placement::of(&copy, &request)?;
    let mut subscription = join(shared, &copy, &request, &since);
    while !since.place(&mut subscription) {
        if copy.ended().is_some() {
            return Err(match shared.draining() {
                true => SubscribeError::Draining,
                false => SubscribeError::NotReady,
            });
        }
        // A wake-up before this is kept by the signal: nothing is missed in between.
        let signal = Arc::clone(subscription.signal());
        tokio::select! {
            biased;
            () = signal.notified() => {}
            () = &mut patience => return Err(SubscribeError::NotReady),
        }
    }
    Ok(subscription)
}

/// A start that has been checked against the cluster.
#[derive(Debug)]
enum Placement {
    /// The same in every shard.
    Everywhere(Start),
    /// The newest so many.
    Last(usize),
    /// Behind the cursor where it names a shard, at the head elsewhere.
    Cursor(Cursor),
    /// At the oldest retained event, after the notice that the cursor was foreign or unreadable.
    Foreign(Option<Cursor>),
}

impl Placement {
    fn of(copy: &ClusterCopy, request: &SubscribeRequest) -> Result<Self, SubscribeError> {
        if request.unreadable {
            return Ok(Self::Foreign(None));
        }
        let cursor = match &request.since {
            Since::Latest | Since::Last(0) => return Ok(Self::Everywhere(Start::Head)),
            Since::Earliest => return Ok(Self::Everywhere(Start::After(Revision::ZERO))),
            Since::Last(count) => return Ok(Self::Last(usize::from(*count))),
            Since::Cursor(cursor) => cursor.clone(),
        };
        let refusal = if cursor.cluster() != copy.cluster().id {
            Some(SubscribeError::CursorForeign)
        } else {
            let mut shards = cursor.positions().iter().map(|(shard, _)| *shard);
            let unknown = shards.find(|shard| copy.shard(*shard).is_none());
            unknown.map(|shard| SubscribeError::CursorInvalid(shard.get()))
        };
        match refusal {
            None => Ok(Self::Cursor(cursor)),
            Some(_) if request.tell_foreign => Ok(Self::Foreign(Some(cursor))),
            Some(refusal) => Err(refusal),
        }
    }

    /// Gives the parts their places; `false` when this copy does not hold what that takes. May be called
    /// again until it has succeeded, and not after.
    fn place(&self, subscription: &mut Subscription) -> bool {
        let start = |shard| match self {
            Self::Everywhere(start) => *start,
            Self::Foreign(_) => Start::After(Revision::ZERO),
            Self::Cursor(cursor) => cursor.get(shard).map_or(Start::Head, Start::After),
            Self::Last(_) => Start::Head,
        };
        let placed = match self {
            Self::Last(count) => place_last(subscription.parts_mut(), *count),
            Self::Everywhere(_) | Self::Foreign(_) | Self::Cursor(_) => subscription
                .parts_mut()
                .iter_mut()
                .all(|part| match start(part.shard()) {
                    Start::Head => part.place_at_head(),
                    Start::After(revision) => {
                        let least = match self {
                            Self::Cursor(cursor) => cursor.least(part.shard()),
                            _ => revision,
                        };
                        part.place(revision, least);
                        true
                    }
                }),
        };
        if placed {
            subscription.note_positions();
        }
        placed
    }
}

/// The newest `count` events of all parts together, by time, then shard, then revision: each part before
/// its oldest of them, or at its head.
fn place_last(parts: &mut [Part], count: usize) -> bool {
    let mut newest: Vec<(Time, ShardId, Revision)> = Vec::new();
    let mut heads = Vec::with_capacity(parts.len());
    for part in parts.iter() {
        let Some((events, head)) = part.newest(count) else {
            return false;
        };
        newest.extend(
            events
                .into_iter()
                .map(|(time, revision)| (time, part.shard(), revision)),
        );
        heads.push(head);
    }
    newest.sort_unstable_by(|left, right| right.cmp(left));
    newest.truncate(count);
    for (part, head) in parts.iter_mut().zip(heads) {
        let chosen = newest.iter().filter(|(_, shard, _)| *shard == part.shard());
        let oldest = chosen.map(|(_, _, revision)| *revision).min();
        let place = oldest.map_or(head, Revision::before);
        part.place(place, place);
    }
    true
}

/// A subscription without a place.
fn join(
    shared: &Arc<Shared>,
    copy: &Arc<ClusterCopy>,
    request: &SubscribeRequest,
    placement: &Placement,
) -> Subscription {
    let mut seen = BTreeSet::new();
    let interests: Vec<_> = request
        .interests
        .iter()
        .filter(|interest| seen.insert(*interest))
        .collect();
    let signal = Signal::default();
    let parts = copy.shards().iter().filter_map(|shard| {
        let here = |interest: &&&Interest| {
            copy.shards_of(interest)
                .iter()
                .any(|other| other.shard() == shard.shard())
        };
        let of_shard: Vec<_> = interests.iter().filter(here).copied().collect();
        (!of_shard.is_empty()).then(|| Part::new(Arc::clone(shard), &of_shard, &signal))
    });
    let parts = parts.collect();
    let foreign = match placement {
        Placement::Foreign(own) => {
            counter!("halley_recover_total", "result" => "foreign").increment(1);
            let subjects = interests.into_iter().cloned().collect();
            Some(Box::new(Foreign {
                subjects,
                own: own.clone(),
            }))
        }
        Placement::Everywhere(_) | Placement::Last(_) | Placement::Cursor(_) => None,
    };
    let recovers = matches!(placement, Placement::Cursor(_));
    Subscription::new(
        Arc::clone(shared),
        Arc::clone(copy),
        parts,
        signal,
        foreign,
        recovers,
    )
}
