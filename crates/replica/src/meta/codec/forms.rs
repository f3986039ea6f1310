//! The messages that carry commands, replies and the state: numbers of fields, and nothing else.
//!
//! Invariant: a number once used keeps its meaning.

use bytes::Bytes;
use prost::{Message, Oneof};

use crate::formation::RecordForm;

#[derive(Clone, PartialEq, Message)]
pub(super) struct CommandForm {
    #[prost(oneof = "command_form::Kind", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub(super) kind: Option<command_form::Kind>,
}

pub(super) mod command_form {
    //! Which command.

    use super::{FormForm, NodeForm, Oneof, ReplaceForm, SettingsForm};

    #[derive(Clone, PartialEq, Oneof)]
    pub(in super::super) enum Kind {
        #[prost(message, tag = "1")]
        Form(FormForm),
        #[prost(message, tag = "2")]
        Announce(NodeForm),
        #[prost(message, tag = "3")]
        Join(NodeForm),
        #[prost(message, tag = "4")]
        Replace(ReplaceForm),
        #[prost(uint64, tag = "5")]
        ChangeDone(u64),
        #[prost(message, tag = "6")]
        SetSettings(SettingsForm),
        #[prost(uint32, tag = "7")]
        RaiseLevel(u32),
    }
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FormForm {
    #[prost(message, optional, tag = "1")]
    pub(super) record: Option<RecordForm>,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) settings: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SettingsForm {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) instead_of: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) settings: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct NodeForm {
    #[prost(fixed64, tag = "1")]
    pub(super) node: u64,
    #[prost(message, optional, tag = "2")]
    pub(super) about: Option<AboutForm>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AboutForm {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) peer: String,
    #[prost(string, tag = "3")]
    pub(super) grpc: String,
    #[prost(string, tag = "4")]
    pub(super) http: String,
    #[prost(uint64, tag = "5")]
    pub(super) incarnation: u64,
    #[prost(fixed64, tag = "6")]
    pub(super) process: u64,
    #[prost(uint32, tag = "7")]
    pub(super) level: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ReplaceForm {
    #[prost(fixed64, tag = "1")]
    pub(super) old: u64,
    #[prost(fixed64, tag = "2")]
    pub(super) new: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ReplyForm {
    #[prost(message, optional, tag = "1")]
    pub(super) refused: Option<RefusalForm>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct RefusalForm {
    #[prost(
        oneof = "refusal_form::Kind",
        tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12"
    )]
    pub(super) kind: Option<refusal_form::Kind>,
}

pub(super) mod refusal_form {
    //! Which refusal.

    use super::{ChangeForm, NumberedForm, Oneof};

    #[derive(Clone, PartialEq, Oneof)]
    pub(in super::super) enum Kind {
        #[prost(bool, tag = "1")]
        NotFormed(bool),
        #[prost(fixed64, tag = "2")]
        Formed(u64),
        #[prost(fixed64, tag = "3")]
        Unknown(u64),
        #[prost(fixed64, tag = "4")]
        Retired(u64),
        #[prost(message, tag = "5")]
        OldIncarnation(NumberedForm),
        #[prost(uint32, tag = "6")]
        OldProgram(u32),
        #[prost(message, tag = "7")]
        Busy(ChangeForm),
        #[prost(fixed64, tag = "8")]
        NotAVoter(u64),
        #[prost(fixed64, tag = "9")]
        NotALearner(u64),
        #[prost(message, tag = "10")]
        NotAnnounced(NumberedForm),
        #[prost(uint32, tag = "11")]
        LevelFalls(u32),
        #[prost(bool, tag = "12")]
        OtherSettings(bool),
    }
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct NumberedForm {
    #[prost(fixed64, tag = "1")]
    pub(super) node: u64,
    #[prost(uint64, tag = "2")]
    pub(super) number: u64,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct ChangeForm {
    #[prost(uint64, tag = "1")]
    pub(super) number: u64,
    #[prost(fixed64, optional, tag = "2")]
    pub(super) old: Option<u64>,
    #[prost(fixed64, tag = "3")]
    pub(super) new: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct RowForm {
    #[prost(message, optional, tag = "1")]
    pub(super) node: Option<NodeForm>,
    #[prost(uint32, tag = "2")]
    pub(super) standing: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct MetaForm {
    #[prost(uint32, tag = "1")]
    pub(super) version: u32,
    #[prost(fixed64, optional, tag = "2")]
    pub(super) cluster: Option<u64>,
    #[prost(uint32, tag = "3")]
    pub(super) shards: u32,
    #[prost(bytes = "bytes", tag = "4")]
    pub(super) settings: Bytes,
    #[prost(uint32, tag = "5")]
    pub(super) level: u32,
    #[prost(message, repeated, tag = "6")]
    pub(super) nodes: Vec<RowForm>,
    #[prost(message, optional, tag = "7")]
    pub(super) change: Option<ChangeForm>,
    #[prost(uint64, tag = "8")]
    pub(super) changes: u64,
}
