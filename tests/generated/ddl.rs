//! The database as a script: everything is made and filled in the same order whatever the values are, so that object
//! numbers and the places of rows are the same in every copy.

use std::fmt::Write as _;

use crate::schema::{Columns, Dialect, Fill, ROWS, Stored, TABLES, Ty, VIEWS, Version, all_columns, cell};

fn type_of(dialect: Dialect, column: &Stored) -> &'static str {
    let postgres = dialect.is_postgres();
    match column.ty {
        Ty::Int => "bigint",
        Ty::Num if postgres => "numeric(16,2)",
        Ty::Num => "decimal(16,2)",
        Ty::Text if postgres && column.name == "label" => "label",
        Ty::Text if postgres && column.name != "phone" => "text",
        Ty::Text => "varchar(60)",
        Ty::Bool => "boolean",
        Ty::Date => "date",
        Ty::Stamp if postgres => "timestamp",
        Ty::Stamp => "datetime",
        Ty::Json if postgres => "jsonb",
        Ty::Json => "json",
        Ty::Array => "text[]",
        Ty::Bytes if postgres => "bytea",
        Ty::Bytes => "varbinary(60)",
    }
}

/// The columns that a dialect has.
pub fn has(dialect: Dialect, column: &Stored) -> bool {
    dialect.is_postgres() || column.ty != Ty::Array
}

/// Tables and the views over them, empty.
pub fn objects(dialect: Dialect) -> Vec<String> {
    let postgres = dialect.is_postgres();
    let mut script = Vec::new();
    if postgres {
        script.push("CREATE DOMAIN label AS text CHECK (length(VALUE) < 100)".to_owned());
    }
    for table in TABLES {
        let mut text = format!("CREATE TABLE {} (", dialect.quote(table.name));
        for column in table.columns.iter().filter(|column| has(dialect, column)) {
            let _ = write!(text, "{} {}", dialect.quote(column.name), type_of(dialect, column));
            match column.fill {
                Fill::Key => text.push_str(" PRIMARY KEY"),
                Fill::From(_, on_postgres, on_mysql) => {
                    let made = if postgres { on_postgres } else { on_mysql };
                    let _ = write!(text, " GENERATED ALWAYS AS ({made}) STORED");
                }
                Fill::Link | Fill::Flag | Fill::Own | Fill::Like(_) => {}
            }
            text.push_str(", ");
        }
        text.truncate(text.len() - 2);
        text.push(')');
        match (table.name, postgres) {
            ("events", true) => text.push_str(" PARTITION BY RANGE (id)"),
            ("events", false) => text.push_str(
                " PARTITION BY RANGE (id) (PARTITION early VALUES LESS THAN (4), PARTITION late VALUES LESS THAN MAXVALUE)",
            ),
            _ => {}
        }
        script.push(text);
        match (table.name, postgres) {
            ("events", true) => script.extend(
                ["early FOR VALUES FROM (MINVALUE) TO (4)", "late FOR VALUES FROM (4) TO (MAXVALUE)"]
                    .map(|part| format!("CREATE TABLE events_{}", part.replacen(' ', " PARTITION OF events ", 1))),
            ),
            ("people", true) => script.push("CREATE TABLE staff (wage bigint) INHERITS (people)".to_owned()),
            _ => {}
        }
    }
    for view in VIEWS {
        let made = if postgres { view.postgres } else { view.mysql };
        let empty = if made.starts_with("MATERIALIZED") { " WITH NO DATA" } else { "" };
        script.push(format!("CREATE {made}{empty}"));
    }
    script
}

/// All rows; the columns of `second` hold their second version.
pub fn rows(dialect: Dialect, second: Columns) -> Vec<String> {
    let mut script = Vec::new();
    for table in TABLES {
        let columns: Vec<_> = all_columns()
            .filter(|(_, of, column)| {
                of.name == table.name && has(dialect, column) && !matches!(column.fill, Fill::From(..))
            })
            .collect();
        let names: Vec<_> = columns.iter().map(|(_, _, column)| dialect.quote(column.name)).collect();
        let names = names.join(", ");
        for row in 1..=ROWS {
            let value = |(number, ..): &(usize, _, _)| {
                let version = if second & (1 << number) == 0 { Version::One } else { Version::Two };
                cell(dialect, *number, row, version).map_or_else(|| "NULL".to_owned(), |cell| cell.literal)
            };
            let values: Vec<_> = columns.iter().map(value).collect();
            // The last rows of people are staff, whose wage is no secret.
            let staff = dialect.is_postgres() && table.name == "people" && row > ROWS / 2;
            let (into, names, more) = match staff {
                true => ("staff".to_owned(), format!("{names}, wage"), format!(", {}", 100 + row)),
                false => (dialect.quote(table.name), names.clone(), String::new()),
            };
            script.push(format!("INSERT INTO {into} ({names}) VALUES ({}{more})", values.join(", ")));
        }
    }
    if dialect.is_postgres() {
        script.push("REFRESH MATERIALIZED VIEW frozen".to_owned());
    }
    script
}
