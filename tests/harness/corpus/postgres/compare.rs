//! Compares what a client received through the proxy with what it receives directly: first what the corpus asks for
//! (columns, rows, tags, COPY data, error codes), then every byte. What differs from run to run is named here, once.

use super::super::Difference;
use crate::wire::postgres::answer::{Fields, Message, columns, fields};

/// Compares connection by connection. `reloaded`: the schema was loaded anew in between, so table OIDs differ.
pub fn compare(direct: &[(String, Vec<u8>)], through: &[(String, Vec<u8>)], reloaded: bool) -> Option<Difference> {
    if direct.len() != through.len() {
        return Some(Difference::Length(format!("{} connections, not {}", through.len(), direct.len())));
    }
    direct.iter().zip(through).find_map(|((name, direct), (_, through))| {
        let (direct, through) = (messages(direct), messages(through));
        compare_messages(&direct, &through, reloaded).map(|difference| match difference {
            Difference::Length(text) => Difference::Length(format!("connection {name}: {text}")),
            other => other,
        })
    })
}

fn compare_messages(direct: &[Message], through: &[Message], reloaded: bool) -> Option<Difference> {
    let shape = |messages: &[Message]| messages.iter().map(|message| char::from(message.tag)).collect::<String>();
    let codes = |messages: &[Message]| {
        let errors = messages.iter().filter(|message| message.tag == b'E').map(|message| fields(&message.body));
        errors.map(|error| format!("{} {}", error.code(), error.message())).collect::<Vec<_>>()
    };
    if shape(direct) != shape(through) {
        let errors = codes(through);
        return Some(Difference::Length(format!("{} instead of {} {errors:?}", shape(through), shape(direct))));
    }
    let mut bytes = None;
    for (direct, through) in direct.iter().zip(through).filter(|(direct, through)| direct != through) {
        if meaning(direct) != meaning(through) {
            return Some(Difference::Meaning(format!("{:?} instead of {:?}", meaning(through), meaning(direct))));
        }
        if direct.tag == b'T' && reloaded {
            continue;
        }
        bytes = bytes.or_else(|| Some(Difference::Bytes(format!("{through:?} instead of {direct:?}"))));
    }
    bytes
}

/// What the corpus compares of a message.
fn meaning(message: &Message) -> String {
    match message.tag {
        b'T' => {
            let of = |body: &[u8]| {
                columns(body)
                    .into_iter()
                    .map(|column| (column.name, column.type_oid, column.format))
                    .collect::<Vec<_>>()
            };
            format!("columns {:?}", of(&message.body))
        }
        b'E' => {
            let Fields(fields) = fields(&message.body);
            format!("error {:?}", fields.get(&'C'))
        }
        b'N' => "notice".to_owned(),
        tag => format!("{} {}", char::from(tag), String::from_utf8_lossy(&message.body)),
    }
}

fn messages(stream: &[u8]) -> Vec<Message> {
    let mut messages = Vec::new();
    let mut rest = stream;
    while let Some(length) = rest.get(1..5) {
        let length = u32::from_be_bytes(length.try_into().expect("four bytes")) as usize;
        let Some(body) = rest.get(5..=length) else { break };
        messages.push(Message { tag: rest[0], body: body.to_vec() });
        rest = &rest[length + 1..];
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::postgres::frame::message;

    fn stream(messages: &[(u8, &[u8])]) -> Vec<(String, Vec<u8>)> {
        vec![("a".to_owned(), messages.iter().flat_map(|(tag, body)| message(*tag, body)).collect())]
    }

    #[test]
    fn equal_streams_do_not_differ() {
        let one = stream(&[(b'C', b"SELECT 1\0"), (b'Z', b"I")]);
        assert_eq!(compare(&one, &one, false), None);
    }

    #[test]
    fn another_tag_is_another_meaning() {
        let one = stream(&[(b'C', b"SELECT 1\0")]);
        let two = stream(&[(b'C', b"SELECT 2\0")]);
        assert!(matches!(compare(&one, &two, false), Some(Difference::Meaning(_))));
    }

    #[test]
    fn other_words_under_the_same_code_are_other_bytes() {
        let one = stream(&[(b'E', b"C42601\0Msyntax error\0\0")]);
        let two = stream(&[(b'E', b"C42601\0Mno\0\0")]);
        assert!(matches!(compare(&one, &two, false), Some(Difference::Bytes(_))));
    }

    #[test]
    fn a_missing_message_is_seen() {
        let one = stream(&[(b'C', b"SELECT 1\0"), (b'Z', b"I")]);
        let two = stream(&[(b'Z', b"I")]);
        assert!(matches!(compare(&one, &two, false), Some(Difference::Length(_))));
    }
}
