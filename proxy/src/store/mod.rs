//! What hallpass remembers: users, requests, grants. SQLite now; a trait's worth of distance from everything else, so
//! that a shared database can serve several proxies later.

pub mod watch;
