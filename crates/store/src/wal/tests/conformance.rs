//! What every log does, in memory and on the machine's disk.

use std::sync::Arc;

use bytes::Bytes;
use halley_env::{SystemDisk, TokioSpawn};

use super::*;
use crate::{GroupState, Slot};

async fn suite(place: &Place) {
    appends_and_reads(place).await;
    truncates_and_purges(place).await;
    keeps_values(place).await;
    goes_on_in_new_segments(place).await;
    copies_forward(place).await;
    takes_large_entries(place).await;
}

#[tokio::test]
async fn in_memory() {
    let (_disk, place) = Place::memory(64 * 1024);
    suite(&place).await;
}

#[tokio::test]
async fn on_the_machine() {
    let name = format!("halley-store-wal-{}", std::process::id());
    let root = std::env::temp_dir().join(name);
    let place = Place {
        disk: Arc::new(SystemDisk),
        spawn: &TokioSpawn,
        config: WalConfig {
            directory: root.join("log"),
            segment_bytes: 64 * 1024,
            cache_bytes: 8 * 1024,
        },
    };
    suite(&place).await;
    std::fs::remove_dir_all(root).unwrap();
}

async fn appends_and_reads(place: &Place) {
    let wal = place.open();
    assert!(wal.was_clean());
    assert_eq!(wal.state(A), GroupState::default());
    assert!(all(&wal, A).is_empty());
    put(&wal, A, 5..8, 100).await;
    put(&wal, B, 0..50, 100).await;
    put(&wal, A, 8..200, 100).await;
    put(&wal, B, 50..51, 0).await;
    let (done, ticket) = Ticket::new();
    for wrong in [199, 201] {
        let (done, _) = Ticket::new();
        let refused = wal.append(A, wrong, vec![Bytes::new()], done).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
    }
    wal.append(A, 200, Vec::new(), done).unwrap();
    ticket.wait().await.unwrap();
    for wal in [&wal, &reopened(place, &wal)] {
        assert_eq!(all(wal, A), entries(A, 5..200, 100));
        assert_eq!(all(wal, B).len(), 51);
        let state = wal.state(A);
        assert_eq!((state.first, state.next, state.bytes), (5, 200, 19_500));
        let some = wal.read(A, 10..20, 350).unwrap();
        assert_eq!(some, entries(A, 10..13, 100));
        assert_eq!(wal.read(A, 10..20, 0).unwrap(), entries(A, 10..11, 100));
        assert_eq!(wal.read(A, 0..7, 1_000).unwrap(), entries(A, 5..7, 100));
        assert!(wal.read(A, 200..300, 1_000).unwrap().is_empty());
        assert!(wal.read(A, 0..5, 1_000).unwrap().is_empty());
    }
}

/// Closes the log and opens it again.
fn reopened(place: &Place, wal: &Wal) -> Wal {
    wal.close().unwrap();
    let (done, ticket) = Ticket::new();
    wal.truncate(A, 0, done);
    assert!(ticket.is_told() && !ticket.is_ok());
    let wal = place.open();
    assert!(wal.was_clean());
    wal
}

/// Empties both groups and gives the log back open; the indices to go on at.
async fn emptied(place: &Place) -> (Wal, u64, u64) {
    let wal = place.open();
    let (a, b) = (wal.state(A).next, wal.state(B).next);
    purge(&wal, A, a, "a").await;
    purge(&wal, B, b, "b").await;
    (wal, a + 1, b + 1)
}

async fn truncates_and_purges(place: &Place) {
    let (wal, a, _) = emptied(place).await;
    put(&wal, A, a..a + 10, 30).await;
    truncate(&wal, A, a + 5).await;
    truncate(&wal, A, a + 70).await;
    assert_eq!(wal.state(A).next, a + 5);
    let rest = [Bytes::from_static(b"other")];
    let (done, ticket) = Ticket::new();
    wal.append(A, a + 5, rest.to_vec(), done).unwrap();
    ticket.wait().await.unwrap();
    purge(&wal, A, a + 2, "two").await;
    purge(&wal, A, a + 1, "one").await;
    for wal in [&wal, &reopened(place, &wal)] {
        let mut left = entries(A, a + 3..a + 5, 30);
        left.extend_from_slice(&rest);
        assert_eq!(all(wal, A), left);
        let state = wal.state(A);
        assert_eq!((state.first, state.next), (a + 3, a + 6));
        assert_eq!(state.purged.as_deref(), Some(&b"two"[..]));
        assert_eq!(state.bytes, 65);
    }
    let wal = reopened(place, &place.open());
    truncate(&wal, A, 0).await;
    assert_eq!((wal.state(A).first, wal.state(A).next), (a + 3, a + 3));
    put(&wal, A, a + 3..a + 4, 10).await;
    purge(&wal, A, a + 99, "far").await;
    let wal = reopened(place, &wal);
    assert_eq!((wal.state(A).first, wal.state(A).next), (a + 100, a + 100));
    put(&wal, A, a + 100..a + 101, 10).await;
    wal.close().unwrap();
}

async fn keeps_values(place: &Place) {
    let wal = place.open();
    let (done, ticket) = Ticket::new();
    wal.set(A, Slot(0), "vote".into(), Some(done));
    ticket.wait().await.unwrap();
    wal.set(A, Slot(1), "rides along".into(), None);
    wal.set(B, Slot(0), "older".into(), None);
    wal.set(B, Slot(0), "newer".into(), None);
    for wal in [&wal, &reopened(place, &wal)] {
        assert_eq!(wal.get(A, Slot(0)).as_deref(), Some(&b"vote"[..]));
        assert_eq!(wal.get(A, Slot(1)).as_deref(), Some(&b"rides along"[..]));
        assert_eq!(wal.get(B, Slot(0)).as_deref(), Some(&b"newer"[..]));
        assert_eq!(wal.get(B, Slot(1)), None);
    }
    let wal = place.open();
    let (done, ticket) = Ticket::new();
    let long = Bytes::from(vec![0; Wal::VALUE_BYTES_MAX + 1]);
    wal.set(A, Slot(0), long, Some(done));
    ticket.wait().await.unwrap_err();
    wal.close().unwrap();
}

async fn goes_on_in_new_segments(place: &Place) {
    let (wal, a, b) = emptied(place).await;
    put(&wal, B, b..b + 3, 100).await;
    for at in 0..100 {
        put(&wal, A, a + at * 4..a + at * 4 + 4, 1_000).await;
    }
    assert!(wal.state(B).segments >= 6, "{:?}", wal.state(B));
    assert_eq!(all(&wal, A), entries(A, a..a + 400, 1_000));
    let wal = reopened(place, &wal);
    assert_eq!(all(&wal, A), entries(A, a..a + 400, 1_000));
    assert_eq!(all(&wal, B), entries(B, b..b + 3, 100));
    assert_eq!(wal.get(A, Slot(0)).as_deref(), Some(&b"vote"[..]));
    let many = place.segments().len();
    purge(&wal, A, a + 300, "most").await;
    purge(&wal, B, b + 2, "all").await;
    assert_eq!(wal.state(B).segments, 0);
    while place.segments().len() + 4 > many {
        tokio::task::yield_now().await;
    }
    let wal = reopened(place, &wal);
    assert_eq!(all(&wal, A), entries(A, a + 301..a + 400, 1_000));
    wal.close().unwrap();
}

async fn copies_forward(place: &Place) {
    let (wal, a, b) = emptied(place).await;
    assert!(!wal.copy_forward(B), "there is nothing");
    put(&wal, B, b..b + 20, 300).await;
    for at in 0..40 {
        put(&wal, A, a + at * 10..a + at * 10 + 10, 1_000).await;
        purge(&wal, A, a + at * 10 + 9, "through").await;
    }
    let pinned = place.segments().len();
    assert!(wal.state(B).segments >= 6);
    assert!(wal.copy_forward(B));
    put(&wal, B, b + 20..b + 21, 300).await;
    assert!(wal.state(B).segments <= 1, "{:?}", wal.state(B));
    while place.segments().len() + 5 > pinned {
        tokio::task::yield_now().await;
    }
    for wal in [&wal, &reopened(place, &wal)] {
        assert_eq!(all(wal, B), entries(B, b..b + 21, 300));
    }
    let wal = reopened(place, &place.open());
    assert!(wal.copy_forward(B) && wal.copy_forward(B));
    let wal = reopened(place, &wal);
    assert_eq!(all(&wal, B), entries(B, b..b + 21, 300));
    wal.close().unwrap();
}

async fn takes_large_entries(place: &Place) {
    let (wal, a, b) = emptied(place).await;
    put(&wal, A, a..a + 1, 1_100_000).await;
    put(&wal, A, a + 1..a + 3, 10).await;
    put(&wal, B, b..b + 8, 1_100_000).await;
    put(&wal, A, a + 3..a + 7, 60_000).await;
    for wal in [&wal, &reopened(place, &wal)] {
        assert_eq!(all(wal, B), entries(B, b..b + 8, 1_100_000));
        let mut expected = entries(A, a..a + 1, 1_100_000);
        expected.extend(entries(A, a + 1..a + 3, 10));
        expected.extend(entries(A, a + 3..a + 7, 60_000));
        assert_eq!(all(wal, A), expected);
    }
    place.open().close().unwrap();
}
