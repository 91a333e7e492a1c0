//! Parameters of prepared statements and query attributes, taken apart without copying. Knows where values are and of
//! what type; what a server remembers between executions (types, long data) the caller hands in.
//! Source: MySQL internals manual, "COM_STMT_EXECUTE"; MariaDB knowledge base, "COM_STMT_BULK_EXECUTE".

use super::{
    body::{Body, Malformed},
    capability::Capabilities,
    value::{self, Bitmap, Type},
};

/// A parameter's type, as bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterType {
    /// The type.
    pub kind: Type,
    /// Whether an integer has no sign.
    pub sign: Sign,
}

/// Whether an integer has a sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It has.
    Signed,
    /// It has none.
    Unsigned,
}

impl ParameterType {
    fn take(body: &mut Body<'_>) -> Result<Self, Malformed> {
        let [kind, flags] = body.array()?;
        let sign = if flags & 0x80 == 0 { Sign::Signed } else { Sign::Unsigned };
        Ok(Self { kind: Type(kind), sign })
    }
}

/// What a parameter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// NULL.
    Null,
    /// It was sent before by COM_STMT_SEND_LONG_DATA.
    LongData,
    /// Its bytes in binary format, without their length.
    Bytes(&'a [u8]),
    /// MariaDB's bulk: the column's default.
    Default,
    /// MariaDB's bulk: the row's value stays.
    Ignore,
}

/// One parameter or query attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter<'a> {
    /// Its type.
    pub kind: ParameterType,
    /// Its name; empty for a parameter's place.
    pub name: &'a [u8],
    /// Its value.
    pub value: Value<'a>,
}

/// What a cursor is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cursor {
    /// None: all rows come at once.
    None,
    /// Rows come by COM_STMT_FETCH.
    ReadOnly,
}

/// COM_STMT_EXECUTE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Execute<'a> {
    /// The statement; MariaDB's clients may say 0xffffffff for the one prepared last.
    pub statement: u32,
    /// The cursor.
    pub cursor: Cursor,
    /// All flags.
    flags: u8,
    /// The parameters, to be taken apart with what is known of the statement.
    rest: &'a [u8],
}

/// `PARAMETER_COUNT_AVAILABLE`.
const COUNTED: u8 = 8;

/// What is known of a prepared statement when it is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known<'a> {
    /// How many parameters it has.
    pub parameters: usize,
    /// Their types of the last execution; empty: never executed.
    pub types: &'a [ParameterType],
    /// For each parameter whether long data was sent for it; may be shorter.
    pub long_data: &'a [bool],
}

impl<'a> Execute<'a> {
    pub(super) fn decode(body: &mut Body<'a>) -> Result<Self, Malformed> {
        let statement = body.u32()?;
        let flags = body.u8()?;
        let cursor = match flags & !COUNTED {
            0 => Cursor::None,
            1 => Cursor::ReadOnly,
            _ => return Err(body.code()),
        };
        // Always one iteration.
        if body.u32()? != 1 {
            return Err(body.count());
        }
        Ok(Self { statement, cursor, flags, rest: body.rest() })
    }

    /// The parameters in order, and behind them query attributes.
    ///
    /// # Errors
    /// When they are not exactly what `known` asks for.
    pub fn parameters(&self, held: Capabilities, known: Known<'_>) -> Result<Vec<Parameter<'a>>, Malformed> {
        let mut body = Body::new("COM_STMT_EXECUTE", self.rest);
        let named = held.has(Capabilities::QUERY_ATTRIBUTES);
        let mut count = known.parameters;
        if named && self.flags & COUNTED != 0 {
            count = body.size()?;
            if count < known.parameters {
                return Err(body.count());
            }
        }
        if count == 0 {
            // A client may send an empty bitmap's flag all the same; servers do not look.
            return Ok(Vec::new());
        }
        let found = parameters(&mut body, count, Unbound::Known(known), named)?;
        body.end()?;
        Ok(found)
    }

    /// Whether types stand in it; where there are no parameters, nobody needs any.
    pub fn binds_types(&self, held: Capabilities, known: Known<'_>) -> bool {
        self.flag(held, known).is_none_or(|(at, _)| self.rest.get(at) == Some(&1))
    }

    /// The command's `payload` with the types of `known` put in, where it has none of its own.
    pub fn with_types(&self, payload: &[u8], held: Capabilities, known: Known<'_>) -> Option<Vec<u8>> {
        let (at, count) = self.flag(held, known)?;
        let at = at + payload.len().checked_sub(self.rest.len())?;
        let mut out = payload.get(..at)?.to_vec();
        out.push(1);
        for ParameterType { kind, sign } in known.types.get(..count)? {
            out.extend_from_slice(&[kind.0, if *sign == Sign::Unsigned { 0x80 } else { 0 }]);
            if held.has(Capabilities::QUERY_ATTRIBUTES) {
                // No name.
                out.push(0);
            }
        }
        out.extend_from_slice(payload.get(at + 1..)?);
        Some(out)
    }

    /// Where in the parameters the byte stands that says whether types follow, and of how many parameters.
    fn flag(&self, held: Capabilities, known: Known<'_>) -> Option<(usize, usize)> {
        let mut body = Body::new("COM_STMT_EXECUTE", self.rest);
        let mut count = known.parameters;
        if held.has(Capabilities::QUERY_ATTRIBUTES) && self.flags & COUNTED != 0 {
            count = body.size().ok()?;
        }
        let nulls = count.div_ceil(8);
        (count > 0).then(|| (self.rest.len() - body.remaining().len() + nulls, count))
    }
}

/// Where types come from when none are bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unbound<'k> {
    /// Query attributes bind theirs each time.
    Refused,
    /// The last execution bound them.
    Known(Known<'k>),
}

/// NULL bitmap, types, values.
pub(super) fn parameters<'a>(
    body: &mut Body<'a>,
    count: usize,
    unbound: Unbound<'_>,
    named: bool,
) -> Result<Vec<Parameter<'a>>, Malformed> {
    if count > usize::from(u16::MAX) {
        return Err(body.count());
    }
    let nulls = Bitmap::take(body, count, 0)?;
    let mut found = Vec::with_capacity(count);
    let known = match unbound {
        Unbound::Refused => Known { parameters: 0, types: &[], long_data: &[] },
        Unbound::Known(known) => known,
    };
    match body.u8()? {
        0 => {
            let types = known.types.get(..count).ok_or_else(|| body.count())?;
            found.extend(types.iter().map(|kind| Parameter { kind: *kind, name: b"", value: Value::Null }));
        }
        1 => {
            for _ in 0..count {
                let kind = ParameterType::take(body)?;
                let name = if named { body.string()? } else { b"" };
                found.push(Parameter { kind, name, value: Value::Null });
            }
        }
        _ => return Err(body.code()),
    }
    for (index, parameter) in found.iter_mut().enumerate() {
        if known.long_data.get(index).copied().unwrap_or_default() {
            parameter.value = Value::LongData;
        } else if !nulls.is_null(index) && parameter.kind.kind != Type::NULL {
            parameter.value = Value::Bytes(value::take(body, parameter.kind.kind)?);
        }
    }
    Ok(found)
}

/// COM_STMT_BULK_EXECUTE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BulkExecute<'a> {
    /// The statement.
    pub statement: u32,
    /// Whether the answer is to tell of each row: `BULK_UNIT_RESULTS`.
    pub unit_results: UnitResults,
    types_sent: bool,
    rest: &'a [u8],
}

/// What a bulk execution answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitResults {
    /// One answer for all.
    No,
    /// A result with a row for each.
    Yes,
}

impl<'a> BulkExecute<'a> {
    pub(super) fn decode(body: &mut Body<'a>) -> Result<Self, Malformed> {
        let statement = body.u32()?;
        let flags = body.u16()?;
        if flags & !(64 | 128) != 0 {
            return Err(body.code());
        }
        let unit_results = if flags & 64 == 0 { UnitResults::No } else { UnitResults::Yes };
        Ok(Self { statement, unit_results, types_sent: flags & 128 != 0, rest: body.rest() })
    }

    /// All sets of parameters, one behind the other.
    ///
    /// # Errors
    /// When they are not exactly sets of what `known` asks for.
    pub fn parameters(&self, known: Known<'_>) -> Result<Vec<Vec<Parameter<'a>>>, Malformed> {
        let mut body = Body::new("COM_STMT_BULK_EXECUTE", self.rest);
        let mut types = Vec::new();
        if self.types_sent {
            for _ in 0..known.parameters {
                types.push(ParameterType::take(&mut body)?);
            }
        } else {
            types.extend_from_slice(known.types);
        }
        if types.is_empty() || types.len() != known.parameters {
            return Err(body.count());
        }
        let mut sets = Vec::new();
        while !body.remaining().is_empty() {
            let mut set = Vec::with_capacity(types.len());
            for kind in &types {
                let value = match body.u8()? {
                    0 => Value::Bytes(value::take(&mut body, kind.kind)?),
                    1 => Value::Null,
                    2 => Value::Default,
                    3 => Value::Ignore,
                    _ => return Err(body.code()),
                };
                set.push(Parameter { kind: *kind, name: b"", value });
            }
            sets.push(set);
        }
        Ok(sets)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::wire::mysql::frontend::Command;

    const LONGLONG: ParameterType = ParameterType { kind: Type::LONGLONG, sign: Sign::Unsigned };
    const TEXT: ParameterType = ParameterType { kind: Type::VAR_STRING, sign: Sign::Signed };

    fn execute(payload: &[u8]) -> Execute<'_> {
        match Command::decode(payload, Capabilities::NONE).unwrap() {
            Command::Execute(execute) => execute,
            other => panic!("{other:?}"),
        }
    }

    fn known<'a>(parameters: usize, types: &'a [ParameterType], long_data: &'a [bool]) -> Known<'a> {
        Known { parameters, types, long_data }
    }

    #[test]
    fn types_are_bound_once_and_remembered() {
        let first = b"\x17\x01\0\0\0\x01\x01\0\0\0\x02\x01\x08\x80\xfd\0\x07\0\0\0\0\0\0\0";
        let first = execute(first);
        assert_eq!((first.statement, first.cursor), (1, Cursor::ReadOnly));
        let bound = first.parameters(Capabilities::NONE, known(2, &[], &[])).unwrap();
        assert_eq!(bound[0], Parameter { kind: LONGLONG, name: b"", value: Value::Bytes(b"\x07\0\0\0\0\0\0\0") });
        assert_eq!(bound[1], Parameter { kind: TEXT, name: b"", value: Value::Null });

        let again = execute(b"\x17\x01\0\0\0\0\x01\0\0\0\0\0\x02xy");
        let types = [LONGLONG, TEXT];
        let bound = again.parameters(Capabilities::NONE, known(2, &types, &[true])).unwrap();
        assert_eq!((bound[0].value, bound[1].value), (Value::LongData, Value::Bytes(b"xy")));
        assert!(again.parameters(Capabilities::NONE, known(2, &[], &[true])).is_err(), "no types known");
        assert!(again.parameters(Capabilities::NONE, known(2, &types, &[])).is_err(), "a value is missing");
    }

    #[test]
    fn query_attributes_stand_behind_the_parameters() {
        let payload = b"\x17\x01\0\0\0\x08\x01\0\0\0\x02\0\x01\x01\0\0\xfd\0\x05trace\x09\x02id";
        let bound = execute(payload).parameters(Capabilities::QUERY_ATTRIBUTES, known(1, &[], &[])).unwrap();
        assert_eq!((bound[0].value, bound[0].name), (Value::Bytes(b"\x09"), &b""[..]));
        assert_eq!((bound[1].value, bound[1].name), (Value::Bytes(b"id"), &b"trace"[..]));
    }

    #[test]
    fn a_bulk_is_many_sets() {
        let payload = b"\xfa\x05\0\0\0\x80\0\x01\0\xfd\0\0\x07\x01\x01\0\x02xy\0\x08\x02";
        let Command::BulkExecute(bulk) = Command::decode(payload, Capabilities::NONE).unwrap() else { panic!() };
        assert_eq!((bulk.statement, bulk.unit_results), (5, UnitResults::No));
        let sets = bulk.parameters(known(2, &[], &[])).unwrap();
        let values: Vec<Vec<_>> = sets.iter().map(|set| set.iter().map(|one| one.value).collect()).collect();
        let expected = [
            [Value::Bytes(b"\x07"), Value::Null],
            [Value::Null, Value::Bytes(b"xy")],
            [Value::Bytes(b"\x08"), Value::Default],
        ];
        assert_eq!(values, expected);
    }

    proptest! {
        #[test]
        fn garbage_never_panics(
            number in prop_oneof![Just(0x17u8), Just(0xfau8)],
            bytes in vec(prop_oneof![2 => 0..4u8, 1 => any::<u8>()], 0..60),
            count in 0..9usize,
        ) {
            let payload = [&[number, 1, 0, 0, 0, 0, 1, 0, 0, 0], bytes.as_slice()].concat();
            let known = known(count, &[LONGLONG, TEXT], &[false, true]);
            match Command::decode(&payload, Capabilities::NONE) {
                Ok(Command::Execute(execute)) => {
                    let _ = execute.parameters(Capabilities::NONE, known);
                    let _ = execute.parameters(Capabilities::QUERY_ATTRIBUTES, known);
                }
                Ok(Command::BulkExecute(bulk)) => {
                    let _ = bulk.parameters(known);
                }
                _ => {}
            }
        }
    }
}
