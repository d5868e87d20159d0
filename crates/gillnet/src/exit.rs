//! Exit codes: 0 ok, 1 failure, 2 usage, 3 nothing matched, 4 not reachable or not allowed, 130 interrupted.

use std::process::ExitCode;

/// How a command ended without failing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// It did what it should.
    Ok,
    /// Nothing matched.
    Nothing,
    /// What was looked at is wrong, and it said so.
    Refused,
    /// Interrupted by a signal.
    Interrupted,
}

/// How a command failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// In no way that has an exit code of its own: 1.
    Failure,
    /// Wrong usage: 2.
    Usage,
    /// Not reachable or not allowed: 4.
    Unreachable,
}

/// Marks an error with its exit code.
#[derive(Debug)]
pub struct Coded {
    kind: Kind,
    error: anyhow::Error,
}

impl std::fmt::Display for Coded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#}", self.error)
    }
}

impl std::error::Error for Coded {}

/// How an error ends a command.
pub fn kind(error: &anyhow::Error) -> Kind {
    let coded = error.downcast_ref::<Coded>();
    coded.map_or(Kind::Failure, |coded| coded.kind)
}

/// Wrong usage.
pub fn usage(error: impl Into<anyhow::Error>) -> anyhow::Error {
    anyhow::Error::new(Coded {
        kind: Kind::Usage,
        error: error.into(),
    })
}

/// Not reachable or not allowed.
pub fn unreachable(error: impl Into<anyhow::Error>) -> anyhow::Error {
    anyhow::Error::new(Coded {
        kind: Kind::Unreachable,
        error: error.into(),
    })
}

/// A bucket's error: not reachable or not allowed, or a plain failure.
pub fn of_bucket(error: gillnet_bucket::BucketError) -> anyhow::Error {
    use gillnet_bucket::ErrorKind;
    match error.kind {
        ErrorKind::NotFound | ErrorKind::Other => anyhow::Error::new(error),
        _ => unreachable(error),
    }
}

/// Whether a fault of a source is one of the way to it: later it may work.
pub fn is_unreachable(error: &gillnet_capture::Error) -> bool {
    let passing = |error: &gillnet_bucket::BucketError| {
        !matches!(
            error.kind,
            gillnet_bucket::ErrorKind::NotFound | gillnet_bucket::ErrorKind::Other
        )
    };
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<gillnet_bucket::BucketError>() {
            return passing(error);
        }
        let inner = error.downcast_ref::<std::io::Error>();
        if let Some(inner) = inner.and_then(std::io::Error::get_ref) {
            next = Some(inner);
            continue;
        }
        next = error.source();
    }
    false
}

/// Says what went wrong on standard error and gives the exit code.
pub fn code(result: anyhow::Result<Done>) -> ExitCode {
    match result {
        Ok(Done::Ok) => ExitCode::SUCCESS,
        Ok(Done::Nothing) => ExitCode::from(3),
        Ok(Done::Refused) => ExitCode::FAILURE,
        Ok(Done::Interrupted) => ExitCode::from(130),
        Err(error) => {
            eprintln!("gillnet: {error:#}");
            match kind(&error) {
                Kind::Usage => ExitCode::from(2),
                Kind::Unreachable => ExitCode::from(4),
                Kind::Failure => ExitCode::FAILURE,
            }
        }
    }
}
