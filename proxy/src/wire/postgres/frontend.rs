//! The messages a client sends after login, taken apart without copying. A decoder takes the whole body or fails;
//! what the message may do is the gate's affair.

use super::codec::{Body, Formats, Malformed, Oids};

/// Tags of the client's messages.
pub mod tag {
    #![allow(missing_docs, reason = "the names are the protocol's own")]
    pub const BIND: u8 = b'B';
    pub const CLOSE: u8 = b'C';
    pub const COPY_DATA: u8 = b'd';
    pub const COPY_DONE: u8 = b'c';
    pub const COPY_FAIL: u8 = b'f';
    pub const DESCRIBE: u8 = b'D';
    pub const EXECUTE: u8 = b'E';
    pub const FLUSH: u8 = b'H';
    pub const FUNCTION_CALL: u8 = b'F';
    pub const PARSE: u8 = b'P';
    /// PasswordMessage, SASLInitialResponse, SASLResponse, GSSResponse.
    pub const PASSWORD: u8 = b'p';
    pub const QUERY: u8 = b'Q';
    pub const SYNC: u8 = b'S';
    pub const TERMINATE: u8 = b'X';
}

/// The text of a Query message.
///
/// # Errors
/// When it does not end, or something follows it.
pub fn query(body: &[u8]) -> Result<&[u8], Malformed> {
    one_text("Query", body)
}

/// The reason in a CopyFail message.
///
/// # Errors
/// When it does not end, or something follows it.
pub fn copy_fail(body: &[u8]) -> Result<&[u8], Malformed> {
    one_text("CopyFail", body)
}

fn one_text<'a>(message: &'static str, body: &'a [u8]) -> Result<&'a [u8], Malformed> {
    let mut body = Body::new(message, body);
    let text = body.text()?;
    body.end()?;
    Ok(text)
}

/// A message that has no body: Sync, Flush, Terminate, CopyDone.
///
/// # Errors
/// When it has one.
pub fn empty(message: &'static str, body: &[u8]) -> Result<(), Malformed> {
    Body::new(message, body).end()
}

/// Parse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parse<'a> {
    /// The prepared statement's name; empty: the unnamed one.
    pub statement: &'a [u8],
    /// Its text.
    pub text: &'a [u8],
    /// The parameter types given; 0 leaves one to the server.
    pub types: Oids<'a>,
}

impl<'a> Parse<'a> {
    /// Takes a body apart.
    ///
    /// # Errors
    /// When it is not exactly a Parse message.
    pub fn decode(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut body = Body::new("Parse", body);
        let this = Self { statement: body.text()?, text: body.text()?, types: Oids(body.list(4)?) };
        body.end()?;
        Ok(this)
    }
}

/// Values that stand one after the other, each with its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Values<'a> {
    count: usize,
    bytes: &'a [u8],
}

impl<'a> Values<'a> {
    /// Reads `count` values from `body`, checking each length.
    fn decode(body: &mut Body<'a>) -> Result<Self, Malformed> {
        let count = body.count()?;
        let start = body.remaining();
        for _ in 0..count {
            body.value()?;
        }
        let used = start.len() - body.remaining().len();
        Ok(Self { count, bytes: start.get(..used).unwrap_or_default() })
    }

    /// How many.
    pub fn len(self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.count == 0
    }

    /// One after the other; `None` is NULL.
    pub fn iter(self) -> impl Iterator<Item = Option<&'a [u8]>> {
        let mut body = Body::new("Bind", self.bytes);
        // The lengths were checked by `decode`; a value that does not fit would end the iteration.
        (0..self.count).map_while(move |_| body.value().ok())
    }
}

/// Bind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bind<'a> {
    /// The portal's name; empty: the unnamed one.
    pub portal: &'a [u8],
    /// The prepared statement's name.
    pub statement: &'a [u8],
    /// The formats of the parameters.
    pub parameter_formats: Formats<'a>,
    /// The parameters.
    pub parameters: Values<'a>,
    /// The formats asked for the result's columns.
    pub result_formats: Formats<'a>,
}

impl<'a> Bind<'a> {
    /// Takes a body apart.
    ///
    /// # Errors
    /// When it is not exactly a Bind message.
    pub fn decode(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut body = Body::new("Bind", body);
        let this = Self {
            portal: body.text()?,
            statement: body.text()?,
            parameter_formats: Formats(body.list(2)?),
            parameters: Values::decode(&mut body)?,
            result_formats: Formats(body.list(2)?),
        };
        body.end()?;
        Ok(this)
    }
}

/// What Describe and Close name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named<'a> {
    /// `S`: a prepared statement.
    Statement(&'a [u8]),
    /// `P`: a portal.
    Portal(&'a [u8]),
}

impl<'a> Named<'a> {
    /// Takes the body of a Describe or Close apart.
    ///
    /// # Errors
    /// When it is not exactly that.
    pub fn decode(message: &'static str, body: &'a [u8]) -> Result<Self, Malformed> {
        let mut body = Body::new(message, body);
        let (kind, name) = (body.u8()?, body.text()?);
        body.end()?;
        match kind {
            b'S' => Ok(Self::Statement(name)),
            b'P' => Ok(Self::Portal(name)),
            _ => Err(body.code()),
        }
    }
}

/// Execute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Execute<'a> {
    /// The portal's name.
    pub portal: &'a [u8],
    /// Most rows to return; 0 and below: all.
    pub max_rows: i32,
}

impl<'a> Execute<'a> {
    /// Takes a body apart.
    ///
    /// # Errors
    /// When it is not exactly an Execute message.
    pub fn decode(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut body = Body::new("Execute", body);
        let this = Self { portal: body.text()?, max_rows: body.i32()? };
        body.end()?;
        Ok(this)
    }
}

/// FunctionCall: decoded so that a refusal can name the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunctionCall<'a> {
    /// The function's OID.
    pub function: u32,
    /// The formats of the arguments.
    pub argument_formats: Formats<'a>,
    /// The arguments.
    pub arguments: Values<'a>,
    /// The format asked for the result.
    pub result_format: i16,
}

impl<'a> FunctionCall<'a> {
    /// Takes a body apart.
    ///
    /// # Errors
    /// When it is not exactly a FunctionCall message.
    pub fn decode(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut body = Body::new("FunctionCall", body);
        let this = Self {
            function: body.u32()?,
            argument_formats: Formats(body.list(2)?),
            arguments: Values::decode(&mut body)?,
            result_format: body.i16()?,
        };
        body.end()?;
        Ok(this)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::wire::postgres::{codec::Format, encode};

    /// Every proper prefix of a right body, and the body with one more byte, is malformed.
    fn only_whole(body: &[u8], decodes: impl Fn(&[u8]) -> bool) {
        assert!(decodes(body));
        for end in 0..body.len() {
            assert!(!decodes(&body[..end]), "prefix of {end} bytes");
        }
        assert!(!decodes(&[body, &[0]].concat()));
    }

    #[test]
    fn bind_is_taken_apart_in_place() {
        let mut out = Vec::new();
        let values = [Some(&b"7"[..]), None, Some(b"")];
        encode::bind(&mut out, b"p", b"s1", &[1], &values, &[0, 1]).unwrap();
        let bind = Bind::decode(&out[5..]).unwrap();
        assert_eq!((bind.portal, bind.statement), (&b"p"[..], &b"s1"[..]));
        assert_eq!(bind.parameters.iter().collect::<Vec<_>>(), values);
        assert_eq!(bind.parameter_formats.get(2), Some(Format::Binary));
        assert_eq!(bind.result_formats.get(1), Some(Format::Binary));
        only_whole(&out[5..], |body| Bind::decode(body).is_ok());
    }

    #[test]
    fn the_rest_are_taken_whole_or_not_at_all() {
        only_whole(b"SELECT 1\0", |body| query(body).is_ok());
        only_whole(b"s\0SELECT $1\0\0\x01\0\0\0\x17", |body| Parse::decode(body).is_ok());
        only_whole(b"p\0\0\0\0\x05", |body| Execute::decode(body).is_ok());
        only_whole(b"Sname\0", |body| Named::decode("Describe", body).is_ok());
        only_whole(b"\0\0\0\x2a\0\0\0\x01\0\0\0\x01x\0\0", |body| FunctionCall::decode(body).is_ok());
        assert_eq!(Named::decode("Close", b"Xname\0"), Err(Malformed::Code { message: "Close" }));
        assert_eq!(query(b"SELECT 1\0; DROP\0"), Err(Malformed::Trailing { message: "Query" }));
    }

    #[test]
    fn negative_lengths_are_not_null() {
        let body = b"\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0";
        assert_eq!(Bind::decode(body), Err(Malformed::Count { message: "Bind" }));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(body in vec(prop_oneof![2 => Just(0u8), 1 => any::<u8>()], 0..64)) {
            if let Ok(bind) = Bind::decode(&body) {
                prop_assert_eq!(bind.parameters.iter().count(), bind.parameters.len());
            }
            let _ = (Parse::decode(&body), Execute::decode(&body), FunctionCall::decode(&body));
            let _ = (query(&body), Named::decode("Describe", &body), empty("Sync", &body));
        }
    }
}
