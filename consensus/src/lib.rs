//! Who owns what, agreed: records, the machine, the ledger, batches, the validator.

pub mod batch;
pub mod record;
pub mod validator;
