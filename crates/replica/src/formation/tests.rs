//! Single steps of the machine, and its bytes.

use halley_shard::Settings;

use super::*;

mod simulation;
mod world;

const NOW: Duration = Duration::from_secs(1_000);

fn id(number: u64) -> NodeId {
    NodeId::new(number).unwrap()
}

fn bootstrap(names: &[&str]) -> Bootstrap {
    Bootstrap {
        members: names.iter().map(ToString::to_string).collect(),
        shards: ShardCount::new(2).unwrap(),
        settings: Settings::default(),
    }
}

fn own(name: &str, node: u64) -> Own {
    Own {
        name: name.into(),
        node: id(node),
        cluster: None,
        record: None,
        has_data: false,
        draw: ClusterId::new(0xc1),
    }
}

const LIST: [&str; 3] = ["n1", "n2", "n3"];

fn machine(own: Own) -> Formation {
    Formation::new(own, &bootstrap(&LIST), &[], NOW)
}

fn greeting(name: &str, node: u64) -> Greeting {
    machine(own(name, node)).greeting()
}

fn record() -> FormationRecord {
    FormationRecord {
        cluster: ClusterId::new(0xc1),
        shards: ShardCount::new(2).unwrap(),
        members: LIST
            .iter()
            .zip([1, 2, 3])
            .map(|(name, node)| (name.to_string(), id(node)))
            .collect(),
        proposer: id(1),
    }
}

fn holding(name: &str, node: u64) -> Formation {
    machine(Own {
        record: Some(record()),
        ..own(name, node)
    })
}

fn stop(actions: &[Action]) -> &str {
    let found = actions.iter().find_map(|action| match action {
        Action::Stop(text) => Some(text.as_str()),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("does not stop: {actions:?}"))
}

#[test]
fn the_lowest_id_draws_stores_offers_and_begins() {
    let mut first = machine(own("n1", 1));
    assert_eq!(first.poll(NOW), [Action::Greet]);
    first.heard(Some("a2"), &greeting("n2", 2), NOW);
    assert_eq!(first.poll(NOW), []);
    first.heard(Some("a3"), &greeting("n3", 3), NOW);
    assert_eq!(first.poll(NOW), [Action::Store(record())]);
    assert!(!first.greeting().empty && first.greeting().record.is_none());
    first.stored(NOW);
    let offer = |to: &str| Action::Offer {
        to: to.into(),
        record: record(),
    };
    assert_eq!(first.poll(NOW), [offer("a2"), offer("a3")]);
    assert_eq!(first.poll(NOW), []);
    first.heard(Some("a2"), &holding("n2", 2).greeting(), NOW);
    let later = NOW + OFFER_EVERY;
    assert_eq!(first.poll(later), [offer("a3"), Action::Greet]);
    first.heard(None, &holding("n3", 3).greeting(), NOW);
    assert_eq!(first.poll(NOW), [Action::Initialise(record())]);
    first.settled(record().cluster);
    assert_eq!(first.poll(NOW + SAY_EVERY), []);
    assert_eq!(first.greeting().cluster, Some(record().cluster));
}

#[test]
fn a_member_stores_what_it_is_offered_and_attends() {
    let mut second = machine(own("n2", 2));
    second.poll(NOW);
    let proposer = holding("n1", 1).greeting();
    assert_eq!(second.offered(&proposer, &record(), NOW), Ok(()));
    assert_eq!(second.poll(NOW), [Action::Store(record())]);
    second.stored(NOW);
    assert_eq!(second.offered(&proposer, &record(), NOW), Ok(()));
    second.heard(None, &holding("n3", 3).greeting(), NOW);
    assert_eq!(second.poll(NOW), [Action::Attend(record())]);
    let late = second.poll(NOW + START_GRACE);
    assert_eq!(late[0], Action::Initialise(record()));
    // Or somebody says that it has begun.
    let mut third = holding("n3", 3);
    let mut begun = proposer;
    begun.cluster = Some(record().cluster);
    third.heard(None, &begun, NOW);
    assert_eq!(third.poll(NOW)[0], Action::Attend(record()));
    assert!(
        !third
            .poll(NOW + 2 * START_GRACE)
            .contains(&Action::Initialise(record())),
        "it never heard that n2 holds the record"
    );
}

#[test]
fn offers_that_do_not_fit_are_refused() {
    let proposer = holding("n1", 1).greeting();
    let refused = |record: &FormationRecord, from: &Greeting| {
        let mut second = machine(own("n2", 2));
        second.heard(None, &greeting("n3", 3), NOW);
        second.offered(from, record, NOW).unwrap_err()
    };
    let change = |change: fn(&mut FormationRecord)| {
        let mut changed = record();
        change(&mut changed);
        changed
    };
    for (wrong, reason) in [
        (change(|r| r.members[1].1 = id(9)), "does not name"),
        (change(|r| r.members[2].1 = id(9)), "where 0000000000000003"),
        (change(|r| r.members.truncate(2)), "another list"),
        (change(|r| r.proposer = id(3)), "not what its proposer"),
    ] {
        let said = refused(&wrong, &proposer);
        assert!(said.contains(reason), "{said}");
    }
    let mut other = holding("n2", 2);
    let second = change(|r| r.cluster = ClusterId::new(7));
    assert!(
        other.offered(&proposer, &second, NOW).is_err(),
        "one record in a life"
    );
    let mut joins = Formation::new(own("n2", 2), &bootstrap(&[]), &[], NOW);
    assert!(joins.offered(&proposer, &record(), NOW).is_err());
}

#[test]
fn a_lone_founder_looks_around_before_it_begins() {
    let alone = bootstrap(&["n1"]);
    let mut quick = Formation::new(own("n1", 1), &alone, &[], NOW);
    assert!(matches!(quick.poll(NOW)[0], Action::Store(_)));
    quick.stored(NOW);
    assert!(matches!(quick.poll(NOW)[0], Action::Initialise(_)));
    let mut careful = Formation::new(own("n1", 1), &alone, &["a2".into()], NOW);
    assert_eq!(careful.poll(NOW), [Action::Greet]);
    let after = careful.clone().poll(NOW + SEARCH);
    assert!(matches!(after[0], Action::Store(_)));
    let mut grown = greeting("n2", 2);
    grown.cluster = Some(ClusterId::new(5));
    careful.heard(Some("a2"), &grown, NOW);
    assert_eq!(careful.poll(NOW), [Action::Join(ClusterId::new(5))]);
}

#[test]
fn what_a_person_must_mend_stops_with_the_reason() {
    let mut twice = Formation::new(own("n1", 1), &bootstrap(&["n1", "n1"]), &[], NOW);
    assert!(stop(&twice.poll(NOW)).contains("names n1 twice"));

    let mut headless = machine(Own {
        has_data: true,
        ..own("n1", 1)
    });
    assert!(stop(&headless.poll(NOW)).contains("identity names no cluster"));

    let mut relisted = Formation::new(
        Own {
            record: Some(record()),
            ..own("n1", 1)
        },
        &bootstrap(&["n1", "n2"]),
        &[],
        NOW,
    );
    assert!(stop(&relisted.poll(NOW)).contains("put bootstrap.members and shards back"));

    let mut renamed = holding("n2", 1);
    assert!(stop(&renamed.poll(NOW)).contains("give it its old name back"));

    let mut conflicting = holding("n1", 1);
    let mut other = holding("n2", 2).greeting();
    other.record.as_mut().unwrap().cluster = ClusterId::new(7);
    conflicting.heard(None, &other, NOW);
    assert!(stop(&conflicting.poll(NOW)).contains("halley cluster form --reset"));

    let mut foreign = holding("n1", 1);
    let mut formed = greeting("n2", 2);
    formed.cluster = Some(ClusterId::new(7));
    foreign.heard(None, &formed, NOW);
    assert!(stop(&foreign.poll(NOW)).contains("belongs to cluster 0000000000000007"));

    let mut between = machine(own("n1", 1));
    for (node, cluster) in [(2, 7), (3, 8)] {
        let mut formed = greeting("x", node);
        formed.cluster = Some(ClusterId::new(cluster));
        between.heard(None, &formed, NOW);
    }
    assert!(stop(&between.poll(NOW)).contains("two clusters are found"));
}

#[test]
fn namesakes_stop_and_a_late_word_of_a_lost_disk_does_not() {
    let second = Duration::from_secs(1);
    let mut watching = machine(own("n1", 9));
    watching.heard(None, &greeting("n2", 2), NOW);
    watching.heard(None, &greeting("n2", 4), NOW + second);
    watching.heard(None, &greeting("n2", 2), NOW + 9 * second);
    assert!(!matches!(
        watching.poll(NOW + 9 * second)[0],
        Action::Stop(_)
    ));
    watching.heard(None, &greeting("n2", 2), NOW + 11 * second);
    let actions = watching.poll(NOW + 11 * second);
    assert!(stop(&actions).contains("two nodes are called n2"));

    let mut named = machine(own("n1", 9));
    named.heard(None, &greeting("n1", 5), NOW + second);
    assert_eq!(named.poll(NOW + second), [Action::Greet]);
    named.heard(None, &greeting("n1", 5), NOW + 10 * second);
    let actions = named.poll(NOW + 10 * second);
    assert!(stop(&actions).contains("two nodes are called n1"));
}

#[test]
fn a_lost_disk_is_told_of_and_stops_once_everybody_was_heard() {
    let second = Duration::from_secs(1);
    let mut first = holding("n1", 1);
    let mut said = None;
    for at in 0..8 {
        let now = NOW + at * second;
        first.heard(None, &greeting("n3", 33), now);
        for action in first.poll(now) {
            if let Action::Say(text) = action {
                said = Some(text);
            }
        }
    }
    let said = said.expect("every 5 s");
    assert!(said.contains("waiting for n2 (0000000000000002)"), "{said}");
    assert!(said.contains("0000000000000021 answers as n3"), "{said}");
    for at in 8..12 {
        let now = NOW + at * second;
        first.heard(None, &greeting("n3", 33), now);
        first.heard(None, &holding("n2", 2).greeting(), now);
        let actions = first.poll(now);
        if at >= 10 {
            let text = stop(&actions);
            assert!(text.contains("names 0000000000000003 as n3"), "{text}");
            return;
        }
    }
}

#[test]
fn the_hash_does_not_depend_on_the_order_of_names() {
    let hash = |names: &[&str]| BootstrapHash::of(&bootstrap(names));
    assert_eq!(hash(&["n1", "n2"]), hash(&["n2", "n1"]));
    assert_ne!(hash(&["n1", "n2"]), hash(&["n1", "n2", "n3"]));
    assert_ne!(hash(&["ab"]), hash(&["a", "b"]));
    assert_eq!(hash(&[]), None);
    let mut other = bootstrap(&LIST);
    other.shards = ShardCount::new(3).unwrap();
    assert_ne!(BootstrapHash::of(&other), hash(&LIST));
    let mut other = bootstrap(&LIST);
    other.settings.channels_max = 9;
    assert_ne!(BootstrapHash::of(&other), hash(&LIST));
    let text = hash(&LIST).unwrap().to_string();
    assert_eq!(text, "d836441492c85109");
}

#[test]
fn greetings_keep_their_bytes() {
    let hello = Hello {
        greeting: holding("n2", 2).greeting(),
        offer: Some(record()),
    };
    assert_eq!(Hello::decode(&hello.encode()), Ok(hello.clone()));
    let greeting = hello.greeting;
    assert_eq!(Greeting::decode(&greeting.encode()), Ok(greeting.clone()));
    let hex: String = greeting
        .encode()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(
        hex,
        "0a026e32110200000000000000190951c892144436d82a4109c10000000000000010021a0d0a026e311101000000000000001a0d0a026e321102000000000000001a0d0a026e33110300000000000000210100000000000000"
    );
    assert!(Greeting::decode(b"").is_err());
    assert!(Greeting::decode(b"none of ours").is_err());
}
