//! What a directory of segments says, read in order; nothing is changed here.
//!
//! Invariant: only what can be the newest frame, torn by a loss of power, is ever given up. Everything else that
//! is not as it was written, or is missing, is an error.
//!
//! What can be torn follows from the order of writing. Every frame is synced before the next is written; a
//! segment's start before the mark in the old segment that the log goes on there; that mark before the next
//! frame. So a frame with anything written behind it was whole once, and so was a start that a mark names.

use std::{
    io,
    ops::Range,
    path::{Path, PathBuf},
};

use halley_env::Disk;

use super::{
    OpenError, change,
    frame::{self, BadHead, End, FRAME_HEAD, Found, Frame, Kind, SEGMENT_HEAD},
    index::Index,
    segment,
};

/// A log as it was found.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) index: Index,
    /// All segments in use, the newest last.
    pub(super) segments: Vec<u64>,
    /// Bytes of the newest segment's file.
    pub(super) length: u64,
    /// Where the last frame ends.
    pub(super) end: End,
    /// Number of the next frame.
    pub(super) number: u64,
    /// Whether nothing follows the mark of a clean end.
    pub(super) clean: bool,
    pub(super) repairs: Repairs,
}

/// What has to be made good before the log goes on.
#[derive(Debug, Default)]
pub(super) struct Repairs {
    /// A segment that was never begun.
    pub(super) unused: Option<u64>,
    /// The mark that the segment before the newest has to end with, and lacks, or nothing says that it was synced.
    pub(super) roll: Option<(End, Vec<u8>)>,
    /// Bytes of the newest segment that were torn.
    pub(super) torn: Option<Range<u64>>,
    /// The last frame, which nothing says was synced, and where it lies.
    pub(super) last: Option<(End, Vec<u8>)>,
}

/// Reads the log in `directory`; `None` when there is none.
///
/// # Errors
/// [`OpenError`]
pub(super) fn read(disk: &dyn Disk, directory: &Path) -> Result<Option<Recovered>, OpenError> {
    let names = match disk.list(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        names => names?,
    };
    let mut segments: Vec<u64> = names
        .iter()
        .filter_map(|name| segment::number(name))
        .collect();
    segments.sort_unstable();
    let Some(&newest) = segments.last() else {
        return Ok(None);
    };
    let mut walk = Walk::new(directory);
    if let Some(pair) = segments.windows(2).find(|pair| pair[0] + 1 != pair[1]) {
        return Err(walk.corrupt(pair[0] + 1, 0, "the segment is missing"));
    }
    let bytes = load(disk, directory, newest)?;
    let mut spare_torn = false;
    if segments.len() > 1 && walk.is_unused(newest, &bytes)? {
        spare_torn = frame::last_nonzero(&bytes, 0).is_some();
        walk.repairs.unused = segments.pop();
    }
    drop(bytes);
    for (at, &number) in segments.iter().enumerate() {
        let bytes = load(disk, directory, number)?;
        walk.segment(number, &bytes, at + 1 == segments.len())?;
    }
    if spare_torn && walk.repairs.torn.is_some() {
        return Err(walk.corrupt(newest, 0, "it was begun, and the segment before is torn"));
    }
    walk.finish(segments).map(Some)
}

fn load(disk: &dyn Disk, directory: &Path, number: u64) -> io::Result<Vec<u8>> {
    let file = disk.open(&segment::path(directory, number))?;
    let length = usize::try_from(file.length()?).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut bytes = vec![0; length];
    file.read_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// The reading of one segment after the other.
struct Walk<'a> {
    directory: &'a Path,
    /// What the frames so far say; none before the first checkpoint.
    index: Option<Index>,
    /// Number of the next frame.
    number: u64,
    /// Where the last frame ended, but for a mark that the log goes on.
    end: End,
    /// What the segment before says about this one.
    roll: Option<Frame>,
    length: u64,
    clean: bool,
    repairs: Repairs,
}

impl<'a> Walk<'a> {
    fn new(directory: &'a Path) -> Self {
        Self {
            directory,
            index: None,
            number: 0,
            end: End {
                segment: 0,
                offset: 0,
            },
            roll: None,
            length: 0,
            clean: false,
            repairs: Repairs::default(),
        }
    }

    fn corrupt(&self, segment: u64, offset: usize, reason: impl AsRef<str>) -> OpenError {
        let name = segment::path(Path::new(""), segment);
        OpenError::Corrupt {
            directory: PathBuf::from(self.directory),
            reason: format!("{} at {offset}: {}", name.display(), reason.as_ref()),
        }
    }

    /// Whether the newest segment, not the only one, was never begun, or its start is torn.
    fn is_unused(&self, number: u64, bytes: &[u8]) -> Result<bool, OpenError> {
        let begun = frame::read_segment_head(bytes);
        let start = frame::find(bytes, number, SEGMENT_HEAD);
        if let (Ok(_), Found::Whole(..)) | (Err(BadHead::Version(_)), _) = (begun, &start) {
            return Ok(false);
        }
        let after = match start {
            Found::Whole(frame, _) | Found::Broken(frame) => {
                frame::last_nonzero(bytes, SEGMENT_HEAD + frame_len(frame))
            }
            Found::Nothing => frame::next_head(bytes, number, SEGMENT_HEAD),
        };
        match after {
            Some(at) => Err(self.corrupt(number, 0, format!("its start is damaged before {at}"))),
            None => Ok(true),
        }
    }

    fn segment(&mut self, number: u64, bytes: &[u8], newest: bool) -> Result<(), OpenError> {
        if self.roll.is_none() && self.index.is_some() && !newest {
            return Err(self.corrupt(number - 1, self.end.offset as usize, "damaged"));
        }
        let mut offset = self.start(number, bytes)?;
        if self.roll.take().is_none() && self.repairs.roll.is_some() {
            // The segment before lacks its mark: then nothing was written here but the start.
            if frame::last_nonzero(bytes, offset).is_some() {
                return Err(self.corrupt(number - 1, 0, "its end is damaged"));
            }
        }
        loop {
            match frame::find(bytes, number, offset) {
                Found::Whole(frame, _) if frame.kind == Kind::Roll => {
                    return self.rolled(number, bytes, offset, frame, newest);
                }
                Found::Whole(frame, body) => {
                    self.frame(number, offset, frame, body)?;
                    let next = offset + frame_len(frame);
                    self.ended(number, bytes, offset..next);
                    offset = next;
                }
                found => return self.tail(number, bytes, offset, &found, newest),
            }
        }
    }

    /// The head and the checkpoint of a segment; where they end.
    fn start(&mut self, number: u64, bytes: &[u8]) -> Result<usize, OpenError> {
        let (named, length) = match frame::read_segment_head(bytes) {
            Ok(head) => head,
            Err(BadHead::Damaged) => return Err(self.corrupt(number, 0, "its head is damaged")),
            Err(BadHead::Version(version)) => {
                let reason = format!("it is of version {version}, which is not known here");
                return Err(self.corrupt(number, 0, reason));
            }
        };
        if named != number || length != bytes.len() as u64 {
            let have = bytes.len();
            let reason = format!("its head names segment {named} of {length} bytes, not {have}");
            return Err(self.corrupt(number, 0, reason));
        }
        let at = SEGMENT_HEAD;
        let Found::Whole(frame, body) = frame::find(bytes, number, at) else {
            return Err(self.corrupt(number, at, "its checkpoint is damaged"));
        };
        let end = at + frame_len(frame);
        let base = (at + FRAME_HEAD) as u64;
        let changes = change::decode(body, frame.count, number, base);
        let changes = changes.filter(|_| frame.kind == Kind::Checkpoint);
        let changes = changes.ok_or_else(|| self.corrupt(number, at, "no checkpoint"))?;
        if let Some(index) = &self.index {
            let named = End {
                segment: number,
                offset: end as u64,
            };
            let fits = frame.number == self.number
                && frame.synced == self.end
                && self.roll.is_none_or(|roll| roll.synced == named)
                && changes == index.checkpoint();
            if !fits {
                return Err(self.corrupt(number, at, "it does not follow the segment before"));
            }
            let mark = frame::mark(Kind::Roll, frame.number, self.end, named);
            self.repairs.roll = Some((self.end, mark));
        } else {
            let index = Index::from_checkpoint(changes);
            self.index = Some(index.map_err(|reason| self.corrupt(number, at, reason))?);
        }
        self.number = frame.number + 1;
        self.length = length;
        self.ended(number, bytes, 0..end);
        Ok(end)
    }

    /// Takes what a frame says.
    fn frame(
        &mut self,
        number: u64,
        offset: usize,
        frame: Frame,
        body: &[u8],
    ) -> Result<(), OpenError> {
        if frame.number != self.number || frame.synced != self.end {
            return Err(self.corrupt(number, offset, "a frame does not follow the one before"));
        }
        let base = (offset + FRAME_HEAD) as u64;
        let changes = match frame.kind {
            Kind::Batch => change::decode(body, frame.count, number, base),
            Kind::Close if body.is_empty() => Some(Vec::new()),
            Kind::Close | Kind::Checkpoint | Kind::Roll => None,
        };
        let changes = changes.ok_or_else(|| self.corrupt(number, offset, "no frame of a log"))?;
        let index = self
            .index
            .as_mut()
            .expect("a segment starts with a checkpoint");
        let mut taken = changes
            .into_iter()
            .map(|(group, change)| index.change(group, change));
        if let Err(reason) = taken.try_for_each(|result| result) {
            return Err(self.corrupt(number, offset, reason));
        }
        self.number += 1;
        self.clean = frame.kind == Kind::Close;
        // A frame behind the start says that the mark before was synced.
        self.repairs.roll = None;
        Ok(())
    }

    /// Notes that the log reaches to the end of what lies in `range`.
    fn ended(&mut self, segment: u64, bytes: &[u8], range: Range<usize>) {
        let at = |offset: usize| End {
            segment,
            offset: offset as u64,
        };
        self.end = at(range.end);
        self.repairs.last = Some((at(range.start), bytes[range].to_vec()));
        if self
            .repairs
            .last
            .as_ref()
            .is_some_and(|(at, _)| at.offset == 0)
        {
            self.clean = false;
        }
    }

    /// The mark at `offset` that the log goes on in the next segment.
    fn rolled(
        &mut self,
        number: u64,
        bytes: &[u8],
        offset: usize,
        frame: Frame,
        newest: bool,
    ) -> Result<(), OpenError> {
        if frame.number != self.number || frame.body != 0 || frame.synced.segment != number + 1 {
            return Err(self.corrupt(number, offset, "the mark of its end does not fit"));
        }
        if newest {
            return Err(self.corrupt(number + 1, 0, "the log goes on in it, and it is not there"));
        }
        if let Some(at) = frame::last_nonzero(bytes, offset + FRAME_HEAD) {
            return Err(self.corrupt(number, at, "something follows the mark of its end"));
        }
        self.roll = Some(frame);
        Ok(())
    }

    /// What lies behind the last whole frame of a segment that has no mark of its end.
    fn tail(
        &mut self,
        number: u64,
        bytes: &[u8],
        offset: usize,
        found: &Found<'_>,
        newest: bool,
    ) -> Result<(), OpenError> {
        let Some(torn) = frame::last_nonzero(bytes, offset) else {
            return Ok(());
        };
        if !newest {
            // Nothing but a torn mark of the end may lie here, and the next segment holds nothing but its start.
            return match torn <= offset + FRAME_HEAD {
                true => Ok(()),
                false => Err(self.corrupt(number, offset, "a frame is damaged")),
            };
        }
        let later = match found {
            Found::Broken(frame) => {
                let end = offset + frame_len(*frame);
                frame::last_nonzero(bytes, end)
            }
            Found::Whole(..) | Found::Nothing => frame::next_head(bytes, number, offset),
        };
        if let Some(later) = later {
            let reason = format!("a frame is damaged, and something was written up to {later}");
            return Err(self.corrupt(number, offset, reason));
        }
        self.repairs.torn = Some(offset as u64..torn as u64);
        Ok(())
    }

    fn finish(self, segments: Vec<u64>) -> Result<Recovered, OpenError> {
        let newest = self.end.segment;
        let index = self.index.as_ref().expect("there is a segment");
        if let Err(reason) = index.whole() {
            return Err(self.corrupt(newest, 0, reason));
        }
        Ok(Recovered {
            index: self.index.expect("there is a segment"),
            segments,
            length: self.length,
            end: self.end,
            number: self.number,
            clean: self.clean && self.repairs.torn.is_none(),
            repairs: self.repairs,
        })
    }
}

fn frame_len(frame: Frame) -> usize {
    FRAME_HEAD + frame.body as usize
}
