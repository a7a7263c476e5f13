//! Decimal numbers as text, read exactly: digits and a power of ten, never a float.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Most digits of a number: all of them fit 128 bits.
const MAX_DIGITS: usize = 38;

/// A number that is not negative: `mantissa * 10^-decimals`, without insignificant zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Decimal {
    /// Its digits.
    pub mantissa: u128,
    /// How many of them stand behind the point.
    pub decimals: u8,
}

/// Why a text is no decimal number, or not one that fits.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecimalError {
    /// It is no number.
    #[error("digits, with at most one point between them, such as 1000.25")]
    Syntax,
    /// It is too long.
    #[error("at most {MAX_DIGITS} digits")]
    TooLong,
}

impl Decimal {
    /// A whole number of `10^-decimals` units; `None` when it is not whole, or does not fit.
    pub fn in_units(&self, decimals: i32) -> Option<i128> {
        let shift = decimals - i32::from(self.decimals);
        let factor = 10_u128.checked_pow(shift.unsigned_abs())?;
        let units = if shift >= 0 {
            self.mantissa.checked_mul(factor)?
        } else {
            self.mantissa.is_multiple_of(factor).then_some(self.mantissa / factor)?
        };
        i128::try_from(units).ok()
    }

    /// The exponent of ten that makes its mantissa whole, as records have it.
    pub fn exponent(&self) -> i8 {
        -(self.decimals as i8)
    }
}

impl FromStr for Decimal {
    type Err = DecimalError;

    fn from_str(text: &str) -> Result<Self, DecimalError> {
        let (whole, fraction) = match text.split_once('.') {
            Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
            Some(_) => return Err(DecimalError::Syntax),
            None => (text, ""),
        };
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) {
            return Err(DecimalError::Syntax);
        }
        let fraction = fraction.trim_end_matches('0');
        let whole = whole.trim_start_matches('0');
        if whole.len() + fraction.len() > MAX_DIGITS {
            return Err(DecimalError::TooLong);
        }
        let mantissa =
            whole.bytes().chain(fraction.bytes()).fold(0_u128, |number, digit| number * 10 + u128::from(digit - b'0'));
        Ok(Self { mantissa, decimals: fraction.len() as u8 })
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = usize::from(self.decimals);
        let digits = format!("{:0>width$}", self.mantissa, width = decimals + 1);
        let (whole, fraction) = digits.split_at(digits.len() - decimals);
        if fraction.is_empty() { f.write_str(whole) } else { write!(f, "{whole}.{fraction}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn reads_exactly() {
        for (text, mantissa, decimals) in [
            ("0.01", 1, 2),
            ("1", 1, 0),
            ("100", 100, 0),
            ("007.50", 75, 1),
            ("0", 0, 0),
            ("0.00", 0, 0),
            ("1000000000.00", 1_000_000_000, 0),
        ] {
            assert_eq!(read(text), Decimal { mantissa, decimals }, "{text}");
        }
        assert_eq!(read("0.1").in_units(2), Some(10));
        assert_eq!(read("0.01").in_units(2), Some(1));
        assert_eq!(read("0.001").in_units(2), None, "no whole cent");
        assert_eq!(read("1200").in_units(-2), Some(12));
        assert_eq!(read("1250").in_units(-2), None);
        assert_eq!(read("99999999999999999999999999999999999999").in_units(2), None);
        assert_eq!(read("0.01").exponent(), -2);
    }

    #[test]
    fn refuses_what_is_no_number() {
        for text in ["", ".", "1.", ".5", "-1", "+1", "1e3", "1,000", "1.2.3", " 1", "0x1", "inf"] {
            assert_eq!(text.parse::<Decimal>(), Err(DecimalError::Syntax), "{text:?}");
        }
        assert_eq!("9".repeat(39).parse::<Decimal>(), Err(DecimalError::TooLong));
        assert_eq!(read(&format!("{}1", "0".repeat(500))), read("1"));
    }

    proptest! {
        #[test]
        fn shows_what_it_reads(mantissa in 0_u128..10_u128.pow(20), decimals in 0_u8..18) {
            let text = Decimal { mantissa, decimals }.to_string();
            let again = read(&text);
            prop_assert_eq!(again.in_units(18), Decimal { mantissa, decimals }.in_units(18));
            prop_assert_eq!(again.to_string().parse::<Decimal>(), Ok(again));
        }

        #[test]
        fn never_panics(text in ".{0,60}") {
            let _ = text.parse::<Decimal>();
        }
    }
}
