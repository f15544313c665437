//! Reads one drawing of a progress bar: tqdm's, Rich's (as Lightning sets it up) and Keras's.

use super::numbers::{clock, count, leading, scaled};

/// One drawing of a bar.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bar {
    pub look: Look,
    /// What stands before the bar.
    pub description: String,
    /// How far it is; for Keras, batches of this epoch.
    pub at: f64,
    /// Where it ends.
    pub total: Option<f64>,
    /// Seconds that it has run, as it says.
    pub seconds: Option<f64>,
    /// Seconds that it expects to run still, as it says.
    pub seconds_left: Option<f64>,
    /// Numbers shown behind it.
    pub metrics: Vec<(String, f64)>,
    /// It counts bytes, which no training does.
    pub bytes: bool,
}

/// Whose drawing it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Tqdm,
    Rich,
    Keras,
}

/// Reads a drawing, if the piece is one.
pub(super) fn read(piece: &str) -> Option<Bar> {
    tqdm(piece).or_else(|| keras(piece)).or_else(|| rich(piece))
}

/// Whether text begins with the `[00:01<00:02,` or `[00:01,` of tqdm.
pub(super) fn opens_times(text: &[u8]) -> bool {
    let Some(b'[') = text.first() else {
        return false;
    };
    let mut colons = 0;
    for (index, byte) in text[1..].iter().enumerate() {
        match byte {
            b'0'..=b'9' if index < 12 => {}
            b':' if index > 0 => colons += 1,
            b'<' | b',' => return (1..=2).contains(&colons),
            _ => return false,
        }
    }
    false
}

/// `{description}: {percent}%|{bar}| {at}/{total} [{seconds}<{left}, {rate}, {name}={value}…]`, and without a total
/// `{description}: {at}{unit} [{seconds}, {rate}, …]`.
fn tqdm(piece: &str) -> Option<Bar> {
    let open = piece
        .bytes()
        .enumerate()
        .filter(|&(_, byte)| byte == b'[')
        .find(|&(at, _)| opens_times(&piece.as_bytes()[at..]))?
        .0;
    let left = piece[..open].trim_end();
    let inside = &piece[open + 1..];
    let inside = inside.strip_suffix(']').unwrap_or(inside);
    let mut fields = inside.split(", ");
    let (seconds, seconds_left) = match fields.next()?.split_once('<') {
        Some((seconds, seconds_left)) => (clock(seconds), clock(seconds_left)),
        None => (clock(inside.split(',').next()?), None),
    };
    let rate = fields.next().unwrap_or_default();
    let metrics = fields
        .filter_map(|field| field.split_once('='))
        .filter_map(|(name, value)| metric(name, value))
        .collect();
    let (head, counts) = match left.rsplit_once("| ") {
        Some((head, counts)) => (head, counts),
        None => left.rsplit_once(char::is_whitespace).unwrap_or(("", left)),
    };
    let counts = counts.trim();
    let (at, total) = match counts.split_once('/') {
        Some((at, total)) => (scaled(at)?, scaled(total)),
        // The unit stands right behind the number.
        None => {
            let (_, unit) = leading(counts)?;
            if unit.is_empty() {
                return None;
            }
            let number = counts.trim_end_matches(unit);
            let scale = unit.get(..1).filter(|_| unit.len() > 1);
            let at = scale
                .and_then(|scale| scaled(&format!("{number}{scale}")))
                .or_else(|| scaled(number))?;
            (at, None)
        }
    };
    let description = match head.find("%|").map(|at| at + 1).or_else(|| head.find('|')) {
        Some(bar) => head[..bar]
            .trim_end_matches('%')
            .trim_end_matches(|letter: char| letter.is_ascii_digit()),
        None => head,
    };
    Some(Bar {
        look: Look::Tqdm,
        description: description.trim().trim_end_matches(':').to_owned(),
        at,
        total: total.filter(|&total| total > 0.0),
        seconds,
        seconds_left,
        metrics,
        bytes: rate.ends_with("B/s") || rate.ends_with("s/B"),
    })
}

/// `{at}/{total} ━━━━ 1s 60ms/step - {name}: {value} - …`; Keras 2 drew `[===>...]`; with verbose=2 nothing is drawn.
fn keras(piece: &str) -> Option<Bar> {
    let (at, rest) = count(piece.trim_start())?;
    let rest = rest.strip_prefix('/')?;
    let (total, rest) = match rest.strip_prefix("Unknown") {
        Some(rest) => (None, rest),
        None => count(rest).map(|(total, rest)| (Some(total), rest))?,
    };
    let rest = rest.strip_prefix(' ')?;
    let drawn = rest.trim_start();
    let is_bar = drawn.starts_with('━')
        || drawn.starts_with("[=")
        || drawn.starts_with("[>")
        || drawn.starts_with("[.");
    // `- 1s - 60ms/step` and, of Keras 2, `- 1s 60ms/step` or `- 1s`.
    let is_line = drawn.starts_with("- ") || drawn.contains("s/step");
    if !is_bar && !is_line {
        return None;
    }
    Some(Bar {
        look: Look::Keras,
        description: String::new(),
        at,
        total: total.filter(|&total| total > 0.0),
        seconds: None,
        seconds_left: None,
        metrics: drawn
            .split(" - ")
            .filter_map(|field| field.split_once(": "))
            .filter(|(name, _)| *name != "ETA")
            .filter_map(|(name, value)| metric(name, value))
            .collect(),
        bytes: false,
    })
}

/// `{description} ━━━━╸━━━ {at}/{total} {seconds} • {left} {rate} {name}: {value} …`.
fn rich(piece: &str) -> Option<Bar> {
    if piece.is_ascii() {
        return None;
    }
    let is_bar = |letter: char| matches!(letter, '━' | '╸' | '╺');
    let begin = piece.find(is_bar)?;
    let rest = piece[begin..].trim_start_matches(is_bar).trim_start();
    let description = piece[..begin].trim();
    if !description.starts_with(char::is_alphabetic) {
        return None;
    }
    let (at, rest) = count(rest)?;
    let rest = rest.strip_prefix('/')?;
    let (total, rest) = match count(rest) {
        Some((total, rest)) => (Some(total), rest),
        None => (None, rest),
    };
    // A table has such lines too, but no count and no times.
    let (seconds, rest) = rest.split_once('•')?;
    let mut words = rest.split_whitespace();
    let seconds_left = words.next().and_then(clock);
    words.next();
    let mut metrics = Vec::new();
    let mut name = None;
    for word in words {
        match (word.strip_suffix(':'), name) {
            (Some(next), _) => name = Some(next),
            (None, Some(known)) => {
                metrics.extend(metric(known, word));
                name = None;
            }
            (None, None) => {}
        }
    }
    Some(Bar {
        look: Look::Rich,
        description: description.to_owned(),
        at,
        total: total.filter(|&total| total > 0.0),
        seconds: clock(seconds.trim()),
        seconds_left,
        metrics,
        bytes: false,
    })
}

/// A name and its number. Lightning's `v_num` is the number of a folder.
fn metric(name: &str, value: &str) -> Option<(String, f64)> {
    let (value, rest) = leading(value.trim())?;
    let name = name.trim();
    let is_number = rest.is_empty() || rest.starts_with([' ', ',', '%']);
    (is_number && name != "v_num" && !name.is_empty() && name.len() <= 64)
        .then(|| (name.to_owned(), value))
}

/// Words that a description begins with when its bar is not training.
const NOISE_FIRST: [&str; 41] = [
    "adding",
    "applying",
    "building",
    "cach",
    "casting",
    "collect",
    "comput",
    "concatenat",
    "convert",
    "copying",
    "creating",
    "decod",
    "download",
    "embedding",
    "encod",
    "extract",
    "fetch",
    "filter",
    "flatten",
    "generating",
    "group",
    "import",
    "index",
    "load",
    "map",
    "materializ",
    "moving",
    "packing",
    "prepar",
    "preprocess",
    "quantiz",
    "read",
    "resolving",
    "sanity",
    "saving",
    "setting",
    "shuffl",
    "tokeniz",
    "truncat",
    "upload",
    "writing",
];

/// Words that tell evaluation, anywhere in a description that does not say that it trains.
const NOISE_ANYWHERE: [&str; 9] = [
    "val",
    "valid",
    "validat",
    "eval",
    "evaluat",
    "test",
    "testing",
    "predict",
    "inference",
];

/// Whether a bar is of something that is not training.
pub(super) fn is_noise(bar: &Bar) -> bool {
    if bar.bytes {
        return true;
    }
    let description = bar.description.to_lowercase();
    let mut words = description
        .split(|letter: char| !letter.is_alphabetic())
        .filter(|word| !word.is_empty());
    let Some(first) = words.next() else {
        return false;
    };
    if NOISE_FIRST.iter().any(|noise| first.starts_with(noise)) {
        return true;
    }
    let all = || std::iter::once(first).chain(words.clone());
    if all().any(|word| word.starts_with("train")) {
        return false;
    }
    all().any(|word| {
        NOISE_ANYWHERE
            .iter()
            .any(|noise| word == *noise || (noise.len() > 5 && word.starts_with(noise)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_tqdm_draws() {
        let bar = read(
            "Epoch [1/3]:  45%|████▌     | 9/20 [00:01<1:00:02,  5.20it/s, loss=nan, v_num=0]",
        )
        .expect("a bar");
        assert_eq!(
            (bar.description.as_str(), bar.at, bar.total),
            ("Epoch [1/3]", 9.0, Some(20.0))
        );
        assert_eq!((bar.seconds, bar.seconds_left), (Some(1.0), Some(3602.0)));
        assert_eq!(bar.metrics.len(), 1);
        assert!(bar.metrics[0].1.is_nan());
        let bar = read("train:  17%|█▋        | 2.00k/12.0k [00:00<?, ?tok/s]").expect("a bar");
        assert_eq!(
            (bar.at, bar.total, bar.seconds_left),
            (2e3, Some(12e3), None)
        );
        let bar = read("123it [00:05, 24.5it/s]").expect("a bar");
        assert_eq!((bar.at, bar.total), (123.0, None));
        let bar = read("rows: 1.23krows [00:05, 24.5rows/s]").expect("a bar");
        assert_eq!((bar.description.as_str(), bar.at), ("rows", 1230.0));
        let bar = read("Epoch 0: |          | 0/? [00:00<?, ?it/s]").expect("a bar");
        assert_eq!((bar.description.as_str(), bar.total), ("Epoch 0", None));
        assert!(
            read("model.safetensors:  5%|▌   | 5.00M/99.0M [00:01<00:19, 4.9MB/s]")
                .is_some_and(|bar| bar.bytes)
        );
        assert_eq!(read("[12:34:56, INFO] step 10/20"), None);
    }

    #[test]
    fn reads_what_keras_and_rich_draw() {
        let bar =
            read(" 3/20 ━━━━━━━━ 1s 60ms/step - accuracy: 0.5 - loss: 1.2e-3").expect("a bar");
        assert_eq!((bar.at, bar.total), (3.0, Some(20.0)));
        assert_eq!(
            bar.metrics,
            [("accuracy".to_owned(), 0.5), ("loss".to_owned(), 1.2e-3)]
        );
        let bar = read("10/20 [======>.....] - ETA: 0s - loss: 0.4").expect("a bar");
        assert_eq!((bar.at, bar.metrics.len()), (10.0, 1));
        assert!(read("5/Unknown 2s 60ms/step - loss: 0.4").is_some_and(|bar| bar.total.is_none()));
        let bar = read(
            "Epoch 0/2  ━━━━╸━━━ 9/16 0:00:01 • 0:00:02 9.2it/s train_loss: 1.5 val_loss: 2.5",
        )
        .expect("a bar");
        assert_eq!(
            (bar.description.as_str(), bar.at, bar.total),
            ("Epoch 0/2", 9.0, Some(16.0))
        );
        assert_eq!(bar.metrics.len(), 2);
        assert_eq!(read("10/20 files copied"), None);
    }

    #[test]
    fn what_is_not_training_is_told_by_its_words() {
        for (description, noise) in [
            ("", false),
            ("Epoch 3", false),
            ("Training", false),
            ("Train/val", false),
            ("Epoch 1/5 [val]", true),
            ("Validation DataLoader 0", true),
            ("Sanity Checking", true),
            ("Map (num_proc=4)", true),
            ("Loading checkpoint shards", true),
            ("Generating train split", true),
            ("Evaluating", true),
            ("interval", false),
        ] {
            let drawing = format!("{description}: 10%|# | 1/10 [00:01<00:09, 1.0it/s]");
            let bar = read(&drawing).expect("a bar");
            assert_eq!(is_noise(&bar), noise, "{description}");
        }
    }
}
