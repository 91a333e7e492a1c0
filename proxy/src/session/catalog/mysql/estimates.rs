//! About how many rows each table has, for review rules. Estimates move all the time: they are asked for rarely, and only
//! one that has grown or shrunk to another size altogether counts as a change. Reads no name.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use hallpass_policy::{catalog::QualifiedName, statement::mysql::Flavour};

use super::text_row;
use crate::session::upstream::{connector::UpstreamError, mysql::Link};

/// Estimates are this old at most while somebody is there.
const LONGEST: Duration = Duration::from_secs(60);
/// They are not asked for so many times as long as it takes: the server opens every table for it.
const REST: u32 = 20;
/// Below so many rows a table is small whatever its number.
const SMALL: u64 = 1_000;
/// An estimate so many times another is another size.
const FACTOR: u64 = 2;

/// Those of the users' tables, from the engines as they are now, within five seconds. MySQL keeps what it once answered
/// for a day unless told otherwise.
const MYSQL: [&str; 2] = [
    "/*!80003 SET SESSION information_schema_stats_expiry = 0 */",
    "SELECT /*+ MAX_EXECUTION_TIME(5000) */ TABLE_SCHEMA, TABLE_NAME, TABLE_ROWS FROM information_schema.TABLES \
      WHERE TABLE_SCHEMA NOT IN ('information_schema', 'performance_schema', 'mysql', 'sys') AND TABLE_ROWS > 0",
];
const MARIADB: &str = "SET STATEMENT max_statement_time = 5 FOR SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_ROWS \
      FROM information_schema.TABLES \
      WHERE TABLE_SCHEMA NOT IN ('information_schema', 'performance_schema', 'mysql', 'sys') AND TABLE_ROWS > 0";

/// About how many rows each table has.
pub(super) type Rows = HashMap<QualifiedName, u64>;

/// The estimates in force.
#[derive(Debug, Default)]
pub(super) struct Estimates {
    rows: Rows,
    /// When they were asked for last, and how long that took.
    asked: Option<(Instant, Duration)>,
}

impl Estimates {
    /// The estimates, asked for anew if it is time. A server that does not answer in time has none.
    ///
    /// # Errors
    /// When the connection is lost.
    pub(super) async fn current(&mut self, link: &mut Link, flavour: Flavour) -> Result<&Rows, UpstreamError> {
        if let Some(rows) = self.due(link, flavour).await? {
            self.rows = rows;
        }
        Ok(&self.rows)
    }

    /// Whether some table is of another size than the estimates in force say.
    ///
    /// # Errors
    /// When the connection is lost.
    pub(super) async fn have_moved(&mut self, link: &mut Link, flavour: Flavour) -> Result<bool, UpstreamError> {
        let Some(rows) = self.due(link, flavour).await? else { return Ok(false) };
        let moved = moved(&self.rows, &rows);
        if moved {
            self.rows = rows;
        }
        Ok(moved)
    }

    async fn due(&mut self, link: &mut Link, flavour: Flavour) -> Result<Option<Rows>, UpstreamError> {
        let rested = |(at, took): (Instant, Duration)| at.elapsed() >= LONGEST.max(took.saturating_mul(REST));
        if !self.asked.is_none_or(rested) {
            return Ok(None);
        }
        let start = Instant::now();
        let answer = ask(link, flavour).await;
        self.asked = Some((Instant::now(), start.elapsed()));
        match answer {
            Ok(rows) => Ok(Some(rows)),
            Err(UpstreamError::Statement { code, message }) => {
                tracing::debug!(code, message, "no estimates of rows");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

async fn ask(link: &mut Link, flavour: Flavour) -> Result<Rows, UpstreamError> {
    let answer = match flavour {
        Flavour::MariaDb => link.query(MARIADB).await?,
        Flavour::MySql => {
            let [fresh, sql] = MYSQL;
            link.query(fresh).await?;
            link.query(sql).await?
        }
    };
    let mut rows = Rows::new();
    for row in &answer {
        if let [Some(schema), Some(name), Some(count)] = text_row(row)?.as_slice()
            && let Ok(count) = count.parse()
        {
            rows.insert(QualifiedName::new(schema, name), count);
        }
    }
    Ok(rows)
}

/// Whether a table that is not small before or after has another size.
fn moved(before: &Rows, after: &Rows) -> bool {
    let of = |rows: &Rows, name: &QualifiedName| rows.get(name).copied().unwrap_or(0).max(SMALL);
    let differs = |name: &QualifiedName| {
        let (one, other) = (of(before, name), of(after, name));
        one.max(other) >= one.min(other).saturating_mul(FACTOR)
    };
    before.keys().chain(after.keys()).any(differs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_size_is_a_change() {
        let rows = |orders: u64| Rows::from([(QualifiedName::new("shop", "orders"), orders)]);
        for (before, after, expected) in [
            (100_000, 100_700, false),
            (100_000, 60_000, false),
            (100_000, 200_000, true),
            (100_000, 50_000, true),
            (10, 1_500, false),
            (10, 2_000, true),
            (1_500, 0, false),
            (0, 0, false),
        ] {
            assert_eq!(moved(&rows(before), &rows(after)), expected, "{before} {after}");
        }
        assert!(moved(&Rows::new(), &rows(5_000)), "a new table");
        assert!(moved(&rows(5_000), &Rows::new()), "a table that was dropped");
    }
}
