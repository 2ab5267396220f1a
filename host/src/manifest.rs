//! The account of one batch.
