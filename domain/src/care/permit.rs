//! Permits: what allows a page to write to a person, for how long and how often.

use crate::{CommentId, Span, Timestamp, comment};
use serde::{Deserialize, Serialize};

/// For how long a page may write, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// A private reply: so long after the comment was written.
    pub private_reply: Span,
    /// In the conversation: so long after the person's last message.
    pub conversation_window: Span,
    /// One private reply without an answer in so long.
    pub contact_cap: Span,
}

/// The lengths that Messenger and Instagram know. Other channels may come to have others.
pub const META: Policy = Policy { private_reply: Span::days(7), conversation_window: Span::hours(24), contact_cap: Span::days(7) };

/// What a page writes for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// To answer.
    #[default]
    Reply,
    /// To look after something that the conversation is about.
    Care,
    /// To sell. Needs a permit that the person gave for it; there is none yet.
    Promotion,
    /// To let know. Needs a permit that the person gave for it; there is none yet.
    Notice,
    /// To warn before a ban. There are no warnings yet.
    Warning,
}

/// What allowed the page to write a message; stored with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Permit {
    /// The person had commented on a post of the page.
    PrivateReply {
        /// The comment: one private reply to each.
        comment: CommentId,
        /// When the right would have ended.
        ends: Timestamp,
    },
    /// The person had written not long before.
    ConversationWindow {
        /// When they had.
        opened: Timestamp,
        /// When the window would have closed.
        ends: Timestamp,
    },
}

/// The permit that a page claims for a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// To answer this comment of the person in private.
    PrivateReply(CommentedOn),
    /// To go on in an open conversation.
    Conversation,
}

/// The comment that a private reply is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommentedOn {
    /// Its id.
    pub id: CommentId,
    /// What is known of it. It counts as removed when its post is.
    pub facts: comment::Facts,
    /// When it was written; edits do not change that.
    pub written: Timestamp,
}
