//! What nodes tell each other before there is a cluster, and its bytes.
//!
//! A question is a [`Hello`], the answer to it a [`Greeting`]. Invariant: what a greeting says of a record or a
//! cluster is on the disk of the node that says it.

use std::fmt;

use bytes::{Bytes, BytesMut};
use halley_shard::{ClusterId, codec::Codec};
use prost::Message;

use super::{FormationRecord, RecordForm};
use crate::{Bootstrap, identity::NodeId, malformed::Malformed};

const WHAT: &str = "greeting";

/// What all founders must agree upon, in one number: the list of names, the shard count, the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BootstrapHash(u64);

impl BootstrapHash {
    /// The hash of `bootstrap`, whatever the order of its names; `None` when it lists nobody: that node only joins.
    #[must_use]
    pub(crate) fn of(bootstrap: &Bootstrap) -> Option<Self> {
        if bootstrap.members.is_empty() {
            return None;
        }
        let mut names = bootstrap.members.clone();
        names.sort_unstable();
        let mut canonical = BytesMut::new();
        names.put(&mut canonical);
        bootstrap.shards.get().put(&mut canonical);
        bootstrap.settings.put(&mut canonical);
        Some(Self(xxhash_rust::xxh3::xxh3_64(&canonical)))
    }
}

/// 16 hexadecimal digits.
impl fmt::Display for BootstrapHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// How a node describes itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Greeting {
    /// Its name.
    pub(crate) name: String,
    /// Its id.
    pub(crate) node: NodeId,
    /// Of its bootstrap; `None`: it only joins.
    pub(crate) hash: Option<BootstrapHash>,
    /// Nothing of a cluster is on its disk, nor about to be.
    pub(crate) empty: bool,
    /// The record on its disk.
    pub(crate) record: Option<FormationRecord>,
    /// The cluster whose log is on its disk.
    pub(crate) cluster: Option<ClusterId>,
}

/// A question: who asks, and the record that it asks to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    /// Who asks.
    pub(crate) greeting: Greeting,
    /// To be stored before the answer, which says so by carrying it.
    pub(crate) offer: Option<FormationRecord>,
}

impl Greeting {
    /// Its bytes.
    #[must_use]
    pub(crate) fn encode(&self) -> Bytes {
        GreetingForm::from(self).encode_to_vec().into()
    }

    /// Reads what [`Greeting::encode`] wrote.
    ///
    /// # Errors
    /// [`Malformed`]
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        GreetingForm::decode(bytes)
            .map_err(|error| Malformed::new(WHAT, error))?
            .try_into()
    }
}

impl Hello {
    /// Its bytes.
    #[must_use]
    pub(crate) fn encode(&self) -> Bytes {
        let form = HelloForm {
            greeting: Some((&self.greeting).into()),
            offer: self.offer.as_ref().map(RecordForm::from),
        };
        form.encode_to_vec().into()
    }

    /// Reads what [`Hello::encode`] wrote.
    ///
    /// # Errors
    /// [`Malformed`]
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let form = HelloForm::decode(bytes).map_err(|error| Malformed::new("hello", error))?;
        let greeting = form
            .greeting
            .ok_or_else(|| Malformed::new("hello", "nobody asks"))?;
        Ok(Self {
            greeting: greeting.try_into()?,
            offer: form.offer.map(FormationRecord::try_from).transpose()?,
        })
    }
}

#[derive(Clone, PartialEq, Message)]
struct GreetingForm {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(fixed64, tag = "2")]
    node: u64,
    #[prost(fixed64, optional, tag = "3")]
    hash: Option<u64>,
    #[prost(bool, tag = "4")]
    empty: bool,
    #[prost(message, optional, tag = "5")]
    record: Option<RecordForm>,
    #[prost(fixed64, optional, tag = "6")]
    cluster: Option<u64>,
}

#[derive(Clone, PartialEq, Message)]
struct HelloForm {
    #[prost(message, optional, tag = "1")]
    greeting: Option<GreetingForm>,
    #[prost(message, optional, tag = "2")]
    offer: Option<RecordForm>,
}

impl From<&Greeting> for GreetingForm {
    fn from(greeting: &Greeting) -> Self {
        Self {
            name: greeting.name.clone(),
            node: greeting.node.get(),
            hash: greeting.hash.map(|hash| hash.0),
            empty: greeting.empty,
            record: greeting.record.as_ref().map(RecordForm::from),
            cluster: greeting.cluster.map(ClusterId::get),
        }
    }
}

impl TryFrom<GreetingForm> for Greeting {
    type Error = Malformed;

    fn try_from(form: GreetingForm) -> Result<Self, Malformed> {
        let node = NodeId::new(form.node).ok_or_else(|| Malformed::new(WHAT, "no node id"))?;
        Ok(Self {
            name: form.name,
            node,
            hash: form.hash.map(BootstrapHash),
            empty: form.empty,
            record: form.record.map(FormationRecord::try_from).transpose()?,
            cluster: form.cluster.map(ClusterId::new),
        })
    }
}
