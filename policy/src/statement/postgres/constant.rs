//! The one place that looks into a constant of the parse tree: what is looked at is told to `literal`, so that texts
//! which differ in it are not taken for the same. `identity` alone hashes constants without telling.

use pg_query::protobuf::{AConst, a_const::Val};

use crate::statement::literal::{self, Written};

/// A constant's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'n> {
    Null,
    Boolean(bool),
    Integer(i32),
    /// A number beyond that, or with a fraction, as it is written.
    Number(&'n str),
    Text(&'n str),
    Bits,
    /// The protobuf leaves out what is zero.
    Absent,
}

/// What `constant` is. TRUE, FALSE and NULL are words of the grammar, not literals.
pub(super) fn value(constant: &AConst) -> Value<'_> {
    if constant.isnull {
        return Value::Null;
    }
    match &constant.val {
        Some(Val::Boolval(value)) => return Value::Boolean(value.boolval),
        Some(Val::Ival(_) | Val::Fval(_) | Val::Sval(_) | Val::Bsval(_)) | None => {}
    }
    literal::read(usize::try_from(constant.location).ok());
    match &constant.val {
        Some(Val::Boolval(value)) => Value::Boolean(value.boolval),
        Some(Val::Ival(number)) => Value::Integer(number.ival),
        Some(Val::Fval(number)) => Value::Number(&number.fval),
        Some(Val::Sval(text)) => Value::Text(&text.sval),
        Some(Val::Bsval(_)) => Value::Bits,
        None => Value::Absent,
    }
}

/// Whether `constant` is NULL.
pub(super) fn is_null(constant: &AConst) -> bool {
    constant.isnull
}

/// `constant` is taken as a value, whichever it is.
pub(super) fn passed(constant: &AConst) {
    let Ok(at) = usize::try_from(constant.location) else { return };
    match &constant.val {
        Some(Val::Ival(number)) => literal::passed(at, || Written::As(number.ival.to_string())),
        Some(Val::Fval(number)) => literal::passed(at, || Written::As(number.fval.clone())),
        Some(Val::Sval(text)) => literal::passed(at, || Written::As(format!("'{}'", text.sval.replace('\'', "''")))),
        Some(Val::Boolval(_) | Val::Bsval(_)) | None => {}
    }
}
