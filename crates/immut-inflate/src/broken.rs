use std::fmt;

/// What is wrong with a stream; the numbers are sections of RFC 1951.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Broken {
    /// A block is of type 3, which is reserved (3.2.3).
    BlockType,
    /// The length of a stored block and its complement do not match (3.2.4).
    StoredLength,
    /// A block announces more than 286 literal and length codes, or more than 30 distance codes
    /// (3.2.7).
    TooManyCodes,
    /// The code that the code lengths are written in is not complete (3.2.7).
    LengthCode,
    /// A code length is repeated where there is none, or beyond the last (3.2.7).
    Repeat,
    /// A block has no code for its end (3.2.7).
    NoEnd,
    /// The code of literals and lengths is not complete (3.2.7).
    LiteralCode,
    /// The code of distances is not complete (3.2.7).
    DistanceCode,
    /// Bits that should be a literal or a length are none (3.2.5, 3.2.6).
    Literal,
    /// Bits that should be a distance are none (3.2.5, 3.2.6).
    Distance,
    /// A match reaches back beyond the start of the stream (3.2.5).
    TooFarBack,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BlockType => "invalid block type",
            Self::StoredLength => "the length of a stored block does not match its complement",
            Self::TooManyCodes => "too many length or distance codes",
            Self::LengthCode => "invalid code for the code lengths",
            Self::Repeat => "invalid repetition of a code length",
            Self::NoEnd => "no code for the end of a block",
            Self::LiteralCode => "invalid code for literals and lengths",
            Self::DistanceCode => "invalid code for distances",
            Self::Literal => "invalid literal or length",
            Self::Distance => "invalid distance",
            Self::TooFarBack => "distance too far back",
        })
    }
}

impl std::error::Error for Broken {}
