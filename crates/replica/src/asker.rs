//! Asking other replicas: where they are, and one question at a time.
//!
//! Invariant: an answer is taken only from the node that was meant, in the cluster that was meant.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{
    PeerError, Peers,
    admission::Memory,
    identity::NodeId,
    meta::Process,
    question::{Ask, Question, Said, Say},
};

/// The way to the other replicas of this node's cluster. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Asker {
    peers: Arc<dyn Peers>,
    me: NodeId,
    process: Process,
    memory: Arc<Mutex<Memory>>,
    /// 0 before it is known.
    cluster: Arc<AtomicU64>,
    addresses: Arc<Mutex<BTreeMap<NodeId, String>>>,
}

impl fmt::Debug for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asker")
            .field("me", &self.me)
            .finish_non_exhaustive()
    }
}

impl Asker {
    pub(crate) fn new(peers: Arc<dyn Peers>, me: NodeId, process: Process) -> Self {
        Self {
            peers,
            me,
            process,
            memory: Arc::default(),
            cluster: Arc::default(),
            addresses: Arc::default(),
        }
    }

    pub(crate) fn peers(&self) -> &Arc<dyn Peers> {
        &self.peers
    }

    pub(crate) fn me(&self) -> NodeId {
        self.me
    }

    /// Which process this is, among all starts of all copies of this disk.
    pub(crate) fn process(&self) -> Process {
        self.process
    }

    /// What was heard of others' starts and logs.
    pub(crate) fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory
            .lock()
            .expect("nobody panics while holding the memory")
    }

    /// The cluster's id; 0 before it is known.
    pub(crate) fn cluster(&self) -> u64 {
        self.cluster.load(Ordering::Acquire)
    }

    pub(crate) fn set_cluster(&self, cluster: u64) {
        self.cluster.store(cluster, Ordering::Release);
    }

    /// Where `node` was last known to be.
    pub(crate) fn address(&self, node: NodeId) -> Option<String> {
        self.book().get(&node).cloned()
    }

    pub(crate) fn set_address(&self, node: NodeId, address: &str) {
        if !address.is_empty() {
            self.book().insert(node, address.to_owned());
        }
    }

    fn book(&self) -> std::sync::MutexGuard<'_, BTreeMap<NodeId, String>> {
        self.addresses
            .lock()
            .expect("nobody panics while holding the addresses")
    }

    /// Asks `to` about `group`.
    ///
    /// # Errors
    /// [`PeerError`]; an answer of another node or cluster, or a refusal, is `NoAnswer`.
    pub(crate) async fn ask(
        &self,
        to: NodeId,
        group: u16,
        ask: Ask,
        deadline: Duration,
    ) -> Result<Say, PeerError> {
        let address = self.address(to);
        let address =
            address.ok_or_else(|| PeerError::Unreachable(format!("{to} has no known address")))?;
        let said = self
            .ask_at(&address, to.get(), group, ask, deadline)
            .await?;
        if said.from != to.get() {
            let other = said.from;
            return Err(PeerError::NoAnswer(format!(
                "{address} is {other:016x}, not {to}"
            )));
        }
        match said.say {
            Some(Say::Refused(reason)) => Err(PeerError::NoAnswer(reason)),
            Some(say) => Ok(say),
            None => Err(PeerError::NoAnswer("an empty answer".into())),
        }
    }

    /// Asks whoever is at `address`; `to` 0 means anybody.
    ///
    /// # Errors
    /// [`PeerError`]
    pub(crate) async fn ask_at(
        &self,
        address: &str,
        to: u64,
        group: u16,
        ask: Ask,
        deadline: Duration,
    ) -> Result<Said, PeerError> {
        let question = Question {
            cluster: self.cluster(),
            from: self.me.get(),
            to,
            group: u32::from(group),
            process: self.process.0,
            ask: Some(ask),
        };
        let answer = self.peers.ask(address, question.encode(), deadline).await?;
        Said::decode(answer).map_err(|error| PeerError::NoAnswer(error.to_string()))
    }
}
