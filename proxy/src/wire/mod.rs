//! The wire protocols, pure: bytes and facts in, bytes and facts out. Nothing below this module touches a socket.

pub mod malformed;
pub mod mysql;
pub mod postgres;
