//! Where registers lie and what software may do with their bits.

use std::fmt;

/// A block of registers as the generator writes it.
#[derive(Debug)]
pub struct Block {
    /// The block's name in the specification.
    pub name: &'static str,
    /// Size in bytes.
    pub size: u32,
    /// What lies in it, by offset.
    pub spans: &'static [Span],
}

/// A register or an inner block, or a row of `count` of them `stride` bytes apart.
#[derive(Debug)]
pub struct Span {
    /// Byte offset of the first element.
    pub at: u32,
    /// Number of elements.
    pub count: u32,
    /// Bytes from one element to the next.
    pub stride: u32,
    /// What each element is.
    pub what: What,
}

/// What a span holds.
#[derive(Debug)]
pub enum What {
    /// A register of 1 to 8 bytes.
    Register(Register),
    /// A block, under the name it has here.
    Block(&'static str, &'static Block),
}

/// One register: its size in bytes and what may be done with its bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Register<Name = &'static str> {
    /// The specification's mnemonic.
    pub name: Name,
    /// Size in bytes, 1 to 8.
    pub size: u8,
    /// Value after a cold reset.
    pub reset: u64,
    /// Bits that a write stores.
    pub rw: u64,
    /// Bits that a written 1 clears.
    pub rw1c: u64,
    /// Bits that a function-level reset keeps.
    pub sticky: u64,
}

/// A layout that contradicts itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayoutError(String);

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for LayoutError {}

/// A layout made ready for look-ups: shared by all register files of the same kind.
#[derive(Debug)]
pub struct Layout {
    size: u32,
    leaves: Vec<Leaf>,
    nodes: Vec<Node>,
    stored: usize,
}

/// A register, by its id, and where its elements' bytes are kept in a register file.
#[derive(Debug)]
struct Leaf {
    register: Register<String>,
    base: usize,
    elements: u32,
}

/// A span of the tree: look-ups go down by offset.
#[derive(Debug)]
struct Node {
    at: u32,
    end: u32,
    count: u32,
    stride: u32,
    inner: Inner,
}

#[derive(Debug)]
enum Inner {
    Leaf(u16),
    Block { size: u32, nodes: Vec<Node> },
}

/// One element of a register, found by its offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Element {
    /// Id of the register.
    pub id: u16,
    /// Which element of its row.
    pub index: u32,
    /// Byte offset of the element in the layout.
    pub at: u32,
    /// Size in bytes.
    pub size: u32,
    /// Where its bytes are kept.
    pub stored: usize,
}

impl Layout {
    /// The layout of a generated block.
    pub fn of(block: &'static Block) -> Self {
        let mut layout = Self { size: block.size, leaves: vec![], nodes: vec![], stored: 0 };
        layout.nodes = layout.compile(block, "", 1);
        layout
    }

    /// A layout of single registers, given with their offsets in any order.
    pub fn from_registers(
        size: u32,
        registers: impl IntoIterator<Item = (u32, Register<String>)>,
    ) -> Result<Self, LayoutError> {
        let mut layout = Self { size, leaves: vec![], nodes: vec![], stored: 0 };
        let mut sorted: Vec<_> = registers.into_iter().collect();
        sorted.sort_by_key(|(at, _)| *at);
        for (at, register) in sorted {
            let name = &register.name;
            if !(1..=8).contains(&register.size) {
                let bytes = register.size;
                return Err(LayoutError(format!("{name} has {bytes} bytes; 1 to 8 are allowed")));
            }
            let end = at.checked_add(u32::from(register.size)).filter(|end| *end <= size);
            let Some(end) = end else {
                return Err(LayoutError(format!("{name} at {at:#x} leaves the {size:#x} bytes")));
            };
            if let Some(last) = layout.nodes.last().filter(|last| last.end > at) {
                let other = layout.name_of(last).to_owned();
                return Err(LayoutError(format!("{name} at {at:#x} overlaps {other}")));
            }
            let stride = u32::from(register.size);
            let inner = Inner::Leaf(layout.add(register, 1)?);
            layout.nodes.push(Node { at, end, count: 1, stride, inner });
        }
        Ok(layout)
    }

    /// Size in bytes.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// The registers in the order of their ids.
    pub fn registers(&self) -> impl Iterator<Item = &Register<String>> {
        self.leaves.iter().map(|leaf| &leaf.register)
    }

    /// The id of a register by name.
    pub fn id(&self, name: &str) -> Option<u16> {
        let found = self.leaves.iter().position(|leaf| leaf.register.name == name)?;
        u16::try_from(found).ok()
    }

    /// The register with this id.
    pub fn register(&self, id: u16) -> Option<&Register<String>> {
        Some(&self.leaves.get(usize::from(id))?.register)
    }

    /// The register that covers an offset, by id, and which element of its row; `None` in a gap.
    pub fn find(&self, at: u32) -> Option<(u16, u32)> {
        let found = find(&self.nodes, at).filter(|found| found.at <= at)?;
        Some((found.id, found.index))
    }

    /// How many elements the register's row has, 0 when there is no such register.
    pub fn elements(&self, id: u16) -> u32 {
        self.leaves.get(usize::from(id)).map_or(0, |leaf| leaf.elements)
    }

    /// Bytes that a register file keeps.
    pub(crate) fn stored(&self) -> usize {
        self.stored
    }

    /// Where the bytes of an element are kept, with their number.
    pub(crate) fn slot(&self, id: u16, index: u32) -> Option<(usize, usize)> {
        let leaf = self.leaves.get(usize::from(id)).filter(|leaf| index < leaf.elements)?;
        let size = usize::from(leaf.register.size);
        Some((leaf.base + index as usize * size, size))
    }

    /// The first element that ends behind `from`, if it starts before `to`.
    pub(crate) fn next_element(&self, from: u32, to: u32) -> Option<Element> {
        let found = find(&self.nodes, from)?;
        if found.at >= to {
            return None;
        }
        let (stored, size) = self.slot(found.id, found.index)?;
        Some(Element { id: found.id, index: found.index, at: found.at, size: size as u32, stored })
    }

    fn name_of(&self, node: &Node) -> &str {
        match node.inner {
            Inner::Leaf(id) => self.register(id).map_or("", |register| &register.name),
            Inner::Block { .. } => "a block",
        }
    }

    fn add(&mut self, register: Register<String>, elements: u32) -> Result<u16, LayoutError> {
        let id = u16::try_from(self.leaves.len())
            .map_err(|_| LayoutError("a layout has at most 65,536 registers".into()))?;
        let base = self.stored;
        self.stored += usize::from(register.size) * elements as usize;
        self.leaves.push(Leaf { register, base, elements });
        Ok(id)
    }

    fn compile(&mut self, block: &'static Block, prefix: &str, outer: u32) -> Vec<Node> {
        let mut nodes = Vec::with_capacity(block.spans.len());
        for Span { at, count, stride, what } in block.spans {
            let (size, inner) = match what {
                What::Register(r) => {
                    let name = format!("{prefix}{}", r.name);
                    let Register { size, reset, rw, rw1c, sticky, .. } = *r;
                    let named = Register { name, size, reset, rw, rw1c, sticky };
                    // The generator's classes hold far fewer registers than an id can number.
                    let Ok(id) = self.add(named, outer * count) else { return nodes };
                    (u32::from(size), Inner::Leaf(id))
                }
                What::Block(name, inner) => {
                    let nodes = self.compile(inner, &format!("{prefix}{name}_"), outer * count);
                    (inner.size, Inner::Block { size: inner.size, nodes })
                }
            };
            let end = at + stride * (count - 1) + size;
            nodes.push(Node { at: *at, end, count: *count, stride: *stride, inner });
        }
        nodes
    }
}

/// A register's element on the way out of the recursion: its offset is relative to the nodes searched.
struct Found {
    id: u16,
    index: u32,
    at: u32,
}

/// The first element in these nodes that ends behind `from`.
fn find(nodes: &[Node], from: u32) -> Option<Found> {
    let start = nodes.partition_point(|node| node.end <= from);
    nodes.get(start..)?.iter().find_map(|node| find_in(node, from))
}

fn find_in(node: &Node, from: u32) -> Option<Found> {
    let first = from.saturating_sub(node.at) / node.stride;
    // An inner block may end in a gap: then the next element of the row has the answer.
    (first..node.count.min(first.saturating_add(2))).find_map(|n| {
        let at = node.at + n * node.stride;
        match &node.inner {
            Inner::Leaf(id) => {
                let end = at + (node.end - node.at - node.stride * (node.count - 1));
                (end > from).then_some(Found { id: *id, index: n, at })
            }
            Inner::Block { size, nodes } if at + size > from => {
                let found = find(nodes, from.saturating_sub(at))?;
                let inner_row = elements(nodes, found.id);
                let index = n * inner_row + found.index;
                Some(Found { id: found.id, index, at: at + found.at })
            }
            Inner::Block { .. } => None,
        }
    })
}

/// How many elements one instance of these nodes has of a register.
fn elements(nodes: &[Node], id: u16) -> u32 {
    let inside = |node: &Node| match &node.inner {
        Inner::Leaf(leaf) => u32::from(*leaf == id) * node.count,
        Inner::Block { nodes, .. } => node.count * elements(nodes, id),
    };
    nodes.iter().map(inside).sum()
}

/// The u64s of a wide word out of its little-endian bytes.
pub(crate) fn from_bytes<const N: usize>(bytes: &[u8]) -> [u64; N] {
    let (chunks, _) = bytes.as_chunks::<8>();
    let mut words = [0; N];
    for (word, chunk) in words.iter_mut().zip(chunks) {
        *word = u64::from_le_bytes(*chunk);
    }
    words
}

/// The little-endian bytes of a wide word.
pub(crate) fn to_bytes<const B: usize>(words: &[u64]) -> [u8; B] {
    let mut bytes = [0; B];
    let (chunks, _) = bytes.as_chunks_mut::<8>();
    for (chunk, word) in chunks.iter_mut().zip(words) {
        *chunk = word.to_le_bytes();
    }
    bytes
}
