//! The numbers that setters accept.

/// A number as the service reads it, a 64-bit float, made of any type of number.
///
/// Setters of prices, quantities and other numbers take `impl Into<Number>`. An integer beyond 2^53 is rounded to the nearest
/// float. An `f32` becomes the number that prints the same. A type of your own becomes a number by one `impl`:
///
/// ```
/// use mparticle::{Number, Product, ProductAction};
///
/// struct Euros {
///     cents: u32,
/// }
///
/// impl From<Euros> for Number {
///     fn from(euros: Euros) -> Self {
///         Number::from(f64::from(euros.cents) / 100.0)
///     }
/// }
///
/// let seats = vec!["A1", "A2"];
/// let ticket = Product::new("TICKET", "Ticket").price(Euros { cents: 1299 }).quantity(seats.len());
/// assert_eq!((ticket.price, ticket.quantity), (Some(12.99), Some(2.0)));
///
/// let purchase = ProductAction::purchase().product(ticket).tax(4.15_f32).total(25.98);
/// assert_eq!(purchase.tax_amount, Some(4.15));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Number(f64);

/// `From` for types that are copied, and for references to them.
macro_rules! from_numbers {
    ($($type:ty),* => |$number:ident| $converted:expr) => {$(
        impl From<$type> for Number {
            fn from($number: $type) -> Self {
                Self($converted)
            }
        }

        impl From<&$type> for Number {
            fn from(number: &$type) -> Self {
                Self::from(*number)
            }
        }
    )*};
}

from_numbers!(i8, i16, i32, u8, u16, u32 => |number| f64::from(number));
from_numbers!(isize, usize, i64, u64, i128, u128 => |number| {
    #[allow(clippy::cast_precision_loss, reason = "the service's numbers have this precision, and the docs say so")]
    let nearest = number as f64;
    nearest
});
// The shortest text of the number, read again: `0.1_f32` becomes 0.1 and not 0.10000000149011612.
from_numbers!(f32 => |number| number.to_string().parse().unwrap_or_else(|_| f64::from(number)));
from_numbers!(f64 => |number| number);

impl From<Number> for f64 {
    fn from(number: Number) -> Self {
        number.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_of_number_is_converted_to_the_nearest_float() {
        let numbers: [Number; 14] = [
            2.into(),
            2_i8.into(),
            2_i16.into(),
            2_i64.into(),
            2_i128.into(),
            2_isize.into(),
            2_u8.into(),
            2_u16.into(),
            2_u32.into(),
            2_u64.into(),
            2_u128.into(),
            2_usize.into(),
            (&2_usize).into(),
            2.0_f32.into(),
        ];
        assert_eq!(numbers, [Number::from(2.0); 14]);
        assert_eq!(Number::from((1_u64 << 53) + 1), 9_007_199_254_740_992.0.into());
        assert_eq!(Number::from(u64::MAX), 18_446_744_073_709_551_616.0.into());
        assert_eq!(Number::from(i64::MIN), (-9_223_372_036_854_775_808.0).into());
    }

    #[test]
    fn a_float_is_the_number_that_prints_the_same() {
        assert_eq!((Number::from(0.1_f32), Number::from(&12.99_f32)), (0.1.into(), 12.99.into()));
        assert!(f64::from(Number::from(f32::NAN)).is_nan());
        assert_eq!(f64::from(Number::from(f32::NEG_INFINITY)).to_string(), "-inf");
    }
}
