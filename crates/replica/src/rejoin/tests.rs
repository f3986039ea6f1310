//! Every condition of a replacement, one missing at a time.

use halley_shard::{ClusterId, Settings, ShardCount};

use super::*;
use crate::{
    Addresses,
    formation::FormationRecord,
    identity::Incarnation,
    meta::{About, MetaCommand, MetaReply, Process},
};

const MINUTE: Duration = Duration::from_secs(60);

fn id(number: u64) -> NodeId {
    NodeId::new(number).unwrap()
}

fn about(name: &str) -> About {
    About {
        name: name.into(),
        addresses: Addresses {
            peer: format!("{name}:7400"),
            ..Addresses::default()
        },
        incarnation: Incarnation::new(1),
        process: Process(1),
        level: 1,
    }
}

/// Voters n1 to n3, and the learner 33 called `name`.
fn meta(name: &str) -> Meta {
    let mut meta = Meta::default();
    let record = FormationRecord {
        cluster: ClusterId::new(1),
        shards: ShardCount::new(2).unwrap(),
        members: (1..=3).map(|n| (format!("n{n}"), id(n))).collect(),
        proposer: id(1),
    };
    let mut commands = vec![MetaCommand::Form {
        record,
        settings: Settings::default(),
    }];
    for node in 1..=3 {
        let about = about(&format!("n{node}"));
        commands.push(MetaCommand::Announce {
            node: id(node),
            about,
        });
    }
    commands.push(MetaCommand::Join {
        node: id(33),
        about: about(name),
    });
    commands.push(MetaCommand::ChangeDone { number: 1 });
    for command in commands {
        assert_eq!(meta.apply(&command), MetaReply::Done);
    }
    meta
}

fn groups() -> Vec<Option<GroupOutlook>> {
    let group = |name: &str| {
        Some(GroupOutlook {
            name: name.into(),
            silence: MINUTE,
            behind: vec![id(3)],
            idle: true,
        })
    };
    ["meta", "shard 0", "shard 1"].map(group).into()
}

fn not_yet(meta: &Meta, there: Option<NodeId>, groups: &[Option<GroupOutlook>]) -> String {
    match judge(meta, id(33), there, groups, MINUTE) {
        Judgement::NotYet(why) => why,
        replace @ Judgement::Replace { .. } => panic!("{replace:?}"),
    }
}

#[test]
fn with_every_condition_the_old_id_is_replaced() {
    let judgement = judge(&meta("n3"), id(33), Some(id(33)), &groups(), MINUTE);
    assert_eq!(judgement, Judgement::Replace { old: id(3) });
    assert_eq!(predecessor(&meta("n3"), id(33)), Ok(id(3)));
}

#[test]
fn the_name_must_be_a_voters() {
    let why = not_yet(&meta("n4"), Some(id(33)), &groups());
    assert!(
        why.contains("halley cluster replace OLD 0000000000000021"),
        "{why}"
    );
    assert!(
        predecessor(&meta("n3"), id(2))
            .unwrap_err()
            .contains("not a learner")
    );
}

#[test]
fn the_old_address_must_be_answered_by_the_new_id() {
    let meta = meta("n3");
    let why = not_yet(&meta, None, &groups());
    assert!(why.contains("nobody answers at n3:7400"), "{why}");
    let why = not_yet(&meta, Some(id(3)), &groups());
    assert!(why.contains("answered by 0000000000000003"), "{why}");
}

#[test]
fn no_change_may_be_under_way() {
    let mut meta = meta("n3");
    meta.apply(&MetaCommand::Join {
        node: id(44),
        about: about("n4"),
    });
    let why = not_yet(&meta, Some(id(33)), &groups());
    assert!(why.contains("another membership change"), "{why}");
}

#[test]
fn every_group_must_agree() {
    let meta = meta("n3");
    let with = |change: fn(&mut Vec<Option<GroupOutlook>>)| {
        let mut groups = groups();
        change(&mut groups);
        not_yet(&meta, Some(id(33)), &groups)
    };
    let nearly = MINUTE - Duration::from_millis(1);
    for (why, part) in [
        (with(|groups| groups[2] = None), "not every group"),
        (with(|groups| drop(groups.pop())), "not every group"),
        (
            with(|groups| groups[1].as_mut().unwrap().idle = false),
            "shard 0 is changing",
        ),
        (
            with(|groups| groups[0].as_mut().unwrap().behind.push(id(2))),
            "0000000000000002 lacks entries of meta",
        ),
    ] {
        assert!(why.contains(part), "{why}");
    }
    let mut groups = groups();
    groups[2].as_mut().unwrap().silence = nearly;
    let why = not_yet(&meta, Some(id(33)), &groups);
    assert!(
        why.contains("shard 1 may have heard") && why.contains("after 60 s"),
        "{why}"
    );
}
