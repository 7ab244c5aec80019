//! Webhooks: what is sent, to whom, and what a receiver's answer does. The receiver is a real server on loopback.

mod ends;
mod events;
mod flat;
mod forbidden;
mod lab;
mod owners;
mod removal;
mod sending;
