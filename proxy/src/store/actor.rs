//! Who acts on the store: a user with a token, or the OS user who runs the proxy. Made by the API and the in-band SQL
//! after they have authenticated somebody; says what one is, not what one may do.

use std::sync::Arc;

use hallpass_audit::event::Origin;
pub use hallpass_policy::approval::Standing;
use hallpass_policy::{
    approval::Voter,
    ids::{GroupName, Principal, UserName},
    role::Party,
};

/// Somebody who was authenticated.
#[derive(Clone, Debug)]
pub struct Actor {
    /// The user's name, or `admin:OSUSER`.
    pub name: UserName,
    /// The user's groups.
    pub groups: Vec<GroupName>,
    /// Rights.
    pub standing: Standing,
    /// For the audit.
    pub origin: Arc<Origin>,
}

/// What an operator's name starts with. No user's name holds a colon.
const OPERATOR: &str = "admin:";

impl Actor {
    /// The OS user `name` over the Unix socket.
    pub fn operator(name: &str) -> Self {
        let name = UserName::new(format!("{OPERATOR}{name}"));
        let origin = Origin { user: Some(name.clone()), protocol: Some("cli".into()), ..Origin::default() };
        Self { name, groups: Vec::new(), standing: Standing::Operator, origin: Arc::new(origin) }
    }

    /// A user of the store; `admins` is `[admins]` of the configuration in force.
    pub fn user(principal: Principal, admins: &[Party], origin: Origin) -> Self {
        let standing = if is_among(&principal, admins) { Standing::Admin } else { Standing::Member };
        let Principal { user, groups } = principal;
        Self { origin: Arc::new(Origin { user: Some(user.clone()), ..origin }), name: user, groups, standing }
    }

    /// Whether everything is allowed.
    pub fn is_admin(&self) -> bool {
        self.standing.is_admin()
    }

    /// As one who approves.
    pub fn voter(&self) -> Voter {
        Voter { principal: self.principal(), standing: self.standing }
    }

    /// For matching parties.
    pub fn principal(&self) -> Principal {
        Principal { user: self.name.clone(), groups: self.groups.clone() }
    }
}

/// Whether `name` is an operator's.
pub fn is_operator(name: &UserName) -> bool {
    name.as_str().starts_with(OPERATOR)
}

/// Whether `parties` name the user or one of the user's groups.
pub fn is_among(principal: &Principal, parties: &[Party]) -> bool {
    parties.iter().any(|party| party.includes(principal))
}

/// A party as it is written: `group:oncall`.
pub fn party_name(party: &Party) -> String {
    party.to_string()
}
