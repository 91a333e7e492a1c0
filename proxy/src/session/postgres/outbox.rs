//! What leaves the session: bytes for the client, and bytes for the upstream, which come in three kinds only: forwarded
//! under a [`Permit`], control messages that hold no SQL, and the proxy's own fixed statements.

use crate::{
    session::{gate::Permit, target::ViewRevision},
    wire::postgres::encode::{self, Unencodable},
};

/// Buffers of one turn. Both are written when the turn is over, the upstream's only after the journal.
#[derive(Debug, Default)]
pub struct Outbox {
    /// For the client.
    pub(super) client: Vec<u8>,
    upstream: Vec<u8>,
    /// A Parse, and what followed it, that is not recorded yet: it waits to share its record with its Execute.
    held: Vec<u8>,
}

/// Frames without SQL of the client's: Bind, Describe, Close, Flush, Sync, CopyData, CopyDone, CopyFail, Terminate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Control<'a>(pub(super) &'a [u8]);

/// The proxy's own statements.
#[derive(Clone, Debug)]
pub(super) enum OwnSql<'a> {
    /// What search_path is in force, and has the session a schema for temporary relations?
    Sight,
    /// Begins a transaction around a bounded write, or around the catalog's queries.
    Begin,
    /// Keeps a bounded write.
    Commit,
    /// Takes a bounded write back, or ends what was begun around the catalog's queries.
    Rollback,
    /// The fence: new transactions are read-only, or not.
    ReadOnly(bool),
    /// The fence: the role.
    Role(Option<&'a str>),
    /// Fails in the parser, whatever the transaction's state.
    Fail,
    /// The same, at its end.
    FailAtEnd,
    /// One of the catalog's queries.
    Catalog(&'static str),
    /// The revisions of these views.
    Views(&'a [ViewRevision]),
    /// The search_path for the rest of the transaction: around the catalog's queries.
    Path(&'a str),
}

impl OwnSql<'_> {
    fn text(&self) -> std::borrow::Cow<'static, str> {
        use std::borrow::Cow::{Borrowed, Owned};
        match self {
            Self::Sight => Borrowed("SELECT pg_catalog.current_setting('search_path'), pg_catalog.pg_my_temp_schema()"),
            Self::Begin => Borrowed("BEGIN"),
            Self::Commit => Borrowed("COMMIT"),
            Self::Rollback => Borrowed("ROLLBACK"),
            Self::ReadOnly(true) => Borrowed("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"),
            Self::ReadOnly(false) => Borrowed("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE"),
            Self::Role(None) => Borrowed("SET ROLE NONE"),
            Self::Role(Some(role)) => Owned(format!("SET ROLE \"{}\"", role.replace('"', "\"\""))),
            Self::Fail => Borrowed("denied by hallpass"),
            Self::FailAtEnd => Borrowed("EXPLAIN /* denied by hallpass */"),
            Self::Catalog(text) => Borrowed(text),
            Self::Views(views) => {
                let oids: Vec<String> = views.iter().map(|view| view.oid.to_string()).collect();
                Owned(format!(
                    "SELECT ev_class, pg_catalog.max(xmin::pg_catalog.text) FROM pg_catalog.pg_rewrite \
                     WHERE ev_class OPERATOR(pg_catalog.=) ANY ('{{{}}}'::pg_catalog.oid[]) GROUP BY ev_class",
                    oids.join(",")
                ))
            }
            // A path may hold anything the server took for names: it is quoted as the text it is.
            Self::Path(path) => {
                Owned(format!("SELECT pg_catalog.set_config('search_path', '{}', true)", path.replace('\'', "''")))
            }
        }
    }
}

impl Outbox {
    /// Sends a frame that holds SQL, with all that was held for the same record.
    pub(super) fn forward(&mut self, _permit: &Permit, frame: &[u8]) {
        self.upstream.append(&mut self.held);
        self.upstream.extend_from_slice(frame);
    }

    /// Keeps a Parse back until [`Outbox::forward`] or [`Outbox::release`].
    pub(super) fn hold(&mut self, frame: &[u8]) {
        self.held.extend_from_slice(frame);
    }

    /// Sends what was held: it is recorded now.
    pub(super) fn release(&mut self, _permit: &Permit) {
        self.upstream.append(&mut self.held);
    }

    /// Drops what was held: it could not be recorded.
    pub(super) fn drop_held(&mut self) {
        self.held.clear();
    }

    /// Sends a frame without SQL, behind what is held if anything is.
    pub(super) fn control(&mut self, frame: Control<'_>) {
        let to = if self.held.is_empty() { &mut self.upstream } else { &mut self.held };
        to.extend_from_slice(frame.0);
    }

    /// Asks for the description of a prepared statement, for the proxy itself.
    pub(super) fn describe(&mut self, statement: &[u8]) -> Result<(), Unencodable> {
        let to = if self.held.is_empty() { &mut self.upstream } else { &mut self.held };
        encode::describe(to, crate::wire::postgres::frontend::Named::Statement(statement))
    }

    /// Sends one of the proxy's own statements as a Query.
    pub(super) fn own_query(&mut self, sql: &OwnSql<'_>) {
        // No statement of ours holds a NUL or fills a length field.
        let _ = encode::query(&mut self.upstream, sql.text().as_bytes());
    }

    /// Sends one of the proxy's own statements as a Parse under a name no client uses.
    pub(super) fn own_parse(&mut self, sql: &OwnSql<'_>) {
        let _ = encode::parse(&mut self.upstream, b"hallpass_own", sql.text().as_bytes(), &[]);
    }

    /// Asks the upstream to answer what it has, for the proxy itself.
    pub(super) fn own_flush(&mut self) {
        encode::flush(&mut self.upstream);
    }

    /// The upstream's bytes of this turn.
    pub fn upstream_mut(&mut self) -> &mut Vec<u8> {
        &mut self.upstream
    }

    /// The client's bytes of this turn.
    pub fn client_mut(&mut self) -> &mut Vec<u8> {
        &mut self.client
    }
}
