//! Fixed-point numbers with the scale in the type.
//!
//! | type | unit | raw |
//! |---|---|---|
//! | [`Quantity`] | 10⁻⁹ of a unit | `i128` |
//! | [`UnitPrice`] | 10⁻¹⁵ of a currency unit | `i128` |
//! | [`Rate`] | 10⁻¹⁵ of one (0.19 is 19 %) | `i128` |
//! | [`Amount`] | 10⁻²⁴ of a currency unit, below 10¹⁴ units either side of zero | `i128` |
//! | [`Minor`] | a currency's own minor unit; on bills only | `i64` |
//!
//! The scales are chosen so that `Quantity × UnitPrice` is an [`Amount`] with no rounding at all (9 + 15 = 24). A number
//! with more decimals than its type holds is refused, never rounded. A division that does not come out rounds half to
//! even, in [`mul_div`] and nowhere else.

use ethnum::I256;
use std::fmt;
use std::str::FromStr;

/// Why a number was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is no plain decimal number: digits, at most one point, an optional sign.
    #[error("'{found}' is not a decimal number; write digits with at most one point, such as 12.50")]
    NotDecimal {
        /// The text, cut to 64 characters.
        found: String,
    },
    /// The text has more decimals than the type holds.
    #[error("'{found}' has {decimals} decimals; at most {decimals_max} are kept exactly")]
    TooManyDecimals {
        /// The text, cut to 64 characters.
        found: String,
        /// Decimals that the text has, trailing zeros not counted.
        decimals: usize,
        /// Decimals that the type holds.
        decimals_max: u32,
    },
    /// The value, or a result, is beyond what the type holds.
    #[error("the {what} is beyond the largest that is kept exactly ({limit})")]
    Overflow {
        /// The type's name in words.
        what: &'static str,
        /// Its limit in words.
        limit: &'static str,
    },
    /// A division by zero was asked for.
    #[error("division by zero")]
    DivisionByZero,
}

/// `a × b ÷ divisor`, in 256 bits, rounded half to even: the one place where a division rounds.
///
/// # Errors
/// [`Error::DivisionByZero`]; [`Error::Overflow`] when the result does not fit 128 bits.
pub fn mul_div(a: i128, b: i128, divisor: i128) -> Result<i128, Error> {
    if divisor == 0 {
        return Err(Error::DivisionByZero);
    }
    let product = I256::from(a) * I256::from(b);
    let divisor = I256::from(divisor);
    let quotient = product / divisor;
    let remainder = product % divisor;
    let twice = remainder.abs() * I256::from(2);
    let round_away = twice > divisor.abs() || (twice == divisor.abs() && quotient % I256::from(2) != I256::ZERO);
    let away = if (product < I256::ZERO) == (divisor < I256::ZERO) { I256::ONE } else { -I256::ONE };
    let rounded = if round_away { quotient + away } else { quotient };
    i128::try_from(rounded).map_err(|_| Error::Overflow { what: "result", limit: "128 bits" })
}

/// Reads decimal text to a raw integer at `scale`.
fn parse(text: &[u8], scale: u32, what: &'static str, limit: &'static str) -> Result<i128, Error> {
    let found = || String::from_utf8_lossy(&text[..text.len().min(64)]).into_owned();
    let not_decimal = || Error::NotDecimal { found: found() };
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let point = digits.iter().position(|&byte| byte == b'.');
    let (whole, fraction) = match point {
        Some(at) => (&digits[..at], &digits[at + 1..]),
        None => (digits, &[][..]),
    };
    if whole.is_empty() || (point.is_some() && fraction.is_empty()) {
        return Err(not_decimal());
    }
    if !whole.iter().chain(fraction).all(u8::is_ascii_digit) {
        return Err(not_decimal());
    }
    let significant = fraction.len() - fraction.iter().rev().take_while(|&&byte| byte == b'0').count();
    let fraction = &fraction[..significant];
    let missing = (scale as usize).checked_sub(significant).ok_or_else(|| Error::TooManyDecimals {
        found: found(),
        decimals: significant,
        decimals_max: scale,
    })?;
    let overflow = || Error::Overflow { what, limit };
    let mut raw: i128 = 0;
    for &digit in whole.iter().chain(fraction) {
        raw = raw.checked_mul(10).and_then(|raw| raw.checked_add(i128::from(digit - b'0'))).ok_or_else(overflow)?;
    }
    for _ in 0..missing {
        raw = raw.checked_mul(10).ok_or_else(overflow)?;
    }
    Ok(if negative { -raw } else { raw })
}

/// Writes a raw integer at `scale` as decimal text without trailing zeros.
fn write(raw: i128, scale: u32, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    let one = 10u128.pow(scale);
    let (whole, fraction) = (raw.unsigned_abs() / one, raw.unsigned_abs() % one);
    let sign = if raw < 0 { "-" } else { "" };
    if fraction == 0 {
        return write!(out, "{sign}{whole}");
    }
    let fraction = format!("{fraction:0width$}", width = scale as usize);
    write!(out, "{sign}{whole}.{}", fraction.trim_end_matches('0'))
}

macro_rules! fixed_point {
    ($(#[$doc:meta])* $name:ident, $scale:literal, $max:expr, $what:literal, $limit:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(i128);

        impl $name {
            /// Decimals kept.
            pub const SCALE: u32 = $scale;
            /// Nothing.
            pub const ZERO: Self = Self(0);
            /// Exactly one.
            pub const ONE: Self = Self(10i128.pow($scale));
            /// The largest raw value, and with a minus sign the smallest.
            pub const RAW_MAX: i128 = $max;

            /// From the raw integer at [`Self::SCALE`].
            ///
            /// # Errors
            /// [`Error::Overflow`] beyond [`Self::RAW_MAX`].
            pub const fn from_raw(raw: i128) -> Result<Self, Error> {
                if raw > Self::RAW_MAX || raw < -Self::RAW_MAX {
                    return Err(Error::Overflow { what: $what, limit: $limit });
                }
                Ok(Self(raw))
            }

            /// The raw integer at [`Self::SCALE`].
            pub const fn raw(self) -> i128 {
                self.0
            }

            /// Reads decimal text as written: `12`, `-0.5`, `1.000`. No exponent, no grouping, no NaN.
            ///
            /// # Errors
            /// See [`Error`].
            pub fn parse(text: &[u8]) -> Result<Self, Error> {
                parse(text, $scale, $what, $limit).and_then(Self::from_raw)
            }

            /// The sum, refused beyond the limit.
            ///
            /// # Errors
            /// [`Error::Overflow`].
            pub const fn add(self, other: Self) -> Result<Self, Error> {
                match self.0.checked_add(other.0) {
                    Some(raw) => Self::from_raw(raw),
                    None => Err(Error::Overflow { what: $what, limit: $limit }),
                }
            }

            /// The difference, refused beyond the limit.
            ///
            /// # Errors
            /// [`Error::Overflow`].
            pub const fn sub(self, other: Self) -> Result<Self, Error> {
                match self.0.checked_sub(other.0) {
                    Some(raw) => Self::from_raw(raw),
                    None => Err(Error::Overflow { what: $what, limit: $limit }),
                }
            }

            /// The same distance on the other side of zero.
            #[must_use]
            pub const fn neg(self) -> Self {
                Self(-self.0)
            }

            /// `self × numerator ÷ denominator`, rounded half to even at this scale.
            ///
            /// # Errors
            /// See [`mul_div`].
            pub fn scale_by(self, numerator: i128, denominator: i128) -> Result<Self, Error> {
                mul_div(self.0, numerator, denominator).and_then(Self::from_raw)
            }

            /// True for exactly nothing.
            pub const fn is_zero(self) -> bool {
                self.0 == 0
            }

            /// True below zero.
            pub const fn is_negative(self) -> bool {
                self.0 < 0
            }

            /// True above zero.
            pub const fn is_positive(self) -> bool {
                self.0 > 0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = String::new();
                fmt::write(&mut text, format_args!("{}", Shown { raw: self.0, scale: $scale }))?;
                let digits = text.strip_prefix('-').unwrap_or(&text);
                out.pad_integral(self.0 >= 0, "", digits)
            }
        }

        impl FromStr for $name {
            type Err = Error;
            fn from_str(text: &str) -> Result<Self, Error> {
                Self::parse(text.as_bytes())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                Self::parse(text.as_bytes()).map_err(serde::de::Error::custom)
            }
        }
    };
}

/// A raw integer and its scale, as decimal text.
struct Shown {
    raw: i128,
    scale: u32,
}

impl fmt::Display for Shown {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(self.raw, self.scale, out)
    }
}

fixed_point! {
    /// How much was used, in 10⁻⁹ of a meter's unit.
    Quantity, 9, i128::MAX, "quantity", "170141183460469231731687303715.884105727"
}
fixed_point! {
    /// What one unit (or each `per` units) costs, in 10⁻¹⁵ of a currency unit.
    UnitPrice, 15, i128::MAX, "price", "170141183460469231731687.303715884105727"
}
fixed_point! {
    /// A fraction of one, in 10⁻¹⁵: a tax rate, a discount, a percentage price.
    Rate, 15, i128::MAX, "rate", "170141183460469231731687.303715884105727"
}
fixed_point! {
    /// Exact money, in 10⁻²⁴ of a currency unit, always below 10¹⁴ units so that it fits ClickHouse's `Decimal(38,24)`.
    Amount, 24, 10i128.pow(38) - 1, "amount", "below 100000000000000 currency units"
}

/// Whole minor units of a currency (cents for USD, yen for JPY): what a bill prints and a customer pays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Minor(pub i64);

impl Quantity {
    /// `quantity × price`, exact: the scales add up.
    ///
    /// # Errors
    /// [`Error::Overflow`] at 10¹⁴ currency units.
    pub const fn times(self, each: UnitPrice) -> Result<Amount, Error> {
        match self.0.checked_mul(each.0) {
            Some(raw) => Amount::from_raw(raw),
            None => Err(Error::Overflow { what: "amount", limit: "below 100000000000000 currency units" }),
        }
    }

    /// `quantity × price ÷ per`: the price is for each `per` units. Rounds half to even at 10⁻²⁴ where it does not
    /// come out.
    ///
    /// # Errors
    /// [`Error::Overflow`], [`Error::DivisionByZero`].
    pub fn times_per(self, each: UnitPrice, per: Quantity) -> Result<Amount, Error> {
        if per == Quantity::ONE {
            return self.times(each);
        }
        // raw: q·10⁹ × e·10¹⁵ × 10⁹ ÷ (per·10⁹), and q × e alone may need 256 bits.
        let each_scaled = each.0.checked_mul(Quantity::ONE.0);
        match each_scaled {
            Some(each_scaled) => mul_div(self.0, each_scaled, per.0).and_then(Amount::from_raw),
            None => Err(Error::Overflow { what: "amount", limit: "below 100000000000000 currency units" }),
        }
    }
}

impl Amount {
    /// A fraction of this amount, rounded half to even at 10⁻²⁴.
    ///
    /// # Errors
    /// [`Error::Overflow`].
    pub fn times_rate(self, rate: Rate) -> Result<Amount, Error> {
        self.scale_by(rate.raw(), Rate::ONE.raw())
    }
}
