//! What a session's gate has decided, as long as it holds: under the same grants, configuration and names, and not
//! beyond the end of the grant. Decides nothing.

use std::sync::Arc;

use ahash::AHashMap;
use hallpass_policy::{decide::Allowance, ids::Timestamp};

use super::{target::Understanding, texts::Meaning};

/// Decisions a session keeps; past that it forgets them all and decides anew.
const KEPT: usize = 512;

/// Everything a decision depends on besides the statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Epoch {
    pub(super) grants: u64,
    pub(super) config: u64,
    pub(super) known: u64,
}

/// Whether what a literal says may decide something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Literals {
    /// The user holds a statement grant, or the port lists statements: both pin literals.
    Matter,
    /// Nothing looks at them.
    DoNotMatter,
}

#[derive(Debug)]
struct Decided {
    epoch: Epoch,
    /// Keeps the meaning alive, so that its address stays its name.
    _of: Arc<Meaning>,
    allowance: Arc<Allowance>,
}

/// One session's decisions.
#[derive(Debug, Default)]
pub(super) struct Decisions {
    /// By the address of the meaning and the number of the part.
    decided: AHashMap<(usize, usize), Decided>,
    literals: Option<(Epoch, Literals)>,
}

impl Decisions {
    /// What was decided of this part of `of`, if it still holds.
    pub(super) fn get(&self, of: &Understanding, part: usize, epoch: &Epoch, now: Timestamp) -> Option<Arc<Allowance>> {
        let decided = self.decided.get(&(address(of), part))?;
        let holds = decided.epoch == *epoch && decided.allowance.until.is_none_or(|until| now < until);
        holds.then(|| Arc::clone(&decided.allowance))
    }

    /// Remembers a decision.
    pub(super) fn keep(&mut self, of: &Understanding, part: usize, epoch: Epoch, allowance: Arc<Allowance>) {
        if self.decided.len() >= KEPT {
            self.decided.clear();
        }
        self.decided.insert((address(of), part), Decided { epoch, _of: Arc::clone(of.meaning()), allowance });
    }

    /// Whether literals matter, if that was found out since the last change.
    pub(super) fn literals(&self, epoch: &Epoch) -> Option<Literals> {
        self.literals.filter(|(found, _)| found == epoch).map(|(_, literals)| literals)
    }

    /// Remembers whether literals matter.
    pub(super) fn keep_literals(&mut self, epoch: &Epoch, literals: Literals) {
        self.literals = Some((*epoch, literals));
    }
}

fn address(of: &Understanding) -> usize {
    Arc::as_ptr(of.meaning()) as usize
}
