//! openraft's own suite of log and state storage, over the write-ahead log on a disk in memory.

use std::sync::Arc;

use halley_env::{Disk, InlineSpawn, MemoryDisk};
use halley_store::{GroupId, Snapshots, Wal, WalConfig};
use openraft::{
    StorageError,
    testing::log::{StoreBuilder, Suite},
};
use openraft_rt_tokio::TokioRuntime;

use super::GroupLog;
use crate::{
    meta_machine::MetaMachine,
    raft::{Types, machine::GroupState},
};

struct Builder;

type Built = (Wal, GroupLog<TokioRuntime>, GroupState<TokioRuntime>);

impl StoreBuilder<Types<TokioRuntime>, GroupLog<TokioRuntime>, GroupState<TokioRuntime>, Wal>
    for Builder
{
    async fn build(&self) -> Result<Built, StorageError<Types<TokioRuntime>>> {
        let disk: Arc<dyn Disk> = MemoryDisk::new();
        let config = WalConfig {
            directory: "/log".into(),
            segment_bytes: 1024 * 1024,
            cache_bytes: 1024,
        };
        let wal = Wal::open(Arc::clone(&disk), &InlineSpawn, config, Box::new(|_| ()));
        let wal = wal.expect("a new log opens");
        let snapshots = Snapshots::open(disk, "/snapshots".into()).expect("a directory");
        let (group, machine) = (GroupId(3), Arc::new(MetaMachine::default()));
        let log = GroupLog::new(wal.clone(), group);
        let state = GroupState::new(group, machine, snapshots, Arc::new(InlineSpawn));
        Ok((wal, log, state))
    }
}

#[tokio::test]
async fn openrafts_suite_is_passed() {
    let passed = Box::pin(Suite::test_all(Builder)).await;
    passed.expect("the suite is passed");
}
