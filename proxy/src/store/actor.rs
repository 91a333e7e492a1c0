//! Who acts on the store: a user with a token, or the OS user who runs the proxy. Made by the API and the in-band SQL
//! after they have authenticated somebody; says what one is, not what one may do.

use std::sync::Arc;

use hallpass_audit::event::Origin;
pub use hallpass_policy::approval::Standing;
use hallpass_policy::{
    approval::Voter,
    ids::{GroupName, Principal, Timestamp, UserName},
    role::Party,
};

/// How much of what concerns others somebody may read. Gives no right to change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// One's own, and what one may decide.
    Own,
    /// Everything: `[auditors]`.
    Everything,
}

/// Somebody who was authenticated.
#[derive(Clone, Debug)]
pub struct Actor {
    /// The user's name, or `admin:OSUSER`.
    pub name: UserName,
    /// The user's groups.
    pub groups: Vec<GroupName>,
    /// Rights.
    pub standing: Standing,
    /// What may be read besides.
    pub sight: Sight,
    /// When the account ends, if it does.
    pub expires: Option<Timestamp>,
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
        let (groups, standing) = (Vec::new(), Standing::Operator);
        Self { name, groups, standing, sight: Sight::Own, expires: None, origin: Arc::new(origin) }
    }

    /// A user of the store; `admins` is `[admins]` of the configuration in force.
    pub fn user(principal: Principal, admins: &[Party], origin: Origin) -> Self {
        let standing = if is_among(&principal, admins) { Standing::Admin } else { Standing::Member };
        let Principal { user, groups } = principal;
        let origin = Arc::new(Origin { user: Some(user.clone()), ..origin });
        Self { origin, name: user, groups, standing, sight: Sight::Own, expires: None }
    }

    /// The same, who may read everything if `auditors`, the configuration's `[auditors]`, says so.
    #[must_use]
    pub fn seeing(mut self, auditors: &[Party]) -> Self {
        if is_among(&self.principal(), auditors) {
            self.sight = Sight::Everything;
        }
        self
    }

    /// The same, whose account ends at `expires`.
    #[must_use]
    pub fn until(self, expires: Option<Timestamp>) -> Self {
        Self { expires, ..self }
    }

    /// Whether everything is allowed.
    pub fn is_admin(&self) -> bool {
        self.standing.is_admin()
    }

    /// Whether what concerns others may be read: for admins and auditors.
    pub fn sees_everything(&self) -> bool {
        self.is_admin() || self.sight == Sight::Everything
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
