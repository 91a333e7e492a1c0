//! The shop that most scenarios use: a database with customers, orders, employees and views, a proxy in front of it,
//! alice (oncall) who asks and bob (security) who approves. It grants nothing by itself.

use std::marker::PhantomData;

use crate::{
    config::Settings,
    process::Output,
    protocol::{Client as _, Direct as _, MySql, Postgres, Protocol, Refused},
    proxy::{PASSWORD, Proxy},
    psql::Psql,
    wire::{mysql, postgres},
};

/// Objects and rows of the shop on Postgres.
pub const POSTGRES_SCHEMA: &str = "
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

/// The same objects and rows on MySQL and MariaDB, where the database is the schema.
pub const MYSQL_SCHEMA: &str = "
CREATE TABLE shop.customers (
  id int PRIMARY KEY, name varchar(40) NOT NULL, email varchar(80) UNIQUE, ssn varchar(20), card_number varchar(20),
  salary decimal(10,2), city varchar(20));
INSERT INTO shop.customers WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 50)
  SELECT i, CONCAT('Customer ', i), CONCAT('mail', i, '@example.test'), CONCAT('900-00-', LPAD(i, 4, '0')),
  CONCAT('411100000000', LPAD(i, 4, '0')), 50000 + i, ELT(1 + i % 3, 'Oslo', 'Bergen', 'Turku') FROM s;
CREATE TABLE shop.orders (
  id int PRIMARY KEY, customer_id int, total decimal(10,2), status varchar(20) DEFAULT 'open', note varchar(60),
  FOREIGN KEY (customer_id) REFERENCES shop.customers (id));
INSERT INTO shop.orders WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 200)
  SELECT i, 1 + i % 50, i * 1.5, 'open', CONCAT('note ', i) FROM s;
CREATE TABLE shop.employees (id int PRIMARY KEY, name varchar(40), salary int);
INSERT INTO shop.employees WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 5)
  SELECT i, CONCAT('Employee ', i), 70000 + i FROM s;
CREATE TABLE shop.vault (id int, secret varchar(40));
INSERT INTO shop.vault VALUES (1, 'vault-secret');
CREATE VIEW shop.contacts AS SELECT id, name, email AS address FROM shop.customers;
CREATE FUNCTION shop.order_total(k int) RETURNS decimal(10,2) READS SQL DATA RETURN (SELECT total FROM shop.orders WHERE id = k);
CREATE FUNCTION shop.touch(k int) RETURNS int MODIFIES SQL DATA
  BEGIN UPDATE shop.orders SET note = 'touched' WHERE id = k; RETURN k; END
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
pub struct Shop<P: Protocol> {
    /// The proxy; its target is `shop`. It ends before the database does.
    pub proxy: Proxy,
    /// The database, directly.
    pub database: P::Database,
    protocol: PhantomData<P>,
}

/// A shop on Postgres, for scenarios of its protocol alone.
pub type PostgresShop = Shop<Postgres>;
/// A shop on MySQL or MariaDB, for scenarios of its protocol alone.
pub type MySqlShop = Shop<MySql>;

impl<P: Protocol> Shop<P> {
    /// A shop of its own for the scenario `name`.
    pub fn new(name: &str) -> Self {
        Self::with(name, |_| {})
    }

    /// With another configuration.
    pub fn with(name: &str, change: impl FnOnce(&mut Settings)) -> Self {
        Self::after("", name, change)
    }

    /// The same, behind a superuser's SQL: what is there before the proxy starts, it knows from the start.
    pub fn after(sql: &str, name: &str, change: impl FnOnce(&mut Settings)) -> Self {
        let database = P::database(name);
        database.run_as_owner(P::SCHEMA);
        if !sql.is_empty() {
            database.run(sql);
        }
        let mut settings = Settings::new(vec![P::target("shop", &database)], RULES);
        change(&mut settings);
        let proxy = Proxy::start(settings);
        proxy.user("alice", &["oncall"]);
        proxy.user("bob", &["security"]);
        Self { proxy, database, protocol: PhantomData }
    }

    /// A connection of a user with this password.
    ///
    /// # Errors
    /// What the proxy answered.
    pub fn log_in(&self, user: &str, password: &str, target: &str) -> Result<P::Client, Refused> {
        P::connect(self.proxy.port_of(target), user, password, target)
    }

    /// A user's connection.
    #[track_caller]
    pub fn connect(&self, user: &str) -> P::Client {
        let connected = self.log_in(user, PASSWORD, "shop");
        connected.unwrap_or_else(|refused| panic!("{refused:?}; {}", self.proxy.log()))
    }

    /// Alice's connection.
    #[track_caller]
    pub fn alice(&self) -> P::Client {
        self.connect("alice")
    }

    /// Alice's connection, with this role granted for an hour.
    #[track_caller]
    pub fn alice_as(&self, role: &str) -> P::Client {
        self.grant(role);
        self.alice()
    }

    /// Grants alice a role for an hour. Returns the grant's id.
    #[track_caller]
    pub fn grant(&self, role: &str) -> u64 {
        self.proxy.grant("alice", role, "shop", "1h")
    }

    /// What a query of alice's gives, in a connection of its own.
    #[track_caller]
    pub fn ask(&self, sql: &str) -> crate::protocol::Answer {
        self.alice().query(sql)
    }
}

impl Shop<Postgres> {
    /// Alice's login.
    pub fn alice_login(&self) -> postgres::Startup {
        self.proxy.startup("alice", "shop")
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

impl Shop<MySql> {
    /// Alice's login.
    pub fn alice_login(&self) -> mysql::Startup {
        self.proxy.mysql_startup("alice", "shop")
    }
}
