//! Compares what a client received through the proxy with what it receives directly: packet by packet, every byte. What
//! differs from run to run is named here, once.

use super::super::Difference;
use crate::wire::mysql::Fault;

/// A packet: number and payload.
type Packet<'a> = (u8, &'a [u8]);

/// Compares connection by connection.
pub fn compare(direct: &[(String, Vec<u8>)], through: &[(String, Vec<u8>)]) -> Option<Difference> {
    if direct.len() != through.len() {
        return Some(Difference::Length(format!("{} connections, not {}", through.len(), direct.len())));
    }
    direct.iter().zip(through).find_map(|((name, direct), (_, through))| {
        let (direct, through) = (packets(direct), packets(through));
        let first =
            direct.iter().zip(&through).find(|(direct, through)| handles_aside(direct) != handles_aside(through));
        match first {
            Some((direct, through)) => Some(differ(direct, through)),
            None if direct.len() != through.len() => {
                let text = format!("connection {name}: {} packets, not {}", through.len(), direct.len());
                Some(Difference::Length(text))
            }
            None => None,
        }
    })
}

/// A prepared statement's id is a handle that the server counts up for all that its session prepares; whoever else prepared
/// something there before shows in it, and nothing else does.
fn handles_aside(packet: &Packet<'_>) -> (u8, Vec<u8>) {
    let (number, payload) = *packet;
    let mut payload = payload.to_vec();
    // COM_STMT_PREPARE_OK: 0, id, columns, parameters, 0, warnings.
    if number == 1 && payload.len() == 12 && payload[0] == 0 && payload[9] == 0 {
        payload[1..5].fill(0);
    }
    (number, payload)
}

fn differ(direct: &Packet<'_>, through: &Packet<'_>) -> Difference {
    let text = format!("{} instead of {}", show(through), show(direct));
    let error = |packet: &Packet<'_>| packet.1.first() == Some(&0xFF);
    match (error(direct), error(through)) {
        (true, true) if Fault::read(direct.1).code == Fault::read(through.1).code => Difference::Bytes(text),
        (false, false) if direct.1 == through.1 => Difference::Bytes(text),
        _ => Difference::Meaning(text),
    }
}

fn show((number, payload): &Packet<'_>) -> String {
    if payload.first() == Some(&0xFF) {
        return format!("packet {number}: {:?}", Fault::read(payload));
    }
    let shown = &payload[..payload.len().min(80)];
    format!("packet {number}: {:?} {shown:02x?}", String::from_utf8_lossy(shown))
}

fn packets(mut stream: &[u8]) -> Vec<Packet<'_>> {
    let mut packets = Vec::new();
    while let Some(header) = stream.get(..4) {
        let length = u32::from_le_bytes([header[0], header[1], header[2], 0]) as usize;
        let Some(payload) = stream.get(4..4 + length) else { break };
        packets.push((header[3], payload));
        stream = &stream[4 + length..];
    }
    packets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::mysql::packet::packet;

    fn stream(packets: &[Packet<'_>]) -> Vec<(String, Vec<u8>)> {
        vec![("a".to_owned(), packets.iter().flat_map(|(number, payload)| packet(*number, payload)).collect())]
    }

    #[test]
    fn equal_streams_do_not_differ_and_missing_packets_are_seen() {
        let one = stream(&[(1, b"\x01"), (2, b"x")]);
        assert_eq!(compare(&one, &one), None);
        assert!(matches!(compare(&one, &stream(&[(1, b"\x01")])), Some(Difference::Length(_))));
    }

    #[test]
    fn other_words_under_the_same_number_are_other_bytes_only() {
        let one = stream(&[(1, b"\xff\x28\x04#42000syntax")]);
        assert!(matches!(compare(&one, &stream(&[(1, b"\xff\x28\x04#42000no")])), Some(Difference::Bytes(_))));
        assert!(matches!(compare(&one, &stream(&[(1, b"\xff\x29\x04#42000no")])), Some(Difference::Meaning(_))));
        assert!(matches!(compare(&one, &stream(&[(1, b"\0\0\0\x02\0\0\0")])), Some(Difference::Meaning(_))));
    }
}
