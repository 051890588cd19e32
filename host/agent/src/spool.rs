//! The spool: entries that the broker has not acknowledged, on disk, in order. No other file names `redb`.

use super::entry::{Entry, stored_size};
use everyframe_privacy::{KeyRing, PrivacyError};
use everyframe_types::hexadecimal::hexadecimal;
use redb::{Builder, Database, DatabaseError, ReadableDatabase as _, StorageError, TableDefinition};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// By position in the queue: the length of the head (two bytes, little-endian), the head as JSON, the picture. The picture is
/// encrypted if the head says so.
const RECORDS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("records");
/// The page cache. By default redb keeps up to 1 GiB in memory, but a spool is read once, in order.
const CACHE_BYTES: usize = 8 << 20;
/// The file of an empty spool is compacted if it is larger than this.
const MAX_EMPTY_BYTES: u64 = 64 << 20;

/// Why a spool cannot be used. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Another agent has the spool open.
    #[error("{}: another agent of this camera uses this spool; stop it, or give this one another --spool folder", .0.display())]
    InUse(PathBuf),
    /// The file is damaged, or is not a spool.
    #[error(
        "{}: this spool is damaged or not a spool ({reason}); nothing was deleted: move the file away to start with an empty \
         spool, and keep the file if its frames matter",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Payload is wrong with it.
        reason: String,
    },
    /// The pictures are encrypted with a key that this agent does not have, or cannot be encrypted.
    #[error("{}: {error}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with the key.
        error: PrivacyError,
    },
    /// The disk is full, or permission is missing.
    #[error("{}: cannot be used as a spool: {reason}", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// The operating system's message.
        reason: String,
    },
}

/// The content of a spool, counted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct SpoolContent {
    /// Number of entries.
    pub entries: u64,
    /// Number of frames among them.
    pub frames: u64,
    /// Their size in the file, bytes.
    pub bytes: u64,
}

impl SpoolContent {
    fn add(&mut self, is_frame: bool, bytes: u64) {
        self.entries += 1;
        self.frames += u64::from(is_frame);
        self.bytes += bytes;
    }

    fn subtract(&mut self, old: Option<&[u8]>) {
        let Some((is_frame, bytes)) = old.and_then(stored_size) else { return };
        self.entries = self.entries.saturating_sub(1);
        self.frames = self.frames.saturating_sub(u64::from(is_frame));
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// A camera's spool: one file, locked while it is open. Entries that [`Spool::update`] wrote survive a crash of the machine.
pub struct Spool {
    path: PathBuf,
    database: Database,
    ring: Arc<KeyRing>,
    held: SpoolContent,
    next: u64,
}

impl Spool {
    /// Opens or creates the spool of a camera in this folder, and reads all of it once to check it. `ring` encrypts the pictures.
    ///
    /// # Errors
    ///
    /// See [`SpoolError`]. After [`SpoolError::Disk`], try again later.
    pub fn open(folder: &Path, camera: &str, ring: &Arc<KeyRing>) -> Result<Self, SpoolError> {
        let path = file_path(folder, camera);
        let disk = |reason: String| SpoolError::Disk { path: path.clone(), reason };
        std::fs::create_dir_all(folder).map_err(|error| disk(error.to_string()))?;
        // Without this check, redb may panic on pages that were damaged after the file was closed.
        let opened =
            Builder::new().set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true).create(&path);
        let database = opened.map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => SpoolError::InUse(path.clone()),
            DatabaseError::Storage(StorageError::Io(error))
                if error.kind() != std::io::ErrorKind::InvalidData =>
            {
                disk(error.to_string())
            }
            error => SpoolError::Damaged { path: path.clone(), reason: error.to_string() },
        })?;
        let mut spool = Self { path, database, ring: ring.clone(), held: SpoolContent::default(), next: 0 };
        // Creates the table, and shows whether the disk can be written.
        spool.update(&[], [])?;
        let (mut held, mut next) = (SpoolContent::default(), 0);
        spool.visit(0, |position, entry| {
            held.add(entry.is_frame(), entry.size());
            next = position + 1;
            true
        })?;
        (spool.held, spool.next) = (held, next);
        Ok(spool)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Counts of its content.
    pub fn held(&self) -> SpoolContent {
        self.held
    }

    /// A position above all positions that were used since it was opened.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Removes and adds entries in one transaction. The change is durable when this returns. An entry replaces one at the same
    /// position.
    ///
    /// # Errors
    ///
    /// See [`SpoolError`]. The change may or may not be in the file: open the spool again.
    pub fn update<'a>(
        &mut self,
        removed: &[u64],
        added: impl IntoIterator<Item = (u64, &'a Entry)>,
    ) -> Result<(), SpoolError> {
        let added = added.into_iter().map(|(position, entry)| {
            let bytes = entry.encode(&self.ring);
            Ok((position, entry, bytes.map_err(|error| self.key_failed(error))?))
        });
        let added = added.collect::<Result<Vec<_>, SpoolError>>()?;
        let (held, next) = self.commit(removed, added).map_err(|error| self.failed(&error))?;
        (self.held, self.next) = (held, next);
        if held.entries == 0 && std::fs::metadata(&self.path).is_ok_and(|file| file.len() > MAX_EMPTY_BYTES) {
            self.database.compact().map_err(|error| self.failed(&error.into()))?;
        }
        Ok(())
    }

    fn commit(
        &self,
        removed: &[u64],
        added: Vec<(u64, &Entry, Vec<u8>)>,
    ) -> Result<(SpoolContent, u64), redb::Error> {
        let (mut held, mut next) = (self.held, self.next);
        let change = self.database.begin_write()?;
        {
            let mut table = change.open_table(RECORDS)?;
            for position in removed {
                held.subtract(table.remove(position)?.as_ref().map(|old| old.value()));
            }
            for (position, entry, bytes) in added {
                held.subtract(table.insert(position, bytes.as_slice())?.as_ref().map(|old| old.value()));
                held.add(entry.is_frame(), entry.size());
                next = next.max(position + 1);
            }
        }
        change.commit()?;
        Ok((held, next))
    }

    /// The entries from this position on, in order, up to this size in bytes; at least one if there is one.
    ///
    /// # Errors
    ///
    /// See [`SpoolError`]: open the spool again.
    pub fn read(&self, from: u64, bytes: u64) -> Result<Vec<(u64, Entry)>, SpoolError> {
        let (mut entries, mut taken) = (Vec::new(), 0);
        self.visit(from, |position, entry| {
            taken += entry.size().max(4096);
            entries.push((position, entry));
            taken < bytes
        })?;
        Ok(entries)
    }

    /// The positions of all entries.
    ///
    /// # Errors
    ///
    /// See [`SpoolError`]: open the spool again.
    pub fn positions(&self) -> Result<Vec<u64>, SpoolError> {
        let mut positions = Vec::new();
        self.visit(0, |position, _| {
            positions.push(position);
            true
        })?;
        Ok(positions)
    }

    fn visit(&self, from: u64, mut entry: impl FnMut(u64, Entry) -> bool) -> Result<(), SpoolError> {
        let failed = |error: redb::Error| self.failed(&error);
        let read = self.database.begin_read().map_err(|error| failed(error.into()))?;
        let table = read.open_table(RECORDS).map_err(|error| failed(error.into()))?;
        for record in table.range(from..).map_err(|error| failed(error.into()))? {
            let (position, value) = record.map_err(|error| failed(error.into()))?;
            let decoded = Entry::decode(&self.ring, value.value()).map_err(|error| self.key_failed(error))?;
            let decoded = decoded.ok_or_else(|| SpoolError::Damaged {
                path: self.path.clone(),
                reason: format!("record {} is not of this version", position.value()),
            })?;
            if !entry(position.value(), decoded) {
                break;
            }
        }
        Ok(())
    }

    fn key_failed(&self, error: PrivacyError) -> SpoolError {
        SpoolError::Key { path: self.path.clone(), error }
    }

    fn failed(&self, error: &redb::Error) -> SpoolError {
        let (path, reason) = (self.path.clone(), error.to_string());
        match error {
            redb::Error::Io(_) | redb::Error::PreviousIo => SpoolError::Disk { path, reason },
            _ => SpoolError::Damaged { path, reason },
        }
    }
}

/// The path of a camera's file. Any id becomes a valid file name.
fn file_path(folder: &Path, camera: &str) -> PathBuf {
    let mut name = String::new();
    for byte in camera.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
            name.push(byte.into());
        } else {
            let _ = write!(name, "%{byte:02x}");
        }
    }
    // File systems allow names of up to 255 bytes.
    if name.len() > 200 {
        let digest = hexadecimal(&Sha256::digest(camera));
        name = format!("{}%{}", &name[..100], &digest[..32]);
    }
    folder.join(name + ".redb")
}

#[cfg(test)]
mod tests {
    use super::super::entry::Payload;
    use super::*;
    use everyframe_types::frame::SourceKind;

    fn no_key() -> Arc<KeyRing> {
        Arc::new(KeyRing::empty())
    }

    fn frame(sequence: u64, bytes: usize) -> Entry {
        let picture = vec![sequence as u8; bytes];
        let source = Some(SourceKind::Recording);
        let payload = Payload::Frame { sequence, captured_at: 7, source, is_damaged: false, picture };
        Entry { session: "s-1".into(), payload }
    }

    fn refusal(first: u64, last: u64) -> Entry {
        Entry { session: "s-1".into(), payload: Payload::Refused { first, last } }
    }

    fn add(spool: &mut Spool, entries: &[(u64, Entry)]) {
        spool
            .update(&[], entries.iter().map(|(position, entry)| (*position, entry)))
            .expect("the disk takes it");
    }

    #[test]
    fn entries_come_back_as_they_were_in_order() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut spool = Spool::open(folder.path(), "gate", &no_key()).expect("a spool");
        let entries = [(3, frame(0, 50_000)), (4, refusal(1, 9)), (5, frame(10, 0)), (300, frame(11, 70))];
        add(&mut spool, &entries);
        assert_eq!(spool.read(0, u64::MAX).expect("they can be read"), entries);
        assert_eq!(spool.read(5, 1).expect("they can be read"), entries[2..3], "at least one");
        let bytes = 65536 + 4096 + 4096;
        assert_eq!((spool.held(), spool.next()), (SpoolContent { entries: 4, frames: 3, bytes }, 301));
        // Replaced and removed in one.
        let more = refusal(1, 12);
        spool.update(&[3, 77], [(4, &more)]).expect("the disk takes it");
        assert_eq!(spool.read(0, 1).expect("they can be read"), [(4, more)]);
        assert_eq!(spool.held(), SpoolContent { entries: 3, frames: 2, bytes: 8192 });
    }

    #[test]
    fn frames_of_older_and_newer_agents_are_read() {
        let head = br#"{"session":"s-1","sequence":3,"captured_at":7}"#;
        let written = [&(head.len() as u16).to_le_bytes(), head.as_slice(), b"picture"].concat();
        let (source, picture) = (None, b"picture".to_vec());
        let payload = Payload::Frame { sequence: 3, captured_at: 7, source, is_damaged: false, picture };
        assert_eq!(
            Entry::decode(&no_key(), &written).unwrap(),
            Some(Entry { session: "s-1".into(), payload })
        );
        // And a frame of a newer agent, which knows more kinds of sources.
        let newer = String::from_utf8_lossy(head).replace('}', r#","source":"drone","more":1}"#);
        let written = [&(newer.len() as u16).to_le_bytes(), newer.as_bytes(), b"picture"].concat();
        assert!(matches!(
            Entry::decode(&no_key(), &written).unwrap(),
            Some(Entry { payload: Payload::Frame { sequence: 3, source: None, .. }, .. })
        ));
    }

    #[test]
    fn the_kind_of_source_is_stored() {
        for source in [SourceKind::Live, SourceKind::Recording, SourceKind::Pictures] {
            let payload = Payload::Frame {
                sequence: 1,
                captured_at: 2,
                source: Some(source),
                is_damaged: false,
                picture: vec![3],
            };
            let entry = Entry { session: "s-1".into(), payload };
            assert_eq!(Entry::decode(&no_key(), &entry.encode(&no_key()).unwrap()).unwrap(), Some(entry));
        }
    }

    #[test]
    fn pictures_are_encrypted_and_need_their_key() {
        let folder = tempfile::tempdir().unwrap();
        let ring = |name: &str| {
            let file = folder.path().join(name);
            let _ = everyframe_privacy::write_secret(&file);
            let keys = vec![everyframe_config::SecretSource::File(file)];
            let settings = everyframe_config::PrivacySettings { keys, ..Default::default() };
            Arc::new(KeyRing::load(&settings).unwrap())
        };
        let mut spool = Spool::open(folder.path(), "gate", &ring("a.key")).unwrap();
        add(&mut spool, &[(0, frame(7, 50_000)), (1, refusal(1, 2))]);
        let held = spool.held();
        let path = spool.path().to_owned();
        drop(spool);
        let file = std::fs::read(&path).unwrap();
        assert!(!file.windows(64).any(|bytes| bytes == [7; 64]), "the picture is readable");
        let mut again = Spool::open(folder.path(), "gate", &ring("a.key")).unwrap();
        assert_eq!(again.read(0, u64::MAX).unwrap(), [(0, frame(7, 50_000)), (1, refusal(1, 2))]);
        assert_eq!(again.held(), held);
        again.update(&[0, 1], []).unwrap();
        assert_eq!(again.held(), SpoolContent::default());
        add(&mut again, &[(0, frame(7, 50_000))]);
        drop(again);
        for other in [ring("b.key"), no_key()] {
            let error = Spool::open(folder.path(), "gate", &other).err().unwrap();
            assert!(matches!(error, SpoolError::Key { .. }), "{error}");
        }
    }

    #[test]
    fn entries_survive_a_crash() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut spool = Spool::open(folder.path(), "gate", &no_key()).expect("a spool");
        let entries: Vec<(u64, Entry)> = (0..20).map(|number| (number, frame(number, 30_000))).collect();
        add(&mut spool, &entries[..10]);
        add(&mut spool, &entries[10..]);
        spool.update(&[0, 1, 2], []).expect("the disk takes it");
        // As the disk is after a crash: the open file, copied.
        let crashed = tempfile::tempdir().expect("a folder");
        std::fs::copy(spool.path(), crashed.path().join("gate.redb")).expect("it can be copied");
        let after = Spool::open(crashed.path(), "gate", &no_key()).expect("it is repaired");
        assert_eq!(after.read(0, u64::MAX).expect("they can be read"), entries[3..]);
        assert_eq!((after.held(), after.next()), (spool.held(), 20));
    }

    #[test]
    fn a_spool_is_used_by_one_at_a_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = Spool::open(folder.path(), "gate", &no_key()).expect("a spool");
        assert!(matches!(Spool::open(folder.path(), "gate", &no_key()), Err(SpoolError::InUse(_))));
        assert!(Spool::open(folder.path(), "yard", &no_key()).is_ok());
        drop(first);
        assert!(Spool::open(folder.path(), "gate", &no_key()).is_ok());
    }

    #[test]
    fn a_damaged_file_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut spool = Spool::open(folder.path(), "gate", &no_key()).expect("a spool");
        add(&mut spool, &[(0, frame(0, 300_000))]);
        let path = spool.path().to_owned();
        drop(spool);
        let whole = std::fs::read(&path).expect("it can be read");
        // A byte of the picture, wherever it lies.
        let place = whole.windows(99).position(|bytes| bytes == [0; 99]).expect("the picture is in it");
        let middle = whole.len() / 2;
        for damaged in [b"nonsense".to_vec(), whole[..middle].to_vec(), {
            let mut scratched = whole.clone();
            scratched[place..place + 200_000].fill(1);
            scratched
        }] {
            std::fs::write(&path, damaged).expect("it can be written");
            match Spool::open(folder.path(), "gate", &no_key()) {
                Err(error @ SpoolError::Damaged { .. }) => assert!(error.to_string().contains("gate.redb")),
                Err(error) => panic!("{error}"),
                Ok(_) => panic!("a damaged spool was opened"),
            }
        }
        std::fs::write(&path, whole).expect("it can be written");
        assert_eq!(Spool::open(folder.path(), "gate", &no_key()).expect("it is whole").held().frames, 1);
    }

    #[test]
    fn a_camera_of_any_name_has_its_own_file() {
        let name = |camera: &str| file_path(Path::new(""), camera).display().to_string();
        assert_eq!(name("gate-1"), "gate-1.redb");
        assert_eq!(name("../a b"), "%2e%2e%2fa%20b.redb");
        let (long, longer) = (name(&"x".repeat(500)), name(&"x".repeat(501)));
        assert!(long != longer && long.len() < 255, "{long}");
    }

    #[test]
    fn consecutive_refusals_are_merged() {
        let mut first = refusal(3, 5);
        assert!(first.merge(&refusal(6, 6)) && first == refusal(3, 6));
        assert!(!first.merge(&refusal(8, 8)) && !first.merge(&frame(7, 1)));
        let other = Entry { session: "s-2".into(), ..refusal(7, 7) };
        assert!(!first.merge(&other) && first == refusal(3, 6));
    }
}
