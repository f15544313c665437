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
/// use outlay_audit::images::perceptual_hash;
/// // A step from bright to dark has the odd frequencies across, with signs in turn: of 1, 3, 5 and 7 the first and the third.
/// let step: [u8; 1024] = std::array::from_fn(|at| if at % 32 < 16 { 200 } else { 100 });
/// assert_eq!(perceptual_hash(&step), 1 << 1 | 1 << 5);
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
/// use outlay_audit::images::difference_hash;
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

/// The standard deviation of a thumbnail, in levels of brightness.
pub(super) fn deviation(thumbnail: &Thumbnail) -> f64 {
    let sum: u64 = thumbnail.iter().map(|sample| u64::from(*sample)).sum();
    let squares: u64 = thumbnail
        .iter()
        .map(|sample| u64::from(*sample).pow(2))
        .sum();
    ((N_SAMPLES as u64 * squares - sum * sum) as f64).sqrt() / N_SAMPLES as f64
}

/// Samples on each side of one about which the surroundings are averaged.
const AROUND: usize = 3;

/// What a thumbnail differs by from its surroundings, scaled to whole numbers.
#[derive(Clone, Debug)]
pub(super) struct Detail {
    pub samples: [i8; N_SAMPLES],
    sum: i64,
    /// The variance times the square of the number of samples.
    spread: i64,
}

impl Detail {
    /// The detail of a thumbnail; inlined, for what the processor has to be used.
    #[inline(always)]
    pub fn of(thumbnail: &Thumbnail) -> Self {
        const AROUND_BOTH: usize = 2 * AROUND + 1;
        let n_within = |at: usize| (at + AROUND + 1).min(SIDE) - at.saturating_sub(AROUND);
        // Sums of a window's rows and then of its columns, where zeros lie about the thumbnail.
        let mut across = [[0_u16; SIDE]; SIDE + 2 * AROUND];
        for (sums, row) in across[AROUND..]
            .iter_mut()
            .zip(thumbnail.as_chunks::<SIDE>().0)
        {
            let mut wide = [0_u16; SIDE + 2 * AROUND];
            for (to, sample) in wide[AROUND..].iter_mut().zip(row) {
                *to = u16::from(*sample);
            }
            for shift in 0..AROUND_BOTH {
                for x in 0..SIDE {
                    sums[x] += wide[x + shift];
                }
            }
        }
        let mut differs = [0.0_f32; N_SAMPLES];
        for (y, differs) in differs.as_chunks_mut::<SIDE>().0.iter_mut().enumerate() {
            let mut sums = [0_u16; SIDE];
            for row in &across[y..y + AROUND_BOTH] {
                for x in 0..SIDE {
                    sums[x] += row[x];
                }
            }
            for x in 0..SIDE {
                let n = (n_within(y) * n_within(x)) as f32;
                differs[x] = f32::from(thumbnail[y * SIDE + x]) - f32::from(sums[x]) / n;
            }
        }
        let mut largest = 0.0_f32;
        for value in &differs {
            largest = if value.abs() > largest {
                value.abs()
            } else {
                largest
            };
        }
        let scale = if largest > 0.0 { 127.0 / largest } else { 0.0 };
        // Rounded, from -127 to 127.
        let mut samples = [0; N_SAMPLES];
        for (sample, value) in samples.iter_mut().zip(&differs) {
            *sample = ((*value * scale + 128.5) as i32 - 128) as i8;
        }
        Self::from_samples(samples)
    }

    /// The detail of which these are the samples.
    #[inline(always)]
    pub fn from_samples(samples: [i8; N_SAMPLES]) -> Self {
        let (mut sum, mut squares) = (0_i32, 0_i32);
        for sample in &samples {
            let sample = i32::from(*sample);
            sum += sample;
            squares += sample * sample;
        }
        let (sum, squares) = (i64::from(sum), i64::from(squares));
        Self {
            samples,
            sum,
            spread: N_SAMPLES as i64 * squares - sum * sum,
        }
    }

    /// The correlation with the samples of another; inlined, for what the processor has to be used.
    #[inline(always)]
    pub fn correlation(&self, other: &Self, samples_of_other: &[i8; N_SAMPLES]) -> f64 {
        if self.spread == 0 || other.spread == 0 {
            return 0.0;
        }
        let mut product = 0_i32;
        for (one, other) in self.samples.iter().zip(samples_of_other) {
            product += i32::from(*one) * i32::from(*other);
        }
        let together = N_SAMPLES as i64 * i64::from(product) - self.sum * other.sum;
        together as f64 / ((self.spread as f64).sqrt() * (other.spread as f64).sqrt())
    }
}

/// The correlation (Pearson's) of what two thumbnails differ by from their surroundings, from -1 to 1.
///
/// From each sample the mean of the 7 × 7 samples about it is taken. The outline and the lighting, in which many pictures of a
/// kind are alike, count for less than in the correlation of the thumbnails themselves. A thumbnail of one colour has no detail,
/// and is correlated with nothing.
///
/// ```
/// use outlay_audit::images::detail_correlation;
/// let board: [u8; 1024] = std::array::from_fn(|at| if (at / 32 / 4 + at % 32 / 4) % 2 == 0 { 20 } else { 60 });
/// // Brightness and contrast do not count.
/// assert!((detail_correlation(&board, &board.map(|sample| 3 * sample + 20)) - 1.0).abs() < 1e-12);
/// assert!((detail_correlation(&board, &board.map(|sample| 80 - sample)) + 1.0).abs() < 1e-12);
/// assert_eq!(detail_correlation(&board, &[20; 1024]), 0.0);
/// ```
#[must_use]
pub fn detail_correlation(one: &Thumbnail, other: &Thumbnail) -> f64 {
    let other = Detail::of(other);
    Detail::of(one).correlation(&other, &other.samples)
}

/// One of the eight ways in which a square may lie: by 90 degrees to the right each, the last four mirrored before.
pub(super) fn turned<T: Copy>(square: &[T; N_SAMPLES], way: usize) -> [T; N_SAMPLES] {
    let last = SIDE - 1;
    std::array::from_fn(|at| {
        let (mut y, mut x) = (at / SIDE, at % SIDE);
        for _ in 0..way % 4 {
            (y, x) = (last - x, y);
        }
        if way >= 4 {
            x = last - x;
        }
        square[y * SIDE + x]
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
