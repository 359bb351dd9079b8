//! Things: what has an id of its own and can be read, named, saved or told of, and its sort.

use crate::values::word::words;
use crate::{AnswerId, CommentId, GroupId, ListingId, PageId, PersonId, PostId, QuestionId};
use uuid::Uuid;

words! {
    /// A sort of thing. More may come: whoever reads them passes over those they do not know.
    pub enum ThingKind {
        /// An answer to a question.
        Answer = "answer",
        /// A comment.
        Comment = "comment",
        /// What a page and a person write to each other.
        Conversation = "conversation",
        /// A group.
        Group = "group",
        /// Something for sale.
        Listing = "listing",
        /// A person in a group.
        Membership = "membership",
        /// A page.
        Page = "page",
        /// A person.
        Person = "person",
        /// A post.
        Post = "post",
        /// A question.
        Question = "question",
    }
}

/// A thing: what an event is about, to be read anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Thing {
    Answer(AnswerId, QuestionId),
    Comment(CommentId),
    Conversation(PageId, PersonId),
    Group(GroupId),
    Listing(ListingId),
    Membership(GroupId, PersonId),
    Page(PageId),
    Person(PersonId),
    Post(PostId),
    Question(QuestionId),
}

impl Thing {
    /// Its sort.
    pub const fn kind(self) -> ThingKind {
        match self {
            Self::Answer(..) => ThingKind::Answer,
            Self::Comment(_) => ThingKind::Comment,
            Self::Conversation(..) => ThingKind::Conversation,
            Self::Group(_) => ThingKind::Group,
            Self::Listing(_) => ThingKind::Listing,
            Self::Membership(..) => ThingKind::Membership,
            Self::Page(_) => ThingKind::Page,
            Self::Person(_) => ThingKind::Person,
            Self::Post(_) => ThingKind::Post,
            Self::Question(_) => ThingKind::Question,
        }
    }

    /// Its id; of a membership or a conversation that of the person.
    pub const fn id(self) -> Uuid {
        match self {
            Self::Answer(AnswerId(id), _)
            | Self::Comment(CommentId(id))
            | Self::Conversation(_, PersonId(id))
            | Self::Group(GroupId(id))
            | Self::Listing(ListingId(id))
            | Self::Membership(_, PersonId(id))
            | Self::Page(PageId(id))
            | Self::Person(PersonId(id))
            | Self::Post(PostId(id))
            | Self::Question(QuestionId(id)) => id,
        }
    }

    /// What it is under, where its own name tells: the question of an answer.
    pub const fn parent(self) -> Option<Uuid> {
        if let Self::Answer(_, QuestionId(id)) = self { Some(id) } else { None }
    }
}
