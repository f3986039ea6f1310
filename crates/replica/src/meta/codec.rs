//! Bytes of commands, replies and the state.
//!
//! Invariant: one state has one encoding: rows in the order of their ids, what is default left out.

use bytes::{Bytes, BytesMut};
use halley_log::Standing;
use halley_shard::{ClusterId, Settings, ShardCount, codec::Codec};
use prost::Message;

use super::{
    Change, ChangeKind, Meta, MetaCommand, MetaRefusal, MetaReply, NodeRecord, Process,
    command::About,
};
use crate::{
    Addresses,
    identity::{Incarnation, NodeId},
    malformed::Malformed,
};

mod forms;

use forms::{
    AboutForm, ChangeForm, CommandForm, FormForm, MetaForm, NodeForm, RefusalForm, ReplaceForm,
    ReplyForm, RowForm, command_form, refusal_form,
};

/// Format of the state; a newer one is refused.
const VERSION: u32 = 1;
const COMMAND: &str = "meta command";
const REPLY: &str = "meta reply";
const STATE: &str = "meta state";

impl MetaCommand {
    /// Its bytes.
    #[must_use]
    pub(crate) fn encode(&self) -> Bytes {
        use command_form::Kind;
        let kind = match self {
            Self::Form { record, settings } => Kind::Form(FormForm {
                record: Some(record.into()),
                settings: put_settings(settings),
            }),
            Self::Announce { node, about } => Kind::Announce(put_node(*node, about)),
            Self::Join { node, about } => Kind::Join(put_node(*node, about)),
            Self::Replace { old, new } => Kind::Replace(ReplaceForm {
                old: old.get(),
                new: new.get(),
            }),
            Self::ChangeDone { number } => Kind::ChangeDone(*number),
            Self::SetSettings {
                instead_of,
                settings,
            } => Kind::SetSettings(forms::SettingsForm {
                instead_of: put_settings(instead_of),
                settings: put_settings(settings),
            }),
            Self::RaiseLevel { level } => Kind::RaiseLevel(*level),
        };
        CommandForm { kind: Some(kind) }.encode_to_vec().into()
    }

    /// Reads what [`MetaCommand::encode`] wrote.
    ///
    /// # Errors
    /// [`Malformed`]
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        use command_form::Kind;
        let form = CommandForm::decode(bytes).map_err(|error| Malformed::new(COMMAND, error))?;
        let kind = form.kind.ok_or_else(|| missing(COMMAND))?;
        Ok(match kind {
            Kind::Form(form) => Self::Form {
                record: form.record.ok_or_else(|| missing(COMMAND))?.try_into()?,
                settings: take_settings(COMMAND, form.settings)?,
            },
            Kind::Announce(form) => {
                let (node, about) = take_node(form)?;
                Self::Announce { node, about }
            }
            Kind::Join(form) => {
                let (node, about) = take_node(form)?;
                Self::Join { node, about }
            }
            Kind::Replace(form) => Self::Replace {
                old: take_id(COMMAND, form.old)?,
                new: take_id(COMMAND, form.new)?,
            },
            Kind::ChangeDone(number) => Self::ChangeDone { number },
            Kind::SetSettings(form) => Self::SetSettings {
                instead_of: take_settings(COMMAND, form.instead_of)?,
                settings: take_settings(COMMAND, form.settings)?,
            },
            Kind::RaiseLevel(level) => Self::RaiseLevel { level },
        })
    }
}

impl MetaReply {
    /// Its bytes.
    #[must_use]
    pub(crate) fn encode(&self) -> Bytes {
        let refused = match self {
            Self::Done => None,
            Self::Refused(refusal) => Some(RefusalForm {
                kind: Some(put_refusal(refusal)),
            }),
        };
        ReplyForm { refused }.encode_to_vec().into()
    }

    /// Reads what [`MetaReply::encode`] wrote.
    ///
    /// # Errors
    /// [`Malformed`]
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let form = ReplyForm::decode(bytes).map_err(|error| Malformed::new(REPLY, error))?;
        match form.refused {
            None => Ok(Self::Done),
            Some(RefusalForm { kind }) => {
                let kind = kind.ok_or_else(|| missing(REPLY))?;
                take_refusal(kind).map(Self::Refused)
            }
        }
    }
}

impl Meta {
    /// The state's bytes: what a snapshot of the cluster's own group holds.
    #[must_use]
    pub(crate) fn encode(&self) -> Bytes {
        let rows = self.nodes.iter().map(|(id, record)| {
            let about = About {
                name: record.name.clone(),
                addresses: record.addresses.clone(),
                incarnation: record.incarnation,
                process: record.process,
                level: record.level,
            };
            RowForm {
                node: Some(put_node(*id, &about)),
                standing: put_standing(record.standing),
            }
        });
        let form = MetaForm {
            version: VERSION,
            cluster: self.cluster.map(|(cluster, _)| cluster.get()),
            shards: self.cluster.map_or(0, |(_, shards)| shards.get().into()),
            settings: put_settings(&self.settings),
            level: self.level,
            nodes: rows.collect(),
            change: self.change.as_ref().map(put_change),
            changes: self.changes,
        };
        form.encode_to_vec().into()
    }

    /// Reads what [`Meta::encode`] wrote.
    ///
    /// # Errors
    /// [`Malformed`], also for the state of a newer program.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let form = MetaForm::decode(bytes).map_err(|error| Malformed::new(STATE, error))?;
        if form.version != VERSION {
            let reason = format!("format {}, this program knows {VERSION}", form.version);
            return Err(Malformed::new(STATE, reason));
        }
        let shards = u16::try_from(form.shards).ok().and_then(ShardCount::new);
        let cluster = match (form.cluster, shards) {
            (Some(cluster), Some(shards)) => Some((ClusterId::new(cluster), shards)),
            (Some(_), None) => return Err(Malformed::new(STATE, "no such shard count")),
            (None, _) => None,
        };
        let mut state = Self {
            cluster,
            settings: take_settings(STATE, form.settings)?,
            level: form.level,
            change: form.change.map(take_change).transpose()?,
            changes: form.changes,
            ..Self::default()
        };
        for row in form.nodes {
            let (id, about) = take_node(row.node.ok_or_else(|| missing(STATE))?)?;
            let record = NodeRecord {
                name: about.name,
                addresses: about.addresses,
                standing: take_standing(row.standing)?,
                incarnation: about.incarnation,
                process: about.process,
                level: about.level,
            };
            if state.nodes.insert(id, record).is_some() {
                return Err(Malformed::new(STATE, format!("{id} is there twice")));
            }
        }
        Ok(state)
    }
}

fn missing(what: &'static str) -> Malformed {
    Malformed::new(
        what,
        "a part is missing, or one that this program does not know",
    )
}

fn take_id(what: &'static str, number: u64) -> Result<NodeId, Malformed> {
    NodeId::new(number).ok_or_else(|| Malformed::new(what, "a node id is zero"))
}

fn put_settings(settings: &Settings) -> Bytes {
    let mut out = BytesMut::new();
    settings.put(&mut out);
    out.freeze()
}

fn take_settings(what: &'static str, mut bytes: Bytes) -> Result<Settings, Malformed> {
    let settings = Settings::take(&mut bytes).map_err(|error| Malformed::new(what, error))?;
    if bytes.is_empty() {
        Ok(settings)
    } else {
        Err(Malformed::new(what, "bytes behind the settings"))
    }
}

fn put_node(node: NodeId, about: &About) -> NodeForm {
    let Addresses { peer, grpc, http } = about.addresses.clone();
    NodeForm {
        node: node.get(),
        about: Some(AboutForm {
            name: about.name.clone(),
            peer,
            grpc,
            http,
            incarnation: about.incarnation.get(),
            process: about.process.0,
            level: about.level,
        }),
    }
}

fn take_node(form: NodeForm) -> Result<(NodeId, About), Malformed> {
    let about = form.about.ok_or_else(|| missing("node"))?;
    let addresses = Addresses {
        peer: about.peer,
        grpc: about.grpc,
        http: about.http,
    };
    let about = About {
        name: about.name,
        addresses,
        incarnation: Incarnation::new(about.incarnation),
        process: Process(about.process),
        level: about.level,
    };
    Ok((take_id("node", form.node)?, about))
}

const fn put_standing(standing: Standing) -> u32 {
    match standing {
        Standing::Voter => 1,
        Standing::Learner => 2,
        Standing::Retired => 3,
    }
}

fn take_standing(number: u32) -> Result<Standing, Malformed> {
    match number {
        1 => Ok(Standing::Voter),
        2 => Ok(Standing::Learner),
        3 => Ok(Standing::Retired),
        other => Err(Malformed::new(STATE, format!("{other} is no standing"))),
    }
}

/// A join is a change without an old node.
fn put_change(change: &Change) -> ChangeForm {
    let (old, new) = match change.kind {
        ChangeKind::Join { node } => (None, node),
        ChangeKind::Replace { old, new } => (Some(old.get()), new),
    };
    ChangeForm {
        number: change.number,
        old,
        new: new.get(),
    }
}

fn take_change(form: ChangeForm) -> Result<Change, Malformed> {
    let node = take_id("change", form.new)?;
    let kind = match form.old {
        None => ChangeKind::Join { node },
        Some(old) => ChangeKind::Replace {
            old: take_id("change", old)?,
            new: node,
        },
    };
    Ok(Change {
        number: form.number,
        kind,
    })
}

fn put_refusal(refusal: &MetaRefusal) -> refusal_form::Kind {
    use refusal_form::Kind;
    match refusal {
        MetaRefusal::NotFormed => Kind::NotFormed(true),
        MetaRefusal::Formed { cluster } => Kind::Formed(cluster.get()),
        MetaRefusal::Unknown { node } => Kind::Unknown(node.get()),
        MetaRefusal::Retired { node } => Kind::Retired(node.get()),
        MetaRefusal::OldIncarnation { node, known } => Kind::OldIncarnation(forms::NumberedForm {
            node: node.get(),
            number: known.get(),
        }),
        MetaRefusal::OldProgram { level } => Kind::OldProgram(*level),
        MetaRefusal::Busy { change } => Kind::Busy(put_change(change)),
        MetaRefusal::NotAVoter { node } => Kind::NotAVoter(node.get()),
        MetaRefusal::NotALearner { node } => Kind::NotALearner(node.get()),
        MetaRefusal::NotAnnounced { node, level } => Kind::NotAnnounced(forms::NumberedForm {
            node: node.get(),
            number: (*level).into(),
        }),
        MetaRefusal::LevelFalls { level } => Kind::LevelFalls(*level),
        MetaRefusal::OtherSettings => Kind::OtherSettings(true),
    }
}

fn take_refusal(kind: refusal_form::Kind) -> Result<MetaRefusal, Malformed> {
    use refusal_form::Kind;
    let id = |number| take_id(REPLY, number);
    Ok(match kind {
        Kind::NotFormed(_) => MetaRefusal::NotFormed,
        Kind::Formed(cluster) => MetaRefusal::Formed {
            cluster: ClusterId::new(cluster),
        },
        Kind::Unknown(node) => MetaRefusal::Unknown { node: id(node)? },
        Kind::Retired(node) => MetaRefusal::Retired { node: id(node)? },
        Kind::OldIncarnation(form) => MetaRefusal::OldIncarnation {
            node: id(form.node)?,
            known: Incarnation::new(form.number),
        },
        Kind::OldProgram(level) => MetaRefusal::OldProgram { level },
        Kind::Busy(change) => MetaRefusal::Busy {
            change: take_change(change)?,
        },
        Kind::NotAVoter(node) => MetaRefusal::NotAVoter { node: id(node)? },
        Kind::NotALearner(node) => MetaRefusal::NotALearner { node: id(node)? },
        Kind::NotAnnounced(form) => MetaRefusal::NotAnnounced {
            node: id(form.node)?,
            level: u32::try_from(form.number)
                .map_err(|_| Malformed::new(REPLY, "a level does not fit"))?,
        },
        Kind::LevelFalls(level) => MetaRefusal::LevelFalls { level },
        Kind::OtherSettings(_) => MetaRefusal::OtherSettings,
    })
}
