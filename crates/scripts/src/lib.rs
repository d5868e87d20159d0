//! Scripts in JavaScript: hooks, jobs, helpers, and the vendors they speak to.

pub mod vendor;
