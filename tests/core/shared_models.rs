//! Models in files that processes map: the same results as from memory of one's own, whatever
//! becomes of the files.

#![expect(unsafe_code, reason = "calls of the system")]

use std::convert::Infallible;
use std::ffi::CString;
use std::fs::{self, File, FileTimes, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use pg_neural::artifact::shared::{SharedModels, Taken};
use pg_neural::artifact::{Error, Model, Prepared};
use pg_neural::nn::{Never, Random};

use crate::artifact::model;

const ARTIFACT: [u8; 32] = [0xa5; 32];
const PREFIX: &str = "pgsql_tmp_neural.";

/// A directory of a test's own, gone when it ends.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("pg_neural-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a directory");
        Self(path)
    }

    fn models(&self) -> SharedModels {
        SharedModels {
            directory: self.0.join("models"),
            prefix: PREFIX.into(),
            file_mode: 0o600,
            directory_mode: 0o700,
            limit: 1 << 30,
            stop: &Never,
        }
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.join("models")).expect("the directory");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        names
            .map(|name| name.into_string().expect("UTF-8"))
            .collect()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[derive(Debug)]
struct Failed(String);

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Failed(error.to_string())
    }
}

impl From<Infallible> for Failed {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// The model, and how often it had to be loaded.
fn take(models: &SharedModels) -> (Taken, usize) {
    let mut loaded = 0;
    let load = || {
        loaded += 1;
        Ok::<Model, Failed>(model(3, false))
    };
    let mut wait = || thread::sleep(Duration::from_millis(1));
    let taken = models.take(&ARTIFACT, load, &mut wait).expect("a model");
    (taken, loaded)
}

fn outputs(model: &Prepared) -> Vec<u32> {
    let predictor = &model.predictor;
    let mut random = Random::new(1, 1);
    let x: Vec<f32> = (0..5 * predictor.input_width())
        .map(|_| random.normal_f32().abs())
        .collect();
    let mut out = vec![0.0; 5 * predictor.output_units()];
    predictor.forward(&x, 5, &mut out, &mut predictor.scratch());
    out.iter().map(|value| value.to_bits()).collect()
}

fn own() -> Prepared {
    Prepared::new(model(3, false)).expect("a model")
}

#[track_caller]
fn assert_mapped(taken: &Taken) {
    assert_eq!(taken.trouble, Vec::<String>::new());
    assert!(taken.file.is_some());
    assert!(taken.model.predictor.shared_bytes() > 0);
    assert_eq!(outputs(&taken.model), outputs(&own()));
}

#[track_caller]
fn assert_own(taken: &Taken) {
    assert_eq!(taken.file, None);
    assert_eq!(taken.model.predictor.shared_bytes(), 0);
    assert_eq!(outputs(&taken.model), outputs(&own()));
}

fn change(path: &Path, at: u64, change: impl Fn(u8) -> u8) {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .expect("the file");
    let mut byte = [0];
    file.seek(SeekFrom::Start(at)).expect("the place");
    file.read_exact(&mut byte).expect("a byte");
    file.seek(SeekFrom::Start(at)).expect("the place");
    file.write_all(&[change(byte[0])]).expect("a byte");
}

#[test]
fn a_model_is_made_once_and_then_mapped() {
    let directory = Directory::new();
    let models = directory.models();
    let (first, loaded) = take(&models);
    assert_mapped(&first);
    assert_eq!(loaded, 1);
    let (second, loaded) = take(&models);
    assert_mapped(&second);
    assert_eq!(loaded, 0);
    assert_eq!(second.model.features, model(3, false).features);
    assert_eq!(second.model.target, model(3, false).target);
    let path = models.path(&ARTIFACT);
    assert_eq!(first.file.as_ref(), Some(&path));
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .expect("a name");
    assert_eq!(directory.names(), [name]);
    assert!(name.starts_with(PREFIX));
    let metadata = fs::metadata(&path).expect("the file");
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    let metadata = fs::metadata(&models.directory).expect("the directory");
    assert_eq!(metadata.permissions().mode() & 0o777, 0o700);
    models.remove(&ARTIFACT);
    assert_eq!(directory.names(), [""; 0]);
    // Who has mapped it keeps it.
    assert_mapped(&second);
}

#[test]
fn a_change_of_any_byte_is_noticed_and_mended() {
    let directory = Directory::new();
    let models = directory.models();
    let path = models.path(&ARTIFACT);
    let (_, loaded) = take(&models);
    assert_eq!(loaded, 1);
    let length = fs::metadata(&path).expect("the file").len();
    for at in 0..length {
        change(&path, at, |byte| byte ^ (1 << (at % 8)));
        let (taken, loaded) = take(&models);
        assert_eq!(
            (loaded, taken.trouble.len()),
            (1, 1),
            "byte {at}: {:?}",
            taken.trouble
        );
        assert!(taken.file.is_some());
        assert_eq!(outputs(&taken.model), outputs(&own()));
        // It is a new file, and a sound one.
        let (taken, loaded) = take(&models);
        assert_eq!(loaded, 0);
        assert_mapped(&taken);
    }
}

#[test]
fn a_file_of_any_other_length_is_noticed_and_mended() {
    let directory = Directory::new();
    let models = directory.models();
    let path = models.path(&ARTIFACT);
    take(&models);
    let whole = fs::read(&path).expect("the file");
    let lengths = (0..whole.len() + 200).step_by(37);
    for length in lengths.filter(|length| *length != whole.len()) {
        let mut bytes = whole.clone();
        bytes.resize(length, 0);
        fs::write(&path, &bytes).expect("a file");
        let (taken, loaded) = take(&models);
        assert_eq!((loaded, taken.trouble.len()), (1, 1), "{length} bytes");
        assert_eq!(outputs(&taken.model), outputs(&own()));
    }
    // As if of another artifact.
    fs::copy(&path, models.path(&[1; 32])).expect("a copy");
    let taken = models
        .take(&[1; 32], || Ok::<_, Failed>(model(3, false)), &mut || ())
        .expect("a model");
    assert!(
        taken.trouble[0].contains("another model's"),
        "{:?}",
        taken.trouble
    );
    assert!(taken.file.is_some());
    // A directory where the file should be cannot be mended.
    fs::remove_file(&path).expect("removed");
    fs::create_dir(&path).expect("a directory");
    let (taken, loaded) = take(&models);
    assert_eq!(loaded, 1);
    assert_own(&taken);
    assert!(!taken.trouble.is_empty());
}

#[test]
fn a_sound_file_that_was_written_to_is_marked_again() {
    let directory = Directory::new();
    let models = directory.models();
    let path = models.path(&ARTIFACT);
    take(&models);
    let marked = fs::metadata(&path).expect("the file");
    assert!(marked.mtime() < 600_000_000 && marked.mtime_nsec() == 0);
    change(&path, 0, |byte| byte);
    assert_ne!(
        fs::metadata(&path).expect("the file").mtime(),
        marked.mtime()
    );
    let (taken, loaded) = take(&models);
    assert_eq!(loaded, 0);
    assert_mapped(&taken);
    let metadata = fs::metadata(&path).expect("the file");
    assert_eq!(
        (metadata.mtime(), metadata.ino()),
        (marked.mtime(), marked.ino())
    );
}

#[test]
fn of_many_that_want_it_at_once_one_makes_it() {
    for _ in 0..10 {
        let directory = Directory::new();
        let models = directory.models();
        let (loads, start) = (AtomicUsize::new(0), Barrier::new(8));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    start.wait();
                    let (taken, loaded) = take(&models);
                    loads.fetch_add(loaded, Ordering::Relaxed);
                    // All have it at the same time: a mapping must not keep others waiting.
                    start.wait();
                    assert_mapped(&taken);
                });
            }
        });
        assert_eq!(loads.into_inner(), 1);
        assert_eq!(directory.names().len(), 1);
    }
}

#[test]
fn one_that_fails_leaves_it_to_the_next() {
    let directory = Directory::new();
    let models = directory.models();
    let load = || Err::<Model, _>(Failed("no".into()));
    let error = models
        .take(&ARTIFACT, load, &mut || ())
        .expect_err("no model");
    assert_eq!(error.0, "no");
    assert_eq!(directory.names(), [""; 0]);
    // A process that died over it leaves its file behind, unlocked.
    let mut unfinished = models.path(&ARTIFACT).into_os_string();
    unfinished.push(".unfinished");
    fs::write(&unfinished, vec![7; 100_000]).expect("a file");
    let (taken, loaded) = take(&models);
    assert_eq!(loaded, 1);
    assert_mapped(&taken);
    assert_eq!(directory.names().len(), 1);
    // So it does of another model; one that is at work keeps its own.
    let mut other = models.path(&[2; 32]).into_os_string();
    other.push(".unfinished");
    fs::write(&other, "").expect("a file");
    let mut working = models.path(&[3; 32]).into_os_string();
    working.push(".unfinished");
    let locked = File::create(&working).expect("a file");
    locked.lock().expect("a lock");
    models.remove(&ARTIFACT);
    take(&models);
    assert!(!Path::new(&other).exists());
    assert!(Path::new(&working).exists());
}

#[test]
fn those_opened_longest_ago_make_room() {
    let directory = Directory::new();
    let mut models = directory.models();
    let taken = |models: &SharedModels, artifact: u8| {
        let load = || Ok::<_, Failed>(model(3, false));
        let taken = models.take(&[artifact; 32], load, &mut || ());
        assert!(taken.expect("a model").file.is_some());
    };
    let ago = |models: &SharedModels, artifact: u8, seconds: u64| {
        let file = File::open(models.path(&[artifact; 32])).expect("the file");
        let time = SystemTime::now() - Duration::from_secs(seconds);
        let times = FileTimes::new().set_accessed(time);
        file.set_times(times).expect("the time");
    };
    for artifact in 1..=3 {
        taken(&models, artifact);
        ago(&models, artifact, 1000 * u64::from(artifact));
    }
    // Opening it counts.
    taken(&models, 3);
    let size = fs::metadata(models.path(&[1; 32])).expect("the file").len();
    models.limit = 3 * size;
    taken(&models, 4);
    let there = |artifact: u8| models.path(&[artifact; 32]).exists();
    assert_eq!([1, 2, 3, 4].map(there), [true, false, true, true]);
    // What is made at the same time counts, too.
    models.limit = 2 * size;
    let start = Barrier::new(4);
    thread::scope(|scope| {
        for artifact in 11..15 {
            let (models, start) = (&models, &start);
            scope.spawn(move || {
                start.wait();
                taken(models, artifact);
            });
        }
    });
    let sizes = directory.names().into_iter().map(|name| {
        let file = fs::metadata(models.directory.join(name));
        file.expect("the file").len()
    });
    assert!(sizes.sum::<u64>() <= models.limit);
}

#[test]
fn what_is_no_file_is_neither_waited_for_nor_followed() {
    let directory = Directory::new();
    let models = directory.models();
    let path = models.path(&ARTIFACT);
    take(&models);
    let elsewhere = directory.0.join("elsewhere");
    fs::rename(&path, &elsewhere).expect("another place");
    std::os::unix::fs::symlink(&elsewhere, &path).expect("a link");
    let (taken, loaded) = take(&models);
    assert_eq!(loaded, 1);
    assert!(taken.file.is_some() && taken.trouble.len() == 1);
    assert!(fs::symlink_metadata(&path).expect("the file").is_file());
    fs::remove_file(&path).expect("no file");
    let pipe = CString::new(path.as_os_str().as_bytes()).expect("a path");
    // SAFETY: makes a pipe of that name.
    assert_eq!(unsafe { libc::mkfifo(pipe.as_ptr(), 0o600) }, 0);
    let (taken, loaded) = take(&models);
    assert_eq!(loaded, 1);
    assert!(taken.file.is_some() && taken.trouble.len() == 1);
    assert!(fs::symlink_metadata(&path).expect("the file").is_file());
}

#[test]
fn without_a_directory_the_memory_is_ones_own() {
    let directory = Directory::new();
    let mut models = directory.models();
    for path in ["no/such/directory", "file"] {
        fs::write(directory.0.join("file"), "").expect("a file");
        models.directory = directory.0.join(path);
        let (taken, loaded) = take(&models);
        assert_eq!(loaded, 1);
        assert_own(&taken);
        assert!(!taken.trouble.is_empty());
    }
}

/// Says to the test's own program, run again, that its files shall end early: the directory, and
/// after how many bytes.
const LIMITED: [&str; 2] = ["PG_NEURAL_TEST_DIRECTORY", "PG_NEURAL_TEST_LIMIT"];

#[test]
fn on_a_full_disk_the_memory_is_ones_own() {
    let told = LIMITED.map(|name| std::env::var(name).ok());
    if let [Some(path), Some(limit)] = told {
        limit_files(limit.parse().expect("a number of bytes"));
        let models = SharedModels {
            directory: path.into(),
            prefix: PREFIX.into(),
            file_mode: 0o600,
            directory_mode: 0o700,
            limit: 1 << 30,
            stop: &Never,
        };
        let (taken, loaded) = take(&models);
        assert_eq!(loaded, 1);
        assert_own(&taken);
        assert!(
            taken.trouble[0].contains("could not write"),
            "{:?}",
            taken.trouble
        );
        return;
    }
    let directory = Directory::new();
    // Too little for the header, for the outline, and for the weights.
    for limit in [0_u64, 200, 4200] {
        let output = Command::new(std::env::current_exe().expect("this program"))
            .args([
                "--exact",
                "shared_models::on_a_full_disk_the_memory_is_ones_own",
            ])
            .env(LIMITED[0], directory.0.join("models"))
            .env(LIMITED[1], limit.to_string())
            .output()
            .expect("the program");
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{limit} bytes: {told}");
        assert!(told.contains("1 passed"), "{told}");
        assert_eq!(directory.names(), [""; 0], "{limit} bytes");
    }
}

/// Lets no file of this process grow beyond so many bytes.
fn limit_files(bytes: u64) {
    let limits = libc::rlimit {
        rlim_cur: bytes,
        rlim_max: bytes,
    };
    // SAFETY: calls of the system with what they want; the process runs this one test.
    let done = unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        libc::setrlimit(libc::RLIMIT_FSIZE, &limits)
    };
    assert_eq!(done, 0);
}
