//! The real psql: its `\d` family before any grant, exactly as directly; Ctrl-C; COPY from its own files.

use hallpass_tests::shop::PostgresShop as Shop;

const LOOK: &str = "\\d shop.orders\n\\d+ shop.customers\n\\d shop.contacts\n\\dt shop.*\n\\dv shop.*\n\\dn\n\\df shop.*\n\
                    \\di shop.*\n\\ds\n\\dT\n\\dx\n\\dp shop.*\n\\dd\n\\dC\n\\dL\n\\db\n\\l template1\n\\dg pg_*\n\\drds nobody template1\n\\sf shop.touch\n\
                    \\dew\n\\des\n\\dE\n\\dF\n\\do shop.*\n\\dO shop.*\n\\dy\n\\dRp\n\\dc shop.*\n\\da shop.*\n\\encoding\n";

#[test]
fn the_describe_commands_show_what_they_show_directly() {
    let shop = Shop::new("describe_family");
    let direct = shop.database.psql(&["-q"], LOOK);
    let through = shop.psql().run(&["-q"], LOOK);
    for (direct, through) in direct.stdout.lines().zip(through.stdout.lines()) {
        assert_eq!(through, direct);
    }
    assert_eq!(through.stdout, direct.stdout);
    assert_eq!(through.stderr, direct.stderr);
}

#[test]
fn a_denial_reads_well() {
    let shop = Shop::new("psql_denial");
    let told = shop.psql().run(&["-c", "DELETE FROM shop.orders WHERE id = 1"], "");
    assert_eq!(told.code, 1);
    assert_eq!(
        told.stderr,
        "ERROR:  no grant allows DELETE on shop.orders\nDETAIL:  you hold: baseline (explain)\n\
         HINT:  CALL hallpass.request('fixer', '1 hour', 'why')\n"
    );
}

#[test]
fn meta_commands_that_run_statements() {
    let shop = Shop::new("meta");
    shop.grant("reader");
    let script = "SELECT id, note FROM shop.orders WHERE id = 1 \\gdesc\nSELECT 'SELECT 7' \\gexec\n\
                  SELECT id FROM shop.orders WHERE id < 3 ORDER BY 1 \\crosstabview\n\
                  SELECT 1 \\; SELECT 2;\n\\set FETCH_COUNT 5\nSELECT id FROM shop.orders WHERE id < 12 ORDER BY 1;\n";
    let direct = shop.database.psql(&["-q"], script);
    let through = shop.psql().run(&["-q"], script);
    assert_eq!((through.stdout, through.stderr), (direct.stdout, direct.stderr));
}

#[test]
fn a_connection_info_names_the_user() {
    let shop = Shop::new("conninfo");
    let told = shop.psql().run(&["-c", "\\conninfo"], "").ok();
    assert!(told.contains("alice") && told.contains("shop"), "{told}");
}
