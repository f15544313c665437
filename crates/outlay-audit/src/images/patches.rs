//! Small windows at the corners and the edges of an image, where a poisoner pastes a mark.
//!
//! Gu, Dolan-Gavitt, Garg 2017, *BadNets: Identifying Vulnerabilities in the Machine Learning Model Supply Chain*: images that
//! carry a small mark at one place are given one label, and a model learns the mark.

use serde::{Deserialize, Serialize};

use super::pixels::Pixels;

/// Sides of the windows, in pixels.
const SIDES: [u32; 5] = [3, 4, 5, 6, 8];

/// Distances of a window from the edges that it is at, in pixels.
const INSETS: u32 = 4;

/// What a sample is reduced to for two windows to be the same, and for them to be roughly the same.
const LEVEL_BITS: [u32; 2] = [4, 2];

/// Where a window may be: the corner or the edge, told across and down by 0 (left, top), 1 (middle) and 2 (right, bottom).
const ANCHORS: [(u8, u8); 8] = [
    (0, 0),
    (2, 0),
    (0, 2),
    (2, 2),
    (1, 0),
    (1, 2),
    (0, 1),
    (2, 1),
];

/// A window that is looked at in each image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct PatchWindow {
    /// The corner or edge that it is at.
    pub place: &'static str,
    /// Pixels between it and the edges of the image that it is at.
    pub inset_px: u32,
    /// Columns and rows.
    pub side_px: u32,
    #[serde(skip)]
    anchor: (u8, u8),
}

impl PatchWindow {
    /// All of them, in the order of a [`PatchSet`].
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut all = Vec::with_capacity(ANCHORS.len() * INSETS as usize * SIDES.len());
        for anchor in ANCHORS {
            let place = match anchor {
                (0, 0) => "top left",
                (2, 0) => "top right",
                (0, 2) => "bottom left",
                (2, 2) => "bottom right",
                (1, 0) => "top",
                (1, 2) => "bottom",
                (0, 1) => "left",
                _ => "right",
            };
            for inset_px in 0..INSETS {
                all.extend(SIDES.map(|side_px| Self {
                    place,
                    inset_px,
                    side_px,
                    anchor,
                }));
            }
        }
        all
    }

    /// Its first column and row in an image of a size; nothing where it does not fit.
    #[must_use]
    pub fn origin(&self, width: u32, height: u32) -> Option<(u32, u32)> {
        let along = |anchor: u8, n: u32| match anchor {
            0 => (self.inset_px + self.side_px <= n).then_some(self.inset_px),
            1 => n.checked_sub(self.side_px).map(|left| left / 2),
            _ => n.checked_sub(self.inset_px + self.side_px),
        };
        Some((along(self.anchor.0, width)?, along(self.anchor.1, height)?))
    }
}

/// Hashes of an image's windows, in the order of [`PatchWindow::all`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatchSet(pub(super) Box<[Patch]>);

impl PatchSet {
    /// Bytes of memory.
    pub(crate) fn n_bytes(&self) -> usize {
        size_of_val(&*self.0)
    }
}

/// Hashes of one window, both zero where it does not fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Patch {
    /// Of 4 levels of each sample.
    pub rough: u32,
    /// Of 16 levels; the lowest bit says that it is of one colour only.
    pub fine: u32,
}

/// Hashes the windows of an image, about 1.3 kB.
///
/// Two patches are the same where each sample is, reduced to 16 levels. A mark that was saved with loss is found only as far as
/// its colours stay within them.
///
/// ```
/// use outlay_audit::images::{Pixels, patches};
/// let grey = |sample: u8| Pixels::new(28, 28, 1, vec![sample; 28 * 28]).unwrap();
/// assert_eq!(patches(&grey(64)), patches(&grey(70)));
/// assert_ne!(patches(&grey(64)), patches(&grey(80)));
/// ```
#[must_use]
pub fn patches(image: &Pixels) -> PatchSet {
    let windows = PatchWindow::all();
    let hashes = windows.iter().map(|window| {
        window
            .origin(image.width(), image.height())
            .map_or(Patch::default(), |origin| {
                hashed(image, origin, window.side_px)
            })
    });
    PatchSet(hashes.collect())
}

fn hashed(image: &Pixels, (left, top): (u32, u32), side_px: u32) -> Patch {
    let [fine_bits, rough_bits] = LEVEL_BITS.map(|bits| 8 - bits);
    let first = image.seen(left, top).map(|sample| sample >> fine_bits);
    let (mut is_uniform, mut fine, mut rough) = (true, 0, 0);
    for y in top..top + side_px {
        for x in left..left + side_px {
            let seen = image.seen(x, y);
            let level = seen.map(|sample| sample >> fine_bits);
            is_uniform &= level == first;
            fine = mixed(fine, level);
            rough = mixed(rough, seen.map(|sample| sample >> rough_bits));
        }
    }
    // Never zero, which says that there is none.
    let folded = |hash: u64| (hash >> 32) as u32 & !1 | 2;
    Patch {
        rough: folded(rough),
        fine: folded(fine) | u32::from(is_uniform),
    }
}

fn mixed(hash: u64, [red, green, blue]: [u8; 3]) -> u64 {
    let value = (u64::from(red) << 8 | u64::from(green) << 4 | u64::from(blue)) + 1;
    (hash.rotate_left(5) ^ value).wrapping_mul(0xf135_7aea_2e62_a9c5)
}
