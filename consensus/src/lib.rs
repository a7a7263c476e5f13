//! Who owns what, agreed: records, the machine, the ledger, batches, proofs, the validator.

pub mod batch;
pub mod execute;
pub mod ledger;
pub mod machine;
pub mod proof;
pub mod record;
pub mod sim;
pub mod validator;
pub mod vault;
