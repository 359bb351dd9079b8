//! What happened in a world: folded from the log as it is stored, apart from the code that serves.

use circolo_domain::Timestamp;
use circolo_events::{Position, Stored};
use circolo_tests::world::World;
use serde_json::Value;
use std::collections::BTreeMap;
use uuid::Uuid;

/// How private a group is; the order is that of strictness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Privacy {
    Public,
    Closed,
    Secret,
}

/// What somebody is in a group; the order is that of rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Member,
    Moderator,
    Admin,
}

/// When something happened, and where it stands in the log.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    pub at: i64,
    pub position: i64,
}

/// A time of one privacy.
#[derive(Debug, Clone, Copy)]
pub struct Era {
    pub privacy: Privacy,
    pub began: Moment,
}

/// An event of the log.
#[derive(Debug)]
pub struct Happened {
    pub when: Moment,
    pub stream: String,
    /// Such as `post.edited`, without the version.
    pub kind: String,
    pub data: Value,
    pub actor: Option<Uuid>,
    /// The group it happened in and that group's era.
    pub place: Option<(Uuid, usize)>,
}

#[derive(Debug, Default)]
pub struct Group {
    pub eras: Vec<Era>,
    pub since_joining: bool,
    pub list_hidden: bool,
    /// Names and descriptions: the field, the words, from when and until when.
    pub labels: Vec<(&'static str, String, Moment, Option<Moment>)>,
    /// The picture that shows it.
    pub picture: Option<Uuid>,
    /// Who holds which role, for which episode of membership.
    pub roles: BTreeMap<Uuid, (Role, i64)>,
}

#[derive(Debug, Clone, Copy)]
pub struct Episode {
    pub number: i64,
    pub from: Moment,
    pub until: Option<Moment>,
}

#[derive(Debug, Default)]
pub struct Membership {
    pub episodes: Vec<Episode>,
    pub invited: bool,
    /// By whom.
    pub inviter: Option<Uuid>,
    pub requested: bool,
    /// Until when; for good is the end of time.
    pub banned: Option<i64>,
}

/// In whose place something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    Group(Uuid, usize),
    Page(Uuid),
}

/// Something with words.
#[derive(Debug)]
pub struct Thing {
    /// `post`, `comment`, `question`, `answer` or `listing`.
    pub kind: &'static str,
    pub owner: Owner,
    pub when: Moment,
    pub author: Uuid,
    /// The page that speaks, if one does.
    pub as_page: Option<Uuid>,
    /// The post of a comment, the question of an answer.
    pub parent: Option<Uuid>,
    pub reply_to: Option<Uuid>,
    /// Taken away: by an event of this number.
    pub removed: Option<usize>,
    /// Not on offer any more.
    pub withdrawn: bool,
    pub buyer: Option<Uuid>,
    /// The events of its stream.
    pub events: Vec<usize>,
    /// The events of reactions to it.
    pub reactions: Vec<usize>,
}

/// What a page is.
#[derive(Debug, Default)]
pub struct Page {
    pub staff: BTreeMap<Uuid, String>,
    pub followers: i64,
    pub usernames: Vec<String>,
    /// The picture that shows it.
    pub picture: Option<Uuid>,
    /// The events of its stream.
    pub events: Vec<usize>,
}

/// All that happened.
#[derive(Debug, Default)]
pub struct Facts {
    pub events: Vec<Happened>,
    pub people: Vec<Uuid>,
    /// The pictures that show people.
    pub avatars: BTreeMap<Uuid, Uuid>,
    /// Uploaded files, and who uploaded them.
    pub media: BTreeMap<Uuid, Uuid>,
    pub groups: BTreeMap<Uuid, Group>,
    pub memberships: BTreeMap<(Uuid, Uuid), Membership>,
    pub things: BTreeMap<Uuid, Thing>,
    pub pages: BTreeMap<Uuid, Page>,
    /// Messages, by the page and the person between whom they went.
    pub messages: BTreeMap<Uuid, (Uuid, Uuid)>,
    /// Each marker, and the events that hold it.
    pub words: BTreeMap<String, Vec<usize>>,
}

/// All markers in a text.
pub fn markers(text: &str) -> impl Iterator<Item = &str> {
    let word =
        |start: usize| text.get(start..start + 8).filter(|word| word.ends_with('q') && word[2..7].bytes().all(|b| b.is_ascii_digit()));
    text.match_indices("zq").filter_map(move |(start, _)| word(start))
}

/// An id in a field.
pub fn id_in(data: &Value, field: &str) -> Option<Uuid> {
    data[field].as_str()?.parse().ok()
}

fn privacy(data: &Value) -> Privacy {
    match data["privacy"].as_str() {
        Some("public") => Privacy::Public,
        Some("closed") => Privacy::Closed,
        Some("secret") => Privacy::Secret,
        other => panic!("the hunter does not know the privacy {other:?}"),
    }
}

impl Facts {
    /// Everything that the log of `world` tells.
    pub async fn of(world: &World) -> Self {
        let mut facts = Self::default();
        let mut after = Position::START;
        loop {
            let page = world.store().read_all(after, 1_000).await.unwrap();
            for stored in &page.events {
                facts.take(stored);
                after = stored.position;
            }
            if page.events.len() < 1_000 {
                return facts;
            }
        }
    }

    fn take(&mut self, stored: &Stored) {
        let data: Value = serde_json::from_str(&stored.event.data).unwrap();
        let metadata: Value = serde_json::from_str(&stored.event.metadata).unwrap();
        let (kind, _) = stored.event.event_type.rsplit_once(".v").unwrap();
        let number = self.events.len();
        for marker in markers(&stored.event.data) {
            self.words.entry(marker.to_owned()).or_default().push(number);
        }
        let mut event = Happened {
            when: Moment { at: stored.event.recorded_at.micros(), position: stored.position.0 },
            stream: stored.stream.to_string(),
            kind: kind.to_owned(),
            data,
            actor: id_in(&metadata, "actor"),
            place: None,
        };
        let key = stored.stream.key().to_owned();
        let scope = &metadata["scope"]["owner"];
        self.apply(number, &mut event, &key, scope);
        self.events.push(event);
    }

    /// Whether an id is that of anything.
    pub fn names(&self, id: Uuid) -> bool {
        let things = self.things.contains_key(&id) || self.messages.contains_key(&id);
        things || self.groups.contains_key(&id) || self.pages.contains_key(&id) || self.people.contains(&id)
    }

    /// The era of a group at this moment, which is the last so far.
    fn era(&self, group: Uuid) -> usize {
        self.groups[&group].eras.len() - 1
    }

    fn apply(&mut self, number: usize, event: &mut Happened, key: &str, scope: &Value) {
        let id = || key.parse::<Uuid>().unwrap();
        let pair = || {
            let (one, other) = key.split_once('.').unwrap();
            (one.parse::<Uuid>().unwrap(), other.parse::<Uuid>().unwrap())
        };
        match event.kind.split('.').next().unwrap() {
            "person" if event.kind == "person.registered" => self.people.push(id()),
            "person" => match id_in(&event.data, "media") {
                Some(media) => drop(self.avatars.insert(id(), media)),
                None => drop(self.avatars.remove(&id())),
            },
            "media" => match event.kind.as_str() {
                "media.uploaded" => drop(self.media.insert(id(), id_in(&event.data, "uploader").unwrap())),
                "media.discarded" => drop(self.media.remove(&id())),
                _ => {}
            },
            "group" => {
                self.of_group(id(), event);
                // A change of privacy belongs to the era that begins with it.
                event.place = Some((id(), self.era(id())));
            }
            "membership" => {
                let (group, person) = pair();
                event.place = Some((group, self.era(group)));
                self.of_membership(group, person, event);
            }
            "page" => self.of_page(number, id(), event),
            "fan" => {
                let followers = &mut self.pages.get_mut(&pair().0).unwrap().followers;
                *followers += match event.kind.as_str() {
                    "fan.followed" => 1,
                    "fan.unfollowed" => -1,
                    _ => 0,
                };
            }
            "conversation" => {
                if let Some(message) = id_in(&event.data, "message") {
                    self.messages.insert(message, pair());
                }
            }
            "post" | "comment" | "question" | "listing" => self.of_thing(number, id(), event, scope),
            "reaction" => {
                let target = pair().0;
                event.place = self.place(target);
                self.things.get_mut(&target).unwrap().reactions.push(number);
            }
            "allowance" | "attention" | "salt" | "username" | "unmasking" => {}
            other => panic!("the hunter does not know events of {other}: teach it in leaks/facts.rs"),
        }
    }

    /// Where something is that happens now to a thing.
    fn place(&self, thing: Uuid) -> Option<(Uuid, usize)> {
        match self.things[&thing].owner {
            Owner::Group(group, _) => Some((group, self.era(group))),
            Owner::Page(_) => None,
        }
    }

    fn of_group(&mut self, id: Uuid, event: &Happened) {
        let (group, data, now) = (self.groups.entry(id).or_default(), &event.data, event.when);
        let mut label = |field: &'static str, value: &Value| {
            for (name, _, _, until) in group.labels.iter_mut().filter(|(name, _, _, until)| *name == field && until.is_none()) {
                assert_eq!(*name, field);
                *until = Some(now);
            }
            group.labels.extend(value.as_str().map(|text| (field, text.to_owned(), now, None)));
        };
        match event.kind.as_str() {
            "group.created" => {
                label("name", &data["name"]);
                label("description", &data["description"]);
                group.eras.push(Era { privacy: privacy(data), began: now });
                group.roles.insert(id_in(data, "founder").unwrap(), (Role::Admin, 1));
            }
            "group.renamed" => label("name", &data["name"]),
            "group.described" => label("description", &data["description"]),
            "group.privacy_changed" => group.eras.push(Era { privacy: privacy(data), began: now }),
            "group.member_list_switched" => group.list_hidden = data["public"] == false,
            "group.history_changed" => group.since_joining = data["history"] == "since_joining",
            "group.role_given" => {
                let role = if data["role"] == "admin" { Role::Admin } else { Role::Moderator };
                group.roles.insert(id_in(data, "person").unwrap(), (role, data["episode"].as_i64().unwrap()));
            }
            "group.role_withdrawn" => drop(group.roles.remove(&id_in(data, "person").unwrap())),
            "group.picture_set" => group.picture = id_in(data, "media"),
            "group.membership_policy_changed" | "group.member_invitations_switched" => {}
            other => panic!("the hunter does not know {other}: teach it in leaks/facts.rs"),
        }
    }

    fn of_membership(&mut self, group: Uuid, person: Uuid, event: &Happened) {
        let (one, now) = (self.memberships.entry((group, person)).or_default(), event.when);
        let end = |one: &mut Membership| {
            if let Some(last) = one.episodes.last_mut().filter(|last| last.until.is_none()) {
                last.until = Some(now);
            }
        };
        match event.kind.as_str() {
            // To whoever is banned an invitation does nothing.
            "membership.invited" if one.banned.is_some_and(|until| until > now.at) => {}
            "membership.invited" => (one.invited, one.inviter) = (true, id_in(&event.data, "inviter")),
            "membership.invitation_declined" | "membership.invitation_revoked" => one.invited = false,
            "membership.requested" => one.requested = true,
            "membership.request_withdrawn" | "membership.request_refused" => one.requested = false,
            "membership.joined" => {
                one.episodes.push(Episode { number: event.data["episode"].as_i64().unwrap(), from: now, until: None });
                (one.invited, one.requested, one.banned) = (false, false, None);
            }
            "membership.left" | "membership.removed" => end(one),
            "membership.banned" => {
                end(one);
                let until = event.data["until"].as_str().and_then(Timestamp::parse);
                (one.invited, one.requested, one.banned) = (false, false, Some(until.map_or(i64::MAX, Timestamp::micros)));
            }
            "membership.unbanned" => one.banned = None,
            "membership.bound" => {}
            other => panic!("the hunter does not know {other}: teach it in leaks/facts.rs"),
        }
    }

    fn of_page(&mut self, number: usize, id: Uuid, event: &Happened) {
        let page = self.pages.entry(id).or_default();
        page.events.push(number);
        page.usernames.extend(event.data["username"].as_str().map(str::to_owned));
        match event.kind.as_str() {
            "page.created" => drop(page.staff.insert(id_in(&event.data, "owner").unwrap(), "owner".to_owned())),
            "page.staff_given" => {
                page.staff.insert(id_in(&event.data, "person").unwrap(), event.data["role"].as_str().unwrap().to_owned());
            }
            "page.staff_withdrawn" => drop(page.staff.remove(&id_in(&event.data, "person").unwrap())),
            "page.picture_set" => page.picture = id_in(&event.data, "media"),
            "page.renamed" | "page.username_changed" | "page.staff_offered" | "page.staff_offer_ended" => {}
            other => panic!("the hunter does not know {other}: teach it in leaks/facts.rs"),
        }
    }

    fn of_thing(&mut self, number: usize, stream: Uuid, event: &mut Happened, scope: &Value) {
        let owner = match (id_in(scope, "group"), id_in(scope, "page")) {
            (Some(group), _) => Owner::Group(group, self.era(group)),
            (_, Some(page)) => Owner::Page(page),
            _ => panic!("{event:?} is nowhere"),
        };
        if let Owner::Group(group, era) = owner {
            event.place = Some((group, era));
        }
        let data = &event.data;
        let (kind, id) = match event.kind.as_str() {
            "post.written" => ("post", stream),
            "comment.written" => ("comment", stream),
            "question.posted" => ("question", stream),
            "question.answered" => ("answer", id_in(data, "answer").unwrap()),
            "listing.posted" => ("listing", stream),
            _ => return self.of_change(number, stream, event),
        };
        let parent = if kind == "answer" { Some(stream) } else { id_in(data, "post") };
        let author = id_in(data, "author").or_else(|| id_in(data, "seller")).unwrap();
        let thing = Thing {
            kind,
            owner,
            when: event.when,
            author,
            as_page: id_in(&data["voice"], "page"),
            parent,
            reply_to: id_in(data, "reply_to"),
            removed: None,
            withdrawn: false,
            buyer: None,
            events: vec![number],
            reactions: vec![],
        };
        self.things.insert(id, thing);
        if kind == "answer" {
            self.things.get_mut(&stream).unwrap().events.push(number);
        }
    }

    fn of_change(&mut self, number: usize, id: Uuid, event: &Happened) {
        let thing = self.things.get_mut(&id).unwrap();
        thing.events.push(number);
        match event.kind.as_str() {
            "post.removed" | "comment.removed" => thing.removed = Some(number),
            "listing.withdrawn" => thing.withdrawn = true,
            "listing.made_available" => (thing.withdrawn, thing.buyer) = (false, None),
            "listing.sold" => thing.buyer = id_in(&event.data, "to"),
            "post.edited"
            | "comment.edited"
            | "listing.edited"
            | "listing.repriced"
            | "question.answer_accepted"
            | "question.acceptance_withdrawn"
            | "question.closed"
            | "question.reopened" => {}
            other => panic!("the hunter does not know {other}: teach it in leaks/facts.rs"),
        }
    }
}
