//! The Delta tables of one tenant. Only this module names deltalake.
