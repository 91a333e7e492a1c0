//! What texts mean under the names in force, kept: by the text, and by its shape where only literals differ that its
//! meaning does not depend on. Bounded in bytes. Understands nothing itself, and keeps no refusals.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use ahash::AHashMap;
use hallpass_policy::{
    catalog::{Catalog, QualifiedName},
    statement::{self, Dialect, Refusal, Understood},
};

use super::{postgres::Shape, target::Known};

/// What all that is kept for one target may take, about.
const BYTES_KEPT: usize = 32 << 20;
/// What an understanding takes besides its text, about.
const OF_MEANING: usize = 2 << 10;
/// A text longer than this is understood anew each time: bulk INSERTs do not repeat.
const LONGEST_TEXT_KEPT: usize = 64 << 10;
/// Texts of one shape whose bound literals differ. More of them are not worth the search.
const VARIANTS_KEPT: usize = 8;

thread_local! {
    /// The thread's shape: looking for one allocates nothing.
    static SHAPE: RefCell<statement::Shape> = RefCell::default();
}

/// A view in the revision that a text was understood with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewRevision {
    /// Its name.
    pub name: QualifiedName,
    /// Its OID; 0 on MySQL.
    pub oid: u32,
    /// [`hallpass_policy::catalog::Relation::revision`].
    pub revision: Arc<str>,
}

/// A text and what it means.
#[derive(Debug)]
pub struct Understanding {
    /// Byte for byte as the client sent it.
    pub text: Arc<str>,
    meaning: Arc<Meaning>,
}

/// What a text means; or what all texts do that differ from it in literals alone which decide nothing.
#[derive(Debug)]
pub struct Meaning {
    /// Its statements.
    pub understood: Understood,
    /// The views it reads.
    pub views: Box<[ViewRevision]>,
    /// Its result's columns, once an upstream has described them for a Parse without parameter types. A literal's class
    /// is part of a shape, so that all its texts have columns of the same types.
    pub shape: Arc<OnceLock<Shape>>,
    dialect: Dialect,
    generation: u64,
    of: Of,
}

/// Of how many texts a meaning is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    One,
    /// Its statements pin nothing: see [`Understood::shared`].
    Many,
}

impl Deref for Understanding {
    type Target = Meaning;

    fn deref(&self) -> &Meaning {
        &self.meaning
    }
}

impl Understanding {
    /// What it means: the same pointer for all texts that mean the same.
    pub fn meaning(&self) -> &Arc<Meaning> {
        &self.meaning
    }
}

impl Meaning {
    /// Whether it is that of many texts, so that nothing may be decided by it that hangs on a literal.
    pub fn is_shared(&self) -> bool {
        self.of == Of::Many
    }

    /// What it was read with.
    pub fn dialect(&self) -> &Dialect {
        &self.dialect
    }

    fn new(understood: Understood, known: &Known, dialect: &Dialect, of: Of) -> Arc<Self> {
        Arc::new(Self {
            views: views_of(&understood, &known.catalog),
            understood: if of == Of::Many { understood.shared() } else { understood },
            shape: Arc::default(),
            dialect: dialect.clone(),
            generation: known.generation,
            of,
        })
    }

    fn is_under(&self, known: &Known, dialect: &Dialect) -> bool {
        self.generation == known.generation && self.dialect == *dialect
    }
}

/// One meaning of a shape, and which of its texts have it: those whose bound literals are these.
#[derive(Debug)]
struct Variant {
    key: Box<[u8]>,
    /// Number and text of each literal that decides something.
    bound: Box<[(usize, Box<str>)]>,
    meaning: Arc<Meaning>,
}

impl Variant {
    fn fits(&self, shape: &statement::Shape, text: &str) -> bool {
        let says = |(number, bound): &(usize, Box<str>)| {
            shape.literals().get(*number).and_then(|place| text.get(place.clone())) == Some(&**bound)
        };
        *self.key == *shape.key() && self.bound.iter().all(says)
    }
}

/// The texts of one target. By their hash; what is found is compared before it is believed.
#[derive(Debug, Default)]
pub struct Texts {
    hasher: ahash::RandomState,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    exact: AHashMap<u64, Arc<Understanding>>,
    shared: AHashMap<u64, Vec<Variant>>,
    bytes: usize,
}

impl Texts {
    /// What this very text means: every literal of it counts.
    ///
    /// # Errors
    /// The refusal, when it is not understood.
    pub fn exact(&self, text: &str, known: &Known, dialect: &Dialect) -> Result<Arc<Understanding>, Refusal> {
        if let Some(met) = self.met(text, known, dialect) {
            return Ok(met);
        }
        let understood = dialect.understand(text, &known.catalog)?;
        Ok(self.keep(text, Meaning::new(understood, known, dialect, Of::One)))
    }

    /// What this text means, if need be by another one that differs from it in literals alone that decide nothing.
    ///
    /// # Errors
    /// The refusal, when it is not understood.
    pub fn shared(&self, text: &str, known: &Known, dialect: &Dialect) -> Result<Arc<Understanding>, Refusal> {
        if let Some(met) = self.met(text, known, dialect) {
            return Ok(met);
        }
        SHAPE.with_borrow_mut(|shape| {
            let has_shape =
                text.len() <= LONGEST_TEXT_KEPT && shape.scan(text, dialect) && !shape.literals().is_empty();
            let hash = if has_shape { self.hasher.hash_one((shape.key(), dialect, known.generation)) } else { 0 };
            if has_shape && let Some(meaning) = self.met_shape(hash, shape, text, known, dialect) {
                return Ok(Arc::new(Understanding { text: Arc::from(text), meaning }));
            }
            let understood = dialect.understand(text, &known.catalog)?;
            if !has_shape || understood.free.is_empty() {
                return Ok(self.keep(text, Meaning::new(understood, known, dialect, Of::One)));
            }
            let free = |place: &std::ops::Range<usize>| {
                understood.free.binary_search_by_key(&place.start, |free| free.start).is_ok()
            };
            let bound = shape.literals().iter().enumerate().filter(|(_, place)| !free(place));
            let bound = bound.filter_map(|(number, place)| Some((number, text.get(place.clone())?.into()))).collect();
            let meaning = Meaning::new(understood, known, dialect, Of::Many);
            let variant = Variant { key: shape.key().into(), bound, meaning: Arc::clone(&meaning) };
            let mut kept = self.room(text.len());
            let variants = kept.shared.entry(hash).or_default();
            if variants.len() >= VARIANTS_KEPT {
                variants.remove(0);
            }
            variants.push(variant);
            Ok(Arc::new(Understanding { text: Arc::from(text), meaning }))
        })
    }

    /// Forgets everything.
    pub fn forget(&self) {
        *self.lock() = Kept::default();
    }

    fn met(&self, text: &str, known: &Known, dialect: &Dialect) -> Option<Arc<Understanding>> {
        if text.len() > LONGEST_TEXT_KEPT {
            return None;
        }
        let hash = self.hasher.hash_one((text, dialect, known.generation));
        let met = self.lock().exact.get(&hash).cloned()?;
        (*met.text == *text && met.is_under(known, dialect)).then_some(met)
    }

    fn met_shape(
        &self,
        hash: u64,
        shape: &statement::Shape,
        text: &str,
        known: &Known,
        dialect: &Dialect,
    ) -> Option<Arc<Meaning>> {
        let kept = self.lock();
        let mut variants = kept.shared.get(&hash)?.iter();
        let met = variants.find(|variant| variant.fits(shape, text) && variant.meaning.is_under(known, dialect));
        met.map(|variant| Arc::clone(&variant.meaning))
    }

    fn keep(&self, text: &str, meaning: Arc<Meaning>) -> Arc<Understanding> {
        let hash = self.hasher.hash_one((text, &meaning.dialect, meaning.generation));
        let understanding = Arc::new(Understanding { text: Arc::from(text), meaning });
        if text.len() <= LONGEST_TEXT_KEPT {
            self.room(text.len()).exact.insert(hash, Arc::clone(&understanding));
        }
        understanding
    }

    /// What is kept, with room for another text of that length.
    fn room(&self, length: usize) -> MutexGuard<'_, Kept> {
        let mut kept = self.lock();
        let bytes = length + OF_MEANING;
        if kept.bytes + bytes > BYTES_KEPT {
            *kept = Kept::default();
        }
        kept.bytes += bytes;
        kept
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The views that a text reads, through others too.
fn views_of(understood: &Understood, catalog: &Catalog) -> Box<[ViewRevision]> {
    let touched: BTreeSet<_> = understood.statements.iter().flat_map(|statement| &statement.touches).collect();
    let view = |name: &QualifiedName| {
        let relation = catalog.relations.get(name)?;
        Some(ViewRevision { name: name.clone(), oid: relation.oid, revision: relation.revision.clone()? })
    };
    touched.into_iter().filter_map(view).collect()
}
