//! One small file that is replaced as a whole: written beside, synced, renamed, directory synced.
//!
//! Invariant: a reader finds the old content or the new one, whole, or is told that the file is damaged.

#[cfg(test)]
mod tests;

use std::{
    io,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use halley_env::Disk;
use thiserror::Error;

/// First bytes of every record.
const MAGIC: [u8; 8] = *b"HALLEYRC";
/// How the file is laid out; the content's own format is its owner's business.
const FORMAT: u32 = 1;
/// Magic, format, length of the content, checksum of these two and the content.
const HEADER_BYTES: usize = 8 + 4 + 4 + 4;

/// A file of at most [`Record::BYTES_MAX`] bytes under a checksum, with a format version of its owner's.
#[derive(Debug)]
pub struct Record;

/// Why a record cannot be read.
#[derive(Debug, Error)]
pub enum RecordError {
    /// The file is there and not what was written.
    #[error("{path} is damaged: {reason}")]
    Damaged {
        /// Which file.
        path: String,
        /// What does not fit.
        reason: String,
    },
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Record {
    /// Largest content, in bytes.
    pub const BYTES_MAX: usize = 1024 * 1024;

    /// Puts `content` in the place of whatever `path` held; durable when this returns.
    ///
    /// # Errors
    /// What the operating system says; the old content or the new one is there then. `InvalidInput` for content
    /// over [`Record::BYTES_MAX`].
    pub fn write(disk: &dyn Disk, path: &Path, content: &[u8]) -> io::Result<()> {
        if content.len() > Self::BYTES_MAX {
            let told = format!("a record of {} bytes is too large", content.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, told));
        }
        let length = u32::try_from(content.len()).expect("a record is at most 1 MiB");
        let mut bytes = Vec::with_capacity(HEADER_BYTES + content.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&checksum(FORMAT, length, content).to_le_bytes());
        bytes.extend_from_slice(content);

        let beside = beside(path);
        let file = disk.open(&beside)?;
        // A longer one may have been left there by a loss of power.
        file.set_len(0)?;
        file.write_at(&bytes, 0)?;
        file.sync_data()?;
        disk.rename(&beside, path)?;
        disk.sync_dir(directory(path))
    }

    /// What `path` holds; `None` when there is no such file.
    ///
    /// # Errors
    /// [`RecordError`]
    pub fn read(disk: &dyn Disk, path: &Path) -> Result<Option<Bytes>, RecordError> {
        // Opening would create it.
        let names = match disk.list(directory(path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            names => names?,
        };
        if !names
            .iter()
            .any(|name| Some(name.as_os_str()) == path.file_name())
        {
            return Ok(None);
        }
        let file = disk.open(path)?;
        let length = file.length()?;
        if length > (HEADER_BYTES + Self::BYTES_MAX) as u64 {
            return Err(damaged(path, &format!("{length} bytes are too many")));
        }
        let mut bytes = vec![0; usize::try_from(length).expect("it is about 1 MiB at most")];
        file.read_at(&mut bytes, 0)?;
        let content = check(&bytes).map_err(|reason| damaged(path, &reason))?;
        Ok(Some(Bytes::copy_from_slice(content)))
    }
}

fn damaged(path: &Path, reason: &str) -> RecordError {
    RecordError::Damaged {
        path: path.display().to_string(),
        reason: reason.to_owned(),
    }
}

/// The content of a record's file, if all of it is what was written.
fn check(bytes: &[u8]) -> Result<&[u8], String> {
    let Some((header, content)) = bytes.split_at_checked(HEADER_BYTES) else {
        return Err(format!("{} bytes are too few", bytes.len()));
    };
    let number = |at: usize| {
        let bytes = header[at..at + 4].try_into();
        u32::from_le_bytes(bytes.expect("four bytes"))
    };
    let (format, length, sum) = (number(8), number(12), number(16));
    if header[..8] != MAGIC {
        return Err("it does not begin as a record does".to_owned());
    }
    if content.len() as u64 != u64::from(length) {
        return Err(format!(
            "{length} bytes were written, {} are there",
            content.len()
        ));
    }
    if checksum(format, length, content) != sum {
        return Err("its checksum does not fit".to_owned());
    }
    if format != FORMAT {
        return Err(format!("its format {format} is not known"));
    }
    Ok(content)
}

fn checksum(format: u32, length: u32, content: &[u8]) -> u32 {
    let sum = crc32c::crc32c(&format.to_le_bytes());
    let sum = crc32c::crc32c_append(sum, &length.to_le_bytes());
    crc32c::crc32c_append(sum, content)
}

/// Where the next content is written before it takes its name.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

/// The directory that holds `path`, by a name that can be opened.
pub(crate) fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) => Path::new("."),
        None => path,
    }
}
