//! The work on files that nobody waits for: the next segment made ready, old ones removed.
//!
//! Invariant: segments are removed oldest first, each durably before the next, so that those left are always
//! without a hole; a segment for which there is no room is no failure before somebody needs it.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
};

use halley_env::{Disk, DiskFile, Spawn, Worker};

use super::{segment, shared::Shared};

/// The keeper and the duty to end it.
#[derive(Debug)]
pub(super) struct Keeper {
    desk: Arc<Desk>,
    worker: Worker,
}

/// What the keeper works on.
#[derive(Debug)]
pub(super) struct Desk {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    segment_bytes: u64,
    /// Held while a segment is being made: whoever needs it then waits for that instead of making another.
    spare: Mutex<Spare>,
    remove: Mutex<Vec<u64>>,
}

#[derive(Debug, Default)]
struct Spare {
    wanted: Option<u64>,
    ready: Option<(u64, Arc<dyn DiskFile>)>,
    /// A file that could not be made ready, and may be there in part.
    half_made: Option<u64>,
}

impl Keeper {
    /// Starts a keeper of the segments in `directory`, who tells `shared` what fails.
    pub(super) fn start(
        disk: Arc<dyn Disk>,
        spawn: &dyn Spawn,
        directory: PathBuf,
        segment_bytes: u64,
        shared: Arc<Shared>,
    ) -> Self {
        let desk = Arc::new(Desk {
            disk,
            directory,
            segment_bytes,
            spare: Mutex::default(),
            remove: Mutex::default(),
        });
        let mine = Arc::clone(&desk);
        let step = move || {
            if shared.is_ended() {
                return;
            }
            if let Err(error) = mine.make_ready().and_then(|()| mine.remove_old()) {
                shared.fail(&error);
            }
        };
        let worker = spawn.worker("log files", Box::new(step));
        Self { desk, worker }
    }

    /// Asks for the segment `number` to be made ready.
    pub(super) fn want(&self, number: u64) {
        self.desk.spare().wanted = Some(number);
        self.worker.wake();
    }

    /// Asks for these segments, the oldest first, to be removed.
    pub(super) fn remove(&self, numbers: Vec<u64>) {
        if !numbers.is_empty() {
            self.desk.remove().extend(numbers);
            self.worker.wake();
        }
    }

    /// The segment `number`, zeros, of at least `length_min` bytes; made now if it is not ready. Also its length.
    ///
    /// # Errors
    /// What the operating system says.
    pub(super) fn take(
        &self,
        number: u64,
        length_min: u64,
    ) -> io::Result<(Arc<dyn DiskFile>, u64)> {
        let desk = &*self.desk;
        let length = desk.segment_bytes.max(length_min);
        let mut spare = desk.spare();
        spare.wanted = None;
        if let Some((ready, file)) = spare.ready.take()
            && ready == number
        {
            if length > desk.segment_bytes {
                segment::fill(&*file, desk.segment_bytes, length)?;
            }
            return Ok((file, length));
        }
        if let Some(half) = spare.half_made.take() {
            // A new file, because what failed to be synced in the old one may look clean.
            let path = segment::path(&desk.directory, half);
            segment::remove(&*desk.disk, &desk.directory, &path)?;
        }
        let file = segment::create(&*desk.disk, &desk.directory, number, length)?;
        Ok((file, length))
    }

    /// Nothing needs to be made ready any more.
    pub(super) fn want_nothing(&self) {
        self.desk.spare().wanted = None;
    }
}

impl Desk {
    fn spare(&self) -> MutexGuard<'_, Spare> {
        self.spare.lock().expect("making a file does not panic")
    }

    fn remove(&self) -> MutexGuard<'_, Vec<u64>> {
        self.remove.lock().expect("pushing a number does not panic")
    }

    /// # Errors
    /// All but a full disk, which may have room again before the segment is needed: a sync that failed is not tried
    /// again.
    fn make_ready(&self) -> io::Result<()> {
        let mut spare = self.spare();
        let Some(number) = spare.wanted.take() else {
            return Ok(());
        };
        match segment::create(&*self.disk, &self.directory, number, self.segment_bytes) {
            Ok(file) => spare.ready = Some((number, file)),
            Err(error) if is_full(&error) => {
                tracing::warn!(%error, number, "the next segment of the log cannot be made ready");
                spare.half_made = Some(number);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn remove_old(&self) -> io::Result<()> {
        let numbers = std::mem::take(&mut *self.remove());
        for number in numbers {
            let path = segment::path(&self.directory, number);
            segment::remove(&*self.disk, &self.directory, &path)?;
        }
        Ok(())
    }
}

fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}
