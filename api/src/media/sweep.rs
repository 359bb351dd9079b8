//! Takes away what nobody needs: files that nothing shows for a day, and those of which no event tells.

use crate::{App, Problem};
use circolo_domain::{
    MediaId, Span,
    media::{self, GRACE, Media, UNUSED},
};
use circolo_events::{
    Executor, Request,
    media::{Files, Name},
};
use circolo_projections::{Db, media as rows};
use futures::{StreamExt, pin_mut};
use std::time::Duration;
use tokio::sync::watch;
use uuid::Uuid;

/// How often files are looked for that nothing shows.
const PAUSE: Duration = Duration::from_mins(5);
/// Once in so many times, all that lies in the store is looked through.
const THOROUGH: u32 = 72;
/// How long a file may lie there before an event tells of it.
const UNTOLD: Span = Span::hours(24);
/// Files that are asked for at a time.
const PAGE: i64 = 500;

/// What was taken away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Media that nothing showed.
    pub unused: usize,
    /// Files of which no event told.
    pub untold: usize,
}

impl App {
    /// Takes files away that nothing shows, and, if it is to be `thorough`, those of which no event tells.
    pub async fn sweep(&self, thorough: bool) -> Result<Swept, Problem> {
        let mut swept = Swept { unused: self.discard_unused().await?, untold: 0 };
        if thorough {
            swept.untold = self.remove_untold().await?;
        }
        Ok(swept)
    }

    async fn discard_unused(&self) -> Result<usize, Problem> {
        let until = self.now().minus(UNUSED).minus(GRACE);
        let mut discarded = 0;
        loop {
            let due = rows::unused(self.db(), until, PAGE).await?;
            let before = discarded;
            for row in &due {
                let id = MediaId(row.id.parse().map_err(|error| Problem::internal(&error))?);
                discarded += usize::from(discard(self.executor(), &self.workshop().files, id, row.unused_since).await?);
            }
            // What the read models do not know to be gone yet comes again.
            if i64::try_from(due.len()).is_ok_and(|due| due < PAGE) || discarded == before {
                return Ok(discarded);
            }
        }
    }

    async fn remove_untold(&self) -> Result<usize, Problem> {
        let (files, before) = (&self.workshop().files, self.now().minus(UNTOLD));
        let listed = files.list();
        pin_mut!(listed);
        let (mut removed, mut known) = (0, Known::default());
        while let Some(lying) = listed.next().await {
            let lying = lying?;
            if lying.written < before && !known.tells(self.executor(), lying.name).await? {
                files.remove([lying.name]).await?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

/// The last media that was looked at: files of one stand together.
#[derive(Default)]
struct Known(Option<(MediaId, Option<Uuid>)>);

impl Known {
    /// Whether an event tells of a file. Of what cannot be read nothing is taken away.
    async fn tells(&mut self, executor: &Executor, name: Name) -> Result<bool, Problem> {
        if self.0.is_none_or(|(media, _)| media != name.media) {
            let loaded = executor.load_in_part::<Media>(&media::stream(name.media)).await?;
            if loaded.unread.is_some() {
                return Ok(true);
            }
            self.0 = Some((name.media, loaded.state.facts().map(|facts| facts.file)));
        }
        Ok(self.0.is_some_and(|(_, file)| file == Some(name.file)))
    }
}

/// Discards one, if its own stream says that nothing has shown it for so long, and takes its files away.
async fn discard(executor: &Executor, files: &Files, id: MediaId, since: i64) -> Result<bool, Problem> {
    let stream = media::stream(id);
    let loaded = executor.load_in_part::<Media>(&stream).await?;
    if loaded.unread.is_some() {
        return Ok(false);
    }
    let file = loaded.state.facts().map(|facts| facts.file);
    // As often as it became unused, it is discarded once.
    let command_id = Uuid::new_v5(&id.0, format!("discard {since}").as_bytes());
    let request = Request { keyed: true, ..Request::new(None, command_id) };
    let done = executor.execute::<Media>(&stream, media::Command::DiscardUnused, &request).await?;
    if done.changed
        && let Some(file) = file
    {
        // If this fails, it is found by who looks through all that lies there.
        files.remove_all(id, file).await?;
    }
    Ok(done.changed)
}

/// Sweeps from time to time, until told to stop: where one of several nodes leads, that one does.
pub(crate) async fn run(app: App, leading: Option<watch::Receiver<Option<Db>>>, mut stop: watch::Receiver<bool>) {
    let mut round: u32 = 0;
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
        if leading.as_ref().is_some_and(|leading| leading.borrow().is_none()) {
            continue;
        }
        match app.sweep(round.is_multiple_of(THOROUGH)).await {
            Ok(Swept { unused: 0, untold: 0 }) => {}
            Ok(Swept { unused, untold }) => tracing::info!(unused, untold, "files that nobody needs were taken away"),
            Err(problem) => tracing::warn!(code = problem.code(), "files that nobody needs stay for now"),
        }
        round = round.wrapping_add(1);
    }
}
