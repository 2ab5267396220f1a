//! The whole way from answers to versions, against the model and against hand-written cases.

mod answers;
mod history;
mod support;
