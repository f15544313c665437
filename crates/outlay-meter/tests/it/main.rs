//! Tests of the crate against a driver that is not there.

#[cfg(test)]
mod fake;
#[cfg(test)]
mod nvml;
mod progress;
