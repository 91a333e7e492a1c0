//! Sockets and TLS. Knows no database protocol beyond the ALPN name that both sides must agree on.

pub mod certificate;
pub mod stream;
pub mod tls;
