//! Both collections against the standard ones, with clones that must not move.

use std::collections::BTreeMap;

use super::*;

/// An entry of a table whose keys share few hashes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Named {
    name: u64,
    value: u64,
}

fn hash(name: u64) -> u64 {
    (name / 3).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

impl Keyed for Named {
    type Key = u64;
    fn hash(&self) -> u64 {
        hash(self.name)
    }
    fn key(&self) -> &u64 {
        &self.name
    }
}

/// Numbers that look random and are the same every time.
fn numbers() -> impl FnMut(u64) -> u64 {
    let mut state = 1_u64;
    move |bound| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) % bound
    }
}

fn check_ordered(ordered: &Ordered<u64>, model: &BTreeMap<u64, u64>) {
    let all = |(number, value): (&u64, &u64)| (*number, *value);
    let own = |(number, value): (u64, &u64)| (number, *value);
    assert_eq!(ordered.len(), model.len());
    assert_eq!(ordered.first().map(own), model.first_key_value().map(all));
    assert!(
        ordered
            .newest_first()
            .map(own)
            .eq(model.iter().rev().map(all))
    );
    for after in (0..4_000).step_by(37) {
        assert!(
            ordered
                .after(after)
                .map(own)
                .eq(model.range(after + 1..).map(all))
        );
    }
    let mut above = 0;
    for (key, chunk) in &ordered.chunks {
        assert!((1..=2 * CHUNK).contains(&chunk.len()));
        assert!(above <= *key && *key <= chunk[0].0);
        assert!(chunk.is_sorted_by_key(|(number, _)| *number));
        above = chunk.last().unwrap().0 + 1;
    }
}

#[test]
fn numbers_stay_in_order_whatever_the_order_of_calls() {
    let mut random = numbers();
    let (mut ordered, mut model) = (Ordered::new(), BTreeMap::new());
    let mut frozen = Vec::new();
    for round in 0..16 {
        for step in 0..3_000 {
            let number = random(4_000);
            if random(16) < round {
                assert_eq!(ordered.remove(number), model.remove(&number));
            } else {
                ordered.insert(number, step);
                model.insert(number, step);
            }
            assert_eq!(ordered.get(number), model.get(&number));
        }
        check_ordered(&ordered, &model);
        frozen.push((ordered.clone(), model.clone()));
    }
    for (ordered, model) in &frozen {
        check_ordered(ordered, model);
    }
}

#[test]
fn chunks_are_few_and_full_when_an_index_rolls_on() {
    let mut random = numbers();
    let mut live: Vec<u64> = (1..=20_000).collect();
    let mut ordered = Ordered::new();
    live.iter()
        .for_each(|number| ordered.insert(*number, *number));
    assert_eq!(ordered.chunks.len(), 20_000_usize.div_ceil(CHUNK));
    // As the floors of channels do, each entry moves to the end at some time.
    for next in 20_001..200_000 {
        let place = usize::try_from(random(20_000)).unwrap();
        let number = std::mem::replace(&mut live[place], next);
        assert_eq!(ordered.remove(number), Some(number));
        ordered.insert(next, next);
    }
    assert!(
        ordered.chunks.len() <= 20_000 / CHUNK_SMALL,
        "{} chunks",
        ordered.chunks.len()
    );
    live.sort_unstable();
    assert!(ordered.after(0).map(|(number, _)| number).eq(live));
}

#[test]
fn names_are_found_whatever_shares_their_hash() {
    let mut random = numbers();
    let (mut table, mut model) = (Table::new(), BTreeMap::new());
    let mut frozen = Vec::new();
    for round in 0..8 {
        for value in 0..5_000 {
            let name = random(6_000);
            if random(8) < round {
                assert_eq!(table.remove(hash(name), &name), model.remove(&name));
            } else {
                let entry = Named { name, value };
                assert_eq!(table.insert(entry.clone()), model.insert(name, entry));
            }
            if let Some(entry) = table.get_mut(hash(value), &value) {
                entry.value += 1;
                model.get_mut(&value).unwrap().value += 1;
            }
            assert_eq!(table.get(hash(name), &name), model.get(&name));
        }
        frozen.push((table.clone(), model.clone()));
    }
    for (table, model) in &frozen {
        assert_eq!(table.len(), model.len());
        let mut all: Vec<_> = model.values().collect();
        all.sort_by_key(|entry| (hash(entry.name), entry.name));
        assert!(table.iter().eq(all), "by hash, then by name");
    }
}
