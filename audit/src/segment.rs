//! One file of the journal: its name, appending to it and rolling a failed append back, listing what earlier runs left.
//! Knows nothing of records.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Segments that one start of the proxy may fill; the rest of the number says which start it was.
const PER_START: u64 = 1_000_000;

/// A segment's number: ordered by start, then by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Number(pub(crate) u64);

impl Number {
    /// The first segment of a start.
    pub(crate) fn first(start: u64) -> Self {
        Self(start.saturating_mul(PER_START))
    }

    /// Which start of the proxy wrote it.
    pub(crate) fn start(self) -> u64 {
        self.0 / PER_START
    }

    /// The next of the same start; `None` when its numbers are used up.
    pub(crate) fn next(self) -> Option<Self> {
        Some(Self(self.0 + 1)).filter(|next| next.start() == self.start())
    }
}

/// A segment that is no longer written to, and how many of its bytes count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub(crate) number: Number,
    pub(crate) length: u64,
}

/// Where the segments of a data folder lie.
pub(crate) fn folder(data: &Path) -> PathBuf {
    data.join("journal")
}

/// A segment's file.
pub(crate) fn path(journal: &Path, number: Number) -> PathBuf {
    journal.join(format!("{:014}.log", number.0))
}

/// Creates `folder` for its owner alone, if it is missing: statements and parameters are nobody else's.
pub(crate) fn create_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Makes new and removed names in `folder` durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// All segments in `journal`, oldest first. Files with other names are not ours and are left alone.
pub(crate) fn list(journal: &Path) -> io::Result<Vec<Sealed>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(journal)? {
        let entry = entry?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".log")).and_then(|digits| digits.parse().ok());
        if let Some(number) = number {
            match entry.metadata() {
                Ok(metadata) => found.push(Sealed { number: Number(number), length: metadata.len() }),
                // The importer of a running proxy removes what it has read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    found.sort_by_key(|segment| segment.number);
    Ok(found)
}

/// The segment that is written to.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) number: Number,
    pub(crate) file: Arc<File>,
    /// Bytes of whole frames; whatever lies behind them is the rest of a failed append.
    pub(crate) length: u64,
    tail: Tail,
}

/// Whether the file ends where its last whole frame does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tail {
    Clean,
    /// A failed append may have left bytes that could not be cut off yet.
    Unknown,
}

impl Active {
    /// Creates the file; it must not exist.
    pub(crate) fn create(journal: &Path, number: Number) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(path(journal, number))?;
        Ok(Self { number, file: Arc::new(file), length: 0, tail: Tail::Clean })
    }

    /// Appends `frame` whole or not at all, with one `write` when the disk takes it in one.
    pub(crate) fn append(&mut self, frame: &[u8]) -> io::Result<()> {
        if self.tail == Tail::Unknown {
            self.roll_back()?;
        }
        match (&*self.file).write_all(frame) {
            Ok(()) => {
                self.length += frame.len() as u64;
                Ok(())
            }
            Err(error) => {
                self.tail = Tail::Unknown;
                // When this fails too, the next append tries again before it writes.
                let _ = self.roll_back();
                Err(error)
            }
        }
    }

    fn roll_back(&mut self) -> io::Result<()> {
        self.file.set_len(self.length)?;
        self.tail = Tail::Clean;
        Ok(())
    }

    /// As it stands, for the reader.
    pub(crate) fn sealed(&self) -> Sealed {
        Sealed { number: self.number, length: self.length }
    }
}
