//! What the disk under the cluster gives by itself: the same bytes by a plain loop of writes and syncs.

use std::{
    fs::File,
    os::unix::fs::FileExt as _,
    path::Path,
    time::{Duration, Instant},
};

/// Bytes of the file, written before so that a write changes nothing but its own bytes.
const FILE_BYTES: usize = 16 << 20;
/// Bytes of a write.
const WRITE_BYTES: usize = 256;
const TIME: Duration = Duration::from_secs(2);

/// Prints how many writes a second reach the disk one by one; in the same run as the tables, since the machine's speed
/// changes with time.
pub(crate) fn print(directory: &Path) {
    std::fs::create_dir_all(directory).expect("a directory");
    let path = directory.join("floor");
    let file = File::create(&path).expect("a file");
    file.write_all_at(&vec![0; FILE_BYTES], 0)
        .expect("it is written");
    file.sync_data().expect("it is synced");
    let mut times = Vec::new();
    let begin = Instant::now();
    while begin.elapsed() < TIME {
        let offset = times.len() * WRITE_BYTES % FILE_BYTES;
        let before = Instant::now();
        file.write_all_at(&[b'x'; WRITE_BYTES], offset as u64)
            .expect("it is written");
        file.sync_data().expect("it is synced");
        times.push(before.elapsed());
    }
    times.sort_unstable();
    println!(
        "floor: {:.0} writes of {WRITE_BYTES} B a second, each with its fdatasync; p50 {:.0?}, p99 {:.0?}",
        times.len() as f64 / TIME.as_secs_f64(),
        times[times.len() / 2],
        times[times.len() * 99 / 100],
    );
    std::fs::remove_file(path).expect("it is there");
}
