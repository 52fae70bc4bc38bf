//! Tests against PostgreSQL and PgBouncer, which they start themselves: see `support`.

#![cfg(unix)]

mod both;
mod clocks;
mod crash;
mod disk;
mod diverged;
mod fleet;
mod follow;
mod kill;
mod operations;
mod plans;
mod pull;
mod read;
mod read_operations;
mod read_people;
mod ship;
mod support;
mod tls;
