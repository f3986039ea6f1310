//! Who this disk is: the identity file.
//!
//! A node is its disk: the id is drawn once, when the file is first written, and goes with it. Invariants:
//! an id is never zero; the incarnation rises with every start, before anything is said to others; a disk
//! stores one formation record in its life and never another.

use std::{fmt, io, path::Path, str::FromStr};

use halley_env::{Disk, Rng};
use halley_shard::ClusterId;
use halley_store::{Record, RecordError};
use prost::Message;
use thiserror::Error;

use crate::{
    formation::{FormationRecord, RecordForm},
    malformed::Malformed,
};

/// Format of the identity file that this program writes, and the newest that it reads.
const VERSION: u32 = 1;
const WHAT: &str = "identity";

/// A node's id: random, drawn with its disk, never zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeId(u64);

impl NodeId {
    /// The node numbered `value`; `None` when that is zero.
    #[must_use]
    pub(crate) const fn new(value: u64) -> Option<Self> {
        if value == 0 { None } else { Some(Self(value)) }
    }

    /// A new id.
    #[must_use]
    pub(crate) fn draw(rng: &dyn Rng) -> Self {
        loop {
            if let Some(drawn) = Self::new(rng.next_u64()) {
                return drawn;
            }
        }
    }

    /// The number.
    #[must_use]
    pub(crate) const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for NodeId {
    type Err = Malformed;

    /// Reads the 16 hexadecimal digits that `Display` writes.
    fn from_str(text: &str) -> Result<Self, Malformed> {
        let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u64::from_str_radix(text, 16).ok().filter(|_| digits);
        number
            .and_then(Self::new)
            .ok_or_else(|| Malformed::new("node id", "16 hexadecimal digits, not all zero"))
    }
}

/// How many times a disk was started; the first start is 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Incarnation(u64);

impl Incarnation {
    /// Before the first start.
    pub(crate) const ZERO: Self = Self(0);

    /// The one numbered `value`.
    #[must_use]
    pub(crate) const fn new(value: u64) -> Self {
        Self(value)
    }

    /// The number.
    #[must_use]
    pub(crate) const fn get(self) -> u64 {
        self.0
    }

    /// The one after this. Saturates at `u64::MAX`, which no disk reaches.
    #[must_use]
    pub(crate) const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What the identity file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Its id.
    pub(crate) node: NodeId,
    /// The name it had when it was last started.
    pub(crate) name: String,
    /// How many times it was started.
    pub(crate) incarnation: Incarnation,
    /// The cluster whose log it has; `None` before it has any.
    pub(crate) cluster: Option<ClusterId>,
    /// The one formation record of its life.
    pub(crate) formation: Option<FormationRecord>,
    /// It was replaced: its data is of no use to the cluster any more.
    pub(crate) retired: bool,
}

/// Why there is no identity.
#[derive(Debug, Error)]
pub(crate) enum IdentityError {
    /// The file is there and not what was written.
    #[error("{path} is damaged: {reason}")]
    Damaged {
        /// Which file.
        path: String,
        /// What does not fit.
        reason: String,
    },
    /// Another release wrote it.
    #[error("{path} has format {found}, this program knows {known}: a newer release was here")]
    Version {
        /// Which file.
        path: String,
        /// Its format.
        found: u32,
        /// The newest that this program reads.
        known: u32,
    },
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Identity {
    /// Name of the file in the node's directory.
    pub(crate) const FILE: &'static str = "identity";

    /// A new disk's identity, never started.
    #[must_use]
    pub(crate) fn new(node: NodeId, name: impl Into<String>) -> Self {
        Self {
            node,
            name: name.into(),
            incarnation: Incarnation::ZERO,
            cluster: None,
            formation: None,
            retired: false,
        }
    }

    /// What to save at every start, before anything is said to others.
    #[must_use]
    pub(crate) fn started(&self) -> Self {
        Self {
            incarnation: self.incarnation.next(),
            ..self.clone()
        }
    }

    /// What to save to hold `record`.
    ///
    /// # Errors
    /// The record that this disk already holds, when it is another: a disk holds one in its life.
    pub(crate) fn holding(&self, record: &FormationRecord) -> Result<Self, FormationRecord> {
        match &self.formation {
            Some(held) if held != record => Err(held.clone()),
            _ => Ok(Self {
                formation: Some(record.clone()),
                ..self.clone()
            }),
        }
    }

    /// What the file in `dir` says; `None` when there is none: an empty disk.
    ///
    /// # Errors
    /// [`IdentityError`]
    pub(crate) fn load(disk: &dyn Disk, dir: &Path) -> Result<Option<Self>, IdentityError> {
        let path = dir.join(Self::FILE);
        let content = match Record::read(disk, &path) {
            Ok(Some(content)) => content,
            Ok(None) => return Ok(None),
            Err(RecordError::Damaged { path, reason }) => {
                return Err(IdentityError::Damaged { path, reason });
            }
            Err(RecordError::Io(error)) => return Err(IdentityError::Io(error)),
        };
        let path = path.display().to_string();
        let damaged = |malformed: Malformed| IdentityError::Damaged {
            path: path.clone(),
            reason: malformed.to_string(),
        };
        // A newer format may say anything but its number: that alone is read first.
        let found = VersionForm::decode(content.as_ref())
            .map_err(|error| damaged(Malformed::new(WHAT, error)))?
            .version;
        if found != VERSION {
            return Err(IdentityError::Version {
                path,
                found,
                known: VERSION,
            });
        }
        Self::decode(&content).map(Some).map_err(damaged)
    }

    /// Writes the file in `dir`, which exists; durable when this returns.
    ///
    /// # Errors
    /// What the operating system says; the old file or the new one is there then.
    pub(crate) fn save(&self, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        Record::write(disk, &dir.join(Self::FILE), &self.encode())
    }

    fn encode(&self) -> Vec<u8> {
        let form = IdentityForm {
            version: VERSION,
            node: self.node.get(),
            name: self.name.clone(),
            incarnation: self.incarnation.get(),
            cluster: self.cluster.map(ClusterId::get),
            formation: self.formation.as_ref().map(RecordForm::from),
            retired: self.retired,
        };
        form.encode_to_vec()
    }

    fn decode(content: &[u8]) -> Result<Self, Malformed> {
        let form = IdentityForm::decode(content).map_err(|error| Malformed::new(WHAT, error))?;
        let node = NodeId::new(form.node).ok_or_else(|| Malformed::new(WHAT, "no node id"))?;
        Ok(Self {
            node,
            name: form.name,
            incarnation: Incarnation::new(form.incarnation),
            cluster: form.cluster.map(ClusterId::new),
            formation: form.formation.map(FormationRecord::try_from).transpose()?,
            retired: form.retired,
        })
    }
}

#[derive(Clone, PartialEq, Message)]
struct VersionForm {
    #[prost(uint32, tag = "1")]
    version: u32,
}

#[derive(Clone, PartialEq, Message)]
struct IdentityForm {
    #[prost(uint32, tag = "1")]
    version: u32,
    #[prost(fixed64, tag = "2")]
    node: u64,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(uint64, tag = "4")]
    incarnation: u64,
    #[prost(fixed64, optional, tag = "5")]
    cluster: Option<u64>,
    #[prost(message, optional, tag = "6")]
    formation: Option<RecordForm>,
    #[prost(bool, tag = "7")]
    retired: bool,
}

#[cfg(test)]
mod tests;
