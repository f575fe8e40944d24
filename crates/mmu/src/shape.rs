//! What a core is made of: the widths it supports and the shapes of its caches.

use std::fmt;

/// Sets and ways of one cache; [`OFF`](Self::OFF) has neither and never answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    sets: u32,
    ways: u32,
}

/// A shape that no cache can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShapeError {
    /// Sets asked for.
    pub sets: usize,
    /// Ways asked for.
    pub ways: usize,
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ShapeError { sets, ways } = self;
        write!(
            f,
            "a cache of {sets} sets and {ways} ways can't be built; \
             sets are a power of two, sets and ways 1 to {LIMIT}, all lines together at most {LINES}"
        )
    }
}

impl std::error::Error for ShapeError {}

const LIMIT: usize = 1 << 16;
const LINES: usize = 1 << 20;

impl Shape {
    /// A cache without lines.
    pub const OFF: Shape = Shape { sets: 1, ways: 0 };

    /// A cache of `sets` (a power of two) times `ways` lines.
    pub const fn new(sets: usize, ways: usize) -> Result<Shape, ShapeError> {
        let fits = sets.is_power_of_two() && sets <= LIMIT && ways > 0 && ways <= LIMIT;
        if !fits || sets * ways > LINES {
            return Err(ShapeError { sets, ways });
        }
        Ok(Shape { sets: sets as u32, ways: ways as u32 })
    }

    /// Number of sets.
    pub const fn sets(self) -> usize {
        self.sets as usize
    }

    /// Lines in a set.
    pub const fn ways(self) -> usize {
        self.ways as usize
    }

    const fn of(sets: u32, ways: u32) -> Shape {
        Shape { sets, ways }
    }
}

/// The shapes of a TLB: one cache for each size of page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlbShape {
    /// Pages of 4 KiB.
    pub page_4k: Shape,
    /// Pages of 2 MiB.
    pub page_2m: Shape,
    /// Pages of 1 GiB.
    pub page_1g: Shape,
}

impl TlbShape {
    /// No TLB.
    pub const OFF: TlbShape =
        TlbShape { page_4k: Shape::OFF, page_2m: Shape::OFF, page_1g: Shape::OFF };
}

/// The shapes of paging-structure caches, by the entry that they let a walk skip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PscShape {
    /// Page-directory entries.
    pub pde: Shape,
    /// Page-directory-pointer-table entries.
    pub pdpte: Shape,
    /// Level-4 entries.
    pub pml4e: Shape,
    /// Level-5 entries.
    pub pml5e: Shape,
}

impl PscShape {
    /// No paging-structure caches.
    pub const OFF: PscShape =
        PscShape { pde: Shape::OFF, pdpte: Shape::OFF, pml4e: Shape::OFF, pml5e: Shape::OFF };
}

/// The caches of a core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// The TLB for data.
    pub dtlb: TlbShape,
    /// The TLB for instruction fetches.
    pub itlb: TlbShape,
    /// Caches of entries of the guest's tables.
    pub psc: PscShape,
    /// Guest-physical translations: the results of walks of EPT.
    pub gpa_tlb: TlbShape,
    /// Caches of entries of EPT.
    pub ept_psc: PscShape,
}

impl Geometry {
    /// Every access walks, from the root.
    pub const OFF: Geometry = Geometry {
        dtlb: TlbShape::OFF,
        itlb: TlbShape::OFF,
        psc: PscShape::OFF,
        gpa_tlb: TlbShape::OFF,
        ept_psc: PscShape::OFF,
    };
}

impl Default for Geometry {
    /// First-level TLBs of the size that recent server cores have (CPUID leaf 18H tells them).
    fn default() -> Geometry {
        let psc = PscShape {
            pde: Shape::of(8, 4),
            pdpte: Shape::of(1, 4),
            pml4e: Shape::of(1, 4),
            pml5e: Shape::of(1, 2),
        };
        let page_1g = Shape::of(1, 8);
        let dtlb = TlbShape { page_4k: Shape::of(16, 6), page_2m: Shape::of(8, 4), page_1g };
        let itlb = TlbShape { page_4k: Shape::of(32, 8), page_2m: Shape::of(8, 4), page_1g };
        let gpa_tlb = TlbShape { page_4k: Shape::of(16, 4), page_2m: Shape::of(8, 4), page_1g };
        Geometry { dtlb, itlb, psc, gpa_tlb, ept_psc: psc }
    }
}

/// What a core supports; CPUID and `IA32_VMX_EPT_VPID_CAP` tell software.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model {
    /// Width of a physical address in bits: 36 to 52.
    pub maxphyaddr: u8,
    /// Whether EPT may allow execution without reading.
    pub execute_only: bool,
    /// Its caches.
    pub geometry: Geometry,
}

impl Default for Model {
    fn default() -> Model {
        Model { maxphyaddr: 46, execute_only: true, geometry: Geometry::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_that_no_cache_can_have_is_refused() {
        for (sets, ways) in [(3, 1), (0, 1), (1, 0), (1 << 17, 1), (1 << 16, 1 << 16)] {
            assert_eq!(Shape::new(sets, ways), Err(ShapeError { sets, ways }));
        }
    }
}
