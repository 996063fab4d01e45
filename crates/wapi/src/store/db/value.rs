//! Values of statements.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;

use crate::store::Life;

/// A value of a statement. What the database keeps as a number is one here, too: truths are 0 and 1, and
/// times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'q> {
    Null(ValueKind),
    Int(i64),
    Text(Cow<'q, str>),
    Blob(Cow<'q, [u8]>),
}

/// What kind of value is missing: PostgreSQL wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueKind {
    Int,
    Text,
    Blob,
}

/// What can be bound to a statement.
pub trait IntoValue<'q> {
    /// The kind of its values.
    const KIND: ValueKind;

    fn into_value(self) -> Value<'q>;
}

impl<'q, T: IntoValue<'q>> IntoValue<'q> for Option<T> {
    const KIND: ValueKind = T::KIND;

    fn into_value(self) -> Value<'q> {
        self.map_or(Value::Null(T::KIND), T::into_value)
    }
}

macro_rules! int_values {
    ($($number:ty),*) => {$(
        impl<'q> IntoValue<'q> for $number {
            const KIND: ValueKind = ValueKind::Int;

            fn into_value(self) -> Value<'q> {
                Value::Int(i64::from(self))
            }
        }

        impl<'q> IntoValue<'q> for &$number {
            const KIND: ValueKind = ValueKind::Int;

            fn into_value(self) -> Value<'q> {
                Value::Int(i64::from(*self))
            }
        }
    )*};
}

int_values!(i64, i32, u32, u16, u8, bool);

macro_rules! values {
    ($kind:ident: $($type:ty => |$value:ident| $into:expr),* $(,)?) => {$(
        impl<'q> IntoValue<'q> for $type {
            const KIND: ValueKind = ValueKind::$kind;

            fn into_value(self) -> Value<'q> {
                let $value = self;
                Value::$kind($into.into())
            }
        }
    )*};
}

values!(Int:
    &'q Life => |life| life.id(),
    Life => |life| life.id(),
    Timestamp => |time| time.as_millisecond(),
);
values!(Text:
    &'q str => |text| text,
    &'q String => |text| text.as_str(),
    String => |text| text,
    Cow<'q, str> => |text| text,
    &'q Arc<str> => |text| &**text,
    &'q Box<str> => |text| &**text,
    &&'q str => |text| *text,
    &'q &'q String => |text| text.as_str(),
);
values!(Blob:
    &'q [u8] => |bytes| bytes,
    &'q Vec<u8> => |bytes| bytes.as_slice(),
    Vec<u8> => |bytes| bytes,
);

impl<'q, const N: usize> IntoValue<'q> for &'q [u8; N] {
    const KIND: ValueKind = ValueKind::Blob;

    fn into_value(self) -> Value<'q> {
        Value::Blob(self.as_slice().into())
    }
}

impl<'q, T> IntoValue<'q> for &'q Option<T>
where
    &'q T: IntoValue<'q>,
{
    const KIND: ValueKind = <&'q T as IntoValue<'q>>::KIND;

    fn into_value(self) -> Value<'q> {
        self.as_ref().into_value()
    }
}
