//! How our programs listen: the authenticated webhook door, the admin port, limits and the graceful stop.
