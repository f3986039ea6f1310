//! What happens when the disk refuses.

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::{Slot, seeded::Seeded};

type Failed = Box<dyn Fn(&io::Error) + Send + Sync>;

fn counting() -> (Arc<AtomicU32>, Failed) {
    let count = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&count);
    let failed = move |_: &io::Error| {
        counted.fetch_add(1, Ordering::Relaxed);
    };
    (count, Box::new(failed))
}

#[tokio::test]
async fn after_a_failure_nobody_is_told_ok() {
    for left in 0..2 {
        let (disk, place) = Place::memory(64 * 1024);
        let (count, failed) = counting();
        let wal = place.open_with(failed).unwrap();
        put(&wal, A, 1..5, 10).await;
        tokio::task::yield_now().await;
        disk.fail_after(left);
        let mut tickets = Vec::new();
        for index in 5..9 {
            let (done, ticket) = Ticket::new();
            wal.append(A, index, entries(A, index..index + 1, 10), done)
                .unwrap();
            tickets.push(ticket);
        }
        for ticket in tickets {
            ticket.wait().await.unwrap_err();
        }
        let (done, ticket) = Ticket::new();
        wal.set(A, Slot(0), "late".into(), Some(done));
        ticket.wait().await.unwrap_err();
        wal.close().unwrap_err();
        assert_eq!(count.load(Ordering::Relaxed), 1);
    }
}

#[tokio::test]
async fn a_full_disk_fails_only_who_needs_a_segment() {
    let (disk, place) = Place::memory(64 * 1024);
    disk.set_capacity(100 * 1024);
    let (count, failed) = counting();
    let wal = place.open_with(failed).unwrap();
    for index in 0..60 {
        put(&wal, A, index..index + 1, 900).await;
    }
    assert_eq!(count.load(Ordering::Relaxed), 0);
    let (done, ticket) = Ticket::new();
    wal.append(A, 60, entries(A, 60..70, 900), done).unwrap();
    let error = ticket.wait().await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(count.load(Ordering::Relaxed), 1);
    drop(wal);
    disk.set_capacity(1 << 30);
    let wal = place.open();
    let next = wal.state(A).next;
    assert!(
        (60..70).contains(&next),
        "a first part may have been written"
    );
    put(&wal, A, next..80, 900).await;
    wal.close().unwrap();
    assert_eq!(all(&place.open(), A), entries(A, 0..80, 900));
}

#[tokio::test]
async fn space_that_comes_back_in_time_is_used() {
    let (disk, place) = Place::memory(64 * 1024);
    disk.set_capacity(100 * 1024);
    let wal = place.open();
    put(&wal, A, 0..50, 900).await;
    tokio::task::yield_now().await;
    disk.set_capacity(1 << 30);
    put(&wal, A, 50..200, 900).await;
    wal.close().unwrap();
    assert_eq!(all(&place.open(), A), entries(A, 0..200, 900));
}

#[tokio::test]
async fn a_flipped_entry_is_not_given_out() {
    let (disk, place) = Place::memory(64 * 1024);
    let wal = place.open();
    put(&wal, A, 0..30, 1_000).await;
    let path = Path::new("/log").join(&place.segments()[0]);
    disk.flip_bit(&path, 8 * 3_000).unwrap();
    let error = wal.read(A, 0..30, usize::MAX).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert_eq!(
        wal.read(A, 25..30, 9_999).unwrap(),
        entries(A, 25..30, 1_000)
    );
}

#[tokio::test]
async fn missing_segments_are_missed() {
    let (disk, place) = Place::memory(16 * 1024);
    let wal = place.open();
    put(&wal, A, 0..100, 1_000).await;
    wal.close().unwrap();
    let segments = place.segments();
    assert!(segments.len() >= 6);
    let used = segments.len() - 1;
    for (at, name) in segments.iter().enumerate() {
        let copy = disk.copy();
        copy.remove(&Path::new("/log").join(name)).unwrap();
        let opened = Place::on(copy.clone(), 16 * 1024).try_open();
        if at < used {
            corrupt(opened);
        } else {
            opened.expect("the last one was only made ready");
        }
    }
}

/// A process that was killed leaves what it wrote and never synced: whoever finds it makes it durable first.
#[tokio::test]
async fn what_was_found_is_durable() {
    for seed in 0..20 {
        let (disk, place) = Place::memory(64 * 1024);
        let wal = place.open_with(Box::new(|_| ())).unwrap();
        put(&wal, A, 1..5, 10).await;
        tokio::task::yield_now().await;
        disk.fail_after(1);
        let (done, ticket) = Ticket::new();
        wal.append(A, 5, entries(A, 5..6, 10), done).unwrap();
        ticket.wait().await.unwrap_err();
        drop(wal);
        let disk = disk.copy();
        let place = Place::on(Arc::clone(&disk), 64 * 1024);
        let wal = place.open();
        assert_eq!(wal.state(A).next, 6);
        disk.fail_after(0);
        drop(wal);
        disk.power_cut(&Seeded::new(seed));
        assert_eq!(all(&place.open(), A), entries(A, 1..6, 10));
    }
}
