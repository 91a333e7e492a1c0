//! PREPARE, EXECUTE and DEALLOCATE: statements that name another statement.
//! What EXECUTE needs is known only to the session, which remembers what the name stands for.

use std::sync::Arc;

use super::{cursor::Cursor, dispatch::Draft, kinds::is_number, lexer::Kind, refusal::unsupported, text, walk::Walk};
use crate::{
    catalog::ColumnRef,
    statement::{Effect, Outputs, Refusal, Statement, Usage},
};

/// PREPARE name FROM 'text'.
///
/// # Errors
/// When the statement in it is not understood, or stands in a variable.
pub(super) fn prepare(walk: &mut Walk<'_>, cursor: &mut Cursor<'_>) -> Result<Draft, Refusal> {
    let name: Arc<str> = cursor.name()?.to_lowercase().into();
    cursor.expect_word("FROM")?;
    let statement = in_string(walk, cursor)?;
    adopt(walk, &statement);
    Ok(Draft::of("PREPARE").effect(Effect::Prepare { name, statement: Box::new(statement) }))
}

/// The one statement that a string constant holds.
fn in_string(walk: &mut Walk<'_>, cursor: &mut Cursor<'_>) -> Result<Statement, Refusal> {
    let Ok(text) = cursor.string() else {
        return Err(unsupported("a statement that is computed or stands in a variable")
            .detail("the proxy has to read the statement before it runs")
            .hint("PREPARE s FROM 'SELECT …', with the text in place"));
    };
    cursor.end()?;
    let statements = walk.nested(|walk| text::understand(&text, walk.catalog, walk.names))?.statements;
    match <[Statement; 1]>::try_from(statements) {
        Ok([mut statement]) if statement.effect == Effect::None => {
            // What EXECUTE … USING binds may be a number, and nobody says so.
            let bound: Vec<ColumnRef> = std::mem::take(&mut statement.compared).into_iter().map(|(_, c)| c).collect();
            for one in &mut statement.uses {
                if one.usage == Usage::Equality && bound.contains(&one.column) && !is_number(walk.catalog, &one.column)
                {
                    one.usage = Usage::Inference;
                }
            }
            Ok(statement)
        }
        Ok(_) => Err(unsupported("PREPARE of this kind of statement").hint("send the statement itself")),
        Err(_) => Err(unsupported("PREPARE of several statements")),
    }
}

/// What the statement inside needs and does, the one around it needs and does.
fn adopt(walk: &mut Walk<'_>, inner: &Statement) {
    walk.needs.extend(inner.needs.iter().cloned());
    walk.uses.extend(inner.uses.iter().cloned());
    walk.touches.extend(inner.touches.iter().cloned());
}

/// EXECUTE name [USING @a, @b], EXECUTE IMMEDIATE 'text'.
///
/// # Errors
/// When the text of the latter is not understood, or not in place.
pub(super) fn execute(walk: &mut Walk<'_>, cursor: &mut Cursor<'_>) -> Result<Draft, Refusal> {
    if cursor.word("IMMEDIATE") {
        let statement = in_string(walk, cursor)?;
        adopt(walk, &statement);
        walk.reaches(statement.reach);
        return Ok(Draft::of("EXECUTE IMMEDIATE").outputs(statement.outputs));
    }
    let name: Arc<str> = cursor.name()?.to_lowercase().into();
    if cursor.word("USING") {
        loop {
            match cursor.next() {
                Some(token) if matches!(token.kind, Kind::Variable(_)) => {}
                _ => return Err(cursor.here()),
            }
            if !cursor.sign(",") {
                break;
            }
        }
    }
    cursor.end()?;
    Ok(Draft::of("EXECUTE").outputs(Outputs::OfPrepared(Arc::clone(&name))).effect(Effect::Execute { name }))
}

/// DEALLOCATE PREPARE name, from behind the verb.
///
/// # Errors
/// A syntax error.
pub(super) fn deallocate(cursor: &mut Cursor<'_>) -> Result<Draft, Refusal> {
    cursor.expect_word("PREPARE")?;
    let name = cursor.name()?.to_lowercase();
    cursor.end()?;
    Ok(Draft::of("DEALLOCATE").effect(Effect::Deallocate(Some(name.into()))))
}
