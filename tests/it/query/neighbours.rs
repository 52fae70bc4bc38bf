use crate::query::data::Data;

#[test]
fn neighbours_are_the_nearest_requests_of_the_session_in_order_of_time() {
    for version in [4, 5] {
        let data = Data::of_version(version);
        for of in data.rows.iter().step_by(97) {
            let mut session: Vec<_> = data
                .rows
                .iter()
                .filter(|row| row.session_id == of.session_id)
                .map(|row| row.position())
                .collect();
            if of.session_id.is_none() {
                session = vec![of.position()];
            }
            session.sort();
            let at = session
                .iter()
                .position(|one| *one == of.position())
                .unwrap();
            let last = (at + 4).min(session.len());
            let expected = &session[at.saturating_sub(3)..last];
            let found = data.reader.neighbours(of, 3).unwrap();
            let found: Vec<_> = found.iter().map(|row| row.position()).collect();
            assert_eq!(found, expected, "version {version}, row {}", of.id);
        }
    }
}
