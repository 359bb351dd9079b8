//! Worlds of chance: the same seed makes the same one.

use super::stage::Stage;
use axum::http::Method;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};
use serde_json::{Value, json};

/// Who is in it.
const PEOPLE: &[&str] = &["ann", "bea", "cleo", "dora", "elsa", "fritz", "gus", "hanna", "ida", "jon"];
const COMMANDS: usize = 700;

struct Chance {
    rng: ChaCha8Rng,
    groups: Vec<String>,
    pages: Vec<String>,
    posts: Vec<String>,
    comments: Vec<String>,
    questions: Vec<(String, String)>,
    listings: Vec<String>,
}

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.rng.next_u64() % u64::try_from(end).unwrap()).unwrap()
    }

    fn one_of<T: Clone>(&mut self, all: &[T]) -> Option<T> {
        if all.is_empty() { None } else { Some(all[self.below(all.len())].clone()) }
    }
}

/// Plays a world of this seed. What is refused is refused.
pub async fn play(stage: &mut Stage, seed: u64) {
    for name in PEOPLE {
        stage.enter(name).await;
    }
    let rng = ChaCha8Rng::seed_from_u64(seed);
    let mut chance = Chance { rng, groups: vec![], pages: vec![], posts: vec![], comments: vec![], questions: vec![], listings: vec![] };
    for number in 0..COMMANDS {
        let sort = if number < 5 { number % 2 } else { chance.below(40) };
        step(stage, &mut chance, sort).await;
    }
    stage.world.settled().await;
}

async fn step(stage: &mut Stage, chance: &mut Chance, sort: usize) -> Option<()> {
    let who = chance.one_of(PEOPLE).unwrap();
    let other = stage.actor(chance.one_of(PEOPLE).unwrap()).id();
    let privacy = chance.one_of(&["public", "public", "closed", "secret"]).unwrap();
    let policy = if privacy == "secret" { "invite_only" } else { "open" };
    let (groups, pages, posts) = (chance.groups.clone(), chance.pages.clone(), chance.posts.clone());
    let (group, page) = (chance.one_of(&groups).unwrap_or_default(), chance.one_of(&pages).unwrap_or_default());
    let text = json!({ "text": stage.mark() });
    match sort {
        0 if groups.len() < 5 => {
            let body = json!({ "name": stage.mark(), "description": stage.mark(), "privacy": privacy, "membership": policy });
            chance.groups.push(stage.post(who, "/v1/groups", body).await.location().to_owned());
        }
        1 if pages.len() < 2 => {
            let body = json!({ "name": stage.mark(), "username": stage.mark() });
            chance.pages.push(stage.post(who, "/v1/pages", body).await.location().to_owned());
        }
        2 => {
            stage.another_day();
            let body = json!({ "privacy": privacy, "membership": policy });
            all(stage, Method::PATCH, &group, body).await;
        }
        3 => {
            let body = json!({ "name": stage.mark(), "description": stage.mark(), "history": if chance.below(3) == 0 { "since_joining" } else { "all" } });
            all(stage, Method::PATCH, &group, body).await;
        }
        4..=8 => drop(stage.post(who, &format!("{group}/join"), Value::Null).await),
        9 | 10 => drop(stage.post(who, &format!("{group}/leave"), Value::Null).await),
        11..=13 => drop(all(stage, Method::POST, &format!("{group}/invitations"), json!({ "person_id": other })).await),
        14 | 15 => {
            let id = stage.actor(who).id();
            stage.post(who, &format!("{group}/invitations/{id}/accept"), Value::Null).await;
        }
        16 => {
            let role = chance.one_of(&["member", "moderator", "admin"]).unwrap();
            all(stage, Method::PUT, &format!("{group}/members/{other}/role"), json!({ "role": role })).await;
        }
        17 => {
            let body = json!({ "reason": stage.mark() });
            all(stage, Method::PUT, &format!("{group}/bans/{other}"), body).await;
        }
        18 => drop(all(stage, Method::DELETE, &format!("{group}/bans/{other}"), Value::Null).await),
        19..=21 => chance.posts.extend(created(stage, &format!("{group}/posts"), text).await),
        22 => chance.posts.extend(created(stage, &format!("{page}/posts"), text).await),
        23..=25 => drop(all(stage, Method::PATCH, &chance.one_of(&posts)?, text).await),
        _ => return talk(stage, chance, sort, who).await,
    }
    Some(())
}

async fn talk(stage: &mut Stage, chance: &mut Chance, sort: usize, who: &str) -> Option<()> {
    let (groups, posts, comments, questions) =
        (chance.groups.clone(), chance.posts.clone(), chance.comments.clone(), chance.questions.clone());
    let text = json!({ "text": stage.mark() });
    match sort {
        26..=28 => {
            let reply = stage.post(who, &format!("{}/comments", chance.one_of(&posts)?), text).await;
            if reply.status == 201 {
                chance.comments.push(reply.id().to_string());
            }
        }
        29 => drop(all(stage, Method::PATCH, &format!("/v1/comments/{}", chance.one_of(&comments)?), text).await),
        30 => {
            let kind = chance.one_of(super::counts::REACTIONS).unwrap();
            stage.put(who, &format!("{}/reaction", chance.one_of(&posts)?), json!({ "kind": kind })).await;
        }
        31 => {
            let body = json!({ "title": stage.mark(), "body": stage.mark() });
            let group = chance.one_of(&groups)?;
            let question = created(stage, &format!("{group}/questions"), body).await?;
            chance.questions.push((question, String::new()));
        }
        32 | 33 => {
            let number = chance.below(questions.len().max(1));
            let body = json!({ "body": stage.mark() });
            let reply = stage.post(who, &format!("{}/answers", questions.get(number)?.0), body).await;
            if reply.status == 201 {
                chance.questions[number].1 = reply.id().to_string();
            }
        }
        34 => {
            let (question, answer) = chance.one_of(&questions)?;
            all(stage, Method::PUT, &format!("{question}/accepted"), json!({ "answer_id": answer })).await;
        }
        _ => return market(stage, chance, sort, who).await,
    }
    Some(())
}

async fn market(stage: &mut Stage, chance: &mut Chance, sort: usize, who: &str) -> Option<()> {
    let (groups, pages, posts, comments) = (chance.groups.clone(), chance.pages.clone(), chance.posts.clone(), chance.comments.clone());
    let listings = chance.listings.clone();
    let text = json!({ "text": stage.mark() });
    match sort {
        35 => {
            let body = json!({
                "title": stage.mark(), "description": stage.mark(), "category": stage.mark(), "condition": "new",
                "price": { "amount_minor": 80, "currency": "EUR" }, "pickup": stage.mark(),
            });
            let group = chance.one_of(&groups)?;
            chance.listings.extend(created(stage, &format!("{group}/listings"), body).await);
        }
        36 => {
            let body = json!({ "title": stage.mark(), "pickup": stage.mark() });
            all(stage, Method::PATCH, &chance.one_of(&listings)?, body).await;
        }
        37 => {
            let path = [&posts[..], &comments.iter().map(|id| format!("/v1/comments/{id}")).collect::<Vec<_>>()].concat();
            let (path, reason) = (chance.one_of(&path)?, stage.mark());
            if chance.below(3) == 0 {
                stage.delete(who, &format!("{path}?reason={reason}")).await;
            }
        }
        38 => drop(stage.post(who, &format!("{}/messages", chance.one_of(&pages)?), text).await),
        _ => {
            let listing = chance.one_of(&listings)?;
            let body = json!({ "reason": stage.mark() });
            let step = chance.one_of(&["sold", "available"])?;
            stage.post(who, &format!("{listing}/{step}"), Value::Null).await;
            stage.post(who, &format!("{listing}/withdraw"), body).await;
        }
    }
    Some(())
}

/// Whoever may do it does it.
async fn all(stage: &mut Stage, method: Method, path: &str, body: Value) -> bool {
    for who in PEOPLE {
        let actor = stage.actor(who);
        if stage.send(&actor, method.clone(), path, body.clone()).await.status.is_success() {
            return true;
        }
    }
    false
}

/// Where something came to be, written by the first who may.
async fn created(stage: &mut Stage, path: &str, body: Value) -> Option<String> {
    for who in PEOPLE.iter().rev() {
        let reply = stage.post(who, path, body.clone()).await;
        if reply.status == 201 {
            return Some(reply.location().to_owned());
        }
    }
    None
}
