//! Which statements have passed, and at which of them the proxy holds.

use std::collections::HashMap;

use tokio::sync::oneshot;

/// Statements that a worker sends besides those of its attempts, by the beginnings of their names. When the queue renames
/// one, this list changes too.
const BACKGROUND: [&str; 4] = ["claim", "heartbeat::", "rescue::", "queue::"];

/// Which statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statement {
    /// One whose name begins like this.
    Named(&'static str),
    /// The n-th, counted from 0, of all that attempts send.
    OfAttempts(usize),
    /// The n-th, counted from 0, of the first attempt of a kind.
    OfKind(&'static str, usize),
    /// The claim of the first job of a kind, with the commit where it runs in a transaction. Only [`Moment::After`] fits.
    ClaimOf(&'static str),
    /// The COMMIT of a transaction with a statement whose name begins like this.
    CommitOf(&'static str),
}

/// When the proxy holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The server has not received the statement.
    Before,
    /// The server has executed it; the worker has no answer yet.
    After,
    /// As `After`, but only if the answer has rows.
    AfterRows,
}

/// A connection that waits: `reached` fires when it does, `released` lets it continue, or breaks it when dropped.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) statement: Statement,
    pub(super) moment: Moment,
    /// How many matches pass first.
    pub(super) skip: usize,
    pub(super) reached: oneshot::Sender<()>,
    pub(super) released: oneshot::Receiver<()>,
}

/// A statement under way.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    name: String,
    /// Its number among the statements of attempts.
    of_attempts: Option<usize>,
    /// The kind whose first attempt sent it, and its number there.
    of_kind: Option<(String, usize)>,
    /// Of a COMMIT: the statements of its transaction.
    transaction: Vec<String>,
}

impl Sent {
    pub(super) fn is_claim(&self) -> bool {
        self.name == "claim"
    }

    fn is(&self, statement: Statement) -> bool {
        match statement {
            Statement::Named(name) => self.name.starts_with(name),
            Statement::OfAttempts(number) => self.of_attempts == Some(number),
            Statement::OfKind(kind, number) => {
                self.of_kind.as_ref().is_some_and(|(of, at)| of == kind && *at == number)
            }
            Statement::ClaimOf(_) => false,
            Statement::CommitOf(name) => self.transaction.iter().any(|sent| sent.starts_with(name)),
        }
    }
}

/// What all connections of a proxy share.
#[derive(Debug, Default)]
pub(super) struct Statements {
    rules: Vec<Rule>,
    of_attempts: Vec<String>,
    of_kinds: HashMap<String, Vec<String>>,
    /// The kind at work, while its first attempt is.
    kind: Option<String>,
}

impl Statements {
    pub(super) fn add_rule(&mut self, rule: Rule) {
        self.rules.push(rule);
    }

    pub(super) fn of_attempts(&self) -> Vec<String> {
        self.of_attempts.clone()
    }

    pub(super) fn of_kind(&self, kind: &str) -> Vec<String> {
        self.of_kinds.get(kind).cloned().unwrap_or_default()
    }

    /// Counts a statement. `by_attempt` is false on the connections of the heartbeat and of claims.
    pub(super) fn send(&mut self, name: String, by_attempt: bool, transaction: Vec<String>) -> Sent {
        let mut sent = Sent { name, of_attempts: None, of_kind: None, transaction };
        if by_attempt && !BACKGROUND.iter().any(|background| sent.name.starts_with(background)) {
            self.of_attempts.push(sent.name.clone());
            sent.of_attempts = Some(self.of_attempts.len() - 1);
            if let Some(kind) = self.kind.clone() {
                let names = self.of_kinds.entry(kind.clone()).or_default();
                names.push(sent.name.clone());
                sent.of_kind = Some((kind, names.len() - 1));
            }
        }
        sent
    }

    /// A claim returned a job. Its statements count if it is the first of its kind.
    pub(super) fn claim(&mut self, kind: &str) {
        self.kind = (!self.of_kinds.contains_key(kind)).then(|| kind.to_owned());
        if self.kind.is_some() {
            self.of_kinds.insert(kind.to_owned(), Vec::new());
        }
    }

    /// Takes the rule that holds here; one that still skips counts down.
    pub(super) fn take(&mut self, sent: &Sent, is_now: impl Fn(Moment) -> bool) -> Option<Rule> {
        let index = self.rules.iter().position(|rule| is_now(rule.moment) && sent.is(rule.statement))?;
        if self.rules[index].skip > 0 {
            self.rules[index].skip -= 1;
            return None;
        }
        Some(self.rules.remove(index))
    }

    /// Takes the rule that holds after the claim of this kind.
    pub(super) fn take_claim(&mut self, kind: &str) -> Option<Rule> {
        let index = self
            .rules
            .iter()
            .position(|rule| matches!(rule.statement, Statement::ClaimOf(of) if of == kind))?;
        Some(self.rules.remove(index))
    }
}
