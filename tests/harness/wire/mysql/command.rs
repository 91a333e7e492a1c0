//! Commands as payloads, as the chapter "Command Phase" has them. Nothing is checked: tests send nonsense, too.

use super::{
    packet::{put_bytes, put_lenenc},
    value::Value,
};

/// COM_QUIT.
pub const QUIT: u8 = 0x01;
/// COM_INIT_DB.
pub const INIT_DB: u8 = 0x02;
/// COM_QUERY.
pub const QUERY: u8 = 0x03;
/// COM_FIELD_LIST.
pub const FIELD_LIST: u8 = 0x04;
/// COM_STATISTICS.
pub const STATISTICS: u8 = 0x09;
/// COM_PROCESS_KILL.
pub const PROCESS_KILL: u8 = 0x0C;
/// COM_PING.
pub const PING: u8 = 0x0E;
/// COM_CHANGE_USER.
pub const CHANGE_USER: u8 = 0x11;
/// COM_STMT_PREPARE.
pub const PREPARE: u8 = 0x16;
/// COM_STMT_EXECUTE.
pub const EXECUTE: u8 = 0x17;
/// COM_STMT_SEND_LONG_DATA.
pub const LONG_DATA: u8 = 0x18;
/// COM_STMT_CLOSE.
pub const CLOSE: u8 = 0x19;
/// COM_STMT_RESET.
pub const RESET: u8 = 0x1A;
/// COM_SET_OPTION.
pub const SET_OPTION: u8 = 0x1B;
/// COM_STMT_FETCH.
pub const FETCH: u8 = 0x1C;
/// COM_RESET_CONNECTION.
pub const RESET_CONNECTION: u8 = 0x1F;

/// CURSOR_TYPE_READ_ONLY.
pub const READ_ONLY_CURSOR: u8 = 1;

/// A command with its body.
pub fn command(number: u8, body: &[u8]) -> Vec<u8> {
    [&[number], body].concat()
}

/// COM_QUERY; with query attributes negotiated, none are sent.
pub fn query(sql: &[u8], attributes: bool) -> Vec<u8> {
    let none: &[u8] = if attributes { &[0, 1] } else { &[] };
    [&[QUERY], none, sql].concat()
}

/// COM_STMT_EXECUTE.
pub fn execute(statement: u32, params: &[Value], cursor: u8, attributes: bool) -> Vec<u8> {
    // PARAMETER_COUNT_AVAILABLE is only meant where attributes were negotiated.
    let flags = if attributes { cursor | 8 } else { cursor };
    let mut body = vec![EXECUTE];
    body.extend(statement.to_le_bytes());
    body.push(flags);
    body.extend(1u32.to_le_bytes());
    if attributes {
        put_lenenc(&mut body, params.len());
    }
    if params.is_empty() {
        return body;
    }
    let mut nulls = vec![0; params.len().div_ceil(8)];
    for (at, _) in params.iter().enumerate().filter(|(_, param)| **param == Value::Null) {
        nulls[at / 8] |= 1 << (at % 8);
    }
    body.extend(nulls);
    body.push(1);
    for param in params {
        body.extend([param.kind(), 0]);
        if attributes {
            put_bytes(&mut body, b"");
        }
    }
    params.iter().for_each(|param| param.put(&mut body));
    body
}

/// COM_STMT_FETCH.
pub fn fetch(statement: u32, rows: u32) -> Vec<u8> {
    [&[FETCH][..], &statement.to_le_bytes(), &rows.to_le_bytes()].concat()
}

/// COM_STMT_SEND_LONG_DATA.
pub fn long_data(statement: u32, param: u16, data: &[u8]) -> Vec<u8> {
    [&[LONG_DATA][..], &statement.to_le_bytes(), &param.to_le_bytes(), data].concat()
}

/// COM_STMT_CLOSE or COM_STMT_RESET.
pub fn of_statement(number: u8, statement: u32) -> Vec<u8> {
    [&[number][..], &statement.to_le_bytes()].concat()
}

/// COM_PROCESS_KILL.
pub fn process_kill(connection: u32) -> Vec<u8> {
    [&[PROCESS_KILL][..], &connection.to_le_bytes()].concat()
}
