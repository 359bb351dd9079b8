//! How each wish about a group is decided.

use super::{Changes, Departure, Error, Event, Group, Policy};
use crate::access::{Action, Denied, Privacy, Role, Standing};
use crate::authored::digest;
use crate::media::Picture;
use crate::{Comment, Communal, Context, GroupId, Name, TextOwner, Timestamp};

impl Group {
    pub(super) fn create(
        &self,
        name: &Name,
        description: Option<&Comment>,
        privacy: Privacy,
        membership: Policy,
        context: &Context,
    ) -> Result<Vec<Event>, Error> {
        if self.exists() {
            return Err(Error::AlreadyExists);
        }
        if privacy == Privacy::Secret && membership != Policy::InviteOnly {
            return Err(Error::SecretIsInviteOnly);
        }
        let owner = TextOwner::Group(GroupId(context.subject()));
        Ok(vec![Event::Created {
            name: Communal::new(name.as_str().to_owned(), owner),
            description: description.map(|text| Communal::new(text.as_str().to_owned(), owner)),
            privacy,
            membership,
            founder: context.actor.ok_or(Denied::Anonymous)?,
        }])
    }

    pub(super) fn change(&self, changes: &Changes, context: &Context) -> Result<Vec<Event>, Error> {
        let settings = &self.settings;
        let privacy = changes.privacy.unwrap_or(self.privacy());
        // Becoming secret takes the policy with it, unless the caller asks for another one, which cannot be had.
        let becoming = (privacy == Privacy::Secret && changes.privacy.is_some()).then_some(Policy::InviteOnly);
        let membership = changes.membership.or(becoming).unwrap_or(settings.membership);
        if privacy == Privacy::Secret && membership != Policy::InviteOnly {
            return Err(Error::SecretIsInviteOnly);
        }
        if let Some(again) = self.eras.again().filter(|again| privacy != self.privacy() && context.now < *again) {
            return Err(Error::PrivacyChangedRecently { again });
        }
        let name = changes.name.as_ref().map(Name::as_str).filter(|name| digest(Some(name)) != self.name);
        let description = changes.description.as_ref().map(|text| text.as_ref().map(Comment::as_str));
        let description = description.filter(|text| digest(*text) != self.description);
        let owner = TextOwner::Group(GroupId(context.subject()));
        let said = |text: &str| Communal::new(text.to_owned(), owner);
        let events = [
            name.map(|name| Event::Renamed { name: said(name) }),
            description.map(|text| Event::Described { description: text.map(said) }),
            (privacy != self.privacy()).then_some(Event::PrivacyChanged { privacy }),
            (membership != settings.membership).then_some(Event::PolicyChanged { membership }),
            changes.members_invite.filter(|on| *on != settings.members_invite).map(|on| Event::MemberInvitationsSwitched { on }),
            changes
                .member_list_public
                .filter(|public| *public != settings.member_list_public)
                .map(|public| Event::MemberListSwitched { public }),
            changes.history.filter(|history| *history != settings.history).map(|history| Event::HistoryChanged { history }),
        ];
        Ok(events.into_iter().flatten().collect())
    }

    pub(super) fn show(&self, picture: Option<Picture>) -> Vec<Event> {
        let media = picture.map(Picture::id);
        let set = Event::PictureSet { media, previous: self.picture, number: self.pictures + 1 };
        (media != self.picture).then_some(set).into_iter().collect()
    }

    pub(super) fn give_role(&self, by: &Standing, to: &Standing, role: Role) -> Result<Vec<Event>, Error> {
        by.may(Action::Administer)?;
        let (Some(person), Some(episode)) = (to.person(), to.membership().present().map(|episode| episode.number)) else {
            return Err(Error::NotAMember);
        };
        if self.departed.get(&person) == Some(&episode) {
            return Err(Error::NotAMember);
        }
        let held = self.role_of(person, episode).unwrap_or(Role::Member);
        match role {
            _ if role == held => Ok(vec![]),
            _ if held == Role::Admin && self.is_last_admin(person) => Err(Error::LastAdmin),
            Role::Member => Ok(vec![Event::RoleWithdrawn { person, episode, departure: None }]),
            // Else they could be gone by now, and the other admins leave because of them.
            _ if role > held && !to.membership().is_bound() => Err(Error::NotBound),
            Role::Moderator | Role::Admin => Ok(vec![Event::RoleGiven { person, role, episode }]),
        }
    }

    pub(super) fn depart(&self, by: &Standing, who: &Standing, departure: &Departure, now: Timestamp) -> Result<Vec<Event>, Error> {
        let Some(person) = who.person() else { return Err(Error::NotAMember) };
        let episode = who.membership().present().map(|episode| episode.number).unwrap_or_default();
        let held = self.role_of(person, episode);
        match departure {
            Departure::Left if by.person() != Some(person) => return Err(Denied::Unknown.into()),
            Departure::Left => {}
            Departure::Removed { .. } | Departure::Banned { .. } => {
                if by.may(Action::Moderate)? == person {
                    return Err(Error::NotYourself);
                }
                if held == Some(Role::Admin) && by.role() != Some(Role::Admin) {
                    return Err(Error::NotAgainstAdmins);
                }
            }
        }
        if matches!(departure, Departure::Banned { until: Some(until), .. } if *until <= now) {
            return Err(Error::UntilInPast);
        }
        match held {
            None if !who.membership().is_bound() || self.departed.get(&person) == Some(&episode) => Ok(vec![]),
            Some(_) if self.is_last_admin(person) => Err(Error::LastAdmin),
            _ => {
                let departure = departure.owned_by(TextOwner::Decisions(person.0));
                Ok(vec![Event::RoleWithdrawn { person, episode, departure: Some(departure) }])
            }
        }
    }

    /// Takes the role of admins who are none, and gives it to whoever is a member for longest, if nobody else has it.
    pub(super) fn appoint(&self, members: &[Standing]) -> Vec<Event> {
        let present = |who: &&Standing| {
            who.membership()
                .present()
                .is_some_and(|episode| who.person().is_some_and(|person| self.departed.get(&person) != Some(&episode.number)))
        };
        if members.iter().filter(present).any(|who| who.role() == Some(Role::Admin)) {
            return vec![];
        }
        let bound = members.iter().filter(present).filter(|who| who.membership().is_bound());
        let candidates = bound.filter_map(|who| Some((who.membership().present()?, who.person()?)));
        let Some((episode, person)) = candidates.min_by_key(|(episode, person)| (episode.from, *person)) else { return vec![] };
        let gone = self.admins().map(|(person, episode)| Event::RoleWithdrawn { person, episode, departure: None });
        gone.chain([Event::RoleGiven { person, role: Role::Admin, episode: episode.number }]).collect()
    }
}
