//! What real peers said to each other, played through the layer once more, with
//! the rows that it must make written beside it.
//!
//! Each exchange is played twice: with the frames that were recorded and byte
//! by byte. The rows are the same.

mod capture;
mod stage;

mod clients;
mod legacy;
mod rounds;
mod servers;
mod shapes;
