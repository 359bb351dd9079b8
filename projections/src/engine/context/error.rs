//! What can go wrong in the engine.

use crate::{
    db::DbError,
    engine::tables::build::{BuildId, State},
    projection::DeclarationError,
};
use circolo_events::{Position, StoreError};

/// What can go wrong in the engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The read models' database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The log.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The declarations contradict each other.
    #[error(transparent)]
    Declaration(#[from] DeclarationError),
    /// The read models are ahead of the log, or folded from another one.
    #[error(
        "the log does not hold what {id} was folded from up to position {position}: it was restored from a backup, or is another log; \
         `circolo projections rebuild --all` builds the read models anew"
    )]
    Mismatch {
        /// The first build that does not match.
        id: BuildId,
        /// Its checkpoint.
        position: Position,
    },
    /// No projection has this name.
    #[error("no projection is called {0}")]
    Unknown(String),
    /// A build of it is under way or waits for its switch.
    #[error("{0} is under way")]
    Underway(BuildId),
    /// There is no build in the state that is needed.
    #[error("{name} has no build that could be {what}")]
    Nothing {
        /// The projection.
        name: String,
        /// Switched to, rolled back to, cancelled.
        what: &'static str,
    },
    /// It is needed, and cannot be dropped.
    #[error("{id} is {} and cannot be dropped", .state.name())]
    InUse {
        /// Which.
        id: BuildId,
        /// What it is needed as.
        state: State,
    },
    /// A build gave up.
    #[error("{id} failed: {reason}")]
    Failed {
        /// Which.
        id: BuildId,
        /// Why.
        reason: String,
    },
    /// Several nodes cannot share a file.
    #[error("several nodes need read models in Postgres: --views postgres://...")]
    OneNode,
    /// Another node moves the read model.
    #[error("another node moves the read models")]
    Elsewhere,
    /// An event that a newer program wrote: another node may know it.
    #[error("no event of type {0} is known here")]
    Newer(String),
    /// The projector is shutting down.
    #[error("the projector is shutting down")]
    Down,
}

impl EngineError {
    /// Is it an error that no retry can mend?
    pub const fn is_final(&self) -> bool {
        match self {
            Self::Db(error) => !matches!(error, DbError::Failed(_)) && !error.is_lasting(),
            Self::Store(error) => matches!(error, StoreError::Lost),
            _ => true,
        }
    }

    /// Is it one that no retry should mend, though some are worth while?
    pub const fn is_lasting(&self) -> bool {
        match self {
            Self::Db(error) => error.is_lasting(),
            Self::Store(error) => matches!(error, StoreError::Damaged { .. }),
            _ => false,
        }
    }
}
