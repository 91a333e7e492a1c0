//! `hallpass schema`: prints harmless stand-ins for the schema `hallpass`, for an administrator to install in a database.
//! Clients that complete names ask the server's catalogs, which the proxy leaves as they are. What is asked of the schema
//! through the proxy, the proxy answers itself, with stand-ins or without. Made of the policy's own tables; asks nobody.

use std::{fmt::Write as _, process::ExitCode};

use clap::{Args, ValueEnum};
use hallpass_policy::statement::inband::{Argument, Column, Function, Kind, SCHEMA, View};
use serde_json::json;

use super::{Common, output};

#[derive(Debug, Args)]
pub(super) struct Schema {
    /// Of which database the statements are
    #[arg(long, value_enum)]
    protocol: Protocol,
}

/// A database's kind of SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Protocol {
    /// Postgres
    Postgres,
    /// MySQL and MariaDB
    Mysql,
}

/// What a stand-in says when it is called on the server itself.
const ELSEWHERE: &str = "connect through hallpass: the proxy answers this schema itself";

impl Schema {
    pub(super) fn run(&self, common: &Common) -> ExitCode {
        let text = self.protocol.schema();
        if common.json {
            output::json(&json!({ "sql": text }));
        } else {
            output::line(text.trim_end());
        }
        ExitCode::SUCCESS
    }
}

impl Protocol {
    fn schema(self) -> String {
        let mut text = match self {
            Self::Postgres => format!(
                "-- Stand-ins that let clients complete the names of the proxy's own schema. They hold nothing.\n\
                 CREATE SCHEMA IF NOT EXISTS {SCHEMA};\nGRANT USAGE ON SCHEMA {SCHEMA} TO PUBLIC;\n"
            ),
            Self::Mysql => format!(
                "-- Stand-ins that let clients complete the names of the proxy's own schema. They hold nothing.\n\
                 -- The proxy's account has to see them: GRANT SELECT, EXECUTE ON {SCHEMA}.* TO that account.\n\
                 CREATE DATABASE IF NOT EXISTS {SCHEMA};\n"
            ),
        };
        for view in View::ALL {
            self.view(&mut text, view);
        }
        for function in Function::ALL {
            self.procedure(&mut text, function);
        }
        text
    }

    fn view(self, text: &mut String, view: View) {
        let columns: Vec<_> = view.columns().iter().map(|column| self.empty(column)).collect();
        let (name, columns) = (view.name(), columns.join(", "));
        // Writing to a String does not fail.
        let _ = match self {
            Self::Postgres => write!(
                text,
                "DROP VIEW IF EXISTS {SCHEMA}.{name};\n\
                 CREATE VIEW {SCHEMA}.{name} AS SELECT {columns} WHERE false;\n\
                 GRANT SELECT ON {SCHEMA}.{name} TO PUBLIC;\n"
            ),
            Self::Mysql => writeln!(
                text,
                "CREATE OR REPLACE SQL SECURITY INVOKER VIEW {SCHEMA}.{name} AS SELECT {columns} FROM DUAL WHERE FALSE;"
            ),
        };
    }

    /// A column of a view that has no rows.
    fn empty(self, column: &Column) -> String {
        let kind = self.kind(column.kind);
        match self {
            Self::Postgres => format!("NULL::{kind} AS \"{}\"", column.name),
            Self::Mysql => format!("CAST(NULL AS {kind}) AS `{}`", column.name),
        }
    }

    fn kind(self, kind: Kind) -> &'static str {
        match (self, kind) {
            (Self::Postgres, Kind::Text) => "text",
            (Self::Postgres, Kind::Integer) => "bigint",
            (Self::Postgres, Kind::Time) => "timestamptz",
            (Self::Postgres, Kind::Boolean) => "boolean",
            (Self::Mysql, Kind::Text) => "CHAR(255)",
            (Self::Mysql, Kind::Integer | Kind::Boolean) => "SIGNED",
            (Self::Mysql, Kind::Time) => "DATETIME(6)",
        }
    }

    fn procedure(self, text: &mut String, function: Function) {
        let (arguments, required) = function.signature();
        let argument = |(at, argument): (usize, &Argument)| match self {
            Self::Postgres => {
                let default = if at < required { "" } else { " DEFAULT NULL" };
                format!("\"{}\" {}{default}", argument.name, self.kind(argument.kind))
            }
            Self::Mysql => {
                let kind = if argument.kind == Kind::Integer { "BIGINT" } else { "TEXT" };
                format!("IN `{}` {kind}", argument.name)
            }
        };
        let (name, arguments) =
            (function.name(), arguments.iter().enumerate().map(argument).collect::<Vec<_>>().join(", "));
        let _ = match self {
            Self::Postgres => writeln!(
                text,
                "CREATE OR REPLACE PROCEDURE {SCHEMA}.{name}({arguments}) LANGUAGE plpgsql AS\n  \
                 $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'feature_not_supported', MESSAGE = '{ELSEWHERE}'; END $$;"
            ),
            Self::Mysql => writeln!(
                text,
                "DROP PROCEDURE IF EXISTS {SCHEMA}.{name};\nCREATE PROCEDURE {SCHEMA}.{name}({arguments}) NO SQL SQL SECURITY \
                 INVOKER\n  SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '{ELSEWHERE}';"
            ),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stand_ins_have_the_names_of_the_schema() {
        for protocol in [Protocol::Postgres, Protocol::Mysql] {
            let text = protocol.schema();
            for view in View::ALL {
                assert!(text.contains(&format!("VIEW hallpass.{} AS SELECT", view.name())), "{text}");
            }
            for function in Function::ALL {
                assert!(
                    text.contains(&format!("CREATE PROCEDURE hallpass.{}(", function.name()))
                        || text.contains(&format!("CREATE OR REPLACE PROCEDURE hallpass.{}(", function.name())),
                    "{text}"
                );
            }
        }
        let text = Protocol::Postgres.schema();
        assert!(text.contains("hallpass.wait(\"request\" bigint, \"timeout\" text DEFAULT NULL)"), "{text}");
        let text = Protocol::Mysql.schema();
        assert!(text.contains("CAST(NULL AS DATETIME(6)) AS `ends`"), "{text}");
    }
}
