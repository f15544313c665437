//! Checksums by which issuers check numbers. All take digits, as numbers from 0 to 9.

/// Luhn's: ISO/IEC 7812-1, annex B.
///
/// The example of its description: 7992739871 has the check digit 3.
pub(super) fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| match (at % 2, u32::from(*digit)) {
            (0, digit) => digit,
            (_, digit) if digit < 5 => 2 * digit,
            (_, digit) => 2 * digit - 9,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// ISO 7064, modulo 97 with remainder 1, over letters as numbers from 10: an IBAN whose first four signs stand last.
pub(super) fn modulo_97(signs: impl Iterator<Item = u8>) -> bool {
    let mut rest = 0_u32;
    for sign in signs {
        rest = match sign {
            b'0'..=b'9' => rest * 10 + u32::from(sign - b'0'),
            _ => rest * 100 + u32::from(sign.to_ascii_uppercase() - b'A') + 10,
        } % 97;
    }
    rest == 1
}

/// The sum of digits with weights.
pub(super) fn weighted(digits: &[u8], weights: &[u32]) -> u32 {
    digits
        .iter()
        .zip(weights)
        .map(|(digit, weight)| u32::from(*digit) * weight)
        .sum()
}

/// Verhoeff 1969, *Error detecting decimal codes*: the dihedral group of ten, as for Aadhaar.
///
/// The usual example: 236 has the check digit 3.
pub(super) fn verhoeff(digits: &[u8]) -> bool {
    let product = |one: u8, other: u8| match (one < 5, other < 5) {
        (true, true) => (one + other) % 5,
        (true, false) => 5 + (one + other) % 5,
        (false, true) => 5 + (one + 5 - other) % 5,
        (false, false) => (one + 5 - other) % 5,
    };
    const TURNED: [u8; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    let mut state = 0;
    for (at, digit) in digits.iter().rev().enumerate() {
        let turned = (0..at % 8).fold(*digit, |digit, _| TURNED[usize::from(digit)]);
        state = product(state, turned);
    }
    state == 0
}

/// The German tax number's: ISO 7064, modulo 11, 10.
pub(super) fn modulo_11_10(digits: &[u8]) -> bool {
    let Some((check, rest)) = digits.split_last() else {
        return false;
    };
    let product = rest.iter().fold(10_u32, |product, digit| {
        let sum = (u32::from(*digit) + product) % 10;
        2 * if sum == 0 { 10 } else { sum } % 11
    });
    (11 - product) % 10 == u32::from(*check)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digits(text: &str) -> Vec<u8> {
        text.bytes().map(|byte| byte - b'0').collect()
    }

    #[test]
    fn published_examples_hold_and_their_neighbours_do_not() {
        type Check = fn(&[u8]) -> bool;
        let checks: [(Check, &str); 4] = [
            (luhn, "79927398713"),
            (luhn, "4111111111111111"),
            (verhoeff, "2363"),
            (modulo_11_10, "86095742719"),
        ];
        for (check, number) in checks {
            assert!(check(&digits(number)), "{number}");
            for other in 0..10 {
                let mut changed = digits(number);
                let last = changed.len() - 1;
                if changed[last] != other {
                    changed[last] = other;
                    assert!(!check(&changed), "{changed:?}");
                }
            }
        }
        assert!(modulo_97(b"WEST12345698765432GB82".iter().copied()));
        assert!(!modulo_97(b"WEST12345698765432GB83".iter().copied()));
    }
}
