//! What each tenant runs: tenants, plugins, contracts, and which of them were in force when.
