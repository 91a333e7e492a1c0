//! What leaves the session: bytes for the client, and bytes for the upstream, which come in three kinds only: forwarded
//! under a [`Permit`], commands that hold no SQL, and the proxy's own fixed statements.

use hallpass_policy::{catalog::QualifiedName, statement::mysql};

use crate::{
    session::{catalog::mysql::revisions, gate::Permit, target::Understanding, upstream::mysql::SETUP},
    wire::mysql::{
        capability::{Capabilities, Flavour},
        codec::{self, Order, Sequence},
        encode,
    },
};

/// Buffers of one turn. Both are written when the turn is over, the upstream's only after the journal.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// For the client.
    pub(super) client: Vec<u8>,
    upstream: Vec<u8>,
}

/// Packets without SQL of the client's: COM_PING, COM_STMT_CLOSE, a file's content and their like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Control<'a>(pub(super) &'a [u8]);

/// The proxy's own statements.
#[derive(Clone, Debug)]
pub(super) enum OwnSql<'a> {
    /// Database, sql_mode and character sets in force.
    Settings,
    /// What variables hold that SET is about to read: names as `@a` and `@@b`.
    Values(&'a [String]),
    /// The revisions of the views that this text reads, and of what is a view now of its tables.
    Views(&'a Understanding, Flavour),
    /// The definition of a view of this name: an error when it is a table.
    View(&'a QualifiedName),
    /// The definition of what may be a temporary table.
    Definition(&'a QualifiedName),
    /// The columns of a temporary table.
    Columns(&'a QualifiedName),
    /// Nothing, for its status.
    Status,
    /// Begins a transaction around a bounded write.
    Begin,
    /// Keeps a bounded write.
    Commit,
    /// Takes a bounded write back, or ends a transaction whose grant ended.
    Rollback,
    /// A place to go back to, in the client's transaction.
    Savepoint,
    /// Keeps what was written since.
    Release,
    /// Takes it back.
    RollbackTo,
    /// The fence: new transactions are read-only, or not.
    ReadOnly(bool),
    /// The fence: the role.
    Role(Option<&'a str>, Flavour),
}

impl OwnSql<'_> {
    fn text(&self) -> std::borrow::Cow<'static, str> {
        use std::borrow::Cow::{Borrowed, Owned};
        match self {
            Self::Settings => Borrowed(SETUP),
            Self::Values(names) => Owned(format!("SELECT {}", names.join(", "))),
            Self::Views(of, flavour) => {
                let flavour = match flavour {
                    Flavour::MySql => mysql::Flavour::MySql,
                    Flavour::MariaDb => mysql::Flavour::MariaDb,
                };
                Owned(revisions(of.views.iter().map(|view| &view.name), &of.tables, flavour))
            }
            Self::View(name) => Owned(format!("SHOW CREATE VIEW {}.{}", quoted(&name.schema), quoted(&name.name))),
            Self::Definition(name) => {
                Owned(format!("SHOW CREATE TABLE {}.{}", quoted(&name.schema), quoted(&name.name)))
            }
            Self::Columns(name) => Owned(format!("SHOW COLUMNS FROM {}.{}", quoted(&name.schema), quoted(&name.name))),
            Self::Status => Borrowed("DO 0"),
            Self::Begin => Borrowed("START TRANSACTION"),
            // Whatever `completion_type` says.
            Self::Commit => Borrowed("COMMIT AND NO CHAIN NO RELEASE"),
            Self::Rollback => Borrowed("ROLLBACK AND NO CHAIN NO RELEASE"),
            Self::Savepoint => Borrowed("SAVEPOINT hallpass_bounded"),
            Self::Release => Borrowed("RELEASE SAVEPOINT hallpass_bounded"),
            Self::RollbackTo => Borrowed("ROLLBACK TO SAVEPOINT hallpass_bounded"),
            Self::ReadOnly(true) => Borrowed("SET SESSION TRANSACTION READ ONLY"),
            Self::ReadOnly(false) => Borrowed("SET SESSION TRANSACTION READ WRITE"),
            Self::Role(None, Flavour::MySql) => Borrowed("SET ROLE DEFAULT"),
            Self::Role(None, Flavour::MariaDb) => Borrowed("SET ROLE NONE"),
            Self::Role(Some(role), _) => Owned(format!("SET ROLE {}", quoted(role))),
        }
    }
}

/// A name in backquotes: right under every sql_mode.
pub(super) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

impl Outbox {
    /// Sends a command that holds SQL.
    pub(super) fn forward(&mut self, _permit: &Permit, packets: &[u8], order: Order) {
        self.put(packets, order);
    }

    /// Sends a command without SQL.
    pub(super) fn control(&mut self, packets: Control<'_>, order: Order) {
        self.put(packets.0, order);
    }

    /// Sends a packet of the file that the upstream asked for; `sequence` is the one it expects.
    pub(super) fn file(&mut self, packet: Control<'_>, mut sequence: Sequence) {
        let start = self.upstream.len();
        self.upstream.extend_from_slice(packet.0);
        codec::renumber(self.upstream.get_mut(start..).unwrap_or_default(), &mut sequence);
    }

    /// Sends one of the proxy's own statements.
    pub(super) fn own(&mut self, sql: &OwnSql<'_>, held: Capabilities) {
        encode::query(&mut self.upstream, &mut Sequence::start(Order::Checked), sql.text().as_bytes(), held);
    }

    /// The upstream's bytes of this turn.
    pub(super) fn upstream_mut(&mut self) -> &mut Vec<u8> {
        &mut self.upstream
    }

    /// Under compression a client's sequence ids are whatever they are; the upstream checks them.
    fn put(&mut self, packets: &[u8], order: Order) {
        let start = self.upstream.len();
        self.upstream.extend_from_slice(packets);
        if order == Order::Loose {
            let place = self.upstream.get_mut(start..).unwrap_or_default();
            codec::renumber(place, &mut Sequence::start(Order::Checked));
        }
    }
}
