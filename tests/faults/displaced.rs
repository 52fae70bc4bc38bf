//! Checks each way to displace the file with each program that has it open. The old file and the
//! new file stay whole, and every row is in one of them.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tower_mcp_store::event_store::{EventRecord, EventStore};
use tower_mcp_store::query::{Reader, RequestFilter};
use tower_mcp_store::{Store, StoreState};

use crate::other_process::{Holder, Recorder};
use crate::support::{LONG, connect, record_requests, value};
use crate::{COUNT, wait_until};

/// What happens to the file.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Moved,
    Removed,
    ReplacedBySmaller,
    ReplacedByLarger,
    ReplacedByText,
    MovedWithSideFiles,
    MovedAndBack,
    FolderRenamed,
    LinkChanged,
    HardLinkKept,
    WalRemoved,
    ShmRemoved,
    SideFilesRemoved,
}

impl Fate {
    const ALL: [Self; 13] = [
        Self::Moved,
        Self::Removed,
        Self::ReplacedBySmaller,
        Self::ReplacedByLarger,
        Self::ReplacedByText,
        Self::MovedWithSideFiles,
        Self::MovedAndBack,
        Self::FolderRenamed,
        Self::LinkChanged,
        Self::HardLinkKept,
        Self::WalRemoved,
        Self::ShmRemoved,
        Self::SideFilesRemoved,
    ];

    /// Returns whether a program that opens the path afterwards finds side files of another
    /// database.
    fn is_mixed(self) -> bool {
        matches!(self, Self::ReplacedBySmaller | Self::ReplacedByLarger) || self.is_stripped()
    }

    /// Returns whether the database file itself stays in place.
    fn is_stripped(self) -> bool {
        matches!(
            self,
            Self::WalRemoved | Self::ShmRemoved | Self::SideFilesRemoved
        )
    }
}

/// Which other program has the file open.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Company {
    Alone,
    Recorder,
    IdleRecorder,
    /// A second store in this process.
    Store,
    /// A program with an open read transaction.
    Snapshot,
    /// A program that has read before.
    IdleShell,
    EventStore,
    /// A reader in this process.
    Reader,
    /// A recorder that starts before the next event.
    NewRecorder,
    /// A program that reads before the next event.
    NewShell,
}

/// How many rows the replacement files have.
const SMALLER: u64 = 1;
const LARGER: u64 = 20_000;

/// A store that records into the file.
struct Scene {
    dir: TempDir,
    /// The path that the store was given.
    path: PathBuf,
    /// The path of the old file afterwards, if it still has one.
    old: Option<PathBuf>,
    fate: Fate,
}

impl Scene {
    fn new(fate: Fate) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("folder");
        fs::create_dir(&folder).unwrap();
        let mut path = folder.join("mcp.db");
        if fate == Fate::LinkChanged {
            fs::write(&path, "").unwrap();
            let link = dir.path().join("link.db");
            symlink(&path, &link).unwrap();
            path = link;
        }
        Self {
            dir,
            path,
            old: None,
            fate,
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Creates a file with this number of rows that no program has open.
    fn ready(&self, rows: u64) -> PathBuf {
        let path = self.at("ready.db");
        let store = Store::open(&path).unwrap();
        record_requests(&store, rows);
        store.shutdown(LONG).unwrap();
        path
    }

    /// Displaces the file. Returns how many rows are then at the path.
    fn happen(&mut self) -> u64 {
        let (path, old) = (self.path.clone(), self.at("old.db"));
        let move_away = |scene: &mut Self| {
            fs::rename(&path, &old).unwrap();
            scene.old = Some(old.clone());
        };
        let mut rows = 0;
        match self.fate {
            Fate::Moved | Fate::MovedAndBack => move_away(self),
            Fate::Removed => fs::remove_file(&path).unwrap(),
            Fate::ReplacedBySmaller | Fate::ReplacedByLarger => {
                rows = match self.fate {
                    Fate::ReplacedBySmaller => SMALLER,
                    _ => LARGER,
                };
                let ready = self.ready(rows);
                fs::hard_link(&path, &old).unwrap();
                self.old = Some(old);
                fs::rename(ready, &path).unwrap();
            }
            Fate::ReplacedByText => {
                fs::write(self.at("text"), "something else").unwrap();
                fs::hard_link(&path, &old).unwrap();
                self.old = Some(old);
                fs::rename(self.at("text"), &path).unwrap();
            }
            Fate::MovedWithSideFiles => {
                for suffix in ["", "-wal", "-shm"] {
                    fs::rename(side(&path, suffix), side(&old, suffix)).unwrap();
                }
                self.old = Some(old);
            }
            Fate::FolderRenamed => {
                fs::rename(self.at("folder"), self.at("renamed")).unwrap();
                self.old = Some(self.at("renamed/mcp.db"));
            }
            Fate::LinkChanged => {
                rows = SMALLER;
                let ready = self.ready(rows);
                fs::remove_file(&path).unwrap();
                symlink(ready, &path).unwrap();
                self.old = Some(self.at("folder/mcp.db"));
            }
            Fate::WalRemoved => fs::remove_file(side(&path, "-wal")).unwrap(),
            Fate::ShmRemoved => fs::remove_file(side(&path, "-shm")).unwrap(),
            Fate::SideFilesRemoved => {
                fs::remove_file(side(&path, "-wal")).unwrap();
                fs::remove_file(side(&path, "-shm")).unwrap();
            }
            Fate::HardLinkKept => {
                fs::hard_link(&path, &old).unwrap();
                fs::remove_file(&path).unwrap();
                self.old = Some(old);
            }
        }
        rows
    }

    /// Asserts that the file is whole and has `rows` rows and no losses.
    #[track_caller]
    fn assert_whole(&self, path: &Path, rows: u64) {
        let conn = connect(path);
        assert_eq!(value::<String>(&conn, "PRAGMA integrity_check"), "ok");
        assert_eq!(value::<i64>(&conn, COUNT) as u64, rows, "{path:?}");
        assert_eq!(value::<i64>(&conn, "SELECT count(*) FROM losses"), 0);
    }

    /// Asserts that no WAL with rows was left behind.
    #[track_caller]
    fn assert_no_orphans(&self) {
        for folder in [self.path.parent().unwrap(), self.dir.path()] {
            for entry in fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                let name = entry.file_name().into_string().unwrap();
                let is_empty = entry.metadata().unwrap().len() == 0;
                assert!(is_empty || !name.contains("-wal"), "{name}");
            }
        }
    }
}

fn side(path: &Path, suffix: &str) -> PathBuf {
    format!("{}{suffix}", path.display()).into()
}

/// Asserts that this process holds the lock that marks the `-shm` file as in use. A process that
/// finds it free truncates the file.
#[track_caller]
fn assert_shm_is_held(path: &Path) {
    if cfg!(target_os = "linux") {
        let shm = side(&fs::canonicalize(path).unwrap(), "-shm");
        let inode = format!(":{}", fs::metadata(shm).unwrap().ino());
        // The kernel may leave a lock out of one listing.
        wait_until(|| {
            let locks = fs::read_to_string("/proc/locks").unwrap();
            locks.lines().any(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                words[4] == std::process::id().to_string() && words[5].ends_with(&inode)
            })
        });
    }
}

/// Appends an event to a stream and reads it again.
fn resume(store: &Store, id: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let events = store.event_store();
    runtime.block_on(async {
        let event = EventRecord::new(id, "data".to_owned());
        events.append("session", event).await.unwrap();
        let replayed = events.replay_after("session", id - 1).await.unwrap();
        assert_eq!(replayed.len(), 1);
    });
}

/// Checks one combination.
fn check(company: Company, fate: Fate) {
    println!("{company:?}, {fate:?}");
    let mut scene = Scene::new(fate);
    let path = scene.path.clone();
    let store = Store::open(&path).unwrap();
    record_requests(&store, 200);
    store.flush(LONG).unwrap();
    let mut before = 200;
    let mut after = 0;

    let mut other =
        matches!(company, Company::Recorder | Company::IdleRecorder).then(|| Recorder::of(&path));
    if let Some(other) = &mut other {
        other.record(100);
        before += 100;
    }
    let second = (company == Company::Store).then(|| Store::open(&path).unwrap());
    if let Some(second) = &second {
        record_requests(second, 100);
        second.flush(LONG).unwrap();
        before += 100;
    }
    let reader = (company == Company::Reader).then(|| Reader::open(&path).unwrap());
    let rows_seen = |reader: &Reader| reader.requests(&RequestFilter::default(), 100_000, None);
    if let Some(reader) = &reader {
        assert_eq!(rows_seen(reader).unwrap().len(), 200);
    }
    let mut holder = match company {
        Company::Snapshot => Some("BEGIN; SELECT count(*) FROM requests"),
        Company::IdleShell => Some("SELECT count(*) FROM requests"),
        _ => None,
    }
    .map(|sql| Holder::of(&path, sql));
    if company == Company::EventStore {
        resume(&store, 1);
    }
    // A row that the snapshot does not include cannot leave the WAL.
    record_requests(&store, 50);
    store.flush(LONG).unwrap();
    before += 50;
    if company == Company::NewShell && fate.is_mixed() {
        // With rows in the WAL, this program would write them into the wrong file.
        let conn = connect(&path);
        conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .unwrap();
    }

    let mut there = scene.happen();
    let opens_new = !matches!(fate, Fate::ReplacedByText | Fate::FolderRenamed);
    if company == Company::NewShell && opens_new {
        holder = Some(match fate.is_mixed() {
            // The holder finds the side files of the other file.
            true => Holder::that_may_fail(&path, "SELECT count(*) FROM sqlite_schema"),
            false => Holder::of(&path, "SELECT count(*) FROM sqlite_schema"),
        });
    }
    if fate.is_stripped() {
        there = before;
    }
    if company == Company::NewRecorder && fate != Fate::ReplacedByText && !fate.is_stripped() {
        let mut new = Recorder::of(&path);
        new.record(70);
        after += 70;
        other = Some(new);
    }
    if let Some(reader) = &reader
        && fate != Fate::ReplacedByText
    {
        rows_seen(reader).unwrap();
    }
    record_requests(&store, 300);
    after += 300;
    if let (Some(other), Company::Recorder | Company::NewRecorder) = (&mut other, company) {
        other.queue(150);
        after += 150;
    }
    if let Some(second) = &second {
        record_requests(second, 150);
        after += 150;
    }
    if company == Company::Snapshot && fate != Fate::LinkChanged {
        wait_until(|| matches!(store.state(), StoreState::Failing { .. }));
        let StoreState::Failing { reason } = store.state() else {
            panic!("{}", store.state());
        };
        assert!(
            reason.contains("reader with an open transaction"),
            "{reason}"
        );
        assert_eq!(store.stats().queued, 300);
    }
    if fate == Fate::MovedAndBack {
        if company != Company::Snapshot {
            store.flush(LONG).unwrap();
            if let Some(second) = &second {
                second.flush(LONG).unwrap();
            }
            if let Some(other) = &mut other {
                other.record(0);
            }
            // The user overwrites these rows.
            after = 0;
        }
        fs::rename(scene.old.take().unwrap(), &path).unwrap();
        there = before;
        if let Some(reader) = &reader {
            // The reader then closes the side files that it had open.
            rows_seen(reader).unwrap();
        }
    }
    if let (Some(reader), true) = (&reader, fate.is_stripped()) {
        wait_until(|| !side(&path, "-wal").exists() && !side(&path, "-shm").exists());
        rows_seen(reader).unwrap();
    }
    if fate == Fate::ReplacedByText {
        if company != Company::Snapshot {
            wait_until(|| matches!(store.state(), StoreState::Failing { .. }));
        }
        fs::remove_file(&path).unwrap();
    }
    if company == Company::Snapshot {
        holder = None;
    }

    record_requests(&store, 20);
    after += 20;
    store.flush(LONG).unwrap();
    assert_eq!(store.state(), StoreState::Ready);
    if company == Company::EventStore {
        resume(&store, 2);
    }
    // A program that believes a `-shm` file to be unused truncates it.
    let shell = Holder::of(
        &path,
        "CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1)",
    );
    assert_shm_is_held(&path);
    record_requests(&store, 30);
    after += 30;
    store.flush(LONG).unwrap();
    if let Some(second) = &second {
        record_requests(second, 5);
        after += 5;
        second.flush(LONG).unwrap();
    }
    if let (Some(other), true) = (&mut other, company != Company::IdleRecorder) {
        other.record(5);
        after += 5;
    }
    if let Some(reader) = &reader {
        // The reader resolves a link when it is opened.
        let rows = match fate {
            Fate::LinkChanged => before,
            _ => there + after,
        };
        assert_eq!(rows_seen(reader).unwrap().len() as u64, rows);
    }
    drop((shell, holder, reader));
    if let Some(other) = other {
        let (_, dropped) = other.end();
        assert_eq!(dropped, 0);
    }
    if let Some(second) = second {
        assert_eq!(second.shutdown(LONG).unwrap().dropped, 0);
    }
    let stats = store.shutdown(LONG).unwrap();
    assert_eq!((stats.dropped, stats.failed), (0, 0));

    scene.assert_whole(&path, there + after);
    if let Some(old) = &scene.old {
        scene.assert_whole(old, before);
    }
    scene.assert_no_orphans();
}

fn check_all(company: Company) {
    for fate in Fate::ALL {
        check(company, fate);
    }
}

#[test]
fn every_row_is_in_the_old_file_or_the_new_one_without_another_program() {
    check_all(Company::Alone);
}

#[test]
fn every_row_is_in_the_old_file_or_the_new_one_beside_a_recorder() {
    check_all(Company::Recorder);
}

#[test]
fn every_row_is_in_the_old_file_or_the_new_one_beside_an_idle_recorder() {
    check_all(Company::IdleRecorder);
}

#[test]
fn every_row_is_in_the_old_file_or_the_new_one_beside_a_store_in_the_process() {
    check_all(Company::Store);
}

#[test]
fn every_row_is_in_the_old_file_or_the_new_one_beside_a_snapshot() {
    check_all(Company::Snapshot);
}

#[test]
fn every_row_is_in_the_old_file_or_the_new_one_beside_an_idle_shell() {
    check_all(Company::IdleShell);
}

#[test]
fn every_row_is_in_the_old_file_or_the_new_one_with_an_event_store() {
    check_all(Company::EventStore);
}

#[test]
fn every_row_is_in_the_old_file_or_the_new_one_with_a_reader_in_the_process() {
    check_all(Company::Reader);
}

#[test]
fn every_row_is_in_the_old_file_or_the_new_one_with_a_recorder_that_starts_in_between() {
    check_all(Company::NewRecorder);
}

#[test]
fn every_row_is_in_the_old_file_or_the_new_one_with_a_shell_that_starts_in_between() {
    check_all(Company::NewShell);
}
