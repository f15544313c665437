//! The tree over the evidence: the Merkle tree of RFC 6962 (Certificate Transparency), with SHA-256.
//!
//! A record's leaf is `SHA-256(0x00 || record)`, a node is `SHA-256(0x01 || left || right)`, and a list of `n` leaves splits at the largest power of two below `n` (RFC 6962, section 2.1).
//! Whoever holds a signed root can be shown that a record is under it, and that a later root continues it, with a few dozen hashes.

use sha2::{Digest, Sha256};

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// The hash of a leaf, `SHA-256(0x00 || record)`.
///
/// ```
/// // RFC 6962's hash of an empty leaf.
/// let hash = outlay_ledger::merkle::leaf_hash(b"");
/// assert_eq!(hash[..4], [0x6e, 0x34, 0x0b, 0x9c]);
/// ```
#[must_use]
pub fn leaf_hash(record: &[u8]) -> Hash {
    Sha256::new()
        .chain_update([0])
        .chain_update(record)
        .finalize()
        .into()
}

/// The hash of a node over its two children.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new()
        .chain_update([1])
        .chain_update(left)
        .chain_update(right)
        .finalize()
        .into()
}

/// The root of no leaves: the hash of nothing.
#[must_use]
pub fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// A tree that only grows: the roots of the complete subtrees at its right edge, largest first.
///
/// A tree of `n` leaves has as many as `n` has ones in binary, so that appending touches at most 64 hashes however many records there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    size: u64,
    edge: Vec<Hash>,
}

impl Tree {
    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf by its hash.
    pub fn push(&mut self, leaf: Hash) {
        let mut node = leaf;
        // Every complete subtree of equal size at the edge is joined, as in a binary counter.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.edge.pop() {
                node = node_hash(&left, &node);
            }
        }
        self.edge.push(node);
        self.size += 1;
    }

    /// The root over all leaves.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut edge = self.edge.iter().rev();
        let Some(last) = edge.next() else {
            return empty_root();
        };
        edge.fold(*last, |right, left| node_hash(left, &right))
    }

    /// The edge as bytes, 32 for each hash, for the store.
    #[must_use]
    pub fn edge_bytes(&self) -> Vec<u8> {
        self.edge.concat()
    }

    /// Reads back what [`Tree::edge_bytes`] wrote; `None` where the edge cannot be of a tree of that size.
    #[must_use]
    pub fn from_edge(size: u64, bytes: &[u8]) -> Option<Self> {
        let (hashes, rest) = bytes.as_chunks::<32>();
        (rest.is_empty() && hashes.len() == size.count_ones() as usize).then(|| Self {
            size,
            edge: hashes.to_vec(),
        })
    }
}

/// The root over a list of leaf hashes.
#[must_use]
pub fn root_of(leaves: &[Hash]) -> Hash {
    let mut tree = Tree::default();
    for leaf in leaves {
        tree.push(*leaf);
    }
    tree.root()
}

/// Where a list of more than one leaf splits: the largest power of two below its length.
fn split(n: usize) -> usize {
    n.next_power_of_two() / 2
}

/// The hashes that show that the leaf at `position` is in the tree over `leaves` (RFC 6962, section 2.1.1), leaf first.
#[must_use]
pub fn inclusion_proof(leaves: &[Hash], position: usize) -> Option<Vec<Hash>> {
    if position >= leaves.len() {
        return None;
    }
    let mut proof = Vec::new();
    let (mut leaves, mut position) = (leaves, position);
    while leaves.len() > 1 {
        let (left, right) = leaves.split_at(split(leaves.len()));
        if position < left.len() {
            proof.push(root_of(right));
            leaves = left;
        } else {
            proof.push(root_of(left));
            position -= left.len();
            leaves = right;
        }
    }
    proof.reverse();
    Some(proof)
}

/// Whether a proof shows that `leaf` is at `position` in the tree of `size` leaves with this root (RFC 9162, section 2.1.3.2).
#[must_use]
pub fn includes(root: &Hash, size: u64, position: u64, leaf: &Hash, proof: &[Hash]) -> bool {
    if position >= size {
        return false;
    }
    let (mut first, mut last) = (position, size - 1);
    let mut node = *leaf;
    for hash in proof {
        if last == 0 {
            return false;
        }
        if first & 1 == 1 || first == last {
            node = node_hash(hash, &node);
            while first & 1 == 0 && first != 0 {
                first >>= 1;
                last >>= 1;
            }
        } else {
            node = node_hash(&node, hash);
        }
        first >>= 1;
        last >>= 1;
    }
    last == 0 && node == *root
}

/// The hashes that show that the tree over `leaves` continues the tree over the first `earlier` of them (RFC 6962, section 2.1.2).
#[must_use]
pub fn consistency_proof(leaves: &[Hash], earlier: usize) -> Option<Vec<Hash>> {
    if earlier == 0 || earlier > leaves.len() {
        return None;
    }
    let mut proof = Vec::new();
    let (mut leaves, mut earlier, mut whole) = (leaves, earlier, true);
    while earlier < leaves.len() {
        let (left, right) = leaves.split_at(split(leaves.len()));
        if earlier <= left.len() {
            proof.push(root_of(right));
            leaves = left;
        } else {
            proof.push(root_of(left));
            earlier -= left.len();
            leaves = right;
            whole = false;
        }
    }
    if !whole {
        proof.push(root_of(leaves));
    }
    proof.reverse();
    Some(proof)
}

/// Whether a proof shows that the later tree continues the earlier one (RFC 9162, section 2.1.4.2).
#[must_use]
pub fn continues(earlier: (u64, &Hash), later: (u64, &Hash), proof: &[Hash]) -> bool {
    let ((earlier_size, earlier_root), (later_size, later_root)) = (earlier, later);
    if earlier_size == 0 || earlier_size > later_size {
        return false;
    }
    if earlier_size == later_size {
        return proof.is_empty() && earlier_root == later_root;
    }
    let (mut first, mut last) = (earlier_size - 1, later_size - 1);
    while first & 1 == 1 {
        first >>= 1;
        last >>= 1;
    }
    let mut hashes = proof.iter();
    let start = if earlier_size.is_power_of_two() {
        *earlier_root
    } else {
        match hashes.next() {
            Some(hash) => *hash,
            None => return false,
        }
    };
    let (mut of_earlier, mut of_later) = (start, start);
    for hash in hashes {
        if last == 0 {
            return false;
        }
        if first & 1 == 1 || first == last {
            of_earlier = node_hash(hash, &of_earlier);
            of_later = node_hash(hash, &of_later);
            while first & 1 == 0 && first != 0 {
                first >>= 1;
                last >>= 1;
            }
        } else {
            of_later = node_hash(&of_later, hash);
        }
        first >>= 1;
        last >>= 1;
    }
    last == 0 && of_earlier == *earlier_root && of_later == *later_root
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex;
    use proptest::prelude::*;

    /// The eight leaves, roots and proofs that Certificate Transparency's implementations test each other with.
    #[test]
    fn agrees_with_the_published_roots() {
        let inputs: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        assert_eq!(
            hex(&empty_root()),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        let mut tree = Tree::default();
        for (input, root) in inputs.iter().zip(roots) {
            tree.push(leaf_hash(input));
            assert_eq!(hex(&tree.root()), root, "{} leaves", tree.size());
        }
        let leaves: Vec<Hash> = inputs.iter().map(|input| leaf_hash(input)).collect();
        let proof = inclusion_proof(&leaves, 5).expect("in the tree");
        assert_eq!(
            hex(&proof[0]),
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
        );
    }

    fn numbered(n: usize) -> Vec<Hash> {
        (0..n).map(|i| leaf_hash(&i.to_le_bytes())).collect()
    }

    proptest! {
        #[test]
        fn every_leaf_is_shown_and_no_other(n in 1usize..70, position in 0usize..70, wrong in 0usize..70) {
            let leaves = numbered(n);
            let root = root_of(&leaves);
            let position = position % n;
            let proof = inclusion_proof(&leaves, position).expect("in the tree");
            let size = n as u64;
            prop_assert!(includes(&root, size, position as u64, &leaves[position], &proof));
            let wrong = wrong % n;
            if wrong != position {
                prop_assert!(!includes(&root, size, position as u64, &leaves[wrong], &proof));
                prop_assert!(!includes(&root, size, wrong as u64, &leaves[position], &proof));
            }
            prop_assert!(!includes(&root, size, size, &leaves[position], &proof));
        }

        #[test]
        fn a_grown_tree_continues_the_earlier_one(n in 1usize..70, earlier in 1usize..70, changed in 0usize..70) {
            let earlier = 1 + (earlier - 1) % n;
            let leaves = numbered(n);
            let old = root_of(&leaves[..earlier]);
            let new = root_of(&leaves);
            let proof = consistency_proof(&leaves, earlier).expect("a proof");
            prop_assert!(continues((earlier as u64, &old), (n as u64, &new), &proof));
            let mut altered = leaves.clone();
            altered[changed % earlier] = leaf_hash(b"changed");
            let new = root_of(&altered);
            let proof = consistency_proof(&altered, earlier).expect("a proof");
            prop_assert!(!continues((earlier as u64, &old), (n as u64, &new), &proof));
        }

        #[test]
        fn the_edge_comes_back(n in 0usize..200) {
            let mut tree = Tree::default();
            for leaf in numbered(n) { tree.push(leaf); }
            prop_assert_eq!(Tree::from_edge(n as u64, &tree.edge_bytes()), Some(tree.clone()));
            prop_assert_eq!(Tree::from_edge(2 * n as u64 + 1, &tree.edge_bytes()), None);
        }
    }
}
