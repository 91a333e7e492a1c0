//! Scoped ports: one target, these roles, these users, and of statements only those of some files. A port narrows and
//! gives nothing.

use std::{path::PathBuf, time::Duration};

use hallpass_tests::{
    both,
    process::{free_port, wait_for},
    protocol::{Answer, Client as _, Direct as _, Kind, Protocol},
    proxy::PASSWORD,
    shop::Shop,
    task::{Task, write},
};
use tempfile::TempDir;

both!(
    only_listed_statements_run,
    a_parameter_takes_any_value_and_a_literal_only_its_own,
    of_several_statements_each_is_checked,
    a_name_must_mean_what_it_means_in_the_file,
    a_port_is_for_its_users_and_roles,
    a_changed_file_is_followed,
    a_bad_file_is_a_fault_with_its_line,
    a_migration_runs_by_the_port_made_for_it,
);

/// A shop with a port for migrations.
struct Scoped<P: Protocol> {
    shop: Shop<P>,
    port: u16,
    folder: TempDir,
}

const RULES: &str = r#"
[roles.migrator]
allow = ["ddl", "select", "insert", "update", "delete"]
tables = ["*.*"]
"#;

fn listener<P: Protocol>(port: u16, files: &str) -> String {
    format!(
        "\n[[listeners]]\nname = \"migrations\"\nprotocol = \"{}\"\naddress = \"127.0.0.1:{port}\"\n\
         tls = {{ mode = \"off\" }}\n\
         scope = {{ database = \"shop\", roles = [\"migrator\"], users = [\"ci\"], statements = \"{files}\" }}\n",
        P::NAME
    )
}

impl<P: Protocol> Scoped<P> {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let folder = tempfile::Builder::new().prefix("hallpass-scripts-").tempdir().expect("a temporary folder");
        files.iter().for_each(|(file, text)| write(&folder.path().join(file), text));
        let port = free_port();
        let pattern = folder.path().join("*.sql").display().to_string();
        let shop = Shop::<P>::with(name, |settings| {
            settings.rules.push_str(RULES);
            settings.rules.push_str(&listener::<P>(port, &pattern));
        });
        shop.proxy.user("ci", &[]);
        Self { shop, port, folder }
    }

    fn grant(&self) -> u64 {
        self.shop.proxy.grant("ci", "migrator", "shop", "1h")
    }

    #[track_caller]
    fn connect(&self) -> P::Client {
        let connected = P::connect(self.port, "ci", PASSWORD, "shop");
        connected.unwrap_or_else(|refused| panic!("{refused:?}; {}", self.shop.proxy.log()))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Denied by the port, not for want of a grant.
#[track_caller]
fn unlisted(answer: &Answer) {
    let error = answer.fails(Kind::Denied);
    assert!(error.says(&["only the statements that it lists", "listener migrations"]), "{error:?}");
}

const UPDATE: &str = "UPDATE shop.orders SET note = 'migrated' WHERE id = 1";

fn only_listed_statements_run<P: Protocol>() {
    let create = "-- first\nCREATE TABLE shop.refunds (id int PRIMARY KEY, amount int);\n\
                  INSERT INTO shop.refunds (id, amount) VALUES (1, 10);\n";
    let scoped = Scoped::<P>::new("scoped", &[("001.sql", create), ("002.sql", UPDATE), ("notes.txt", "not SQL")]);
    let mut ci = scoped.connect();
    let refused = ci.query(UPDATE);
    assert!(refused.fails(Kind::Denied).says(&["no grant allows UPDATE on shop.orders"]), "{refused:?}");
    scoped.grant();
    ci.query("CREATE TABLE shop.refunds (id int PRIMARY KEY, amount int)").ok();
    ci.query("insert into shop.refunds /* as listed */\n(id, amount) values (1,10)").ok();
    ci.query("BEGIN").ok();
    ci.query("update shop.orders set note='migrated' where id=1 -- so").ok();
    ci.query("COMMIT").ok();
    ci.prepared(UPDATE, &[]).ok();
    assert_eq!(ci.query("SELECT 1").ok().value(), "1");
    for other in [
        "UPDATE shop.orders SET note = 'migrated' WHERE id = 2",
        "UPDATE shop.orders SET note = 'migrated'",
        "UPDATE shop.orders SET note = 'Migrated' WHERE id = 1",
        "SELECT note FROM shop.orders WHERE id = 1",
        "INSERT INTO shop.refunds (id, amount) VALUES (2, 10)",
        "DROP TABLE shop.refunds",
        "DELETE FROM shop.orders",
    ] {
        unlisted(&ci.query(other));
        unlisted(&ci.prepared(other, &[]));
    }
    assert_eq!(scoped.shop.database.value("SELECT count(*) FROM shop.orders WHERE note = 'migrated'"), "1");
    // The same grant by another port.
    let mut elsewhere = scoped.shop.connect("ci");
    assert_eq!(elsewhere.query("SELECT note FROM shop.orders WHERE id = 1").ok().value(), "migrated");
}

fn a_parameter_takes_any_value_and_a_literal_only_its_own<P: Protocol>() {
    let (first, second) = (P::parameter(1), P::parameter(2));
    let text = format!("UPDATE shop.orders SET note = {first} WHERE id = {second}");
    let scoped = Scoped::<P>::new("scoped_parameters", &[("fix.sql", &text)]);
    scoped.grant();
    let mut ci = scoped.connect();
    ci.prepared(&text, &["one", "1"]).ok();
    ci.prepared(&text, &["two", "2"]).ok();
    assert_eq!(scoped.shop.database.value("SELECT note FROM shop.orders WHERE id = 2"), "two");
    unlisted(&ci.query("UPDATE shop.orders SET note = 'one' WHERE id = 1"));
    unlisted(&ci.prepared(&format!("UPDATE shop.orders SET note = {first} WHERE id = 2"), &["x"]));
    // What is prepared in SQL is looked into.
    let prepare = P::pick("PREPARE p AS DELETE FROM shop.orders", "PREPARE p FROM 'DELETE FROM shop.orders'");
    let answer = ci.query(prepare);
    assert!(answer.fails(Kind::Denied).says(&["only the statements"]), "{answer:?}");
}

fn of_several_statements_each_is_checked<P: Protocol>() {
    let scoped = Scoped::<P>::new(
        "scoped_several",
        &[("fix.sql", &format!("{UPDATE};\nUPDATE shop.orders SET note = 'b' WHERE id = 3;"))],
    );
    scoped.grant();
    let mut ci = scoped.connect();
    ci.query(&format!("{UPDATE}; UPDATE shop.orders SET note = 'b' WHERE id = 3")).ok();
    assert_eq!(scoped.shop.database.value("SELECT note FROM shop.orders WHERE id = 3"), "b");
    let both = ci.query(&format!("{UPDATE}; DELETE FROM shop.orders WHERE id = 3"));
    unlisted(&both);
    unlisted(&ci.query(&format!("DELETE FROM shop.orders WHERE id = 3; {UPDATE}")));
    assert_eq!(scoped.shop.database.value("SELECT count(*) FROM shop.orders WHERE id = 3"), "1");
}

fn a_name_must_mean_what_it_means_in_the_file<P: Protocol>() {
    let text = P::pick(
        "SET search_path = shop;\nUPDATE orders SET note = 'here' WHERE id = 1;",
        "UPDATE orders SET note = 'here' WHERE id = 1;",
    );
    let scoped = Scoped::<P>::new("scoped_names", &[("fix.sql", text)]);
    let other =
        "CREATE TABLE other.orders (id int PRIMARY KEY, note varchar(20)); INSERT INTO other.orders VALUES (1, 'own')";
    let owner = scoped.shop.database.owner();
    let schema = P::pick(
        "CREATE SCHEMA other;".to_owned(),
        format!("CREATE DATABASE other; GRANT ALL ON other.* TO '{owner}'@'%';"),
    );
    for statement in schema.split_inclusive(';') {
        match P::NAME {
            "postgres" => scoped.shop.database.run_as_owner(statement),
            _ => scoped.shop.database.run(statement),
        }
    }
    scoped.shop.database.run_as_owner(other);
    scoped.grant();
    let mut ci = scoped.connect();
    ci.query(P::pick("SET search_path = shop", "USE shop")).ok();
    ci.query("UPDATE orders SET note = 'here' WHERE id = 1").ok();
    wait_for("the new table is known", Duration::from_secs(30), || {
        let mut ci = scoped.connect();
        ci.query(P::pick("SET search_path = other", "USE other"));
        let answer = ci.query("UPDATE orders SET note = 'here' WHERE id = 1");
        let error = answer.errors.first()?;
        error.says(&["its names mean something else in this session"]).then_some(())
    });
    assert_eq!(scoped.shop.database.value("SELECT note FROM shop.orders WHERE id = 1"), "here");
    assert_eq!(scoped.shop.database.value("SELECT note FROM other.orders WHERE id = 1"), "own");
}

fn a_port_is_for_its_users_and_roles<P: Protocol>() {
    let scoped = Scoped::<P>::new("scoped_users", &[("fix.sql", UPDATE)]);
    scoped.shop.grant("owner");
    let refused = P::connect(scoped.port, "alice", PASSWORD, "shop").expect_err("not alice's").expect("words");
    assert!(refused.says(&["user `alice` may not use this port"]), "{refused:?}");
    let refused = P::connect(scoped.port, "ci", PASSWORD, "elsewhere").expect_err("no such target").expect("words");
    assert!(refused.says(&["elsewhere"]), "{refused:?}");
    // A grant for another role does not count here, even for what is listed.
    scoped.shop.proxy.grant("ci", "owner", "shop", "1h");
    let mut ci = scoped.connect();
    let answer = ci.query(UPDATE);
    assert!(answer.fails(Kind::Denied).says(&["is not usable on this listener"]), "{answer:?}");
    scoped.grant();
    ci.query(UPDATE).ok();
}

fn a_changed_file_is_followed<P: Protocol>() {
    let scoped = Scoped::<P>::new("scoped_reload", &[("fix.sql", UPDATE)]);
    scoped.grant();
    let mut ci = scoped.connect();
    ci.query(UPDATE).ok();
    let next = "UPDATE shop.orders SET note = 'next' WHERE id = 2";
    unlisted(&ci.query(next));
    write(&scoped.file("more.sql"), next);
    wait_for("the new file counts", Duration::from_secs(30), || ci.query(next).errors.is_empty().then_some(()));
    write(&scoped.file("fix.sql"), "UPDATE shop.orders SET note = 'other' WHERE id = 1");
    scoped.shop.proxy.signal("HUP");
    wait_for("the old statement does not", Duration::from_secs(30), || {
        let answer = ci.query(UPDATE);
        (!answer.errors.is_empty()).then(|| unlisted(&answer))
    });
    // A bad file changes nothing, and the log says why.
    write(&scoped.file("more.sql"), &format!("{next};\nSELEC"));
    wait_for("the log says why", Duration::from_secs(30), || {
        scoped.shop.proxy.log().contains("more.sql`, line 2").then_some(())
    });
    ci.query(next).ok();
}

fn a_bad_file_is_a_fault_with_its_line<P: Protocol>() {
    let scoped = Scoped::<P>::new("scoped_faults", &[("fix.sql", UPDATE)]);
    scoped.shop.proxy.cli(&["check"]).ok();
    write(
        &scoped.file("bad.sql"),
        "-- a comment\nUPDATE shop.orders SET note = 'x';\n\n-- and one more\nUPDAT shop.orders;\n",
    );
    let told = scoped.shop.proxy.cli(&["check"]).failed();
    for words in ["scope.statements", "bad.sql`, line 5", "mend"] {
        assert!(told.contains(words), "`{words}` is not in {told}");
    }
    std::fs::remove_file(scoped.file("bad.sql")).expect("it is there");
    std::fs::remove_file(scoped.file("fix.sql")).expect("it is there");
    let told = scoped.shop.proxy.cli(&["check"]).failed();
    assert!(told.contains("no file matches"), "{told}");
    write(&scoped.file("none.sql"), "-- nothing yet\n");
    let told = scoped.shop.proxy.cli(&["check"]).failed();
    assert!(told.contains("hold no statement"), "{told}");
}

fn a_migration_runs_by_the_port_made_for_it<P: Protocol>() {
    let text = "CREATE TABLE shop.refunds (id int PRIMARY KEY, amount int);\n\
                ALTER TABLE shop.orders ADD COLUMN refund int;\nUPDATE shop.orders SET refund = 0 WHERE id = 1;\n";
    let scoped = Scoped::<P>::new("scoped_run", &[("001.sql", text)]);
    let file = scoped.file("001.sql").display().to_string();
    let client = |what: &str| {
        P::pick(
            format!("PGSSLMODE=disable psql -XAtq -v ON_ERROR_STOP=1 {what}"),
            format!("mariadb --no-defaults --user=\"$MYSQL_USER\" -BN \"$MYSQL_DATABASE\" {what}"),
        )
    };
    let migrate = client(&P::pick(format!("-f {file}"), format!("< {file}")));
    let other = client(P::pick("-c 'DELETE FROM shop.orders'", "-e 'DELETE FROM shop.orders'"));
    let script = format!("{migrate} || exit 4; {other} && exit 5; exit 0");
    let words = ["run", "--role", "migrator", "--database", "shop", "--for", "10m", "--reason", "job 7", "--"];
    let words: Vec<&str> = words.into_iter().chain(["sh", "-c", &script]).collect();
    let mut command = scoped.shop.proxy.command(&words);
    command.env("HALLPASS_TOKEN", scoped.shop.proxy.token("ci"));
    let task = Task::start(command);
    task.says("waits for");
    scoped.shop.proxy.cli(&["approve", "1"]).ok();
    let told = task.end();
    assert_eq!(told.code, 0, "{told:?}");
    assert!(told.stderr.contains("only the statements that it lists"), "{told:?}");
    assert_eq!(scoped.shop.database.value("SELECT refund FROM shop.orders WHERE id = 1"), "0");
    assert_eq!(scoped.shop.database.value("SELECT count(*) FROM shop.orders"), "200");
}
