//! Backend messages, read by tests: just enough decoding to compare answers. Malformed ones panic, they are a finding.

use std::collections::BTreeMap;

/// One backend message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its type byte.
    pub tag: u8,
    /// Its body, without tag and length.
    pub body: Vec<u8>,
}

/// One result column of a RowDescription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Table it comes from, 0 if none.
    pub table: u32,
    /// Column number there, 0 if none.
    pub attribute: i16,
    /// Type OID.
    pub type_oid: u32,
    /// 0 text, 1 binary.
    pub format: i16,
}

/// An ErrorResponse or NoticeResponse: field code to text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(pub BTreeMap<char, String>);

impl Fields {
    /// A field's text, empty if it is not there.
    pub fn get(&self, code: char) -> &str {
        self.0.get(&code).map_or("", String::as_str)
    }

    /// SQLSTATE.
    pub fn code(&self) -> &str {
        self.get('C')
    }

    /// MESSAGE.
    pub fn message(&self) -> &str {
        self.get('M')
    }

    /// DETAIL.
    pub fn detail(&self) -> &str {
        self.get('D')
    }

    /// HINT.
    pub fn hint(&self) -> &str {
        self.get('H')
    }
}

/// Everything up to a ReadyForQuery, sorted.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// Columns of the last RowDescription.
    pub columns: Vec<Column>,
    /// All rows, values as text (binary ones lossily).
    pub rows: Vec<Vec<Option<String>>>,
    /// Command tags.
    pub tags: Vec<String>,
    /// ErrorResponses.
    pub errors: Vec<Fields>,
    /// NoticeResponses.
    pub notices: Vec<Fields>,
    /// NotificationResponses: channel, payload.
    pub notifications: Vec<(String, String)>,
    /// The server processes that sent them.
    pub notifiers: Vec<i32>,
    /// COPY data.
    pub copy: Vec<u8>,
    /// Tags of all messages in order: `TDCZ`.
    pub shape: String,
    /// `I`, `T` or `E` of the ReadyForQuery; `-` when the connection closed instead.
    pub status: char,
}

impl Reply {
    /// The first row's first value; panics when there is none.
    #[track_caller]
    pub fn value(&self) -> String {
        let first = self.rows.first().and_then(|row| row.first()).cloned().flatten();
        first.unwrap_or_else(|| panic!("no value: {self:?}"))
    }

    /// Rows, columns joined by a bar, NULL as nothing.
    pub fn lines(&self) -> Vec<String> {
        self.rows.iter().map(|row| crate::wire::joined(row)).collect()
    }

    /// The only error; panics when there is none or more.
    #[track_caller]
    pub fn error(&self) -> &Fields {
        assert_eq!(self.errors.len(), 1, "one error is expected: {self:?}");
        &self.errors[0]
    }

    /// Itself when there was no error.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(self.errors.is_empty() && self.status != '-', "should have worked: {self:?}");
        self
    }

    /// Adds a message.
    pub fn add(&mut self, message: &Message) {
        self.shape.push(char::from(message.tag));
        let body = message.body.as_slice();
        match message.tag {
            b'T' => self.columns = columns(body),
            b'D' => self.rows.push(row(body)),
            b'C' => self.tags.push(zero_ended(body).0),
            b'E' => self.errors.push(fields(body)),
            b'N' => self.notices.push(fields(body)),
            b'd' => self.copy.extend(body),
            b'A' => {
                self.notifiers.push(i32::from_be_bytes(body[..4].try_into().expect("four bytes")));
                let (channel, rest) = zero_ended(&body[4..]);
                self.notifications.push((channel, zero_ended(rest).0));
            }
            b'Z' => self.status = char::from(body[0]),
            _ => {}
        }
    }
}

/// A text up to its zero byte, and what follows.
pub fn zero_ended(body: &[u8]) -> (String, &[u8]) {
    let end = body.iter().position(|byte| *byte == 0).expect("a zero-ended text");
    (String::from_utf8_lossy(&body[..end]).into_owned(), &body[end + 1..])
}

fn number<const N: usize>(body: &[u8], at: usize) -> [u8; N] {
    body[at..at + N].try_into().expect("N bytes")
}

/// RowDescription.
pub fn columns(body: &[u8]) -> Vec<Column> {
    let mut rest = &body[2..];
    (0..u16::from_be_bytes(number(body, 0)))
        .map(|_| {
            let (name, fixed) = zero_ended(rest);
            rest = &fixed[18..];
            Column {
                name,
                table: u32::from_be_bytes(number(fixed, 0)),
                attribute: i16::from_be_bytes(number(fixed, 4)),
                type_oid: u32::from_be_bytes(number(fixed, 6)),
                format: i16::from_be_bytes(number(fixed, 16)),
            }
        })
        .collect()
}

fn row(body: &[u8]) -> Vec<Option<String>> {
    let mut at = 2;
    (0..u16::from_be_bytes(number(body, 0)))
        .map(|_| {
            let length = i32::from_be_bytes(number(body, at));
            at += 4;
            let length = usize::try_from(length).ok()?;
            at += length;
            Some(String::from_utf8_lossy(&body[at - length..at]).into_owned())
        })
        .collect()
}

/// ErrorResponse and NoticeResponse.
pub fn fields(body: &[u8]) -> Fields {
    let mut fields = BTreeMap::new();
    let mut rest = body;
    while let [code, tail @ ..] = rest
        && *code != 0
    {
        let (value, after) = zero_ended(tail);
        fields.insert(char::from(*code), value);
        rest = after;
    }
    Fields(fields)
}
