//! What happens to files between a request and the store: they are received in bounds, looked at, made small, served by parts, and taken
//! away when nobody needs them.

pub(crate) mod cut;
pub(crate) mod picture;
pub(crate) mod range;
pub(crate) mod receive;
pub(crate) mod sniff;
pub mod sweep;
pub(crate) mod uploads;

use crate::{App, Problem};
use circolo_domain::{
    MediaId, PersonId,
    media::{self, Media, Picture},
};
use circolo_events::{
    media::{Files, FilesError},
    sealing::{Keyring, Random},
};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Pictures that are decoded at a time: each may take hundreds of megabytes.
const DECODING: usize = 2;

/// What is needed for files, beside the requests.
pub(crate) struct Workshop {
    /// Where they lie.
    pub files: Arc<Files>,
    /// What is drawn for them.
    pub random: Random,
    /// Who may decode a picture now.
    pub decoding: Semaphore,
    /// Who uploads now.
    pub uploads: Arc<uploads::Uploads>,
}

impl Workshop {
    /// One for these files, where so many are uploaded at a time.
    pub fn new(files: Arc<Files>, uploads: usize) -> Self {
        let (decoding, uploads) = (Semaphore::new(DECODING), uploads::Uploads::new(uploads));
        Self { files, random: Random::system(), decoding, uploads }
    }
}

impl App {
    /// The keys that files are encrypted under.
    pub(crate) fn keys(&self) -> Result<&Keyring, Problem> {
        let log = self.store().sealing().ok_or_else(|| Problem::internal(&"there are no keys for files"))?;
        Ok(log.keys())
    }

    /// The picture that `person` may show: 422 `unknown_media` if it is not theirs, is none, or is not there.
    pub(crate) async fn picture(&self, id: MediaId, person: PersonId) -> Result<Picture, Problem> {
        let state = self.executor().load_in_part::<Media>(&media::stream(id)).await?.whole().map(|loaded| loaded.state);
        let picture = state.ok().and_then(|state| state.picture_of(id, person, self.now()));
        picture.ok_or_else(|| {
            Problem::invalid_field("unknown_media", "media_id", "a picture that you uploaded, and that is still there, is expected")
        })
    }
}

impl From<FilesError> for Problem {
    fn from(error: FilesError) -> Self {
        match error {
            // As their texts are null, their files are not there.
            FilesError::Destroyed(_) => Self::not_found(),
            FilesError::Missing(_) | FilesError::Damaged(_) | FilesError::NoKey(_) => {
                tracing::error!(%error, "a file cannot be read (circolo media check tells which are missing)");
                Self::unreadable()
            }
            FilesError::Store(_) | FilesError::Folder(..) | FilesError::Keys(_) | FilesError::Random(_) | FilesError::Place(_) => {
                tracing::error!(%error, "the store of files cannot be used");
                Self::try_later("media_unavailable", "files cannot be stored or read at the moment")
            }
        }
    }
}
