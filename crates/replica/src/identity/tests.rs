//! The identity file: what is kept, what is refused, its bytes.

use std::path::PathBuf;

use halley_env::{SystemDisk, SystemRng};
use halley_shard::ShardCount;

use super::*;

fn scratch(name: &str) -> PathBuf {
    let directory =
        std::env::temp_dir().join(format!("halley-identity-{}-{name}", std::process::id()));
    SystemDisk.create_dir(&directory).unwrap();
    directory
}

fn id(number: u64) -> NodeId {
    NodeId::new(number).unwrap()
}

fn record() -> FormationRecord {
    FormationRecord {
        cluster: ClusterId::new(0xc1),
        shards: ShardCount::new(2).unwrap(),
        members: vec![("n1".into(), id(1)), ("n2".into(), id(0xabc))],
        proposer: id(1),
    }
}

fn full() -> Identity {
    Identity {
        node: id(0xabc),
        name: "n2".into(),
        incarnation: Incarnation::new(300),
        cluster: Some(ClusterId::new(0xc1)),
        formation: Some(record()),
        retired: true,
    }
}

#[test]
fn ids_are_not_zero_and_read_back_as_written() {
    assert_eq!(NodeId::new(0), None);
    let drawn = NodeId::draw(&SystemRng);
    assert_eq!(drawn.to_string().parse(), Ok(drawn));
    assert_eq!(id(0xabc).to_string(), "0000000000000abc");
    for wrong in ["", "abc", "0000000000000000", "+000000000000abc", "n1"] {
        assert!(wrong.parse::<NodeId>().is_err(), "{wrong}");
    }
}

#[test]
fn what_is_saved_is_loaded_and_an_empty_disk_has_none() {
    let directory = scratch("saved");
    assert_eq!(Identity::load(&SystemDisk, &directory).unwrap(), None);
    for identity in [Identity::new(id(7), "n1"), full()] {
        identity.save(&SystemDisk, &directory).unwrap();
        let loaded = Identity::load(&SystemDisk, &directory).unwrap();
        assert_eq!(loaded, Some(identity));
    }
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn another_release_and_damage_are_told_apart() {
    let directory = scratch("refused");
    let path = directory.join(Identity::FILE);
    let mut newer = full().encode();
    newer[1] = 2;
    Record::write(&SystemDisk, &path, &newer).unwrap();
    let error = Identity::load(&SystemDisk, &directory).unwrap_err();
    assert!(
        matches!(
            error,
            IdentityError::Version {
                found: 2,
                known: 1,
                ..
            }
        ),
        "{error}"
    );
    // Under a good checksum, and none of ours all the same.
    for content in [&b"\x08\x01"[..], b"what?"] {
        Record::write(&SystemDisk, &path, content).unwrap();
        let error = Identity::load(&SystemDisk, &directory).unwrap_err();
        assert!(matches!(error, IdentityError::Damaged { .. }), "{error}");
    }
    std::fs::write(&path, b"torn").unwrap();
    let error = Identity::load(&SystemDisk, &directory).unwrap_err();
    assert!(matches!(error, IdentityError::Damaged { .. }), "{error}");
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_disk_holds_one_record_and_rises_with_every_start() {
    let fresh = Identity::new(id(0xabc), "n2");
    assert_eq!(fresh.started().incarnation, Incarnation::new(1));
    let holding = fresh.started().holding(&record()).unwrap();
    assert_eq!(holding.holding(&record()), Ok(holding.clone()));
    let mut other = record();
    other.cluster = ClusterId::new(9);
    assert_eq!(holding.holding(&other), Err(record()));
}

#[test]
fn the_file_keeps_its_bytes() {
    let bytes = full().encode();
    assert_eq!(Identity::decode(&bytes), Ok(full()));
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        hex,
        "080111bc0a0000000000001a026e3220ac0229c100000000000000323209c10000000000000010021a0d0a026e311101000000000000001a0d0a026e3211bc0a0000000000002101000000000000003801"
    );
}

#[test]
fn records_that_name_somebody_twice_are_refused() {
    let refused = |change: fn(&mut RecordForm)| {
        let mut form = RecordForm::from(&record());
        change(&mut form);
        FormationRecord::try_from(form).unwrap_err().reason
    };
    assert!(refused(|form| form.members.swap(0, 1)).contains("sorted"));
    assert!(refused(|form| form.members[1].node = 1).contains("twice"));
    assert!(refused(|form| form.members[0].node = 0).contains("zero"));
    assert!(refused(|form| form.proposer = 5).contains("no member"));
    assert!(refused(|form| form.shards = 17).contains("shard count"));
    assert!(refused(|form| form.members.clear()).contains("no member"));
}
