//! The program `hallpass`.

fn main() {}
