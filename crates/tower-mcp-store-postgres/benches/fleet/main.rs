//! Measures shippers, and the answers of the database of a fleet, with a PostgreSQL of its own.
//!
//! `cargo bench -p tower-mcp-store-postgres --bench fleet` runs all measurements at small size.
//! A name runs one of them, with its settings:
//!
//! | name | settings | measures |
//! |---|---|---|
//! | `backlog` | `rows=1000000 rounds=3` | rows shipped per second, and what a row costs |
//! | `lag` | `rate=2000 seconds=30` | how long after its time a request is in the database |
//! | `beside` | `rows=500000 rounds=7` | what the writer loses beside a shipper |
//! | `memory` | `rows=1000000 ship=PROGRAM` | the memory of a shipper in a process of its own: of `PROGRAM ship`, or of this program |
//! | `pull` | `rows=300000` | rows pulled to one file per second, and what a row costs |
//! | `questions` | `rows=1000000 stores=10 only=WORDS` | the time of each answer, beside the same question to one file |
//!
//! `memory` and `questions` make their files once, and keep them in the target directory:
//! for `rows=10000000` some 15 GB.

#[path = "../../../../benches/query/data.rs"]
mod data;
#[path = "../../../../benches/writer/events.rs"]
mod events;
#[path = "../../../../benches/writer/load.rs"]
mod load;
mod memory;
mod process;
#[path = "../../tests/it/support/programs.rs"]
mod programs;
mod pulling;
mod questions;
mod replica;
mod server;
mod settings;
mod shipping;

use std::path::Path;

use settings::Settings;

/// Measures with files in this folder.
type Measurement = fn(&Path, &Settings);

fn main() {
    let settings = Settings::of_process();
    // The files of the generators are named from there.
    let workspace = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    std::env::set_current_dir(workspace).expect("the workspace");
    let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let measurements: [(&str, Measurement); 6] = [
        ("backlog", shipping::backlog),
        ("lag", shipping::lag),
        ("beside", shipping::beside),
        ("memory", memory::measure),
        ("pull", pulling::measure),
        ("questions", questions::measure),
    ];
    match settings.name() {
        Some("ship-once" | "ship-always") => memory::ship(&settings),
        name => {
            let chosen = measurements
                .iter()
                .filter(|(one, _)| name.is_none_or(|name| name == *one));
            chosen.for_each(|(_, measure)| measure(place, &settings));
        }
    }
}
