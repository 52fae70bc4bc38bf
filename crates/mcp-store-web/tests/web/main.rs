//! The pages as a browser or a stranger sees them: over sockets.

mod guard;
mod live;
mod pages;
mod support;
