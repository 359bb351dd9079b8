//! Why a wish about a membership is refused.

use crate::access::Denied;
use crate::{Kind, Rejection};
use serde_json::{Value, json};

/// Why a command is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Rights.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// They are in.
    #[error("this person is a member already")]
    AlreadyMember,
    /// They are not in.
    #[error("this person is not a member of the group")]
    NotAMember,
    /// Nothing to accept, decline or revoke.
    #[error("there is no open invitation")]
    NoInvitation,
    /// Nothing to decide or withdraw.
    #[error("there is no open request")]
    NoRequest,
    /// Somebody else was first.
    #[error("somebody else decided this request: it was {}", if *approved { "approved" } else { "refused" })]
    AlreadyDecided {
        /// What they decided.
        approved: bool,
    },
    /// The group grows by invitation alone.
    #[error("one becomes a member of this group by invitation only")]
    InviteOnly,
    /// Whom it is about is banned.
    #[error("this person is banned from the group")]
    PersonBanned,
    /// Nothing to lift.
    #[error("this person is not banned")]
    NotBanned,
    /// Moderators do not act against admins.
    #[error("moderators may not act against admins")]
    NotAgainstAdmins,
    /// A ban ends in the future.
    #[error("a ban's end must lie in the future")]
    UntilInPast,
    /// Nobody removes or bans themselves; they leave.
    #[error("this cannot be done to oneself; leave instead")]
    NotYourself,
    /// Who holds a role departs by way of the group's stream.
    #[error("this person holds a role, which has to be taken first")]
    HoldsRole,
    /// A place in the inviter's allowance comes first.
    #[error("somebody else changed this at the same moment; ask again")]
    NotCounted,
}

impl Rejection for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Denied(denied) => denied.code(),
            Self::AlreadyMember => "already_member",
            Self::NotAMember => "not_a_member",
            Self::NoInvitation => "no_invitation",
            Self::NoRequest => "no_request",
            Self::AlreadyDecided { .. } => "already_decided",
            Self::InviteOnly => "invite_only",
            Self::PersonBanned => "person_banned",
            Self::NotBanned => "not_banned",
            Self::NotAgainstAdmins => "not_against_admins",
            Self::UntilInPast => "until_in_past",
            Self::NotYourself => "not_yourself",
            Self::HoldsRole => "holds_role",
            Self::NotCounted => "changed_meanwhile",
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Denied(denied) => denied.kind(),
            Self::AlreadyMember
            | Self::AlreadyDecided { .. }
            | Self::PersonBanned
            | Self::NotYourself
            | Self::HoldsRole
            | Self::NotCounted => Kind::Conflict,
            Self::NotAMember | Self::NoInvitation | Self::NoRequest | Self::NotBanned => Kind::NotFound,
            Self::InviteOnly | Self::NotAgainstAdmins => Kind::Forbidden,
            Self::UntilInPast => Kind::Invalid,
        }
    }

    fn details(&self) -> Option<Value> {
        match self {
            Self::AlreadyDecided { approved } => Some(json!({ "outcome": if *approved { "approved" } else { "refused" } })),
            _ => None,
        }
    }
}
