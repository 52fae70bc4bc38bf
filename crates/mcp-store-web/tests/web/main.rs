//! The pages over sockets, as a browser or an attacker reaches them.

mod answers;
mod guard;
mod live;
mod pages;
mod support;
