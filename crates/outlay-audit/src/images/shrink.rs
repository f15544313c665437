//! Averages over the parts of a plane, each pixel counted by the area that it shares with a part.

/// Sums over `columns` × `rows` equal parts of a plane of `width` × `height` samples, row by row.
///
/// A sum is its part's mean times `width × height`: in units of a `columns × rows`-th of a sample, a part is as large as that.
/// All is whole numbers, so that the order of additions does not matter. The plane has fewer than 2^24 rows.
pub(super) fn part_sums(
    plane: &[u8],
    (width, height): (usize, usize),
    (columns, rows): (usize, usize),
) -> Vec<u64> {
    let mut sums = Vec::with_capacity(columns * rows);
    let mut of_row = vec![0_u32; width];
    for row in 0..rows {
        of_row.fill(0);
        for (y, share) in shares(row, height, rows) {
            let share = share as u32;
            for (sum, sample) in of_row.iter_mut().zip(&plane[y * width..]) {
                *sum += share * u32::from(*sample);
            }
        }
        sums.extend((0..columns).map(|column| {
            shares(column, width, columns)
                .map(|(x, share)| share as u64 * u64::from(of_row[x]))
                .sum::<u64>()
        }));
    }
    sums
}

/// Which of `n` samples the part of a number has, of so many parts, and how much of each in units of a `n_parts`-th.
fn shares(part: usize, n: usize, n_parts: usize) -> impl Iterator<Item = (usize, usize)> {
    let (from, to) = (part * n, (part + 1) * n);
    (from / n_parts..to.div_ceil(n_parts)).map(move |at| {
        let (begins, ends) = (at * n_parts, (at + 1) * n_parts);
        (at, ends.min(to) - begins.max(from))
    })
}

#[cfg(test)]
mod tests {
    use super::part_sums;

    #[test]
    fn a_part_counts_a_sample_by_what_it_has_of_it() {
        // Three samples in two parts: the middle one is halved.
        assert_eq!(
            part_sums(&[10, 20, 60], (3, 1), (2, 1)),
            [10 * 2 + 20, 20 + 60 * 2]
        );
        // One sample in four parts.
        assert_eq!(part_sums(&[7], (1, 1), (2, 2)), [7; 4]);
    }

    proptest::proptest! {
        #[test]
        fn the_mean_stays(width in 1_usize..40, height in 1_usize..40, columns in 1_usize..34, rows in 1_usize..34) {
            let plane: Vec<u8> = (0..width * height).map(|at| (at * 89 % 256) as u8).collect();
            let whole: u64 = plane.iter().map(|sample| u64::from(*sample)).sum();
            let sums: u64 = part_sums(&plane, (width, height), (columns, rows)).iter().sum();
            proptest::prop_assert_eq!(sums, whole * (columns * rows) as u64);
        }
    }
}
