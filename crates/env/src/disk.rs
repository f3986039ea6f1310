//! Files and directories, with the calls that durability needs and nothing else.
//!
//! All calls block: the caller runs them on a thread of its own. Invariant: nothing here hides a failed
//! sync, and nothing retries one; after an error the caller treats the file's state as unknown.

use std::{
    fmt::Debug,
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// An open file, readable and writable at any place.
pub trait DiskFile: Debug + Send + Sync {
    /// Fills `buffer` from `offset` on; `UnexpectedEof` when the file ends before.
    ///
    /// # Errors
    /// What the operating system says.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes all of `bytes` at `offset`. Not durable before [`DiskFile::sync_data`].
    ///
    /// # Errors
    /// What the operating system says; part of `bytes` may have been written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Forces the file's data, and the metadata needed to read it back, to the disk (`fdatasync`).
    ///
    /// # Errors
    /// What the operating system says; the data may be lost, and a second call proves nothing.
    fn sync_data(&self) -> io::Result<()>;
    /// Length in bytes.
    ///
    /// # Errors
    /// What the operating system says.
    fn length(&self) -> io::Result<u64>;
    /// Cuts or extends (with zeros) the file to `length` bytes.
    ///
    /// # Errors
    /// What the operating system says.
    fn set_len(&self, length: u64) -> io::Result<()>;
}

/// A file system, as much of it as a store needs.
pub trait Disk: Debug + Send + Sync + 'static {
    /// Opens `path` for reading and writing, creating it when absent.
    ///
    /// # Errors
    /// What the operating system says.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Names of the entries of `directory`, sorted.
    ///
    /// # Errors
    /// What the operating system says.
    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>>;
    /// Creates `directory` and its parents.
    ///
    /// # Errors
    /// What the operating system says.
    fn create_dir(&self, directory: &Path) -> io::Result<()>;
    /// Puts `from` in the place of `to`, atomically. Durable after [`Disk::sync_dir`].
    ///
    /// # Errors
    /// What the operating system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file. Durable after [`Disk::sync_dir`].
    ///
    /// # Errors
    /// What the operating system says.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Forces the entries of `directory` to the disk (`fsync` of the directory).
    ///
    /// # Errors
    /// What the operating system says.
    fn sync_dir(&self, directory: &Path) -> io::Result<()>;
    /// Bytes of the file system that holds `directory`: all, and those that this process may still fill.
    ///
    /// # Errors
    /// What the operating system says.
    fn space(&self, directory: &Path) -> io::Result<Space>;
    /// Takes `path` for this process alone, creating the file when absent, until the lock is dropped.
    ///
    /// # Errors
    /// `WouldBlock` when another process holds it; else what the operating system says.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>>;
}

/// A file held for this process alone until dropped.
pub trait DiskLock: Debug + Send + Sync {}

/// How full a file system is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Its size in bytes.
    pub total: u64,
    /// Bytes that this process may still fill.
    pub available: u64,
}

/// The machine's file system.
#[derive(Clone, Copy, Debug)]
pub struct SystemDisk;

impl DiskFile for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        Self::sync_data(self)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        Self::set_len(self, length)
    }
}

impl Disk for SystemDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        Ok(Arc::new(file))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(directory)? {
            names.push(PathBuf::from(entry?.file_name()));
        }
        names.sort();
        Ok(names)
    }

    fn create_dir(&self, directory: &Path) -> io::Result<()> {
        std::fs::create_dir_all(directory)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        File::open(directory)?.sync_all()
    }

    fn space(&self, directory: &Path) -> io::Result<Space> {
        let found = rustix::fs::statvfs(directory)?;
        Ok(Space {
            total: found.f_blocks.saturating_mul(found.f_frsize),
            available: found.f_bavail.saturating_mul(found.f_frsize),
        })
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        let mut options = OpenOptions::new();
        let file = options
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        file.try_lock()?;
        Ok(Box::new(Locked { _file: file }))
    }
}

/// The lock goes with the file's descriptor, also when the process is killed.
#[derive(Debug)]
struct Locked {
    _file: File,
}

impl DiskLock for Locked {}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let directory =
            std::env::temp_dir().join(format!("halley-env-{}-{name}", std::process::id()));
        SystemDisk
            .create_dir(&directory)
            .expect("a scratch directory");
        directory
    }

    #[test]
    fn what_is_written_is_read_back() {
        let directory = scratch("written");
        let file = SystemDisk.open(&directory.join("a")).expect("opens");
        file.write_at(b"halley", 4).expect("writes");
        file.sync_data().expect("syncs");
        assert_eq!(file.length().expect("a length"), 10);
        let mut back = [0; 6];
        file.read_at(&mut back, 4).expect("reads");
        assert_eq!(&back, b"halley");
        let past = file.read_at(&mut back, 5).expect_err("past the end");
        assert_eq!(past.kind(), io::ErrorKind::UnexpectedEof);
        std::fs::remove_dir_all(directory).expect("cleans up");
    }

    #[test]
    fn a_lock_is_held_by_one_and_space_is_told() {
        let directory = scratch("lock");
        let path = directory.join("lock");
        let held = SystemDisk.lock(&path).expect("nobody holds it");
        let refused = SystemDisk.lock(&path).expect_err("it is held");
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        drop(held);
        SystemDisk.lock(&path).expect("it was let go");
        let space = SystemDisk.space(&directory).expect("a file system");
        assert!(space.total >= space.available && space.total > 0);
        std::fs::remove_dir_all(directory).expect("cleans up");
    }

    #[test]
    fn renaming_replaces_and_listing_is_sorted() {
        let directory = scratch("renaming");
        for (name, text) in [("b", "old"), ("a.tmp", "new")] {
            let file = SystemDisk.open(&directory.join(name)).expect("opens");
            file.write_at(text.as_bytes(), 0).expect("writes");
        }
        SystemDisk
            .rename(&directory.join("a.tmp"), &directory.join("b"))
            .expect("renames");
        SystemDisk.open(&directory.join("a")).expect("opens");
        SystemDisk
            .sync_dir(&directory)
            .expect("syncs the directory");
        let names = SystemDisk.list(&directory).expect("lists");
        assert_eq!(names, [PathBuf::from("a"), PathBuf::from("b")]);
        let file = SystemDisk.open(&directory.join("b")).expect("opens");
        file.set_len(2).expect("cuts");
        let mut back = [0; 2];
        file.read_at(&mut back, 0).expect("reads");
        assert_eq!(&back, b"ne");
        SystemDisk.remove(&directory.join("a")).expect("removes");
        std::fs::remove_dir_all(directory).expect("cleans up");
    }
}
