//! All commands, by the thing that they are about: who may send what to it, from where it stands. A command of the description
//! that is in no table fails by its name.

use axum::http::Method;
use circolo_tests::actor::{Actor, Reply};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Somebody does something: who, by which operation of the description, and how.
#[derive(Debug, Clone, Copy)]
pub struct Act(pub &'static str, pub &'static str, pub How);

/// How a command differs from the others of its operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    Plain,
    /// About this person.
    To(&'static str),
    /// A role for this person.
    Role(&'static str, &'static str),
    /// With this word.
    Say(&'static str),
}
use How::{Plain, Role, Say, To};

/// A thing in a state, and what may happen to it there.
pub struct Table {
    pub name: &'static str,
    /// The commands that lead to the state, which succeed.
    pub before: &'static [Act],
    pub acts: &'static [Act],
    /// What is looked at in the end: who, and what of the thing.
    pub reads: &'static [(&'static str, &'static str)],
    /// Whether the server acts by itself after these commands: revisions count that too.
    pub followed: bool,
}

/// Who is in a group: `ann` and `bea` are admins, `mona` is a moderator, `max` a member; `sue` is whom it is about.
const LISTS: &[(&str, &str)] = &[
    ("ann", "{group}"),
    ("ann", "{group}/members?status=member"),
    ("ann", "{group}/members?status=invited"),
    ("ann", "{group}/members?status=requested"),
    ("ann", "{group}/members?status=banned"),
    ("sue", "{group}"),
    ("nobody", "{group}/members"),
    ("max", "/v1/me/invitations"),
];

const OF_A_MEMBERSHIP: &[Act] = &[
    Act("ann", "invite_member", To("sue")),
    Act("max", "invite_member", To("sue")),
    Act("ann", "revoke_invitation", To("sue")),
    Act("sue", "accept_invitation", To("sue")),
    Act("sue", "decline_invitation", To("sue")),
    Act("sue", "join_group", Plain),
    Act("mona", "approve_request", To("sue")),
    Act("mona", "refuse_request", To("sue")),
    Act("sue", "withdraw_request", Plain),
    Act("sue", "leave_group", Plain),
    Act("ann", "remove_member", To("sue")),
    Act("mona", "ban_member", To("sue")),
    Act("ann", "ban_member", To("sue")),
    Act("mona", "unban_member", To("sue")),
];

const POST: &[(&str, &str)] = &[("ann", "{post}"), ("nobody", "{post}/comments"), ("ann", "{post}/versions"), ("nobody", "{group}/feed")];
const QUESTION: &[(&str, &str)] = &[("nobody", "{question}"), ("ann", "{group}/questions"), ("nobody", "{group}")];
const LISTING: &[(&str, &str)] =
    &[("ann", "{listing}"), ("max", "{listing}/history"), ("nobody", "{group}/catalogue"), ("nobody", "{group}/catalogue?status=sold")];
const PAGE: &[(&str, &str)] = &[("ann", "{page}"), ("bea", "{page}"), ("max", "{page}"), ("nobody", "/v1/pages?username={username}")];
const INBOX: &[(&str, &str)] = &[
    ("ann", "{page}/conversations"),
    ("ann", "{page}/conversations?status=done"),
    ("ann", "{page}/conversations?status=spam"),
    ("ann", "{page}/conversations/{sue}/messages"),
    ("sue", "{page}"),
];

pub const TABLES: &[Table] = &[
    Table { name: "nobody's membership", before: &[], acts: OF_A_MEMBERSHIP, reads: LISTS, followed: false },
    Table {
        name: "an invited person",
        before: &[Act("max", "invite_member", To("sue"))],
        acts: OF_A_MEMBERSHIP,
        reads: LISTS,
        followed: false,
    },
    Table { name: "one who asks", before: &[Act("sue", "join_group", Plain)], acts: OF_A_MEMBERSHIP, reads: LISTS, followed: false },
    Table {
        name: "a member",
        before: &[Act("ann", "invite_member", To("sue")), Act("sue", "accept_invitation", To("sue"))],
        acts: OF_A_MEMBERSHIP,
        reads: LISTS,
        followed: false,
    },
    Table { name: "a banned person", before: &[Act("ann", "ban_member", To("sue"))], acts: OF_A_MEMBERSHIP, reads: LISTS, followed: false },
    Table {
        name: "an open group",
        before: &[Act("ann", "change_group", Say("open"))],
        acts: &[
            Act("sue", "join_group", Plain),
            Act("mona", "ban_member", To("sue")),
            Act("sue", "leave_group", Plain),
            Act("ann", "invite_member", To("sue")),
            Act("ann", "change_group", Say("invite_only")),
        ],
        reads: LISTS,
        followed: false,
    },
    Table {
        name: "a group",
        before: &[],
        acts: &[
            Act("ann", "give_role", Role("bea", "member")),
            Act("bea", "give_role", Role("ann", "member")),
            Act("ann", "give_role", Role("max", "admin")),
            Act("bea", "give_role", Role("max", "moderator")),
            Act("ann", "give_role", Role("mona", "member")),
            Act("ann", "leave_group", Plain),
            Act("bea", "leave_group", Plain),
            Act("mona", "leave_group", Plain),
            Act("ann", "remove_member", To("bea")),
            Act("bea", "ban_member", To("ann")),
            Act("mona", "ban_member", To("max")),
            Act("max", "leave_group", Plain),
            Act("bea", "change_group", Say("another name")),
            Act("ann", "change_group", Say("closed")),
        ],
        reads: LISTS,
        followed: true,
    },
    Table {
        name: "a page",
        before: &[],
        acts: &[
            Act("ann", "give_staff_role", Role("bea", "editor")),
            Act("bea", "give_staff_role", Role("ann", "care_agent")),
            Act("ann", "give_staff_role", Role("max", "owner")),
            Act("bea", "withdraw_staff_role", To("ann")),
            Act("ann", "withdraw_staff_role", To("bea")),
            Act("ann", "withdraw_staff_role", To("ann")),
            Act("bea", "withdraw_staff_role", To("bea")),
            Act("bea", "change_page", Say("another name")),
        ],
        reads: PAGE,
        followed: false,
    },
    Table {
        name: "an offer",
        before: &[Act("ann", "give_staff_role", Role("max", "owner"))],
        acts: &[
            Act("max", "accept_staff_role", To("max")),
            Act("max", "decline_staff_role", To("max")),
            Act("bea", "withdraw_staff_role", To("max")),
            Act("bea", "withdraw_staff_role", To("ann")),
            Act("bea", "give_staff_role", Role("max", "editor")),
        ],
        reads: PAGE,
        followed: false,
    },
    Table {
        name: "a fan",
        before: &[],
        acts: &[
            Act("max", "follow_page", Plain),
            Act("max", "unfollow_page", Plain),
            Act("max", "block_page", Plain),
            Act("max", "unblock_page", Plain),
        ],
        reads: PAGE,
        followed: false,
    },
    Table {
        name: "a post",
        before: &[Act("max", "write_post", Say("one"))],
        acts: &[
            Act("max", "edit_post", Say("two")),
            Act("max", "edit_post", Say("three")),
            Act("max", "remove_post", Plain),
            Act("mona", "remove_post", Say("spam")),
            Act("bea", "react_to_post", Say("like")),
            Act("bea", "react_to_post", Say("love")),
            Act("bea", "withdraw_post_reaction", Plain),
        ],
        reads: POST,
        followed: false,
    },
    Table {
        name: "a comment",
        before: &[Act("max", "write_post", Say("one")), Act("max", "write_comment", Say("two"))],
        acts: &[
            Act("max", "edit_comment", Say("three")),
            Act("max", "edit_comment", Say("four")),
            Act("max", "remove_comment", Plain),
            Act("mona", "remove_comment", Say("spam")),
            Act("bea", "react_to_comment", Say("like")),
            Act("bea", "react_to_comment", Say("sad")),
            Act("bea", "withdraw_comment_reaction", Plain),
        ],
        reads: POST,
        followed: false,
    },
    Table {
        name: "a question",
        before: &[Act("max", "post_question", Say("why")), Act("bea", "post_answer", Say("one"))],
        acts: &[
            Act("bea", "post_answer", Say("two")),
            Act("mona", "post_answer", Say("three")),
            Act("max", "accept_answer", Plain),
            Act("mona", "accept_answer", Plain),
            Act("max", "withdraw_acceptance", Plain),
            Act("max", "close_question", Plain),
            Act("mona", "close_question", Plain),
            Act("max", "reopen_question", Plain),
        ],
        reads: QUESTION,
        followed: false,
    },
    Table {
        name: "a listing",
        before: &[Act("max", "post_listing", Say("skis"))],
        acts: &[
            Act("max", "mark_sold", Plain),
            Act("max", "mark_sold", To("bea")),
            Act("max", "withdraw_listing", Plain),
            Act("mona", "withdraw_listing", Say("spam")),
            Act("max", "edit_listing", Say("boots")),
            Act("max", "edit_listing", Plain),
            Act("max", "mark_available", Plain),
        ],
        reads: LISTING,
        followed: false,
    },
    Table {
        name: "a conversation",
        before: &[Act("sue", "write_to_page", Say("one"))],
        acts: &[
            Act("sue", "write_to_page", Say("two")),
            Act("ann", "send_page_message", Say("three")),
            Act("bea", "mark_done", Plain),
            Act("ann", "mark_spam", Plain),
            Act("ann", "reopen_conversation", Plain),
        ],
        reads: INBOX,
        followed: false,
    },
    Table {
        name: "a private reply",
        before: &[Act("ann", "write_page_post", Say("one")), Act("sue", "write_comment", Say("two"))],
        acts: &[
            Act("ann", "reply_in_private", Say("three")),
            Act("bea", "reply_in_private", Say("four")),
            Act("sue", "remove_comment", Plain),
            Act("ann", "remove_comment", Say("spam")),
        ],
        reads: INBOX,
        followed: false,
    },
];

/// Commands that make something new, to which nothing can happen at the same moment.
pub const ALONE: &[&str] = &[
    "register_person",
    "create_group",
    "create_page",
    // Files are uploaded each by itself; what is shown in one place at one moment is raced in `media/shown.rs`.
    "upload_media",
    "set_avatar",
    "remove_avatar",
    "set_group_picture",
    "remove_group_picture",
    "set_page_picture",
    "remove_page_picture",
];

/// One copy of everything: the paths of its group, its page, and what came to be there.
#[derive(Debug, Clone, Default)]
pub struct Copy {
    pub places: BTreeMap<&'static str, String>,
}

impl Copy {
    /// A path with the names of places and people in it filled in.
    pub fn fill(&self, path: &str) -> String {
        self.places.iter().fold(path.to_owned(), |path, (name, place)| path.replace(&format!("{{{name}}}"), place))
    }

    /// Sends a command.
    pub async fn send(&self, actor: &Actor, act: Act) -> Reply {
        let (method, path, body) = request(act);
        let (path, body) = (self.fill(&path), self.fill(&body.to_string()));
        let body: Value = serde_json::from_str(&body).unwrap();
        if body.is_null() { actor.send(method, &path, ()).await } else { actor.send(method, &path, body).await }
    }

    /// Notes what came to be by a command.
    pub fn remember(&mut self, act: Act, reply: &Reply) {
        let place = match act.1 {
            "write_post" | "write_page_post" => "post",
            "post_question" => "question",
            "post_listing" => "listing",
            "write_comment" => return drop(self.places.insert("comment", reply.id().to_string())),
            "post_answer" => return drop(self.places.insert("answer", reply.id().to_string())),
            _ => return,
        };
        self.places.insert(place, reply.location().to_owned());
    }
}

/// A command as it is sent.
fn request(act: Act) -> (Method, String, Value) {
    let sent = of_place(act).or_else(|| of_content(act));
    let (method, path, body) = sent.unwrap_or_else(|| panic!("how is {} sent? say in races/table.rs", act.1));
    (method.parse().unwrap(), path, body)
}

/// Whom a command is about, and the word that it says.
const fn said(how: How) -> (&'static str, &'static str) {
    match how {
        To(person) | Role(person, _) => (person, ""),
        Plain => ("sue", ""),
        Say(word) => ("sue", word),
    }
}

/// What is sent to a group or a page.
fn of_place(Act(_, operation, how): Act) -> Option<(&'static str, String, Value)> {
    let (to, word) = said(how);
    Some(match operation {
        "change_group" if word == "closed" => ("PATCH", "{group}".into(), json!({ "privacy": word })),
        "change_group" if word == "another name" => ("PATCH", "{group}".into(), json!({ "name": word })),
        "change_group" => ("PATCH", "{group}".into(), json!({ "membership": word })),
        "give_role" => ("PUT", format!("{{group}}/members/{{{to}}}/role"), role(how)),
        "invite_member" => ("POST", "{group}/invitations".into(), json!({ "person_id": format!("{{{to}}}") })),
        "revoke_invitation" => ("DELETE", format!("{{group}}/invitations/{{{to}}}"), Value::Null),
        "accept_invitation" => ("POST", format!("{{group}}/invitations/{{{to}}}/accept"), Value::Null),
        "decline_invitation" => ("POST", format!("{{group}}/invitations/{{{to}}}/decline"), Value::Null),
        "join_group" => ("POST", "{group}/join".into(), Value::Null),
        "leave_group" => ("POST", "{group}/leave".into(), Value::Null),
        "approve_request" => ("POST", format!("{{group}}/requests/{{{to}}}/approve"), Value::Null),
        "refuse_request" => ("POST", format!("{{group}}/requests/{{{to}}}/refuse"), Value::Null),
        "withdraw_request" => ("DELETE", "{group}/requests/me".into(), Value::Null),
        "remove_member" => ("DELETE", format!("{{group}}/members/{{{to}}}"), Value::Null),
        "ban_member" => ("PUT", format!("{{group}}/bans/{{{to}}}"), json!({ "reason": "spam" })),
        "unban_member" => ("DELETE", format!("{{group}}/bans/{{{to}}}"), Value::Null),
        "give_staff_role" => ("PUT", format!("{{page}}/staff/{{{to}}}"), role(how)),
        "accept_staff_role" => ("POST", format!("{{page}}/staff/{{{to}}}/accept"), Value::Null),
        "decline_staff_role" => ("POST", format!("{{page}}/staff/{{{to}}}/decline"), Value::Null),
        "withdraw_staff_role" => ("DELETE", format!("{{page}}/staff/{{{to}}}"), Value::Null),
        "change_page" => ("PATCH", "{page}".into(), json!({ "name": word })),
        "follow_page" => ("PUT", "{page}/followers/me".into(), Value::Null),
        "unfollow_page" => ("DELETE", "{page}/followers/me".into(), Value::Null),
        "block_page" => ("PUT", "{page}/blocks/me".into(), Value::Null),
        "unblock_page" => ("DELETE", "{page}/blocks/me".into(), Value::Null),
        _ => return None,
    })
}

/// What is sent to what was written there.
fn of_content(Act(_, operation, how): Act) -> Option<(&'static str, String, Value)> {
    let (to, word) = said(how);
    let reason = if word.is_empty() { String::new() } else { format!("?reason={word}") };
    let text = json!({ "text": word });
    Some(match operation {
        "write_post" => ("POST", "{group}/posts".into(), text),
        "write_page_post" => ("POST", "{page}/posts".into(), text),
        "edit_post" => ("PATCH", "{post}".into(), text),
        "remove_post" => ("DELETE", format!("{{post}}{reason}"), Value::Null),
        "write_comment" => ("POST", "{post}/comments".into(), text),
        "edit_comment" => ("PATCH", "/v1/comments/{comment}".into(), text),
        "remove_comment" => ("DELETE", format!("/v1/comments/{{comment}}{reason}"), Value::Null),
        "react_to_post" => ("PUT", "{post}/reaction".into(), json!({ "kind": word })),
        "withdraw_post_reaction" => ("DELETE", "{post}/reaction".into(), Value::Null),
        "react_to_comment" => ("PUT", "/v1/comments/{comment}/reaction".into(), json!({ "kind": word })),
        "withdraw_comment_reaction" => ("DELETE", "/v1/comments/{comment}/reaction".into(), Value::Null),
        "post_question" => ("POST", "{group}/questions".into(), json!({ "title": word, "body": word })),
        "post_answer" => ("POST", "{question}/answers".into(), json!({ "body": word })),
        "accept_answer" => ("PUT", "{question}/accepted".into(), json!({ "answer_id": "{answer}" })),
        "withdraw_acceptance" => ("DELETE", "{question}/accepted".into(), Value::Null),
        "close_question" => ("POST", "{question}/close".into(), Value::Null),
        "reopen_question" => ("POST", "{question}/reopen".into(), Value::Null),
        "post_listing" => ("POST", "{group}/listings".into(), crate::given::listing(word, 80)),
        "edit_listing" if word.is_empty() => ("PATCH", "{listing}".into(), json!({ "price": { "amount_minor": 70, "currency": "EUR" } })),
        "edit_listing" => ("PATCH", "{listing}".into(), json!({ "title": word })),
        "mark_sold" if how == Plain => ("POST", "{listing}/sold".into(), Value::Null),
        "mark_sold" => ("POST", "{listing}/sold".into(), json!({ "to": format!("{{{to}}}") })),
        "mark_available" => ("POST", "{listing}/available".into(), Value::Null),
        "withdraw_listing" if word.is_empty() => ("POST", "{listing}/withdraw".into(), Value::Null),
        "withdraw_listing" => ("POST", "{listing}/withdraw".into(), json!({ "reason": word })),
        "write_to_page" => ("POST", "{page}/messages".into(), text),
        "send_page_message" => ("POST", "{page}/conversations/{sue}/messages".into(), text),
        "mark_done" => ("POST", "{page}/conversations/{sue}/done".into(), Value::Null),
        "mark_spam" => ("POST", "{page}/conversations/{sue}/spam".into(), Value::Null),
        "reopen_conversation" => ("POST", "{page}/conversations/{sue}/reopen".into(), Value::Null),
        "reply_in_private" => ("POST", "/v1/comments/{comment}/private-reply".into(), text),
        _ => return None,
    })
}

fn role(how: How) -> Value {
    let Role(_, role) = how else { panic!("which role?") };
    json!({ "role": role })
}
