//! Who may know and read what, written down a second time from the rules of the product: what the server answers is judged by
//! this, so nothing of `circolo_domain::access` is used here.

use super::facts::{Episode, Facts, Happened, Membership, Moment, Owner, Privacy, Role, Thing};
use uuid::Uuid;

/// Somebody who asks, as far as rights differ.
#[derive(Debug, Clone, Default)]
pub struct Reader {
    /// Their id, if they are signed in.
    pub person: Option<Uuid>,
    pub registered: bool,
    /// What their token grants.
    pub scopes: &'static str,
}

impl Reader {
    pub fn is(&self, person: Uuid) -> bool {
        self.person == Some(person)
    }

    /// Whether their token grants a scope.
    pub fn has(&self, scope: &str) -> bool {
        self.scopes.split(' ').any(|one| one == scope)
    }
}

impl Facts {
    fn membership(&self, group: Uuid, reader: &Reader) -> Option<&Membership> {
        self.memberships.get(&(group, reader.person?))
    }

    fn present(&self, group: Uuid, reader: &Reader) -> Option<&Episode> {
        self.membership(group, reader)?.episodes.last().filter(|episode| episode.until.is_none())
    }

    /// What somebody is in a group, if they are in it.
    pub fn role(&self, group: Uuid, reader: &Reader) -> Option<Role> {
        let episode = self.present(group, reader)?;
        let given = self.groups[&group].roles.get(&reader.person?);
        Some(given.filter(|(_, given_for)| *given_for == episode.number).map_or(Role::Member, |(role, _)| *role))
    }

    /// Whether they keep order in a group.
    pub fn moderates(&self, group: Uuid, reader: &Reader) -> bool {
        self.role(group, reader) >= Some(Role::Moderator)
    }

    pub fn privacy(&self, group: Uuid) -> Privacy {
        self.groups[&group].eras.last().unwrap().privacy
    }

    /// Whether something that they see shows a file.
    pub fn sees_media(&self, media: Uuid, reader: &Reader) -> bool {
        (reader.registered && self.avatars.values().any(|avatar| *avatar == media))
            || self.groups.iter().any(|(id, group)| group.picture == Some(media) && self.sees(*id, reader))
            || self.pages.values().any(|page| page.picture == Some(media))
    }

    /// Whether a file is theirs alone: nothing shows it.
    pub fn keeps_media(&self, media: Uuid, reader: &Reader) -> bool {
        let shown = self.avatars.values().any(|avatar| *avatar == media)
            || self.groups.values().any(|group| group.picture == Some(media))
            || self.pages.values().any(|page| page.picture == Some(media));
        !shown && self.media.get(&media).is_some_and(|uploader| reader.is(*uploader))
    }

    /// Members and invited people alone know that a secret group exists.
    pub fn sees(&self, group: Uuid, reader: &Reader) -> bool {
        // In a secret group only admins invite, and it holds while they are.
        let admin = |person| self.role(group, &Reader { person: Some(person), ..Reader::default() }) == Some(Role::Admin);
        let invited = self.membership(group, reader).is_some_and(|one| one.invited && one.inviter.is_some_and(admin));
        self.privacy(group) != Privacy::Secret || self.present(group, reader).is_some() || invited
    }

    pub fn reads_members(&self, group: Uuid, reader: &Reader) -> bool {
        let open = match self.privacy(group) {
            Privacy::Public => true,
            Privacy::Closed => !self.groups[&group].list_hidden,
            Privacy::Secret => false,
        };
        open || self.present(group, reader).is_some()
    }

    /// Whether they read something of what was written in an era of a group; and, in that era, what was written `at` a moment.
    fn reads_of(&self, group: Uuid, reader: &Reader, era: usize, at: Option<i64>) -> bool {
        let place = &self.groups[&group];
        let then = place.eras[era].privacy;
        // The audience is the stricter of then and now.
        if then == Privacy::Public && self.privacy(group) == Privacy::Public {
            return true;
        }
        if self.moderates(group, reader) {
            return true;
        }
        let Some(present) = self.present(group, reader) else { return false };
        // After a loosening, what was written before is for those whose membership began before it.
        let loosened = place.eras[era + 1..].iter().find(|later| later.privacy < then);
        if loosened.is_some_and(|loosened| present.from.position > loosened.began.position) {
            return false;
        }
        let Some(at) = at.filter(|_| place.since_joining) else { return true };
        let episodes = &self.membership(group, reader).unwrap().episodes;
        episodes.iter().any(|episode| episode.from.at <= at && episode.until.is_none_or(|until| at < until.at))
    }

    /// Whether they read what was written in an era of a group at that moment.
    pub fn reads(&self, group: Uuid, reader: &Reader, era: usize, at: i64) -> bool {
        self.sees(group, reader) && self.reads_of(group, reader, era, Some(at))
    }

    /// Whether they read anything of an era.
    pub fn opens(&self, group: Uuid, reader: &Reader, era: usize) -> bool {
        self.sees(group, reader) && self.reads_of(group, reader, era, None)
    }

    /// Whether they read anything at all in a group.
    pub fn reads_group(&self, group: Uuid, reader: &Reader) -> bool {
        (0..self.groups[&group].eras.len()).any(|era| self.opens(group, reader, era))
    }

    fn reads_alone(&self, thing: &Thing, reader: &Reader) -> bool {
        match thing.owner {
            Owner::Group(group, era) => self.reads(group, reader, era, thing.when.at),
            Owner::Page(_) => true,
        }
    }

    /// Whether they read a thing: it, and what it is under.
    pub fn reads_thing(&self, id: Uuid, reader: &Reader) -> bool {
        let Some(thing) = self.things.get(&id) else { return false };
        let above = thing.parent.into_iter().chain(thing.reply_to);
        self.reads_alone(thing, reader) && above.into_iter().all(|id| self.reads_alone(&self.things[&id], reader))
    }

    /// Whether they may know that a thing exists: not if it was written in secret, or in what is secret, and they may not read it.
    pub fn knows_thing(&self, id: Uuid, reader: &Reader) -> bool {
        match self.things.get(&id).map(|thing| thing.owner) {
            Some(Owner::Group(group, era)) => {
                let secret = self.groups[&group].eras[era].privacy == Privacy::Secret;
                self.sees(group, reader) && (!secret || self.reads_thing(id, reader))
            }
            Some(Owner::Page(_)) => true,
            None => false,
        }
    }

    /// Whether they read what was written to a thing of a group by an event: its era is the thing's, or one that they read.
    /// Whoever wrote it knows it.
    pub fn reads_event(&self, thing: &Thing, event: &Happened, reader: &Reader) -> bool {
        Self::in_era(thing, event, reader, |group, era| self.reads(group, reader, era, event.when.at))
    }

    /// Whether what happened to a thing by an event may show to them in figures: they read something of its era.
    pub fn counts_event(&self, thing: &Thing, event: &Happened, reader: &Reader) -> bool {
        Self::in_era(thing, event, reader, |group, era| self.opens(group, reader, era))
    }

    /// Whether an event changes what a thing is: that it was removed, closed, sold or has another price is told to all who read it,
    /// whenever that came about.
    pub fn of_state(event: &Happened) -> bool {
        let (category, action) = event.kind.split_once('.').unwrap();
        let of_words = matches!(action, "written" | "posted" | "edited" | "answered");
        category != "reaction" && !of_words && !matches!(action, "answer_accepted" | "acceptance_withdrawn")
    }

    fn in_era(thing: &Thing, event: &Happened, reader: &Reader, open: impl Fn(Uuid, usize) -> bool) -> bool {
        let (Owner::Group(group, era), Some((_, then))) = (thing.owner, event.place) else { return true };
        then == era || open(group, then) || (event.actor.is_some() && event.actor == reader.person)
    }

    /// Whether something may count for a reader who reads `under`: a comment of its post, an answer of its question.
    pub fn counts_thing(&self, under: &Thing, id: Uuid, reader: &Reader) -> bool {
        match (under.owner, self.things[&id].owner) {
            (Owner::Group(group, era), Owner::Group(_, then)) => then == era || self.opens(group, reader, then),
            _ => true,
        }
    }

    /// What somebody is on a page's staff.
    pub fn staff(&self, page: Uuid, reader: &Reader) -> Option<&str> {
        self.pages.get(&page)?.staff.get(&reader.person?).map(String::as_str)
    }

    /// Whether they look after those who write to a page.
    pub fn cares(&self, page: Uuid, reader: &Reader) -> bool {
        matches!(self.staff(page, reader), Some("owner" | "care_agent"))
    }

    /// Whether a message is theirs to read: the person's, and of those who care.
    pub fn reads_messages(&self, page: Uuid, person: Uuid, reader: &Reader) -> bool {
        reader.is(person) || self.cares(page, reader)
    }

    /// Whether they could see the list of members at a moment: as a member, or because the group was public then as it is now.
    pub fn witnessed(&self, group: Uuid, reader: &Reader, era: usize, when: Moment) -> bool {
        let public = |privacy| privacy == Privacy::Public;
        let at = when.at;
        let was = |episode: &Episode| episode.from.at <= at && episode.until.is_none_or(|until| at <= until.at);
        (public(self.groups[&group].eras[era].privacy) && public(self.privacy(group)))
            || self.membership(group, reader).is_some_and(|membership| membership.episodes.iter().any(was))
    }

    /// Present members, or those of a moment.
    pub fn members(&self, group: Uuid, at: Option<i64>) -> Vec<Uuid> {
        let in_it = |episode: &Episode| match at {
            None => episode.until.is_none(),
            Some(at) => episode.from.at <= at && episode.until.is_none_or(|until| until.at > at),
        };
        let of_group = self.memberships.iter().filter(|((of, _), _)| *of == group);
        of_group.filter(|(_, membership)| membership.episodes.iter().any(in_it)).map(|((_, person), _)| *person).collect()
    }

    /// Whether people can be seen by somebody who has not registered: they spoke in public, or were in a list that is public.
    pub fn public_face(&self, person: Uuid) -> bool {
        let nobody = Reader::default();
        let spoke = |thing: (&Uuid, &Thing)| thing.1.author == person && thing.1.as_page.is_none() && self.reads_thing(*thing.0, &nobody);
        let listed = |(group, of): &(Uuid, Uuid)| *of == person && self.reads_members(*group, &nobody);
        self.things.iter().any(spoke) || self.memberships.keys().any(listed)
    }

    /// The era of a group at a time; `None` before there was one.
    pub fn era_at(&self, group: Uuid, at: i64) -> Option<usize> {
        self.groups[&group].eras.iter().rposition(|era| era.began.at <= at)
    }

    /// Whether a group as it was at a time is as unknown to them as one that never was.
    pub fn hidden_then(&self, group: Uuid, reader: &Reader, at: i64) -> bool {
        let Some(era) = self.era_at(group, at).filter(|_| self.sees(group, reader)) else { return true };
        self.groups[&group].eras[era].privacy == Privacy::Secret && !self.reads(group, reader, era, at)
    }
}
