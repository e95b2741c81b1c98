//! What can go wrong, said in one sentence: which field, what was expected, what came.
//!
//! Floor 0. Errors are for what comes from outside (settings, batches, files); a broken invariant of our own is a panic.

use std::fmt;

/// An error of this crate.
#[derive(Clone, PartialEq)]
pub enum Error {
    /// A value from outside that cannot be used.
    Invalid {
        /// Path of the value in the caller's words, such as `model.hidden`.
        field: String,
        /// What would have been accepted.
        expected: String,
        /// What came.
        got: String,
    },
    /// Something that this machine or this build does not offer.
    Unavailable {
        /// What was asked for.
        what: String,
        /// Why it cannot be had.
        why: String,
    },
}

impl Error {
    /// `field: expected …, got …`
    pub fn invalid(field: impl Into<String>, expected: impl fmt::Display, got: impl fmt::Display) -> Self {
        Self::Invalid { field: field.into(), expected: expected.to_string(), got: got.to_string() }
    }

    /// `… is not available: …`
    pub fn unavailable(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Unavailable { what: what.into(), why: why.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { field, expected, got } => write!(f, "{field}: expected {expected}, got {got}"),
            Self::Unavailable { what, why } => write!(f, "{what} is not available: {why}"),
        }
    }
}

impl fmt::Debug for Error {
    /// The sentence: what is derived brings tables of all letters along.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {}

/// The result of everything here that can fail because of its caller.
pub type Result<T> = std::result::Result<T, Error>;
