//! Images within small limits.

#![no_main]

use libfuzzer_sys::fuzz_target;
use outlay_audit::images::{ImageLimits, decode_image, patches, sketch_pixels};

fuzz_target!(|bytes: &[u8]| {
    let limits = ImageLimits {
        n_pixels_most: 1 << 16,
        n_bytes_most: 1 << 22,
    };
    if let Ok(pixels) = decode_image(bytes, &limits) {
        assert!(u64::from(pixels.width()) * u64::from(pixels.height()) <= 1 << 16);
        let _ = sketch_pixels(&pixels);
        let _ = patches(&pixels);
    }
});
