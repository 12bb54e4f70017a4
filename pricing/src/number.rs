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
//! even, in [`mul_div`] (or [`div_wide`], its 256-bit half) and nowhere else.

use ethnum::I256;
use std::fmt;
use std::str::FromStr;

mod text;

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
    /// The text is a number beyond what the type holds.
    #[error("'{found}' is too large: the {what} is beyond the largest that is kept exactly ({limit})")]
    TooLarge {
        /// The text, cut to 64 characters.
        found: String,
        /// The type's name in words.
        what: &'static str,
        /// Its limit in words.
        limit: &'static str,
    },
    /// A result is beyond what the type holds.
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

/// Whole minor units of a currency (cents for USD, yen for JPY): what a bill prints and a customer pays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Minor(pub i64);

/// `a × b ÷ divisor`, rounded half to even: the one place where a division rounds. The product may need 256 bits.
///
/// # Errors
/// [`Error::DivisionByZero`]; [`Error::Overflow`] when the result does not fit 128 bits.
#[inline]
pub fn mul_div(a: i128, b: i128, divisor: i128) -> Result<i128, Error> {
    // The product of most events fits 128 bits, and dividing those is an order of magnitude quicker.
    if let Some(product) = a.checked_mul(b)
        && let Some(quotient) = product.checked_div(divisor)
    {
        let remainder = (product % divisor).unsigned_abs();
        if remainder == 0 {
            return Ok(quotient);
        }
        // A remainder means |divisor| ≥ 2, so that neither doubling it nor the step away from zero can overflow.
        let twice = remainder * 2;
        let round_away =
            twice > divisor.unsigned_abs() || (twice == divisor.unsigned_abs() && quotient.unsigned_abs() % 2 == 1);
        let away = if (product < 0) == (divisor < 0) { 1 } else { -1 };
        return Ok(if round_away { quotient + away } else { quotient });
    }
    div_wide(I256::from(a) * I256::from(b), divisor)
}

/// `product ÷ divisor` of a 256-bit product, rounded half to even.
///
/// # Errors
/// [`Error::DivisionByZero`]; [`Error::Overflow`] when the result does not fit 128 bits.
pub fn div_wide(product: I256, divisor: i128) -> Result<i128, Error> {
    if divisor == 0 {
        return Err(Error::DivisionByZero);
    }
    let divisor = I256::from(divisor);
    let (quotient, remainder) = (product / divisor, product % divisor);
    let twice = remainder.abs() * I256::from(2);
    let round_away = twice > divisor.abs() || (twice == divisor.abs() && quotient % I256::from(2) != I256::ZERO);
    let away = if (product < I256::ZERO) == (divisor < I256::ZERO) { I256::ONE } else { -I256::ONE };
    let rounded = if round_away { quotient + away } else { quotient };
    i128::try_from(rounded).map_err(|_| Error::Overflow { what: "result", limit: "128 bits" })
}

/// A decimal number with its thousands set apart, for people: `1,234,567.891`.
pub fn grouped(number: &str) -> String {
    let (sign, digits) = number.strip_prefix('-').map_or(("", number), |digits| ("-", digits));
    let (whole, rest) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    if whole.len() < 4 || !whole.bytes().all(|digit| digit.is_ascii_digit()) {
        return number.to_owned();
    }
    let mut out = sign.to_owned();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out + rest
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
            /// The largest.
            pub const MAX: Self = Self($max);

            const OVERFLOW: Error = Error::Overflow { what: $what, limit: $limit };

            /// From the raw integer at [`Self::SCALE`].
            ///
            /// # Errors
            /// [`Error::Overflow`] beyond [`Self::RAW_MAX`].
            #[inline]
            pub const fn from_raw(raw: i128) -> Result<Self, Error> {
                if raw > Self::RAW_MAX || raw < -Self::RAW_MAX {
                    return Err(Self::OVERFLOW);
                }
                Ok(Self(raw))
            }

            /// The raw integer at [`Self::SCALE`].
            #[inline]
            pub const fn raw(self) -> i128 {
                self.0
            }

            /// Exactly so many.
            ///
            /// # Errors
            /// [`Error::Overflow`].
            pub const fn from_whole(count: i128) -> Result<Self, Error> {
                match count.checked_mul(Self::ONE.0) {
                    Some(raw) => Self::from_raw(raw),
                    None => Err(Self::OVERFLOW),
                }
            }

            /// Reads decimal text as written: `12`, `-0.5`, `1.000`. No exponent, no grouping, no NaN.
            ///
            /// # Errors
            /// See [`Error`].
            pub fn parse(text: &[u8]) -> Result<Self, Error> {
                text::parse(text, &text::Type { scale: $scale, raw_max: $max, what: $what, limit: $limit }).map(Self)
            }

            /// The sum, refused beyond the limit.
            ///
            /// # Errors
            /// [`Error::Overflow`].
            #[inline]
            pub const fn add(self, other: Self) -> Result<Self, Error> {
                match self.0.checked_add(other.0) {
                    Some(raw) => Self::from_raw(raw),
                    None => Err(Self::OVERFLOW),
                }
            }

            /// The difference, refused beyond the limit.
            ///
            /// # Errors
            /// [`Error::Overflow`].
            #[inline]
            pub const fn sub(self, other: Self) -> Result<Self, Error> {
                match self.0.checked_sub(other.0) {
                    Some(raw) => Self::from_raw(raw),
                    None => Err(Self::OVERFLOW),
                }
            }

            /// The sum of all, refused beyond the limit.
            ///
            /// # Errors
            /// [`Error::Overflow`].
            pub fn sum(all: impl IntoIterator<Item = Self>) -> Result<Self, Error> {
                all.into_iter().try_fold(Self::ZERO, Self::add)
            }

            /// The same distance on the other side of zero.
            #[must_use]
            pub const fn neg(self) -> Self {
                Self(-self.0)
            }

            /// `self × numerator ÷ denominator`, rounded half to even at this scale.
            ///
            /// # Errors
            /// [`Error::Overflow`], [`Error::DivisionByZero`].
            pub fn scale_by(self, numerator: i128, denominator: i128) -> Result<Self, Error> {
                mul_div(self.0, numerator, denominator).map_err(Self::own).and_then(Self::from_raw)
            }

            /// True for exactly nothing.
            pub const fn is_zero(&self) -> bool {
                self.0 == 0
            }

            /// True below zero.
            pub const fn is_negative(&self) -> bool {
                self.0 < 0
            }

            /// True above zero.
            pub const fn is_positive(&self) -> bool {
                self.0 > 0
            }

            /// An overflow of 128 bits is, to the reader, one of this type.
            fn own(error: Error) -> Error {
                match error {
                    Error::Overflow { .. } => Self::OVERFLOW,
                    other => other,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                text::write(self.0, $scale, out)
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
                struct Text;
                impl serde::de::Visitor<'_> for Text {
                    type Value = $name;
                    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                        out.write_str(concat!("a ", $what, " as decimal text"))
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        $name::parse(text.as_bytes()).map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }
    };
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

impl Quantity {
    /// `quantity × price`, exact: the scales add up.
    ///
    /// # Errors
    /// [`Error::Overflow`] at 10¹⁴ currency units.
    #[inline]
    pub const fn times(self, each: UnitPrice) -> Result<Amount, Error> {
        match self.0.checked_mul(each.0) {
            Some(raw) => Amount::from_raw(raw),
            None => Err(Amount::OVERFLOW),
        }
    }

    /// `product ÷ divisor` of raw numbers, rounded half to even.
    pub(crate) fn from_ratio(product: I256, divisor: i128) -> Result<Quantity, Error> {
        div_wide(product, divisor).map_err(Self::own).and_then(Self::from_raw)
    }

    /// `quantity × rate`, exact, as money: a share of a value that is counted in currency units.
    ///
    /// # Errors
    /// [`Error::Overflow`] at 10¹⁴ currency units.
    pub const fn times_rate(self, rate: Rate) -> Result<Amount, Error> {
        self.times(UnitPrice(rate.0))
    }

    /// `quantity × price ÷ per`: the price is for each `per` units. Rounds half to even at 10⁻²⁴ where it does not
    /// come out.
    ///
    /// # Errors
    /// [`Error::Overflow`], [`Error::DivisionByZero`].
    #[inline]
    pub fn times_per(self, each: UnitPrice, per: Quantity) -> Result<Amount, Error> {
        if per.0 == Self::ONE.0 {
            return self.times(each);
        }
        // In raw numbers: q·10⁹ × e·10¹⁵ × 10⁹ ÷ (per·10⁹). A whole `per` takes the last two out.
        let raw = if per.0 % Self::ONE.0 == 0 {
            mul_div(self.0, each.0, per.0 / Self::ONE.0)
        } else {
            // A product beyond 256 bits cannot be divided by 127 bits into an Amount, so overflow here is overflow there.
            let product = (I256::from(self.0) * I256::from(each.0)).checked_mul(I256::from(Self::ONE.0));
            div_wide(product.ok_or(Amount::OVERFLOW)?, per.0)
        };
        raw.map_err(Amount::own).and_then(Amount::from_raw)
    }
}

impl Rate {
    /// Reads a rate as people write it: `0.029` or `2.9%`.
    ///
    /// # Errors
    /// See [`Error`]; a percentage may have 13 decimals.
    pub fn parse_share(text: &str) -> Result<Self, Error> {
        match text.strip_suffix('%') {
            None => Self::parse(text.as_bytes()),
            // At 13 decimals, the raw number of a percentage is the rate's at 15.
            Some(percent) => {
                let (scale, limit) = (Self::SCALE - 2, "17014118346046923173168730.3715884105727 %");
                let percentage = text::Type { scale, raw_max: Self::RAW_MAX, what: "rate", limit };
                text::parse(percent.trim_end().as_bytes(), &percentage).map(Self)
            }
        }
    }

    /// As people write it: `2.9%`; as a fraction where a hundredfold is too large.
    pub fn percent(self) -> String {
        self.scale_by(100, 1).map_or_else(|_| self.to_string(), |hundredfold| format!("{hundredfold}%"))
    }
}

impl UnitPrice {
    /// The price of exactly one unit.
    ///
    /// # Errors
    /// [`Error::Overflow`] at 10¹⁴ currency units.
    pub const fn amount(self) -> Result<Amount, Error> {
        Quantity::ONE.times(self)
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

    /// `self × count`, exact.
    ///
    /// # Errors
    /// [`Error::Overflow`].
    pub const fn times_count(self, count: i128) -> Result<Amount, Error> {
        match self.0.checked_mul(count) {
            Some(raw) => Self::from_raw(raw),
            None => Err(Self::OVERFLOW),
        }
    }

    /// The same as the price of one unit; none where it has more decimals than a price holds.
    pub const fn unit_price(self) -> Option<UnitPrice> {
        if self.0 % Quantity::ONE.0 == 0 { Some(UnitPrice(self.0 / Quantity::ONE.0)) } else { None }
    }
}
