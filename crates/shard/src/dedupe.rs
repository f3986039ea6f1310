//! Recognising what was sent before: by a producer's numbers, and by a publisher's keys.
//!
//! Invariant: what is remembered is bounded in count, bytes and time, and is part of the state, so that a
//! retry meets the same answer on every node.

use std::sync::Arc;

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::{
    ChannelName, Content, IdempotencyKey, Origin, ProducerId, Published, Refusal, Reply, Shard,
    Stamp, Time,
    cow::{Keyed, Ordered, Table},
    limits,
};

/// Bytes that a remembered key is charged beyond its own.
const KEY_OVERHEAD_BYTES: u64 = 160;

/// Everything remembered of one producer.
#[derive(Clone, Debug)]
pub(crate) struct Producer {
    pub(crate) id: ProducerId,
    /// Numbered by its client rather than by a node.
    pub(crate) client: bool,
    /// Answers by sequence.
    pub(crate) answers: Ordered<Answer>,
    /// Results within `answers`.
    pub(crate) results: u64,
    /// Sequences below this one are not remembered any more; they may begin at zero.
    pub(crate) stale: u64,
    pub(crate) touched: Time,
}

/// One remembered answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) reply: Reply,
    /// Which sending of the client's was applied.
    pub(crate) submission: Option<u64>,
}

impl Keyed for Arc<Producer> {
    type Key = ProducerId;
    fn hash(&self) -> u64 {
        xxh3_64(&self.id.0)
    }
    fn key(&self) -> &ProducerId {
        &self.id
    }
}

/// All producers remembered.
#[derive(Clone, Debug)]
pub(crate) struct Producers {
    pub(crate) all: Table<Arc<Producer>>,
    pub(crate) clients: usize,
}

impl Producers {
    pub(crate) fn new() -> Self {
        Self {
            all: Table::new(),
            clients: 0,
        }
    }

    pub(crate) fn is_due(&self, now: Time) -> bool {
        self.all
            .iter()
            .any(|producer| is_old(producer.touched, now))
    }

    pub(crate) fn expire(&mut self, now: Time) {
        let old: Vec<ProducerId> = self
            .all
            .iter()
            .filter(|producer| is_old(producer.touched, now))
            .map(|producer| producer.id)
            .collect();
        for id in old {
            if let Some(producer) = self.all.remove(xxh3_64(&id.0), &id) {
                self.clients -= usize::from(producer.client);
            }
        }
    }

    fn find(&self, id: ProducerId) -> Option<&Arc<Producer>> {
        self.all.get(xxh3_64(&id.0), &id)
    }

    /// What a stamp that was seen before is answered, or why one is refused.
    fn known(&self, stamp: Stamp) -> Option<Reply> {
        let producer = self.find(stamp.producer);
        let answer = producer.and_then(|producer| producer.answers.get(stamp.sequence));
        if let Some(answer) = answer {
            let again = match stamp.origin {
                Origin::Node => false,
                Origin::Client { submission } => answer.submission != Some(submission),
            };
            return Some(if again {
                repeated(&answer.reply)
            } else {
                answer.reply.clone()
            });
        }
        let stale = producer.map_or(0, |producer| producer.stale);
        if stamp.sequence < stale {
            let refusal = Refusal::StaleKey {
                sequence: stamp.sequence,
                oldest: stale - 1,
            };
            return Some(Reply::Refused(refusal));
        }
        let previous = stamp.previous?;
        let seen = producer.is_some_and(|producer| {
            previous < producer.stale || producer.answers.get(previous).is_some()
        });
        (!seen).then_some(Reply::Refused(Refusal::OutOfSequence {
            sequence: stamp.sequence,
            previous,
        }))
    }

    /// Whether another producer may be remembered.
    fn room_for(&self, stamp: Stamp) -> Result<(), Refusal> {
        let client = matches!(stamp.origin, Origin::Client { .. });
        if client
            && self.clients >= limits::CLIENT_PRODUCERS_MAX
            && self.find(stamp.producer).is_none()
        {
            return Err(Refusal::Overloaded {
                what: "publish streams remembered by the shard",
                value: self.clients as u64,
                limit: limits::CLIENT_PRODUCERS_MAX as u64,
            });
        }
        Ok(())
    }

    fn remember(&mut self, stamp: Stamp, reply: Reply, now: Time) {
        let hash = xxh3_64(&stamp.producer.0);
        if self.all.get(hash, &stamp.producer).is_none() {
            let client = matches!(stamp.origin, Origin::Client { .. });
            self.clients += usize::from(client);
            self.all.insert(Arc::new(Producer {
                id: stamp.producer,
                client,
                answers: Ordered::new(),
                results: 0,
                stale: 0,
                touched: now,
            }));
        }
        let producer = self
            .all
            .get_mut(hash, &stamp.producer)
            .expect("put there above");
        let producer = Arc::make_mut(producer);
        producer.touched = now;
        producer.results += results(&reply);
        let submission = match stamp.origin {
            Origin::Node => None,
            Origin::Client { submission } => Some(submission),
        };
        producer
            .answers
            .insert(stamp.sequence, Answer { reply, submission });
        let bound = if producer.client {
            limits::CLIENT_RESULTS_MAX
        } else {
            limits::NODE_RESULTS_MAX
        };
        while producer.results > bound as u64
            && let Some((sequence, _)) = producer.answers.first()
        {
            let answer = producer.answers.remove(sequence).expect("the first one");
            producer.results -= results(&answer.reply);
            producer.stale = producer.stale.max(sequence.saturating_add(1));
        }
    }
}

impl Shard {
    /// Runs `work` unless the stamp was seen before; remembers its answer.
    pub(crate) fn once(&mut self, stamp: Stamp, work: impl FnOnce(&mut Self) -> Reply) -> Reply {
        if let Some(reply) = self.producers.known(stamp) {
            return reply;
        }
        if let Err(refusal) = self.producers.room_for(stamp) {
            return Reply::Refused(refusal);
        }
        let reply = work(self);
        self.producers.remember(stamp, reply.clone(), self.time);
        reply
    }
}

/// How many results a remembered answer counts for.
pub(crate) fn results(reply: &Reply) -> u64 {
    match reply {
        Reply::Published(results) => results.len() as u64,
        Reply::Deleted { .. } | Reply::Done | Reply::Refused(_) => 1,
    }
}

/// The same answer, to a client that sent the same again.
fn repeated(reply: &Reply) -> Reply {
    let Reply::Published(results) = reply else {
        return reply.clone();
    };
    let again = |published: &Published| Published {
        duplicate: true,
        ..*published
    };
    Reply::Published(
        results
            .iter()
            .map(|result| result.as_ref().map(again).map_err(Clone::clone))
            .collect(),
    )
}

fn is_old(touched: Time, now: Time) -> bool {
    touched.get().saturating_add(limits::DEDUPE_MS) <= now.get()
}

/// A key in its scope and channel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KeyId {
    pub(crate) key: IdempotencyKey,
    pub(crate) channel: ChannelName,
}

impl KeyId {
    pub(crate) fn new(key: IdempotencyKey, channel: ChannelName) -> Self {
        Self { key, channel }
    }

    fn hash(&self) -> u64 {
        let mut hasher = Xxh3::new();
        for part in [&self.key.scope, &self.key.key, self.channel.as_str()] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.digest()
    }

    fn bytes(&self) -> u64 {
        let own = self.key.scope.len() + self.key.key.len() + self.channel.as_str().len();
        KEY_OVERHEAD_BYTES + own as u64
    }
}

/// One remembered key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    hash: u64,
    pub(crate) id: KeyId,
    /// xxh3-128 of everything that makes content the same.
    pub(crate) fingerprint: u128,
    pub(crate) published: Published,
}

impl Keyed for Arc<Key> {
    type Key = KeyId;
    fn hash(&self) -> u64 {
        self.hash
    }
    fn key(&self) -> &KeyId {
        &self.id
    }
}

/// All keys remembered, and the order in which they go: that of their events.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    all: Table<Arc<Key>>,
    pub(crate) by_revision: Ordered<Arc<Key>>,
    bytes: u64,
}

impl Keys {
    pub(crate) fn new() -> Self {
        Self {
            all: Table::new(),
            by_revision: Ordered::new(),
            bytes: 0,
        }
    }

    /// The first result of this key; a conflict when it had another content.
    pub(crate) fn find(
        &self,
        id: &KeyId,
        content: &Content,
        now: Time,
    ) -> Result<Option<Published>, Refusal> {
        let known = self.all.get(id.hash(), id);
        let Some(known) = known.filter(|known| !is_old(known.published.time, now)) else {
            return Ok(None);
        };
        if known.fingerprint != fingerprint(content) {
            return Err(Refusal::KeyConflict {
                offset: known.published.offset,
            });
        }
        Ok(Some(Published {
            duplicate: true,
            ..known.published
        }))
    }

    /// Whether another key fits.
    pub(crate) fn room_for(&self, id: &KeyId) -> Result<(), Refusal> {
        let value = self.bytes + id.bytes();
        let limit = limits::KEY_STORE_BYTES_MAX;
        if value > limit {
            return Err(Refusal::Overloaded {
                what: "bytes of idempotency keys",
                value,
                limit,
            });
        }
        Ok(())
    }

    pub(crate) fn remember(&mut self, id: KeyId, content: &Content, published: Published) {
        self.put(id, fingerprint(content), published);
    }

    pub(crate) fn put(&mut self, id: KeyId, fingerprint: u128, published: Published) {
        self.bytes += id.bytes();
        let key = Arc::new(Key {
            hash: id.hash(),
            id,
            fingerprint,
            published,
        });
        self.by_revision
            .insert(published.revision.get(), Arc::clone(&key));
        self.all.insert(key);
    }

    pub(crate) fn is_due(&self, now: Time) -> bool {
        self.by_revision
            .first()
            .is_some_and(|(_, key)| is_old(key.published.time, now))
    }

    pub(crate) fn expire(&mut self, now: Time) {
        for _ in 0..limits::EXPIRED_PER_TICK_MAX {
            if !self.is_due(now) {
                return;
            }
            let (revision, _) = self.by_revision.first().expect("something is due");
            let key = self.by_revision.remove(revision).expect("the first one");
            self.bytes -= key.id.bytes();
            // Used again since its time was over, it belongs to the newer event.
            if self
                .all
                .get(key.hash, &key.id)
                .is_some_and(|known| Arc::ptr_eq(known, &key))
            {
                self.all.remove(key.hash, &key.id);
            }
        }
    }
}

/// contract.md, Fine print: data bytes, content type, type, id, headers.
fn fingerprint(content: &Content) -> u128 {
    let mut hasher = Xxh3::new();
    let mut part = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    part(&content.data);
    part(content.content_type.as_bytes());
    for text in [&content.event_type, &content.id] {
        part(&[u8::from(text.is_some())]);
        part(text.as_deref().unwrap_or_default().as_bytes());
    }
    for (name, value) in &content.headers {
        part(name.as_bytes());
        part(value.as_bytes());
    }
    hasher.digest128()
}
