//! What is typed as a duration or a time is looked at before anybody is asked: a typing error is wrong usage. The text
//! goes to the proxy as it was typed; what it means is decided there.

use hallpass_policy::ids::Timestamp;

use crate::{api::input, config::units};

/// A duration: `30m`, `1 hour`.
pub(super) fn duration(text: &str) -> Result<String, String> {
    let write = "write a number and a unit: 30m, 1h, 1h30m";
    units::duration(text).map(|_| text.to_owned()).map_err(|fault| format!("{fault}; {write}"))
}

/// A date, a time, or a duration.
pub(super) fn moment(text: &str) -> Result<String, String> {
    // Whether it is one does not depend on what time it is.
    let found = input::moment(text, Timestamp(0));
    found
        .map(|_| text.to_owned())
        .map_err(|problem| format!("{}; {}", problem.detail, problem.hint.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_time_is_named() {
        assert_eq!(duration("90 min"), Ok("90 min".to_owned()));
        assert_eq!(
            duration("1x").unwrap_err(),
            "`1x` has the unknown unit `x`; write a number and a unit: 30m, 1h, 1h30m"
        );
        assert_eq!(moment("2027-01-31"), Ok("2027-01-31".to_owned()));
        assert!(moment("tomorrow").unwrap_err().starts_with("`tomorrow` is no date; write 2027-01-31"));
    }
}
