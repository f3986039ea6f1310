//! The machine under late, lost and doubled messages, crashes at every step, and wiped disks.
//!
//! Held over every run: no two living disks ever begin different clusters; where no disk is lost and the lists
//! agree, it forms; where it cannot, people are told why, and doing what they are told makes it form.

use super::{
    super::*,
    world::{Faults, Random, World, bootstrap, names},
};

fn rough(random: &mut Random, wipe: u64) -> Faults {
    Faults {
        loss: random.below(50),
        doubled: random.below(40),
        late: random.percent(50),
        crash: random.below(30),
        wipe,
        ..Faults::default()
    }
}

const COUNTS: [usize; 3] = [1, 3, 5];

#[test]
fn without_faults_it_forms_soon_after_the_last_start() {
    for seed in 0..200 {
        let count = COUNTS[usize::try_from(seed % 3).unwrap()];
        let mut world = World::new(seed, count, 1, Faults::default(), 0);
        while !world.over() && world.now < Duration::from_secs(5) {
            world.step();
        }
        world.assert_formed(seed);
    }
}

#[test]
fn without_a_lost_disk_it_forms_once_faults_end() {
    for seed in 0..1_200 {
        let mut random = Random(seed);
        let count = COUNTS[usize::try_from(seed % 3).unwrap()];
        let extra = usize::from(random.percent(20));
        let faults = rough(&mut random, 0);
        let mut world = World::new(seed, count, extra, faults, 2 + random.below(12));
        world.run_through();
        world.assert_formed(seed);
    }
}

#[test]
fn with_lost_disks_there_is_one_cluster_or_a_message() {
    let mut formed = 0;
    for seed in 0..800 {
        let mut random = Random(seed);
        let count = COUNTS[usize::try_from(seed % 3).unwrap()];
        let mut faults = rough(&mut random, 30);
        faults.crash = 2 + random.below(20);
        let mut world = World::new(seed, count, 0, faults, 2 + random.below(12));
        world.run_through();
        world.assert_formed_or_told(seed);
        formed += u32::from(world.over());
        if world.nodes.iter().all(|node| node.disk.begun.is_none()) {
            world.reset();
            world.run_through();
            world.assert_formed(seed);
        }
    }
    assert!(
        (150..800).contains(&formed),
        "both ends are visited: {formed}"
    );
}

#[test]
fn a_crash_at_any_single_step_does_no_harm() {
    for count in COUNTS {
        for (wipe_then, step) in [false, true]
            .into_iter()
            .flat_map(|wipe| (1..60).map(move |step| (wipe, step)))
        {
            let faults = Faults {
                crash_at: Some(step),
                wipe_then,
                ..Faults::default()
            };
            let mut world = World::new(step, count, 0, faults, 0);
            world.run_through();
            if world.wiped {
                world.assert_formed_or_told(step);
            } else {
                world.assert_formed(step);
            }
        }
    }
}

#[test]
fn a_node_that_is_late_by_a_minute_is_waited_for_by_name() {
    for seed in 0..30 {
        let mut world = World::new(seed, 3, 0, Faults::default(), 60);
        world.nodes[1].starts_at = Duration::from_secs(60);
        while world.now < Duration::from_secs(59) {
            world.step();
            assert!(world.nodes.iter().all(|node| node.disk.record.is_none()));
        }
        for at in [0, 2] {
            let (_, text) = world.nodes[at].said.clone().expect("every 5 s");
            assert_eq!(text, "no cluster yet; waiting for n2");
        }
        world.run_through();
        world.assert_formed(seed);
    }
}

#[test]
fn a_wrong_list_stops_with_both_hashes_and_forms_once_it_is_right() {
    for seed in 0..100 {
        let mut random = Random(seed);
        let faults = Faults {
            late: random.percent(50),
            loss: random.below(30),
            ..Faults::default()
        };
        let mut world = World::new(seed, 3, 0, faults, 20);
        let wrong = match random.below(3) {
            0 => vec!["n1".into(), "n3".into()],
            1 => names(4),
            _ => vec!["n3".into(), "n4".into()],
        };
        world.nodes[2].bootstrap = bootstrap(wrong);
        while world.now < Duration::from_secs(30) {
            world.step();
            assert!(world.nodes.iter().all(|node| node.disk.record.is_none()));
        }
        let hashes = [0, 2].map(|at| BootstrapHash::of(&world.nodes[at].bootstrap).unwrap());
        for node in &world.nodes {
            let (_, text) = node.said.as_ref().expect("all stop");
            let names_both = hashes.iter().all(|hash| text.contains(&hash.to_string()));
            assert!(names_both, "seed {seed} {}: {text}", node.name);
        }
        world.nodes[2].bootstrap = bootstrap(names(3));
        world.run_through();
        world.assert_formed(seed);
    }
}

#[test]
fn a_member_wiped_after_the_cluster_began_joins_it() {
    for seed in 0..50 {
        let mut world = World::new(seed, 3, 0, Faults::default(), 0);
        world.run_through();
        world.assert_formed(seed);
        let at = usize::try_from(seed % 3).unwrap();
        world.crash(at, true);
        world.run_through();
        world.assert_formed(seed);
        assert_eq!(world.nodes[at].disk.record, None);
    }
}
