//! Requests as the store keeps them: the policy's own types. What may become of one is said there, who may decide it by
//! the ledger; nothing is added here.

pub use hallpass_policy::request::{
    Approved, Closed, Extending, Granting, NewRequest, Objection, Pending, Request, RequestState, Settled, Subject,
    Terms, Way,
};
