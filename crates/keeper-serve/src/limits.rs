use std::time::Duration;

/// How much of our time and memory a client may take. The defaults are the ones our programs document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest body in bytes; 4 MiB. A larger one is answered 413.
    pub body_bytes: usize,
    /// How long the headers of a request may take, and how long a connection may be idle; 5 s.
    pub header_timeout: Duration,
    /// How long a whole body may take; 15 s, then 408.
    pub body_timeout: Duration,
    /// How long a receiver may take; 10 s, then 503. Its future is dropped.
    pub answer_timeout: Duration,
    /// How many connections are open at once; 512. A further one takes the place of the oldest one that has no admitted
    /// request under way, so that idle strangers can't keep others out.
    pub connections: usize,
    /// How long requests under way may take to finish after a stop; 5 s.
    pub stop_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 4 << 20,
            header_timeout: Duration::from_secs(5),
            body_timeout: Duration::from_secs(15),
            answer_timeout: Duration::from_secs(10),
            connections: 512,
            stop_timeout: Duration::from_secs(5),
        }
    }
}
