//! ISO 4217 currencies, and the only way between exact money and printed money.

use crate::number::{Amount, Error, Minor, grouped};
use std::fmt;

/// An ISO 4217 currency, with its number of decimals (list one, 2025: JPY 0, USD 2, KWD 3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

/// How the exact sum of a bill becomes minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rounding {
    /// To the nearest; a half away from zero.
    #[default]
    HalfAway,
    /// To the nearest; a half to the even neighbour.
    HalfEven,
    /// Away from zero.
    Up,
    /// Towards zero.
    Down,
}

/// The text is no currency known here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{found}' is not an ISO 4217 currency code, such as EUR, USD or JPY")]
pub struct Unknown {
    /// The text.
    pub found: String,
}

impl Currency {
    /// Looks a code up.
    ///
    /// # Errors
    /// [`Unknown`].
    pub fn new(code: &str) -> Result<Self, Unknown> {
        match <[u8; 3]>::try_from(code.as_bytes()) {
            Ok(bytes) if CODES.iter().any(|(_, codes)| codes.split(' ').any(|known| known == code)) => Ok(Self(bytes)),
            _ => Err(Unknown { found: code.chars().take(64).collect() }),
        }
    }

    /// The three letters.
    pub fn code(&self) -> &str {
        // Made from text in `new`.
        std::str::from_utf8(&self.0).unwrap_or("XXX")
    }

    /// Decimals of its minor unit.
    pub fn decimals(&self) -> u32 {
        let code = self.code();
        CODES.iter().find(|(_, codes)| codes.split(' ').any(|known| known == code)).map_or(2, |(decimals, _)| *decimals)
    }

    /// One minor unit, exact.
    pub(crate) fn minor_raw(self) -> i128 {
        10i128.pow(Amount::SCALE - self.decimals())
    }

    /// Rounds exact money to minor units.
    ///
    /// # Errors
    /// [`Error::Overflow`] beyond 64 bits of minor units.
    pub fn round(self, amount: Amount, rounding: Rounding) -> Result<Minor, Error> {
        let unit = self.minor_raw();
        let (whole, rest) = (amount.raw() / unit, amount.raw() % unit);
        let away = match rounding {
            Rounding::HalfAway => 2 * rest.abs() >= unit,
            Rounding::HalfEven => 2 * rest.abs() > unit || (2 * rest.abs() == unit && whole % 2 != 0),
            Rounding::Up => rest != 0,
            Rounding::Down => false,
        };
        let rounded = if away { whole + amount.raw().signum() } else { whole };
        i64::try_from(rounded)
            .map(Minor)
            .map_err(|_| Error::Overflow { what: "amount", limit: "64 bits of minor units" })
    }

    /// Printed money, exact again.
    ///
    /// # Errors
    /// [`Error::Overflow`] from 10¹⁴ units.
    pub fn exact(self, minor: Minor) -> Result<Amount, Error> {
        i128::from(minor.0)
            .checked_mul(self.minor_raw())
            .ok_or(Error::Overflow { what: "amount", limit: "below 100000000000000 currency units" })
            .and_then(Amount::from_raw)
    }

    /// Printed money as text with exactly the currency's decimals: `12.30`, `-0.05`, `1200` for JPY.
    pub fn text(self, minor: Minor) -> String {
        let decimals = self.decimals() as usize;
        let digits = format!("{:0width$}", minor.0.unsigned_abs(), width = decimals + 1);
        let (whole, fraction) = digits.split_at(digits.len() - decimals);
        let sign = if minor.0 < 0 { "-" } else { "" };
        if decimals == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
    }
}

impl Currency {
    /// Exact money as people read it: with the currency's decimals at least, and all that it has beyond them.
    pub fn exact_text(self, amount: Amount) -> String {
        let (text, decimals) = (grouped(&amount.to_string()), self.decimals() as usize);
        match text.split_once('.') {
            Some((whole, fraction)) => format!("{whole}.{fraction:0<decimals$}"),
            None if decimals == 0 => text,
            None => format!("{text}.{:0<decimals$}", ""),
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.code())
    }
}

impl std::str::FromStr for Currency {
    type Err = Unknown;
    fn from_str(text: &str) -> Result<Self, Unknown> {
        Self::new(text)
    }
}

impl serde::Serialize for Currency {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> serde::Deserialize<'de> for Currency {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

/// Active codes of ISO 4217 list one that money is charged in, by decimals.
const CODES: [(u32, &str); 3] = [
    (0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"),
    (
        2,
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC \
         CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD \
         KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO \
         NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL \
         THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG",
    ),
    (3, "BHD IQD JOD KWD LYD OMR TND"),
];
