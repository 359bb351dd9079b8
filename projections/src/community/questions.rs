//! Read models `questions_v2` and `answers_v2`: questions with their answers, for lists and the detail page.

use crate::audience::Readable;
use crate::feeds::InFeeds;
use crate::figures::{self, ByEra, CAP, Counted, Rights, Thing, era_of};
use crate::{Db, DbError, Fold, Keys, Projection, Value, projection, record, row};
use circolo_domain::access::Key;
use circolo_domain::{AnswerId, Event, QuestionId, Timestamp, question};
use circolo_events::Recorded;

row! {
    /// A question.
    pub struct QuestionRow in "questions_v2" {
        /// The question's id.
        pub id: String,
        /// Where it was asked.
        pub group_id: String,
        /// Who may read it: the group and the privacy era it was asked in.
        pub audience: String,
        /// Who asked.
        pub author: String,
        /// In a line.
        pub title: Option<String>,
        /// At length.
        pub body: Option<String>,
        /// When it was asked.
        pub asked: Timestamp,
        /// How many answers it has.
        pub answers: i64,
        /// Which: [`NONE`], [`ELSEWHERE`], [`HERE`] or [`BOTH`].
        pub answered: i64,
        /// How many by era, once there are others than the question's own.
        pub by_era: Option<String>,
        /// The accepted answer.
        pub accepted: Option<String>,
        /// Whether it takes no more answers.
        pub closed: bool,
        /// Revision of its stream.
        pub revision: i64,
        /// Place in the log of its asking; lists are ordered by it.
        pub position: i64,
    }
    index "by_audience" (audience, position, asked);
    index "by_time" (audience, asked, position);
    index "answered" (audience, answered, position, asked);
}

/// [`QuestionRow::answered`] of a question without an answer.
pub const NONE: i64 = 0;
/// The same, where all answers are of other privacy eras than the question.
pub const ELSEWHERE: i64 = 1;
/// The same, where all answers are of its own: who reads the question on reads them.
pub const HERE: i64 = 2;
/// The same, with answers of its own era and of others.
pub const BOTH: i64 = 3;

impl QuestionRow {
    fn posted(key: &str, event: &Recorded) -> Option<Self> {
        let (Event::Question(question::Event::Posted { author, title, body }), Some(scope)) = (&event.event, event.metadata.scope) else {
            return None;
        };
        Some(Self {
            id: key.to_owned(),
            group_id: scope.group()?.to_string(),
            audience: scope.audience(),
            author: author.to_string(),
            title: title.get().cloned(),
            body: body.get().cloned(),
            asked: event.recorded_at,
            answers: 0,
            answered: NONE,
            by_era: None,
            accepted: None,
            closed: false,
            revision: 0,
            position: event.position.0,
        })
    }

    /// After an answer was given in `era`.
    fn answered_in(&mut self, era: u32) {
        let own = era_of(&self.audience);
        self.by_era = ByEra::added(self.by_era.as_deref(), own, [self.answers], era, [1]);
        self.answers += 1;
        let place = if era == own { HERE } else { ELSEWHERE };
        self.answered = if self.answered == NONE || self.answered == place { place } else { BOTH };
    }

    fn changed(mut self, event: &question::Event, era: u32) -> Self {
        match event {
            question::Event::Posted { .. } => {}
            question::Event::Answered { .. } => self.answered_in(era),
            question::Event::AnswerAccepted { answer, .. } => self.accepted = Some(answer.to_string()),
            question::Event::AcceptanceWithdrawn { .. } => self.accepted = None,
            question::Event::Closed => self.closed = true,
            question::Event::Reopened => self.closed = false,
        }
        self
    }
}

impl Fold for QuestionRow {
    fn keys(event: &Recorded) -> Keys {
        match &event.event {
            Event::Question(_) => Keys::from(event.stream.key()),
            _ => Keys::NONE,
        }
    }

    fn fold(row: Option<Self>, key: &str, event: &Recorded) -> Option<Self> {
        let Event::Question(change) = &event.event else { return row };
        let row = match row {
            None => Self::posted(key, event)?,
            Some(row) => row.changed(change, event.metadata.scope.map_or(0, |scope| scope.era)),
        };
        Some(Self { revision: i64::try_from(event.revision).unwrap_or(i64::MAX), ..row })
    }
}

row! {
    /// An answer.
    pub struct AnswerRow in "answers_v2" {
        /// The answer's id.
        pub id: String,
        /// What it answers.
        pub question_id: String,
        /// Who may read it, if they may read the question: the group and the privacy era it was given in.
        pub audience: String,
        /// Who answered.
        pub author: String,
        /// The answer.
        pub body: Option<String>,
        /// When.
        pub answered: Timestamp,
        /// How often it was accepted: the choice may move away and come back.
        pub times_accepted: i64,
        /// Place in the log.
        pub position: i64,
    }
    index "by_question" (question_id, position);
}

impl Fold for AnswerRow {
    fn keys(event: &Recorded) -> Keys {
        match &event.event {
            Event::Question(question::Event::Answered { answer, .. } | question::Event::AnswerAccepted { answer, .. }) => Keys::one(answer),
            _ => Keys::NONE,
        }
    }

    fn fold(row: Option<Self>, key: &str, event: &Recorded) -> Option<Self> {
        match (&event.event, row) {
            (Event::Question(question::Event::Answered { author, body, .. }), None) => Some(Self {
                id: key.to_owned(),
                question_id: event.stream.key().to_owned(),
                audience: event.metadata.scope?.audience(),
                author: author.to_string(),
                body: body.get().cloned(),
                answered: event.recorded_at,
                times_accepted: 0,
                position: event.position.0,
            }),
            (Event::Question(question::Event::AnswerAccepted { .. }), Some(row)) => {
                Some(Self { times_accepted: row.times_accepted + 1, ..row })
            }
            (_, row) => row,
        }
    }
}

/// What an event of a question means for its place in feeds.
pub(crate) fn in_feeds(event: &Event) -> Option<InFeeds> {
    matches!(event, Event::Question(question::Event::Posted { .. })).then_some(InFeeds::Enters)
}

/// The projection of this file.
pub fn questions() -> Projection {
    projection("questions", 2).reads(&["question"]).row::<QuestionRow>().row::<AnswerRow>()
}

record! {
    /// A question in a list or on its page.
    pub struct QuestionDetail {
        /// The question's id.
        pub id: String,
        /// Where it was asked.
        pub group_id: String,
        /// Who may read it.
        pub audience: String,
        /// Who asked.
        pub author: String,
        /// How others see them.
        pub author_name: Option<String>,
        /// In a line.
        pub title: Option<String>,
        /// At length.
        pub body: Option<String>,
        /// When it was asked.
        pub asked: Timestamp,
        /// How many answers it has, as far as the reader may read them.
        pub answers: i64,
        /// How many by era.
        pub by_era: Option<String>,
        /// The accepted answer, if the reader may read it.
        pub accepted: Option<String>,
        /// Who may read that.
        pub accepted_audience: Option<String>,
        /// When it was given.
        pub accepted_given: Option<Timestamp>,
        /// Whether it takes no more answers.
        pub closed: bool,
        /// Revision of its stream, for whom it tells nothing of what they may not read.
        pub revision: Option<i64>,
        /// Place in lists.
        pub position: i64,
    }
}

impl Thing for QuestionDetail {
    fn id(&self) -> &str {
        &self.id
    }

    fn audience(&self) -> &str {
        &self.audience
    }

    fn written(&self) -> Timestamp {
        self.asked
    }
}

impl QuestionDetail {
    /// Answers that `rights` open; `None` if they have to be counted.
    fn seen(&self, rights: &Rights<'_>) -> Option<[i64; 1]> {
        let totals = [self.answers];
        ByEra::read(self.by_era.as_deref(), era_of(&self.audience), totals).seen(rights, self, totals, &[])
    }
}

const DETAIL: &str = "q.id, q.group_id, q.audience, q.author, p.display_name, q.title, q.body, q.asked, q.answers, q.by_era, q.accepted, \
    a.audience, a.answered, q.closed, q.revision, q.position";

/// Names of authors and accepted answers.
const JOINED: &str = "LEFT JOIN people_v1 p ON p.id = q.author LEFT JOIN answers_v2 a ON a.id = q.accepted";

/// One question for a reader with `keys`: the caller has checked that they may read it.
pub async fn find(db: &Db, id: QuestionId, keys: &[Key]) -> Result<Option<QuestionDetail>, DbError> {
    let sql = format!("SELECT {DETAIL} FROM questions_v2 q {JOINED} WHERE q.id = $1");
    let mut found = db.lookup(sql, vec![id.to_string().into()]).await?;
    settle(db, keys, &mut found).await?;
    Ok(found.pop())
}

/// What this answers.
pub async fn question_of(db: &Db, answer: AnswerId) -> Result<Option<QuestionId>, DbError> {
    let found: Option<(String,)> = db.find("SELECT question_id FROM answers_v2 WHERE id = $1", vec![answer.to_string().into()]).await?;
    Ok(found.and_then(|(question,)| question.parse().ok()))
}

/// The questions of these ids for a reader with `keys`, in no order: the caller has checked that they may read them.
pub async fn by_ids(db: &Db, ids: Vec<String>, keys: &[Key]) -> Result<Vec<QuestionDetail>, DbError> {
    if ids.is_empty() {
        return Ok(vec![]);
    }
    let sql = format!("SELECT {DETAIL} FROM questions_v2 q {JOINED} WHERE q.id = ANY($1)");
    let mut found = db.lookup(sql, vec![Value::List(ids)]).await?;
    settle(db, keys, &mut found).await?;
    Ok(found)
}

/// Leaves of figures, accepted answers and revisions what `keys` open.
async fn settle(db: &Db, keys: &[Key], found: &mut [QuestionDetail]) -> Result<(), DbError> {
    let rights = Rights::of(keys);
    let unsettled: Vec<&QuestionDetail> = found.iter().filter(|question| question.seen(&rights).is_none()).collect();
    let counted = count(db, keys, &unsettled).await?;
    for question in found {
        let seen = question.seen(&rights).or_else(|| counted.get(&question.id).copied()).unwrap_or_default();
        [question.answers] = seen;
        let given = question.accepted_audience.as_deref().zip(question.accepted_given);
        if !given.is_some_and(|(audience, at)| rights.read(audience, at)) {
            question.accepted = None;
        }
        question.revision = figures::told(&rights, false, question, question.revision);
    }
    Ok(())
}

/// Answers one by one.
async fn count(db: &Db, keys: &[Key], questions: &[&QuestionDetail]) -> Result<Counted<1>, DbError> {
    if questions.is_empty() {
        return Ok(Counted::new());
    }
    let keys = figures::keys_to(keys, questions.iter().copied());
    let mut params = vec![Value::List(questions.iter().map(|question| question.id.clone()).collect()), CAP.into()];
    let allowed = ANSWERS.allowed(&keys, &mut params);
    let sql = allowed.within(|allowed| {
        format!(
            "SELECT q.id, (SELECT COUNT(*) FROM (SELECT t.id FROM answers_v2 t WHERE t.question_id = q.id AND {allowed} LIMIT $2) n) \
             FROM questions_v2 q WHERE q.id = ANY($1)"
        )
    });
    let counted: Vec<(String, i64)> = db.query(sql, params).await?;
    Ok(counted.into_iter().map(|(id, answers)| (id, [answers])).collect())
}

/// What a list of questions is to hold.
#[derive(Debug, Clone, Default)]
pub struct List {
    /// Only those without an answer.
    pub unanswered: bool,
    /// Only those asked at or before this moment.
    pub asked_until: Option<Timestamp>,
    /// Only what stands before this position.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: i64,
}

/// How often a list of what is unanswered reads on behind what is answered after all.
const ROUNDS: usize = 4;

/// The questions that a reader with `keys` may read, newest first.
pub async fn list(db: &Db, keys: &[Key], page: &List) -> Result<Vec<QuestionDetail>, DbError> {
    if !page.unanswered {
        return read(db, keys, "", page).await;
    }
    let mut found = read(db, keys, " AND t.answered = 0", page).await?;
    if Rights::of(keys).are_whole() {
        return Ok(found);
    }
    // Unanswered is, for this reader, also what has no answer that they may read: one of another era, or of after their time.
    let (ended, lasting): (Vec<Key>, Vec<Key>) = keys.iter().cloned().partition(|key| key.until != i64::MAX);
    found.extend(unanswered(db, (keys, &lasting), " AND t.answered = 1", page).await?);
    found.extend(unanswered(db, (keys, &ended), " AND t.answered <> 0", page).await?);
    found.sort_unstable_by_key(|question| std::cmp::Reverse(question.position));
    found.truncate(usize::try_from(page.limit).unwrap_or_default());
    Ok(found)
}

/// What has answers, but none that a reader with `keys` may read, by some of their keys. Reads on in ever longer pages, and after
/// [`ROUNDS`] no further.
async fn unanswered(db: &Db, (keys, by): (&[Key], &[Key]), filter: &str, page: &List) -> Result<Vec<QuestionDetail>, DbError> {
    let (mut found, mut page) = (vec![], page.clone());
    for _ in 0..ROUNDS {
        let mut read = select(db, by, filter, &page).await?;
        let ended = i64::try_from(read.len()).unwrap_or(i64::MAX) < page.limit;
        page.before = read.last().map(|last| last.position);
        settle(db, keys, &mut read).await?;
        found.extend(read.into_iter().filter(|question| question.answers == 0));
        if ended || i64::try_from(found.len()).unwrap_or(i64::MAX) >= page.limit {
            break;
        }
        page.limit *= 4;
    }
    Ok(found)
}

async fn read(db: &Db, keys: &[Key], filter: &str, page: &List) -> Result<Vec<QuestionDetail>, DbError> {
    let mut found = select(db, keys, filter, page).await?;
    settle(db, keys, &mut found).await?;
    Ok(found)
}

/// A page of a list as the rows have it.
async fn select(db: &Db, keys: &[Key], filter: &str, page: &List) -> Result<Vec<QuestionDetail>, DbError> {
    let end = page.asked_until.map_or(i64::MAX, |until| until.micros() + 1);
    let keys: Vec<Key> = keys.iter().map(|key| Key { until: key.until.min(end), ..key.clone() }).collect();
    let Some((found, params)) = (Readable { table: "questions_v2", written: "asked", filter }).newest(&keys, page.before, page.limit)
    else {
        return Ok(vec![]);
    };
    let sql = found.within(|found| {
        // Found first: SQLite may else walk over all questions.
        format!("SELECT {DETAIL} FROM ({found}) found CROSS JOIN questions_v2 q {JOINED} WHERE q.id = found.id ORDER BY q.position DESC")
    });
    db.query(sql, params).await
}

const ANSWERS: Readable<'static> = Readable { table: "answers_v2", written: "answered", filter: "" };

record! {
    /// An answer on the question's page.
    pub struct AnswerDetail {
        /// The answer's id.
        pub id: String,
        /// Who answered.
        pub author: String,
        /// How others see them.
        pub author_name: Option<String>,
        /// The answer.
        pub body: Option<String>,
        /// When.
        pub answered: Timestamp,
        /// Place in this list.
        pub position: i64,
    }
}

/// The answers to a question, oldest first, as far as a reader with `keys` may read them who may read the question.
pub async fn answers(db: &Db, question: QuestionId, keys: &[Key], after: Option<i64>, limit: i64) -> Result<Vec<AnswerDetail>, DbError> {
    let mut params = vec![question.to_string().into(), after.unwrap_or(0).into(), limit.into()];
    let allowed = ANSWERS.allowed(keys, &mut params);
    let sql = allowed.within(|allowed| {
        format!(
            "SELECT t.id, t.author, p.display_name, t.body, t.answered, t.position FROM answers_v2 t LEFT JOIN people_v1 p ON p.id = t.author \
             WHERE t.question_id = $1 AND t.position > $2 AND {allowed} ORDER BY t.position LIMIT $3"
        )
    });
    // Who may read a question may read most of its answers: hardly a row is passed over.
    db.lookup(sql, params).await
}
