//! Replays the recorded messages of real peers through the layer, and compares the rows with a
//! table beside each test.
//!
//! Each exchange is played twice: with the recorded frames, and byte by byte. The rows are the
//! same.

mod capture;
mod player;

mod clients;
mod input_rounds;
mod legacy;
mod message_shapes;
mod servers;
