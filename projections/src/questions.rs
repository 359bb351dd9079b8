//! Read models `questions_v1` and `answers_v1`: questions with their answers, for lists and the detail page.

use crate::audience::Readable;
use crate::{Db, DbError, Fold, Keys, Projection, Value, projection, record, row};
use circolo_domain::access::Key;
use circolo_domain::{Event, QuestionId, Timestamp, question};
use circolo_events::Recorded;

row! {
    /// A question.
    pub struct QuestionRow in "questions_v1" {
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
        /// Whether it has none.
        pub unanswered: bool,
        /// The accepted answer.
        pub accepted: Option<String>,
        /// Whether it takes no more answers.
        pub closed: bool,
        /// Revision of its stream.
        pub revision: i64,
        /// Place in the log of its asking; lists are ordered by it.
        pub position: i64,
    }
    index "by_audience" (audience, position);
    index "by_time" (audience, asked);
    index "unanswered" (audience, unanswered, position);
}

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
            unanswered: true,
            accepted: None,
            closed: false,
            revision: 0,
            position: event.position.0,
        })
    }

    fn changed(mut self, event: &question::Event) -> Self {
        match event {
            question::Event::Posted { .. } => {}
            question::Event::Answered { .. } => (self.answers, self.unanswered) = (self.answers + 1, false),
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
            Some(row) => row.changed(change),
        };
        Some(Self { revision: i64::try_from(event.revision).unwrap_or(i64::MAX), ..row })
    }
}

row! {
    /// An answer.
    pub struct AnswerRow in "answers_v1" {
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

/// The projection of this file.
pub fn questions() -> Projection {
    projection("questions", 1).reads(&["question"]).row::<QuestionRow>().row::<AnswerRow>()
}

record! {
    /// A question in a list or on its page.
    pub struct QuestionDetail {
        /// The question's id.
        pub id: String,
        /// Where it was asked.
        pub group_id: String,
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
        /// How many answers it has.
        pub answers: i64,
        /// The accepted answer.
        pub accepted: Option<String>,
        /// Whether it takes no more answers.
        pub closed: bool,
        /// Revision of its stream.
        pub revision: i64,
        /// Place in lists.
        pub position: i64,
    }
}

const DETAIL: &str =
    "q.id, q.group_id, q.author, p.display_name, q.title, q.body, q.asked, q.answers, q.accepted, q.closed, q.revision, q.position";

/// One question, whoever asks: the caller has checked who may read it.
pub async fn find(db: &Db, id: QuestionId) -> Result<Option<QuestionDetail>, DbError> {
    let sql = format!("SELECT {DETAIL} FROM questions_v1 q LEFT JOIN people_v1 p ON p.id = q.author WHERE q.id = $1");
    db.find(sql, vec![id.to_string().into()]).await
}

/// The questions of these ids, in no order: the caller has checked who may read them.
pub async fn by_ids(db: &Db, ids: Vec<String>) -> Result<Vec<QuestionDetail>, DbError> {
    if ids.is_empty() {
        return Ok(vec![]);
    }
    let sql = format!("SELECT {DETAIL} FROM questions_v1 q LEFT JOIN people_v1 p ON p.id = q.author WHERE q.id = ANY($1)");
    db.lookup(sql, vec![Value::List(ids)]).await
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

/// The questions that a reader with `keys` may read, newest first.
pub async fn list(db: &Db, keys: &[Key], page: &List) -> Result<Vec<QuestionDetail>, DbError> {
    let filter = if page.unanswered { " AND t.unanswered = 1" } else { "" };
    let end = page.asked_until.map_or(i64::MAX, |until| until.micros() + 1);
    let keys: Vec<Key> = keys.iter().map(|key| Key { until: key.until.min(end), ..key.clone() }).collect();
    let Some((found, params)) = (Readable { table: "questions_v1", written: "asked", filter }).newest(&keys, page.before, page.limit)
    else {
        return Ok(vec![]);
    };
    let sql = found.within(|found| {
        format!(
            "SELECT {DETAIL} FROM ({found}) found JOIN questions_v1 q ON q.id = found.id LEFT JOIN people_v1 p ON p.id = q.author \
             ORDER BY q.position DESC"
        )
    });
    db.query(sql, params).await
}

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
    let allowed = Readable { table: "answers_v1", written: "answered", filter: "" }.allowed(keys, &mut params);
    let sql = allowed.within(|allowed| {
        format!(
            "SELECT t.id, t.author, p.display_name, t.body, t.answered, t.position FROM answers_v1 t LEFT JOIN people_v1 p ON p.id = t.author \
             WHERE t.question_id = $1 AND t.position > $2 AND {allowed} ORDER BY t.position LIMIT $3"
        )
    });
    // Who may read a question may read most of its answers: hardly a row is passed over.
    db.lookup(sql, params).await
}
