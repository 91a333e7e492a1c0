//! Tells cheaply whether names may have changed. Reads no name itself.
//!
//! Counters of the server tell that a statement was run that could have changed any (`Com_alter_table` and its kind),
//! and that a definition was opened (`Opened_table_definitions`), as it is the first time after it changed, however
//! long the change took: 1 ms. Only when one of them has moved, or after a minute, all definitions are summed up:
//! 0.3 s for 1,000 tables. That is done so rarely that the watch takes a twentieth of the server's time at most.

use std::time::{Duration, Instant};

use super::text_row;
use crate::session::upstream::{connector::UpstreamError, mysql::Link};

/// How long counters are trusted that have not moved.
const LONGEST: Duration = Duration::from_secs(60);
/// The sum is not made for so many times as long as it takes.
const REST: u32 = 20;

const COUNTERS: &str = "SHOW GLOBAL STATUS WHERE Variable_name REGEXP \
                        '^Com_(alter|create|drop|rename|grant|revoke)_|^Com_(grant|revoke)$|^Opened_table_definitions$'";

/// Sums of everything that is read of the users' databases, in one row.
const SUMS: &str = "
    SELECT @@global.sql_mode,
           (SELECT CONCAT(COUNT(*), ' ', SUM(CRC32(SCHEMA_NAME))) FROM information_schema.SCHEMATA),
           (SELECT CONCAT(COUNT(*), ' ', SUM(CRC32(CONCAT_WS('|', TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, ENGINE))))
              FROM information_schema.TABLES
             WHERE TABLE_SCHEMA NOT IN ('information_schema', 'performance_schema', 'mysql', 'sys')),
           (SELECT CONCAT(COUNT(*), ' ', SUM(CRC32(CONCAT_WS('|', TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME,
                                                                  ORDINAL_POSITION, EXTRA, GENERATION_EXPRESSION))))
              FROM information_schema.COLUMNS
             WHERE TABLE_SCHEMA NOT IN ('information_schema', 'performance_schema', 'mysql', 'sys')),
           (SELECT CONCAT(COUNT(*), ' ', SUM(CRC32(CONCAT_WS('|', TABLE_SCHEMA, TABLE_NAME, VIEW_DEFINITION))))
              FROM information_schema.VIEWS
             WHERE TABLE_SCHEMA NOT IN ('information_schema', 'performance_schema', 'mysql', 'sys')),
           (SELECT CONCAT(COUNT(*), ' ', SUM(CRC32(CONCAT_WS('|', EVENT_OBJECT_SCHEMA, EVENT_OBJECT_TABLE))))
              FROM information_schema.TRIGGERS),
           (SELECT CONCAT(COUNT(*), ' ', SUM(CRC32(CONCAT_WS('|', ROUTINE_SCHEMA, ROUTINE_NAME, ROUTINE_TYPE))))
              FROM information_schema.ROUTINES)";

/// Where the counters stood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Counters {
    /// Statements that change names.
    commands: String,
    /// Definitions opened.
    opened: String,
}

/// What was seen at the last read, or since.
#[derive(Debug, Default)]
pub(super) struct Watch {
    counters: Counters,
    /// The sums of the names as last read; `None`: they were not made then.
    sums: Option<Vec<Option<String>>>,
    /// When and how long the last sums were made.
    summed: Option<(Instant, Duration)>,
}

impl Watch {
    /// Names are about to be read.
    pub(super) async fn begin(&mut self, link: &mut Link) -> Result<(), UpstreamError> {
        let now = counters(link).await?;
        // Sums that were made before something moved are not those of what is read now.
        if now.commands != self.counters.commands {
            self.sums = None;
        }
        self.counters = now;
        Ok(())
    }

    /// Names were read: what that opened is not news.
    pub(super) async fn end(&mut self, link: &mut Link) -> Result<(), UpstreamError> {
        self.counters.opened = counters(link).await?.opened;
        self.summed.get_or_insert((Instant::now(), Duration::ZERO));
        Ok(())
    }

    /// Whether nothing has changed since names were read.
    pub(super) async fn is_unchanged(&mut self, link: &mut Link) -> Result<bool, UpstreamError> {
        let now = counters(link).await?;
        let (last, took) = self.summed.unwrap_or((Instant::now(), Duration::ZERO));
        let moved = now != self.counters || last.elapsed() > LONGEST;
        if !moved || last.elapsed() < took.saturating_mul(REST) {
            return Ok(true);
        }
        let start = Instant::now();
        let rows = link.query(SUMS).await?;
        let sums = rows.first().map(|row| text_row(row)).transpose()?;
        self.summed = Some((Instant::now(), start.elapsed()));
        // What changes from here on moves the counters of commands again; what was opened meanwhile was opened by us.
        self.counters = Counters { commands: now.commands, opened: counters(link).await?.opened };
        let unchanged = sums.is_some() && sums == self.sums;
        self.sums = sums;
        Ok(unchanged)
    }
}

async fn counters(link: &mut Link) -> Result<Counters, UpstreamError> {
    let mut counters = Counters::default();
    for row in link.query(COUNTERS).await? {
        if let [Some(name), Some(value)] = text_row(&row)?.as_slice() {
            let to = if name.starts_with("Com_") { &mut counters.commands } else { &mut counters.opened };
            to.push_str(value);
            to.push(' ');
        }
    }
    Ok(counters)
}
