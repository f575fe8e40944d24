//! What a core counts.

/// Events of one core since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Data accesses.
    pub dtlb_lookups: u64,
    /// Data accesses that the TLB translated.
    pub dtlb_hits: u64,
    /// Instruction fetches.
    pub itlb_lookups: u64,
    /// Instruction fetches that the TLB translated.
    pub itlb_hits: u64,
    /// Walks of the guest's tables.
    pub walks: u64,
    /// Walks begun again without caches, because with them a fault was met.
    pub walk_restarts: u64,
    /// Guest entries read from memory.
    pub guest_reads: u64,
    /// EPT entries read from memory.
    pub ept_reads: u64,
    /// Walks of the guest's tables that began below the root.
    pub psc_hits: u64,
    /// Guest physical addresses looked up.
    pub gpa_tlb_lookups: u64,
    /// Guest physical addresses that the cached translations knew.
    pub gpa_tlb_hits: u64,
    /// Walks of EPT that began below the root.
    pub ept_psc_hits: u64,
    /// Entries read from addresses where no memory is.
    pub bus_aborts: u64,
    /// `#GP(0)` for addresses that are not canonical.
    pub not_canonical: u64,
    /// `#PF`.
    pub page_faults: u64,
    /// VM exits for EPT violations.
    pub ept_violations: u64,
    /// VM exits for EPT misconfigurations.
    pub ept_misconfigurations: u64,
    /// Entries written to the page-modification log.
    pub pml_entries: u64,
    /// VM exits because the page-modification log was full.
    pub pml_full: u64,
    /// VM entries.
    pub vm_entries: u64,
    /// VM exits.
    pub vm_exits: u64,
    /// MOV to CR3 that flushed nothing: bit 63 was set.
    pub mov_cr3_noflush: u64,
    /// What made the caches forget.
    pub flushes: Flushes,
    /// Cached mappings that were forgotten.
    pub flushed_lines: u64,
}

impl Counters {
    /// Entries read from memory, of both stages.
    pub fn walk_reads(&self) -> u64 {
        self.guest_reads + self.ept_reads
    }
}

/// Invalidations by what caused them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flushes {
    /// MOV to CR3: a switch of process.
    pub mov_cr3: u64,
    /// MOV to CR4 that changed a bit which invalidates.
    pub mov_cr4: u64,
    /// INVLPG.
    pub invlpg: u64,
    /// INVPCID.
    pub invpcid: u64,
    /// INVVPID.
    pub invvpid: u64,
    /// INVEPT.
    pub invept: u64,
    /// VM entries without a VPID.
    pub vm_entry: u64,
    /// VM exits without a VPID.
    pub vm_exit: u64,
    /// `#PF`: the mappings of the faulting page.
    pub page_fault: u64,
    /// EPT violations: the mappings of the faulting page.
    pub ept_violation: u64,
}
