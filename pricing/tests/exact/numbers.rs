//! Numbers: text, rounding, limits.

use crate::oracle::{self, Rational, half_even};
use num_bigint::BigInt;
use num_traits::{Signed, ToPrimitive};
use pricing::currency::{Currency, Rounding};
use pricing::number::{Amount, Error, Minor, Quantity, Rate, UnitPrice, mul_div};
use proptest::prelude::*;

/// All magnitudes alike, the limits among them.
fn wide() -> impl Strategy<Value = i128> {
    prop_oneof![
        4 => (any::<i128>(), 0u32..127).prop_map(|(raw, shift)| raw >> shift),
        1 => prop_oneof![Just(i128::MAX), Just(i128::MIN), Just(-i128::MAX), Just(0), Just(1), Just(-1), Just(2), Just(10i128.pow(38))],
    ]
}

#[test]
fn text_that_is_no_number_is_refused_in_words() {
    for text in [
        "", "-", "+", ".", "1.", ".5", "NaN", "inf", "1e5", "1_000", "1,5", " 1", "1 ", "0x1", "--1", "1.2.3", "١",
        "1-",
    ] {
        let error = Quantity::parse(text.as_bytes()).unwrap_err();
        assert!(matches!(error, Error::NotDecimal { .. }), "{text}: {error}");
    }
    assert!(
        matches!(Quantity::parse(&[0xff; 300]).unwrap_err(), Error::NotDecimal { found } if found.chars().count() == 64)
    );
    assert_eq!(
        UnitPrice::parse(b"0.1234567890123456").unwrap_err().to_string(),
        "'0.1234567890123456' has 16 decimals; at most 15 are kept exactly"
    );
    let long = "9".repeat(400);
    assert!(matches!(Quantity::parse(long.as_bytes()).unwrap_err(), Error::TooLarge { what: "quantity", .. }));
    assert!(matches!(Amount::parse(b"100000000000000").unwrap_err(), Error::TooLarge { what: "amount", .. }));
    assert!(matches!(Amount::parse(b"-100000000000000").unwrap_err(), Error::TooLarge { what: "amount", .. }));
    let error = Amount::parse(b"-100000000000000.0").unwrap_err().to_string();
    assert_eq!(
        error,
        "'-100000000000000.0' is too large: the amount is beyond the largest that is kept exactly (below 100000000000000 currency units)"
    );
    assert!(matches!(Quantity::parse(b"1e5").unwrap_err(), Error::NotDecimal { found } if found == "1e5"));
}

#[test]
fn text_is_read_as_written() {
    let same = [
        "0",
        "1",
        "-1",
        "0.1",
        "-0.000000001",
        "9007199254740993",
        "12345678901234567890.5",
        "170141183460469231731687303715.884105727",
        "-170141183460469231731687303715.884105727",
    ];
    for text in same {
        assert_eq!(Quantity::parse(text.as_bytes()).unwrap().to_string(), text);
    }
    let others = [("+7", "7"), ("-0", "0"), ("007.50", "7.5"), ("1.000000000000000000000", "1"), ("0.0", "0")];
    for (text, shown) in others {
        assert_eq!(Quantity::parse(text.as_bytes()).unwrap().to_string(), shown);
    }
    let zeros = format!("{}1.{}", "0".repeat(400), "0".repeat(400));
    assert_eq!(Quantity::parse(zeros.as_bytes()).unwrap(), Quantity::ONE);
    assert_eq!(Amount::MAX.to_string(), "99999999999999.999999999999999999999999");
    assert_eq!(format!("{:>8}|{:<6}|", Quantity::ONE, Quantity::ONE.neg()), "       1|-1    |");
    assert_eq!(Rate::parse_share("2.9%").unwrap(), Rate::parse(b"0.029").unwrap());
    assert_eq!(Rate::parse_share("0.029").unwrap(), Rate::parse(b"0.029").unwrap());
    assert!(Rate::parse_share("0.00000000000001%").is_err());
    assert!(Rate::parse_share("%").is_err());
}

#[test]
fn money_is_printed_in_the_currencys_own_unit() {
    let amount = |text: &str| text.parse::<Amount>().unwrap();
    let cases = [
        ("USD", "0.005", ["0.01", "0.00", "0.01", "0.00"]),
        ("USD", "-0.015", ["-0.02", "-0.02", "-0.02", "-0.01"]),
        ("JPY", "1.5", ["2", "2", "2", "1"]),
        ("KWD", "-0.0001", ["0.000", "0.000", "-0.001", "0.000"]),
        ("EUR", "0.004999999999999999999999", ["0.00", "0.00", "0.01", "0.00"]),
    ];
    let modes = [Rounding::HalfAway, Rounding::HalfEven, Rounding::Up, Rounding::Down];
    for (code, exact, printed) in cases {
        let currency = Currency::new(code).unwrap();
        for (mode, printed) in modes.into_iter().zip(printed) {
            let minor = currency.round(amount(exact), mode).unwrap();
            assert_eq!(currency.text(minor), printed, "{exact} {code} {mode:?}");
        }
    }
    let dollar = Currency::new("USD").unwrap();
    assert_eq!(dollar.exact(Minor(-1_205)).unwrap(), amount("-12.05"));
    assert!(dollar.exact(Minor(i64::MAX)).is_err());
    assert!(Currency::new("usd").is_err() && Currency::new("USDX").is_err() && Currency::new("XXX").is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn text_round_trips(raw in wide(), zeros in 0usize..30) {
        if let Ok(value) = Quantity::from_raw(raw) {
            prop_assert_eq!(value.to_string().parse::<Quantity>().unwrap(), value);
            prop_assert_eq!(serde_json::from_str::<Quantity>(&serde_json::to_string(&value).unwrap()).unwrap(), value);
            let rational = oracle::of_quantity(value);
            let text = value.to_string();
            let decimals = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
            let digits: BigInt = text.replace('.', "").parse().unwrap();
            prop_assert_eq!(Rational::new(digits, BigInt::from(10).pow(u32::try_from(decimals).unwrap())), rational);
            let point = if text.contains('.') { "" } else { "." };
            let longer = format!("{text}{point}0{}", "0".repeat(zeros));
            prop_assert_eq!(longer.parse::<Quantity>().unwrap(), value);
        }
        if let Ok(value) = Amount::from_raw(raw) {
            prop_assert_eq!(value.to_string().parse::<Amount>().unwrap(), value);
        }
    }

    #[test]
    fn any_text_is_read_or_refused_as_its_digits_say(text in "[-+]?[0-9]{0,32}(\\.[0-9]{0,12})?") {
        let digits = text.trim_start_matches(['-', '+']);
        let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(whole, fraction)| (whole, Some(fraction)));
        let decimal = !whole.is_empty() && fraction != Some("");
        let decimals = fraction.map_or(0, |fraction| fraction.trim_end_matches('0').len());
        match text.parse::<Quantity>() {
            Err(Error::NotDecimal { .. }) => prop_assert!(!decimal),
            Err(Error::TooManyDecimals { decimals: said, .. }) => prop_assert!(decimal && said == decimals && said > 9),
            result => {
                prop_assert!(decimal && decimals <= 9);
                let fraction = fraction.unwrap_or("").trim_end_matches('0');
                let raw: BigInt = format!("{whole}{fraction:0<9}").parse().unwrap();
                let raw = if text.starts_with('-') { -raw } else { raw };
                prop_assert_eq!(result.ok().map(|value| BigInt::from(value.raw())), raw.to_i128().map(BigInt::from));
            }
        }
    }

    #[test]
    fn division_rounds_half_to_even(a in wide(), b in wide(), divisor in wide()) {
        let result = mul_div(a, b, divisor);
        if divisor == 0 {
            prop_assert_eq!(result, Err(Error::DivisionByZero));
        } else {
            let exact = Rational::new(BigInt::from(a) * BigInt::from(b), BigInt::from(divisor));
            prop_assert_eq!(result.ok(), half_even(&exact, 0).to_integer().to_i128());
        }
    }

    #[test]
    fn halves_go_to_the_even_neighbour(quotient in -1000i128..1000, divisor in 1i128..1000, sign in any::<bool>()) {
        let divisor = if sign { 2 * divisor } else { -2 * divisor };
        let halfway = quotient * divisor + divisor / 2;
        let expected = if quotient % 2 == 0 { quotient } else { quotient + 1 };
        prop_assert_eq!(mul_div(halfway, 1, divisor), Ok(expected));
        // The same through 256 bits.
        prop_assert_eq!(mul_div(halfway, 10i128.pow(34), divisor * 10i128.pow(34)), Ok(expected));
    }

    #[test]
    fn products_are_exact_or_refused(quantity in wide(), each in wide(), per in wide()) {
        let (Ok(quantity), Ok(each), Ok(per)) = (Quantity::from_raw(quantity), UnitPrice::from_raw(each), Quantity::from_raw(per)) else {
            return Ok(());
        };
        let (q, e) = (oracle::of_quantity(quantity), oracle::of_price(each));
        let within = |amount: &Rational| amount.abs() < Rational::from(BigInt::from(10).pow(14));
        prop_assert_eq!(quantity.times(each).ok().map(oracle::of_amount), Some(&q * &e).filter(within));
        if per.is_zero() {
            prop_assert_eq!(quantity.times_per(each, per), Err(Error::DivisionByZero));
        } else {
            let exact = half_even(&(q * e / oracle::of_quantity(per)), oracle::MONEY);
            prop_assert_eq!(quantity.times_per(each, per).ok().map(oracle::of_amount), Some(exact).filter(within));
        }
    }

    #[test]
    fn sums_are_exact_or_refused(a in wide(), b in wide()) {
        let (Ok(a), Ok(b)) = (Amount::from_raw(a), Amount::from_raw(b)) else { return Ok(()) };
        let fits = |raw: Option<i128>| raw.filter(|raw| raw.abs() <= Amount::RAW_MAX);
        prop_assert_eq!(a.add(b).ok().map(Amount::raw), fits(a.raw().checked_add(b.raw())));
        prop_assert_eq!(a.sub(b).ok().map(Amount::raw), fits(a.raw().checked_sub(b.raw())));
        prop_assert_eq!(a.neg().neg(), a);
    }
}
