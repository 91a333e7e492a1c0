//! The proxy in front of the corpus' server: the corpus' policy as `proxy.toml`, one user per grant.

use std::{collections::HashMap, fmt::Write as _};

use super::{
    case::{Case, Policy},
    stage::Stage,
};
use crate::{config::Settings, proxy::Proxy};

/// Two proxies (the second without any baseline, for the grant `none`) and who holds what there.
#[derive(Debug)]
pub struct Gate {
    usual: Proxy,
    bare: Proxy,
    holders: HashMap<(String, &'static str), Holder>,
    users: usize,
}

#[derive(Clone, Debug)]
struct Holder {
    user: String,
    grant: Option<u64>,
}

const TABLES: [&str; 5] = ["orders", "order_items", "customers", "drop_requests", "newsletter"];

impl Gate {
    /// Starts the proxies.
    pub fn start(fixture: &impl Stage) -> Self {
        let rules = rules(&fixture.policy());
        let targets = || vec![fixture.target("corpus", false), fixture.target("corpus_super", true)];
        let settings = |rules: String| Settings::new(targets(), &rules);
        Self {
            usual: Proxy::start(settings(rules.clone())),
            bare: Proxy::start(settings(format!("[baseline]\nallow = []\n\n{rules}"))),
            holders: HashMap::new(),
            users: 0,
        }
    }

    /// How the user of a case connects; asks for the grant first, if there is none yet.
    pub fn startup<S: Stage>(&mut self, fixture: &S, case: &Case) -> S::Startup {
        let target = target(case);
        let key = (case.grant.clone(), target);
        if !self.holders.contains_key(&key) {
            let holder = self.new_holder(&case.grant, target);
            self.holders.insert(key.clone(), holder);
        }
        fixture.through(self.proxy(case), &self.holders[&key].user, target)
    }

    fn proxy(&self, case: &Case) -> &Proxy {
        if case.grant == "none" { &self.bare } else { &self.usual }
    }

    fn new_holder(&mut self, grant: &str, target: &str) -> Holder {
        self.users += 1;
        let user = format!("user{}", self.users);
        let proxy = if grant == "none" { &self.bare } else { &self.usual };
        proxy.user(&user, &["corpus"]);
        let grant = match grant.split_once(':') {
            _ if grant == "none" || grant == "explain" => None,
            // A statement that no grant can be had for (a write, say) is played by a user who holds nothing.
            Some(("statement", text)) => {
                proxy.try_request_statement(&user, text, target, &[]).ok().map(|request| proxy.approve(request))
            }
            Some((kind, table)) => Some(proxy.grant(&user, &format!("{kind}_{table}"), target, "2h")),
            None => Some(proxy.grant(&user, grant, target, "2h")),
        };
        Holder { user, grant }
    }

    /// Ends the grant of a case; its next case gets a new one.
    pub fn revoke(&mut self, case: &Case) {
        let holder = self.holders.remove(&(case.grant.clone(), target(case))).expect("the case has connected");
        self.proxy(case).revoke(holder.grant.expect("there is something to revoke"));
    }

    /// Closes all connections to the server, runs `change` there, and starts the proxies again.
    pub fn while_stopped(&self, change: impl FnOnce()) {
        self.usual.stop();
        self.bare.stop();
        change();
        self.usual.serve();
        self.bare.serve();
    }
}

fn target(case: &Case) -> &'static str {
    if case.upstream.as_deref() == Some("superuser") { "corpus_super" } else { "corpus" }
}

/// The corpus' policy in the proxy's words.
fn rules(policy: &Policy) -> String {
    let limits = format!(
        "export = true\nmax_duration = \"8h\"\nstatement_timeout = \"{}s\"\nmax_result_bytes = \"{}MB\"\n",
        policy.limits.statement_seconds,
        policy.limits.result_bytes / 1_000_000
    );
    let list = |items: Vec<String>| items.iter().map(|item| format!("\"{item}\"")).collect::<Vec<_>>().join(", ");
    let schemas = list(policy.granted_schemas.iter().map(|schema| format!("{schema}.*")).collect());
    let except = list(policy.no_grant_reaches.clone());
    let mut text = format!(
        "[roles.read]\nallow = [\"select\", \"explain\"]\ntables = [{schemas}]\nexcept = [{except}]\n{limits}\n\
         [roles.ddl]\nallow = [\"select\", \"explain\", \"ddl\", \"insert\"]\ntables = [{schemas}]\n\
         except = [{except}]\n{limits}\n"
    );
    for table in TABLES {
        let _ = write!(
            text,
            "[roles.read_{table}]\nallow = [\"select\", \"explain\"]\ntables = [\"shop.{table}\"]\n{limits}\n\
             [roles.write_{table}]\nallow = [\"select\", \"explain\", \"insert\", \"update\", \"delete\", \"copy_in\"]\n\
             tables = [\"shop.{table}\"]\nmax_rows_affected = 10\n{limits}\n"
        );
    }
    let masked = list(policy.masked.iter().map(|column| format!("*/{column}")).collect());
    let _ = write!(text, "[[masks]]\ncolumns = [{masked}]\nwith = \"full\"\n\n");
    for rule in ["update-without-where", "delete-without-where"] {
        let _ = write!(text, "[[review]]\nrule = \"{rule}\"\nlevel = \"block\"\n\n");
    }
    text
}
