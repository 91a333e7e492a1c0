//! Long texts are understood on threads that may block, so that nobody else on the event loop waits for one of them.
//! Decides nothing: what comes out is what the target would have said at once.

use std::sync::Arc;

use hallpass_policy::statement::{Dialect, Refusal, RefusalKind};
use tokio::sync::Semaphore;

use super::target::{Known, Target, Understanding};

/// The longest text that is understood where it arrives: some milliseconds of work, at the worst.
pub const AT_ONCE: usize = 16 << 10;

/// Bytes of texts that are under study at the same time. A parse tree takes about fifty times its text; a text that is
/// longer than this by itself is studied alone.
const UNDER_STUDY: usize = 16 << 20;

/// One permit a byte. Those who wait are served in their order.
static PLACES: Semaphore = Semaphore::const_new(UNDER_STUDY);

/// A text that is to be understood, and what it is to be read with.
#[derive(Debug)]
pub struct Study {
    /// Where.
    pub target: Arc<Target>,
    /// The names and masks in force.
    pub known: Arc<Known>,
    /// The settings in force.
    pub dialect: Dialect,
    /// As the client sent it.
    pub text: Arc<str>,
}

/// What became of a [`Study`].
#[derive(Debug)]
pub struct Studied {
    text: Arc<str>,
    dialect: Dialect,
    generation: u64,
    result: Result<Arc<Understanding>, Refusal>,
}

impl Study {
    /// Understands the text, at once when it is short.
    pub async fn run(self) -> Studied {
        let Self { target, known, dialect, text } = self;
        let (generation, read_with, of) = (known.generation, dialect.clone(), Arc::clone(&text));
        if text.len() <= AT_ONCE {
            let result = target.understand(&text, &known, &dialect);
            return Studied { text, dialect, generation, result };
        }
        let places = u32::try_from(text.len().min(UNDER_STUDY)).unwrap_or(u32::MAX);
        // Nobody closes the semaphore; without a place the text would only be understood in a crowd.
        let place = PLACES.acquire_many(places).await;
        let work = move || target.understand(&of, &known, &read_with);
        let result = match tokio::task::spawn_blocking(work).await {
            Ok(result) => result,
            Err(error) => {
                tracing::error!(%error, "the analysis of a statement failed");
                Err(Refusal::new(RefusalKind::Unsupported, "the statement could not be analysed"))
            }
        };
        drop(place);
        Studied { text, dialect, generation, result }
    }
}

impl Studied {
    /// What `text` means under these names and settings, if that was studied.
    pub fn of(&self, text: &str, generation: u64, dialect: &Dialect) -> Option<&Result<Arc<Understanding>, Refusal>> {
        let same = self.generation == generation && self.dialect == *dialect && *self.text == *text;
        same.then_some(&self.result)
    }

    /// What the text means.
    ///
    /// # Errors
    /// The refusal, when it is not understood.
    pub fn into_result(self) -> Result<Arc<Understanding>, Refusal> {
        self.result
    }
}
