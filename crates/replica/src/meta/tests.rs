//! The state machine of the cluster's own group, and its bytes.

use proptest::prelude::*;

use super::*;

fn id(number: u64) -> NodeId {
    NodeId::new(number).unwrap()
}

fn record() -> FormationRecord {
    FormationRecord {
        cluster: ClusterId::new(0xc1),
        shards: ShardCount::new(2).unwrap(),
        members: (1..=3).map(|n| (format!("n{n}"), id(n))).collect(),
        proposer: id(1),
    }
}

fn form() -> MetaCommand {
    MetaCommand::Form {
        record: record(),
        settings: Settings::default(),
    }
}

fn about(name: &str, incarnation: u64, process: u64) -> About {
    About {
        name: name.into(),
        addresses: Addresses {
            peer: format!("{name}:7400"),
            grpc: format!("{name}:9090"),
            http: format!("{name}:8080"),
        },
        incarnation: Incarnation::new(incarnation),
        process: Process(process),
        level: 1,
    }
}

fn announce(node: u64, incarnation: u64, process: u64) -> MetaCommand {
    MetaCommand::Announce {
        node: id(node),
        about: about(&format!("n{node}"), incarnation, process),
    }
}

fn join(node: u64, name: &str) -> MetaCommand {
    MetaCommand::Join {
        node: id(node),
        about: about(name, 1, node),
    }
}

fn replace(old: u64, new: u64) -> MetaCommand {
    MetaCommand::Replace {
        old: id(old),
        new: id(new),
    }
}

fn done(number: u64) -> MetaCommand {
    MetaCommand::ChangeDone { number }
}

fn formed() -> Meta {
    let mut meta = Meta::default();
    for command in [
        form(),
        announce(1, 1, 11),
        announce(2, 1, 12),
        announce(3, 1, 13),
    ] {
        assert_eq!(meta.apply(&command), MetaReply::Done);
    }
    meta
}

fn refused(meta: &mut Meta, command: &MetaCommand) -> MetaRefusal {
    let before = meta.clone();
    let MetaReply::Refused(refusal) = meta.apply(command) else {
        panic!("{command:?} is not refused")
    };
    assert_eq!(*meta, before, "a refusal changes nothing");
    refusal
}

fn ids(numbers: &[u64]) -> BTreeSet<NodeId> {
    numbers.iter().copied().map(id).collect()
}

#[test]
fn the_first_command_founds_it() {
    let mut meta = Meta::default();
    assert_eq!(
        refused(&mut meta, &announce(1, 1, 1)),
        MetaRefusal::NotFormed
    );
    assert_eq!(refused(&mut meta, &done(0)), MetaRefusal::NotFormed);
    assert_eq!(meta.apply(&form()), MetaReply::Done);
    assert_eq!(meta.voters(), ids(&[1, 2, 3]));
    assert_eq!(meta.level(), FIRST_LEVEL);
    let (cluster, shards) = meta.cluster().unwrap();
    assert_eq!((cluster.get(), shards.get()), (0xc1, 2));
    let before = meta.clone();
    assert_eq!(meta.apply(&form()), MetaReply::Done, "sent again");
    assert_eq!(meta, before);
    let mut other = record();
    other.cluster = ClusterId::new(7);
    let other = MetaCommand::Form {
        record: other,
        settings: Settings::default(),
    };
    assert_eq!(refused(&mut meta, &other), MetaRefusal::Formed { cluster });
}

#[test]
fn incarnations_only_rise_and_a_copy_is_refused() {
    let mut meta = formed();
    assert_eq!(
        meta.apply(&announce(1, 1, 11)),
        MetaReply::Done,
        "sent again"
    );
    let old = |known| MetaRefusal::OldIncarnation {
        node: id(1),
        known: Incarnation::new(known),
    };
    assert_eq!(refused(&mut meta, &announce(1, 1, 99)), old(1), "a copy");
    assert_eq!(meta.apply(&announce(1, 4, 14)), MetaReply::Done);
    assert_eq!(refused(&mut meta, &announce(1, 3, 15)), old(4));
    assert_eq!(meta.node(id(1)).unwrap().process, Process(14));
    let unknown = MetaRefusal::Unknown { node: id(9) };
    assert_eq!(refused(&mut meta, &announce(9, 1, 1)), unknown);
}

#[test]
fn a_member_is_replaced_one_change_at_a_time() {
    let mut meta = formed();
    assert_eq!(meta.apply(&join(33, "n3")), MetaReply::Done);
    assert_eq!(meta.learners(), ids(&[33]));
    let change = meta.change().unwrap().clone();
    assert_eq!(change.to_string(), "0000000000000021 joins");
    let busy = MetaRefusal::Busy {
        change: change.clone(),
    };
    assert_eq!(refused(&mut meta, &replace(3, 33)), busy);
    assert_eq!(refused(&mut meta, &join(34, "n3")), busy);
    assert_eq!(meta.apply(&join(33, "n3")), MetaReply::Done, "sent again");
    meta.apply(&done(change.number + 1));
    assert!(meta.change().is_some(), "another change");
    meta.apply(&done(change.number));
    assert_eq!(meta.apply(&join(34, "n3")), MetaReply::Done);
    meta.apply(&done(2));

    assert_eq!(
        refused(&mut meta, &replace(33, 34)),
        MetaRefusal::NotAVoter { node: id(33) }
    );
    assert_eq!(
        refused(&mut meta, &replace(3, 1)),
        MetaRefusal::NotALearner { node: id(1) }
    );
    assert_eq!(meta.apply(&replace(3, 34)), MetaReply::Done);
    assert_eq!(meta.voters(), ids(&[1, 2, 34]));
    assert_eq!(
        meta.learners(),
        ids(&[]),
        "an earlier wiped disk of the name goes too"
    );
    assert!(meta.is_retired(id(3)) && meta.is_retired(id(33)));
    assert!(meta.find("n3") == Ok(id(34)) && meta.find(&id(3).to_string()) == Ok(id(3)));
    assert!(meta.find("n9").unwrap_err().contains("no node"));
    meta.apply(&done(3));
    assert_eq!(meta.change(), None);
    assert_eq!(meta.apply(&replace(3, 34)), MetaReply::Done, "sent again");
    assert_eq!(meta.change(), None);
    let retired = MetaRefusal::Retired { node: id(3) };
    assert_eq!(refused(&mut meta, &announce(3, 9, 9)), retired);
    assert_eq!(refused(&mut meta, &join(3, "n3")), retired);
}

#[test]
fn a_level_is_raised_when_every_voter_knows_it() {
    let mut meta = formed();
    let raise = |level| MetaCommand::RaiseLevel { level };
    let unannounced = |node| MetaRefusal::NotAnnounced {
        node: id(node),
        level: 2,
    };
    assert_eq!(refused(&mut meta, &raise(2)), unannounced(1));
    for node in 1..=3 {
        let mut about = about("n", 2, 20 + node);
        about.level = 2;
        meta.apply(&MetaCommand::Announce {
            node: id(node),
            about,
        });
    }
    assert_eq!(meta.apply(&raise(2)), MetaReply::Done);
    assert_eq!(meta.apply(&raise(2)), MetaReply::Done, "sent again");
    assert_eq!(
        refused(&mut meta, &raise(1)),
        MetaRefusal::LevelFalls { level: 2 }
    );
    let old = MetaRefusal::OldProgram { level: 2 };
    assert_eq!(refused(&mut meta, &join(9, "n9")), old);
    assert_eq!(refused(&mut meta, &announce(1, 3, 5)), old);
}

#[test]
fn names_that_several_bear_need_an_id() {
    let mut meta = formed();
    meta.apply(&join(33, "n3"));
    let text = meta.find("n3").unwrap_err();
    assert!(
        text.ends_with("0000000000000003 or 0000000000000021"),
        "{text}"
    );
}

#[test]
fn bytes_stay_what_they_are() {
    let mut meta = formed();
    meta.apply(&join(33, "n3"));
    assert_eq!(
        hex(&meta.encode()),
        "080111c1000000000000001802220f00e807808040008080808001c0843d2801323b0a37090100000000000000122c0a026e3112076e313a373430301a076e313a3930393022076e313a383038302801310b0000000000000038011001323b0a37090200000000000000122c0a026e3212076e323a373430301a076e323a3930393022076e323a383038302801310c0000000000000038011001323b0a37090300000000000000122c0a026e3312076e333a373430301a076e333a3930393022076e333a383038302801310d0000000000000038011001323b0a37092100000000000000122c0a026e3312076e333a373430301a076e333a3930393022076e333a383038302801312100000000000000380110023a0b08011921000000000000004001"
    );
    assert_eq!(
        hex(&form().encode()),
        "0a540a4109c10000000000000010021a0d0a026e311101000000000000001a0d0a026e321102000000000000001a0d0a026e33110300000000000000210100000000000000120f00e807808040008080808001c0843d"
    );
    assert_eq!(
        hex(&join(33, "n3").encode()),
        "1a37092100000000000000122c0a026e3312076e333a373430301a076e333a3930393022076e333a3830383028013121000000000000003801"
    );
    assert_eq!(
        hex(&replace(3, 33).encode()),
        "2212090300000000000000112100000000000000"
    );
    assert_eq!(hex(&done(300).encode()), "28ac02");
    assert_eq!(hex(&MetaCommand::RaiseLevel { level: 2 }.encode()), "3802");
    assert_eq!(hex(&MetaReply::Done.encode()), "");
    let refused = MetaReply::Refused(MetaRefusal::OldProgram { level: 2 });
    assert_eq!(hex(&refused.encode()), "0a023002");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn some_about() -> impl Strategy<Value = About> {
    ("[a-z]{0,3}", 0_u64..4, 0_u64..3, 0_u32..4).prop_map(|(name, incarnation, process, level)| {
        About {
            level,
            ..about(&name, incarnation, process)
        }
    })
}

#[test]
fn settings_are_not_overwritten_unseen() {
    let mut meta = formed();
    let before = meta.settings().clone();
    let with = |events_max| {
        let mut settings = before.clone();
        settings.retention.events_max = events_max;
        settings
    };
    let set = |settings| MetaCommand::SetSettings {
        instead_of: before.clone(),
        settings,
    };
    assert_eq!(meta.apply(&set(with(5))), MetaReply::Done);
    // The same again, as after an answer that was lost.
    assert_eq!(meta.apply(&set(with(5))), MetaReply::Done);
    let other = meta.apply(&set(with(9)));
    assert_eq!(other, MetaReply::Refused(MetaRefusal::OtherSettings));
    assert_eq!(meta.settings(), &with(5));
}

fn some_settings() -> impl Strategy<Value = Settings> {
    (any::<u32>(), any::<Option<u64>>(), any::<u32>()).prop_map(|(events, age, channels)| {
        let mut settings = Settings {
            channels_max: channels,
            ..Settings::default()
        };
        settings.retention.events_max = events;
        settings.retention.age_max_ms = age;
        settings
    })
}

fn some_command() -> impl Strategy<Value = MetaCommand> {
    let node = || (1_u64..8).prop_map(id);
    prop_oneof![
        some_settings().prop_map(|settings| MetaCommand::Form {
            record: record(),
            settings
        }),
        (node(), some_about()).prop_map(|(node, about)| MetaCommand::Announce { node, about }),
        (node(), some_about()).prop_map(|(node, about)| MetaCommand::Join { node, about }),
        (node(), node()).prop_map(|(old, new)| MetaCommand::Replace { old, new }),
        (0_u64..6).prop_map(|number| MetaCommand::ChangeDone { number }),
        (some_settings(), some_settings()).prop_map(|(instead_of, settings)| {
            MetaCommand::SetSettings {
                instead_of,
                settings,
            }
        }),
        (0_u32..4).prop_map(|level| MetaCommand::RaiseLevel { level }),
    ]
}

proptest! {
    #[test]
    fn equal_logs_make_equal_bytes_and_bytes_read_back(
        commands in prop::collection::vec(some_command(), 0..60),
    ) {
        let (mut one, mut other) = (formed(), formed());
        for command in &commands {
            let read = MetaCommand::decode(&command.encode()).unwrap();
            prop_assert_eq!(&read, command);
            let voters = one.voters().len();
            let change = one.change().cloned();
            let reply = one.apply(command);
            prop_assert_eq!(&reply, &other.apply(&read));
            prop_assert_eq!(MetaReply::decode(&reply.encode()).unwrap(), reply);
            prop_assert_eq!(one.voters().len(), voters);
            let next = one.change().cloned();
            prop_assert!(change.is_none() || next.is_none() || next == change, "one at a time");
            // Snapshots may be taken anywhere.
            other = Meta::decode(&other.encode()).unwrap();
            prop_assert_eq!(one.encode(), other.encode());
            prop_assert_eq!(&one, &other);
        }
    }

    #[test]
    fn hostile_bytes_are_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(MetaCommand::decode(&bytes));
        drop(MetaReply::decode(&bytes));
        drop(Meta::decode(&bytes));
    }
}

#[test]
fn every_refusal_reads_back_and_speaks() {
    let node = id(5);
    let change = Change {
        number: 4,
        kind: ChangeKind::Replace {
            old: id(1),
            new: id(2),
        },
    };
    for refusal in [
        MetaRefusal::NotFormed,
        MetaRefusal::Formed {
            cluster: ClusterId::new(1),
        },
        MetaRefusal::Unknown { node },
        MetaRefusal::Retired { node },
        MetaRefusal::OldIncarnation {
            node,
            known: Incarnation::new(9),
        },
        MetaRefusal::OldProgram { level: 3 },
        MetaRefusal::Busy { change },
        MetaRefusal::NotAVoter { node },
        MetaRefusal::NotALearner { node },
        MetaRefusal::NotAnnounced { node, level: 3 },
        MetaRefusal::LevelFalls { level: 3 },
    ] {
        assert!(refusal.to_string().len() > 15, "{refusal}");
        let reply = MetaReply::Refused(refusal);
        assert_eq!(MetaReply::decode(&reply.encode()), Ok(reply));
    }
    assert!(MetaCommand::decode(b"").is_err());
    let newer = Meta::decode(b"\x08\x02").unwrap_err();
    assert!(newer.reason.contains("format 2"), "{newer}");
}
