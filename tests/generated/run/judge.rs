//! Judges the answers to one query. Nothing here knows a protocol.

use super::Answer;
use crate::{generate::Query, masks::Masks, schema::Dialect};

/// What became of a query.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// How it ended.
    pub end: End,
    /// What must not be.
    pub faults: Vec<Fault>,
    /// Cells that were compared with those of the direct run.
    pub cells: usize,
    /// A column was masked for its alias alone.
    pub forged: bool,
    /// Rows came in another order from the two versions.
    pub reordered: bool,
}

/// How a query ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// It ran.
    #[default]
    Allowed,
    /// The server itself refused it.
    Failed,
    /// It took too long somewhere, where nothing can be compared.
    Slow,
    /// The proxy refused it, with these words.
    Refused(String),
}

/// What must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A masked value, or a part of it, was received.
    Betrayed(String),
    /// The answers on the two versions differ.
    Differs(String),
    /// A query without masked columns was refused: `words`.
    Refused(String),
    /// A query that only shows masked columns was refused.
    Strict(String),
    /// Another answer than directly.
    Changed(String),
}

/// A statement timeout; on MySQL also a lock that was waited for too long.
const SLOW: [&str; 4] = ["57014", "1969", "3024", "1205"];

/// Compares the direct answer with those through the proxy on both versions.
pub fn judge(query: &Query, masks: &Masks, direct: &Answer, one: &Answer, two: &Answer) -> Verdict {
    let mut verdict = Verdict::default();
    for answer in [one, two] {
        verdict.faults.extend(masks.betrayed(&answer.bytes).map(Fault::Betrayed));
    }
    if [direct, one, two]
        .iter()
        .any(|answer| answer.error.as_ref().is_some_and(|(code, _)| SLOW.contains(&code.as_str())))
    {
        verdict.end = End::Slow;
        return verdict;
    }
    if one.frames != two.frames {
        let sorted = |answer: &Answer| {
            let mut frames = answer.frames.clone();
            frames.sort_unstable();
            frames
        };
        if query.unsettled && one.error == two.error && one.columns == two.columns {
            verdict.reordered = true;
        } else if query.ordered || sorted(one) != sorted(two) {
            verdict.faults.push(Fault::Differs(difference(one, two)));
        } else {
            verdict.reordered = true;
        }
    }
    match (&direct.error, &one.error) {
        (None, None) => compare(query, masks, direct, one, &mut verdict),
        (None, Some((_, message))) => {
            verdict.end = End::Refused(message.clone());
            if query.touched & masks.closed == 0 {
                verdict.faults.push(Fault::Refused(message.clone()));
            } else if query.worked & masks.closed == 0 {
                verdict.faults.push(Fault::Strict(message.clone()));
            }
        }
        (Some((code, _)), Some((other, _))) if code == other => verdict.end = End::Failed,
        // Both say no, and each looks at another thing first.
        (Some(_), Some((_, message))) => verdict.end = End::Refused(message.clone()),
        (Some(error), None) => verdict.faults.push(Fault::Changed(format!("no error {error:?}"))),
    }
    verdict
}

/// MariaDB names a computed column's origin by its alias: where that is a masked column's name, the proxy masks it rather
/// than trust the name. All differing columns are of that kind, and hold nothing but one mask.
fn forged(query: &Query, masks: &Masks, clean: &[usize], direct: &Answer, one: &Answer) -> bool {
    let column = |answer: &Answer, at: usize| {
        let mut values: Vec<_> = answer.rows.iter().map(|row| row[at].clone()).collect();
        values.sort_unstable();
        values
    };
    let mut differ = clean.iter().filter(|at| column(direct, **at) != column(one, **at)).peekable();
    query.dialect != Dialect::Postgres
        && differ.peek().is_some()
        && differ.all(|at| {
            let mut values = column(one, *at);
            values.dedup();
            values.len() <= 2 && masks.hides_name(&one.columns[*at])
        })
}

/// The cells that no masked column feeds are those of the direct run.
fn compare(query: &Query, masks: &Masks, direct: &Answer, one: &Answer, verdict: &mut Verdict) {
    if direct.columns != one.columns {
        verdict.faults.push(Fault::Changed(format!("columns {:?} instead of {:?}", one.columns, direct.columns)));
        return;
    }
    if query.unsettled {
        return;
    }
    if direct.rows.len() != one.rows.len() {
        verdict.faults.push(Fault::Changed(format!("{} rows instead of {}", one.rows.len(), direct.rows.len())));
        return;
    }
    if query.outputs.len() != direct.columns.len() && !direct.rows.is_empty() {
        let text = format!("the generator knows {} columns of {}", query.outputs.len(), direct.columns.len());
        verdict.faults.push(Fault::Changed(text));
        return;
    }
    let clean: Vec<usize> =
        query.outputs.iter().enumerate().filter(|(_, fed)| *fed & masks.closed == 0).map(|(at, _)| at).collect();
    let project = |answer: &Answer| {
        let mut rows: Vec<Vec<Option<String>>> =
            answer.rows.iter().map(|row| clean.iter().map(|at| row[*at].clone()).collect()).collect();
        if !query.ordered {
            rows.sort_unstable();
        }
        rows
    };
    let (expected, found) = (project(direct), project(one));
    if expected != found {
        if forged(query, masks, &clean, direct, one) {
            verdict.forged = true;
            return;
        }
        let pair = expected.iter().zip(&found).find(|(expected, found)| expected != found);
        verdict.faults.push(Fault::Changed(format!("clean columns {clean:?}: {pair:?} (direct, proxy)")));
    }
    verdict.cells += clean.len() * direct.rows.len();
}

fn difference(one: &Answer, two: &Answer) -> String {
    let short = |text: String| text.chars().take(400).collect::<String>();
    if one.error != two.error {
        return short(format!("errors {:?} and {:?}", one.error, two.error));
    }
    if one.columns != two.columns {
        return short(format!("columns {:?} and {:?}", one.columns, two.columns));
    }
    if one.rows.len() != two.rows.len() {
        return format!("{} and {} rows", one.rows.len(), two.rows.len());
    }
    let only = |of: &Answer, other: &Answer| {
        of.rows.iter().filter(|row| !other.rows.contains(row)).take(2).cloned().collect::<Vec<_>>()
    };
    let rows = [only(one, two), only(two, one)];
    if rows.iter().any(|rows| !rows.is_empty()) {
        return short(format!("rows {rows:?}"));
    }
    let frames = one.frames.iter().zip(&two.frames).find(|(one, two)| one != two);
    let text = |frame: &[u8]| String::from_utf8_lossy(frame).into_owned();
    short(format!("messages {:?}", frames.map(|(one, two)| (text(one), text(two)))))
}
