//! Sockets, TLS and compression. Knows no database protocol beyond the ALPN name that both sides must agree on and the
//! shape of MySQL's compressed packets.

pub mod certificate;
pub mod compressed;
pub mod stream;
pub mod tls;
