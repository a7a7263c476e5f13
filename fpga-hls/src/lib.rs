//! What matching means, once, and how it executes.
