//! Real clients talk to real servers over loopback sockets. The tests compare the file with what
//! the clients did and received.

/// Defines a test for each combination of arguments of a check.
macro_rules! cases {
    ($check:ident: $($name:ident($($argument:expr),*);)*) => {$(
        #[tokio::test]
        async fn $name() {
            $check($($argument),*).await;
        }
    )*};
}

mod account;
mod client;
mod server;
mod step;

mod calls;
mod endings;
mod input;
mod operations;
mod sizes;
