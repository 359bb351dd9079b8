//! The installation key: what all other keys hang on, and what nothing that is kept can be read without.
//!
//! It is a text of PEM blocks, the oldest generation first: a file, or what a command prints. The number of a generation is its
//! place, so blocks are put behind others and never taken away.

use super::secret::{NoRandomness, Random, Secret};
use crate::private;
use base64::{Engine, prelude::BASE64_STANDARD};
use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    str::FromStr,
};
use zeroize::Zeroizing;

/// File of the installation key in the data folder.
pub const FILE: &str = "installation-key.pem";

const BEGIN: &str = "-----BEGIN CIRCOLO INSTALLATION KEY-----";
const END: &str = "-----END CIRCOLO INSTALLATION KEY-----";

/// Where the installation key comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum Source {
    /// A file in the data folder, which is made when nothing hangs on it yet.
    Own(PathBuf),
    /// A file that somebody put there.
    File(PathBuf),
    /// What a command of the shell prints. Generations are added by whoever keeps what it reads.
    Command(String),
}

/// Why there is no installation key.
#[derive(Debug, thiserror::Error)]
pub enum InstallationError {
    /// The option names none.
    #[error("an installation key is named as file:PATH or command:CMD")]
    Source,
    /// There is none.
    #[error(
        "the installation key {0} is missing, and without it no key opens: bring it back from where it is kept, or name it with \
         --installation-key. It is made in the data folder alone, and before there is any key"
    )]
    Missing(PathBuf),
    /// The file cannot be read or written.
    #[error("the installation key {0} cannot be used: {1}")]
    File(PathBuf, #[source] io::Error),
    /// The command cannot be run.
    #[error("the command that prints the installation key cannot be run: {0}")]
    Run(#[source] io::Error),
    /// The command failed.
    #[error("the command that prints the installation key ended with {0}; what it complained about stands before this")]
    Failed(std::process::ExitStatus),
    /// What came is none.
    #[error("{0} holds no installation key: {1}")]
    Content(Source, &'static str),
    /// Only who keeps what the command reads can do it.
    #[error(
        "a new generation of an installation key that a command prints is made where it is kept: put the block that `circolo keys block` \
         prints behind the others there, and run this again"
    )]
    NotOurs,
    /// There is no randomness.
    #[error(transparent)]
    Random(#[from] NoRandomness),
}

/// The installation key, all generations of it.
#[derive(Clone, PartialEq, Eq)]
pub struct InstallationKey(Vec<Secret>);

impl InstallationKey {
    /// A key of these generations, the oldest first; at least one.
    pub fn new(oldest: Secret, newer: Vec<Secret>) -> Self {
        let mut generations = vec![oldest];
        generations.extend(newer);
        Self(generations)
    }

    /// The newest generation, counted from 1.
    pub fn newest(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    /// What `purpose` hangs on in this generation: HKDF-SHA-256 with the info `circolo PURPOSE vGENERATION`. `None` of a generation
    /// that is not known here.
    pub fn derive(&self, purpose: &str, generation: u32) -> Option<Secret> {
        let index = usize::try_from(generation).ok()?.checked_sub(1)?;
        Some(self.0.get(index)?.derive(&format!("circolo {purpose} v{generation}")))
    }

    /// Reads PEM blocks; what stands between them is not looked at, so that it can be a remark.
    fn parse(text: &str) -> Result<Self, &'static str> {
        let (mut generations, mut rest) = (vec![], text);
        while let Some((_, block)) = rest.split_once(BEGIN) {
            let (body, behind) = block.split_once(END).ok_or("a block has no end")?;
            let body: Zeroizing<String> = Zeroizing::new(body.split_ascii_whitespace().collect());
            let bytes = Zeroizing::new(BASE64_STANDARD.decode(&*body).map_err(|_| "a block is not base64")?);
            generations.push(Secret::from_slice(&bytes).ok_or("a block does not hold 32 bytes")?);
            rest = behind;
        }
        if generations.is_empty() {
            return Err("there is no block CIRCOLO INSTALLATION KEY in it");
        }
        // The same block twice would be no other generation.
        let twice = (1..generations.len()).any(|index| generations[..index].contains(&generations[index]));
        if twice { Err("a block stands in it twice") } else { Ok(Self(generations)) }
    }
}

impl Source {
    /// The file in the data folder.
    pub fn in_folder(data: &Path) -> Self {
        Self::Own(data.join(FILE))
    }

    /// The installation key. `make` says that nothing hangs on it yet: then it is made where it is our own and not there. (A file
    /// that was named is not: the name may be wrong.)
    pub fn read(&self, make: bool, random: &Random) -> Result<InstallationKey, InstallationError> {
        let text = match self {
            Self::Own(path) => read_file(path, make, random)?,
            Self::File(path) => read_file(path, false, random)?,
            Self::Command(command) => run(command)?,
        };
        InstallationKey::parse(&text).map_err(|what| InstallationError::Content(self.clone(), what))
    }

    /// Adds a generation. It is on the disk when this returns.
    pub fn add_generation(&self, random: &Random) -> Result<InstallationKey, InstallationError> {
        let (Self::Own(path) | Self::File(path)) = self else { return Err(InstallationError::NotOurs) };
        self.read(false, random)?;
        let failed = |error| InstallationError::File(path.clone(), error);
        let mut text = Zeroizing::new(fs::read_to_string(path).map_err(failed)?);
        if !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&block(&Secret::drawn(random)?));
        private::replace(path, text.as_bytes()).map_err(failed)?;
        self.read(false, random)
    }
}

/// A PEM block.
pub fn block(generation: &Secret) -> Zeroizing<String> {
    let body = Zeroizing::new(BASE64_STANDARD.encode(generation.bytes()));
    Zeroizing::new(format!("{BEGIN}\n{}\n{END}\n", *body))
}

fn read_file(path: &Path, make: bool, random: &Random) -> Result<Zeroizing<String>, InstallationError> {
    let failed = |error| InstallationError::File(path.to_owned(), error);
    match fs::read_to_string(path) {
        Ok(text) => return Ok(Zeroizing::new(text)),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        Err(_) if !make => return Err(InstallationError::Missing(path.to_owned())),
        Err(_) => {}
    }
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        private::folder(folder).map_err(failed)?;
    }
    match private::publish(path, block(&Secret::drawn(random)?).as_bytes()) {
        // Somebody else was faster: theirs is the key.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(failed(error)),
        _ => fs::read_to_string(path).map(Zeroizing::new).map_err(failed),
    }
}

fn run(command: &str) -> Result<Zeroizing<String>, InstallationError> {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).stdin(Stdio::inherit()).stderr(Stdio::inherit());
    let output = shell.output().map_err(InstallationError::Run)?;
    let printed = Zeroizing::new(output.stdout);
    if !output.status.success() {
        return Err(InstallationError::Failed(output.status));
    }
    let not_text = || InstallationError::Content(Source::Command(command.to_owned()), "it is no text");
    Ok(Zeroizing::new(std::str::from_utf8(&printed).map_err(|_| not_text())?.to_owned()))
}

impl FromStr for Source {
    type Err = InstallationError;

    fn from_str(text: &str) -> Result<Self, InstallationError> {
        match text.split_once(':') {
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            Some(("command", command)) if !command.is_empty() => Ok(Self::Command(command.to_owned())),
            _ => Err(InstallationError::Source),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own(path) | Self::File(path) => path.display().fmt(f),
            // Whoever wrote it knows it, and it may hold what opens a vault.
            Self::Command(_) => f.write_str("what the command printed"),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for InstallationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InstallationKey of {} generations", self.0.len())
    }
}

#[cfg(test)]
#[path = "installation_tests.rs"]
mod tests;
