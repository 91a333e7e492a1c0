//! What to do instead of what was refused, in the words of whoever asked: a command for the command line, a call for a
//! session of SQL. Knows nothing of what is refused.

/// What to do instead; empty where nobody knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hint {
    /// For the command line and the API.
    pub cli: String,
    /// For in-band SQL.
    pub sql: String,
}

impl Hint {
    /// `what`, then the command `hallpass …`, or the call `CALL hallpass.…`.
    pub(super) fn typed(what: &str, command: &str, call: &str) -> Self {
        Self { cli: format!("{what}: hallpass {command}"), sql: format!("{what}: CALL hallpass.{call}") }
    }

    /// `what`, then an option of a command, or an argument of a call.
    pub(super) fn option(what: &str, option: &str, argument: &str) -> Self {
        Self { cli: format!("{what}: `{option}`"), sql: format!("{what}: {argument}") }
    }
}

/// The same words everywhere.
impl From<String> for Hint {
    fn from(words: String) -> Self {
        Self { cli: words.clone(), sql: words }
    }
}

impl From<&str> for Hint {
    fn from(words: &str) -> Self {
        words.to_owned().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_asker_reads_what_he_can_type() {
        let hint = Hint::typed("withdraw it", "cancel 17", "cancel(17)");
        assert_eq!(
            (&*hint.cli, &*hint.sql),
            ("withdraw it: hallpass cancel 17", "withdraw it: CALL hallpass.cancel(17)")
        );
        let hint = Hint::option("say how long", "--for 30m", "'30 min'");
        assert_eq!((&*hint.cli, &*hint.sql), ("say how long: `--for 30m`", "say how long: '30 min'"));
    }
}
