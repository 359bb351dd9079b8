//! A file on its way in: counted, at a pace, looked at, and written to the store while it comes.

use super::{
    picture::{self, Encoded, Prepared, Unfit},
    sniff,
};
use crate::{App, Problem, call::Call, problem::Field};
use axum::{
    body::{Body, BodyDataStream, Bytes},
    http::StatusCode,
};
use circolo_domain::{
    Decider, FileName, MediaId,
    allowance::{self, Allowance, Room},
    media::{self, Family, Media, MediaType, Thumbnail, Upload},
};
use circolo_events::{
    execute,
    media::{Name, Part, Stored, Writer},
};
use futures::StreamExt;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// Whoever sends less than so many bytes in a second over all of it does not hold a place for longer.
const SLOWEST: u64 = 16 * 1024;

/// What comes with a file.
pub(crate) struct Coming {
    /// What it is said to be.
    pub claim: MediaType,
    /// How long it is said to be.
    pub length: Option<u64>,
    /// What it is called.
    pub name: Option<FileName>,
    /// The file.
    pub body: Body,
}

/// A body, as far as it has come.
struct Incoming {
    stream: BodyDataStream,
    limit: u64,
    read: u64,
    digest: Sha256,
    begun: Instant,
    patience: Duration,
}

impl Incoming {
    /// The next bytes.
    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        let late = || Problem::try_later("timeout", "the file comes too slowly");
        let next = tokio::time::timeout(self.patience, self.stream.next()).await.map_err(|_| late())?;
        let Some(bytes) = next.transpose().map_err(|_| Problem::bad_request("unreadable_body", "the body could not be read"))? else {
            return Ok(None);
        };
        self.read += bytes.len() as u64;
        self.digest.update(&bytes);
        if self.read > self.limit {
            return Err(too_large(self.limit));
        }
        if self.begun.elapsed() > self.patience + Duration::from_secs(self.read / SLOWEST) {
            return Err(late());
        }
        Ok(Some(bytes))
    }

    /// Reads on until there are as many bytes, or all.
    async fn gather(&mut self, into: &mut Vec<u8>, enough: usize) -> Result<(), Problem> {
        while into.len() < enough {
            let Some(bytes) = self.next().await? else { break };
            into.extend_from_slice(&bytes);
        }
        Ok(())
    }
}

fn too_large(limit: u64) -> Problem {
    let problem = Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "the file is too large");
    problem.with_details(json!({ "limit": limit }))
}

fn unfit(unfit: Unfit) -> Problem {
    let of = |code, detail| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail);
    match unfit {
        Unfit::Unreadable => of("unreadable_media", "this is no whole picture of its type"),
        Unfit::TooManyPixels => of("too_many_pixels", "the picture has more pixels than can be stored"),
    }
}

impl App {
    /// How many bytes of files a person may store.
    fn room(&self) -> Room {
        let media = &self.config().media;
        Room { per_day: media.media_per_day, in_all: media.media_in_all }
    }

    /// Takes a file in: what it came to, and what is known of it.
    pub(crate) async fn receive(&self, call: &Call, coming: Coming) -> Result<execute::Done, Problem> {
        let limit = self.config().media.limit(coming.claim.family());
        if coming.length.is_some_and(|length| length > limit) {
            return Err(too_large(limit));
        }
        let place = self.workshop().uploads.enter(call.person())?;
        self.has_room(call, coming.length.unwrap_or(1)).await?;
        let id = MediaId(call.command_id());
        let name = Name { media: id, file: self.fresh_id(), part: Part::Whole };
        let noted = self.store_and_note(call, name, coming, limit).await;
        drop(place);
        // Of a repeat, and of what was refused, nothing stays.
        if !noted.as_ref().is_ok_and(|done| !done.repeated)
            && let Err(error) = self.workshop().files.remove_all(name.media, name.file).await
        {
            tracing::warn!(%error, "a file that is not wanted stays until it is swept");
        }
        noted
    }

    /// Refuses early what would be refused in the end.
    async fn has_room(&self, call: &Call, bytes: u64) -> Result<(), Problem> {
        let stream = allowance::stream(call.person());
        let state = self.executor().load::<Allowance>(&stream).await?.state;
        let command = allowance::Command::TakeBytes { bytes: media::charge(bytes), most: self.room() };
        // A repeat takes no room.
        match state.decide(&command, &call.context(&stream, self.now())) {
            Err(refusal) if !call.keyed() => Err(Problem::rejected(&refusal)),
            _ => Ok(()),
        }
    }

    async fn store_and_note(&self, call: &Call, name: Name, coming: Coming, limit: u64) -> Result<execute::Done, Problem> {
        let Coming { claim, name: called, body, .. } = coming;
        let mut incoming = Incoming {
            stream: body.into_data_stream(),
            limit,
            read: 0,
            digest: Sha256::new(),
            begun: Instant::now(),
            patience: self.config().request_timeout(),
        };
        let mut begins = vec![];
        incoming.gather(&mut begins, sniff::ENOUGH).await?;
        if !sniff::is_it(claim, &begins) {
            let field = Field {
                field: "Content-Type".to_owned(),
                code: "other_type".to_owned(),
                message: format!("this is not {}", claim.as_str()),
            };
            let problem = Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media_type_mismatch", "the file is not what Content-Type says");
            return Err(problem.with_fields(vec![field]));
        }
        let mut upload = match claim.family() {
            Family::Image => self.store_picture(call, name, claim, begins, &mut incoming).await?,
            _ => self.store_stream(call, name, claim, &begins, &mut incoming).await?,
        };
        upload.name = called;
        call.asks(&json!({ "type": claim.as_str(), "sha256": format!("{:x}", incoming.digest.finalize()) }));
        self.note(call, name.media, upload).await
    }

    async fn note(&self, call: &Call, id: MediaId, upload: Upload) -> Result<execute::Done, Problem> {
        let take = allowance::Command::TakeBytes { bytes: media::charge(upload.bytes), most: self.room() };
        self.execute::<Allowance>(&call.part("allowance"), &allowance::stream(call.person()), take, None).await?;
        self.execute::<Media>(call, &media::stream(id), media::Command::UploadMedia(Box::new(upload)), None).await
    }

    async fn writer(&self, call: &Call, name: Name) -> Result<Writer, Problem> {
        let workshop = self.workshop();
        Ok(workshop.files.write(name, call.person(), self.keys()?, workshop.random.clone()).await?)
    }

    /// Writes what comes as it comes.
    async fn store_stream(
        &self,
        call: &Call,
        name: Name,
        media_type: MediaType,
        begins: &[u8],
        incoming: &mut Incoming,
    ) -> Result<Upload, Problem> {
        let mut writer = self.writer(call, name).await?;
        match pump(&mut writer, begins, incoming).await {
            Ok(()) => {}
            Err(problem) => {
                writer.abort().await;
                return Err(problem);
            }
        }
        let stored = writer.end().await?;
        Ok(upload(name.file, media_type, stored))
    }

    /// Takes all of a picture in, and writes what is made of it.
    async fn store_picture(
        &self,
        call: &Call,
        name: Name,
        claim: MediaType,
        mut bytes: Vec<u8>,
        incoming: &mut Incoming,
    ) -> Result<Upload, Problem> {
        incoming.gather(&mut bytes, usize::MAX).await?;
        let most = self.config().media.image_pixels;
        let turn = self.workshop().decoding.acquire().await.map_err(|error| Problem::internal(&error))?;
        let prepared = tokio::task::spawn_blocking(move || picture::prepare(&bytes, claim, most)).await;
        drop(turn);
        let Prepared { whole, thumbnails } = prepared.map_err(|panic| Problem::internal(&panic))?.map_err(unfit)?;
        let stored = self.store_copy(call, name, &whole).await?;
        let mut made = upload(name.file, whole.media_type, stored);
        made.pixels = Some((whole.width, whole.height));
        for (size, copy) in thumbnails {
            let stored = self.store_copy(call, Name { part: Part::Thumbnail(size), ..name }, &copy).await?;
            let Encoded { media_type, width, height, .. } = copy;
            made.thumbnails.push(Thumbnail { size, media_type, bytes: stored.bytes, width, height });
        }
        Ok(made)
    }

    async fn store_copy(&self, call: &Call, name: Name, copy: &Encoded) -> Result<Stored, Problem> {
        let mut writer = self.writer(call, name).await?;
        writer.put(&copy.bytes).await?;
        Ok(writer.end().await?)
    }
}

async fn pump(writer: &mut Writer, begins: &[u8], incoming: &mut Incoming) -> Result<(), Problem> {
    writer.put(begins).await?;
    while let Some(bytes) = incoming.next().await? {
        writer.put(&bytes).await?;
    }
    Ok(())
}

fn upload(file: Uuid, media_type: MediaType, stored: Stored) -> Upload {
    let Stored { bytes, sha256 } = stored;
    Upload { file, media_type, bytes, pixels: None, thumbnails: vec![], sha256, name: None }
}
