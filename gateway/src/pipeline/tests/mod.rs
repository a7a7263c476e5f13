//! The stages together: what leaves when, what stops the venue, and who is served.

mod acks;
mod apart;
mod costs;
mod devices;
mod fairness;
mod rig;
mod same;
