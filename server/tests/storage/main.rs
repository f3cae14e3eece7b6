//! Storage in buckets: S3 and Azure.
#![cfg(feature = "s3")]

mod azure;
mod s3;
#[path = "../support/mod.rs"]
mod support;
