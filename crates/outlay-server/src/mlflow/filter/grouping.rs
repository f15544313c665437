//! Joins the tokens of a statement into identifiers, parentheses, comparisons and so on.
//!
//! Only the outermost groups matter to a filter, so that a group keeps its range and its kind and
//! forgets what it was made of; a comparison alone remembers its two sides. The rules run one after
//! another over the whole statement, each in time linear in its length, and in an order that
//! decides what wins: that order is part of the grammar.

use super::kind::Kind;
use super::lexer::Token;

/// More tokens than this and nothing is grouped: the filter is in error.
const MOST_TOKENS: usize = 10_000;
/// Parentheses nested deeper than this are an error.
const DEEPEST: u32 = 100;

/// Why tokens are not grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum TooMuch {
    #[error("Maximum number of tokens exceeded ({MOST_TOKENS}).")]
    Tokens,
    #[error("Maximum grouping depth exceeded ({DEEPEST}).")]
    Depth,
}

/// A token or a group of tokens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
    depth: u32,
    /// Which of the comparisons it is, where it is one.
    comparison: usize,
}

/// The parts of a comparison.
#[derive(Debug, Clone, Copy)]
pub(super) struct Comparison {
    pub(super) left: Node,
    pub(super) comparator: Node,
    pub(super) right: Node,
    /// How many comments have been appended to it.
    pub(super) comments: usize,
}

/// The outermost groups of a statement.
pub(super) struct Groups<'a> {
    pub(super) text: &'a str,
    pub(super) nodes: Vec<Node>,
    comparisons: Vec<Comparison>,
}

/// What the right side of a group must be; none where nothing is left.
type Right<'r> = dyn Fn(Option<(&Node, &str)>) -> bool + 'r;

/// A rule for a group around a sign in the middle, as in `left sign right`.
pub(super) struct Around<'r> {
    pub(super) kind: Kind,
    /// Whether the group starts at the sign and not at its left side.
    pub(super) from_sign: bool,
    pub(super) sign: &'r dyn Fn(&Node, &str) -> bool,
    pub(super) left: &'r dyn Fn(&Node, &str) -> bool,
    pub(super) right: &'r Right<'r>,
    /// Whether the right side belongs to the group.
    pub(super) takes_right: &'r dyn Fn(&Node, &str) -> bool,
    /// Whether the group goes on to the next semicolon after its right side, if there is one.
    pub(super) to_semicolon: bool,
}

impl<'a> Groups<'a> {
    /// Groups the tokens.
    pub(super) fn new(text: &'a str, tokens: &[Token]) -> Result<Self, TooMuch> {
        let nodes = tokens
            .iter()
            .map(|token| Node {
                kind: token.kind,
                start: token.start,
                end: token.end,
                depth: 0,
                comparison: usize::MAX,
            })
            .collect();
        let mut groups = Self {
            text,
            nodes,
            comparisons: Vec::new(),
        };
        groups.comments();
        if groups.nodes.len() > MOST_TOKENS {
            return Err(TooMuch::Tokens);
        }
        groups.apply_rules();
        if groups.nodes.iter().any(|node| node.depth > DEEPEST) {
            return Err(TooMuch::Depth);
        }
        Ok(groups)
    }

    pub(super) fn text_of(&self, node: &Node) -> &'a str {
        self.text.get(node.start..node.end).unwrap_or("")
    }

    pub(super) fn comparison(&self, node: &Node) -> Option<&Comparison> {
        if node.kind != Kind::Comparison {
            return None;
        }
        self.comparisons.get(node.comparison)
    }

    /// Runs of comments and line ends that something follows.
    fn comments(&mut self) {
        let nodes = std::mem::take(&mut self.nodes);
        let mut position = 0;
        while position < nodes.len() {
            let node = nodes[position];
            if node.kind == Kind::CommentText {
                let length = nodes[position..]
                    .iter()
                    .take_while(|next| matches!(next.kind, Kind::CommentText | Kind::NewLine))
                    .count();
                if position + length < nodes.len() {
                    let last = nodes[position + length - 1];
                    self.nodes.push(joined(Kind::Comment, node, last));
                    position += length;
                    continue;
                }
            }
            self.nodes.push(node);
            position += 1;
        }
    }

    /// Everything between an opening and its closing token. What is never closed, or was never
    /// opened, is left as it is.
    pub(super) fn enclosed(
        &mut self,
        kind: Kind,
        opens: impl Fn(&Node, &str) -> bool,
        closes: impl Fn(&Node, &str) -> bool,
    ) {
        let nodes = std::mem::take(&mut self.nodes);
        let mut open: Vec<usize> = Vec::new();
        for node in nodes {
            let value = self.text_of(&node);
            if !node.kind.is_group() {
                if opens(&node, value) {
                    open.push(self.nodes.len());
                } else if closes(&node, value)
                    && let Some(start) = open.pop()
                {
                    let depth = 1 + self.nodes[start..]
                        .iter()
                        .map(|n| n.depth)
                        .max()
                        .unwrap_or(0);
                    let mut group = joined(kind, self.nodes[start], node);
                    group.depth = depth;
                    self.nodes.truncate(start);
                    self.nodes.push(group);
                    continue;
                }
            }
            self.nodes.push(node);
        }
    }

    /// Replaces every node for which `kind_of` has an answer by a group of that kind. The answer
    /// is given the nodes from that one on, and says as well how many of them the group takes.
    pub(super) fn leading(&mut self, kind_of: impl Fn(&[Node], &str) -> Option<(Kind, usize)>) {
        let nodes = std::mem::take(&mut self.nodes);
        let mut position = 0;
        while position < nodes.len() {
            let node = nodes[position];
            let answer = if node.kind.is_space() {
                None
            } else {
                kind_of(&nodes[position..], self.text)
            };
            if let Some((kind, length)) = answer {
                let last = nodes[position + length - 1];
                self.nodes.push(joined(kind, node, last));
                position += length;
            } else {
                self.nodes.push(node);
                position += 1;
            }
        }
    }

    /// Appends every node that `wanted` names to the one before it, which must satisfy `left`.
    pub(super) fn trailing(
        &mut self,
        wanted: Kind,
        left: impl Fn(&Node) -> bool,
        kind: impl Fn(&Node) -> Kind,
    ) {
        let nodes = std::mem::take(&mut self.nodes);
        for node in nodes {
            if node.kind == wanted
                && let Some(before) = self.nodes.iter().rposition(|n| !n.kind.is_space())
                && left(&self.nodes[before])
            {
                let start = self.nodes[before];
                let mut group = joined(kind(&start), start, node);
                if let Some(comparison) = self.comparisons.get_mut(start.comparison)
                    && group.kind == Kind::Comparison
                {
                    comparison.comments += 1;
                    group.comparison = start.comparison;
                }
                self.nodes.truncate(before);
                self.nodes.push(group);
            } else {
                self.nodes.push(node);
            }
        }
    }

    fn is_semicolon(&self, node: &Node) -> bool {
        node.kind == Kind::Punctuation && self.text_of(node) == ";"
    }

    /// Applies a rule for groups around a sign.
    pub(super) fn around(&mut self, rule: &Around<'_>) {
        let nodes = std::mem::take(&mut self.nodes);
        let mut taken = 0;
        // Where the last node that is not white space ended up, and what it was: a node that has
        // just become the right side of a group still counts as itself, so that a group can be
        // the left side of the next one whenever its own right side could.
        let mut previous: Option<(usize, Node)> = None;
        for (index, node) in nodes.iter().enumerate() {
            if index >= taken {
                self.nodes.push(*node);
                taken = index + 1;
            }
            if node.kind.is_space() {
                continue;
            }
            let position = self.nodes.len() - 1;
            let value = self.text_of(node);
            if (rule.sign)(node, value)
                && let Some((before, left)) = previous
                && (rule.left)(&left, self.text_of(&left))
            {
                let after = (taken..nodes.len()).find(|next| !nodes[*next].kind.is_space());
                let right = after.map(|next| &nodes[next]);
                if (rule.right)(right.map(|right| (right, self.text_of(right)))) {
                    let from = if rule.from_sign { position } else { before };
                    let end = match (right, after) {
                        (Some(right), Some(after))
                            if (rule.takes_right)(right, self.text_of(right)) =>
                        {
                            let semicolon = rule.to_semicolon.then(|| {
                                let later = nodes.iter().skip(after + 1);
                                later.take_while(|node| !self.is_semicolon(node)).count()
                                    + after
                                    + 1
                            });
                            let last = semicolon.filter(|last| *last < nodes.len());
                            let last = last.unwrap_or(after);
                            taken = last + 1;
                            nodes[last]
                        }
                        _ => *node,
                    };
                    let start = self.nodes[from];
                    let mut group = joined(rule.kind, start, end);
                    group.end = group.end.max(self.nodes[position].end);
                    if rule.kind == Kind::Comparison {
                        group.comparison = self.comparisons.len();
                        self.comparisons.push(Comparison {
                            left: start,
                            comparator: *node,
                            right: end,
                            comments: 0,
                        });
                    }
                    self.nodes.truncate(from);
                    self.nodes.push(group);
                    previous = Some((from, group));
                    continue;
                }
            }
            previous = Some((position, *node));
        }
    }
}

fn joined(kind: Kind, start: Node, end: Node) -> Node {
    Node {
        kind,
        start: start.start,
        end: end.end,
        depth: start.depth.max(end.depth),
        comparison: usize::MAX,
    }
}

/// How far the first node after the first of `nodes` that is not white space is, and that node.
pub(super) fn following(nodes: &[Node]) -> Option<(usize, &Node)> {
    nodes
        .iter()
        .enumerate()
        .skip(1)
        .find(|(_, node)| !node.kind.is_space())
}
