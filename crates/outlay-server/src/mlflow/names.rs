//! Names for runs and models that come without one.

const QUALITIES: [&str; 24] = [
    "able", "blithe", "calm", "clever", "dapper", "eager", "fair", "frugal", "gentle", "handy",
    "honest", "jolly", "keen", "lively", "merry", "nimble", "patient", "quick", "serene", "sturdy",
    "tidy", "upbeat", "witty", "zesty",
];

const CREATURES: [&str; 24] = [
    "badger", "crane", "dolphin", "eel", "falcon", "finch", "gecko", "heron", "ibex", "jay",
    "koala", "lark", "lynx", "marten", "newt", "otter", "perch", "quail", "raven", "seal", "shrew",
    "stoat", "trout", "wren",
];

/// A name that people can say, such as `frugal-otter-417`.
#[must_use]
pub fn name(random: [u8; 16]) -> String {
    let at = |first: usize, n: usize| {
        usize::from(u16::from_le_bytes([random[first], random[first + 1]])) % n
    };
    format!(
        "{}-{}-{}",
        QUALITIES[at(0, 24)],
        CREATURES[at(2, 24)],
        at(4, 1000)
    )
}
