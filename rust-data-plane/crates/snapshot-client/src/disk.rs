use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use contracts::hybrid::snapshot::v1::Update;
use prost::Message;
use thiserror::Error;

use crate::digest::fnv1a;
use crate::state::{ApplyError, State};

const FILE: &str = "snapshot.bin";
const ASIDE: &str = "snapshot.bin.corrupt";
const NEXT: &str = "snapshot.bin.next";
const MAGIC: &[u8; 8] = b"hybsnap1";
/// Magic and checksum.
const HEADER: usize = 16;

/// The file with the last good state: magic, FNV-1a-64 of the rest, one authoritative `Update`.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

/// Why no saved state could be loaded.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum StoreError {
    #[error("the snapshot file cannot be read: {0}")]
    Read(#[from] io::Error),
    #[error("the snapshot file is no snapshot, or its checksum is wrong")]
    Checksum,
    #[error("the snapshot file cannot be decoded: {0}")]
    Decode(#[from] prost::DecodeError),
    #[error("the snapshot file is not consistent: {0}")]
    Apply(#[from] ApplyError),
}

impl Store {
    /// A store in `folder`, which is created where it is missing.
    pub fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// The state that was saved last, and when; `None` when none ever was. A file that cannot be used is set aside.
    pub fn load(&self) -> Result<Option<(State, SystemTime)>, StoreError> {
        let path = self.folder.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let saved_at = fs::metadata(&path)?.modified()?;
        match decode(&bytes) {
            Ok(state) => Ok(Some((state, saved_at))),
            Err(error) => {
                fs::rename(&path, self.folder.join(ASIDE))?;
                Err(error)
            }
        }
    }

    /// Saves an encoded state atomically.
    pub fn save(&self, encoded: &[u8]) -> io::Result<()> {
        let next = self.folder.join(NEXT);
        let mut file = File::create(&next)?;
        file.write_all(encoded)?;
        file.sync_all()?;
        fs::rename(next, self.folder.join(FILE))?;
        // Makes the rename durable too.
        File::open(&self.folder)?.sync_all()
    }

    /// What `save` takes.
    pub fn encode(state: &State) -> Vec<u8> {
        let body = state.to_update().encode_to_vec();
        [MAGIC.as_slice(), &fnv1a(&body).to_le_bytes(), &body].concat()
    }
}

fn decode(bytes: &[u8]) -> Result<State, StoreError> {
    let (header, body) = bytes.split_at_checked(HEADER).ok_or(StoreError::Checksum)?;
    if header[..8] != *MAGIC || header[8..] != fnv1a(body).to_le_bytes() {
        return Err(StoreError::Checksum);
    }
    let mut state = State::default();
    state.apply(&[Update::decode(body)?])?;
    Ok(state)
}
