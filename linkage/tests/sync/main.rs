//! Group synchronisation: each rule by itself, whole weeks, and what always holds.

mod days;
mod groups;
mod names;
mod properties;
mod roles;
mod world;
