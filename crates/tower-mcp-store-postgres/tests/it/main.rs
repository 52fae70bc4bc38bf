//! Tests against PostgreSQL and PgBouncer, which they start themselves: see `support`.

#![cfg(unix)]

mod crash;
mod diverged;
mod fleet;
mod ship;
mod support;
