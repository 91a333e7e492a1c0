//! What the upstream session knows by name: prepared statements and portals, SQL-level ones among them, since Postgres
//! keeps both kinds in one namespace each. Changed when a message is forwarded, changed back if it does not succeed.

use std::sync::{Arc, OnceLock};

use crate::{
    error::ClientError,
    session::{
        hoard::{Hoard, Weigh},
        run::Part,
        target::Understanding,
    },
};

/// One column of a result, as a RowDescription tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShapeColumn {
    /// The table it comes from; 0: none known.
    pub table: u32,
    /// The column's number there.
    pub attribute: i16,
    /// Its type.
    pub type_oid: u32,
}

/// A result's columns; `None`: no rows come back.
pub type Shape = Option<Box<[ShapeColumn]>>;

/// A prepared statement.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    /// Its text.
    pub(super) of: Arc<Understanding>,
    /// Which statement of it; `None`: the empty statement.
    pub(super) part: Option<Part>,
    /// The search_path it was understood under: the server plans it anew when that changes.
    pub(super) path: Arc<str>,
    /// The catalog's generation it was understood under.
    pub(super) generation: u64,
    /// Its result's columns, once the upstream has described them.
    pub(super) shape: Arc<OnceLock<Shape>>,
}

impl Weigh for Prepared {
    fn weight(&self) -> usize {
        self.of.text.len()
    }
}

/// A portal or cursor.
#[derive(Clone, Debug)]
pub(super) struct Portal {
    /// What it runs: fixed when it was bound.
    pub(super) prepared: Prepared,
    /// The result formats of its Bind; empty: text.
    pub(super) formats: Arc<[i16]>,
    /// Its Bind's parameters as JSON, for the audit.
    pub(super) parameters: Option<Box<str>>,
    /// Executed before: the next Execute goes on where the last one stopped.
    pub(super) begun: bool,
}

impl Weigh for Portal {
    fn weight(&self) -> usize {
        self.prepared.weight() + self.parameters.as_ref().map_or(0, |parameters| parameters.len())
    }
}

/// How to take a change back.
#[derive(Debug)]
pub(super) enum Undo {
    /// The prepared statement was this before.
    Prepared(Box<[u8]>, Option<Prepared>),
    /// The portal was this before.
    Portal(Box<[u8]>, Option<Portal>),
    /// These were all prepared statements.
    AllPrepared(Hoard<Box<[u8]>, Prepared>),
    /// These were all portals.
    AllPortals(Hoard<Box<[u8]>, Portal>),
    /// The search_path was this before.
    Path(Arc<str>),
}

/// All names of one upstream session.
#[derive(Debug, Default)]
pub(super) struct UpstreamNames {
    prepared: Hoard<Box<[u8]>, Prepared>,
    portals: Hoard<Box<[u8]>, Portal>,
}

impl UpstreamNames {
    /// The prepared statement called `name`.
    pub(super) fn prepared(&self, name: &[u8]) -> Option<&Prepared> {
        self.prepared.get(name)
    }

    /// The portal or cursor called `name`.
    pub(super) fn portal(&self, name: &[u8]) -> Option<&Portal> {
        self.portals.get(name)
    }

    /// The portal, to note that it was executed.
    pub(super) fn portal_mut(&mut self, name: &[u8]) -> Option<&mut Portal> {
        self.portals.get_mut(name)
    }

    /// Whether any named prepared statement exists: state that a new upstream session would not have.
    pub(super) fn any_named(&self) -> bool {
        self.prepared.keys().any(|name| !name.is_empty())
    }

    /// Whether the session may keep this under `name`.
    pub(super) fn room_for_prepared(&self, name: &[u8], prepared: &impl Weigh) -> Result<(), ClientError> {
        self.prepared.room(name, prepared.weight(), "prepared statements")
    }

    /// Whether the session may keep this under `name`.
    pub(super) fn room_for_portal(&self, name: &[u8], portal: &impl Weigh) -> Result<(), ClientError> {
        self.portals.room(name, portal.weight(), "portals")
    }

    /// Sets or removes a prepared statement.
    pub(super) fn set_prepared(&mut self, name: &[u8], to: Option<Prepared>) -> Undo {
        let before = match to {
            Some(prepared) => self.prepared.insert(Box::from(name), prepared),
            None => self.prepared.remove(name),
        };
        Undo::Prepared(Box::from(name), before)
    }

    /// Sets or removes a portal.
    pub(super) fn set_portal(&mut self, name: &[u8], to: Option<Portal>) -> Undo {
        let before = match to {
            Some(portal) => self.portals.insert(Box::from(name), portal),
            None => self.portals.remove(name),
        };
        Undo::Portal(Box::from(name), before)
    }

    /// Forgets all named prepared statements, as DEALLOCATE ALL does; the unnamed one stays.
    pub(super) fn clear_named(&mut self) -> Vec<Undo> {
        let before = std::mem::take(&mut self.prepared);
        if let Some(unnamed) = before.get([].as_slice()).cloned() {
            self.prepared.insert(Box::default(), unnamed);
        }
        vec![Undo::AllPrepared(before)]
    }

    /// Forgets the portals that end with their transaction, but for those `bound_later`, which belong to the next one.
    /// Cursors of DECLARE stay: they may be held beyond it, and one that is gone upstream fails there.
    pub(super) fn end_transaction(&mut self, bound_later: impl Fn(&[u8]) -> bool) {
        let stays = |portal: &Portal| matches!(portal.prepared.part, Some(Part::Inner(_)));
        self.portals.retain(|name, portal| stays(portal) || bound_later(name));
    }

    /// Forgets all portals.
    pub(super) fn clear_portals(&mut self) -> Undo {
        Undo::AllPortals(std::mem::take(&mut self.portals))
    }

    /// Takes a change back; the search_path's is handed back, as it is kept elsewhere.
    pub(super) fn undo(&mut self, undo: Undo) -> Option<Arc<str>> {
        match undo {
            Undo::Prepared(name, Some(before)) => {
                self.prepared.insert(name, before);
            }
            Undo::Prepared(name, None) => {
                self.prepared.remove(&name);
            }
            Undo::Portal(name, Some(before)) => {
                self.portals.insert(name, before);
            }
            Undo::Portal(name, None) => {
                self.portals.remove(&name);
            }
            Undo::AllPrepared(before) => self.prepared = before,
            Undo::AllPortals(before) => self.portals = before,
            Undo::Path(before) => return Some(before),
        }
        None
    }
}
