//! Compression towards the client: zlib and zstd, results and files and statements of any size, masks included.

use hallpass_tests::{
    mysql::clients,
    wire::mysql::{Client, flags},
};

use super::clients::{compared, shop};

#[test]
fn compressed_mysql_programs_of_mysql2_see_the_server_itself() {
    let script = include_str!("programs/clients.js").replace("env.MYSQL_COMPRESS === 'yes'", "true");
    compared(&shop("mysql2_zlib"), |login| clients::node(&script, login));
}

#[test]
fn compressed_mysql_sessions_hold_everything() {
    let shop = shop("packings");
    shop.database
        .sql("INSERT INTO shop.big (id, clear, secret) VALUES (1, REPEAT('c', 9000000), REPEAT('s', 9000000))");
    for packing in [flags::COMPRESS, flags::ZSTD] {
        let login = shop.alice_login().with(packing | flags::LOCAL_FILES);
        let mut client = Client::connect(&login).expect("alice may connect");
        // Servers number a compressed answer as they like, and nobody counts.
        client.ignore_sequence();
        let reply = client.query("SELECT id, clear, secret FROM shop.big").ok();
        let lengths: Vec<_> = reply.rows[0].iter().map(|value| value.as_ref().map_or(0, String::len)).collect();
        assert_eq!(lengths, [1, 9_000_000, 4], "{packing}");
        let rows = client.query("SELECT a.id, b.note FROM shop.orders a JOIN shop.orders b").ok().rows.len();
        assert_eq!(rows, 40_000);
        let statement = format!("INSERT INTO shop.big (id, clear) VALUES (2, '{}')", "y".repeat(20 << 20));
        assert_eq!(client.query(&statement).ok().affected(), [1]);
        assert_eq!(shop.database.value("SELECT LENGTH(clear) FROM shop.big WHERE id = 2"), (20 << 20).to_string());
        client.query("DELETE FROM shop.big WHERE id = 2").ok();
        client.change_user(&login).expect("the same user again");
        assert_eq!(client.query("SELECT email FROM shop.customers WHERE id = 1").value(), "m****@****.test");
        let denied = client.query("DROP TABLE shop.t");
        assert_eq!(denied.errors.first().map(|error| error.code), Some(1142), "{denied:?}");
        assert_eq!(client.run_prepared("SELECT ? + 1", &[41.into()]).value(), "42");
    }
}

#[test]
fn the_compressed_mariadb_program_loads_files_into_mysql() {
    let shop = shop("packed_files");
    let file = shop.proxy.path("lines.csv");
    let lines: String = (0..50_000).map(|line| format!("{line},packed {line}\n")).collect();
    std::fs::write(&file, lines).expect("the folder is ours");
    let load = format!(
        "LOAD DATA LOCAL INFILE '{}' INTO TABLE t FIELDS TERMINATED BY ',' (note, name); \
         SELECT count(*), max(name) FROM t WHERE name LIKE 'packed%'; DELETE FROM t WHERE name LIKE 'packed%'",
        file.display()
    );
    let told = clients::mariadb_run(&shop.alice_login(), &["--compress", "--local-infile=1", "-N", "-e", &load], "");
    assert_eq!(told.ok(), "50000\tpacked 9999\n");
}
