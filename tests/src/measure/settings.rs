//! What the environment says about how much is measured.

/// The number in a variable, or the default when it is not set.
///
/// # Panics
/// When it is set to something else.
pub fn number(variable: &str, default: f64) -> f64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable}=`{text}`: give a number")),
        Err(_) => default,
    }
}

/// How often each is measured, `BENCH_ROUNDS`; at least once.
///
/// # Panics
/// As [`number`].
pub fn rounds(default: f64) -> usize {
    (number("BENCH_ROUNDS", default) as usize).max(1)
}

/// For how many seconds, `BENCH_SECONDS`.
///
/// # Panics
/// As [`number`].
pub fn seconds(default: f64) -> f64 {
    number("BENCH_SECONDS", default).clamp(0.05, 600.0)
}

/// How many processors there are for everything together.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(0, std::num::NonZero::get)
}
