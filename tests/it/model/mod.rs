//! Random exchanges, cut into random frames, make the rows that a plain reading of both whole
//! bodies with serde_json predicts.
//!
//! `exchange` generates the messages of client and server, `text` writes JSON in many equal forms,
//! and `prediction` reads it back.

mod exchange;
mod prediction;
mod text;

use std::pin::{Pin, pin};
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};

use exchange::Exchange;
use http::{Request, Response};
use http_body::Body;
use proptest::prelude::*;
use proptest::sample::Index;
use tower::{Layer, Service};
use tower_mcp_store::StoreLayer;
use uuid::Uuid;

use crate::recording::{Recording, Row, Script, answering};

fn recording() -> &'static Recording {
    static RECORDING: OnceLock<Recording> = OnceLock::new();
    RECORDING.get_or_init(Recording::start)
}

/// Returns `bytes` cut at these places.
fn cut(bytes: &[u8], at: &[Index]) -> Script {
    let mut at: Vec<_> = at.iter().map(|at| at.index(bytes.len() + 1)).collect();
    at.sort_unstable();
    let ends = at.iter().copied().chain([bytes.len()]);
    let mut start = 0;
    Script::chunks(ends.map(|end| &bytes[std::mem::replace(&mut start, end)..end]))
}

/// Sends a request through the layer and reads the answer to its end.
fn send(layer: &StoreLayer, request: Request<Script>, answer: Response<Script>) {
    let mut context = Context::from_waker(Waker::noop());
    let mut service = layer.layer(answering(answer));
    let Poll::Ready(Ok(response)) = pin!(service.call(request)).poll(&mut context) else {
        panic!("an answer at once");
    };
    let mut body = response.into_body();
    while let Poll::Ready(Some(_)) = Pin::new(&mut body).poll_frame(&mut context) {}
}

/// Returns the rows of an exchange.
fn rows(exchange: &Exchange, cuts: &[Vec<Index>; 2]) -> Vec<Row> {
    let proxy = Uuid::now_v7().to_string();
    let layer = recording().layer().server_name(&*proxy);
    let request = exchange.request_head();
    let request = request.body(cut(&exchange.request_body(), &cuts[0]));
    let response = exchange.response_head();
    let response = response.body(cut(&exchange.response_body(), &cuts[1]));
    send(&layer, request.unwrap(), response.unwrap());
    // The end of the session ends the wait for answers on another stream.
    let delete = Request::delete("/mcp").header("mcp-session-id", exchange::SESSION);
    let deleted = Response::builder().status(204);
    send(
        &layer,
        delete.body(Script::default()).unwrap(),
        deleted.body(Script::default()).unwrap(),
    );
    let mut rows = recording().rows();
    rows.retain(|row| row.proxy == proxy);
    rows
}

fn cuts() -> impl Strategy<Value = [Vec<Index>; 2]> {
    let places = || prop::collection::vec(any::<Index>(), 0..12);
    [places(), places()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn rows_equal_the_prediction_from_the_whole_bodies(
        exchange in exchange::exchange(),
        cuts in cuts(),
    ) {
        let predicted = prediction::rows(&exchange);
        let mut actual: Vec<_> = rows(&exchange, &cuts).iter().map(prediction::facts).collect();
        actual.sort();
        prop_assert_eq!(
            predicted, actual,
            "\n{}\n\n{}",
            String::from_utf8_lossy(&exchange.request_body()),
            String::from_utf8_lossy(&exchange.response_body()),
        );
    }
}
