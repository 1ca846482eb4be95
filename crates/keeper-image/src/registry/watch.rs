//! [`TagWatcher`]: one question per tag and interval, however many want to know.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};

use super::backoff::HostBackoff;
use super::error::ResolveError;
use super::resolve::{Resolve, Resolved};
use crate::digest::Digest;
use crate::reference::Reference;

/// How many tags are watched at most, unless said otherwise.
const DEFAULT_LIMIT: usize = 10_000;
/// Intervals are stretched or shrunk by up to this share, so that tags don't march in step.
const JITTER: f64 = 0.1;
/// Two looks at one tag are at least this far apart, whatever the hints.
const CLOSEST: Duration = Duration::from_secs(1);
/// No interval is shorter.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);

/// What is known about a watched tag.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The digest seen last. Errors leave it as it was; `None` until the first success.
    pub digest: Option<Digest>,
    /// Why the last look gave none; `None` after a success. Not a sign that anything changed.
    pub error: Option<Arc<ResolveError>>,
    /// When the last look ended, successful or not, by this machine's clock. Where the first one is put off: when that was
    /// told. `None` before.
    pub at: Option<Timestamp>,
}

/// Asks for each distinct tag once per interval, for all who watch it.
///
/// The first look is immediate. Later ones come at the interval, give or take a tenth, but not while the host is left
/// alone: after 429, 5xx and failures to reach it, as long as it asked for and longer each time. A tag that is watched from
/// then on is told at once what the host said last. A tag is no longer asked for once its last receiver is dropped. A
/// reference by digest is known without asking.
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use keeper_image::{BoxFuture, Digest, MediaType, Reference, Resolve, ResolveError, Resolved, TagWatcher};
///
/// struct Always(Digest);
/// impl Resolve for Always {
///     fn resolve<'a>(&'a self, _: &'a Reference) -> BoxFuture<'a, Result<Resolved, ResolveError>> {
///         let resolved = Resolved { digest: self.0.clone(), media_type: MediaType::OciManifest };
///         Box::pin(async move { Ok(resolved) })
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let digest = Digest::sha256_of(b"{}");
/// let watcher = TagWatcher::new(Arc::new(Always(digest.clone())), Duration::from_secs(60));
/// let mut seen = watcher.watch(&"quay.io/myorg/my_repo:stable".parse().unwrap()).unwrap();
/// seen.changed().await.unwrap();
/// assert_eq!(seen.borrow().digest, Some(digest));
/// # });
/// ```
#[derive(Clone)]
pub struct TagWatcher {
    shared: Arc<Shared>,
}

struct Shared {
    resolver: Arc<dyn Resolve>,
    interval: Duration,
    limit: usize,
    watched: Mutex<HashMap<Reference, Arc<Watched>>>,
    backoff: Mutex<HostBackoff>,
}

/// One tag and those who watch it.
struct Watched {
    seen: watch::Sender<Seen>,
    hint: Notify,
}

impl TagWatcher {
    /// A watcher that asks `resolver` once per `interval` (at least 10 ms) and watches up to 10,000 tags.
    pub fn new(resolver: Arc<dyn Resolve>, interval: Duration) -> Self {
        Self::with_limit(resolver, interval, DEFAULT_LIMIT)
    }

    /// The same with another bound on how many tags are watched at once.
    pub fn with_limit(resolver: Arc<dyn Resolve>, interval: Duration, limit: usize) -> Self {
        let interval = interval.max(SHORTEST_INTERVAL);
        Self {
            shared: Arc::new(Shared {
                resolver,
                interval,
                limit,
                watched: Mutex::default(),
                backoff: Mutex::new(HostBackoff::new(interval)),
            }),
        }
    }

    /// Watches a tag until the receiver and its clones are dropped.
    ///
    /// The receiver is told when the digest changes, when looks begin or cease to fail, and of the first look; the time
    /// of the last look is kept up to date without a word. Whoever joins a watched tag sees what is known at once.
    ///
    /// # Errors
    ///
    /// When as many tags are watched as allowed (another attempt helps once some are dropped), or outside of a tokio
    /// runtime.
    pub fn watch(&self, image: &Reference) -> Result<watch::Receiver<Seen>, WatchError> {
        let mut watched = self.shared.watched();
        if let Some(entry) = watched.get(image) {
            return Ok(entry.seen.subscribe());
        }
        if watched.len() >= self.shared.limit {
            return Err(WatchError::TooMany { limit: self.shared.limit });
        }
        let runtime = Handle::try_current().map_err(|_| WatchError::NoRuntime)?;
        let (seen, receiver) = watch::channel(Seen::default());
        let entry = Arc::new(Watched { seen, hint: Notify::new() });
        watched.insert(image.clone(), Arc::clone(&entry));
        runtime.spawn(Arc::clone(&self.shared).keep_looking(image.clone(), entry));
        Ok(receiver)
    }

    /// Looks at a watched tag now rather than at its interval, as after a push notification. Hints are cheap: several
    /// before the look are one, looks stay a second apart (or the interval, if that is shorter), and a host that is
    /// left alone stays alone. A tag that nobody watches is not looked at.
    pub fn hint(&self, image: &Reference) {
        if let Some(entry) = self.shared.watched().get(image) {
            entry.hint.notify_one();
        }
    }

    /// Asks now, once, past every cache and pause: whether an image that a node could not pull exists at all, or what a tag
    /// names at the moment when it matters. Who watches the tag is told of a digest.
    ///
    /// # Errors
    ///
    /// As [`Resolve::resolve`].
    pub async fn fresh(&self, image: &Reference) -> Result<Resolved, ResolveError> {
        let resolved = self.shared.resolver.resolve(image).await?;
        let watched = self.shared.watched().get(image).cloned();
        if let Some(entry) = watched {
            publish(&entry.seen, Ok(resolved.digest.clone()));
        }
        Ok(resolved)
    }

    /// The digests that are this image: an index and its children. What was learnt is kept by the resolver.
    ///
    /// # Errors
    ///
    /// As [`Resolve::equivalents`].
    pub async fn equivalents(&self, image: &Reference, digest: &Digest) -> Result<BTreeSet<Digest>, ResolveError> {
        self.shared.resolver.equivalents(image, digest).await
    }

    /// How many distinct tags are watched now.
    pub fn watched(&self) -> usize {
        self.shared.watched().len()
    }
}

impl Shared {
    fn watched(&self) -> MutexGuard<'_, HashMap<Reference, Arc<Watched>>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn backoff(&self) -> MutexGuard<'_, HostBackoff> {
        self.backoff.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The life of one watched tag.
    async fn keep_looking(self: Arc<Self>, image: Reference, entry: Arc<Watched>) {
        let mut next = Some(Instant::now());
        if let Some(digest) = image.digest() {
            // It names its content already; there is nothing to ask.
            publish(&entry.seen, Ok(digest.clone()));
            next = None;
        }
        loop {
            tokio::select! {
                biased;
                () = entry.seen.closed() => {
                    if self.retire(&image, &entry) {
                        return;
                    }
                }
                () = due(next) => {
                    tokio::select! {
                        // Dropping the look drops its request: nobody waits for it any more.
                        () = entry.seen.closed() => {}
                        () = self.look(&image, &entry) => next = Some(self.next_look(Instant::now())),
                    }
                }
                () = entry.hint.notified(), if next.is_some() => {
                    next = next.map(|planned| planned.min(Instant::now()));
                }
            }
        }
    }

    /// Asks once, unless the host is left alone: then only after its pause.
    async fn look(&self, image: &Reference, entry: &Watched) {
        let host = image.repository().api_host();
        loop {
            let paused = self.backoff().paused_until(host, Instant::now());
            let Some(until) = paused else { break };
            // Who asks for the first time is told at once why there will be no answer for now.
            let first = entry.seen.borrow().at.is_none();
            let why = self.backoff().why(host, Instant::now()).filter(|_| first);
            if let Some(why) = why {
                publish(&entry.seen, Err(why));
            }
            // All tags of the host wake here, so they spread over a part of the interval.
            sleep_until(until + self.interval.mul_f64(JITTER * rand::random::<f64>())).await;
        }
        let answer = self.resolver.resolve(image).await.map_err(Arc::new);
        self.backoff().note(host, answer.as_ref().err(), Instant::now());
        if let Err(error) = &answer {
            tracing::debug!(image = %image, %error, "the tag could not be resolved; it counts as unchanged");
        }
        publish(&entry.seen, answer.map(|resolved| resolved.digest));
        // Keeps hints from asking again at once.
        sleep_until(Instant::now() + CLOSEST.min(self.interval).mul_f64(1.0 - JITTER)).await;
    }

    fn next_look(&self, now: Instant) -> Instant {
        let closest = CLOSEST.min(self.interval).mul_f64(1.0 - JITTER);
        let share = 1.0 - JITTER + 2.0 * JITTER * rand::random::<f64>();
        now + self.interval.mul_f64(share).saturating_sub(closest)
    }

    /// Ends the watch if it is really unwanted: someone may have joined since the last receiver went.
    fn retire(&self, image: &Reference, entry: &Watched) -> bool {
        let mut watched = self.watched();
        let unwanted = entry.seen.receiver_count() == 0;
        if unwanted {
            watched.remove(image);
        }
        unwanted
    }
}

/// Waits until then; for ever when there is nothing to wait for.
async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Stores what a look gave, and wakes receivers only when it differs from what they know.
fn publish(seen: &watch::Sender<Seen>, answer: Result<Digest, Arc<ResolveError>>) {
    seen.send_if_modified(|seen| {
        let first = seen.at.is_none();
        let before = (seen.digest.clone(), seen.error.as_ref().map(|error| error.kind()));
        seen.at = Some(Timestamp::now());
        match answer {
            Ok(digest) => {
                seen.digest = Some(digest);
                seen.error = None;
            }
            Err(error) => seen.error = Some(error),
        }
        first || before != (seen.digest.clone(), seen.error.as_ref().map(|error| error.kind()))
    });
}

impl fmt::Debug for TagWatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TagWatcher")
            .field("interval", &self.shared.interval)
            .field("watched", &self.watched())
            .finish_non_exhaustive()
    }
}

/// Why a tag can't be watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// As many tags are watched as allowed. Another attempt helps once some are no longer watched.
    #[error("{limit} image tags are watched already, which is the limit")]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// Called outside of a tokio runtime. Another attempt does not help.
    #[error("watching a tag needs a tokio runtime")]
    NoRuntime,
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::registry::{BoxFuture, MediaType};

    /// Answers as told, counts questions. No sockets, so tokio's time may be paused.
    #[derive(Default)]
    struct Told {
        answer: Mutex<Option<&'static str>>,
        retry_after: Mutex<Option<Duration>>,
        asked: AtomicUsize,
    }

    impl Told {
        fn tell(&self, content: Option<&'static str>) {
            *self.answer.lock().unwrap() = content;
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::SeqCst)
        }
    }

    impl Resolve for Told {
        fn resolve<'a>(&'a self, image: &'a Reference) -> BoxFuture<'a, Result<Resolved, ResolveError>> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let host = image.repository().host().to_owned();
            let answer = match *self.answer.lock().unwrap() {
                Some(content) => {
                    Ok(Resolved { digest: Digest::sha256_of(content.as_bytes()), media_type: MediaType::OciIndex })
                }
                None => Err(ResolveError::RateLimited { host, retry_after: *self.retry_after.lock().unwrap() }),
            };
            Box::pin(async move { answer })
        }
    }

    fn setup(interval: u64) -> (Arc<Told>, TagWatcher, Reference) {
        let told = Arc::new(Told::default());
        told.tell(Some("one"));
        let watcher = TagWatcher::new(Arc::clone(&told) as Arc<dyn Resolve>, Duration::from_secs(interval));
        (told, watcher, "quay.io/org/app:stable".parse().unwrap())
    }

    async fn pass(seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_watchers_are_one_question_per_interval() {
        let (told, watcher, image) = setup(60);
        let receivers: Vec<_> = (0..1000).map(|_| watcher.watch(&image).unwrap()).collect();
        pass(1).await;
        assert_eq!((told.asked(), watcher.watched()), (1, 1));
        assert_eq!(receivers[999].borrow().digest, Some(Digest::sha256_of(b"one")));
        pass(600).await;
        let asked = told.asked() - 1;
        assert!((9..=11).contains(&asked), "{asked} looks in ten intervals");
    }

    #[tokio::test(start_paused = true)]
    async fn errors_keep_the_digest_and_only_changes_are_told() {
        let (told, watcher, image) = setup(10);
        let mut seen = watcher.watch(&image).unwrap();
        seen.changed().await.unwrap();
        let first_look = seen.borrow_and_update().at.unwrap();
        pass(30).await;
        assert!(!seen.has_changed().unwrap(), "the same digest again is no news");
        assert!(seen.borrow().at.unwrap() >= first_look);

        told.tell(None);
        seen.changed().await.unwrap();
        let now = seen.borrow_and_update().clone();
        assert_eq!(now.digest, Some(Digest::sha256_of(b"one")));
        assert_eq!(now.error.unwrap().kind(), "rate_limited");

        told.tell(Some("two"));
        seen.changed().await.unwrap();
        let now = seen.borrow_and_update().clone();
        assert_eq!((now.digest, now.error.is_none()), (Some(Digest::sha256_of(b"two")), true));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_left_nothing_asked() {
        let (told, watcher, image) = setup(10);
        let first = watcher.watch(&image).unwrap();
        let second = first.clone();
        pass(1).await;
        drop(first);
        pass(100).await;
        let asked = told.asked();
        assert!(asked > 5);
        drop(second);
        pass(100).await;
        assert_eq!((told.asked(), watcher.watched()), (asked, 0));

        // Leaving and coming back at once keeps the tag and needs no further look.
        let third = watcher.watch(&image).unwrap();
        pass(1).await;
        drop(third);
        let fourth = watcher.watch(&image).unwrap();
        assert!(fourth.borrow().digest.is_some());
        pass(1).await;
        assert_eq!((told.asked(), watcher.watched()), (asked + 1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_wants_rest_gets_it() {
        let (told, watcher, image) = setup(10);
        told.tell(None);
        *told.retry_after.lock().unwrap() = Some(Duration::from_secs(300));
        let other: Reference = "quay.io/org/other".parse().unwrap();
        let _seen = watcher.watch(&image).unwrap();
        pass(1).await;
        let mut late = watcher.watch(&other).unwrap();
        late.changed().await.unwrap();
        assert!(late.borrow_and_update().error.is_some(), "it is told why there is no answer");
        for _ in 0..20 {
            watcher.hint(&image);
            pass(10).await;
        }
        assert_eq!(told.asked(), 1, "neither hints nor other tags of the host ask");
        told.tell(Some("one"));
        assert_eq!(watcher.fresh(&other).await.unwrap().digest, Digest::sha256_of(b"one"));
        late.changed().await.unwrap();
        assert!(late.borrow_and_update().digest.is_some(), "what was asked past the pause is known to who watches");
        told.tell(Some("two"));
        late.changed().await.unwrap();
        assert!(told.asked() <= 4);
        assert_eq!(watcher.fresh(&image).await.unwrap().digest, Digest::sha256_of(b"two"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_hint_looks_now_and_a_flood_of_them_does_not() {
        let (told, watcher, image) = setup(3600);
        let _seen = watcher.watch(&image).unwrap();
        pass(5).await;
        watcher.hint(&image);
        pass(2).await;
        assert_eq!(told.asked(), 2);
        for _ in 0..1000 {
            watcher.hint(&image);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let asked = told.asked() - 2;
        assert!((8..=13).contains(&asked), "{asked} looks in ten seconds of hints");
        watcher.hint(&"quay.io/org/unwatched".parse().unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn fresh_asks_each_time() {
        let (told, watcher, image) = setup(3600);
        let _seen = watcher.watch(&image).unwrap();
        pass(1).await;
        watcher.fresh(&image).await.unwrap();
        watcher.fresh(&image).await.unwrap();
        assert_eq!(told.asked(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_digest_is_known_without_asking() {
        let (told, watcher, image) = setup(10);
        let digest = Digest::sha256_of(b"pinned");
        let mut seen = watcher.watch(&image.with_digest(digest.clone())).unwrap();
        seen.changed().await.unwrap();
        pass(100).await;
        assert_eq!((seen.borrow().digest.clone(), told.asked()), (Some(digest), 0));
        drop(seen);
        pass(1).await;
        assert_eq!(watcher.watched(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_tags_is_bounded() {
        let (told, _, image) = setup(10);
        let watcher = TagWatcher::with_limit(told, Duration::from_secs(10), 1);
        let seen = watcher.watch(&image).unwrap();
        assert!(watcher.watch(&image).is_ok());
        let other: Reference = "quay.io/org/other".parse().unwrap();
        assert_eq!(watcher.watch(&other).unwrap_err(), WatchError::TooMany { limit: 1 });
        drop(seen);
        pass(1).await;
        assert!(watcher.watch(&other).is_ok());
    }

    #[test]
    fn without_a_runtime_it_is_an_error() {
        let (_, watcher, image) = setup(10);
        assert_eq!(watcher.watch(&image).unwrap_err(), WatchError::NoRuntime);
    }
}
