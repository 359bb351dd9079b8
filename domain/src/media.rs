//! A file that somebody uploaded: a picture, a film, a document. Its bytes lie in a store of their own; here is what is known of it, and
//! what shows it.
//!
//! What shows a thing is decided in the stream of what shows it (a person's avatar, the picture of a group or page), and follows here as
//! a flow: so whether a file is in use is known in its own stream, where it is decided that nobody needs it any more.

mod kind;

pub use kind::{Family, MediaType, ThumbnailSize};

use crate::allowance::{self, Allowance};
use crate::change::Change;
use crate::flow::{Flow, FollowUp};
use crate::stance::Rights;
use crate::{
    Context, Decider, FileName, GroupId, Kind, MediaId, Named, PageId, PersonId, Personal, Rejection, Span, StreamName, TextOwner,
    Timestamp, Written, weight,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use uuid::Uuid;

/// How long a file that nothing shows may still be used, and read by who uploaded it.
pub const UNUSED: Span = Span::hours(24);
/// How much later it is discarded: whatever was accepted at the last moment is known in this stream by then.
pub const GRACE: Span = Span::minutes(10);
/// What the smallest file counts for where bytes are counted: it takes a file's room, and an entry in whatever counts.
pub const LEAST: u64 = 64 * 1024;

/// What a file of so many bytes counts for where bytes are counted.
pub fn charge(bytes: u64) -> u64 {
    bytes.max(LEAST)
}

/// What shows a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Holder {
    /// A person, as their avatar.
    Person(PersonId),
    /// A group, as its picture.
    Group(GroupId),
    /// A page, as its picture.
    Page(PageId),
}

/// A smaller copy of a picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Thumbnail {
    /// Which.
    pub size: ThumbnailSize,
    /// What it is.
    pub media_type: MediaType,
    /// How long it is.
    pub bytes: u64,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
}

/// What was found out of a file when it was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// What its bytes lie under in the store: each try writes a file of its own.
    pub file: Uuid,
    /// What it is.
    pub media_type: MediaType,
    /// How long it is, as it is served.
    pub bytes: u64,
    /// Width and height in pixels, of a picture.
    pub pixels: Option<(u32, u32)>,
    /// Smaller copies, of a picture that is larger than these.
    pub thumbnails: Vec<Thumbnail>,
    /// SHA-256 of the bytes as they are served, in hexadecimal digits.
    pub sha256: String,
    /// What whoever uploaded it calls it.
    pub name: Option<FileName>,
}

/// What may be asked of a file's stream.
#[derive(Debug, Clone)]
pub enum Command {
    /// Notes a file that is in the store.
    UploadMedia(Box<Upload>),
    /// Something shows it; follows from the event that says so there.
    Attach {
        /// What.
        to: Holder,
        /// How often what is shown there has changed.
        number: u32,
    },
    /// Something shows it no longer.
    Detach {
        /// What.
        from: Holder,
        /// How often what is shown there has changed.
        number: u32,
    },
    /// Discards it if nothing has shown it for a day: whoever asks, and however often.
    DiscardUnused,
}

impl Named for Command {
    fn name(&self) -> &'static str {
        match self {
            Self::UploadMedia(_) => "UploadMedia",
            Self::Attach { .. } => "AttachMedia",
            Self::Detach { .. } => "DetachMedia",
            Self::DiscardUnused => "DiscardUnusedMedia",
        }
    }
}

/// Stored for ever: rename nothing, add a version instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", content = "data")]
pub enum Event {
    /// Somebody uploaded it.
    #[serde(rename = "media.uploaded.v1")]
    Uploaded {
        /// Who.
        uploader: PersonId,
        /// What its bytes lie under in the store.
        file: Uuid,
        /// What it is.
        media_type: MediaType,
        /// How long it is.
        bytes: u64,
        /// In pixels, of a picture.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        width: Option<u32>,
        /// In pixels, of a picture.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        height: Option<u32>,
        /// Smaller copies.
        thumbnails: Vec<Thumbnail>,
        /// SHA-256 of the bytes. Whoever has a file could else find out who uploaded it.
        sha256: Personal<String>,
        /// What whoever uploaded it calls it.
        name: Option<Personal<String>>,
    },
    /// Something shows it.
    #[serde(rename = "media.attached.v1")]
    Attached {
        /// What.
        to: Holder,
        /// How often what is shown there had changed.
        number: u32,
        /// How many show it now.
        holders: u32,
    },
    /// Something shows it no longer.
    #[serde(rename = "media.detached.v1")]
    Detached {
        /// What.
        from: Holder,
        /// How often what is shown there had changed.
        number: u32,
        /// How many show it now.
        holders: u32,
    },
    /// Nothing showed it for a day: it is gone.
    #[serde(rename = "media.discarded.v1")]
    Discarded {
        /// Who had uploaded it.
        uploader: PersonId,
        /// How long it was.
        bytes: u64,
    },
}

/// What is known of a file that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Who uploaded it.
    pub uploader: PersonId,
    /// What its bytes lie under in the store.
    pub file: Uuid,
    /// What it is.
    pub media_type: MediaType,
    /// How long it is.
    pub bytes: u64,
    /// Width and height in pixels, of a picture.
    pub pixels: Option<(u32, u32)>,
    /// Smaller copies.
    pub thumbnails: Vec<Thumbnail>,
    /// What whoever uploaded it calls it.
    pub name: Option<String>,
}

/// The fold of a file's stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Media {
    facts: Option<Facts>,
    /// Whether something shows it, by the newest that is known of each.
    holders: BTreeMap<Holder, (u32, bool)>,
    /// Since when nothing shows it; `None` while something does.
    unused: Option<Timestamp>,
    discarded: bool,
}

/// A picture that somebody may show: their own, and still there. Nothing but [`Media::picture_of`] makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Picture(MediaId);

impl Picture {
    /// Its id.
    pub const fn id(self) -> MediaId {
        self.0
    }

    /// For tests of those who show it.
    #[cfg(any(test, feature = "testing"))]
    pub const fn sample(id: MediaId) -> Self {
        Self(id)
    }
}

/// The stream of a file.
pub fn stream(id: MediaId) -> StreamName {
    crate::stream::<Media>(id)
}

impl Media {
    /// What is known of it, unless it never was or was discarded.
    pub const fn facts(&self) -> Option<&Facts> {
        if self.discarded { None } else { self.facts.as_ref() }
    }

    /// What shows it, as far as is known here.
    pub fn holders(&self) -> impl Iterator<Item = Holder> {
        self.holders.iter().filter(|(_, (_, shows))| *shows).map(|(holder, _)| *holder)
    }

    /// Since when nothing shows it; `None` while something does.
    pub const fn unused_since(&self) -> Option<Timestamp> {
        self.unused
    }

    /// Whether nobody but who uploaded it may read it at `now`: nothing shows it, and it is not too old for that.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        self.unused.is_some_and(|since| now < since.plus(UNUSED))
    }

    /// The picture that this is, if `person` may show it at `now`.
    pub fn picture_of(&self, id: MediaId, person: PersonId, now: Timestamp) -> Option<Picture> {
        let facts = self.facts().filter(|facts| facts.uploader == person && facts.media_type.family() == Family::Image)?;
        (facts.pixels.is_some() && (self.unused.is_none() || self.is_fresh(now))).then_some(Picture(id))
    }

    fn count(&self) -> u32 {
        u32::try_from(self.holders().count()).unwrap_or(u32::MAX)
    }

    /// Whether `number` is news of `holder`.
    fn is_news(&self, holder: Holder, number: u32) -> bool {
        self.facts().is_some() && self.holders.get(&holder).is_none_or(|(known, _)| *known < number)
    }

    fn shows(&self, holder: Holder) -> bool {
        self.holders.get(&holder).is_some_and(|(_, shows)| *shows)
    }
}

/// Why a command is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The id is taken.
    #[error("this file exists already")]
    AlreadyExists,
    /// Nobody uploads it.
    #[error("somebody has to upload it")]
    Nobodys,
}

impl Rejection for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::AlreadyExists => "already_exists",
            Self::Nobodys => "nobodys",
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::AlreadyExists => Kind::Conflict,
            Self::Nobodys => Kind::Unauthenticated,
        }
    }
}

/// What follows where `holder` shows another file, or none: what is shown somewhere is in use, and what was shown there before is not.
pub(crate) fn shown(holder: Holder, number: u32, media: Option<MediaId>, previous: Option<MediaId>) -> Vec<FollowUp> {
    let of = |media, command| FollowUp::new::<Media>(stream(media), command);
    let attach = media.map(|media| of(media, Command::Attach { to: holder, number }));
    let detach = previous.map(|media| of(media, Command::Detach { from: holder, number }));
    attach.into_iter().chain(detach).collect()
}

/// What is gone takes no room any more.
fn flow(_: &StreamName, event: &Event) -> Vec<FollowUp> {
    let Event::Discarded { uploader, bytes } = event else { return vec![] };
    let back = allowance::Command::GiveBytesBack { bytes: charge(*bytes) };
    vec![FollowUp::new::<Allowance>(allowance::stream(*uploader), back)]
}

fn uploaded(upload: &Upload, uploader: PersonId) -> Event {
    let text = |text: &str| Personal::new(text.to_owned(), TextOwner::Person(uploader));
    Event::Uploaded {
        uploader,
        file: upload.file,
        media_type: upload.media_type,
        bytes: upload.bytes,
        width: upload.pixels.map(|(width, _)| width),
        height: upload.pixels.map(|(_, height)| height),
        thumbnails: upload.thumbnails.clone(),
        sha256: text(&upload.sha256),
        name: upload.name.as_ref().map(|name| text(name.as_str())),
    }
}

impl Decider for Media {
    const CATEGORY: &'static str = "media";
    const STREAM: (&'static str, &'static str) = ("MEDIA", "a file that somebody uploaded");
    const FLOW: Option<Flow<Self>> = Some(flow);
    type Command = Command;
    type Event = Event;
    type Error = Error;

    fn rights(_: &mut Command) -> Vec<Rights<'_>> {
        vec![]
    }

    fn decide(&self, command: &Command, context: &Context) -> Result<Vec<Event>, Error> {
        match command {
            Command::UploadMedia(_) if self.facts.is_some() => Err(Error::AlreadyExists),
            Command::UploadMedia(upload) => Ok(vec![uploaded(upload, context.actor.ok_or(Error::Nobodys)?)]),
            Command::Attach { to, number } if self.is_news(*to, *number) => {
                let holders = self.count() + u32::from(!self.shows(*to));
                Ok(vec![Event::Attached { to: *to, number: *number, holders }])
            }
            Command::Detach { from, number } if self.is_news(*from, *number) => {
                let holders = self.count() - u32::from(self.shows(*from));
                Ok(vec![Event::Detached { from: *from, number: *number, holders }])
            }
            Command::Attach { .. } | Command::Detach { .. } => Ok(vec![]),
            Command::DiscardUnused => {
                let due = self.unused.is_some_and(|since| context.now >= since.plus(UNUSED).plus(GRACE));
                let facts = self.facts().filter(|_| due);
                Ok(facts.map(|facts| Event::Discarded { uploader: facts.uploader, bytes: facts.bytes }).into_iter().collect())
            }
        }
    }

    fn evolve(mut self, event: &Event, at: Timestamp) -> Self {
        match event.clone() {
            Event::Uploaded { uploader, file, media_type, bytes, width, height, thumbnails, name, .. } => {
                let name = name.and_then(|name| name.get().cloned());
                self.facts = Some(Facts { uploader, file, media_type, bytes, pixels: width.zip(height), thumbnails, name });
                self.unused = Some(at);
            }
            Event::Attached { to, number, .. } => {
                self.holders.insert(to, (number, true));
                self.unused = None;
            }
            Event::Detached { from, number, .. } => {
                self.holders.insert(from, (number, false));
                if self.holders().next().is_none() {
                    self.unused = self.unused.or(Some(at));
                }
            }
            Event::Discarded { .. } => self.discarded = true,
        }
        self
    }

    fn heap(&self) -> usize {
        let of = |facts: &Facts| weight::of_vec(&facts.thumbnails) + facts.name.as_ref().map_or(0, |name| weight::of_text(name.len()));
        weight::of_map(&self.holders) + self.facts.as_ref().map_or(0, of)
    }

    fn own_texts(event: &mut Event, _: &Written<'_>) {
        if let Event::Uploaded { uploader, sha256, name, .. } = event {
            let owner = TextOwner::Person(*uploader);
            sha256.give(owner);
            if let Some(name) = name {
                name.give(owner);
            }
        }
    }

    /// What shows a file tells of it.
    fn change(_: &StreamName, _: &Event) -> Option<Change> {
        None
    }

    fn concerns(&self, _: &StreamName, event: &Event, _: Option<&Command>) -> Vec<PersonId> {
        match event {
            Event::Discarded { uploader, .. } => vec![*uploader],
            Event::Uploaded { .. } | Event::Attached { .. } | Event::Detached { .. } => vec![],
        }
    }

    fn own(event: &crate::Event) -> Option<&Event> {
        if let crate::Event::Media(event) = event { Some(event) } else { None }
    }
}

#[cfg(feature = "testing")]
crate::testing::one_of_each! {
    Uploaded {
        uploader: person(1),
        file: id(0x91),
        media_type: MediaType::Jpeg,
        bytes: 48_211,
        width: Some(800),
        height: Some(600),
        thumbnails: vec![Thumbnail {
            size: ThumbnailSize::Small,
            media_type: MediaType::Jpeg,
            bytes: 4_096,
            width: 160,
            height: 120,
        }],
        sha256: text("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
        name: Some(text("Summit \"2026\".jpg")),
    }
    Attached { to: Holder::Group(GroupId(id(0xc1))), number: 2, holders: 1 }
    Detached { from: Holder::Person(person(1)), number: 3, holders: 0 }
    Discarded { uploader: person(1), bytes: 48_211 }
}

#[cfg(test)]
#[path = "media_tests.rs"]
mod tests;
