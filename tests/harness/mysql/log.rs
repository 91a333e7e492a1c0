//! The server's general log, read back byte for byte. Its lines begin with a time or tabs, a connection's number and a
//! command; a statement's text goes on over any lines that do not.

use std::collections::HashMap;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// The connection's id.
    pub connection: u32,
    /// Who had logged in there; empty if that was before the log began.
    pub user: String,
    /// `Query`, `Prepare`, `Execute`, `Connect`, `Init DB`, `Quit`, …
    pub command: String,
    /// What it was about.
    pub text: String,
}

impl Logged {
    /// Whether its text is a statement. Execute shows the text with its parameters put in.
    pub fn is_statement(&self) -> bool {
        matches!(self.command.as_str(), "Query" | "Prepare" | "Execute")
    }
}

/// A statement as the servers log it: they cut spaces at both ends, and semicolons at the end, before anything else.
pub fn as_logged(sql: &str) -> &str {
    let space = |character: char| character.is_ascii_whitespace() || character == '\u{b}';
    sql.trim_start_matches(space).trim_end_matches(|character| space(character) || character == ';')
}

const COMMANDS: [&str; 18] = [
    "Connect",
    "Query",
    "Prepare",
    "Execute",
    "Quit",
    "Init DB",
    "Close stmt",
    "Reset stmt",
    "Fetch",
    "Long Data",
    "Change user",
    "Field List",
    "Ping",
    "Statistics",
    "Set option",
    "Reset connection",
    "Processlist",
    "Kill",
];

/// All entries of a log's bytes.
pub(super) fn entries(bytes: &[u8]) -> Vec<Logged> {
    let text = String::from_utf8_lossy(bytes);
    let mut entries: Vec<Logged> = Vec::new();
    let mut users = HashMap::new();
    for line in text.split_inclusive('\n') {
        match head(line) {
            Some((connection, command, rest)) => {
                if command == "Connect" || command == "Change user" {
                    let user = rest.split('@').next().unwrap_or_default().trim();
                    users.insert(connection, user.to_owned());
                }
                let user = users.get(&connection).cloned().unwrap_or_default();
                entries.push(Logged { connection, user, command: command.to_owned(), text: rest.to_owned() });
            }
            None => {
                if let Some(last) = entries.last_mut() {
                    last.text.push_str(line);
                }
            }
        }
    }
    for entry in &mut entries {
        if entry.text.ends_with('\n') {
            entry.text.pop();
        }
    }
    entries
}

/// `TIME\t   ID COMMAND\tTEXT`, MariaDB's second entry of a second with tabs in the time's place.
fn head(line: &str) -> Option<(u32, &'static str, &str)> {
    let (time, rest) = line.split_once('\t')?;
    let is_time = time.is_empty() || time.as_bytes()[0].is_ascii_digit() && time.contains(':') && !time.contains('\'');
    let rest = rest.strip_prefix('\t').unwrap_or(rest).trim_start_matches(' ');
    let digits = rest.find(|character: char| !character.is_ascii_digit())?;
    let connection = rest[..digits].parse().ok()?;
    let rest = rest[digits..].strip_prefix(' ')?;
    let command = COMMANDS.into_iter().find(|command| {
        rest.strip_prefix(command).is_some_and(|after| after.starts_with(['\t', '\n']) || after.is_empty())
    })?;
    let text = rest[command.len()..].strip_prefix('\t').unwrap_or(&rest[command.len()..]);
    is_time.then_some((connection, command, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_both_servers_are_read() {
        let log = "/usr/sbin/mariadbd, Version: 10.11. started with:\nTime\t\t    Id Command\tArgument\n\
                   260101  1:02:03\t     4 Connect\tshop_app@127.0.0.1 on shop using TCP/IP\n\t\t     4 Query\tSELECT 1\n\
                   FROM x \n2026-01-01T01:02:03.000004Z\t   15 Prepare\tSELECT ?\n\t\t     4 Quit\t\n";
        let entries = entries(log.as_bytes());
        let seen: Vec<_> = entries.iter().map(|it| (it.connection, it.command.as_str(), it.text.as_str())).collect();
        let connect = "shop_app@127.0.0.1 on shop using TCP/IP";
        assert_eq!(
            seen,
            [(4, "Connect", connect), (4, "Query", "SELECT 1\nFROM x "), (15, "Prepare", "SELECT ?"), (4, "Quit", "")]
        );
        assert_eq!(entries[1].user, "shop_app");
    }
}
