//! A file in encrypted pieces. Each is bound to its file and its place, and the last one says that it is the last: so a part can be read
//! without the rest, and nothing can be cut off, moved or put in from elsewhere.
//!
//! A file is a head of 16 bytes (`circolo` and a byte 1, the version of its owner's key, the length of a piece in clear, both as 32 bits,
//! the highest first), and its pieces: nonce, ciphertext, tag, as [`Secret::encrypt`] makes them. Its key derives from that of its owner:
//! no two files have one, so that random nonces suffice however much somebody uploads.

use crate::sealing::{
    NoRandomness, Random, Secret,
    secret::{NONCE, TAG},
};
use circolo_domain::{MediaId, media::ThumbnailSize};
use std::fmt;
use uuid::Uuid;

/// How much of a file is in one piece.
pub const CHUNK: usize = 64 * 1024;
/// How much longer a piece is as it is stored.
const MORE: usize = NONCE + TAG;
/// How long a head is.
pub const HEAD: usize = 16;
const MAGIC: &[u8; 8] = b"circolo\x01";

/// Which of the files of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// What was uploaded.
    Whole,
    /// A smaller copy.
    Thumbnail(ThumbnailSize),
}

impl Part {
    /// All that there can be.
    pub const ALL: [Self; 4] =
        [Self::Whole, Self::Thumbnail(ThumbnailSize::Small), Self::Thumbnail(ThumbnailSize::Medium), Self::Thumbnail(ThumbnailSize::Large)];

    /// What names end in.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Thumbnail(size) => size.name(),
        }
    }
}

/// What a file lies under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// Whose it is.
    pub media: MediaId,
    /// Which try of uploading it.
    pub file: Uuid,
    /// Which of its files.
    pub part: Part,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.media, self.file, self.part.name())
    }
}

impl Name {
    /// The name that `text` is.
    pub fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let (media, file, part) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?);
        let part = Part::ALL.into_iter().find(|known| known.name() == part)?;
        let name = Self { media, file, part };
        (name.to_string() == text).then_some(name)
    }

    /// The folder that it lies in: there are 256.
    pub fn folder(&self) -> String {
        let id = self.media.to_string();
        id[id.len() - 2..].to_owned()
    }

    /// The key of this file.
    fn key(&self, owner: &Secret) -> Secret {
        owner.derive(&format!("circolo media {self}"))
    }

    fn associated(&self, index: u64, last: bool) -> String {
        format!("circolo media\n{self}\n{index}\n{last}\n")
    }
}

/// What a file begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The version of its owner's key.
    pub version: u32,
}

impl Head {
    /// As it is stored.
    pub fn bytes(self) -> [u8; HEAD] {
        let mut bytes = [0; HEAD];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&self.version.to_be_bytes());
        bytes[12..].copy_from_slice(&u32::try_from(CHUNK).unwrap_or_default().to_be_bytes());
        bytes
    }

    /// What was stored, if it is a head.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let head = Self { version: u32::from_be_bytes(bytes.get(8..12)?.try_into().ok()?) };
        (head.bytes() == bytes).then_some(head)
    }
}

/// Makes pieces of what is written.
pub struct Sealer {
    name: Name,
    key: Secret,
    random: Random,
    waiting: Vec<u8>,
    index: u64,
}

impl Sealer {
    /// For the file of that name, of an owner with that key.
    pub fn new(name: Name, owner: &Secret, random: Random) -> Self {
        Self { key: name.key(owner), name, random, waiting: Vec::with_capacity(CHUNK), index: 0 }
    }

    /// The pieces that are whole by now. One is kept back, for it may be the last.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<Vec<Vec<u8>>, NoRandomness> {
        let mut pieces = vec![];
        while !bytes.is_empty() {
            if self.waiting.len() == CHUNK {
                pieces.push(self.piece(false)?);
            }
            let (taken, rest) = bytes.split_at(bytes.len().min(CHUNK - self.waiting.len()));
            self.waiting.extend_from_slice(taken);
            bytes = rest;
        }
        Ok(pieces)
    }

    /// The last piece.
    pub fn end(mut self) -> Result<Vec<u8>, NoRandomness> {
        self.piece(true)
    }

    fn piece(&mut self, last: bool) -> Result<Vec<u8>, NoRandomness> {
        let sealed = self.key.encrypt(&mut self.waiting, &self.name.associated(self.index, last), &self.random)?;
        self.index += 1;
        self.waiting.clear();
        Ok(sealed)
    }
}

/// Opens pieces of a file.
pub struct Opener {
    name: Name,
    key: Secret,
    length: u64,
}

impl Opener {
    /// For the file of that name, of an owner with that key, which is `length` bytes long.
    pub fn new(name: Name, owner: &Secret, length: u64) -> Self {
        Self { key: name.key(owner), name, length }
    }

    /// The piece at `index`; `None` if it is not that one.
    pub fn open(&self, index: u64, mut piece: Vec<u8>) -> Option<Vec<u8>> {
        let last = index + 1 == pieces(self.length);
        let length = self.key.decrypt(&mut piece, &self.name.associated(index, last))?.len();
        piece.drain(..NONCE);
        piece.truncate(length);
        Some(piece)
    }
}

/// How many pieces so many bytes make.
pub const fn pieces(length: u64) -> u64 {
    let pieces = length.div_ceil(CHUNK as u64);
    if pieces == 0 { 1 } else { pieces }
}

/// Where the piece at `index` begins in what is stored; where it ends for the next one.
pub const fn offset(index: u64, length: u64) -> u64 {
    let whole = HEAD as u64 + index * (CHUNK + MORE) as u64;
    let end = HEAD as u64 + length + pieces(length) * MORE as u64;
    if whole < end { whole } else { end }
}

/// How long a piece is at most as it is stored.
pub const STORED_CHUNK: usize = CHUNK + MORE;

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: Name = Name { media: MediaId(Uuid::from_u128(0x1234)), file: Uuid::from_u128(2), part: Part::Whole };

    fn owner() -> Secret {
        Secret::new([7; 32])
    }

    fn sealed(length: usize) -> (Vec<u8>, Vec<Vec<u8>>) {
        let plain: Vec<u8> = (0..length).map(|n| u8::try_from(n % 251).unwrap()).collect();
        let mut sealer = Sealer::new(NAME, &owner(), Random::system());
        let mut found = vec![];
        for part in plain.chunks(10_007) {
            found.extend(sealer.write(part).unwrap());
        }
        found.push(sealer.end().unwrap());
        (plain, found)
    }

    #[test]
    fn what_is_written_in_any_lengths_is_opened_piece_by_piece() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 17] {
            let (plain, found) = sealed(length);
            let long = u64::try_from(length).unwrap();
            assert_eq!(found.len() as u64, pieces(long), "{length}");
            let stored: usize = HEAD + found.iter().map(Vec::len).sum::<usize>();
            assert_eq!(offset(pieces(long), long), stored as u64, "{length}");
            let opener = Opener::new(NAME, &owner(), long);
            let read: Vec<u8> = found.into_iter().enumerate().flat_map(|(n, piece)| opener.open(n as u64, piece).unwrap()).collect();
            assert!(read == plain, "{length}");
        }
    }

    #[test]
    fn a_piece_opens_in_its_own_place_alone() {
        let (_, found) = sealed(2 * CHUNK + 5);
        let long = 2 * CHUNK as u64 + 5;
        let opener = Opener::new(NAME, &owner(), long);
        assert!(opener.open(0, found[1].clone()).is_none(), "moved");
        assert!(Opener::new(NAME, &owner(), CHUNK as u64).open(0, found[0].clone()).is_none(), "cut off");
        assert!(Opener::new(NAME, &owner(), 4 * CHUNK as u64).open(2, found[2].clone()).is_none(), "gone on");
        assert!(Opener::new(NAME, &Secret::new([8; 32]), long).open(0, found[0].clone()).is_none(), "another owner's");
        for other in [Name { part: Part::Thumbnail(ThumbnailSize::Small), ..NAME }, Name { file: Uuid::from_u128(3), ..NAME }] {
            assert!(Opener::new(other, &owner(), long).open(0, found[0].clone()).is_none(), "another file's");
        }
        let mut changed = found[0].clone();
        changed[100] ^= 1;
        assert!(opener.open(0, changed).is_none());
    }

    #[test]
    fn names_and_heads_are_read_as_they_are_written() {
        for part in Part::ALL {
            let name = Name { part, ..NAME };
            assert_eq!((Name::read(&name.to_string()), name.folder()), (Some(name), "34".to_owned()));
        }
        for no in ["", "a.b.whole", &format!("{}.{}", NAME.media, NAME.file), &format!("{NAME}.x"), &format!("{NAME}").to_uppercase()] {
            assert_eq!(Name::read(no), None, "{no}");
        }
        let head = Head { version: 3 };
        assert_eq!(Head::read(&head.bytes()), Some(head));
        assert_eq!((Head::read(&[0; HEAD]), Head::read(&head.bytes()[1..])), (None, None));
    }
}
