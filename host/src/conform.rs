//! From a plugin's rows to rows of Silver: contract, PII, key, hash and the decision what is a duplicate. Pure: no input or output, no clock.
