//! Files that a command writes: whole, or not at all.
//!
//! A result goes to a neighbour of its file and takes the file's place when it is complete, so that a failed or interrupted run
//! never leaves half an answer under the right name. `-` is standard output; what is no regular file (a pipe, `/dev/null`) is
//! written directly.

use std::fs::{self, File};
use std::io::{self, BufWriter, StdoutLock, Write};
use std::path::{Path, PathBuf};

use super::failure::Failure;

/// Bytes that are gathered before the system is called.
const BUFFER: usize = 1 << 16;

/// A result under way.
#[derive(Debug)]
pub struct Output {
    shown: PathBuf,
    writer: BufWriter<Target>,
    rename: Option<(PathBuf, PathBuf)>,
}

#[derive(Debug)]
enum Target {
    File(File),
    Stdout(StdoutLock<'static>),
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Stdout(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.flush(),
            Self::Stdout(out) => out.flush(),
        }
    }
}

/// Whether a path means standard output.
pub fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == "-"
}

impl Output {
    /// Opens a result.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn create(path: &Path) -> Result<Self, Failure> {
        let (target, rename) = if is_stdout(path) {
            (Target::Stdout(io::stdout().lock()), None)
        } else if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            let file = fs::OpenOptions::new().write(true).open(path);
            (Target::File(file.map_err(|error| Failure::io("write", path, &error))?), None)
        } else {
            let name = path.file_name().ok_or_else(|| Failure::bad("this path names no file").file(path.display()))?;
            let partial = path.with_file_name(format!(".{}.{}.partial", name.to_string_lossy(), std::process::id()));
            let file = File::create(&partial).map_err(|error| {
                Failure::io("write", path, &error).next("give a file in a directory that exists and may be written")
            })?;
            (Target::File(file), Some((partial, path.to_owned())))
        };
        Ok(Self { shown: path.to_owned(), writer: BufWriter::with_capacity(BUFFER, target), rename })
    }

    /// How a failed write is told.
    pub fn failure(&self, error: &io::Error) -> Failure {
        Failure::io("write the result", &self.shown, error)
    }

    /// Completes the result and puts it in its place.
    ///
    /// # Errors
    /// When the last bytes cannot be written, or the file cannot be put in its place.
    pub fn finish(mut self) -> Result<(), Failure> {
        self.writer.flush().map_err(|error| self.failure(&error))?;
        if let Some((partial, path)) = self.rename.take() {
            fs::rename(&partial, &path).map_err(|error| {
                let _ = fs::remove_file(&partial);
                Failure::io("put the result in its place", &path, &error)
            })?;
        }
        Ok(())
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some((partial, _)) = self.rename.take() {
            let _ = fs::remove_file(partial);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_result_appears_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.csv");
        fs::write(&path, "old").unwrap();
        let mut output = Output::create(&path).unwrap();
        output.write_all(b"new").unwrap();
        output.flush().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "old", "not before it is complete");
        output.finish().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(names(dir.path()), ["out.csv"]);
    }

    #[test]
    fn a_dropped_result_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut output = Output::create(&dir.path().join("out.csv")).unwrap();
        output.write_all(b"half").unwrap();
        drop(output);
        assert!(names(dir.path()).is_empty());
    }

    #[test]
    fn devices_are_written_directly_and_missing_directories_are_told() {
        let mut output = Output::create(Path::new("/dev/null")).unwrap();
        output.write_all(b"x").unwrap();
        output.finish().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let text = Output::create(&dir.path().join("no/out.csv")).unwrap_err().to_string();
        assert!(text.contains("no such file or directory") && text.contains("next:"), "{text}");
    }
}
