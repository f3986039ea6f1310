//! A shard as a Raft group moves it: its state, its newest changes, and whoever follows them.

use std::{io, sync::Arc};

use bytes::Bytes;
use halley_log::follow::Source;
use halley_shard::{Command, Reply, Settings, Shard, codec};

use crate::{
    malformed::Malformed,
    raft::{
        Answer,
        machine::{Frozen, Machine},
    },
};

/// The state of one shard on this node.
pub(crate) struct ShardMachine {
    source: Arc<Source>,
}

impl ShardMachine {
    pub(crate) fn new(source: Arc<Source>) -> Self {
        Self { source }
    }
}

impl Machine for ShardMachine {
    fn apply(&self, payload: Bytes) -> Answer {
        let (time, commands) = match codec::decode_entry(&payload) {
            Ok(entry) => entry,
            Err(error) => unreachable_entry(&error),
        };
        let commands = commands.iter().map(|command| {
            codec::decode_command(command).unwrap_or_else(|error| unreachable_entry(&error))
        });
        let commands: Vec<Command> = commands.collect();
        let replies: Vec<Reply> = self.source.change(|feed| {
            let replies = commands
                .into_iter()
                .map(|command| feed.apply(time, command));
            replies.collect()
        });
        Answer::Shard(replies)
    }

    fn freeze(&self) -> Box<dyn Frozen> {
        Box::new(FrozenShard(self.source.with(|feed| feed.shard().clone())))
    }

    fn restore(&self, content: Bytes) -> Result<(), Malformed> {
        let shard = codec::decode_snapshot(&content)
            .map_err(|error| Malformed::new("snapshot of a shard", error))?;
        self.source.change(|feed| feed.replace(shard));
        Ok(())
    }
}

/// Every command is read before it is proposed, by a node that knows its form, and a new form is proposed only
/// once every voter has announced it: an unreadable one means a damaged log that its checksums did not show.
fn unreachable_entry(error: &codec::DecodeError) -> ! {
    panic!("a committed entry cannot be read: {error}")
}

/// The state that a shard begins with: the same on every node and in every release, since the log is applied to
/// it. The cluster's settings come in by the first command.
pub(crate) fn beginning() -> Shard {
    Shard::new(Settings::default())
}

struct FrozenShard(Shard);

impl Frozen for FrozenShard {
    fn write(&self, out: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        codec::encode_snapshot(&self.0).try_for_each(|piece| out(&piece))
    }
}
