//! What a scoped port leaves of what its users may do: its roles, and of statements only those that it lists. Narrows
//! and never gives: what passes here still needs a grant. A statement is compared as statement grants compare it, by its
//! parse tree and what its names mean; no text is.

use hallpass_policy::{
    grant::pin,
    ids::ListenerName,
    statement::{Dialect, Refusal, Statement, inner},
};

use super::{
    gate::session_denial,
    target::{Known, Target, Understanding},
};
use crate::{
    config::{
        Config, Listener,
        listed::{Listed, ListedStatement},
    },
    error::ClientError,
};

/// The listener called `name` as it is configured now.
pub(super) fn listener<'c>(config: &'c Config, name: Option<&ListenerName>) -> Option<&'c Listener> {
    let name = name?;
    config.listeners.iter().find(|listener| listener.name == *name)
}

/// Where a statement is met.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// The port.
    pub(super) listener: &'a Listener,
    /// The database.
    pub(super) target: &'a Target,
    /// The names that the session sees.
    pub(super) known: &'a Known,
    /// What its texts are read with.
    pub(super) dialect: &'a Dialect,
}

impl Place<'_> {
    /// Whether statement `index` of `of`, with what it prepares or declares, may be sent through this port at all.
    ///
    /// # Errors
    /// The denial, when the port lists statements, this is none of them, and it needs any permission.
    pub(super) fn admits(&self, of: &Understanding, index: usize) -> Result<(), ClientError> {
        let scope = self.listener.scope.as_ref();
        let Some(listed) = scope.and_then(|scope| scope.statements.as_deref()) else { return Ok(()) };
        let Some(statement) = of.understood.statements.get(index) else { return Ok(()) };
        if needs_nothing(statement) {
            return Ok(());
        }
        let forms = self.dialect.forms(&of.text).map_err(|(_, refusal)| ClientError::Refused(refusal))?;
        let candidates = match forms.get(index) {
            // Both walks split the text alike; should they ever not, nothing is known of this statement.
            Some(form) if forms.len() == of.understood.statements.len() => {
                listed.of_form(&form.hash, &self.target.known().dialect)
            }
            Some(_) | None => Vec::new(),
        };
        let mut why = "is none of them".to_owned();
        for candidate in candidates {
            match self.is_the_same(&candidate, statement) {
                Ok(true) => return Ok(()),
                Ok(false) => {
                    "reads like one of them, but its names mean something else in this session".clone_into(&mut why);
                }
                Err(refusal) => {
                    why = format!("reads like one of them, which is not understood: {}", refusal.message);
                }
            }
        }
        Err(self.denial(listed, statement, &why))
    }

    /// Whether a file's statement, in a new session, would be this one.
    fn is_the_same(&self, listed: &ListedStatement, statement: &Statement) -> Result<bool, Refusal> {
        let text = format!("{}{}", listed.before, listed.text);
        let meant = self.target.understand(&text, self.known, &self.target.known().dialect)?;
        let pins = |statement: &Statement| (pin(statement), inner(statement).map(pin));
        Ok(meant.understood.statements.last().is_some_and(|meant| pins(meant) == pins(statement)))
    }

    fn denial(&self, listed: &Listed, statement: &Statement, why: &str) -> ClientError {
        let (name, pattern, many) = (&self.listener.name, &listed.pattern, listed.statements.len());
        session_denial(
            "this port runs only the statements that it lists",
            &format!("listener {name} lists `{pattern}` ({many} statements), and this {} {why}", statement.verb),
            "connect to another port of the proxy, or have the statement added to those files",
        )
    }
}

/// BEGIN, SET, SHOW, SELECT 1: everybody may, everywhere.
fn needs_nothing(statement: &Statement) -> bool {
    statement.needs.is_empty() && inner(statement).is_none_or(needs_nothing)
}
