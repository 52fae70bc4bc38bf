//! Tests against PostgreSQL and PgBouncer, which they start themselves: see `support`.

#![cfg(unix)]

mod fleet;
mod support;
