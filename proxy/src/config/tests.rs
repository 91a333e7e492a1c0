//! Broken files and exactly what is said about them; the default file and that it says what is built in.

use std::{path::Path, time::Duration};

use hallpass_policy::{
    mask::apply::{DatePart, MaskWith},
    statement::Action,
};

use super::{Config, Format, ListenerTls, NativePasswords, Protocol, Topic, UpstreamTls, load::data_dir};

/// A target that is right, for tests about something else.
const SHOP: &str = "[databases.shop]\nprotocol = \"postgres\"\nhost = \"127.0.0.1\"\nuser = \"h\"\n";

fn faults(text: &str) -> Vec<String> {
    match Config::parse(Path::new("proxy.toml"), text) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.iter().map(|fault| fault.to_string().replace("\n    ", " | ")).collect(),
    }
}

fn good(text: &str) -> Config {
    Config::parse(Path::new("proxy.toml"), text).unwrap().0
}

#[test]
fn the_default_file_says_what_is_built_in() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proxy.toml");
    let (written, warnings) = Config::load(&path).unwrap();
    let (built_in, _) = Config::parse(&path, "").unwrap();
    assert_eq!(format!("{written:#?}"), format!("{built_in:#?}"));
    let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("there is no target to connect to"), "{warnings:?}");
}

#[test]
fn the_examples_in_the_default_file_are_right() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proxy.toml");
    let text = std::fs::read_to_string(path).unwrap();
    let mut examples = String::new();
    for line in text.lines() {
        // An example is a commented line that looks like TOML; what needs files or an environment is left out.
        let code = line.strip_prefix("# ").unwrap_or(line);
        let toml = code.starts_with('[') || code.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
        let elsewhere = ["certificate =", "password =", "tls =", "ca ="].iter().any(|key| code.starts_with(key));
        if toml && !elsewhere {
            examples.push_str(code);
            examples.push('\n');
        }
    }
    let examples = examples + "[roles.migrator]\nallow = [\"ddl\"]\n[roles.fixer]\nallow = [\"update\"]\n";
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "https://hooks.slack.com/services/T0/B0/x\n").unwrap();
    let file = format!("{{ file = \"{}\" }}", secret.path().display());
    let examples = examples.replace("{ env = \"SLACK_WEBHOOK\" }", &file);
    assert_eq!(faults(&examples), Vec::<String>::new());
    let config = good(&examples);
    assert_eq!(config.notify.len(), 1);
    assert_eq!((config.listeners.len(), config.approvals.len(), config.policy.masks.len()), (3, 4, 1));
    let glass = config.policy.roles["reader"].break_glass.as_ref().unwrap();
    assert_eq!((glass.max_duration, glass.review_within), (Duration::from_secs(1800), Duration::from_secs(86_400)));
    assert_eq!(config.policy.roles["reader"].limits.max_result_bytes, Some(16_000_000));
}

#[test]
fn every_fault_names_line_key_and_mend() {
    let cases: &[(&str, &[&str])] = &[
        ("[server]\ndata_dri = \"x\"", &["proxy.toml:2: server.data_dri: unknown key | did you mean `data_dir`?"]),
        (
            "[sevrer]\nx = 1\n[api]\naddress = \"localhost:1\"",
            &[
                "proxy.toml:1: sevrer: unknown key | did you mean `server`?",
                "proxy.toml:4: api.address: `localhost:1` is no address | write \"127.0.0.1:1\"",
            ],
        ),
        (
            "[server]\nremind_before = [\"5\", \"1 parsec\"]\nlogin_timeout = 3\nthreads = 0",
            &[
                "proxy.toml:2: server.remind_before: `1 parsec` has the unknown unit `parsec` | write a number and a unit: \"30s\", \"5m\", \"8h\", \"400d\"",
                "proxy.toml:2: server.remind_before: `5` has no unit | write a number and a unit: \"30s\", \"5m\", \"8h\", \"400d\"",
                "proxy.toml:3: server.login_timeout: must be a text in quotes, is of type integer",
                "proxy.toml:4: server.threads: `0` is out of range | must be from 1 to 1024",
            ],
        ),
        (
            "[audit]\ndurability = \"disc\"\nretention = \"0s\"",
            &[
                "proxy.toml:2: audit.durability: unknown value `disc` | did you mean `disk`?",
                "proxy.toml:3: audit.retention: must be longer than nothing | remove it for the default",
            ],
        ),
        (
            "[roles.reader]\nallow = [\"selct\"]\ntables = [\"orders\", \"a.b.c\"]\nrequest_by = [\"oncall\"]\nmax_rows = -1",
            &[
                "proxy.toml:2: roles.reader.allow: unknown action `selct` | did you mean `select`?",
                "proxy.toml:3: roles.reader.tables: `a.b.c` is not of the form schema.table | write \"schema.table\"; `*` stands for any characters in a part",
                "proxy.toml:3: roles.reader.tables: `orders` is not of the form schema.table | write the schema, too: \"public.orders\" or \"*.orders\"",
                "proxy.toml:4: roles.reader.request_by: `oncall` is neither a user nor a group | write \"user:oncall\" or \"group:oncall\"",
                "proxy.toml:5: roles.reader.max_rows: `-1` is out of range | must be at least 1",
            ],
        ),
        (
            "[[masks]]\ncolumns = [\"shop.customers.email\"]\nwith = \"emial\"",
            &[
                "proxy.toml:2: masks[1].columns: `shop.customers.email` is not of the form target/schema.table.column | write the target, too: \"*/shop.customers.email\"",
                "proxy.toml:3: masks[1].with: unknown value `emial` | did you mean `email`?",
            ],
        ),
        (
            "[[masks]]\ncolumns = [\"*/a.b.c\"]\nwith = { keep_last = 4, round = 10 }",
            &[
                "proxy.toml:3: masks[1].with: is not one kind of mask | write \"full\", \"null\", \"email\", \"hash\", { keep_last = 4 }, { constant = \"…\" }, { round = 1000 } or { truncate = \"year\" }",
            ],
        ),
        (
            "[[listeners]]\nname = \"a\"\nprotocol = \"mysql\"\naddress = \"127.0.0.1:1\"\n[[listeners]]\nname = \"a\"\nprotocol = \"postgres\"\naddress = \"127.0.0.1:1\"",
            &[
                "proxy.toml:1: listeners[1]: names no target; a MySQL server greets its client before the client can name one | add `database = \"NAME\"`, and a listener of its own for each other target",
                "proxy.toml:5: listeners[2]: listener `a` has the address 127.0.0.1:1, too | give each an address of its own",
                "proxy.toml:5: listeners[2]: there are two listeners `a` | give each a name of its own",
            ],
        ),
        (
            "[[approvals]]\nwhen = 'request.unmask'\nauto = true\nneeds = 2\n[[approvals]]\nauto = true\ndeny = true",
            &[
                "proxy.toml:1: approvals[1]: `auto = true` asks nobody, so `approvers` and `needs` mean nothing | remove one or the other",
                "proxy.toml:5: approvals[2]: `auto = true` and `deny = true` contradict each other | remove one or the other",
            ],
        ),
        (
            "[[notify]]\nurl = \"https://x.example/secret\"\n[[notify]]\nurl = { env = \"HALLPASS_NO_SUCH_URL\" }\nevents = [\"requests\"]\nformat = \"xml\"\ntimeout = \"0s\"\n[[notify]]\nevents = []",
            &[
                "proxy.toml:2: notify[1].url: a secret does not belong in this file | write `{ env = \"NAME\" }` or `{ file = \"PATH\" }`, or set `allow_inline_secrets = true` under [server]",
                "proxy.toml:4: notify[2].url.env: the environment has no variable `HALLPASS_NO_SUCH_URL` | set it before the proxy starts: `export HALLPASS_NO_SUCH_URL=…`",
                "proxy.toml:5: notify[2].events: unknown value `requests` | did you mean `request`?",
                "proxy.toml:6: notify[2].format: unknown value `xml` | known: json, slack",
                "proxy.toml:7: notify[2].timeout: must be longer than nothing | remove it for the default",
                "proxy.toml:8: notify[3]: `url` is missing | add `url = { env = \"SLACK_WEBHOOK\" }`",
                "proxy.toml:9: notify[3].events: names no event, so nothing would be sent | name some, or remove it for all of them",
            ],
        ),
        (
            "[server]\nallow_inline_secrets = true\n[[notify]]\nurl = \"hooks.example/secret\"\n[[notify]]\nurl = \"https://me:secret@hooks.example/\"\n[[notify]]\nurl = \"http://127.0.0.1/\"\nca = \"none.crt\"\n[statements]\nmax_duration = \"0s\"",
            &[
                "proxy.toml:4: notify[1].url: holds no URL | write `https://HOST/PATH` where the secret is kept",
                "proxy.toml:6: notify[2].url: holds a URL with a user or a password in it | write `https://HOST/PATH` where the secret is kept",
                "proxy.toml:9: notify[3].ca: `none.crt` holds no PEM certificate: I/O error: No such file or directory (os error 2) | name a PEM certificate file",
                "proxy.toml:9: notify[3].ca: is not looked at for `http://` | remove it, or use `https://`",
                "proxy.toml:11: statements.max_duration: must be longer than nothing | remove it for the default",
            ],
        ),
        (
            "[roles.admin]\nallow = [\"*\"]\nbreak_glass = {}\n[statements]\nallow_writes = true\nmax_rows_affected = 0\n[[review]]\nrule = \"update-without-were\"\nlevel = \"block\"",
            &[
                "proxy.toml:3: roles.admin.break_glass: `groups` is missing | add `groups = [\"oncall\"]`",
                "proxy.toml:3: roles.admin.break_glass: `max_duration` is missing | add `max_duration = \"30m\"`",
                "proxy.toml:6: statements.max_rows_affected: `0` is out of range | must be at least 1",
                "proxy.toml:8: review[1].rule: unknown rule `update-without-were` | did you mean `update-without-where`?",
            ],
        ),
        (
            "[[review]]\nname = \"mine\"\nwhen = 'statement.tabels == []'\nlevel = \"warn\"\n[[review]]\nrule = \"truncate\"\nlevel = \"loud\"\nrows = 5\nwhen = 'true'\n[[review]]\nlevel = \"off\"\n[[review]]\nname = \"truncate\"\nwhen = 'true'\nlevel = \"off\"",
            &[
                "proxy.toml:3: review[1].when: unknown field `tabels` (column 10 of the text) | known here: verb, actions, tables, functions, columns, writes, every_row, whole_tables, rows, cartesian, rewrites, exports",
                "proxy.toml:5: review[2]: a built-in rule has no `when` | write `name = \"…\"` in place of `rule` for one of your own",
                "proxy.toml:7: review[2].level: unknown value `loud` | known: block, warn, off",
                "proxy.toml:8: review[2].rows: bounds nothing in this rule | it belongs to `rule = \"select-everything\"`",
                "proxy.toml:10: review[3]: `rule` is missing | add `rule = \"update-without-where\"`, or `name` and `when`",
                "proxy.toml:13: review[4].name: there is a review rule `truncate` already | give it another name",
            ],
        ),
        ("[server]\ndata_dir = ", &["proxy.toml:2: not TOML: string values must be quoted, expected literal string"]),
    ];
    for (text, expected) in cases {
        assert_eq!(&faults(text), expected, "{text}");
    }
}

#[test]
fn conditions_are_checked_with_their_place() {
    let cases: &[(&str, &[&str])] = &[
        (
            "[[approvals]]\nwhen = 'request.unmsk'",
            &[
                "proxy.toml:2: approvals[1].when: unknown field `unmsk` (column 8 of the text) | known here: source, requester, groups, role, statement, duration, reason, export, unmask, writes, max_rows_affected, extends, databases",
            ],
        ),
        (
            "[[approvals]]\nwhen = '''\nrequest.unmask ||\n  request.duration > 3600'''\nauto = true",
            &[
                "proxy.toml:4: approvals[1].when: `>` does not go between duration and int (column 20 of the text) | compare with a duration: `duration(\"1h\")`",
            ],
        ),
        (
            "[[approvals]]\nwhen = \"\"\"true &&\nfalse &&\nnope\"\"\"",
            &[
                "proxy.toml:4: approvals[1].when: unknown name `nope` (column 1 of the text) | known here: request, database, resource, now",
            ],
        ),
        (
            "[[approvals]]\nwhen = 'request.duration'",
            &[
                "proxy.toml:2: approvals[1].when: a condition must be true or false, this is duration (column 8 of the text) | compare it: `… == …`",
            ],
        ),
        (
            "[[approvals]]\nwhen = 'now >'",
            &[
                "proxy.toml:2: approvals[1].when: is no condition: mismatched input `<EOF>` (column 6 of the text) | see the examples of conditions in the annotated proxy.toml",
            ],
        ),
        (
            "[[approvals]]\nwhen = true",
            &["proxy.toml:2: approvals[1].when: must be a text in quotes, is of type boolean"],
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(&faults(text), expected, "{text}");
    }
    let text = format!("{SHOP}[[approvals]]\nwhen = 'database.labels.environment == \"x\"'\nauto = true");
    let (_, warnings) = Config::parse(Path::new("proxy.toml"), &text).unwrap();
    assert_eq!(
        warnings.iter().map(|warning| warning.to_string().replace("\n    ", " | ")).collect::<Vec<_>>(),
        [
            "warning: proxy.toml:6: approvals[1].when: `shop` has no label `environment`: there the condition fails, and requests are refused | add the label, or write `has(database.labels.environment) && …`"
        ]
    );
}

#[test]
fn targets_are_checked_with_their_secrets_and_files() {
    let text = "[databases.shop]\nprotocol = \"postgres\"\nport = 70000\nhost = \"db\"\nuser = \"h\"\npassword = \"literal\"\ntls = { mode = \"verify-full\", ca = \"nowhere.crt\" }\n[databases.eu]\nprotocol = \"postgres\"\nhost = \"db\"\npassword = { env = \"HALLPASS_TEST_UNSET\" }\n[databases.hallpass]\nprotocol = \"postgres\"\nhost = \"db\"\nuser = \"h\"\npassword = { file = \"nowhere.txt\" }";
    assert_eq!(
        faults(text),
        [
            "proxy.toml:3: databases.shop.port: `70000` is out of range | must be from 1 to 65535",
            "proxy.toml:6: databases.shop.password: a secret does not belong in this file | write `{ env = \"NAME\" }` or `{ file = \"PATH\" }`, or set `allow_inline_secrets = true` under [server]",
            "proxy.toml:7: databases.shop.tls.ca: `nowhere.crt` holds no PEM certificate: I/O error: No such file or directory (os error 2) | name a PEM certificate file",
            "proxy.toml:8: databases.eu: `user` is missing | add `user = \"hallpass\"`",
            "proxy.toml:11: databases.eu.password.env: the environment has no variable `HALLPASS_TEST_UNSET` | set it before the proxy starts: `export HALLPASS_TEST_UNSET=…`",
            "proxy.toml:12: databases.hallpass: `hallpass` is the proxy's own schema | give the target another name",
            "proxy.toml:16: databases.hallpass.password.file: `nowhere.txt` cannot be read: No such file or directory (os error 2) | name a file that the proxy may read",
        ]
    );
}

#[test]
fn references_must_lead_somewhere() {
    let text = format!(
        "{SHOP}[roles.reader]\nallow = [\"select\"]\n[[listeners]]\nname = \"ci\"\nprotocol = \"postgres\"\naddress = \"127.0.0.1:1\"\nscope = {{ database = \"shpo\", roles = [\"raeder\"], statements = \"*.sql\" }}\n[[approvals]]\nroles = [\"writer\"]\ndatabases = [\"eu\"]\n[[masks]]\ncolumns = [\"shp/a.b.c\"]\nwith = \"full\""
    );
    assert_eq!(
        faults(&text),
        [
            "proxy.toml:11: listeners[1].scope.database: unknown database `shpo` | did you mean `shop`?",
            "proxy.toml:11: listeners[1].scope.roles: unknown role `raeder` | did you mean `reader`?",
            "proxy.toml:11: listeners[1].scope.statements: no file matches `*.sql` | add the files, or mend the pattern",
            "proxy.toml:13: approvals[1].roles: unknown role `writer` | known: reader",
            "proxy.toml:14: approvals[1].databases: unknown database `eu` | known: shop",
            "proxy.toml:16: masks[1].columns: no target is called `shp`, so this masks nothing | name a target of this file, or `*`",
        ]
    );
}

#[test]
fn a_scoped_port_lists_the_statements_of_files() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("migrations")).unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join("migrations").join(name), text).unwrap();
    write("2.sql", "\u{feff}SET search_path = shop;\nUPDATE orders SET note = ';';\nDELETE FROM orders;");
    write("1.sql", "-- first\nCREATE TABLE shop.t (id int)");
    write("3.txt", "not SQL");
    let path = folder.path().join("proxy.toml");
    let scope = |statements: &str| format!("scope = {{ database = \"shop\", statements = \"{statements}\" }}");
    let listener = "[[listeners]]\nname = \"ci\"\nprotocol = \"postgres\"\naddress = \"127.0.0.1:1\"\n";
    let load = |statements: &str| Config::parse(&path, &format!("{SHOP}{listener}{}", scope(statements)));

    let (config, warnings) = load("migrations/*.sql").unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    let listed = config.listeners[0].scope.as_ref().unwrap().statements.as_ref().unwrap();
    let statements: Vec<_> = listed.statements.iter().map(|one| (&*one.before, &*one.text)).collect();
    let set = "SET search_path = shop;\n";
    assert_eq!(
        statements,
        [
            ("", "CREATE TABLE shop.t (id int)"),
            ("", "SET search_path = shop"),
            (set, "UPDATE orders SET note = ';'"),
            (set, "DELETE FROM orders"),
        ]
    );
    let fault = |statements: &str| load(statements).unwrap_err()[0].fault.clone();
    assert_eq!(fault("migrations/*.txt").rsplit("3.txt`, ").next(), Some("line 1: syntax error at or near \"not\""));
    assert!(fault("nowhere/*.sql").contains("nowhere` cannot be read"));
    assert_eq!(fault("*/1.sql"), "`*` stands for files of one folder, not for folders");
    write("4.sql", "SELECT 1;\n\n-- here\nSELEC 2;");
    assert!(fault("migrations/*.sql").ends_with("4.sql`, line 4: syntax error at or near \"SELEC\""));
}

#[test]
fn values_arrive() {
    let config = good(&format!(
        "[server]\ndata_dir = \"d\"\nallow_inline_secrets = true\nremind_before = [\"1m\", \"1h\"]\n{SHOP}password = \"p\"\n[databases.far]\nprotocol = \"postgres\"\nhost = \"10.1.1.1\"\nuser = \"h\"\n\
         [baseline]\nallow = []\n[roles.all]\nallow = [\"*\"]\nmax_duration = \"8h\"\n\
         [[masks]]\ncolumns = [\"*/*.*.ssn\"]\nwith = {{ keep_last = 4 }}\n[[masks]]\ncolumns = [\"*/*.*.born\"]\nwith = {{ truncate = \"year\" }}\n[admins]\nusers = [\"root\"]\ngroups = [\"dba\"]\n\
         [auditors]\ngroups = [\"audit\"]"
    ));
    assert_eq!(config.server.data_dir, Path::new("d"));
    assert_eq!(config.server.remind_before, [Duration::from_secs(3600), Duration::from_secs(60)]);
    assert_eq!(config.databases["shop"].password.as_ref().map(super::Secret::reveal), Some("p"));
    assert_eq!((config.databases["shop"].port, config.databases["shop"].database.as_str()), (5432, "shop"));
    assert!(matches!(config.databases["shop"].tls, UpstreamTls::Disable));
    assert!(matches!(config.databases["far"].tls, UpstreamTls::VerifyFull { ca: None }));
    assert_eq!(config.policy.baseline, []);
    assert_eq!(config.policy.roles["all"].allow.len(), Action::ALL.len());
    assert_eq!(config.policy.masks[0].with, MaskWith::Keep { first: 0, last: 4 });
    assert_eq!(config.policy.masks[1].with, MaskWith::Truncate(DatePart::Year));
    assert_eq!((config.admins.len(), config.auditors.len()), (2, 1));
    assert!(!format!("{config:?}").contains("\"p\""), "no Debug shows a secret");
}

#[test]
fn tls_files_are_read_and_must_fit() {
    let folder = tempfile::tempdir().unwrap();
    let one = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.path().join("one.crt"), one.cert.pem()).unwrap();
    std::fs::write(folder.path().join("one.key"), one.signing_key.serialize_pem()).unwrap();
    std::fs::write(folder.path().join("other.key"), other.signing_key.serialize_pem()).unwrap();
    let path = folder.path().join("proxy.toml");
    let with = |tls: &str| {
        let text =
            format!("[[listeners]]\nname = \"p\"\nprotocol = \"postgres\"\naddress = \"127.0.0.1:1\"\ntls = {tls}");
        Config::parse(&path, &text)
    };
    let (config, _) = with("{ mode = \"require\", certificate = \"one.crt\", key = \"one.key\" }").unwrap();
    assert!(matches!(&config.listeners[0].tls, ListenerTls::Require(identity) if identity.key.ends_with("one.key")));
    let faults = with("{ mode = \"require\", certificate = \"one.crt\", key = \"other.key\" }").unwrap_err();
    assert_eq!((faults.len(), faults[0].line), (1, 5));
    assert!(faults[0].fault.starts_with("key and certificate do not work together"), "{}", faults[0]);
    let faults = with("{ mode = \"prefer\" }").unwrap_err();
    let said: Vec<_> = faults.iter().map(|fault| fault.fault.as_str()).collect();
    assert_eq!(said, ["`certificate` is missing", "`key` is missing"]);
}

#[test]
fn the_data_folder_is_found_in_a_file_with_faults() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxy.toml");
    std::fs::write(&path, "[server]\ndata_dir = \"here\"\n[databases.x]\npassword = { env = \"UNSET\" }").unwrap();
    assert_eq!(data_dir(&path).unwrap(), folder.path().join("here"));
    std::fs::write(&path, "[server]\ndata_dir = \"here\"\nx").unwrap();
    assert_eq!(data_dir(&path).unwrap(), folder.path().join("here"), "a running proxy is found beside a broken file");
    std::fs::write(&path, "[server").unwrap();
    assert_eq!(data_dir(&path).unwrap_err().line, 1);
}

#[test]
fn a_mysql_listener_has_one_target() {
    let target = "[databases.eu]\nprotocol = \"mysql\"\nhost = \"10.0.0.6\"\nuser = \"h\"\n[server]\nmysql_native_password = false\n";
    let listener = "[[listeners]]\nname = \"m\"\nprotocol = \"mysql\"\naddress = \"127.0.0.1:1\"\n";
    for own in ["database = \"eu\"", "scope = { database = \"eu\", users = [\"ci\"] }"] {
        let config = good(&format!("{target}{listener}{own}"));
        assert_eq!((config.databases["eu"].port, config.databases["eu"].database.as_str()), (3306, "eu"));
        assert_eq!(config.listeners[0].protocol, Protocol::Mysql);
        assert!(matches!(config.databases["eu"].tls, UpstreamTls::VerifyFull { ca: None }));
        assert_eq!(config.server.native_passwords, NativePasswords::LeftOut);
    }
    assert_eq!(good("").server.native_passwords, NativePasswords::Sealed);
    let none = faults(&format!("{target}{listener}scope = {{ users = [\"ci\"] }}"));
    assert!(none.len() == 1 && none[0].starts_with("proxy.toml:7: listeners[1]: names no target"), "{none:?}");
    assert_eq!(
        faults(&format!("{SHOP}{target}{listener}database = \"shop\"")),
        [
            "proxy.toml:15: listeners[1].database: target `shop` speaks postgres, this listener mysql | name a target of the listener's protocol"
        ]
    );
}

#[test]
fn webhooks_are_read_with_their_defaults_and_show_no_url() {
    let text = "[server]\nallow_inline_secrets = true\n\
                [[notify]]\nurl = \"https://hooks.slack.com/services/secret\"\n\
                [[notify]]\nurl = \"http://chat.example:8065/hooks/secret\"\nevents = [\"request\", \"audit_failure\"]\n\
                format = \"slack\"\ntimeout = \"3s\"\n\
                [[notify]]\nurl = \"http://localhost/secret\"\n";
    let (config, warnings) = Config::parse(Path::new("proxy.toml"), text).unwrap();
    let read: Vec<_> = config.notify.iter().map(|hook| (hook.format, hook.events.len(), hook.timeout)).collect();
    let (ten, three) = (Duration::from_secs(10), Duration::from_secs(3));
    assert_eq!(read, [(Format::Slack, 5, ten), (Format::Slack, 2, three), (Format::Json, 5, ten)]);
    assert!(config.notify[1].events.contains(&Topic::AuditFailure));
    let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 1, "plain text on this machine is fine: {warnings:?}");
    assert!(warnings[0].contains("proxy.toml:6: notify[2].url: whoever sits on the way"), "{warnings:?}");
    assert!(!format!("{config:?} {warnings:?}").contains("secret\""), "{config:?}");
}

#[test]
fn a_statement_grant_lasts_eight_hours_at_most_unless_the_file_says_otherwise() {
    assert_eq!(good("").statement_max_duration, Duration::from_secs(8 * 3600));
    assert_eq!(good("[statements]\nmax_duration = \"30m\"").statement_max_duration, Duration::from_secs(1800));
}
