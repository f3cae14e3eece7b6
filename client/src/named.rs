//! Enumerations whose variants have names outside Rust.

/// Defines an enumeration with the list `ALL` and a method that returns a variant's name.
macro_rules! named {
    (
        fn $method:ident;
        $(#[$attribute:meta])*
        pub enum $Type:ident { $($(#[$doc:meta])* $variant:ident = $name:literal,)* }
    ) => {
        $(#[$attribute])*
        pub enum $Type {
            $($(#[$doc])* $variant,)*
        }

        impl $Type {
            /// All values, in the order of their declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Returns the name in JavaScript and in the documentation; it is stable.
            pub fn $method(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}
pub(crate) use named;
