//! The messages a server sends, taken apart without copying: only those the proxy has to understand.

use super::codec::{Body, Format, Formats, Malformed, Oids};

/// Tags of the server's messages.
pub mod tag {
    #![allow(missing_docs, reason = "the names are the protocol's own")]
    pub const AUTHENTICATION: u8 = b'R';
    pub const BACKEND_KEY_DATA: u8 = b'K';
    pub const BIND_COMPLETE: u8 = b'2';
    pub const CLOSE_COMPLETE: u8 = b'3';
    pub const COMMAND_COMPLETE: u8 = b'C';
    pub const COPY_BOTH_RESPONSE: u8 = b'W';
    pub const COPY_DATA: u8 = b'd';
    pub const COPY_DONE: u8 = b'c';
    pub const COPY_IN_RESPONSE: u8 = b'G';
    pub const COPY_OUT_RESPONSE: u8 = b'H';
    pub const DATA_ROW: u8 = b'D';
    pub const EMPTY_QUERY_RESPONSE: u8 = b'I';
    pub const ERROR_RESPONSE: u8 = b'E';
    pub const FUNCTION_CALL_RESPONSE: u8 = b'V';
    pub const NEGOTIATE_PROTOCOL_VERSION: u8 = b'v';
    pub const NO_DATA: u8 = b'n';
    pub const NOTICE_RESPONSE: u8 = b'N';
    pub const NOTIFICATION_RESPONSE: u8 = b'A';
    pub const PARAMETER_DESCRIPTION: u8 = b't';
    pub const PARAMETER_STATUS: u8 = b'S';
    pub const PARSE_COMPLETE: u8 = b'1';
    pub const PORTAL_SUSPENDED: u8 = b's';
    pub const READY_FOR_QUERY: u8 = b'Z';
    pub const ROW_DESCRIPTION: u8 = b'T';
}

/// One column of a RowDescription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// The table it comes from; 0: none known.
    pub table: u32,
    /// The column's number in that table; 0: none, or the whole row.
    pub attribute: i16,
    /// Its type.
    pub type_oid: u32,
    /// The type's size; negative: variable.
    pub type_size: i16,
    /// The type's modifier; -1: none.
    pub modifier: i32,
    /// The format of its values; text in an answer to a Describe of a statement, whatever Bind asks later.
    pub format: Format,
}

impl<'a> Field<'a> {
    fn decode(body: &mut Body<'a>) -> Result<Self, Malformed> {
        Ok(Self {
            name: body.text()?,
            table: body.u32()?,
            attribute: body.i16()?,
            type_oid: body.u32()?,
            type_size: body.i16()?,
            modifier: body.i32()?,
            format: Format::from_code(body.i16()?),
        })
    }
}

/// RowDescription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowDescription<'a> {
    count: usize,
    fields: &'a [u8],
}

impl<'a> RowDescription<'a> {
    /// Takes a body apart.
    ///
    /// # Errors
    /// When it is not exactly a RowDescription.
    pub fn decode(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut body = Body::new("RowDescription", body);
        let count = body.count()?;
        let fields = body.remaining();
        for _ in 0..count {
            Field::decode(&mut body)?;
        }
        body.end()?;
        Ok(Self { count, fields })
    }

    /// How many columns.
    pub fn len(self) -> usize {
        self.count
    }

    /// Whether there are none: `SELECT FROM t`.
    pub fn is_empty(self) -> bool {
        self.count == 0
    }

    /// The columns in order.
    pub fn iter(self) -> impl Iterator<Item = Field<'a>> {
        let mut body = Body::new("RowDescription", self.fields);
        // All fields were read once by `decode`; one that does not fit would end the iteration.
        (0..self.count).map_while(move |_| Field::decode(&mut body).ok())
    }
}

/// CommandComplete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandComplete<'a> {
    /// The tag as sent: `INSERT 0 5`.
    pub tag: &'a [u8],
}

impl<'a> CommandComplete<'a> {
    /// Takes a body apart.
    ///
    /// # Errors
    /// When it is not exactly a CommandComplete.
    pub fn decode(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut body = Body::new("CommandComplete", body);
        let tag = body.text()?;
        body.end()?;
        Ok(Self { tag })
    }

    /// The command's rows, where its tag ends in a number.
    pub fn rows(self) -> Option<u64> {
        let digits = self.tag.rsplit(|byte| *byte == b' ').next()?;
        std::str::from_utf8(digits).ok()?.parse().ok()
    }
}

/// The fields of an ErrorResponse or NoticeResponse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report<'a> {
    fields: &'a [u8],
}

impl<'a> Report<'a> {
    /// Takes a body apart.
    ///
    /// # Errors
    /// When it is not exactly a list of fields.
    pub fn decode(fields: &'a [u8]) -> Result<Self, Malformed> {
        let mut body = Body::new("ErrorResponse", fields);
        while body.u8()? != 0 {
            body.text()?;
        }
        body.end()?;
        Ok(Self { fields })
    }

    /// Code and text of each field, in order.
    pub fn iter(self) -> impl Iterator<Item = (u8, &'a [u8])> {
        let mut body = Body::new("ErrorResponse", self.fields);
        std::iter::from_fn(move || {
            let code = body.u8().ok().filter(|code| *code != 0)?;
            Some((code, body.text().ok()?))
        })
    }

    /// The first field with `code`: `b'C'` the SQLSTATE, `b'M'` the message.
    pub fn get(self, code: u8) -> Option<&'a [u8]> {
        self.iter().find(|(found, _)| *found == code).map(|(_, text)| text)
    }

    /// The SQLSTATE; empty if the server sent none.
    pub fn sqlstate(self) -> &'a str {
        self.get(b'C').and_then(|code| std::str::from_utf8(code).ok()).unwrap_or_default()
    }
}

/// ParameterStatus: name and value.
///
/// # Errors
/// When it is not exactly that.
pub fn parameter_status(body: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let mut body = Body::new("ParameterStatus", body);
    let pair = (body.text()?, body.text()?);
    body.end()?;
    Ok(pair)
}

/// The server's transaction, as ReadyForQuery tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionStatus {
    /// `I`: none is open.
    Idle,
    /// `T`: in a transaction block.
    Open,
    /// `E`: in a failed one.
    Failed,
}

impl TransactionStatus {
    /// Takes the body of a ReadyForQuery apart.
    ///
    /// # Errors
    /// When it is not exactly that.
    pub fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let mut body = Body::new("ReadyForQuery", body);
        let status = body.u8()?;
        body.end()?;
        match status {
            b'I' => Ok(Self::Idle),
            b'T' => Ok(Self::Open),
            b'E' => Ok(Self::Failed),
            _ => Err(body.code()),
        }
    }

    /// The byte on the wire.
    pub fn code(self) -> u8 {
        match self {
            Self::Idle => b'I',
            Self::Open => b'T',
            Self::Failed => b'E',
        }
    }
}

/// BackendKeyData: process id and secret (4 bytes in 3.0, 4 to 256 in 3.2).
///
/// # Errors
/// When it is not exactly that.
pub fn backend_key_data(body: &[u8]) -> Result<(i32, &[u8]), Malformed> {
    let mut body = Body::new("BackendKeyData", body);
    let (process, secret) = (body.i32()?, body.rest());
    if (4..=256).contains(&secret.len()) {
        Ok((process, secret))
    } else {
        Err(Malformed::Count { message: "BackendKeyData" })
    }
}

/// ParameterDescription: the parameters' types.
///
/// # Errors
/// When it is not exactly that.
pub fn parameter_description(body: &[u8]) -> Result<Oids<'_>, Malformed> {
    let mut body = Body::new("ParameterDescription", body);
    let oids = Oids(body.list(4)?);
    body.end()?;
    Ok(oids)
}

/// CopyInResponse, CopyOutResponse, CopyBothResponse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyResponse<'a> {
    /// The format as a whole.
    pub format: Format,
    /// Each column's format.
    pub columns: Formats<'a>,
}

impl<'a> CopyResponse<'a> {
    /// Takes a body apart.
    ///
    /// # Errors
    /// When it is not exactly that.
    pub fn decode(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut body = Body::new("CopyResponse", body);
        let format = match body.u8()? {
            0 => Format::Text,
            1 => Format::Binary,
            _ => return Err(body.code()),
        };
        let columns = Formats(body.list(2)?);
        body.end()?;
        Ok(Self { format, columns })
    }
}

/// NotificationResponse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notification<'a> {
    /// The notifying server process.
    pub process: i32,
    /// The channel.
    pub channel: &'a [u8],
    /// What was sent along.
    pub payload: &'a [u8],
}

impl<'a> Notification<'a> {
    /// Takes a body apart.
    ///
    /// # Errors
    /// When it is not exactly that.
    pub fn decode(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut body = Body::new("NotificationResponse", body);
        let this = Self { process: body.i32()?, channel: body.text()?, payload: body.text()? };
        body.end()?;
        Ok(this)
    }
}

/// An Authentication message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication<'a> {
    /// 0: logged in.
    Ok,
    /// 3: the password as it is.
    Cleartext,
    /// 5: hashed with this salt.
    Md5([u8; 4]),
    /// 10: SASL; the mechanisms, each ending in NUL.
    Sasl(&'a [u8]),
    /// 11: a step of SASL.
    SaslContinue(&'a [u8]),
    /// 12: the last step of SASL.
    SaslFinal(&'a [u8]),
    /// Kerberos, GSSAPI, SSPI and whatever comes: not spoken here.
    Other(u32),
}

impl<'a> Authentication<'a> {
    /// Takes a body apart.
    ///
    /// # Errors
    /// When it is not exactly that.
    pub fn decode(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut body = Body::new("Authentication", body);
        let this = match body.u32()? {
            0 => Self::Ok,
            3 => Self::Cleartext,
            5 => Self::Md5(body.u32()?.to_be_bytes()),
            10 => Self::Sasl(body.rest()),
            11 => Self::SaslContinue(body.rest()),
            12 => Self::SaslFinal(body.rest()),
            other => {
                body.rest();
                Self::Other(other)
            }
        };
        body.end()?;
        Ok(this)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::wire::postgres::encode;

    #[test]
    fn a_row_description_survives_the_round_trip() {
        let fields = [
            Field {
                name: b"id",
                table: 16384,
                attribute: 1,
                type_oid: 23,
                type_size: 4,
                modifier: -1,
                format: Format::Text,
            },
            Field {
                name: b"",
                table: 0,
                attribute: 0,
                type_oid: 25,
                type_size: -1,
                modifier: 7,
                format: Format::Binary,
            },
        ];
        let mut out = Vec::new();
        encode::row_description(&mut out, &fields).unwrap();
        let row = RowDescription::decode(&out[5..]).unwrap();
        assert_eq!(row.len(), 2);
        assert_eq!(row.iter().collect::<Vec<_>>(), fields);
        for end in 0..out.len() - 5 {
            assert!(RowDescription::decode(&out[5..5 + end]).is_err());
        }
        out.push(0);
        assert_eq!(RowDescription::decode(&out[5..]), Err(Malformed::Trailing { message: "RowDescription" }));
    }

    #[test]
    fn command_tags_tell_their_rows() {
        let rows = |tag: &[u8]| CommandComplete::decode(tag).unwrap().rows();
        assert_eq!(rows(b"INSERT 0 5\0"), Some(5));
        assert_eq!(rows(b"SELECT 12\0"), Some(12));
        assert_eq!(rows(b"CREATE TABLE\0"), None);
        assert_eq!(rows(b"\0"), None);
    }

    #[test]
    fn reports_give_their_fields() {
        let report = Report::decode(b"SERROR\0C23505\0Mduplicate\0\0").unwrap();
        assert_eq!((report.sqlstate(), report.get(b'M')), ("23505", Some(&b"duplicate"[..])));
        assert_eq!(report.get(b'D'), None);
        assert!(Report::decode(b"SERROR\0C23505\0").is_err());
        assert!(Report::decode(b"SERROR\0\0\0").is_err());
    }

    #[test]
    fn small_messages_are_whole_or_refused() {
        assert_eq!(TransactionStatus::decode(b"T"), Ok(TransactionStatus::Open));
        assert!(TransactionStatus::decode(b"X").is_err());
        assert!(TransactionStatus::decode(b"II").is_err());
        assert_eq!(backend_key_data(b"\0\0\0\x07abcd"), Ok((7, &b"abcd"[..])));
        assert!(backend_key_data(b"\0\0\0\x07abc").is_err());
        assert_eq!(parameter_status(b"TimeZone\0UTC\0"), Ok((&b"TimeZone"[..], &b"UTC"[..])));
        assert_eq!(Authentication::decode(b"\0\0\0\x05salt"), Ok(Authentication::Md5(*b"salt")));
        assert!(Authentication::decode(b"\0\0\0\x05salty").is_err());
        assert_eq!(CopyResponse::decode(b"\x01\0\x01\0\x01").unwrap().columns.get(0), Some(Format::Binary));
        assert!(CopyResponse::decode(b"\x02\0\0").is_err());
        assert_eq!(Notification::decode(b"\0\0\0\x01c\0p\0").unwrap().payload, b"p");
    }

    proptest! {
        #[test]
        fn garbage_never_panics(body in vec(prop_oneof![2 => Just(0u8), 1 => any::<u8>()], 0..80)) {
            if let Ok(row) = RowDescription::decode(&body) {
                prop_assert_eq!(row.iter().count(), row.len());
            }
            if let Ok(report) = Report::decode(&body) {
                let bytes: usize = report.iter().map(|(_, text)| text.len() + 2).sum();
                prop_assert_eq!(bytes + 1, body.len());
            }
            let _ = (CommandComplete::decode(&body), TransactionStatus::decode(&body), backend_key_data(&body));
            let _ = (parameter_description(&body), CopyResponse::decode(&body), Notification::decode(&body));
            let _ = (Authentication::decode(&body), parameter_status(&body));
        }
    }
}
