//! Who may use a log in KurrentDB, which has no locks: a register that the last record of a stream holds, written at an exact revision.
//!
//! A lease would write to the log for as long as a server runs. Here nothing is written while all is well: whoever comes asks, and
//! whoever holds the log and lives objects. Who is silent for [`PATIENCE`] holds it no more, and stops when it sees that.

use super::{ConnectError, KurrentDb, Options, envelope::CLAIM_STREAM};
use crate::store::{Append, Expected, NewEvent, Revision, StoreError, event_id};
use circolo_domain::{StreamName, Timestamp};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    task::AbortHandle,
    time::{Instant, sleep},
};
use uuid::Uuid;

/// How long a holder may take to object.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a holder looks whether somebody asks.
const WATCH: Duration = Duration::from_millis(500);
/// How often whoever asks looks for an answer.
const PAUSE: Duration = Duration::from_millis(100);
/// Holders that share a log and were killed stay in the register; so many at most.
const REMEMBERED: usize = 256;

/// Why a claim was not given.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Another process holds it.
    #[error(
        "another circolo program, {0}, is using the log in this KurrentDB: stop it first. Servers that share a log need read models in \
         Postgres (--views postgres://...)"
    )]
    Held(String),
    /// The database cannot be reached.
    #[error("the claim on the log in KurrentDB failed: {0}")]
    Store(#[from] StoreError),
    /// It cannot be opened.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The register holds something else.
    #[error("the last record of the stream circolo-claims is no register of claims")]
    NotARegister,
}

/// Whoever uses a log, or wants to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claimant {
    /// Unlike that of any other process, ever.
    pub id: Uuid,
    /// What one process can hold at a time by other means, such as a locked folder: who comes to the same place knows that the one
    /// before has ended.
    pub place: Uuid,
    /// Wants the log to itself.
    pub alone: bool,
    /// For people.
    pub who: String,
}

impl Claimant {
    fn conflicts(&self, other: &Self) -> bool {
        (self.alone || other.alone) && self.place != other.place
    }
}

/// What the stream's last record says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Register {
    holders: Vec<Claimant>,
    asking: Option<Claimant>,
    /// Who asked last and was refused, and by whom.
    refused: Option<(Uuid, Claimant)>,
}

/// What whoever wants to come in does next.
#[derive(Debug, PartialEq, Eq)]
enum Entry {
    /// Somebody objected.
    Refused(Claimant),
    Wait,
    /// Writes this: to be in, if it is among the holders then.
    Write(Register),
}

/// What a holder does next.
#[derive(Debug, PartialEq, Eq)]
enum Watch {
    Nothing,
    Write(Register),
    /// Another took over.
    Lost,
}

impl Register {
    fn holds(&self, me: &Claimant) -> bool {
        self.holders.iter().any(|holder| holder.id == me.id)
    }

    /// With `me` among the holders, and nobody whom that excludes.
    fn with(mut self, me: &Claimant) -> Self {
        self.holders.retain(|holder| !holder.conflicts(me) && holder.id != me.id && !(me.alone && holder.place == me.place));
        self.holders.push(me.clone());
        let most = self.holders.len().saturating_sub(REMEMBERED);
        self.holders.drain(..most);
        Self { holders: self.holders, ..Self::default() }
    }

    fn without(mut self, me: &Claimant) -> Self {
        self.holders.retain(|holder| holder.id != me.id);
        self
    }

    /// What `me` does to come in; `waited` is how long the same question has been there.
    fn enter(self, me: &Claimant, waited: Duration) -> Entry {
        if let Some((_, by)) = self.refused.as_ref().filter(|(id, _)| *id == me.id) {
            return Entry::Refused(by.clone());
        }
        if !self.holders.iter().any(|holder| holder.conflicts(me)) {
            return Entry::Write(self.with(me));
        }
        match &self.asking {
            Some(asking) if asking.id == me.id && waited >= PATIENCE => Entry::Write(self.with(me)),
            // Whoever asked before goes first, unless it ended meanwhile.
            Some(asking) if asking.id == me.id || waited < PATIENCE * 2 => Entry::Wait,
            _ => Entry::Write(Self { asking: Some(me.clone()), refused: None, ..self }),
        }
    }

    /// What `me`, who came in once, does to stay.
    fn watch(self, me: &Claimant) -> Watch {
        let replaced = |holder: &Claimant| holder.conflicts(me) || (me.alone && holder.place == me.place && holder.id != me.id);
        if self.holders.iter().any(replaced) {
            return Watch::Lost;
        }
        match &self.asking {
            Some(asking) if asking.conflicts(me) => {
                let refused = Some((asking.id, me.clone()));
                Watch::Write(Self { asking: None, refused, ..self })
            }
            _ if !self.holds(me) => Watch::Write(self.with(me)),
            _ => Watch::Nothing,
        }
    }
}

/// A place among those who use a log, until it is let go or another takes over.
#[derive(Debug)]
pub struct Claim {
    desk: Arc<Desk>,
    lost: watch::Receiver<bool>,
    watcher: AbortHandle,
}

impl Claim {
    /// Claims the log at `url` for `me`; asks whoever may hold it.
    pub async fn take(url: &str, options: &Options, me: Claimant) -> Result<Self, ClaimError> {
        let desk = Arc::new(Desk { store: KurrentDb::open(url, options)?, me });
        desk.enter().await?;
        let (sender, lost) = watch::channel(false);
        let watcher = tokio::spawn(watch_over(Arc::clone(&desk), sender)).abort_handle();
        Ok(Self { desk, lost, watcher })
    }

    /// Returns when another process has taken over: then this one must stop.
    pub async fn lost(&self) {
        // A watcher that is gone watches over nothing: that counts as lost.
        let _ = self.lost.clone().wait_for(|lost| *lost).await;
    }

    /// Lets go, so that nobody has to ask a process that has ended.
    pub async fn release(self) {
        self.watcher.abort();
        if let Err(error) = self.desk.leave().await {
            tracing::warn!(%error, "the claim on the log was not let go: the next to come waits a moment");
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

/// Where the register is read and written.
struct Desk {
    store: KurrentDb,
    me: Claimant,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").field("me", &self.me).finish_non_exhaustive()
    }
}

impl Desk {
    async fn read(&self) -> Result<(Option<Revision>, Register), ClaimError> {
        let Some(last) = self.store.reader.last(CLAIM_STREAM, 1).await?.pop() else { return Ok((None, Register::default())) };
        let register = serde_json::from_str(&last.event.data).map_err(|_| ClaimError::NotARegister)?;
        Ok((Some(last.revision), register))
    }

    /// Whether it was written: not if somebody else wrote behind `revision`.
    async fn write(&self, revision: Option<Revision>, register: &Register) -> Result<bool, ClaimError> {
        let place = revision.map_or(0, |revision| revision + 1);
        let event = NewEvent {
            id: event_id(self.me.id, usize::try_from(place).unwrap_or(usize::MAX)),
            event_type: "circolo.claims.changed.v1".to_owned(),
            data: serde_json::to_string(register).map_err(|_| ClaimError::NotARegister)?,
            metadata: "{}".to_owned(),
            // The database's own pages tell when.
            recorded_at: Timestamp::from_micros(0),
            texts: vec![],
        };
        let append = Append { stream: StreamName::stored(CLAIM_STREAM), expected: Expected::of(revision), events: vec![event] };
        match self.store.send(&append).await {
            Ok(_) => Ok(true),
            Err(StoreError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn enter(&self) -> Result<(), ClaimError> {
        let mut question = (None, Instant::now());
        loop {
            let (revision, register) = self.read().await?;
            let asking = register.asking.as_ref().map(|asking| asking.id);
            if question.0 != asking {
                question = (asking, Instant::now());
            }
            match register.enter(&self.me, question.1.elapsed()) {
                Entry::Refused(by) => return Err(ClaimError::Held(by.who)),
                Entry::Wait => {}
                Entry::Write(next) => {
                    if self.write(revision, &next).await? && next.holds(&self.me) {
                        return Ok(());
                    }
                }
            }
            sleep(PAUSE).await;
        }
    }

    /// Whether this process may stay.
    async fn stay(&self) -> Result<bool, ClaimError> {
        let (revision, register) = self.read().await?;
        match register.watch(&self.me) {
            Watch::Nothing => {}
            Watch::Lost => return Ok(false),
            // Not written: somebody else was faster, and is looked at next time.
            Watch::Write(next) => drop(self.write(revision, &next).await?),
        }
        Ok(true)
    }

    async fn leave(&self) -> Result<(), ClaimError> {
        loop {
            let (revision, register) = self.read().await?;
            if !register.holds(&self.me) || self.write(revision, &register.without(&self.me)).await? {
                return Ok(());
            }
        }
    }
}

async fn watch_over(desk: Arc<Desk>, lost: watch::Sender<bool>) {
    loop {
        sleep(WATCH).await;
        match desk.stay().await {
            Ok(true) => {}
            Ok(false) => break,
            // Whoever took over meanwhile is seen when it is back.
            Err(error) => tracing::debug!(%error, "the claims on the log cannot be read"),
        }
    }
    tracing::error!("another circolo program took over the log in KurrentDB: this one did not object in time");
    lost.send_replace(true);
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn claimant(id: u128, place: u128, alone: bool) -> Claimant {
        Claimant { id: Uuid::from_u128(id), place: Uuid::from_u128(place), alone, who: String::new() }
    }

    fn held_by(holders: &[Claimant]) -> Register {
        Register { holders: holders.to_vec(), ..Register::default() }
    }

    #[test]
    fn who_comes_to_a_held_log_asks_and_is_refused_by_whoever_lives() {
        let (first, second) = (claimant(1, 1, true), claimant(2, 2, true));
        assert_eq!(Register::default().enter(&first, PATIENCE), Entry::Write(held_by(std::slice::from_ref(&first))));
        let Entry::Write(asked) = held_by(std::slice::from_ref(&first)).enter(&second, Duration::ZERO) else { panic!("it asks") };
        assert!(!asked.holds(&second) && asked.holds(&first));
        assert_eq!(asked.clone().enter(&second, Duration::ZERO), Entry::Wait);
        let Watch::Write(refused) = asked.watch(&first) else { panic!("it objects") };
        assert_eq!(refused.clone().watch(&first), Watch::Nothing);
        assert_eq!(refused.enter(&second, PATIENCE), Entry::Refused(first));
    }

    #[test]
    fn who_is_silent_holds_it_no_more() {
        let (first, second) = (claimant(1, 1, true), claimant(2, 2, true));
        let asked = Register { asking: Some(second.clone()), ..held_by(std::slice::from_ref(&first)) };
        let Entry::Write(taken) = asked.enter(&second, PATIENCE) else { panic!("it enters") };
        assert_eq!(taken, held_by(std::slice::from_ref(&second)));
        assert_eq!(taken.clone().watch(&first), Watch::Lost);
        assert_eq!(taken.watch(&second), Watch::Nothing);
    }

    #[test]
    fn one_asks_at_a_time() {
        let (first, second, third) = (claimant(1, 1, true), claimant(2, 2, true), claimant(3, 3, true));
        let asked = Register { asking: Some(second), ..held_by(&[first]) };
        assert_eq!(asked.clone().enter(&third, PATIENCE), Entry::Wait);
        let Entry::Write(next) = asked.enter(&third, PATIENCE * 2) else { panic!("the second has ended") };
        assert_eq!(next.asking, Some(third));
    }

    #[test]
    fn those_who_share_do_not_disturb_each_other_but_keep_others_out() {
        let (one, two, alone) = (claimant(1, 1, false), claimant(2, 2, false), claimant(3, 3, true));
        let Entry::Write(both) = held_by(std::slice::from_ref(&one)).enter(&two, Duration::ZERO) else { panic!("it enters") };
        assert_eq!(both, held_by(&[one.clone(), two.clone()]));
        let Entry::Write(asked) = both.enter(&alone, Duration::ZERO) else { panic!("it asks") };
        assert!(matches!(asked.watch(&two), Watch::Write(refused) if refused.refused == Some((alone.id, two.clone()))));
        // One whose entry was dropped enters itself again, unless somebody has the log alone.
        assert_eq!(held_by(std::slice::from_ref(&one)).watch(&two), Watch::Write(held_by(&[one, two.clone()])));
        assert_eq!(held_by(&[alone]).watch(&two), Watch::Lost);
    }

    #[test]
    fn who_comes_back_to_its_place_asks_nobody() {
        let (before, after) = (claimant(1, 7, true), claimant(2, 7, true));
        let Entry::Write(taken) = held_by(std::slice::from_ref(&before)).enter(&after, Duration::ZERO) else { panic!("it enters") };
        assert_eq!(taken, held_by(std::slice::from_ref(&after)));
        assert_eq!(taken.watch(&before), Watch::Lost);
    }

    #[test]
    fn the_register_is_bounded() {
        let mut register = Register::default();
        for id in 0..300 {
            register = register.with(&claimant(id, id, false));
        }
        assert_eq!(register.holders.len(), REMEMBERED);
        assert!(register.holds(&claimant(299, 299, false)) && !register.holds(&claimant(0, 0, false)));
    }
}
