use std::collections::VecDeque;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::buffer::{CHUNK, MAX_FREE_CHUNKS, RESERVED_EVENTS};
use super::sleep::{IDLE_POLLS, Sleep};
use super::*;
use crate::event::StoreEvent;
use crate::event::{RequestEvent, RequestStatus, SessionEvent};

const LONG: Duration = Duration::from_secs(30);
const NONE: Duration = Duration::ZERO;

fn queue(events: usize, bytes: usize) -> Queue {
    Queue::new(Limits { events, bytes })
}

fn request() -> StoreEvent {
    StoreEvent::Request(RequestEvent::new("ping", RequestStatus::Ok))
}

fn session() -> StoreEvent {
    StoreEvent::Session(SessionEvent::new("s"))
}

#[track_caller]
fn assert_balanced(queue: &Queue) {
    let stats = queue.stats();
    assert_eq!(
        stats.submitted,
        stats.written + stats.failed + stats.dropped + stats.queued,
        "{stats}"
    );
}

fn take(queue: &Queue) -> Vec<Chunk> {
    events(queue.next(&mut Deadline::after(NONE), NONE)).into()
}

#[track_caller]
fn events(work: Option<Work>) -> VecDeque<Chunk> {
    match work {
        Some(Work::Events { chunks, .. }) => chunks,
        other => panic!("events are expected, not {other:?}"),
    }
}

#[test]
fn queue_has_room_for_two_hundred_thousand_typical_events() {
    let StoreEvent::Request(mut event) = request() else {
        unreachable!()
    };
    event.session_id = Some("00000000-0000-0000-0000-000000000000".into());
    event.tool = Some("a_tool_with_a_name".into());
    event.protocol_version = Some("2025-11-25".into());
    assert!(StoreEvent::Request(event).size() * 200_000 <= 88 << 20);
}

#[test]
fn full_queue_drops_the_new_event_and_keeps_the_old_ones() {
    let queue = queue(2, usize::MAX);
    for _ in 0..5 {
        queue.push(request());
        assert_balanced(&queue);
    }
    let stats = queue.stats();
    assert_eq!((stats.queued, stats.dropped), (2, 3));
    assert_eq!(queue.take_refused().queue_full.unwrap().dropped, 3);
    assert!(queue.take_refused().queue_full.is_none(), "told once");
}

#[test]
fn bound_in_bytes_counts_events_until_they_are_written() {
    let one = request().size();
    let queue = queue(usize::MAX, 2 * one);
    for _ in 0..3 {
        queue.push(request());
    }
    assert_eq!(queue.stats().queued, 2);
    let chunks = take(&queue);
    queue.push(request());
    assert_eq!(queue.stats().dropped, 2, "the writer still holds both");
    queue.settle(chunks, 0, 0);
    queue.push(request());
    let stats = queue.stats();
    assert_eq!((stats.queued, stats.written, stats.dropped), (1, 2, 2));
}

#[test]
fn sessions_and_listings_have_room_that_requests_cannot_take() {
    let queue = queue(1, request().size());
    queue.push(request());
    queue.push(request());
    queue.push(session());
    let stats = queue.stats();
    assert_eq!((stats.queued, stats.dropped), (2, 1));
    for _ in 0..RESERVED_EVENTS {
        queue.push(session());
    }
    let stats = queue.stats();
    assert_eq!(
        (stats.queued, stats.dropped),
        (1 + RESERVED_EVENTS as u64, 2)
    );
}

#[test]
fn events_leave_in_the_order_in_which_they_entered() {
    let queue = queue(usize::MAX, usize::MAX);
    let count = 3 * CHUNK as i64 + 1;
    for ts in 0..count {
        let mut event = RequestEvent::new("ping", RequestStatus::Ok);
        event.ts = ts;
        queue.push(StoreEvent::Request(event));
    }
    let chunks = take(&queue);
    let order: Vec<i64> = chunks
        .iter()
        .flat_map(|chunk| &chunk.events)
        .map(|event| match event {
            Entry::Event(StoreEvent::Request(event)) => event.ts,
            _ => unreachable!(),
        })
        .collect();
    assert_eq!(order, Vec::from_iter(0..count));
}

#[test]
fn memory_of_written_events_is_reused_and_bounded() {
    let queue = queue(usize::MAX, usize::MAX);
    for _ in 0..2 * MAX_FREE_CHUNKS * CHUNK {
        queue.push(request());
    }
    queue.settle(take(&queue), 0, 0);
    assert_eq!(queue.lock().buffer.free_chunks(), MAX_FREE_CHUNKS);
    queue.push(request());
    assert_eq!(queue.lock().buffer.free_chunks(), MAX_FREE_CHUNKS - 1);
    assert_eq!(queue.lock().buffer.bytes(), request().size());
}

#[test]
fn events_wait_for_the_interval_unless_a_caller_waits() {
    let in_a_hurry: [fn(&Queue); 3] = [
        |queue| drop(queue.flush(NONE)),
        |queue| queue.close(Deadline::after(LONG)),
        |queue| {
            queue.push(request());
            queue.push(request());
        },
    ];
    for hurry in in_a_hurry {
        let queue = Arc::new(queue(4, usize::MAX));
        queue.push(request());
        let writer = thread::spawn({
            let queue = Arc::clone(&queue);
            move || events(queue.next(&mut Deadline::after(LONG), LONG)).len()
        });
        while queue.lock().sleeper.sleep() != Sleep::Lingering {
            thread::yield_now();
        }
        assert_eq!(queue.stats().queued, 1);
        hurry(&queue);
        assert_eq!(writer.join().unwrap(), 1);
    }
}

#[test]
fn event_wakes_an_idle_writer_thread() {
    let queue = Arc::new(queue(4, usize::MAX));
    let writer = thread::spawn({
        let queue = Arc::clone(&queue);
        move || queue.next(&mut Deadline::after(NONE), NONE).is_some()
    });
    while queue.lock().sleeper.sleep() != Sleep::Idle {
        thread::yield_now();
    }
    queue.push(request());
    assert!(writer.join().unwrap());
}

#[test]
fn event_soon_after_others_does_not_wake_the_writer_thread() {
    let queue = Arc::new(queue(4, usize::MAX));
    queue.push(request());
    queue.settle(take(&queue), 0, 0);
    let writer = thread::spawn({
        let queue = Arc::clone(&queue);
        move || events(queue.next(&mut Deadline::after(LONG), LONG)).len()
    });
    while queue.lock().sleeper.sleep() != Sleep::Lingering {
        thread::yield_now();
    }
    queue.push(request());
    assert_eq!(queue.lock().sleeper.sleep(), Sleep::Lingering);
    drop(queue.flush(NONE));
    assert_eq!(writer.join().unwrap(), 1);
}

#[test]
fn writer_thread_sleeps_after_enough_polls_without_an_event() {
    let queue = Arc::new(queue(4, usize::MAX));
    queue.push(request());
    queue.settle(take(&queue), 0, 0);
    assert_eq!(queue.lock().sleeper.polls_left(), IDLE_POLLS);
    let writer = thread::spawn({
        let queue = Arc::clone(&queue);
        let interval = Duration::from_micros(10);
        move || queue.next(&mut Deadline::after(NONE), interval).is_none()
    });
    while queue.lock().sleeper.sleep() != Sleep::Idle {
        thread::yield_now();
    }
    assert_eq!(queue.lock().sleeper.polls_left(), 0);
    queue.close(Deadline::after(LONG));
    assert!(writer.join().unwrap());
}

#[test]
fn flush_waits_for_earlier_events_only() {
    let queue = queue(8, usize::MAX);
    queue.push(request());
    let first = take(&queue);
    assert_eq!(queue.flush(NONE).unwrap_err().queued, 1);
    thread::scope(|scope| {
        let flush = scope.spawn(|| queue.flush(LONG));
        while !queue.lock().progress.is_awaited() {
            thread::yield_now();
        }
        queue.push(request());
        queue.settle(first, 1, 0);
        flush.join().unwrap().unwrap();
    });
    assert_eq!(queue.stats().queued, 1);
    assert_eq!(queue.stats().failed, 1);
}

#[test]
fn closed_queue_drops_and_counts_and_its_writer_thread_ends_when_it_is_empty() {
    let queue = queue(8, usize::MAX);
    queue.push(request());
    queue.close(Deadline::after(LONG));
    queue.push(request());
    assert_balanced(&queue);
    queue.settle(take(&queue), 0, 0);
    assert!(queue.next(&mut Deadline::after(NONE), NONE).is_none());
    let refused = queue.give_up();
    assert_eq!(refused.shutdown.unwrap().dropped, 1);
    queue.end();
    let stats = queue.await_end(Deadline::after(NONE)).unwrap();
    assert_eq!((stats.written, stats.dropped, stats.queued), (1, 1, 0));
    assert_balanced(&queue);
}

#[test]
fn events_that_are_given_up_are_dropped_and_reported_every_time() {
    let queue = queue(8, usize::MAX);
    for _ in 0..3 {
        queue.push(request());
    }
    let reason = "the disk is full".to_owned();
    queue.set_condition(StoreState::Failing { reason });
    queue.close(Deadline::after(NONE));
    assert!(queue.is_overdue());
    assert!(matches!(queue.pause(Deadline::after(LONG)), Pause::End));
    assert_eq!(queue.give_up().shutdown.unwrap().dropped, 3);
    queue.end();
    for _ in 0..2 {
        let error = queue.await_end(Deadline::after(NONE)).unwrap_err();
        assert_eq!((error.lost, error.stats.dropped), (3, 3));
        assert!(error.to_string().contains("the disk is full"), "{error}");
    }
    queue.flush(NONE).unwrap();
    assert_balanced(&queue);
}

#[test]
fn pause_ends_when_a_caller_waits_for_the_end() {
    let queue = queue(8, usize::MAX);
    queue.push(request());
    assert!(matches!(queue.pause(Deadline::after(NONE)), Pause::Over));
    thread::scope(|scope| {
        let writer = scope.spawn(|| queue.pause(Deadline::after(LONG)));
        queue.close(Deadline::after(LONG));
        let pause = writer.join().unwrap();
        assert!(matches!(pause, Pause::Over), "one attempt more");
    });
    drop(take(&queue));
    queue.give_up();
    let pause = queue.pause(Deadline::after(LONG));
    assert!(matches!(pause, Pause::End), "nothing is left to write");
}

#[test]
fn alarm_wakes_an_idle_writer_thread_at_the_earliest_moment() {
    let queue = Arc::new(queue(4, usize::MAX));
    let writer = thread::spawn({
        let queue = Arc::clone(&queue);
        move || queue.next(&mut Deadline::after(LONG), LONG)
    });
    while queue.lock().sleeper.sleep() != Sleep::Idle {
        thread::yield_now();
    }
    queue.wake_at(Deadline::after(LONG));
    queue.wake_at(Deadline::after(NONE));
    queue.wake_at(Deadline::after(LONG));
    assert!(matches!(writer.join().unwrap(), Some(Work::Alarm)));
}

#[test]
fn idle_writer_thread_wakes_once_when_housekeeping_is_due() {
    let queue = queue(4, usize::MAX);
    queue.housekeeping_at(Deadline::after(Duration::from_millis(20)));
    let start = Instant::now();
    let work = queue.next(&mut Deadline::after(NONE), NONE);
    assert!(matches!(work, Some(Work::Housekeeping)), "{work:?}");
    assert!(start.elapsed() >= Duration::from_millis(20));
    queue.push(request());
    assert_eq!(
        events(queue.next(&mut Deadline::after(NONE), NONE)).len(),
        1
    );
}

#[test]
fn housekeeping_does_not_write_events_early_and_due_events_go_first() {
    let queue = queue(4, usize::MAX);
    queue.push(request());
    queue.housekeeping_at(Deadline::after(NONE));
    let mut due = Deadline::after(LONG);
    assert!(matches!(
        queue.next(&mut due, LONG),
        Some(Work::Housekeeping)
    ));
    assert!(due.left() > LONG / 2);
    queue.housekeeping_at(Deadline::after(NONE));
    assert_eq!(
        events(queue.next(&mut Deadline::after(NONE), NONE)).len(),
        1
    );
}

#[test]
fn closing_queue_requests_no_housekeeping() {
    let queue = queue(4, usize::MAX);
    queue.housekeeping_at(Deadline::after(NONE));
    queue.close(Deadline::after(LONG));
    assert!(queue.next(&mut Deadline::after(NONE), NONE).is_none());
}
