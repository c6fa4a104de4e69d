//! Models ready to predict, in files that processes map: one copy of the weights for all of them.
//!
//! A file is named after the artifact it was made of and the versions of its layout, so that it
//! never is another's, and can be made again at any time. Several processes may want to make the
//! same one at once: one does, under a lock on the unfinished file, and the others wait for it.
//! Whatever goes wrong with a file costs memory and no more: the model then is the process's own.

mod checksum;
mod file;

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::{Error, Model, Prepared};
use crate::hex::{from_hex, hex};
use crate::memory::Refused;
use crate::nn::{PACKING_VERSION, Stop};
use file::Found;

/// How long to wait for another process that makes a file before doing without.
const PATIENCE: Duration = Duration::from_secs(20);
/// The suffix of files that are being made.
const UNFINISHED: &str = ".unfinished";

/// Where the files are, and how they are made.
#[derive(Debug, Clone)]
pub struct SharedModels {
    /// The directory. It is made when it is not there; the one above it must be.
    pub directory: PathBuf,
    /// What the files' names begin with.
    pub prefix: String,
    /// Mode of the files.
    pub file_mode: u32,
    /// Mode of the directory.
    pub directory_mode: u32,
    /// Bytes that all files together may take; those opened longest ago make room for new ones.
    pub limit: u64,
    /// Asked whether to go on while a model is packed or read.
    pub stop: &'static (dyn Stop + Sync),
}

/// A model, and what went wrong with its file.
#[derive(Debug)]
pub struct Taken {
    /// The model.
    pub model: Prepared,
    /// The file it is mapped from; none if it is in the process's own memory.
    pub file: Option<PathBuf>,
    /// Something for the log.
    pub trouble: Vec<String>,
}

impl SharedModels {
    /// The path of an artifact's file.
    pub fn path(&self, artifact: &[u8; 32]) -> PathBuf {
        let hash = hex(artifact);
        let Self { prefix, .. } = self;
        let release = env!("CARGO_PKG_VERSION");
        let name = format!(
            "{prefix}{hash}.{release}.{}.{PACKING_VERSION}",
            file::FORMAT
        );
        self.directory.join(name)
    }

    /// The model of the artifact with that hash: mapped if it can be, else in memory of its own.
    ///
    /// `load` is called only when there is no file to map. `wait` is called again and again, and
    /// returns after a moment, while another process makes the file.
    ///
    /// # Errors
    /// Those of `load`, and of a model that cannot be packed or mapped.
    pub fn take<E: From<Error>>(
        &self,
        artifact: &[u8; 32],
        load: impl FnOnce() -> Result<Model, E>,
        wait: &mut dyn FnMut(),
    ) -> Result<Taken, E> {
        let path = self.path(artifact);
        let mut trouble = Vec::new();
        let unfinished = loop {
            match self.open(&path, artifact, &mut trouble)? {
                Some(model) => return Ok(model),
                None => match Unfinished::lock(self, &path, wait) {
                    Ok(Some(unfinished)) => break Some(unfinished),
                    // Another process was at it, and has ended one way or the other.
                    Ok(None) => {}
                    Err(error) => {
                        trouble.push(format!("could not make \"{}\": {error}", path.display()));
                        break None;
                    }
                },
            }
        };
        let Some(unfinished) = unfinished else {
            let model = Prepared::new_until(load()?, self.stop)?;
            return Ok(Taken::own(model, trouble));
        };
        // It may have been finished before the lock was taken.
        if let Some(found) = self.open(&path, artifact, &mut trouble)? {
            return Ok(found);
        }
        // What cannot be used only takes up room.
        let _ = fs::remove_file(&path);
        let model = load()?;
        // Others that make files at this moment see what this one will take.
        let reserved = unfinished
            .file
            .set_len(size_of_val(&model.parameters[..]) as u64);
        self.make_room();
        let (model, written) = file::write(&unfinished.file, *artifact, model, self.stop)?;
        let finished = reserved.and(written).and_then(|()| {
            // Reads what was written, and marks it as sound.
            let found = file::open(&unfinished.file, artifact, self.stop)?;
            unfinished.rename(&path)?;
            // Of files that were made at once, none could make room for the others before.
            self.make_room();
            Ok(found)
        });
        let why = match finished {
            Ok(Found::Model(model)) => {
                return Ok(Taken {
                    model: *model,
                    file: Some(path),
                    trouble,
                });
            }
            Ok(Found::Damaged(why)) => why,
            Err(error) => error.to_string(),
        };
        trouble.push(format!("could not write \"{}\": {why}", path.display()));
        Ok(Taken::own(model, trouble))
    }

    /// The model of a file, if it can be used. One that there is no memory to map is left to others.
    fn open(
        &self,
        path: &Path,
        artifact: &[u8; 32],
        trouble: &mut Vec<String>,
    ) -> Result<Option<Taken>, Error> {
        // What is no file, such as a pipe or a link, is not waited for and not followed.
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW)
            .open(path);
        let found = opened.and_then(|file| match file.metadata()?.is_file() {
            true => file::open(&file, artifact, self.stop),
            false => Ok(Found::Damaged("it is no file".into())),
        });
        let why = match found {
            Ok(Found::Model(model)) => {
                return Ok(Some(Taken {
                    model: *model,
                    file: Some(path.to_owned()),
                    trouble: std::mem::take(trouble),
                }));
            }
            Ok(Found::Damaged(why)) => why,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::OutOfMemory => {
                let bytes = fs::metadata(path).map_or(0, |file| file.len());
                let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
                return Err(Refused { bytes }.into());
            }
            Err(error) => error.to_string(),
        };
        let told = format!("could not use \"{}\": {why}", path.display());
        if !trouble.contains(&told) {
            trouble.push(told);
        }
        Ok(None)
    }

    /// The finished files of this release, by the hashes of their artifacts.
    ///
    /// # Errors
    /// What the system says.
    pub fn files(&self) -> io::Result<Vec<[u8; 32]>> {
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            let name = name
                .to_str()
                .and_then(|name| name.strip_prefix(&self.prefix));
            let digits = name.and_then(|name| name.get(..64));
            let artifact = digits.and_then(from_hex);
            found.extend(artifact.filter(|artifact| {
                self.path(artifact)
                    .file_name()
                    .and_then(|name| name.to_str())
                    == name.map(|name| format!("{}{name}", self.prefix)).as_deref()
            }));
        }
        Ok(found)
    }

    /// Looks at every byte of an artifact's file, and says what is wrong with it; nothing where it
    /// is as it was made, or there is none.
    ///
    /// # Errors
    /// What the system says.
    pub fn check(&self, artifact: &[u8; 32]) -> io::Result<Option<String>> {
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW)
            .open(self.path(artifact));
        match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
            Ok(file) if !file.metadata()?.is_file() => Ok(Some("it is no file".into())),
            Ok(file) => file::check(&file, artifact, self.stop),
        }
    }

    /// Removes an artifact's file, if there is one. Whoever has mapped it keeps what was there.
    pub fn remove(&self, artifact: &[u8; 32]) {
        let _ = fs::remove_file(self.path(artifact));
    }

    /// Removes what dead processes left unfinished, and of the finished files those opened longest
    /// ago until all are within the limit.
    fn make_room(&self) {
        let Ok(entries) = fs::read_dir(&self.directory) else {
            return;
        };
        let mut total: u64 = 0;
        let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str().filter(|name| name.starts_with(&self.prefix)) else {
                continue;
            };
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            if !metadata.is_file() {
                continue;
            }
            if name.ends_with(UNFINISHED) {
                // Locked as long as somebody works at it.
                match File::open(entry.path()).map(|file| file.try_lock()) {
                    Ok(Ok(())) => {
                        let _ = fs::remove_file(entry.path());
                    }
                    _ => total = total.saturating_add(metadata.len()),
                }
            } else {
                total = total.saturating_add(metadata.len());
                let accessed = metadata.accessed().unwrap_or(SystemTime::UNIX_EPOCH);
                files.push((accessed, metadata.len(), entry.path()));
            }
        }
        files.sort();
        for (_, length, path) in files {
            if total <= self.limit {
                return;
            }
            if fs::remove_file(path).is_ok() {
                total -= length;
            }
        }
    }
}

impl Taken {
    fn own(model: Prepared, trouble: Vec<String>) -> Self {
        Self {
            model,
            file: None,
            trouble,
        }
    }
}

/// A file that is being made by this process alone; removed unless it gets its name.
struct Unfinished {
    file: File,
    path: Option<PathBuf>,
}

impl Unfinished {
    /// Opens and locks the file. None if another process was making it: then look again.
    fn lock(
        models: &SharedModels,
        path: &Path,
        wait: &mut dyn FnMut(),
    ) -> io::Result<Option<Self>> {
        let mut path = path.as_os_str().to_owned();
        path.push(UNFINISHED);
        let path = PathBuf::from(path);
        let open = || {
            OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(models.file_mode)
                .open(&path)
        };
        let file = match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let made = DirBuilder::new()
                    .mode(models.directory_mode)
                    .create(&models.directory);
                match made {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                        return Err(error);
                    }
                    _ => open()?,
                }
            }
            opened => opened?,
        };
        let metadata = file.metadata()?;
        let begin = Instant::now();
        loop {
            let locked = match file.try_lock() {
                Ok(()) => true,
                Err(TryLockError::WouldBlock) => false,
                Err(TryLockError::Error(error)) => return Err(error),
            };
            // Whoever had the lock may have renamed the file, or removed it.
            let same = match fs::metadata(&path) {
                Ok(there) => (there.dev(), there.ino()) == (metadata.dev(), metadata.ino()),
                Err(_) => false,
            };
            match (locked, same) {
                (true, true) => break,
                (_, false) => return Ok(None),
                (false, true) if begin.elapsed() > PATIENCE => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                (false, true) => wait(),
            }
        }
        let unfinished = Self {
            file,
            path: Some(path),
        };
        // Nobody has mapped it: it never had its name. What a process left that died over it goes.
        unfinished.file.set_len(0)?;
        Ok(Some(unfinished))
    }

    /// Gives the file its name.
    fn rename(mut self, path: &Path) -> io::Result<()> {
        if let Some(from) = &self.path {
            fs::rename(from, path)?;
            self.path = None;
        }
        // The mapping keeps the open file, and so the lock, alive: others would wait for it.
        self.file.unlock()
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = fs::remove_file(path);
            let _ = self.file.unlock();
        }
    }
}
