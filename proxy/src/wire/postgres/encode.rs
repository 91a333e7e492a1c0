//! Messages the proxy writes itself, appended to a buffer: answers of its own to a client, and its own requests to an
//! upstream. What the client or the server wrote is forwarded as it stands, never re-encoded here.

use thiserror::Error;

use super::{
    backend::{Field, Notification, TransactionStatus, tag as back},
    codec::Format,
    frontend::{Named, tag as front},
};

/// Why a message cannot be written; nothing was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unencodable {
    /// A text with a NUL in it.
    #[error("a text holds a NUL")]
    Nul,
    /// More items, or a longer message, than the protocol's length fields hold.
    #[error("a message is too long for its length field")]
    TooLong,
}

/// A message in the making.
pub(super) struct Message<'o> {
    out: &'o mut Vec<u8>,
}

impl Message<'_> {
    pub(super) fn byte(&mut self, byte: u8) {
        self.out.push(byte);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    pub(super) fn text(&mut self, text: &[u8]) -> Result<(), Unencodable> {
        if text.contains(&0) {
            return Err(Unencodable::Nul);
        }
        self.bytes(text);
        self.byte(0);
        Ok(())
    }

    pub(super) fn i32(&mut self, value: i32) {
        self.bytes(&value.to_be_bytes());
    }

    fn i16(&mut self, value: i16) {
        self.bytes(&value.to_be_bytes());
    }

    fn count(&mut self, count: usize) -> Result<(), Unencodable> {
        let count = u16::try_from(count).map_err(|_| Unencodable::TooLong)?;
        self.bytes(&count.to_be_bytes());
        Ok(())
    }

    fn codes(&mut self, codes: &[i16]) -> Result<(), Unencodable> {
        self.count(codes.len())?;
        codes.iter().for_each(|code| self.i16(*code));
        Ok(())
    }

    fn values<V: AsRef<[u8]>>(&mut self, values: &[Option<V>]) -> Result<(), Unencodable> {
        self.count(values.len())?;
        for value in values {
            match value.as_ref().map(AsRef::as_ref) {
                None => self.i32(-1),
                Some(value) => {
                    self.i32(i32::try_from(value.len()).map_err(|_| Unencodable::TooLong)?);
                    self.bytes(value);
                }
            }
        }
        Ok(())
    }
}

/// Appends one message, its length filled in afterwards; on failure `out` is as before.
pub(super) fn message(
    out: &mut Vec<u8>,
    tag: Option<u8>,
    write: impl FnOnce(&mut Message<'_>) -> Result<(), Unencodable>,
) -> Result<(), Unencodable> {
    let start = out.len();
    out.extend(tag);
    let length_at = out.len();
    out.extend_from_slice(&[0; 4]);
    let written = write(&mut Message { out }).and_then(|()| {
        let length = i32::try_from(out.len() - length_at).map_err(|_| Unencodable::TooLong)?;
        let place = out.get_mut(length_at..length_at + 4).ok_or(Unencodable::TooLong)?;
        place.copy_from_slice(&length.to_be_bytes());
        Ok(())
    });
    if written.is_err() {
        out.truncate(start);
    }
    written
}

/// Appends a message whose five to thirteen bytes cannot fail.
fn fixed(out: &mut Vec<u8>, tag: u8, body: &[u8]) {
    out.push(tag);
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX).saturating_add(4);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(body);
}

/// AuthenticationOk.
pub fn authentication_ok(out: &mut Vec<u8>) {
    fixed(out, back::AUTHENTICATION, &[0; 4]);
}

/// AuthenticationSASL: the mechanisms offered, the best first.
///
/// # Errors
/// When a name holds a NUL.
pub fn authentication_sasl(out: &mut Vec<u8>, mechanisms: &[&str]) -> Result<(), Unencodable> {
    message(out, Some(back::AUTHENTICATION), |body| {
        body.i32(10);
        mechanisms.iter().try_for_each(|name| body.text(name.as_bytes()))?;
        body.byte(0);
        Ok(())
    })
}

/// AuthenticationSASLContinue.
///
/// # Errors
/// When `data` is too long.
pub fn authentication_sasl_continue(out: &mut Vec<u8>, data: &[u8]) -> Result<(), Unencodable> {
    authentication(out, 11, data)
}

/// AuthenticationSASLFinal.
///
/// # Errors
/// When `data` is too long.
pub fn authentication_sasl_final(out: &mut Vec<u8>, data: &[u8]) -> Result<(), Unencodable> {
    authentication(out, 12, data)
}

fn authentication(out: &mut Vec<u8>, step: i32, data: &[u8]) -> Result<(), Unencodable> {
    message(out, Some(back::AUTHENTICATION), |body| {
        body.i32(step);
        body.bytes(data);
        Ok(())
    })
}

/// NegotiateProtocolVersion: the newest minor version spoken, and the `_pq_.` options not known.
///
/// # Errors
/// When an option holds a NUL, or there are too many.
pub fn negotiate_protocol_version(out: &mut Vec<u8>, minor: u16, unknown: &[String]) -> Result<(), Unencodable> {
    message(out, Some(back::NEGOTIATE_PROTOCOL_VERSION), |body| {
        body.i32(3 << 16 | i32::from(minor));
        body.i32(i32::try_from(unknown.len()).map_err(|_| Unencodable::TooLong)?);
        unknown.iter().try_for_each(|name| body.text(name.as_bytes()))
    })
}

/// ParameterStatus.
///
/// # Errors
/// When a text holds a NUL.
pub fn parameter_status(out: &mut Vec<u8>, name: &str, value: &str) -> Result<(), Unencodable> {
    message(out, Some(back::PARAMETER_STATUS), |body| {
        body.text(name.as_bytes())?;
        body.text(value.as_bytes())
    })
}

/// BackendKeyData; `secret` is 4 bytes for protocol 3.0, up to 256 for 3.2.
///
/// # Errors
/// When the secret is too long.
pub fn backend_key_data(out: &mut Vec<u8>, process: i32, secret: &[u8]) -> Result<(), Unencodable> {
    if !(4..=256).contains(&secret.len()) {
        return Err(Unencodable::TooLong);
    }
    message(out, Some(back::BACKEND_KEY_DATA), |body| {
        body.i32(process);
        body.bytes(secret);
        Ok(())
    })
}

/// NotificationResponse.
///
/// # Errors
/// When it is too long.
pub fn notification(out: &mut Vec<u8>, told: Notification<'_>) -> Result<(), Unencodable> {
    message(out, Some(back::NOTIFICATION_RESPONSE), |body| {
        body.i32(told.process);
        body.text(told.channel)?;
        body.text(told.payload)
    })
}

/// ReadyForQuery.
pub fn ready_for_query(out: &mut Vec<u8>, status: TransactionStatus) {
    fixed(out, back::READY_FOR_QUERY, &[status.code()]);
}

/// ParseComplete.
pub fn parse_complete(out: &mut Vec<u8>) {
    fixed(out, back::PARSE_COMPLETE, &[]);
}

/// BindComplete.
pub fn bind_complete(out: &mut Vec<u8>) {
    fixed(out, back::BIND_COMPLETE, &[]);
}

/// CloseComplete.
pub fn close_complete(out: &mut Vec<u8>) {
    fixed(out, back::CLOSE_COMPLETE, &[]);
}

/// NoData.
pub fn no_data(out: &mut Vec<u8>) {
    fixed(out, back::NO_DATA, &[]);
}

/// PortalSuspended.
pub fn portal_suspended(out: &mut Vec<u8>) {
    fixed(out, back::PORTAL_SUSPENDED, &[]);
}

/// EmptyQueryResponse.
pub fn empty_query_response(out: &mut Vec<u8>) {
    fixed(out, back::EMPTY_QUERY_RESPONSE, &[]);
}

/// CommandComplete.
///
/// # Errors
/// When the tag holds a NUL.
pub fn command_complete(out: &mut Vec<u8>, tag: &str) -> Result<(), Unencodable> {
    message(out, Some(back::COMMAND_COMPLETE), |body| body.text(tag.as_bytes()))
}

/// ParameterDescription.
///
/// # Errors
/// When there are too many.
pub fn parameter_description(out: &mut Vec<u8>, types: &[u32]) -> Result<(), Unencodable> {
    message(out, Some(back::PARAMETER_DESCRIPTION), |body| {
        body.count(types.len())?;
        types.iter().for_each(|oid| body.bytes(&oid.to_be_bytes()));
        Ok(())
    })
}

/// RowDescription.
///
/// # Errors
/// When a name holds a NUL, or there are too many columns.
pub fn row_description(out: &mut Vec<u8>, fields: &[Field<'_>]) -> Result<(), Unencodable> {
    message(out, Some(back::ROW_DESCRIPTION), |body| {
        body.count(fields.len())?;
        for field in fields {
            body.text(field.name)?;
            body.bytes(&field.table.to_be_bytes());
            body.i16(field.attribute);
            body.bytes(&field.type_oid.to_be_bytes());
            body.i16(field.type_size);
            body.i32(field.modifier);
            body.i16(match field.format {
                Format::Text => 0,
                Format::Binary => 1,
                Format::Unknown(code) => code,
            });
        }
        Ok(())
    })
}

/// DataRow; `None` is NULL.
///
/// # Errors
/// When it is too long.
pub fn data_row<V: AsRef<[u8]>>(out: &mut Vec<u8>, values: &[Option<V>]) -> Result<(), Unencodable> {
    message(out, Some(back::DATA_ROW), |body| body.values(values))
}

/// Query.
///
/// # Errors
/// When the text holds a NUL.
pub fn query(out: &mut Vec<u8>, text: &[u8]) -> Result<(), Unencodable> {
    message(out, Some(front::QUERY), |body| body.text(text))
}

/// Parse.
///
/// # Errors
/// When a text holds a NUL, or there are too many types.
pub fn parse(out: &mut Vec<u8>, statement: &[u8], text: &[u8], types: &[u32]) -> Result<(), Unencodable> {
    message(out, Some(front::PARSE), |body| {
        body.text(statement)?;
        body.text(text)?;
        body.count(types.len())?;
        types.iter().for_each(|oid| body.bytes(&oid.to_be_bytes()));
        Ok(())
    })
}

/// Bind; formats as the protocol counts them: none, one for all, or one each.
///
/// # Errors
/// When a name holds a NUL, or something is too long.
pub fn bind<V: AsRef<[u8]>>(
    out: &mut Vec<u8>,
    portal: &[u8],
    statement: &[u8],
    parameter_formats: &[i16],
    parameters: &[Option<V>],
    result_formats: &[i16],
) -> Result<(), Unencodable> {
    message(out, Some(front::BIND), |body| {
        body.text(portal)?;
        body.text(statement)?;
        body.codes(parameter_formats)?;
        body.values(parameters)?;
        body.codes(result_formats)
    })
}

/// Describe.
///
/// # Errors
/// When the name holds a NUL.
pub fn describe(out: &mut Vec<u8>, what: Named<'_>) -> Result<(), Unencodable> {
    named(out, front::DESCRIBE, what)
}

/// Close.
///
/// # Errors
/// When the name holds a NUL.
pub fn close(out: &mut Vec<u8>, what: Named<'_>) -> Result<(), Unencodable> {
    named(out, front::CLOSE, what)
}

fn named(out: &mut Vec<u8>, tag: u8, what: Named<'_>) -> Result<(), Unencodable> {
    let (kind, name) = match what {
        Named::Statement(name) => (b'S', name),
        Named::Portal(name) => (b'P', name),
    };
    message(out, Some(tag), |body| {
        body.byte(kind);
        body.text(name)
    })
}

/// Execute; `max_rows` 0: all.
///
/// # Errors
/// When the name holds a NUL.
pub fn execute(out: &mut Vec<u8>, portal: &[u8], max_rows: i32) -> Result<(), Unencodable> {
    message(out, Some(front::EXECUTE), |body| {
        body.text(portal)?;
        body.i32(max_rows);
        Ok(())
    })
}

/// Sync.
pub fn sync(out: &mut Vec<u8>) {
    fixed(out, front::SYNC, &[]);
}

/// Flush.
pub fn flush(out: &mut Vec<u8>) {
    fixed(out, front::FLUSH, &[]);
}

/// Terminate.
pub fn terminate(out: &mut Vec<u8>) {
    fixed(out, front::TERMINATE, &[]);
}

/// CopyFail.
///
/// # Errors
/// When the reason holds a NUL.
pub fn copy_fail(out: &mut Vec<u8>, reason: &str) -> Result<(), Unencodable> {
    message(out, Some(front::COPY_FAIL), |body| body.text(reason.as_bytes()))
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use pgwire::messages::{DecodeContext, PgWireBackendMessage, PgWireFrontendMessage, ProtocolVersion};

    use super::*;

    fn context() -> DecodeContext {
        let mut context = DecodeContext::new(ProtocolVersion::PROTOCOL3_0);
        context.awaiting_frontend_ssl = false;
        context.awaiting_frontend_startup = false;
        context
    }

    #[test]
    fn another_implementation_reads_our_answers() {
        let mut out = Vec::new();
        authentication_ok(&mut out);
        parameter_status(&mut out, "TimeZone", "UTC").unwrap();
        backend_key_data(&mut out, 7, b"abcd").unwrap();
        ready_for_query(&mut out, TransactionStatus::Failed);
        parse_complete(&mut out);
        bind_complete(&mut out);
        close_complete(&mut out);
        no_data(&mut out);
        portal_suspended(&mut out);
        empty_query_response(&mut out);
        command_complete(&mut out, "SELECT 1").unwrap();
        parameter_description(&mut out, &[23, 25]).unwrap();
        data_row(&mut out, &[Some("x"), None]).unwrap();
        let mut buf = BytesMut::from(&out[..]);
        let mut seen = Vec::new();
        while let Some(message) = PgWireBackendMessage::decode(&mut buf, &context()).unwrap() {
            let mut again = BytesMut::new();
            message.encode(&mut again).unwrap();
            seen.extend_from_slice(&again);
        }
        assert_eq!(seen, out);
    }

    #[test]
    fn another_implementation_reads_our_requests() {
        let mut out = Vec::new();
        query(&mut out, b"SELECT 1").unwrap();
        parse(&mut out, b"s", b"SELECT $1", &[23]).unwrap();
        bind(&mut out, b"", b"s", &[0], &[Some("7"), None], &[1]).unwrap();
        describe(&mut out, Named::Portal(b"")).unwrap();
        execute(&mut out, b"", 5).unwrap();
        close(&mut out, Named::Statement(b"s")).unwrap();
        flush(&mut out);
        sync(&mut out);
        copy_fail(&mut out, "no").unwrap();
        terminate(&mut out);
        let mut buf = BytesMut::from(&out[..]);
        let mut seen = Vec::new();
        while let Some(message) = PgWireFrontendMessage::decode(&mut buf, &context()).unwrap() {
            let mut again = BytesMut::new();
            message.encode(&mut again).unwrap();
            seen.extend_from_slice(&again);
        }
        assert_eq!(seen, out);
    }

    #[test]
    fn a_failed_message_leaves_nothing_behind() {
        let mut out = b"before".to_vec();
        assert_eq!(query(&mut out, b"SELECT '\0'"), Err(Unencodable::Nul));
        assert_eq!(parameter_description(&mut out, &vec![23; 70_000]), Err(Unencodable::TooLong));
        assert_eq!(out, b"before");
    }
}
