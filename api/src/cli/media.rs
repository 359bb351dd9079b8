//! `circolo media`: uploaded files, looked at beside whoever serves them.

use crate::cli::Ended;
use circolo::config::{MediaStorage, Storage};
use circolo_domain::{
    Event, MediaId,
    media::{self, Thumbnail},
};
use circolo_events::{
    EventStore, Position,
    media::{Files, Name, Part, chunks},
};
use clap::{Args, Subcommand};
use futures::TryStreamExt;
use std::collections::BTreeMap;

/// Events read at once.
const PAGE: usize = 4_000;

/// What `circolo media` takes.
#[derive(Debug, Args)]
pub(super) struct Media {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Tell which files the log tells of and the store does not have, or not whole. Ends with 1 if there are any, with 2 if it could not
    /// be looked at
    Check(Check),
}

/// What `circolo media check` takes.
#[derive(Debug, Args)]
struct Check {
    #[command(flatten)]
    storage: Storage,
    #[command(flatten)]
    media: MediaStorage,
}

impl Media {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let Action::Check(Check { storage, media }) = self.action;
        let unread = |error: anyhow::Error| error.context(Ended { code: 2, what: "the files could not be checked".to_owned() });
        let check = async {
            let log = storage.open_log_beside().await?;
            // Files come before the events that tell of them.
            let told = told(&*log).await?;
            anyhow::Ok((told, lying(&media.open(&storage.folder)?).await?))
        };
        let (told, lying) = check.await.map_err(unread)?;
        let mut wrong = 0_usize;
        for (name, length) in &told {
            let fault = match lying.get(name) {
                None => "is missing",
                Some(stored) if *stored != chunks::offset(chunks::pieces(*length), *length) => "is not as long as it was",
                Some(_) => continue,
            };
            println!("{} of media {} {fault}: {name}", name.part.name(), name.media);
            wrong += 1;
        }
        let spare = lying.keys().filter(|name| !told.contains_key(name)).count();
        println!("{} files are told of, {spare} lie there besides", told.len());
        if wrong == 0 {
            println!("all of them are there");
            return Ok(());
        }
        Err(Ended { code: 1, what: format!("{wrong} files are missing or not whole: bring them back from a backup") }.into())
    }
}

/// The files that the log tells of, with their lengths in clear.
async fn told(log: &dyn EventStore) -> anyhow::Result<BTreeMap<Name, u64>> {
    let (mut told, mut after) = (BTreeMap::new(), Position::START);
    let head = log.head().await?;
    while after < head {
        let page = log.read_prefix("media-", after, head, PAGE).await?;
        for stored in &page.events {
            let (Some(id), Ok(recorded)) = (stored.stream.id().map(MediaId), stored.decode()) else { continue };
            match recorded.event {
                Event::Media(media::Event::Uploaded { file, bytes, thumbnails, .. }) => {
                    let of = |part| Name { media: id, file, part };
                    told.insert(of(Part::Whole), bytes);
                    told.extend(thumbnails.iter().map(|Thumbnail { size, bytes, .. }| (of(Part::Thumbnail(*size)), *bytes)));
                }
                Event::Media(media::Event::Discarded { .. }) => told.retain(|name, _| name.media != id),
                _ => {}
            }
        }
        if page.scanned <= after {
            break;
        }
        after = page.scanned;
    }
    Ok(told)
}

async fn lying(files: &Files) -> anyhow::Result<BTreeMap<Name, u64>> {
    Ok(files.list().map_ok(|lying| (lying.name, lying.bytes)).try_collect().await?)
}
