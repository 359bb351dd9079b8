//! Every GET of the description, filled with every id that somebody knows. An operation or a parameter that is new here fails
//! by its name: it has to be said what it takes.

use super::{facts::Facts, stage::description};
use circolo_domain::Timestamp;
use serde_json::Value;
use std::collections::BTreeSet;
use uuid::Uuid;

/// An id that nothing has.
pub const MADE_UP: Uuid = Uuid::from_u128(0xdead_beef);

/// A GET with its parameters filled in.
#[derive(Debug, Clone)]
pub struct Asked {
    /// As the description has it.
    pub template: String,
    /// What is put into the path, in its order.
    pub ids: Vec<String>,
    /// Without `?`; empty for none.
    pub query: String,
    /// Whether it is a list in pages.
    pub paged: bool,
}

impl Asked {
    pub fn path(&self) -> String {
        self.with(&self.ids)
    }

    fn with(&self, ids: &[String]) -> String {
        let mut ids = ids.iter();
        let parts = self.template.split('/').map(|part| if part.starts_with('{') { ids.next().unwrap().as_str() } else { part });
        let path: Vec<&str> = parts.collect();
        format!("{}{}{}", path.join("/"), if self.query.is_empty() { "" } else { "?" }, self.query)
    }

    /// The same for ids that nothing has, in the places that are marked.
    pub fn made_up(&self, hidden: &[bool]) -> String {
        let swap = |(id, hidden): (&String, &bool)| if *hidden { MADE_UP.to_string() } else { id.clone() };
        self.with(&self.ids.iter().zip(hidden).map(swap).collect::<Vec<_>>())
    }

    /// The first id of the path.
    pub fn id(&self) -> Option<Uuid> {
        self.ids.first()?.parse().ok()
    }

    /// A parameter of the query.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.split('&').filter_map(|pair| pair.split_once('=')).find(|(other, _)| *other == name).map(|(_, value)| value)
    }
}

/// How far to go.
#[derive(Debug, Clone, Copy)]
pub struct Breadth {
    /// How many ids of another sort than its own a path is given, each.
    pub strangers: usize,
    /// At how many moments the past is looked at.
    pub moments: usize,
}

/// What there is to ask for.
struct Known {
    of_kind: Vec<(&'static str, Vec<String>)>,
    moments: Vec<String>,
    markers: Vec<String>,
    labels: Vec<String>,
    usernames: Vec<String>,
    projections: Vec<String>,
    comments: Vec<(Uuid, Uuid)>,
}

impl Known {
    fn new(facts: &Facts, breadth: Breadth, projections: Vec<String>) -> Self {
        let things =
            |kind: &str| facts.things.iter().filter(|(_, thing)| thing.kind == kind).map(|(id, _)| id.to_string()).collect::<Vec<_>>();
        let texts = |ids: &mut dyn Iterator<Item = &Uuid>| ids.map(Uuid::to_string).collect::<Vec<_>>();
        let kinds = ["post", "comment", "question", "answer", "listing"];
        let mut of_kind: Vec<_> = kinds.into_iter().map(|kind| (kind, things(kind))).collect();
        of_kind.push(("group", texts(&mut facts.groups.keys())));
        of_kind.push(("page", texts(&mut facts.pages.keys())));
        of_kind.push(("person", texts(&mut facts.people.iter())));
        of_kind.push(("media", texts(&mut facts.media.keys())));
        of_kind.push(("message", texts(&mut facts.messages.keys())));
        // The beginnings of eras, and the moments before: where what may be read changes.
        let mut turns: BTreeSet<i64> =
            facts.groups.values().flat_map(|group| &group.eras).flat_map(|era| [era.began.at, era.began.at - 1]).collect();
        turns.extend(facts.events.last().map(|event| event.when.at));
        let turns: Vec<i64> = turns.into_iter().collect();
        let step = turns.len().div_ceil(breadth.moments.max(1)).max(1);
        let labels = facts
            .groups
            .values()
            .flat_map(|group| &group.labels)
            .flat_map(|(_, text, _, _)| super::facts::markers(text).map(str::to_owned).collect::<Vec<_>>());
        Self {
            of_kind,
            moments: turns.iter().rev().step_by(step).map(|at| Timestamp::from_micros(*at).to_string()).collect(),
            markers: facts.words.keys().step_by(facts.words.len().div_ceil(10).max(1)).cloned().collect(),
            labels: labels.collect(),
            usernames: facts.pages.values().flat_map(|page| page.usernames.clone()).collect(),
            projections,
            comments: facts
                .things
                .iter()
                .filter(|(_, thing)| thing.kind == "comment")
                .map(|(id, thing)| (*id, thing.parent.unwrap()))
                .collect(),
        }
    }

    fn ids(&self, kind: &str) -> &[String] {
        &self.of_kind.iter().find(|(of, _)| *of == kind).unwrap().1
    }

    /// What the `number`th parameter of a path takes: its own sort, and some of each other.
    fn in_path(&self, template: &str, name: &str, breadth: Breadth) -> Vec<String> {
        let sort = match (template.split('/').nth(2).unwrap(), name) {
            ("operator", "name") => return self.projections.clone(),
            (_, "person") | ("people", "id") => "person",
            (_, "page") | ("pages", "id") => "page",
            ("groups", "id") => "group",
            ("media", "id") => "media",
            ("posts", "id") => "post",
            ("questions", "id") => "question",
            ("listings", "id") => "listing",
            _ => panic!("{template} takes {name}: say in leaks/requests.rs what that is"),
        };
        let mut ids = self.ids(sort).to_vec();
        // The second parameter is filled with its own sort alone, else there were too many.
        if name == "id" {
            let others = self.of_kind.iter().filter(|(kind, _)| *kind != sort);
            ids.extend(others.flat_map(|(_, ids)| ids.iter().take(breadth.strangers).cloned()));
        }
        ids
    }

    /// What a parameter of the query takes, beside being left out.
    fn in_query(&self, asked: &Asked, parameter: &Value) -> Vec<String> {
        let texts = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>();
        let choices = || parameter["schema"]["enum"].as_array().map(|all| all.iter().map(|one| one.as_str().unwrap().to_owned()).collect());
        let (template, name) = (asked.template.as_str(), parameter["name"].as_str().unwrap());
        match (template, name) {
            // These are filled where pages are turned and where feeds are followed.
            (_, "limit" | "after" | "wait" | "Last-Event-ID") => vec![],
            (_, "as_of" | "at") => self.moments.clone(),
            ("/v1/groups", "q") => [&self.labels[..], &self.markers[..]].concat(),
            ("/v1/pages", "username") => [&self.usernames[..], &self.labels[..1]].concat(),
            ("/v1/posts/{id}/comments", "reply_to") => self.replies(asked),
            ("/v1/groups/{id}/questions", "older_than_hours") => texts(&["0", "24"]),
            ("/v1/pages/{id}/expiring-replies", "hours") => texts(&["1", "168"]),
            ("/v1/events" | "/v1/operator/events", "type") => texts(&["post.written", "group"]),
            ("/v1/events" | "/v1/operator/events", "stream") => self.ids("group").iter().map(|id| format!("membership-{id}.")).collect(),
            ("/v1/operator/events", "correlation") => vec![MADE_UP.to_string()],
            ("/v1/events", "from") => texts(&["2"]),
            ("/v1/events", "to") => texts(&["100"]),
            ("/v1/events", "since" | "until") => self.moments.iter().take(1).cloned().collect(),
            (_, "category") => self.markers.iter().take(2).cloned().collect(),
            ("/v1/media/{id}", "size") => texts(&["small", "large"]),
            (_, "currency") => texts(&["EUR"]),
            (_, "min_price" | "max_price") => texts(&["75&currency=EUR"]),
            ("/v1/me/notifications", "kinds") => texts(&["requested,invited,page_message", "answered"]),
            (_, "unmask" | "pickup" | "delivery" | "unread") => texts(&["true", "false"]),
            (_, "sort") => texts(&["price_asc&currency=EUR", "price_desc&currency=EUR"]),
            (_, "status" | "condition" | "kind") => choices().unwrap_or_else(|| panic!("{name} of {template} has no choices: {parameter}")),
            _ => panic!("{template} takes {name} in its query: say in leaks/requests.rs what that is"),
        }
    }

    /// The comments of a post, and one of another.
    fn replies(&self, asked: &Asked) -> Vec<String> {
        let own = self.comments.iter().filter(|(_, post)| Some(*post) == asked.id());
        let other = self.comments.iter().filter(|(_, post)| Some(*post) != asked.id()).take(1);
        own.chain(other).map(|(comment, _)| comment.to_string()).collect()
    }
}

/// All that can be asked. Feeds of changes are followed elsewhere.
pub fn all(facts: &Facts, breadth: Breadth, projections: Vec<String>) -> Vec<Asked> {
    let known = Known::new(facts, breadth, projections);
    let description = description();
    let mut found = vec![];
    for (template, operations) in description["paths"].as_object().unwrap() {
        let operation = &operations["get"];
        if operation.is_null() {
            continue;
        }
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let of = |place: &str| parameters.iter().filter(|parameter| parameter["in"] == place).cloned().collect::<Vec<_>>();
        let mut paths: Vec<Vec<String>> = vec![vec![]];
        for parameter in of("path") {
            let ids = known.in_path(template, parameter["name"].as_str().unwrap(), breadth);
            paths = paths.iter().flat_map(|path| ids.iter().map(|id| [&path[..], std::slice::from_ref(id)].concat())).collect();
        }
        let query = [of("query"), of("header")].concat();
        let paged = query.iter().any(|parameter| parameter["name"] == "after");
        for ids in paths {
            let asked = Asked { template: template.clone(), ids, query: String::new(), paged };
            let own = asked.id().is_none_or(|id| is_of_its_sort(facts, template, id));
            found.push(asked.clone());
            for parameter in query.iter().filter(|_| own) {
                let name = parameter["name"].as_str().unwrap();
                let values = known.in_query(&asked, parameter);
                found.extend(values.into_iter().map(|value| Asked { query: format!("{name}={value}"), ..asked.clone() }));
            }
        }
    }
    assert!(found.iter().map(|asked| &asked.template).collect::<BTreeSet<_>>().len() > 25, "are these all?");
    found
}

/// Whether an id is one of those that a path is for.
pub fn is_of_its_sort(facts: &Facts, template: &str, id: Uuid) -> bool {
    let thing = |kind: &str| facts.things.get(&id).is_some_and(|thing| thing.kind == kind);
    match template.split('/').nth(2).unwrap() {
        "groups" => facts.groups.contains_key(&id),
        "pages" | "me" => facts.pages.contains_key(&id),
        "people" => facts.people.contains(&id),
        "media" => facts.media.contains_key(&id),
        "posts" => thing("post"),
        "questions" => thing("question"),
        "listings" => thing("listing"),
        other => panic!("{template} is about {other}: say in leaks/requests.rs what that is"),
    }
}
