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
const MAGIC: &[u8; 8] = b"hybsnap2";
/// Magic and checksum.
const HEADER: usize = 16;

/// The file with the last good state: magic, FNV-1a-64 of the rest, the version of the software that wrote it after its length, one
/// authoritative `Update`. The file's time is when the state was last known to be the newest.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

/// What a file has.
#[derive(Debug)]
pub struct Saved {
    /// The state.
    pub state: State,
    /// The version of the software that wrote it.
    pub software_version: String,
    /// When the state was last known to be the newest.
    pub confirmed_at: SystemTime,
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

    /// What was saved last; `None` when nothing ever was. A file that cannot be used is set aside.
    pub fn load(&self) -> Result<Option<Saved>, StoreError> {
        let path = self.folder.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let confirmed_at = fs::metadata(&path)?.modified()?;
        match decode(&bytes) {
            Ok((software_version, state)) => Ok(Some(Saved { state, software_version, confirmed_at })),
            Err(error) => {
                fs::rename(&path, self.folder.join(ASIDE))?;
                Err(error)
            }
        }
    }

    /// Saves an encoded state atomically.
    pub fn save(&self, encoded: &[u8], confirmed_at: SystemTime) -> io::Result<()> {
        let next = self.folder.join(NEXT);
        let mut file = File::create(&next)?;
        file.write_all(encoded)?;
        file.set_modified(confirmed_at)?;
        file.sync_all()?;
        fs::rename(next, self.folder.join(FILE))?;
        // Makes the rename durable too.
        File::open(&self.folder)?.sync_all()
    }

    /// Notes that the state that was saved last is still the newest.
    pub fn note(&self, confirmed_at: SystemTime) -> io::Result<()> {
        File::options().write(true).open(self.folder.join(FILE))?.set_modified(confirmed_at)
    }

    /// What `save` takes.
    pub fn encode(software_version: &str, state: &State) -> Vec<u8> {
        let mut file = [MAGIC.as_slice(), &[0; 8]].concat();
        // Writing to a vector does not fail.
        let _ = prost::encode_length_delimiter(software_version.len(), &mut file);
        file.extend_from_slice(software_version.as_bytes());
        state.encode(&mut file);
        let checksum = fnv1a(&file[HEADER..]).to_le_bytes();
        file[MAGIC.len()..HEADER].copy_from_slice(&checksum);
        file
    }
}

pub(crate) fn decode(bytes: &[u8]) -> Result<(String, State), StoreError> {
    let (header, mut body) = bytes.split_at_checked(HEADER).ok_or(StoreError::Checksum)?;
    if header[..8] != *MAGIC || header[8..] != fnv1a(body).to_le_bytes() {
        return Err(StoreError::Checksum);
    }
    let length = prost::decode_length_delimiter(&mut body)?;
    let (software_version, update) = body.split_at_checked(length).ok_or(StoreError::Checksum)?;
    let mut state = State::default();
    state.apply(&[Update::decode(update)?])?;
    Ok((String::from_utf8_lossy(software_version).into_owned(), state))
}
