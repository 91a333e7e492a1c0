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
    catalog::{Catalog, QualifiedName, RelationKind},
    statement::{self, Dialect, Outputs, Refusal, Statement, Understood, inner},
};

use super::{postgres::Shape, target::Known};

/// What all that is kept for one target may take, about.
const BYTES_KEPT: usize = 32 << 20;
/// Bytes of what one text means, above which it is not kept: a `*` here and there makes much out of little.
const MOST_MEANING: usize = 512 << 10;
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
    /// The tables of MySQL it reads, which somebody may have put views in the place of.
    pub tables: Box<[QualifiedName]>,
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

    /// Whether it means the same as another under the same names.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.meaning, &other.meaning)
            || (&self.text, self.generation, &self.dialect) == (&other.text, other.generation, &other.dialect)
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
        Ok(self.keep(text, Self::meaning(understood, known, dialect, Of::One)))
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
                return Ok(self.keep(text, Self::meaning(understood, known, dialect, Of::One)));
            }
            let free = |place: &std::ops::Range<usize>| {
                understood.free.binary_search_by_key(&place.start, |free| free.start).is_ok()
            };
            let bound = shape.literals().iter().enumerate().filter(|(_, place)| !free(place));
            let bound = bound.filter_map(|(number, place)| Some((number, text.get(place.clone())?.into()))).collect();
            let meaning = Self::meaning(understood, known, dialect, Of::Many);
            let variant = Variant { key: shape.key().into(), bound, meaning: Arc::clone(&meaning) };
            if let Some(mut kept) = self.room(text, &meaning) {
                let variants = kept.shared.entry(hash).or_default();
                if variants.len() >= VARIANTS_KEPT {
                    variants.remove(0);
                }
                variants.push(variant);
            }
            Ok(Arc::new(Understanding { text: Arc::from(text), meaning }))
        })
    }

    /// Forgets everything.
    pub fn forget(&self) {
        *self.lock() = Kept::default();
    }

    /// What this very text means, if it was met before and is remembered.
    pub fn met(&self, text: &str, known: &Known, dialect: &Dialect) -> Option<Arc<Understanding>> {
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
        if let Some(mut kept) = self.room(text, &understanding.meaning) {
            kept.exact.insert(hash, Arc::clone(&understanding));
        }
        understanding
    }

    fn meaning(understood: Understood, known: &Known, dialect: &Dialect, of: Of) -> Arc<Meaning> {
        Arc::new(Meaning {
            views: views_of(&understood, &known.catalog),
            tables: tables_of(&understood, &known.catalog, dialect),
            understood: if of == Of::Many { understood.shared() } else { understood },
            shape: Arc::default(),
            dialect: dialect.clone(),
            generation: known.generation,
            of,
        })
    }

    /// What is kept, with room for this text; `None` when it is too much to keep.
    fn room(&self, text: &str, meaning: &Meaning) -> Option<MutexGuard<'_, Kept>> {
        let bytes = text.len() + weight(&meaning.understood);
        if text.len() > LONGEST_TEXT_KEPT || bytes > MOST_MEANING {
            return None;
        }
        let mut kept = self.lock();
        if kept.bytes + bytes > BYTES_KEPT {
            *kept = Kept::default();
        }
        kept.bytes += bytes;
        Some(kept)
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

/// Schemas of MySQL's whose tables nobody can replace.
const FIXED: &[&str] = &["information_schema", "performance_schema"];

/// The tables of MySQL that a text reads, through views too: unlike Postgres it does not say in a result that a name
/// means another relation now.
fn tables_of(understood: &Understood, catalog: &Catalog, dialect: &Dialect) -> Box<[QualifiedName]> {
    match dialect {
        Dialect::Postgres(_) => Box::default(),
        Dialect::Mysql(_) => {
            let touched: BTreeSet<_> = understood.statements.iter().flat_map(|statement| &statement.touches).collect();
            // What temporary tables hide does not matter; they themselves are asked for in another way.
            let is_table = |name: &&QualifiedName| {
                if FIXED.contains(&&*name.schema) {
                    return false;
                }
                let relation = catalog.relations.get(*name).filter(|_| !catalog.temporary.contains(*name));
                relation.is_some_and(|relation| relation.kind == RelationKind::Table)
            };
            touched.into_iter().filter(is_table).cloned().collect()
        }
    }
}

/// About how many bytes a meaning takes in memory.
fn weight(understood: &Understood) -> usize {
    let columns = |statement: &Statement| match &statement.outputs {
        Outputs::Columns(columns) => columns.iter().map(|column| 1 + column.lineage.columns.len()).sum(),
        Outputs::None | Outputs::Server | Outputs::OfPrepared(_) | Outputs::OfCursor(_) => 0,
    };
    let one = |statement: &Statement| {
        1 + columns(statement) + statement.needs.len() + statement.uses.len() + statement.touches.len()
    };
    let parts = understood.statements.iter().map(|statement| one(statement) + inner(statement).map_or(0, one));
    parts.sum::<usize>() * 128
}
