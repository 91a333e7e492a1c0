//! The shop that most scenarios use: a database with customers, orders, employees and views, a proxy in front of it,
//! alice (oncall) who asks and bob (security) who approves. It grants nothing by itself.

use crate::{
    config::{Settings, Target},
    postgres::{Database, Server},
    process::Output,
    proxy::Proxy,
    psql::Psql,
    wire::postgres::{Client, Startup},
};

/// Objects and rows of the shop.
pub const SCHEMA: &str = "
CREATE SCHEMA shop;
CREATE TABLE shop.customers (
  id int PRIMARY KEY, name text NOT NULL, email text UNIQUE, ssn text, card_number text, salary numeric(10,2), city text);
INSERT INTO shop.customers SELECT i, 'Customer ' || i, 'mail' || i || '@example.test', '900-00-' || lpad(i::text, 4, '0'),
  '411100000000' || lpad(i::text, 4, '0'), 50000 + i, (ARRAY['Oslo','Bergen','Turku'])[1 + i % 3] FROM generate_series(1, 50) i;
CREATE TABLE shop.orders (
  id int PRIMARY KEY, customer_id int REFERENCES shop.customers, total numeric(10,2), status text DEFAULT 'open', note text);
INSERT INTO shop.orders SELECT i, 1 + i % 50, i * 1.5, 'open', 'note ' || i FROM generate_series(1, 200) i;
CREATE TABLE shop.employees (id int PRIMARY KEY, name text, salary int);
INSERT INTO shop.employees SELECT i, 'Employee ' || i, 70000 + i FROM generate_series(1, 5) i;
CREATE TABLE shop.vault (id int, secret text);
INSERT INTO shop.vault VALUES (1, 'vault-secret');
CREATE VIEW shop.contacts AS SELECT id, name, email AS address FROM shop.customers;
CREATE FUNCTION shop.order_total(k int) RETURNS numeric LANGUAGE sql STABLE AS 'SELECT total FROM shop.orders WHERE id = k';
CREATE FUNCTION shop.touch(k int) RETURNS int LANGUAGE plpgsql AS
  $$ BEGIN UPDATE shop.orders SET note = 'touched' WHERE id = k; RETURN k; END $$;
";

/// Roles and masks of the shop.
pub const RULES: &str = r#"
[roles.reader]
allow = ["select", "explain"]
tables = ["shop.*"]
except = ["shop.vault"]
functions = ["shop.order_total", "shop.touch"]
max_duration = "8h"

[roles.small]
allow = ["select"]
tables = ["shop.*"]
max_rows = 10
statement_timeout = "1s"

[roles.bytes]
allow = ["select"]
tables = ["shop.*"]
max_result_bytes = "64KB"

[roles.exporter]
allow = ["select", "insert", "copy_in"]
tables = ["shop.*"]
export = true

[roles.fixer]
allow = ["select", "insert", "update", "delete"]
tables = ["shop.orders"]
request_by = ["group:oncall"]
max_rows_affected = 5

[roles.owner]
allow = ["*"]

[[masks]]
columns = ["*/shop.customers.email"]
with = "email"

[[masks]]
columns = ["*/shop.customers.ssn"]
with = "full"

[[masks]]
columns = ["*/shop.customers.card_number"]
with = { keep_last = 4 }

[[masks]]
columns = ["*/shop.customers.salary", "*/shop.employees.salary"]
with = "null"

[[approvals]]
source = "role"
approvers = ["group:security"]

[[approvals]]
source = "statement"
approvers = ["group:security"]
"#;

/// A shop with its proxy.
#[derive(Debug)]
pub struct Shop {
    /// The database, directly.
    pub database: Database,
    /// The proxy; its target is `shop`.
    pub proxy: Proxy,
}

impl Shop {
    /// A shop of its own for the scenario `name`.
    pub fn new(name: &str) -> Self {
        Self::with(name, |_| {})
    }

    /// With another configuration.
    pub fn with(name: &str, change: impl FnOnce(&mut Settings)) -> Self {
        let database = Server::shared().database(name);
        database.owner_sql(SCHEMA);
        let mut settings = Settings::new(vec![Target::new("shop", &database)], RULES);
        change(&mut settings);
        let proxy = Proxy::start(settings);
        proxy.user("alice", &["oncall"]);
        proxy.user("bob", &["security"]);
        Self { database, proxy }
    }

    /// Alice's connection.
    #[track_caller]
    pub fn alice(&self) -> Client {
        self.proxy.connect("alice", "shop")
    }

    /// Alice's login.
    pub fn alice_login(&self) -> Startup {
        self.proxy.startup("alice", "shop")
    }

    /// Alice's connection, with this role granted for an hour.
    #[track_caller]
    pub fn alice_as(&self, role: &str) -> Client {
        self.grant(role);
        self.alice()
    }

    /// Grants alice a role for an hour. Returns the grant's id.
    #[track_caller]
    pub fn grant(&self, role: &str) -> u64 {
        self.proxy.grant("alice", role, "shop", "1h")
    }

    /// Alice's psql.
    pub fn psql(&self) -> Psql {
        self.proxy.psql("alice", "shop")
    }

    /// One statement in alice's psql.
    pub fn psql_sql(&self, sql: &str) -> Output {
        self.psql().sql(sql)
    }
}
