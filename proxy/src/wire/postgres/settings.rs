//! Settings in a startup packet: `options` split as the server splits them, and which settings may be given at all.
//! A name that is not listed here is refused; what a listed one does afterwards is the session's affair.

use crate::error::ClientError;

/// One setting that the upstream is started with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Setting {
    /// In lower case.
    pub name: String,
    /// As the client gave it.
    pub value: String,
}

/// What becomes of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Passed on to the upstream.
    Forward,
    /// Passed on, and the session must know its value: names, encodings, the look of values.
    Track,
    /// The login fails; the text is the hint.
    Refuse(&'static str),
}

/// Why `options` is no list of settings.
fn refused(message: String, hint: &str) -> ClientError {
    ClientError::StartupRefused { message, hint: hint.to_owned(), sqlstate: "42501" }
}

const OPTIONS_HINT: &str = "write options=-c name=value, or --name=value";

/// Splits `options` as the server does: words end at white space, a backslash takes the next character as it stands;
/// `-c name=value`, `-cname=value` and `--name=value`, in which `-` in a name means `_`.
///
/// # Errors
/// [`ClientError::StartupRefused`] for anything else.
pub fn parse_options(options: &str) -> Result<Vec<Setting>, ClientError> {
    let mut words = split_words(options).into_iter();
    let mut settings = Vec::new();
    while let Some(word) = words.next() {
        let assignment = if let Some(long) = word.strip_prefix("--") {
            long.to_owned()
        } else if word == "-c" {
            words.next().ok_or_else(|| refused("option `-c` needs a setting".into(), OPTIONS_HINT))?
        } else if let Some(short) = word.strip_prefix("-c") {
            short.to_owned()
        } else {
            return Err(refused(format!("option `{word}` is not allowed"), OPTIONS_HINT));
        };
        let Some((name, value)) = assignment.split_once('=') else {
            return Err(refused(format!("option `{assignment}` needs a value"), OPTIONS_HINT));
        };
        if name.is_empty() {
            return Err(refused(format!("option `{assignment}` has no name"), OPTIONS_HINT));
        }
        settings.push(Setting { name: name.replace('-', "_").to_ascii_lowercase(), value: value.to_owned() });
    }
    Ok(settings)
}

fn split_words(options: &str) -> Vec<String> {
    // What C's isspace takes for white space.
    let space = |c: char| matches!(c, ' ' | '\t' | '\n' | '\x0b' | '\x0c' | '\r');
    let (mut words, mut word, mut inside) = (Vec::new(), String::new(), false);
    let mut chars = options.chars();
    while let Some(c) = chars.next() {
        if space(c) {
            if inside {
                words.push(std::mem::take(&mut word));
            }
            inside = false;
            continue;
        }
        inside = true;
        // A backslash at the very end stands for nothing, as in the server.
        word.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    if inside {
        words.push(word);
    }
    words
}

/// Settings whose value the session must know.
const TRACKED: &[&str] = &[
    "search_path",
    "client_encoding",
    "datestyle",
    "intervalstyle",
    "timezone",
    "bytea_output",
    "extra_float_digits",
    "lc_monetary",
    "xmlbinary",
    "application_name",
];

/// Settings that change how a statement is planned, how long it may wait or how things look, and nothing else.
const HARMLESS: &[&str] = &[
    "array_nulls",
    "check_function_bodies",
    "client_connection_check_interval",
    "client_min_messages",
    "constraint_exclusion",
    "cpu_index_tuple_cost",
    "cpu_operator_cost",
    "cpu_tuple_cost",
    "cursor_tuple_fraction",
    "default_statistics_target",
    "default_text_search_config",
    "default_transaction_deferrable",
    "default_transaction_isolation",
    "effective_cache_size",
    "effective_io_concurrency",
    "escape_string_warning",
    "from_collapse_limit",
    "gin_fuzzy_search_limit",
    "hash_mem_multiplier",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "jit",
    "jit_above_cost",
    "jit_inline_above_cost",
    "jit_optimize_above_cost",
    "join_collapse_limit",
    "lc_messages",
    "lc_numeric",
    "lc_time",
    "lock_timeout",
    "logical_decoding_work_mem",
    "maintenance_work_mem",
    "max_parallel_maintenance_workers",
    "max_parallel_workers",
    "max_parallel_workers_per_gather",
    "min_parallel_index_scan_size",
    "min_parallel_table_scan_size",
    "parallel_leader_participation",
    "parallel_setup_cost",
    "parallel_tuple_cost",
    "plan_cache_mode",
    "quote_all_identifiers",
    "random_page_cost",
    "recursive_worktable_factor",
    "seq_page_cost",
    "statement_timeout",
    "synchronous_commit",
    "synchronize_seqscans",
    "tcp_keepalives_count",
    "tcp_keepalives_idle",
    "tcp_keepalives_interval",
    "tcp_user_timeout",
    "temp_buffers",
    "transaction_timeout",
    "work_mem",
    "xmloption",
];

/// What becomes of the setting `name` (in lower case) with `value`.
pub fn startup_setting(name: &str, value: &str) -> Verdict {
    match name {
        "client_encoding" if encoding(value).is_none() => {
            Verdict::Refuse("connect with client_encoding=UTF8; encodings that hide ASCII characters are not read")
        }
        "standard_conforming_strings" => only(value, true, "leave standard_conforming_strings on: texts are read so"),
        "default_transaction_read_only" => {
            only(value, true, "connect without it; whether a session may write follows from your grants")
        }
        "role" | "session_authorization" => {
            Verdict::Refuse("connect without it; what you may do follows from your grants: see `hallpass grants`")
        }
        "session_replication_role" => {
            Verdict::Refuse("connect without it; it would switch triggers and foreign keys off")
        }
        name if TRACKED.contains(&name) => Verdict::Track,
        name if HARMLESS.contains(&name) || name.starts_with("enable_") || name.starts_with("geqo") => Verdict::Forward,
        _ => Verdict::Refuse("connect without it, and SET it in the session if your grants allow that"),
    }
}

/// Tracks a setting that may only be switched one way.
fn only(value: &str, wanted: bool, hint: &'static str) -> Verdict {
    if boolean(value) == Some(wanted) { Verdict::Track } else { Verdict::Refuse(hint) }
}

/// A Boolean as the server reads it; `None` when it is none.
pub fn boolean(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "1" | "on" | "t" | "tr" | "tru" | "true" | "y" | "ye" | "yes" => Some(true),
        "0" | "of" | "off" | "f" | "fa" | "fal" | "fals" | "false" | "n" | "no" => Some(false),
        _ => None,
    }
}

/// A client encoding in which every byte below 0x80 is that ASCII character, so that what the server reads is what the
/// gate read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8.
    Utf8,
    /// Another one: texts of the client are then only taken if they are pure ASCII.
    AsciiSafe,
}

/// The encoding of that name; `None` for unknown ones and for those that use ASCII bytes inside characters (SJIS, BIG5,
/// GBK, UHC, GB18030, JOHAB).
pub fn encoding(name: &str) -> Option<Encoding> {
    // As the server compares them: letters and digits alone, in lower case.
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    match name.as_str() {
        "utf8" | "unicode" => Some(Encoding::Utf8),
        "sqlascii" | "koi8" | "koi8r" | "koi8u" | "win" | "alt" | "abc" | "tcvn" | "tcvn5712" | "vscii" | "win866"
        | "win874" | "euccn" | "eucjp" | "euckr" | "euctw" | "eucjis2004" | "muleinternal" => Some(Encoding::AsciiSafe),
        other => {
            let families = ["latin", "iso8859", "win125", "windows125"];
            let number = families.iter().find_map(|family| other.strip_prefix(family));
            number.filter(|n| n.len() <= 2 && n.chars().all(|c| c.is_ascii_digit())).map(|_| Encoding::AsciiSafe)
        }
    }
}

/// Checks that all of `settings` may be given.
///
/// # Errors
/// [`ClientError::StartupRefused`] with SQLSTATE 42501 for the first that is not allowed.
pub fn check(settings: &[Setting]) -> Result<(), ClientError> {
    for setting in settings {
        if let Verdict::Refuse(hint) = startup_setting(&setting.name, &setting.value) {
            return Err(refused(format!("parameter \"{}\" cannot be set at connection start", setting.name), hint));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(options: &str) -> Vec<(String, String)> {
        parse_options(options).unwrap().into_iter().map(|setting| (setting.name, setting.value)).collect()
    }

    #[test]
    fn options_are_split_as_the_server_splits_them() {
        let expected = [("search_path", "a, b"), ("work_mem", "1MB"), ("geqo", ""), ("datestyle", r"i\so")];
        let found = pairs("-c search_path=a,\\ b  --work-mem=1MB\t-cgeqo= -c DateStyle=i\\\\so\\");
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert!(pairs("  ").is_empty());
    }

    #[test]
    fn what_is_no_setting_is_refused() {
        for options in ["-c", "-c x", "-c =1", "--=1", "--x", "-S 100", "x=1", "-", "\\ -c x=1"] {
            assert!(matches!(parse_options(options), Err(ClientError::StartupRefused { .. })), "{options}");
        }
    }

    #[test]
    fn only_settings_that_cannot_weaken_the_gate_pass() {
        assert_eq!(startup_setting("work_mem", "1GB"), Verdict::Forward);
        assert_eq!(startup_setting("enable_seqscan", "off"), Verdict::Forward);
        assert_eq!(startup_setting("search_path", "x"), Verdict::Track);
        assert_eq!(startup_setting("client_encoding", "'utf-8'"), Verdict::Track);
        assert_eq!(startup_setting("default_transaction_read_only", "on"), Verdict::Track);
        let refused = [
            ("role", "postgres"),
            ("session_authorization", "postgres"),
            ("default_transaction_read_only", "off"),
            ("default_transaction_read_only", "maybe"),
            ("standard_conforming_strings", "off"),
            ("session_replication_role", "replica"),
            ("client_encoding", "SJIS"),
            ("client_encoding", "latin1; x"),
            ("local_preload_libraries", "x"),
            ("app.tenant", "7"),
            ("transaction_read_only", "on"),
            ("backslash_quote", "on"),
            ("", "x"),
        ];
        for (name, value) in refused {
            assert!(matches!(startup_setting(name, value), Verdict::Refuse(_)), "{name}={value}");
        }
    }

    #[test]
    fn encodings_that_hide_ascii_are_none() {
        assert_eq!(encoding("UNICODE"), Some(Encoding::Utf8));
        assert_eq!(encoding("LATIN-9"), Some(Encoding::AsciiSafe));
        assert_eq!(encoding("WIN1252"), Some(Encoding::AsciiSafe));
        assert_eq!(encoding("ISO_8859_5"), Some(Encoding::AsciiSafe));
        for name in ["SJIS", "BIG5", "GBK", "UHC", "GB18030", "JOHAB", "SHIFT_JIS_2004", "auto", ""] {
            assert_eq!(encoding(name), None, "{name}");
        }
    }
}
