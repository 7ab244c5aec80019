//! Numbers in half precision (IEEE 754 binary16).

/// In single precision, exactly.
pub(super) fn widen(half: u16) -> f32 {
    let sign = u32::from(half >> 15) << 31;
    let exponent = u32::from(half >> 10) & 0x1f;
    let fraction = u32::from(half & 0x3ff);
    let bits = match (exponent, fraction) {
        (0, 0) => sign,
        // Subnormal: fraction * 2^-24, a number that single precision holds as a normal one.
        (0, fraction) => {
            let shift = fraction.leading_zeros() - 21;
            sign | (113 - shift) << 23 | (fraction << (shift + 13)) & 0x7f_ffff
        }
        (31, fraction) => sign | 0xff << 23 | fraction << 13,
        (exponent, fraction) => sign | (exponent + 112) << 23 | fraction << 13,
    };
    f32::from_bits(bits)
}

/// The nearest number in half precision; of two, the even one. Infinite where there is none.
pub(super) fn narrow(single: f32) -> u16 {
    let bits = single.to_bits();
    let sign = u16::try_from(bits >> 16 & 0x8000).expect("one bit");
    // Adding this power of two leaves as many bits behind the point as half precision has for a number of this size.
    let magnitude = single.abs();
    if magnitude.is_nan() {
        return sign | 0x7e00;
    }
    if magnitude >= 65_520.0 {
        return sign | 0x7c00;
    }
    let exponent = (magnitude.to_bits() >> 23).max(113);
    let shifted = magnitude + f32::from_bits((exponent + 13) << 23);
    let fraction = shifted.to_bits() & 0xfff;
    // A subnormal has no implicit bit, and a fraction that is full carries into the exponent, both by this sum alone.
    let half = ((exponent - 113) << 10) + fraction;
    sign | u16::try_from(half).expect("at most the largest number")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_is_widened_exactly() {
        for (half, single) in [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65_504.0),
            (0x0001, 2.0_f32.powi(-24)),
            (0x03ff, 1023.0 * 2.0_f32.powi(-24)),
            (0x0200, 2.0_f32.powi(-15)),
            (0x0400, 2.0_f32.powi(-14)),
            (0x7c00, f32::INFINITY),
        ] {
            assert_eq!(widen(half).to_bits(), f32::to_bits(single), "{half:#x}");
        }
        assert!(widen(0x7e00).is_nan());
        assert!(widen(0x8000).is_sign_negative());
    }

    #[test]
    fn each_half_comes_back() {
        for half in (0..=u16::MAX).filter(|half| widen(*half).is_finite()) {
            assert_eq!(narrow(widen(half)), half, "{half:#x}");
        }
    }

    #[test]
    fn what_lies_between_goes_to_the_nearest_and_then_to_the_even_one() {
        for (single, half) in [
            (1.0 + 2.0_f32.powi(-11), 0x3c00),
            (1.0 + 3.0 * 2.0_f32.powi(-11), 0x3c02),
            (1.0 + 2.1 * 2.0_f32.powi(-11), 0x3c01),
            (2.0_f32.powi(-25), 0x0000),
            (1.1 * 2.0_f32.powi(-25), 0x0001),
            (-65_519.0, 0xfbff),
            (65_520.0, 0x7c00),
            (f32::NEG_INFINITY, 0xfc00),
        ] {
            assert_eq!(narrow(single), half, "{single}");
        }
        assert!(widen(narrow(f32::NAN)).is_nan());
    }
}
