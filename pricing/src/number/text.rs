//! Decimal text and raw integers, both ways. Reading is on the path of every event, so the usual short number takes one
//! pass over 64 bits; whatever is longer, or wrong, takes the careful way that also knows what to say.

use super::Error;
use std::fmt;

/// Powers of ten up to the largest scale.
const POWERS: [i128; 25] = {
    let mut powers = [1; 25];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

/// Digits of the largest raw value, with one to spare.
const DIGITS: usize = 40;

/// What is read.
pub(super) struct Type {
    /// Decimals that the raw integer holds.
    pub(super) scale: u32,
    /// The largest raw integer on either side of zero.
    pub(super) raw_max: i128,
    /// Its name in words.
    pub(super) what: &'static str,
    /// Its limit in words.
    pub(super) limit: &'static str,
}

/// Reads decimal text to a raw integer.
#[inline]
pub(super) fn parse(text: &[u8], kind: &Type) -> Result<i128, Error> {
    match parse_short(text, kind.scale as usize) {
        Some(raw) if raw.abs() <= kind.raw_max => Ok(raw),
        _ => parse_any(text, kind),
    }
}

/// Up to 19 characters of well-formed text; none where that is not so, or where the result needs a second look.
#[inline]
fn parse_short(text: &[u8], scale: usize) -> Option<i128> {
    let (negative, digits) = split_sign(text);
    if digits.is_empty() || digits.len() > 19 {
        return None;
    }
    let mut value: u64 = 0;
    let mut point = None;
    for (at, &byte) in digits.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit < 10 {
            // 19 digits stay below 2⁶⁴.
            value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
        } else if byte == b'.' && point.is_none() && at > 0 {
            point = Some(at + 1);
        } else {
            return None;
        }
    }
    let decimals = point.map_or(0, |from| digits.len() - from);
    if point.is_some() && decimals == 0 {
        return None;
    }
    let raw = i128::from(value).checked_mul(*POWERS.get(scale.checked_sub(decimals)?)?)?;
    Some(if negative { -raw } else { raw })
}

/// Any text, with the reason why it is refused.
#[cold]
fn parse_any(text: &[u8], kind: &Type) -> Result<i128, Error> {
    let found = || String::from_utf8_lossy(text.get(..64).unwrap_or(text)).into_owned();
    let not_decimal = || Error::NotDecimal { found: found() };
    let (negative, digits) = split_sign(text);
    let mut parts = digits.splitn(2, |&byte| byte == b'.');
    let whole = parts.next().unwrap_or_default();
    let fraction = parts.next();
    if whole.is_empty() || fraction.is_some_and(<[u8]>::is_empty) {
        return Err(not_decimal());
    }
    let fraction = fraction.unwrap_or_default();
    if !whole.iter().chain(fraction).all(u8::is_ascii_digit) {
        return Err(not_decimal());
    }
    // Zeros at the end say nothing: 1.50 has one decimal.
    let decimals = fraction.iter().rposition(|&byte| byte != b'0').map_or(0, |last| last + 1);
    let missing = (kind.scale as usize).checked_sub(decimals).ok_or_else(|| Error::TooManyDecimals {
        found: found(),
        decimals,
        decimals_max: kind.scale,
    })?;
    let too_large = || Error::TooLarge { found: found(), what: kind.what, limit: kind.limit };
    let mut raw: i128 = 0;
    for &digit in whole.iter().chain(fraction.iter().take(decimals)) {
        let digit = i128::from(digit.wrapping_sub(b'0'));
        raw = raw.checked_mul(10).and_then(|raw| raw.checked_add(digit)).ok_or_else(too_large)?;
    }
    let power = POWERS.get(missing).ok_or_else(too_large)?;
    let raw = raw.checked_mul(*power).filter(|raw| *raw <= kind.raw_max).ok_or_else(too_large)?;
    Ok(if negative { -raw } else { raw })
}

fn split_sign(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    }
}

/// Writes a raw integer at `scale` as decimal text without trailing zeros.
pub(super) fn write(raw: i128, scale: u32, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    let digits = digits(raw.unsigned_abs());
    let (whole, fraction) = digits.split_at(DIGITS - scale as usize);
    let first = whole.iter().position(|&byte| byte != b'0').unwrap_or(whole.len() - 1);
    let whole = whole.split_at(first).1;
    let decimals = fraction.iter().rposition(|&byte| byte != b'0').map_or(0, |last| last + 1);
    let mut text = [b'.'; DIGITS + 1];
    let mut length = 0;
    let point: &[u8] = if decimals == 0 { b"" } else { b"." };
    let parts = whole.iter().chain(point).chain(fraction.iter().take(decimals));
    for (place, byte) in text.iter_mut().zip(parts) {
        *place = *byte;
        length += 1;
    }
    let text = text.split_at(length).0;
    out.pad_integral(raw >= 0, "", std::str::from_utf8(text).map_err(|_| fmt::Error)?)
}

/// All digits, with zeros in front.
fn digits(mut value: u128) -> [u8; DIGITS] {
    const CHUNK: u128 = 10u128.pow(19);
    let mut digits = [b'0'; DIGITS];
    for places in digits.rchunks_mut(19) {
        // Below 10¹⁹, so below 2⁶⁴: 64-bit divisions are several times quicker.
        let mut chunk = u64::try_from(value % CHUNK).unwrap_or(0);
        value /= CHUNK;
        for place in places.iter_mut().rev() {
            *place = b'0' + u8::try_from(chunk % 10).unwrap_or(0);
            chunk /= 10;
            if chunk == 0 {
                break;
            }
        }
        if value == 0 {
            break;
        }
    }
    digits
}
