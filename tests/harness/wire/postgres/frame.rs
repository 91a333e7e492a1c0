//! Frontend messages as bytes, as chapter "Message Formats" of the Postgres manual has them. Nothing is checked:
//! tests send nonsense, too.

/// One message: tag, length, body.
pub fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![tag];
    frame.extend(u32::try_from(body.len() + 4).expect("under 4 GiB").to_be_bytes());
    frame.extend(body);
    frame
}

fn text(into: &mut Vec<u8>, value: &[u8]) {
    into.extend(value);
    into.push(0);
}

fn count(into: &mut Vec<u8>, value: usize) {
    into.extend(u16::try_from(value).expect("at most 65535").to_be_bytes());
}

/// Query.
pub fn query(sql: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, sql);
    message(b'Q', &body)
}

/// Parse.
pub fn parse(name: &str, sql: &[u8], types: &[u32]) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, name.as_bytes());
    text(&mut body, sql);
    count(&mut body, types.len());
    for oid in types {
        body.extend(oid.to_be_bytes());
    }
    message(b'P', &body)
}

/// Bind: parameters are bytes or null, with their formats; one result format for all columns.
pub fn bind(portal: &str, statement: &str, params: &[Option<Vec<u8>>], formats: &[i16], result: i16) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, portal.as_bytes());
    text(&mut body, statement.as_bytes());
    count(&mut body, formats.len());
    for format in formats {
        body.extend(format.to_be_bytes());
    }
    count(&mut body, params.len());
    for param in params {
        match param {
            None => body.extend((-1i32).to_be_bytes()),
            Some(value) => {
                body.extend(i32::try_from(value.len()).expect("under 2 GiB").to_be_bytes());
                body.extend(value);
            }
        }
    }
    count(&mut body, 1);
    body.extend(result.to_be_bytes());
    message(b'B', &body)
}

/// Describe or Close (`tag` is `D` or `C`) of a statement or portal (`kind` is `S` or `P`).
pub fn name(tag: u8, kind: u8, name: &str) -> Vec<u8> {
    let mut body = vec![kind];
    text(&mut body, name.as_bytes());
    message(tag, &body)
}

/// Execute; 0 rows means all.
pub fn execute(portal: &str, rows: u32) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, portal.as_bytes());
    body.extend(rows.to_be_bytes());
    message(b'E', &body)
}

/// Sync.
pub fn sync() -> Vec<u8> {
    message(b'S', &[])
}

/// Flush.
pub fn flush() -> Vec<u8> {
    message(b'H', &[])
}

/// Terminate.
pub fn terminate() -> Vec<u8> {
    message(b'X', &[])
}

/// CopyData.
pub fn copy_data(data: &[u8]) -> Vec<u8> {
    message(b'd', data)
}

/// CopyDone.
pub fn copy_done() -> Vec<u8> {
    message(b'c', &[])
}

/// CopyFail.
pub fn copy_fail(reason: &str) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, reason.as_bytes());
    message(b'f', &body)
}

/// FunctionCall with text arguments.
pub fn function_call(oid: u32, arguments: &[Option<Vec<u8>>], result: i16) -> Vec<u8> {
    let mut body = oid.to_be_bytes().to_vec();
    count(&mut body, 1);
    count(&mut body, 0);
    count(&mut body, arguments.len());
    for argument in arguments {
        match argument {
            None => body.extend((-1i32).to_be_bytes()),
            Some(value) => {
                body.extend(i32::try_from(value.len()).expect("under 2 GiB").to_be_bytes());
                body.extend(value);
            }
        }
    }
    body.extend(result.to_be_bytes());
    message(b'F', &body)
}

/// StartupMessage: protocol version and parameters.
pub fn startup(version: u32, params: &[(String, String)]) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    for (key, value) in params {
        text(&mut body, key.as_bytes());
        text(&mut body, value.as_bytes());
    }
    body.push(0);
    untagged(&body)
}

/// SSLRequest.
pub fn ssl_request() -> Vec<u8> {
    untagged(&80_877_103u32.to_be_bytes())
}

/// GSSENCRequest.
pub fn gss_request() -> Vec<u8> {
    untagged(&80_877_104u32.to_be_bytes())
}

/// CancelRequest with a BackendKeyData body (process id, then the key).
pub fn cancel_request(key_data: &[u8]) -> Vec<u8> {
    let mut body = 80_877_102u32.to_be_bytes().to_vec();
    body.extend(key_data);
    untagged(&body)
}

fn untagged(body: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(body.len() + 4).expect("under 4 GiB").to_be_bytes().to_vec();
    frame.extend(body);
    frame
}
