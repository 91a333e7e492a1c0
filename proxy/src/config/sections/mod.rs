//! Each section of `proxy.toml` from its table to its type; a fault leaves a default behind and reading goes on, so
//! that all faults of a file are found at once. Nothing made here is used when any fault was found.

use std::path::Path;

use hallpass_policy::{decide::Policy, role::Party};

use super::{
    Config,
    reader::{Node, Table},
};

mod approvals;
mod cross;
mod databases;
mod listeners;
mod masks;
mod notify;
mod review;
mod roles;
mod scripts;
mod secrets;
pub(super) mod server;
mod statements;

/// The whole file.
pub(super) fn whole_file(root: &Table<'_>, path: &Path) -> Config {
    let server = server::server(root);
    let audit = server::audit(root);
    let api_address = server::api(root);
    let admins = server::parties(root, "admins");
    let auditors = server::parties(root, "auditors");
    let listeners = listeners::listeners(root);
    let databases = databases::databases(root);
    let (roles, baseline) = (roles::roles(root), roles::baseline(root));
    let masks = masks::masks(root);
    let review = review::review(root);
    let approvals = approvals::approvals(root);
    let statements = statements::statements(root);
    let notify = notify::webhooks(root);
    let policy = Policy { roles, baseline, masks, review, statement_writes: statements.writes };
    let config = Config {
        path: path.to_owned(),
        server,
        audit,
        api_address,
        admins,
        auditors,
        listeners,
        databases,
        policy,
        approvals,
        statement_max_duration: statements.max_duration,
        notify,
    };
    cross::check(root, &config);
    root.finish();
    config
}

/// A name that people type and URLs hold: letters, digits, `_`, `-`, `.`, at most 63 bytes.
pub(crate) fn good_name(name: &str) -> bool {
    let fine = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    !name.is_empty() && name.len() <= 63 && name.chars().all(fine) && !name.starts_with(['-', '.'])
}

/// Reports a bad name.
fn check_name(node: &Node<'_>, name: &str) {
    if !good_name(name) {
        node.fault(
            format!("`{name}` is no name"),
            "use at most 63 letters, digits, `_`, `-` and `.`, starting with a letter, a digit or `_`",
        );
    }
}

/// `user:NAME` or `group:NAME`.
fn party(node: &Node<'_>) -> Option<Party> {
    let text = node.text()?;
    match text.split_once(':') {
        Some(("user", name)) if good_name(name) => Some(Party::User(name.into())),
        Some(("group", name)) if good_name(name) => Some(Party::Group(name.into())),
        _ => {
            node.fault(
                format!("`{text}` is neither a user nor a group"),
                format!(
                    "write \"user:{0}\" or \"group:{0}\"",
                    text.rsplit(':').next().filter(|name| good_name(name)).unwrap_or("NAME")
                ),
            );
            None
        }
    }
}

/// A list of names.
fn names<T: for<'b> From<&'b str>>(node: &Node<'_>) -> Vec<T> {
    let texts = node.list().into_iter().filter_map(|item| {
        let text = item.text()?;
        check_name(&item, text);
        Some(T::from(text))
    });
    texts.collect()
}
