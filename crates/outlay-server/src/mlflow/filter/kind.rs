//! The kinds of tokens and of groups of tokens.

/// What a token is, or what a group of tokens has become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    // Tokens.
    Space,
    NewLine,
    CommentText,
    Keyword,
    KeywordOfStatement,
    KeywordOfControl,
    KeywordOfOrder,
    KeywordOfTimeZone,
    Name,
    Placeholder,
    Builtin,
    Integer,
    Float,
    Hexadecimal,
    SingleQuoted,
    DoubleQuoted,
    Punctuation,
    Comparator,
    Operator,
    Wildcard,
    AssignmentSign,
    Other,
    // Groups.
    Comment,
    Parenthesis,
    Brackets,
    Case,
    Block,
    Over,
    Function,
    Where,
    Identifier,
    TypedLiteral,
    Operation,
    Comparison,
    Assignment,
    IdentifierList,
    Values,
}

impl Kind {
    pub(super) fn is_space(self) -> bool {
        matches!(self, Self::Space | Self::NewLine)
    }

    pub(super) fn is_keyword(self) -> bool {
        matches!(
            self,
            Self::Keyword
                | Self::KeywordOfStatement
                | Self::KeywordOfControl
                | Self::KeywordOfOrder
                | Self::KeywordOfTimeZone
        )
    }

    /// Whether it is any sort of name, types and placeholders included.
    pub(super) fn is_name(self) -> bool {
        matches!(self, Self::Name | Self::Placeholder | Self::Builtin)
    }

    pub(super) fn is_number(self) -> bool {
        matches!(self, Self::Integer | Self::Float | Self::Hexadecimal)
    }

    pub(super) fn is_group(self) -> bool {
        matches!(
            self,
            Self::Comment
                | Self::Parenthesis
                | Self::Brackets
                | Self::Case
                | Self::Block
                | Self::Over
                | Self::Function
                | Self::Where
                | Self::Identifier
                | Self::TypedLiteral
                | Self::Operation
                | Self::Comparison
                | Self::Assignment
                | Self::IdentifierList
                | Self::Values
        )
    }
}
