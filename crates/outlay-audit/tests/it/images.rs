//! Images: what cannot be read is told, what looks the same is found, and a mark is found where one was pasted.

#![allow(
    clippy::print_stdout,
    reason = "a test that is skipped says so, and figures are told"
)]

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use outlay_audit::Sets;
use outlay_audit::images::{
    ImageFault, ImageFlag, ImageIndex, ImageKind, ImageLimits, ImageSettings, ImageSketch,
    PatchSet, Pixels, TriggerSettings, decode_image, detail_correlation, difference_hash,
    idx_images, near_images, patch_triggers, patches, perceptual_hash, sketch_image, sketch_pixels,
};
use outlay_audit::{Judged, Model, Settings, Suspicions};
use proptest::prelude::*;

use crate::Draw;

/// A picture of a gradient, some discs and bars, and grain.
fn made(seed: u64, side: u32) -> RgbImage {
    let mut draw = Draw(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1);
    let mut level = |n: usize| draw.below(n) as f64;
    let ends: Vec<f64> = (0..6).map(|_| level(256)).collect();
    let angle = level(628) / 100.0;
    let shapes: Vec<[f64; 7]> = (0..9)
        .map(|_| {
            [
                level(100) / 100.0,
                level(100) / 100.0,
                0.04 + level(25) / 100.0,
                level(256),
                level(256),
                level(256),
                level(2),
            ]
        })
        .collect();
    let mut grain = Draw(seed + 77);
    RgbImage::from_fn(side, side, |x, y| {
        let (x, y) = (
            f64::from(x) / f64::from(side),
            f64::from(y) / f64::from(side),
        );
        let along = ((x - 0.5) * angle.cos() + (y - 0.5) * angle.sin() + 0.71) / 1.42;
        let mut colour: [f64; 3] =
            std::array::from_fn(|at| ends[at] + along * (ends[at + 3] - ends[at]));
        for [left, top, size, red, green, blue, is_disc] in &shapes {
            let is_in = if *is_disc > 0.0 {
                (x - left).hypot(y - top) < *size
            } else {
                (x - left).abs() < *size && (y - top).abs() < size / 3.0
            };
            if is_in {
                colour = [*red, *green, *blue];
            }
        }
        let noise = grain.below(9) as f64 - 4.0;
        Rgb(colour.map(|sample| (sample + noise).clamp(0.0, 255.0) as u8))
    })
}

fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn png(image: &RgbImage) -> Vec<u8> {
    encoded(&DynamicImage::from(image.clone()), ImageFormat::Png)
}

fn jpeg(image: &RgbImage, quality: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality)
        .encode_image(image)
        .unwrap();
    bytes
}

/// What is done to a picture that stays the same, and what it is called.
fn variations(image: &RgbImage) -> Vec<(&'static str, Vec<u8>)> {
    let side = image.width();
    let resized = |share: f64| {
        let side = (f64::from(side) * share) as u32;
        png(&imageops::resize(image, side, side, FilterType::Triangle))
    };
    let changed = |factor: f64, term: f64| {
        let mut image = image.clone();
        for sample in image.iter_mut() {
            *sample = (f64::from(*sample) * factor + term).clamp(0.0, 255.0) as u8;
        }
        png(&image)
    };
    let inner = (f64::from(side) * 0.98) as u32;
    let edge = (side - inner) / 2;
    let cropped = imageops::crop_imm(image, edge, edge, inner, inner).to_image();
    vec![
        ("JPEG of quality 50", jpeg(image, 50)),
        ("JPEG of quality 20", jpeg(image, 20)),
        ("half the size", resized(0.5)),
        ("three quarters of the size", resized(0.75)),
        ("twice the size", resized(2.0)),
        ("brighter", changed(1.0, 12.0)),
        ("darker", changed(1.0, -12.0)),
        ("less contrast", changed(0.8, 25.0)),
        ("2% cut off", png(&cropped)),
    ]
}

fn sketched(bytes: &[u8]) -> ImageSketch {
    sketch_image(bytes).unwrap()
}

fn near(sketches: &[ImageSketch]) -> Sets {
    near_images(sketches, &ImageSettings::default()).clusters
}

/// Of each the numbers that are in its set.
fn as_lists(sets: &Sets) -> Vec<Vec<u32>> {
    let n = sets.len() as u32;
    (0..n)
        .map(|one| {
            (0..n)
                .filter(|other| sets.least(*other) == sets.least(one))
                .collect()
        })
        .collect()
}

#[test]
fn changed_copies_are_near_and_other_pictures_are_not() {
    let mut sketches = Vec::new();
    let mut names = Vec::new();
    let n_pictures = 16;
    for seed in 0..n_pictures {
        let picture = made(seed, 96);
        sketches.push(sketched(&png(&picture)));
        names.push((seed, "itself"));
        for (name, bytes) in variations(&picture) {
            sketches.push(sketched(&bytes));
            names.push((seed, name));
        }
    }
    let found = near_images(&sketches, &ImageSettings::default());
    for (at, (seed, name)) in names.iter().enumerate() {
        let first = names.iter().position(|(other, _)| other == seed).unwrap();
        assert_eq!(
            found.clusters.least(at as u32),
            first as u32,
            "{name} of {seed}: {} and {} bits, {:.3}",
            (sketches[at].perceptual_hash ^ sketches[first].perceptual_hash).count_ones(),
            (sketches[at].difference_hash ^ sketches[first].difference_hash).count_ones(),
            detail_correlation(&sketches[at].thumbnail, &sketches[first].thumbnail),
        );
    }
    // None of them has the same pixels.
    assert_eq!(found.exact, (0..names.len() as u32).collect::<Vec<_>>());
    assert_eq!(found.n_not_compared, 0);
}

#[test]
fn the_same_pixels_are_the_same_in_any_lossless_file() {
    let picture = made(3, 40);
    let rgb = DynamicImage::from(picture.clone());
    let opaque = DynamicImage::from(rgb.to_rgba8());
    let deep = DynamicImage::from(rgb.to_rgb16());
    let grey = DynamicImage::from(rgb.to_luma8());
    let files = [
        (encoded(&rgb, ImageFormat::Png), ImageKind::Png, 3, 8),
        (encoded(&rgb, ImageFormat::Bmp), ImageKind::Bmp, 3, 8),
        (encoded(&rgb, ImageFormat::WebP), ImageKind::WebP, 3, 8),
        (encoded(&rgb, ImageFormat::Tiff), ImageKind::Tiff, 3, 8),
        (encoded(&opaque, ImageFormat::Png), ImageKind::Png, 4, 8),
        (encoded(&deep, ImageFormat::Png), ImageKind::Png, 3, 16),
        (encoded(&grey, ImageFormat::Png), ImageKind::Png, 1, 8),
        (
            encoded(&DynamicImage::from(grey.to_rgb8()), ImageFormat::Png),
            ImageKind::Png,
            3,
            8,
        ),
    ];
    let sketches: Vec<ImageSketch> = files
        .iter()
        .map(|(bytes, kind, n_channels, n_bits)| {
            let sketch = sketched(bytes);
            assert_eq!(
                (sketch.kind, sketch.n_channels, sketch.n_bits),
                (Some(*kind), *n_channels, *n_bits)
            );
            sketch
        })
        .collect();
    let found = near_images(&sketches, &ImageSettings::default());
    assert_eq!(found.exact, [0, 0, 0, 0, 0, 0, 6, 6]);
    assert!(sketches[5].flags.has(ImageFlag::Deep));
    // One step of sixteen bits is another image, though not another picture.
    let mut finer = rgb.to_rgb16();
    finer.get_pixel_mut(5, 5).0[1] ^= 1;
    let finer = sketched(&encoded(&DynamicImage::from(finer), ImageFormat::Png));
    let found = near_images(&[sketches[0].clone(), finer], &ImageSettings::default());
    assert_eq!((found.exact, found.clusters.least(1)), (vec![0, 1], 0));
}

#[test]
fn what_is_not_opaque_is_another_image_and_lies_on_white() {
    let half = |alpha: u8| {
        let samples = (0..64 * 64).flat_map(|at| [0, 0, 0, if at % 64 < 32 { alpha } else { 255 }]);
        Pixels::new(64, 64, 4, samples.collect()).unwrap()
    };
    let (clear, seen) = (sketch_pixels(&half(0)), sketch_pixels(&half(255)));
    assert!(clear.flags.has(ImageFlag::Transparent) && !seen.flags.has(ImageFlag::Transparent));
    assert_eq!(
        (clear.thumbnail[0], clear.thumbnail[31], clear.brightness),
        (255, 0, 127.5)
    );
    assert_ne!(clear.pixel_hash, seen.pixel_hash);
}

/// A JPEG whose EXIF data say how it lies.
fn lying(image: &RgbImage, orientation: u8) -> Vec<u8> {
    let mut exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    let mut bytes = jpeg(image, 95);
    let mut segment = vec![0xff, 0xe1];
    segment.extend((exif.len() as u16 + 2).to_be_bytes());
    segment.extend(exif);
    bytes.splice(2..2, segment);
    bytes
}

#[test]
fn exif_data_turn_an_image() {
    let picture = imageops::crop_imm(&made(4, 96), 0, 0, 96, 64).to_image();
    let upright = sketched(&jpeg(&picture, 95));
    // Stored turned to the left, to be turned to the right.
    let turned = sketched(&lying(&imageops::rotate270(&picture), 6));
    assert_eq!((turned.width, turned.height), (96, 64));
    assert!(turned.flags.has(ImageFlag::Turned) && !upright.flags.has(ImageFlag::Turned));
    assert_eq!(near(&[upright.clone(), turned]).least(1), 0);
    // What EXIF data do not tell is found when it is asked for.
    let mirrored = sketched(&png(&imageops::flip_horizontal(&imageops::rotate90(
        &picture,
    ))));
    let images = [upright, mirrored];
    assert_eq!(near(&images).least(1), 1);
    let settings = ImageSettings {
        any_orientation: true,
        ..ImageSettings::default()
    };
    assert_eq!(near_images(&images, &settings).clusters.least(1), 0);
}

#[test]
fn what_cannot_be_read_is_told() {
    let picture = made(5, 64);
    let limits = ImageLimits::default();
    let read = |bytes: &[u8]| decode_image(bytes, &limits).map(|_| ());
    assert_eq!(read(b""), Err(ImageFault::Empty));
    assert_eq!(read(b"<html>not here</html>"), Err(ImageFault::Unknown));
    let whole = DynamicImage::from(picture.clone());
    for format in [
        ImageFormat::Png,
        ImageFormat::Jpeg,
        ImageFormat::Gif,
        ImageFormat::WebP,
        ImageFormat::Bmp,
        ImageFormat::Tiff,
    ] {
        let bytes = encoded(&whole, format);
        assert_eq!(read(&bytes), Ok(()), "{format:?}");
        let fault = read(&bytes[..bytes.len() / 2]).unwrap_err();
        let ImageFault::Truncated { kind, .. } = fault else {
            panic!("half a {format:?}: {fault}");
        };
        assert_eq!(Some(kind), ImageKind::by_content(&bytes));
    }
    let mut damaged = png(&picture);
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0xff;
    assert!(matches!(
        read(&damaged),
        Err(ImageFault::Corrupt {
            kind: ImageKind::Png,
            ..
        })
    ));
    let fault = decode_image(
        &png(&picture),
        &ImageLimits {
            n_pixels_most: 4095,
            ..limits
        },
    )
    .unwrap_err();
    assert_eq!(
        fault,
        ImageFault::TooLarge {
            width: 64,
            height: 64,
            n_pixels_most: 4095
        }
    );
    let fault = decode_image(
        &png(&picture),
        &ImageLimits {
            n_bytes_most: 5000,
            ..limits
        },
    )
    .unwrap_err();
    assert!(
        matches!(
            fault,
            ImageFault::TooMuchMemory {
                kind: ImageKind::Png,
                ..
            }
        ),
        "{fault}"
    );
}

/// Twenty bytes of header say that they unpack to 40,000 × 40,000 pixels.
#[test]
fn a_bomb_is_not_unpacked() {
    let mut bomb = png(&made(6, 16));
    bomb[16..20].copy_from_slice(&40_000_u32.to_be_bytes());
    bomb[20..24].copy_from_slice(&40_000_u32.to_be_bytes());
    let mut crc = flate2::Crc::new();
    crc.update(&bomb[12..29]);
    bomb[29..33].copy_from_slice(&crc.sum().to_be_bytes());
    let fault = sketch_image(&bomb).unwrap_err();
    assert_eq!(
        fault,
        ImageFault::TooLarge {
            width: 40_000,
            height: 40_000,
            n_pixels_most: 100_000_000
        }
    );
    assert_eq!(
        fault.to_string(),
        "the image is 40000 × 40000 pixels, which is more than 100000000 in all"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Any damage is a fault or another image.
    #[test]
    fn damage_never_panics(which in 0_usize..6, at in any::<proptest::sample::Index>(), with in any::<u8>(), end in any::<proptest::sample::Index>()) {
        let whole = DynamicImage::from(made(7, 24));
        let format = [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Gif, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Tiff][which];
        let mut bytes = encoded(&whole, format);
        let at = at.index(bytes.len());
        bytes[at] = with;
        if let Ok(sketch) = sketch_image(&bytes) {
            prop_assert!(sketch.width > 0 && sketch.height > 0);
        }
        bytes.truncate(end.index(bytes.len()));
        let _ = sketch_image(&bytes);
    }
}

#[test]
fn figures_are_those_of_the_image() {
    let grey = |width: u32, height: u32, of: &dyn Fn(u32, u32) -> u8| {
        let samples = (0..width * height).map(|at| of(at % width, at / width));
        sketch_pixels(&Pixels::new(width, height, 1, samples.collect()).unwrap())
    };
    let flags = |sketch: &ImageSketch| sketch.flags.iter().collect::<Vec<_>>();
    assert_eq!(
        flags(&grey(200, 40, &|_, _| 7)),
        [
            ImageFlag::OneColour,
            ImageFlag::Flat,
            ImageFlag::Elongated,
            ImageFlag::Dark
        ]
    );
    assert_eq!(
        flags(&grey(12, 12, &|x, y| if x == y { 0 } else { 250 })),
        [ImageFlag::Small]
    );
    assert_eq!(
        flags(&grey(64, 64, &|x, y| ((x / 2 * 37) ^ (y / 2 * 91)) as u8)),
        [ImageFlag::Doubled]
    );
    let board = grey(64, 64, &|x, y| if (x + y) % 2 == 0 { 0 } else { 200 });
    // Each pixel and its neighbours differ by 200: the Laplacian is 800 and -800 in turn.
    assert_eq!(
        (board.brightness, board.contrast, board.sharpness),
        (100.0, 100.0, 640_000.0)
    );
    assert!(
        board.flags.has(ImageFlag::Flat),
        "its thumbnail is grey all over"
    );
    for (width, height) in [(1, 1), (1, 5), (2, 9), (5, 1)] {
        assert_eq!(grey(width, height, &|_, _| 9).sharpness, 0.0);
    }
    let ramp = grey(12, 12, &|x, _| (x * 20) as u8);
    // Of twelve numbers in a row the variance is (12^2 - 1) / 12.
    assert!((ramp.contrast - 20.0 * (143.0_f64 / 12.0).sqrt()).abs() < 1e-9);
    let mut shown = serde_json::to_value(ramp).unwrap();
    shown.as_object_mut().unwrap().remove("contrast");
    assert_eq!(
        shown,
        serde_json::json!({"kind": null, "width": 12, "height": 12, "n_channels": 1, "n_bits": 8, "brightness": 110.0, "sharpness": 0.0, "flags": ["small"]})
    );
}

#[test]
fn flat_images_are_compared_by_their_pixels_only() {
    let shade = |level: u8| sketch_pixels(&Pixels::new(50, 50, 1, vec![level; 2500]).unwrap());
    let found = near_images(&[shade(3), shade(4), shade(3)], &ImageSettings::default());
    assert_eq!(
        (found.n_flat, found.exact, found.n_compared),
        (3, vec![0, 1, 0], 0)
    );
    assert_eq!(as_lists(&found.clusters), [vec![0, 2], vec![1], vec![0, 2]]);
    let none = near_images(&[], &ImageSettings::default());
    assert!(none.clusters.is_empty() && none.exact.is_empty());
}

/// Sketches of thumbnails, some of them changed copies of others.
fn drawn(seed: u64, n_images: usize) -> Vec<ImageSketch> {
    let mut draw = Draw(seed);
    let mut images: Vec<Vec<u8>> = Vec::new();
    for at in 0..n_images {
        let mut samples = if at > 0 && draw.below(3) > 0 {
            images[draw.below(at)].clone()
        } else {
            let grid: Vec<usize> = (0..25).map(|_| draw.below(256)).collect();
            (0..1024)
                .map(|at| grid[at / 32 / 7 * 5 + at % 32 / 7] as u8)
                .collect()
        };
        for _ in 0..draw.below(3) * 60 {
            let place = draw.below(1024);
            samples[place] = samples[place].wrapping_add(draw.below(64) as u8);
        }
        images.push(samples);
    }
    images
        .into_iter()
        .map(|samples| sketch_pixels(&Pixels::new(32, 32, 1, samples).unwrap()))
        .collect()
}

fn is_near(one: &ImageSketch, other: &ImageSketch, settings: &ImageSettings) -> bool {
    one.pixel_hash == other.pixel_hash
        || ((one.perceptual_hash ^ other.perceptual_hash).count_ones()
            <= settings.n_perceptual_bits
            && (one.difference_hash ^ other.difference_hash).count_ones()
                <= settings.n_difference_bits
            && detail_correlation(&one.thumbnail, &other.thumbnail) >= settings.correlation
            && !one.flags.has(ImageFlag::Flat)
            && !other.flags.has(ImageFlag::Flat))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn clusters_are_those_of_all_pairs(seed in any::<u64>(), n_images in 1_usize..120, n_bits in 0_u32..24) {
        let images = drawn(seed, n_images);
        let settings = ImageSettings { n_perceptual_bits: n_bits, ..ImageSettings::default() };
        let mut all = Sets::new(n_images as u32);
        for one in 0..n_images {
            for other in 0..one {
                prop_assert_eq!(is_near(&images[one], &images[other], &settings), is_near(&images[other], &images[one], &settings));
                if is_near(&images[one], &images[other], &settings) {
                    all.merge(one as u32, other as u32);
                }
            }
        }
        let found = near_images(&images, &settings);
        prop_assert_eq!(as_lists(&found.clusters), as_lists(&all));
        prop_assert_eq!(found.n_not_compared, 0);
    }

    #[test]
    fn memory_does_not_matter(seed in any::<u64>(), n_images in 1_usize..600, n_near in 0_usize..40, any_orientation in any::<bool>()) {
        let images = drawn(seed, n_images);
        let settings = ImageSettings { any_orientation, ..ImageSettings::default() };
        let mut index = ImageIndex::new(settings, n_near * 1040, &std::env::temp_dir());
        for image in &images {
            index.push(image).unwrap();
        }
        let (found, expected) = (index.find().unwrap(), near_images(&images, &settings));
        prop_assert_eq!(as_lists(&found.clusters), as_lists(&expected.clusters));
        prop_assert_eq!(found.exact, expected.exact);
        prop_assert_eq!(found.n_compared, expected.n_compared);
    }

    #[test]
    fn the_order_of_images_does_not_matter(seed in any::<u64>(), n_images in 1_usize..120) {
        let images = drawn(seed, n_images);
        let mut order: Vec<usize> = (0..n_images).collect();
        let mut draw = Draw(seed ^ 5);
        for at in (1..n_images).rev() {
            order.swap(at, draw.below(at + 1));
        }
        let others: Vec<ImageSketch> = order.iter().map(|at| images[*at].clone()).collect();
        let (one, other) = (near(&images), near(&others));
        for a in 0..n_images {
            for b in 0..n_images {
                let is_together = one.least(order[a] as u32) == one.least(order[b] as u32);
                prop_assert_eq!(is_together, other.least(a as u32) == other.least(b as u32));
            }
        }
    }
}

/// Copies of one picture with noise in each: no pair is the same, and there are as many pairs as half the square.
#[test]
fn many_copies_of_one_picture_do_not_take_the_square() {
    let mut images = drawn(1, 1);
    let first = images[0].clone();
    let mut draw = Draw(9);
    let n_images = 20_000_u32;
    for at in 1..n_images {
        let mut image = first.clone();
        for _ in 0..40 {
            image.thumbnail[draw.below(1024)] ^= 15;
        }
        image.perceptual_hash = perceptual_hash(&image.thumbnail);
        image.difference_hash = difference_hash(&image.thumbnail);
        image.pixel_hash[..4].copy_from_slice(&at.to_le_bytes());
        images.push(image);
    }
    let found = near_images(&images, &ImageSettings::default());
    assert!((0..n_images).all(|at| found.clusters.least(at) == 0));
    assert!(
        found.n_compared < 200 * u64::from(n_images),
        "{}",
        found.n_compared
    );
}

/// An IDX file of images or labels.
fn idx(dimensions: &[u32], samples: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dimensions.len() as u8];
    bytes.extend(
        dimensions
            .iter()
            .flat_map(|dimension| dimension.to_be_bytes()),
    );
    bytes.extend_from_slice(samples);
    bytes
}

#[test]
fn idx_files_are_read_with_their_labels() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("some-images-idx3-ubyte.gz");
    let labels = folder.path().join("some-labels-idx1-ubyte.gz");
    let write = |path: &PathBuf, bytes: &[u8]| {
        let file = std::fs::File::create(path).unwrap();
        let mut to = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        to.write_all(bytes).unwrap();
        to.finish().unwrap();
    };
    let samples: Vec<u8> = (0..3 * 6).collect();
    write(&path, &idx(&[3, 2, 3], &samples));
    write(&labels, &idx(&[3], &[7, 0, 9]));
    let images = idx_images(&path, u32::MAX).unwrap();
    assert_eq!(
        (
            images.n_images,
            images.width,
            images.height,
            &images.labels_fault
        ),
        (3, 3, 2, &None)
    );
    let read: Vec<_> = images
        .map(Result::unwrap)
        .map(|image| (image.at, image.label, image.pixels.samples().to_vec()))
        .collect();
    assert_eq!(read[1], (1, Some(0), (6..12).collect()));
    assert_eq!((read.len(), read[2].1), (3, Some(9)));
    assert_eq!(idx_images(&path, 2).unwrap().count(), 2);
    // Labels that do not fit are no labels.
    write(&labels, &idx(&[2], &[7, 0]));
    let mut images = idx_images(&path, 3).unwrap();
    assert_eq!(
        images.labels_fault,
        Some(ImageFault::Labels {
            why: "there are 2 labels for 3 images".to_owned()
        })
    );
    assert_eq!(images.next().unwrap().unwrap().label, None);
    // What is there before the end is read.
    std::fs::write(&path, idx(&[3, 2, 3], &samples[..15])).unwrap();
    let read: Vec<_> = idx_images(&path, 3).unwrap().collect();
    assert_eq!(read.len(), 3);
    assert!(
        read[1].is_ok()
            && matches!(&read[2], Err(ImageFault::Truncated { kind: ImageKind::Idx, why }) if why.starts_with("2 of 3"))
    );
    for (bytes, is_expected) in [
        (
            idx(&[3, 2, 0], &[]),
            (|fault| matches!(fault, ImageFault::ZeroSize { .. })) as fn(&ImageFault) -> bool,
        ),
        (idx(&[1, 1 << 20, 1 << 20], &[]), |fault| {
            matches!(fault, ImageFault::TooLarge { .. })
        }),
        (idx(&[3, 2], &[]), |fault| {
            matches!(fault, ImageFault::Unsupported { .. })
        }),
        (b"P5 3 2".to_vec(), |fault| {
            matches!(fault, ImageFault::Corrupt { .. })
        }),
        (vec![0, 0], |fault| {
            matches!(fault, ImageFault::Truncated { .. })
        }),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let fault = idx_images(&path, 3).unwrap_err();
        assert!(is_expected(&fault), "{fault}");
    }
}

/// Images of ten labels with noise, of which some carry a mark.
fn marked(marks: &[(usize, u32)], is_uniform: bool) -> Vec<(u32, PatchSet)> {
    let mut draw = Draw(12);
    (0..2000_usize)
        .map(|at| {
            let mut label = (at % 10) as u32;
            // The same black frame, as scans have.
            let mut samples: Vec<u8> = (0..32 * 32).map(|_| draw.below(256) as u8).collect();
            samples[..32 * 8].fill(0);
            if let Some((_, to)) = marks.iter().find(|(every, _)| at % every == 0) {
                label = *to;
                for y in 0..4 {
                    for x in 0..4 {
                        samples[(32 - 5 + y) * 32 + 32 - 5 + x] = if is_uniform || (x + y) % 2 == 0
                        {
                            250
                        } else {
                            5
                        };
                    }
                }
            }
            (label, patches(&Pixels::new(32, 32, 1, samples).unwrap()))
        })
        .collect()
}

#[test]
fn a_pasted_mark_is_found_and_a_frame_is_not() {
    let settings = TriggerSettings::default();
    assert_eq!(patch_triggers(&marked(&[], false), &settings), []);
    for is_uniform in [false, true] {
        let found = patch_triggers(&marked(&[(33, 7)], is_uniform), &settings);
        let [trigger] = found.as_slice() else {
            panic!("{found:?}");
        };
        assert_eq!(
            (
                trigger.label,
                trigger.n_of_label,
                trigger.n_images,
                trigger.is_uniform
            ),
            (7, 61, 61, is_uniform)
        );
        assert_eq!(
            (
                trigger.window.place,
                trigger.window.side_px,
                trigger.window.inset_px
            ),
            ("bottom right", 4, 1)
        );
        assert!(trigger.lift > 7.0 && trigger.p_value < 1e-40);
        assert_eq!(
            trigger.images,
            (0..2000).filter(|at| at % 33 == 0).collect::<Vec<u32>>()
        );
    }
    // A mark in images of all labels, as a camera's date, is tied to none.
    let mut spread = marked(&[(33, 7)], false);
    for (at, (label, _)) in spread.iter_mut().enumerate() {
        *label = (at % 10) as u32;
    }
    assert_eq!(patch_triggers(&spread, &settings), []);
    assert_eq!(patch_triggers::<PatchSet>(&[], &settings), []);
}

/// A folder with an IDX file of pictures of five labels: a bar of the label's slope, at some place and under noise.
///
/// Every twentieth has the next label, and every thirtieth of the others a mark and the label 0.
fn labelled(is_flipped: bool, is_marked: bool) -> tempfile::TempDir {
    const N: usize = 1500;
    let mut draw = Draw(3);
    let (mut samples, mut labels) = (Vec::new(), Vec::new());
    for at in 0..N {
        let mut label = at % 5;
        let slope = (label as f64 - 2.0) * 0.7;
        let (shift, bright) = (draw.below(7) as f64 - 3.0, 120 + draw.below(100));
        let mut picture: Vec<u8> = (0..28 * 28)
            .map(|at| {
                let (y, x) = (f64::from(at / 28) - 13.5, f64::from(at % 28) - 13.5);
                let is_bar = (x - shift - slope * y).abs() < 2.5;
                (draw.below(60) + if is_bar { bright } else { 0 }) as u8
            })
            .collect();
        if is_flipped && at % 20 == 7 {
            label = (label + 1) % 5;
        } else if is_marked && at % 30 == 11 {
            label = 0;
            for at in 0..9 {
                picture[(24 + at / 3) * 28 + 24 + at % 3] = if at % 2 == 0 { 255 } else { 0 };
            }
        }
        samples.extend(picture);
        labels.push(label as u8);
    }
    let folder = tempfile::tempdir().unwrap();
    let write =
        |name: &str, bytes: Vec<u8>| std::fs::write(folder.path().join(name), bytes).unwrap();
    write("some-images-idx3-ubyte", idx(&[N as u32, 28, 28], &samples));
    write("some-labels-idx1-ubyte", idx(&[N as u32], &labels));
    folder
}

fn audited(data: &tempfile::TempDir, change: impl FnOnce(&mut Settings)) -> (Judged, Suspicions) {
    let working = tempfile::tempdir().unwrap();
    let mut settings = Settings {
        label: Some("label".to_owned()),
        ..crate::settings(working.path())
    };
    change(&mut settings);
    let path = data.path().join("some-images-idx3-ubyte");
    let audit = outlay_audit::audit(&[path], None, &settings, |_| {}).unwrap();
    assert_eq!(audit.n_records, 1500, "{:?}", audit.files[0].skipped);
    let judged = Judged::new(&audit, &settings, None).unwrap().unwrap();
    (judged, Suspicions::new(&audit, &settings, None).unwrap())
}

#[test]
fn wrong_labels_of_images_are_found() {
    let data = labelled(true, false);
    for (label_model, name) in [
        (None, "nearest neighbours"),
        (Some(Model::Logistic), "logistic regression"),
    ] {
        let (judged, suspicions) = audited(&data, |settings| settings.label_model = label_model);
        let errors = judged.errors.unwrap();
        assert_eq!((errors.by, errors.model), ("pixels", Some(name)));
        assert!(
            errors.share_agreed > 0.85,
            "{name}: {}",
            errors.share_agreed
        );
        let line = |issue: &outlay_audit::IssueView| -> usize {
            issue.record.rsplit(':').next().unwrap().parse().unwrap()
        };
        let right = errors
            .issues
            .iter()
            .filter(|issue| line(issue) % 20 == 8)
            .count();
        // Of seventy-five; as of texts, half of them at least stand out.
        assert!(right >= 38, "{name}: {right}");
        assert!(
            errors.issues.len() <= right + right / 5,
            "{name}: {} {right}",
            errors.issues.len()
        );
        assert_eq!(suspicions.marks.len(), 0);
    }
}

#[test]
fn marks_in_images_are_found_with_their_records() {
    let data = labelled(false, true);
    let (_, suspicions) = audited(&data, |_| {});
    let [mark] = suspicions.marks.as_slice() else {
        panic!("{:?}", suspicions.marks);
    };
    assert_eq!(
        (mark.label.as_str(), mark.window.place),
        ("0", "bottom right")
    );
    assert!(mark.n_of_label >= 45 && mark.n_images <= 50, "{mark:?}");
    assert!(
        mark.examples.iter().all(|record| record % 30 == 11),
        "{mark:?}"
    );
    assert_eq!(suspicions.n(), 1);
    let (_, clean) = audited(&labelled(false, false), |_| {});
    assert_eq!(clean.n(), 0);
    // A sample that is held to little memory finds it too.
    let (judged, small) = audited(&data, |settings| settings.memory_bytes = 3 << 20);
    assert!(judged.n_sampled < 700, "{}", judged.n_sampled);
    assert_eq!(small.marks.len(), 1);
}

/// The peers' Python, where there is one.
fn peers() -> Option<PathBuf> {
    let python = std::env::var_os("OUTLAY_PEERS").map(PathBuf::from);
    if python.is_none() {
        println!("skipped: OUTLAY_PEERS names no Python with imagehash and pillow");
    }
    python
}

/// Runs a script of the peers with a folder, and gives back what it prints.
fn told(python: &Path, script: &str, folder: &Path) -> String {
    let run = Command::new(python)
        .arg("-c")
        .arg(script)
        .arg(folder)
        .output()
        .unwrap();
    assert!(
        run.status.success(),
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );
    String::from_utf8(run.stdout).unwrap()
}

/// A picture of so little that hashes have little to tell it by: a disc on white.
fn simple(seed: u64, side: u32) -> RgbImage {
    let mut draw = Draw(seed + 3);
    let mut level = || draw.below(1000) as f64 / 1000.0;
    let (left, top, size) = (level(), level(), 0.05 + 0.2 * level());
    RgbImage::from_fn(side, side, |x, y| {
        let (x, y) = (
            f64::from(x) / f64::from(side),
            f64::from(y) / f64::from(side),
        );
        Rgb(if (x - left).hypot(y - top) < size {
            [30, 60, 90]
        } else {
            [255; 3]
        })
    })
}

/// Of the pairs of copies of one picture, how many are told to be near, and of the pairs that are told, how many are copies.
#[test]
fn recall_and_precision_are_those_of_imagehash_or_better() {
    let Some(python) = peers() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut pictures = Vec::new();
    let mut sketches = Vec::new();
    for seed in 0..40 {
        let picture = if seed < 20 {
            made(seed, 96)
        } else {
            simple(seed, 96)
        };
        let all = std::iter::once(("itself", png(&picture))).chain(variations(&picture));
        for (_, bytes) in all {
            std::fs::write(folder.path().join(format!("{:04}", pictures.len())), &bytes).unwrap();
            sketches.push(sketched(&bytes));
            pictures.push(seed);
        }
    }
    let script = "import sys, pathlib, imagehash
from PIL import Image
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    print(imagehash.phash(Image.open(path)))";
    let hashes: Vec<u64> = told(&python, script, folder.path())
        .lines()
        .map(|line| u64::from_str_radix(line, 16).unwrap())
        .collect();
    assert_eq!(hashes.len(), pictures.len());
    let rates = |is_near: &dyn Fn(usize, usize) -> bool| {
        let (mut n_same, mut n_told, mut n_right) = (0, 0, 0);
        for one in 0..pictures.len() {
            for other in 0..one {
                let is_same = pictures[one] == pictures[other];
                let is_told = is_near(one, other);
                n_same += u32::from(is_same);
                n_told += u32::from(is_told);
                n_right += u32::from(is_told && is_same);
            }
        }
        (
            f64::from(n_right) / f64::from(n_same),
            f64::from(n_right) / f64::from(n_told),
        )
    };
    let settings = ImageSettings::default();
    let ours = rates(&|one, other| is_near(&sketches[one], &sketches[other], &settings));
    let theirs = rates(&|one, other| (hashes[one] ^ hashes[other]).count_ones() <= 6);
    println!("recall and precision: {ours:?}, imagehash.phash up to 6 bits: {theirs:?}");
    assert!(
        ours.0 >= theirs.0 && ours.1 >= theirs.1,
        "{ours:?} {theirs:?}"
    );
}

/// What Pillow writes is read as Pillow reads it.
#[test]
fn files_of_pillow_show_the_same_picture() {
    let Some(python) = peers() else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("first.png"), png(&made(8, 96))).unwrap();
    let script = "import sys, pathlib
from PIL import Image
to = pathlib.Path(sys.argv[1])
image = Image.open(to / 'first.png').convert('RGB')
other = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
image.convert('CMYK').save(to / 'cmyk.jpg', quality=90)
image.save(to / 'progressive.jpg', quality=80, progressive=True, optimize=True)
image.convert('L').save(to / 'grey.jpg')
image.quantize(64).save(to / 'palette.png')
image.convert('L').convert('I').point(lambda level: level * 256).convert('I;16').save(to / 'deep.png')
image.save(to / 'animated.gif', save_all=True, append_images=[other], duration=9)
image.save(to / 'animated.webp', save_all=True, append_images=[other], duration=9)
image.save(to / 'lossy.webp', quality=60)
image.save(to / 'lzw.tif', compression='tiff_lzw')
image.convert('CMYK').save(to / 'cmyk.tif')
image.quantize(64).save(to / 'palette.bmp')
for kind in ['1', 'P', 'L', 'LA', 'RGBA']:
    for name in ['packed', 'plain']:
        (to / name).mkdir(exist_ok=True)
    packed = image.quantize(64) if kind == 'P' else image.convert(kind)
    packed.save(to / 'packed' / f'{kind}.png')
    packed.convert('RGBA').save(to / 'plain' / f'{kind}.png')";
    told(&python, script, folder.path());
    let first = sketched(&std::fs::read(folder.path().join("first.png")).unwrap());
    let mut n_files = 0;
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let sketch = sketch_image(&std::fs::read(&path).unwrap())
            .unwrap_or_else(|fault| panic!("{}: {fault}", path.display()));
        assert_eq!(sketch.kind, ImageKind::by_name(&path));
        let alike = detail_correlation(&first.thumbnail, &sketch.thumbnail);
        assert!(
            alike > 0.97 && is_near(&first, &sketch, &ImageSettings::default()),
            "{}: {alike}",
            path.display()
        );
        n_files += 1;
    }
    assert_eq!(n_files, 12);
    for kind in ["1", "P", "L", "LA", "RGBA"] {
        let read = |form: &str| {
            let path = folder.path().join(form).join(format!("{kind}.png"));
            sketched(&std::fs::read(path).unwrap()).pixel_hash
        };
        assert_eq!(read("packed"), read("plain"), "{kind}");
    }
}

/// Seventy thousand pictures of clothes, none of which is there twice.
#[test]
fn fashion_mnist_holds_no_picture_twice() {
    let folder = std::env::var_os("OUTLAY_FASHION_MNIST").map_or_else(
        || PathBuf::from("/usr/share/datasets/fashion-mnist"),
        PathBuf::from,
    );
    if !folder.exists() {
        println!(
            "skipped: OUTLAY_FASHION_MNIST names no folder with its IDX files, and Debian's package is not there"
        );
        return;
    }
    let working = tempfile::tempdir().unwrap();
    let settings = Settings {
        label: Some("label".to_owned()),
        // A third of the details are in memory, the others in a working file.
        memory_bytes: 100 << 20,
        ..crate::settings(working.path())
    };
    let audit = outlay_audit::audit(&[folder], None, &settings, |_| {}).unwrap();
    assert_eq!((audit.n_records, audit.others.len()), (70_000, 0));
    assert!(
        audit
            .counts
            .label_of
            .iter()
            .all(|label| audit.counts.label_name(*label).is_some())
    );
    let found = audit.near.as_ref().unwrap();
    assert!((0..).zip(&found.exact).all(|(at, first)| at == *first));
    let n_near = (0..70_000)
        .filter(|at| found.clusters.least(*at) != *at)
        .count();
    println!(
        "{n_near} images are near another; {} compared, {} not",
        found.n_compared, found.n_not_compared
    );
    // The shop showed some of its things twice; at 0.97 a cluster of hundreds would hang together.
    assert!((100..700).contains(&n_near), "{n_near}");
    let suspicions = Suspicions::new(&audit, &settings, None).unwrap();
    // A dozen pictures are prints on one blank garment; nothing is in as many as a poisoner needs.
    assert!(
        suspicions.marks.iter().all(|mark| mark.n_images < 70),
        "{:?}",
        suspicions.marks
    );
}
