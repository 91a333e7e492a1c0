//! What the upstream session knows by number and by name: prepared statements of the protocol and of SQL's PREPARE,
//! with their cursors. Changed only when the upstream has said that it did as told.

use std::sync::Arc;

use hallpass_policy::{decide::Allowance, statement::Dialect};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{bound::Bound, job::Run};
use crate::{
    error::ClientError,
    session::{
        hoard::{Hoard, Weigh},
        run::Part,
        target::Understanding,
    },
    wire::mysql::execute::{Known, ParameterType},
};

/// Bytes of a parameter sent in pieces that are kept for the audit.
const LONGEST: usize = 64 << 10;

/// A prepared statement.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    /// Its text.
    pub(super) of: Arc<Understanding>,
    /// Which statement of it.
    pub(super) part: Part,
    /// What it was read with: the server keeps the settings of the time when it was prepared.
    pub(super) dialect: Dialect,
    /// The catalog's generation it was understood under.
    pub(super) generation: u64,
}

/// A statement of COM_STMT_PREPARE.
#[derive(Debug)]
pub(super) struct Statement {
    /// What it runs.
    pub(super) prepared: Prepared,
    /// How many parameters it has.
    pub(super) parameters: usize,
    /// Their types, as last bound.
    pub(super) types: Vec<ParameterType>,
    /// Whether the upstream has these types: not when the execution that bound them was denied.
    pub(super) types_sent: bool,
    /// Parameters that were sent in pieces.
    pub(super) long_data: Vec<Option<Box<LongData>>>,
    /// Its open cursor.
    pub(super) cursor: Option<Cursor>,
}

impl Statement {
    /// A statement that was never run.
    pub(super) fn new(prepared: Prepared, parameters: usize) -> Self {
        Self { prepared, parameters, types: Vec::new(), types_sent: true, long_data: Vec::new(), cursor: None }
    }

    /// Which parameters were sent in pieces.
    pub(super) fn long(&self) -> Vec<bool> {
        self.long_data.iter().map(Option::is_some).collect()
    }

    /// What is known of it when it is executed.
    pub(super) fn known<'a>(&'a self, long_data: &'a [bool]) -> Known<'a> {
        Known { parameters: self.parameters, types: &self.types, long_data }
    }

    /// A piece of a parameter was sent.
    pub(super) fn piece(&mut self, parameter: u16, data: &[u8]) {
        let index = usize::from(parameter);
        if index >= self.parameters {
            return;
        }
        if self.long_data.len() <= index {
            self.long_data.resize_with(index + 1, || None);
        }
        if let Some(slot) = self.long_data.get_mut(index) {
            slot.get_or_insert_default().add(data);
        }
    }
}

impl Weigh for Prepared {
    fn weight(&self) -> usize {
        self.of.text.len()
    }
}

impl Weigh for Statement {
    fn weight(&self) -> usize {
        self.prepared.weight()
    }
}

/// A parameter that came in pieces: as much of it as the audit keeps.
#[derive(Clone, Debug, Default)]
pub struct LongData {
    start: Vec<u8>,
    bytes: u64,
    hash: Sha256,
}

impl LongData {
    /// One that came whole.
    pub(super) fn of(data: &[u8]) -> Self {
        let mut one = Self::default();
        one.add(data);
        one
    }

    fn add(&mut self, data: &[u8]) {
        let room = LONGEST.saturating_sub(self.start.len());
        self.start.extend_from_slice(data.get(..room).unwrap_or(data));
        self.bytes += u64::try_from(data.len()).unwrap_or(u64::MAX);
        self.hash.update(data);
    }

    /// Its start, length and hash, for the audit.
    pub fn recorded(&self) -> Value {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        json!({ "hex": hex(&self.start), "bytes": self.bytes, "sha256": hex(&self.hash.clone().finalize()) })
    }
}

/// Rows that wait for COM_STMT_FETCH.
#[derive(Debug)]
pub(super) struct Cursor {
    /// Under what they may be shown.
    pub(super) allowance: Arc<Allowance>,
    /// What becomes of them.
    pub(super) bound: Option<Arc<Bound>>,
    /// What they come from, and how much of it was shown.
    pub(super) run: Run,
}

/// All statements of one upstream session.
#[derive(Debug, Default)]
pub(super) struct Statements {
    by_number: Hoard<u32, Statement>,
    by_name: Hoard<Arc<str>, Prepared>,
    /// What MariaDB's clients mean by 0xffffffff.
    last: Option<u32>,
}

/// The number that stands for the statement prepared last; MariaDB's.
const LAST: u32 = u32::MAX;

impl Statements {
    /// Whether there is any: state that a new upstream session would not have.
    pub(super) fn any(&self) -> bool {
        !self.by_number.is_empty() || !self.by_name.is_empty()
    }

    /// The number that `number` means.
    pub(super) fn resolve(&self, number: u32) -> u32 {
        if number == LAST { self.last.unwrap_or(number) } else { number }
    }

    /// The statement of this number.
    pub(super) fn get(&self, number: u32) -> Option<&Statement> {
        self.by_number.get(&number)
    }

    /// The statement of this number.
    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut Statement> {
        self.by_number.get_mut(&number)
    }

    /// Whether the session may keep one more of this text.
    pub(super) fn room(&self, of: &Understanding) -> Result<(), ClientError> {
        // Servers give numbers that are not in use.
        self.by_number.room(&LAST, of.weight(), "prepared statements")
    }

    /// Whether the session may keep this text under `name`.
    pub(super) fn room_for_named(&self, name: &str, of: &Understanding) -> Result<(), ClientError> {
        self.by_name.room(name, of.weight(), "prepared statements")
    }

    /// A statement was prepared.
    pub(super) fn insert(&mut self, number: u32, statement: Statement) {
        self.by_number.insert(number, statement);
        self.last = Some(number);
    }

    /// The statement of this number, of the proxy's own, was prepared.
    pub(super) fn note_last(&mut self, number: u32) {
        self.last = Some(number);
    }

    /// Something is prepared now: until it has worked there is no last one. MariaDB's clients send the execution of
    /// "the last one" along, which must not run an earlier statement in the place of one that was denied.
    pub(super) fn forget_last(&mut self) {
        self.last = None;
    }

    /// A statement was closed.
    pub(super) fn remove(&mut self, number: u32) -> Option<Statement> {
        self.by_number.remove(&number)
    }

    /// What PREPARE has put under `name`.
    pub(super) fn named(&self, name: &str) -> Option<&Prepared> {
        self.by_name.get(name)
    }

    /// PREPARE or DEALLOCATE succeeded.
    pub(super) fn set_named(&mut self, name: &Arc<str>, to: Option<Prepared>) {
        match to {
            Some(prepared) => self.by_name.insert(Arc::clone(name), prepared),
            None => self.by_name.remove(name),
        };
    }

    /// The session was reset.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
