//! Names for the requests of all files.

use tower_mcp_store::query::Lookup;

use super::FleetRequest;

/// The fewest characters of the id of a file, so that its name stays the same when a few more
/// files come.
const SHORTEST: usize = 4;

/// Names requests as `STORE:N`: the shortest beginning of the id of its file that no other file
/// has, but at least four characters, and the number of its row.
#[derive(Debug, Clone)]
pub struct Handles {
    /// In order.
    store_ids: Vec<String>,
}

impl Handles {
    pub(super) fn new(mut store_ids: Vec<String>) -> Self {
        store_ids.sort_unstable();
        store_ids.dedup();
        Self { store_ids }
    }

    /// Returns the name of a request.
    pub fn of(&self, request: &FleetRequest) -> String {
        format!("{}:{}", self.store(&request.store_id), request.request.id)
    }

    /// Returns the shortest unique beginning of the id of a file.
    pub fn store<'s>(&self, store_id: &'s str) -> &'s str {
        let others = self.store_ids.iter().filter(|other| *other != store_id);
        let shared = others.map(|other| {
            let pairs = other.bytes().zip(store_id.bytes());
            pairs.take_while(|(a, b)| a == b).count()
        });
        let length = shared.max().map_or(0, |shared| shared + 1).max(SHORTEST);
        store_id.get(..length).unwrap_or(store_id)
    }

    /// Returns the id of the file that begins like this.
    pub fn find_store(&self, beginning: &str) -> Lookup<String> {
        let beginning = beginning.to_ascii_lowercase();
        let ids = self.store_ids.iter();
        let mut found: Vec<String> = ids
            .filter(|id| !beginning.is_empty() && id.starts_with(&beginning))
            .cloned()
            .collect();
        match found.len() {
            0 | 1 => found.pop().map_or(Lookup::Nothing, Lookup::One),
            _ => Lookup::Several(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: [&str; 3] = [
        "019ac5f0-0000-7000-8000-000000000001",
        "019ac5f0-0000-7000-8000-000000000002",
        "02aaaaaa-0000-7000-8000-000000000003",
    ];

    fn handles(ids: &[&str]) -> Handles {
        Handles::new(ids.iter().map(|id| (*id).to_owned()).collect())
    }

    #[test]
    fn store_has_the_shortest_name_that_no_other_store_has() {
        let all = handles(&IDS);
        assert_eq!(all.store(IDS[0]), IDS[0]);
        assert_eq!(all.store(IDS[2]), "02aa");
        assert_eq!(handles(&IDS[..1]).store(IDS[0]), "019a");
    }

    #[test]
    fn store_is_found_by_its_name_only_if_no_other_has_it() {
        let all = handles(&IDS);
        assert_eq!(all.find_store("02AA"), Lookup::One(IDS[2].to_owned()));
        let both = IDS[..2].iter().map(|id| (*id).to_owned()).collect();
        assert_eq!(all.find_store("019a"), Lookup::Several(both));
        assert_eq!(all.find_store("03"), Lookup::Nothing);
        assert_eq!(all.find_store(""), Lookup::Nothing);
    }
}
