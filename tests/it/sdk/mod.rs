//! Real clients talk to real servers over loopback sockets, and what the file
//! holds afterwards is compared with what the clients did and were told.

/// A test for each combination of what a check takes.
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
mod sizes;
