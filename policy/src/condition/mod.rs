//! Conditions in CEL (the Common Expression Language): compiled, type-checked against the variables that they may use,
//! and evaluated over facts. Knows no approvals and no review rules, which bring the variables; reads no clock.
//!
//! A condition that cannot be evaluated is a [`Failure`], never a `false`: whoever asks refuses then.

use std::{
    fmt,
    panic::AssertUnwindSafe,
    sync::{Arc, LazyLock},
};

use cel::{Context, Env, Program, Value};
use thiserror::Error;

mod check;
mod facts;
mod operator;
#[cfg(test)]
mod tests;
mod types;

pub use facts::{Facts, Fields};
pub use types::{Type, Variables};

/// The longest condition, bytes.
const LONGEST: usize = 4000;

/// The deepest condition, levels of its tree: evaluated on the caller's own stack, which may be as small as two
/// megabytes.
const DEEPEST: usize = 40;

/// The stack to compile one on: the parser takes several frames a level. Taken page by page as it is touched.
const STACK: usize = 256 << 20;

/// The standard functions of CEL; nothing of our own joins them.
static STANDARD: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// A condition whose variables, fields, functions and types are known to fit.
#[derive(Clone)]
pub struct Condition {
    text: Arc<str>,
    program: Arc<Program>,
    labels: Arc<[Arc<str>]>,
}

/// Why a text is no condition.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct Fault {
    /// Where in the text, bytes from its start.
    pub at: usize,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub mend: String,
}

/// Why a condition has no answer for these facts.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the condition `{condition}` cannot be evaluated: {reason}")]
pub struct Failure {
    /// Its text.
    pub condition: Arc<str>,
    /// What failed.
    pub reason: String,
}

impl Condition {
    /// Compiles `text` and checks it against `variables`: it must be a `bool`, name nothing unknown and never compare
    /// what cannot be equal.
    ///
    /// # Errors
    /// The first [`Fault`].
    pub fn compile(text: &str, variables: &Variables) -> Result<Self, Fault> {
        if text.len() > LONGEST {
            return Err(Fault::new(0, format!("the condition is longer than {LONGEST} bytes"), "split the rule"));
        }
        // A thread of its own, so that neither a deep text nor a panic of the parser ends more than this.
        let compiled = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("condition".into()).stack_size(STACK);
            let work = || {
                let program = STANDARD.compile(text).map_err(|errors| unparsed(text, &errors))?;
                let labels = check::check(&program, variables)?;
                Ok((program, labels))
            };
            thread.spawn_scoped(scope, work).ok()?.join().ok()
        });
        let broken = || Fault::new(0, "is a condition that cannot be read", "write it in simpler words");
        let (program, labels) = compiled.unwrap_or_else(|| Err(broken()))?;
        Ok(Self { text: text.into(), program: Arc::new(program), labels: labels.into() })
    }

    /// Whether it holds for `facts`.
    ///
    /// # Errors
    /// When it cannot be evaluated: a label that is not there, a list that is too short, a division by zero.
    pub fn holds(&self, facts: &Facts) -> Result<bool, Failure> {
        let failed = |reason: String| Failure { condition: Arc::clone(&self.text), reason };
        let answer = std::panic::catch_unwind(AssertUnwindSafe(|| {
            let mut context = Context::with_env(Arc::clone(&STANDARD));
            for (name, value) in facts.values() {
                context.add_variable_from_value(*name, value.clone());
            }
            self.program.execute(&context)
        }));
        match answer {
            Ok(Ok(Value::Bool(holds))) => Ok(holds),
            Ok(Ok(other)) => Err(failed(format!("it gives {}, not true or false", other.type_of()))),
            Ok(Err(error)) => Err(failed(why(&error))),
            Err(_) => Err(failed("its evaluation broke off".into())),
        }
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the variable called `name` takes part.
    pub fn mentions(&self, name: &str) -> bool {
        self.program.references().has_variable(name)
    }

    /// Keys of maps that it reads without `has(…)`: where one of them is missing, the condition fails.
    pub fn required_keys(&self) -> &[Arc<str>] {
        &self.labels
    }
}

impl Fault {
    fn new(at: usize, message: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { at, message: message.into(), mend: mend.into() }
    }
}

/// The text, which says it all.
impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Condition({:?})", self.text)
    }
}

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// What of an error of the interpreter is for people.
fn why(error: &cel::ExecutionError) -> String {
    match error {
        cel::ExecutionError::NoSuchKey(key) => format!("there is no `{key}`"),
        // Its message is the parser's own, as a Rust value.
        cel::ExecutionError::FunctionError { function, .. } if function == "duration" => "is no duration".to_owned(),
        cel::ExecutionError::FunctionError { function, message } => format!("`{function}`: {message}"),
        other => other.to_string(),
    }
}

/// The parser's first complaint, with its place.
fn unparsed(text: &str, errors: &cel::ParseErrors) -> Fault {
    let mend = "see the examples of conditions in the annotated proxy.toml";
    let Some(first) = errors.errors.first() else { return Fault::new(0, "is no condition", mend) };
    let (line, column) = (usize::try_from(first.pos.0).unwrap_or(1), usize::try_from(first.pos.1).unwrap_or(1));
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    // What could stand there instead is a list of every token of the language.
    let said = first.msg.split(" expecting ").next().unwrap_or_default();
    let said = said.strip_prefix("Syntax error: ").unwrap_or(said).replace('\'', "`");
    let at = (before + column.saturating_sub(1)).min(text.len());
    Fault::new(at, format!("is no condition: {said}"), mend)
}
