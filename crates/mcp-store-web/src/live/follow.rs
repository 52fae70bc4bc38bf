//! The task that follows the file for all browsers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, broadcast, watch};
use tower_mcp_store::query::{Follower, RequestFilter};

use super::message::Message;
use super::{ROWS, VIEWERS, WAITING};
use crate::fault::Fault;
use crate::page::Page;
use crate::site::Site;
use crate::view::View;

/// How often the task reads the file.
const LOOK: Duration = Duration::from_millis(500);

/// How long the task waits after the file could not be read.
const PAUSE: Duration = Duration::from_secs(2);

/// What all streams share.
#[derive(Debug)]
pub(crate) struct Live {
    topics: Mutex<Topics>,
    pub(super) viewers: Arc<Semaphore>,
    pub(super) closed: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Topics {
    by_conditions: HashMap<Conditions, Arc<Topic>>,
    /// Whether the task runs.
    is_followed: bool,
}

/// The conditions of a view as a URL, and the whole id of its session, which a URL may abbreviate.
type Conditions = (String, Option<String>);

/// What browsers with the same conditions watch.
#[derive(Debug)]
struct Topic {
    view: View,
    filter: RequestFilter,
    sender: broadcast::Sender<Message>,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            topics: Mutex::default(),
            viewers: Arc::new(Semaphore::new(VIEWERS)),
            closed: watch::Sender::new(false),
        }
    }
}

impl Live {
    /// Ends all streams, also those that begin later.
    pub(crate) fn close(&self) {
        self.closed.send_replace(true);
    }

    /// Returns the messages for a view. If the task does not run, it is started with the follower.
    pub(super) fn watch(
        &self,
        site: &Site,
        view: &View,
        filter: RequestFilter,
        newest: Follower,
    ) -> broadcast::Receiver<Message> {
        let conditions = (view.to(Page::Live).href(), filter.session.clone());
        let mut topics = self.topics();
        if !topics.is_followed {
            topics.is_followed = true;
            tokio::spawn(follow(site.clone(), newest));
        }
        let topic = topics.by_conditions.entry(conditions).or_insert_with(|| {
            Arc::new(Topic {
                view: view.clone(),
                filter,
                sender: broadcast::Sender::new(WAITING),
            })
        });
        topic.sender.subscribe()
    }

    /// Returns the topics that browsers watch. If there are none, the task must end.
    fn watched(&self) -> Vec<Arc<Topic>> {
        // No browser can subscribe while the lock is held.
        let mut topics = self.topics();
        let is_watched = |topic: &Topic| topic.sender.receiver_count() > 0;
        topics.by_conditions.retain(|_, topic| is_watched(topic));
        topics.is_followed = !topics.by_conditions.is_empty();
        topics.by_conditions.values().cloned().collect()
    }

    fn topics(&self) -> MutexGuard<'_, Topics> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends new rows until no browser watches.
async fn follow(site: Site, mut follower: Follower) {
    let mut has_problem = false;
    loop {
        tokio::time::sleep(if has_problem { PAUSE } else { LOOK }).await;
        let topics = site.live().watched();
        if topics.is_empty() {
            return;
        }
        let last = follower.last_id();
        let asked = topics.clone();
        let read = site.read(move |_| {
            let messages = messages(&mut follower, &asked, has_problem);
            Ok((follower, messages))
        });
        let messages = match read.await {
            Ok((same, messages)) => {
                follower = same;
                messages
            }
            Err(fault) => {
                follower = site.reader().follow_after(RequestFilter::new(), last);
                Err(fault)
            }
        };
        let messages = match messages {
            Ok(messages) => {
                has_problem = false;
                messages
            }
            Err(_) if has_problem => continue,
            Err(fault) => {
                has_problem = true;
                vec![Some(Message::of_problem(&fault.text(), last)); topics.len()]
            }
        };
        for (topic, message) in topics.iter().zip(messages) {
            if let Some(message) = message {
                // It fails if the last browser has just left.
                let _ = topic.sender.send(message);
            }
        }
    }
}

/// Returns the message for each topic, if it has new rows. After a problem there is always one,
/// so that the page no longer shows the problem. There also is one about another file, whose rows
/// have lower numbers.
fn messages(
    follower: &mut Follower,
    topics: &[Arc<Topic>],
    had_problem: bool,
) -> Result<Vec<Option<Message>>, Fault> {
    let filters: Vec<RequestFilter> = topics.iter().map(|topic| topic.filter.clone()).collect();
    let before = follower.last_id();
    let written = follower.poll_newest(&filters, ROWS)?;
    let last = follower.last_id();
    let is_of_another_file = last < before;
    let messages = written.iter().zip(topics).map(|(written, topic)| {
        let is_sent = had_problem || is_of_another_file || !written.rows.is_empty();
        is_sent.then(|| Message {
            is_of_another_file,
            ..Message::of_rows(&topic.view, written, last)
        })
    });
    Ok(messages.collect())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tower_mcp_store::query::RequestFilter;

    use super::super::tests::site;
    use crate::view::View;

    const LONG: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn one_task_follows_for_all_conditions_and_ends_with_the_last_viewer() {
        let (_dir, site) = site();
        let watch = |query: &str| {
            let view = View::parse(query).unwrap();
            let filter = view.filter(site.reader()).unwrap();
            let newest = site.reader().follow(RequestFilter::new()).unwrap();
            site.live().watch(&site, &view, filter, newest)
        };
        let tasks = || {
            tokio::runtime::Handle::current()
                .metrics()
                .num_alive_tasks()
        };
        let before = tasks();
        let (first, same, other) = (watch("tool=a"), watch("tool=a"), watch("tool=b*"));
        assert_eq!(tasks(), before + 1);
        assert_eq!(site.live().topics().by_conditions.len(), 2);
        drop((first, same));
        tokio::time::sleep(LONG).await;
        assert_eq!(site.live().topics().by_conditions.len(), 1);
        drop(other);
        tokio::time::sleep(LONG).await;
        assert_eq!(tasks(), before);
        assert!(!site.live().topics().is_followed);
        let _again = watch("");
        assert_eq!(tasks(), before + 1);
    }
}
