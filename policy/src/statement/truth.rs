//! Three-valued logic with a fourth value for what cannot be told, and what a condition with such a value lets through.
//! Both dialects fold constants with it; which constants, and by which rules of comparison, they say themselves.

/// What a condition lets through, as far as its text tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::statement) enum Filter {
    /// Every row, or all but those with a null.
    Everything,
    /// No row: it is false or null.
    Nothing,
    /// It depends.
    Unknown,
}

/// What a condition is, as far as its text tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Truth {
    True,
    False,
    Null,
    /// It depends.
    Unknown,
}

impl Truth {
    pub(super) fn of(value: bool) -> Self {
        if value { Self::True } else { Self::False }
    }

    pub(super) fn not(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            Self::Null => Self::Null,
            Self::Unknown => Self::Unknown,
        }
    }

    /// False wins, then what is unknown to us, then null.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::False, _) | (_, Self::False) => Self::False,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Null, _) | (_, Self::Null) => Self::Null,
            (Self::True, Self::True) => Self::True,
        }
    }

    pub(super) fn or(self, other: Self) -> Self {
        self.not().and(other.not()).not()
    }
}

impl From<Truth> for Filter {
    fn from(truth: Truth) -> Self {
        match truth {
            Truth::True => Self::Everything,
            Truth::False | Truth::Null => Self::Nothing,
            Truth::Unknown => Self::Unknown,
        }
    }
}
