//! What a session's texts mean: under the target's names or under names of its own, at once or, for long texts, once
//! they were studied beside the event loop. Decides nothing.

use std::sync::Arc;

use hallpass_policy::{
    catalog::{Catalog, QualifiedName},
    statement::{Refusal, RefusalKind},
};

use super::{Gate, Private, Refused, Why};
use crate::{
    error::ClientError,
    session::{
        catalog,
        study::{self, Studied, Study},
        target::{Known, Understanding},
    },
};

impl Gate {
    /// From here on this session sees the target's names again.
    pub fn forget_private(&mut self) {
        self.private = None;
    }

    /// From here on this session sees `catalog`, which is the target's with what the session alone has over it.
    pub fn set_overlay(&mut self, catalog: Catalog) {
        let target = self.target.known();
        let policy = &self.shared.config.load().policy;
        let known = Known::new(catalog, target.dialect.clone(), policy, self.target.name());
        self.private = Some(Private { known: Arc::new(known), since: target.generation, why: Why::Overlaid });
    }

    /// This session sees these names: the catalog's queries, answered inside it. `since` is the generation of the
    /// target's names when they were asked for. Says whether temporary ones are among them.
    ///
    /// # Errors
    /// When the answers are no catalog.
    pub fn learn_private(&mut self, tables: &[catalog::postgres::Table], since: u64) -> Result<bool, String> {
        let version = self.target.known().catalog.version;
        let catalog = catalog::postgres::build(tables, version).map_err(|error| error.to_string())?;
        let temporary = catalog.relations.keys().any(QualifiedName::is_temporary);
        let policy = &self.shared.config.load().policy;
        let known = Known::new(catalog, self.dialect.clone(), policy, self.target.name());
        self.private = Some(Private { known: Arc::new(known), since, why: Why::Changed });
        Ok(temporary)
    }

    /// Whether this session sees names of its own.
    pub fn has_private(&self) -> bool {
        self.private.is_some()
    }

    /// Whether it does, and the target's names or the masks over them have changed since.
    pub fn is_private_stale(&self) -> bool {
        self.private.as_ref().is_some_and(|private| private.since != self.target.known().generation)
    }

    /// Understands `text` under the names in force.
    ///
    /// # Errors
    /// [`Refused::Unstudied`] for a long text that was not studied; [`Refused::StaleCatalog`] once when a name is
    /// unknown; then the refusal itself.
    pub fn understand(&mut self, text: &[u8]) -> Result<Arc<Understanding>, Refused> {
        let text = readable(text)?;
        if text.len() <= study::AT_ONCE {
            let result = self.target.understand_alike(text, &self.known(), &self.dialect);
            return self.understood(result);
        }
        let known = self.known();
        let studied = self.studied.as_ref().and_then(|studied| studied.of(text, known.generation, &self.dialect));
        if let Some(result) = studied.cloned() {
            return self.understood(result);
        }
        if let Some(met) = self.target.met(text, &known, &self.dialect) {
            return self.understood(Ok(met));
        }
        self.studied = None;
        let (target, dialect) = (Arc::clone(&self.target), self.dialect.clone());
        self.study = Some(Study { target, known, dialect, text: text.into() });
        Err(Refused::Unstudied)
    }

    /// Understands at once, however long it is, the text of a statement that was prepared before.
    ///
    /// # Errors
    /// As [`Gate::understand`], but [`Refused::Unstudied`].
    pub fn understand_again(&mut self, text: &str) -> Result<Arc<Understanding>, Refused> {
        let result = self.target.understand_alike(text, &self.known(), &self.dialect);
        self.understood(result)
    }

    /// The long text that is to be studied, if there is one.
    pub fn study(&mut self) -> Option<Study> {
        self.study.take()
    }

    /// What became of it: remembered until a statement is recorded, as frames come again.
    pub fn studied(&mut self, studied: Studied) {
        self.studied = Some(studied);
    }

    fn understood(&mut self, result: Result<Arc<Understanding>, Refusal>) -> Result<Arc<Understanding>, Refused> {
        let retried = std::mem::take(&mut self.retried);
        let refusal = match result {
            Ok(understanding) => return Ok(understanding),
            Err(refusal) => refusal,
        };
        let by_name = matches!(
            refusal.kind,
            RefusalKind::UnknownRelation
                | RefusalKind::UnknownColumn
                | RefusalKind::UnknownFunction
                | RefusalKind::UnknownType
        );
        let of_target = self.private.as_ref().is_none_or(|private| private.why == Why::Overlaid);
        if by_name && of_target && !retried && self.target.may_be_stale() {
            self.retried = true;
            self.studied = None;
            return Err(Refused::StaleCatalog);
        }
        Err(Refused::Client(ClientError::Refused(refusal)))
    }
}

/// The text of a client's message.
fn readable(text: &[u8]) -> Result<&str, Refused> {
    std::str::from_utf8(text).map_err(|_| {
        let refusal = Refusal::new(RefusalKind::Unparsed, "the statement is not valid UTF-8")
            .hint("SET client_encoding = 'UTF8' and send the statement in it");
        Refused::Client(ClientError::Refused(refusal))
    })
}
