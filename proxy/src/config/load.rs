//! From the text of `proxy.toml` to a [`Config`], or to everything that is wrong with it.
//! Reads the file, the files it names and the environment; changes nothing.

use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::{
    Config,
    diagnostic::{Diagnostic, Warning},
    reader::{Source, Table},
    sections,
};

/// A configuration and what is odd about it, or every fault of its file.
pub type Loaded = Result<(Config, Vec<Warning>), Vec<Diagnostic>>;

impl Config {
    /// Reads `path`. Paths in it are relative to its folder.
    ///
    /// # Errors
    /// Every fault at once, each with its line, its key and its mend.
    pub fn load(path: &Path) -> Loaded {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(path, &text),
            Err(error) => Err(vec![unreadable(path, &error)]),
        }
    }

    /// Reads `text` as if it stood in `path`. An empty text gives the built-in defaults.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(path: &Path, text: &str) -> Loaded {
        let mut source = Source::new(path, text);
        let (root, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            // What follows a syntax error is guesswork, so nothing else is reported beside it.
            let faults = errors.into_iter().map(|error| {
                let span = error.span().unwrap_or_default();
                source.diagnostic(span, "", format!("not TOML: {}", error.message()), String::new())
            });
            return Err(faults.collect());
        }
        source.inline_secrets = sections::server::inline_secrets(root.get_ref());
        let config = sections::whole_file(&Table::root(&source, &root), path);
        let (faults, warnings) = source.finish();
        if faults.is_empty() { Ok((config, warnings)) } else { Err(faults) }
    }
}

/// `[server] data_dir` of `path`, even when other parts of the file are wrong or name secrets that only the proxy's
/// own environment holds: where a command finds the running proxy, which may run on an earlier, better file.
///
/// # Errors
/// When the file cannot be read, or is not TOML and names no folder before it goes wrong.
pub fn data_dir(path: &Path) -> Result<PathBuf, Diagnostic> {
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    let source = Source::new(path, &text);
    let (root, errors) = DeTable::parse_recoverable(&text);
    let named = sections::server::data_dir(&Table::root(&source, &root));
    match (named, errors.first()) {
        (Some(folder), _) => Ok(folder),
        (None, None) => Ok(sections::server::default_data_dir(&source)),
        (None, Some(error)) => Err(source.diagnostic(
            error.span().unwrap_or_default(),
            "",
            format!("not TOML: {}", error.message()),
            String::new(),
        )),
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Diagnostic {
    Diagnostic {
        file: path.to_owned(),
        line: 0,
        key: String::new(),
        fault: format!("cannot be read: {error}"),
        mend: "name another file with `--config FILE` or HALLPASS_CONFIG".to_owned(),
    }
}
