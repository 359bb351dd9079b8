//! What is learnt by acting: answers to commands of people who may not know of more than their own.

use super::{findings::Findings, stage::Stage};
use circolo_tests::actor::Reply;
use serde_json::{Value, json};

/// All of them.
pub async fn probe(stage: &mut Stage, found: &mut Findings) {
    inviting(stage, found).await;
    replaying(stage, found).await;
    conversing(stage, found).await;
}

/// An answer without what tells one person from another.
fn bare(reply: &Reply, person: &str) -> (u16, Value) {
    let mut body: Value = serde_json::from_str(&String::from_utf8_lossy(&reply.bytes).replace(person, "somebody")).unwrap_or_default();
    for passing in ["position", "instance"] {
        body.as_object_mut().map(|fields| fields.remove(passing));
    }
    (reply.status.as_u16(), body)
}

async fn found_group(stage: &mut Stage, privacy: &str, membership: &str) -> String {
    let body = json!({ "name": stage.mark(), "privacy": privacy, "membership": membership });
    stage.post("admin", "/v1/groups", body).await.expect(201).location().to_owned()
}

/// Whom plain members invite: nobody waits, asked, was banned or invited, and the answer is the same.
async fn inviting(stage: &mut Stage, found: &mut Findings) {
    let group = found_group(stage, "closed", "request").await;
    let author = stage.actor("author").id();
    stage.post("admin", &format!("{group}/invitations"), json!({ "person_id": author })).await.expect(200);
    stage.post("author", &format!("{group}/invitations/{author}/accept"), Value::Null).await.expect(200);
    stage.post("asking", &format!("{group}/join"), Value::Null).await.expect(200);
    let (banned, invited) = (stage.actor("banned").id(), stage.actor("invited").id());
    let reason = json!({ "reason": stage.mark() });
    stage.put("admin", &format!("{group}/bans/{banned}"), reason).await.expect(200);
    stage.post("admin", &format!("{group}/invitations"), json!({ "person_id": invited })).await.expect(200);
    let mut answers = vec![];
    for name in ["outsider", "asking", "banned", "invited"] {
        let person = stage.actor(name).id();
        let reply = stage.post("author", &format!("{group}/invitations"), json!({ "person_id": person })).await;
        found.requests += 1;
        answers.push((name, bare(&reply, &person.to_string())));
    }
    for (name, answer) in &answers {
        found.check("queues by inviting", *answer == answers[0].1, || format!("{name}: {answer:?}, an outsider: {:?}", answers[0].1));
    }
}

/// A command that is sent again under its key, after the group became secret and the person was banned.
async fn replaying(stage: &mut Stage, found: &mut Findings) {
    for command in ["join", "leave"] {
        let group = found_group(stage, "public", "open").await;
        let person = stage.actor("outsider");
        let keyed = person.with("idempotency-key", &format!("a {command} of one's own").replace(' ', "-"));
        if command == "leave" {
            stage.post("outsider", &format!("{group}/join"), Value::Null).await.expect(200);
        }
        keyed.post(&format!("{group}/{command}"), ()).await.expect(200);
        let reason = json!({ "reason": stage.mark() });
        stage.put("admin", &format!("{group}/bans/{}", person.id()), reason).await.expect(200);
        stage.patch("admin", &group, json!({ "privacy": "secret", "membership": "invite_only" })).await.expect(200);
        let reply = keyed.post(&format!("{group}/{command}"), ()).await;
        found.requests += 1;
        found.check("bans by repeating", reply.json()["status"] != "banned", || format!("{reply}"));
    }
}

/// A person who writes to a page does not learn how often its staff sorted the conversation.
async fn conversing(stage: &mut Stage, found: &mut Findings) {
    let body = json!({ "name": stage.mark(), "username": stage.mark() });
    let page = stage.post("owner", "/v1/pages", body).await.expect(201).location().to_owned();
    let mut revisions = vec![];
    for sorted in [false, true] {
        let person = if sorted { "outsider" } else { "left" };
        let conversation = format!("{page}/conversations/{}", stage.actor(person).id());
        let text = json!({ "text": stage.mark() });
        stage.post(person, &format!("{page}/messages"), text).await.expect(201);
        if sorted {
            stage.post("owner", &format!("{conversation}/done"), Value::Null).await.expect(200);
            stage.post("owner", &format!("{conversation}/reopen"), Value::Null).await.expect(200);
        }
        let text = json!({ "text": stage.mark() });
        revisions.push(stage.post(person, &format!("{page}/messages"), text).await.expect(201).json()["revision"].clone());
        found.requests += 1;
    }
    found.check("revision of a conversation", revisions[0] == revisions[1], || format!("{revisions:?}"));
}
