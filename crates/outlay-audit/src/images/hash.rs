//! What two images that look alike have in common: a thumbnail, and two hashes of it.
//!
//! Both hashes leave a little room about the point at which a bit turns: of a simple picture most numbers lie right there, and
//! noise would turn them any way.

use std::sync::LazyLock;

use super::shrink::part_sums;

/// Columns and rows of a thumbnail.
pub(super) const SIDE: usize = 32;

/// Samples of a thumbnail.
pub(super) const N_SAMPLES: usize = SIDE * SIDE;

/// An image's brightness, averaged over 32 × 32 equal parts, row by row.
pub type Thumbnail = [u8; N_SAMPLES];

/// Frequencies of each direction that the perceptual hash looks at.
const FREQUENCIES: usize = 8;

/// What is taken for noise in a coefficient of the transform, in levels of brightness.
///
/// The transform is orthonormal: independent errors of a thumbnail's samples appear in each coefficient with the same
/// deviation. Rounding alone has one of 0.29 levels, and a lossy copy about 0.5; this is four times that.
const COEFFICIENT_NOISE: f32 = 2.0;

/// What is taken for noise in the mean of a part of the difference hash, in levels of brightness.
const LEVEL_NOISE: u64 = 1;

/// `cos(pi (2x + 1) u / 64) / 4` for `u` in 0 to 7, and `sqrt(1/32)` for 0: the rows of an orthonormal DCT-II of 32 numbers.
static COSINES: LazyLock<[[f32; SIDE]; FREQUENCIES]> = LazyLock::new(|| {
    std::array::from_fn(|u| {
        std::array::from_fn(|x| {
            let angle = std::f64::consts::PI * (2 * x + 1) as f64 * u as f64 / (2 * SIDE) as f64;
            let scale = if u == 0 { 1.0_f64 } else { 2.0 };
            ((scale / SIDE as f64).sqrt() * angle.cos()) as f32
        })
    })
});

/// A thumbnail of a plane of brightness.
pub(super) fn thumbnail(luma: &[u8], width: usize, height: usize) -> Thumbnail {
    let area = (width * height) as u64;
    let sums = part_sums(luma, (width, height), (SIDE, SIDE));
    let mut thumbnail = [0; N_SAMPLES];
    for (sample, sum) in thumbnail.iter_mut().zip(sums) {
        *sample = ((sum + area / 2) / area) as u8;
    }
    thumbnail
}

/// The perceptual hash of a thumbnail, from its 63 lowest frequencies.
///
/// Zauner 2010, *Implementation and Benchmarking of Perceptual Image Hash Functions*, section 3.2.1: of the discrete cosine
/// transform of 32 × 32 samples, the 8 × 8 coefficients of the lowest frequencies; a bit says that one is above their median.
/// Here the constant part is left out (its bit, the lowest, is 0), and "above" means by more than noise.
///
/// ```
/// use outlay_audit::perceptual_hash;
/// // One period of the lowest frequency across: of the coefficients that are not zero, the second of the first row is the largest.
/// let mut thumbnail = [0; 1024];
/// for (at, sample) in thumbnail.iter_mut().enumerate() {
///     let angle = std::f64::consts::PI * (2.0 * (at % 32) as f64 + 1.0) / 64.0;
///     *sample = (128.0 + 100.0 * angle.cos()).round() as u8;
/// }
/// assert_eq!(perceptual_hash(&thumbnail), 0b10);
/// assert_eq!(perceptual_hash(&[200; 1024]), 0);
/// ```
#[must_use]
pub fn perceptual_hash(thumbnail: &Thumbnail) -> u64 {
    let cosines = &*COSINES;
    // Of each frequency across, each row's coefficient.
    let mut across = [[0.0_f32; SIDE]; FREQUENCIES];
    for (y, row) in thumbnail.as_chunks::<SIDE>().0.iter().enumerate() {
        let row = row.map(f32::from);
        for (of, cosines) in across.iter_mut().zip(cosines) {
            of[y] = dot(&row, cosines);
        }
    }
    let mut coefficients = [0.0_f32; FREQUENCIES * FREQUENCIES];
    for (v, cosines) in cosines.iter().enumerate() {
        for (u, of) in across.iter().enumerate() {
            coefficients[v * FREQUENCIES + u] = dot(of, cosines);
        }
    }
    let mut sorted = coefficients;
    let (_, median, _) = sorted[1..].select_nth_unstable_by(31, f32::total_cmp);
    let least = *median + COEFFICIENT_NOISE;
    bits(
        coefficients
            .iter()
            .enumerate()
            .map(|(at, coefficient)| at > 0 && *coefficient > least),
    )
}

fn dot(one: &[f32; SIDE], other: &[f32; SIDE]) -> f32 {
    // Eight sums side by side, in an order that no compiler changes.
    let mut sums = [0.0_f32; 8];
    for (one, other) in one.as_chunks::<8>().0.iter().zip(other.as_chunks::<8>().0) {
        for lane in 0..8 {
            sums[lane] += one[lane] * other[lane];
        }
    }
    sums.iter().sum()
}

/// The difference hash of a thumbnail: of 9 × 8 equal parts, a bit says that one is brighter than the next on its right.
///
/// Krawetz 2013, *Kind of Like That*. Here "brighter" means by more than noise.
///
/// ```
/// use outlay_audit::difference_hash;
/// let darker_to_the_right: [u8; 1024] = std::array::from_fn(|at| 255 - 4 * (at % 32) as u8);
/// assert_eq!(difference_hash(&darker_to_the_right), u64::MAX);
/// assert_eq!(difference_hash(&[200; 1024]), 0);
/// ```
#[must_use]
pub fn difference_hash(thumbnail: &Thumbnail) -> u64 {
    let sums = part_sums(thumbnail, (SIDE, SIDE), (9, 8));
    let noise = LEVEL_NOISE * N_SAMPLES as u64;
    bits(
        sums.as_chunks::<9>()
            .0
            .iter()
            .flat_map(|row| row.windows(2))
            .map(|pair| pair[0] > pair[1] + noise),
    )
}

/// The first is the lowest.
fn bits(each: impl Iterator<Item = bool>) -> u64 {
    each.enumerate()
        .fold(0, |bits, (at, is_set)| bits | u64::from(is_set) << at)
}

/// Sums of a thumbnail, from which its mean and its deviation follow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moments {
    sum: u64,
    /// The variance times the square of the number of samples.
    spread: u64,
}

impl Moments {
    pub fn of(thumbnail: &Thumbnail) -> Self {
        let sum: u64 = thumbnail.iter().map(|sample| u64::from(*sample)).sum();
        let squares: u64 = thumbnail
            .iter()
            .map(|sample| u64::from(*sample).pow(2))
            .sum();
        Self {
            sum,
            spread: N_SAMPLES as u64 * squares - sum * sum,
        }
    }

    /// The standard deviation, in levels of brightness.
    pub fn deviation(self) -> f64 {
        (self.spread as f64).sqrt() / N_SAMPLES as f64
    }

    /// The correlation of two thumbnails with these.
    pub fn correlation(self, thumbnail: &Thumbnail, other: Self, of_other: &Thumbnail) -> f64 {
        if self.spread == 0 || other.spread == 0 {
            return if thumbnail == of_other { 1.0 } else { 0.0 };
        }
        let product: u32 = thumbnail
            .iter()
            .zip(of_other)
            .map(|(one, other)| u32::from(*one) * u32::from(*other))
            .sum();
        let together = N_SAMPLES as i64 * i64::from(product) - (self.sum * other.sum) as i64;
        together as f64 / ((self.spread as f64).sqrt() * (other.spread as f64).sqrt())
    }
}

/// The correlation of two thumbnails (Pearson's), from -1 to 1; of one colour alone only equals are correlated.
///
/// ```
/// use outlay_audit::thumbnail_correlation;
/// let ramp: [u8; 1024] = std::array::from_fn(|at| (at % 32) as u8);
/// // Brightness and contrast do not count.
/// assert!((thumbnail_correlation(&ramp, &ramp.map(|sample| 3 * sample + 20)) - 1.0).abs() < 1e-12);
/// assert!((thumbnail_correlation(&ramp, &ramp.map(|sample| 31 - sample)) + 1.0).abs() < 1e-12);
/// ```
#[must_use]
pub fn thumbnail_correlation(one: &Thumbnail, other: &Thumbnail) -> f64 {
    Moments::of(one).correlation(one, Moments::of(other), other)
}

/// One of the eight ways in which a square may lie: by 90 degrees to the right each, the last four mirrored before.
pub(super) fn turned(thumbnail: &Thumbnail, way: usize) -> Thumbnail {
    let last = SIDE - 1;
    std::array::from_fn(|at| {
        let (mut y, mut x) = (at / SIDE, at % SIDE);
        for _ in 0..way % 4 {
            (y, x) = (last - x, y);
        }
        if way >= 4 {
            x = last - x;
        }
        thumbnail[y * SIDE + x]
    })
}

#[cfg(test)]
mod tests {
    use super::{N_SAMPLES, Thumbnail, turned};

    #[test]
    fn eight_ways_are_different_and_four_turns_are_none() {
        let thumbnail: Thumbnail = std::array::from_fn(|at| (at * at % 251) as u8);
        let ways: Vec<Thumbnail> = (0..8).map(|way| turned(&thumbnail, way)).collect();
        for one in 0..8 {
            for other in 0..one {
                assert_ne!(ways[one], ways[other]);
            }
        }
        let four = (0..4).fold(thumbnail, |thumbnail, _| turned(&thumbnail, 1));
        assert_eq!((four, ways[0].len()), (thumbnail, N_SAMPLES));
    }
}
